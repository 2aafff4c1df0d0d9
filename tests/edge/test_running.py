"""Which state runs: the one choice that watch, `edge check` and `edge status` share."""

from pathlib import Path

import msgspec
import pytest
import yaml

from edge import durable
from edge.config import Base, Config, load, load_config
from edge.errors import OperatorError
from edge.faces.registry import Task
from edge.running import current_word, running
from edge.wire.push import CONFIG, MODELS, WATCHLIST
from tests.edge.test_config import BASE, GOOD, written
from tests.edge.test_update import MODEL, model_files, models


def pushed(folder: Path, files: dict[str, bytes]) -> Path:
    state = folder / "pushed" / "states" / "word-1"
    for name, content in files.items():
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).write_bytes(content)
    durable.point(folder / "pushed" / "current", "states/word-1")
    return state


@pytest.fixture
def by_hand(tmp_path: Path) -> Config:
    return load_config(written(tmp_path, GOOD))


def config(**changes: object) -> bytes:
    return yaml.safe_dump({**GOOD, **changes}).encode()


def test_without_a_push_the_configuration_file_runs(tmp_path: Path, by_hand: Config) -> None:
    state = running(by_hand, tmp_path / "pushed")
    assert (state.config, state.word) == (by_hand, "")
    assert current_word(tmp_path / "pushed") == ""


def test_what_was_pushed_runs_instead_with_its_own_watchlist(tmp_path: Path, by_hand: Config) -> None:
    folder = pushed(tmp_path, {CONFIG: config(camera={"id": "other", "source": "x.mp4"}), WATCHLIST: b"sealed"})
    state = running(by_hand, tmp_path / "pushed")
    assert (state.word, state.config.camera.id) == ("word-1", "other")
    assert state.config.watchlist.file == str(folder / WATCHLIST)


def test_a_push_without_a_watchlist_leaves_the_file_that_is_named(tmp_path: Path, by_hand: Config) -> None:
    pushed(tmp_path, {CONFIG: config()})
    assert running(by_hand, tmp_path / "pushed").config.watchlist == by_hand.watchlist


def test_a_pushed_model_runs_from_its_own_folder_and_the_others_from_the_program(
    tmp_path: Path, by_hand: Config
) -> None:
    files = {CONFIG: config(models={"embedder": MODEL}), MODELS: models(), **model_files()}
    folder = pushed(tmp_path, files)
    state = running(by_hand, tmp_path / "pushed")
    embed, detect = state.model(Task.EMBED), state.model(Task.DETECT)
    assert embed.store.path(embed.card).parent == folder / "models"
    assert folder not in detect.store.path(detect.card).parents


def test_a_box_that_was_told_no_camera_says_who_tells_it(tmp_path: Path) -> None:
    base = load(written(tmp_path, BASE))
    assert type(base) is Base
    with pytest.raises(OperatorError, match="told no camera yet"):
        running(base, tmp_path / "pushed")
    pushed(tmp_path, {CONFIG: config()})
    assert msgspec.structs.asdict(running(base, tmp_path / "pushed").config)["camera"].id == "gate"
