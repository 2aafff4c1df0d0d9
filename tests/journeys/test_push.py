"""What the centre publishes reaches the box, runs there, and goes away again where it is no good."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from central.publishing.ceremony import sign_root
from central.publishing.repository import Repository
from central.rig import DEVICE, Rig
from central.store.state import StateDir
from edge.wire.push import CONFIG, WATCHLIST
from tests.journeys.conftest import Scene, until

pytestmark = pytest.mark.slow

BASE = ("device", "centre", "link")
TRIAL = {"trial": {"limit_s": 40.0, "settle_s": 1.0}, "step_s": 0.1}


class Published:
    """A rig whose box knows only who it is and where its centre is; the rest is pushed."""

    def __init__(self, rig: Rig, scene: Scene) -> None:
        rig.start_centre()
        rig.sightline("enrol", str(scene.references))
        rig.make_box({"source": str(scene.video), "pace": "real"})
        self.rig = rig
        self.tree: dict[str, Any] = yaml.safe_load(rig.box_config.read_text())
        self.watchlist = Path(self.tree["watchlist"]["file"]).read_bytes()
        Path(self.tree["watchlist"]["file"]).unlink()
        state, box = StateDir(rig.centre_state), Path(self.tree["device"]["state"])
        ceremony = sign_root(
            state.push, rig.home / "root.pem", state.push_keys / "online.pem", None, now=datetime.now(UTC)
        )
        (box / "root.json").write_bytes(ceremony.path.read_bytes())
        base = {key: self.tree[key] for key in BASE} | {"update": TRIAL}
        rig.box_config.write_text(yaml.safe_dump(base))
        self.repository = Repository(state.push, state.push_keys)

    def publish(self, watchlist: bytes, **changes: object) -> str:
        config = yaml.safe_dump({**self.tree, **changes}).encode()
        return self.repository.publish(DEVICE, {CONFIG: config, WATCHLIST: watchlist}, now=datetime.now(UTC))

    def said(self, event: str) -> list[str]:
        log = self.rig.home / "link.log"
        return [line for line in log.read_text().splitlines() if event in line] if log.exists() else []

    def runs(self) -> tuple[str, str]:
        """Return the state that should run, and the one that watch says it runs."""
        status = self.rig.box_status()
        return status["state"], status.get("watch", {}).get("state", "")


@pytest.fixture
def published(rig: Rig, scene: Scene) -> Published:
    return Published(rig, scene)


@contextmanager
def supervised(rig: Rig) -> Iterator[None]:
    """Start watch, and again whenever it ends, as systemd does."""
    stop = threading.Event()

    def supervise() -> None:
        while not stop.is_set():
            watch = rig.start_watch()
            while watch.running() and not stop.wait(0.1):
                pass
            watch.signal(signal.SIGTERM)
            watch.wait(10)
            stop.wait(0.3)

    thread = threading.Thread(target=supervise)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_pushed_state_runs_and_one_that_cannot_run_goes_away_again(published: Published) -> None:
    rig = published.rig
    link = rig.start_link(drain=False)
    with supervised(rig):
        until(lambda: "waiting for a configuration" in str(rig.box_status().get("watch", "")))
        good = published.publish(published.watchlist)
        until(lambda: published.runs() == (good, good), within_s=90)
        until(lambda: published.said("update.confirmed"))
        until(lambda: rig.ask("/api/tally")["events"] > 0)

        bad = published.publish(b"not a watchlist that opens")
        until(lambda: published.said("update.rolled_back"), within_s=90)
        (line,) = published.said("update.rolled_back")
        assert bad in line
        assert "does not open" in line
        until(lambda: published.runs() == (good, good))
        assert link.running()

        better = published.publish(published.watchlist, pipeline={"search_side": 960})
        until(lambda: published.runs() == (better, better), within_s=90)
        until(lambda: len(published.said("update.confirmed")) == 2)
    states = Path(published.tree["device"]["state"]) / "pushed" / "states"
    assert {each.name for each in states.iterdir() if not each.name.startswith(".")} == {good, better}
