"""The street of people who do not exist, and a rig to put it through."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from central.rig import Listener, Rig
from edge.errors import SightlineError
from edge.faces.registry import ModelStore, Task, load_registry

CHECKOUT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Scene:
    """A rendered street, who is wanted in it, and who walked where."""

    video: Path
    references: Path
    truth: Path


@pytest.fixture(scope="session")
def models() -> None:
    """Skip where the default models neither came with the program nor can be had without a download."""
    registry, store = load_registry(), ModelStore.default()
    try:
        for task in Task:
            store.path(registry.wanted("", task, store))
    except SightlineError as error:
        pytest.skip(f"the default models are not here: {error}")


@pytest.fixture
def scene(models: None) -> Scene:  # noqa: ARG001  # wanted for its skip
    sample = CHECKOUT / "models" / "sample"
    return Scene(sample / "street.mp4", sample / "references", sample / "street.json")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "rig") as made:
        yield made


@pytest.fixture
def ready(rig: Rig, scene: Scene) -> Rig:
    """A centre that knows whom to look for, and a box that is admitted and has its watchlist."""
    rig.start_centre()
    rig.sightline("enrol", str(scene.references))
    rig.make_box({"source": str(scene.video), "pace": "real"})
    return rig


def until(true: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
    """Wait for the world to be so, and fail if it never is."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if true():
            return
        time.sleep(0.1)
    pytest.fail(f"did not happen within {within_s:.0f} s")


def finished(rig: Rig) -> dict[str, Any]:
    """Wait until the film is over, the outbox empty and everything judged; return the centre's totals."""
    for process in rig.processes:
        if process.name in ("watch", "link") and process.running():
            assert process.wait(120) == 0, process.last_words()
    until(lambda: _settled(rig))
    totals: dict[str, Any] = rig.ask("/api/tally")
    return totals


def _settled(rig: Rig) -> bool:
    try:
        return not rig.ask("/api/tally")["pending"]
    except httpx.TransportError:
        return False


def decided(rig: Rig) -> int:
    """Return how many candidates the box has put into its outbox so far, by its own report."""
    try:
        return int(rig.box_status()["watch"].get("events", 0))
    except (SightlineError, KeyError):  # it has not begun
        return 0


def heard_once(listener: Listener) -> bool:
    return bool(listener.heard)
