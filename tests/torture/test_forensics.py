"""Some hundreds of strangers; `make torture` lets ten thousand pass."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import SightlineError
from edge.faces.registry import ModelStore, Task, load_registry
from tests.torture.forensics import Needles, play, search

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _models() -> None:
    registry, store = load_registry(), ModelStore.default()
    try:
        for task in Task:
            store.path(registry.wanted("", task, store))
    except SightlineError as error:
        pytest.skip(f"the default models are not here: {error}")


def test_of_strangers_nothing_is_left_on_the_disk_and_of_candidates_nothing_in_the_clear(tmp_path: Path) -> None:
    result = play(tmp_path / "searched", tmp_path / "ledger", 300)
    assert int(str(result["faces"])) >= 400
    assert int(str(result["embedded"])) >= 20
    assert result["candidates_of_strangers"] == 0
    assert int(str(result["candidates_of_matches"])) >= 1
    for searched in (result["after_strangers"], result["after_matches"]):
        assert isinstance(searched, dict)
        assert (searched["found"], searched["cores"]) == ([], 0)
        assert searched["bytes"] > 50_000


TEMPLATE = np.random.default_rng(1).standard_normal((3, 128)).astype("<f4")
PIXELS = np.random.default_rng(2).integers(0, 256, (4, 48), np.uint8)
PICTURE = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (lambda: b"x" * 13 + TEMPLATE[1, 5:9].tobytes() + b"y" * 9, "template, float32"),
        (lambda: b"x" * 14 + TEMPLATE[2].astype("<f2")[40:].tobytes(), "template, float16"),
        (lambda: b"x" * 15 + PIXELS[3, 7:23].tobytes() + b"y" * 3, "pixels"),
        (lambda: b"x" * 5 + PICTURE, "a picture"),
    ],
)
def test_what_is_planted_is_found(tmp_path: Path, content: Callable[[], bytes], kind: str) -> None:
    ledger, folder = tmp_path / "ledger", tmp_path / "searched"
    ledger.mkdir()
    (folder / "deep").mkdir(parents=True)
    (ledger / "templates").write_bytes(TEMPLATE.tobytes())
    (ledger / "pixels").write_bytes(PIXELS.tobytes())
    needles = Needles.of(ledger, 128)
    (folder / "clean").write_bytes(np.random.default_rng(3).bytes(100_000))
    assert search(folder, needles).found == []
    (folder / "deep" / "journal").write_bytes(content())
    assert search(folder, needles).found == [f"{kind} in deep/journal"]
    shutil.rmtree(folder)
