"""What a box runs after a push: the new state whole, or the last good one."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from edge.errors import OperatorError
from edge.faces.registry import Task, load_registry
from edge.state.carrier import FolderCarrier
from edge.state.notes import Refusal
from edge.state.places import Places
from edge.update import Check, Outcome, check_config, check_models, check_watchlist, prepare, update
from edge.wire import watchlist as contract
from edge.wire.push import CONFIG, MODELS, WATCHLIST
from edge.wire.sealing import SealingKey, make_or_load, wrap
from tests.deploying import deployment
from tests.edge.people import DIMENSION, template_of
from tests.edge.test_config import GOOD
from tests.pushing import Pusher, centre

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "shipped"
MODEL = "sightline-embedder"
NOW_MS = 1_800_000_000_000


@dataclass
class Box:
    """A box and its centre."""

    pusher: Pusher
    home: Path
    key: SealingKey
    author: SealingKey

    @property
    def places(self) -> Places:
        return Places(self.home)

    @property
    def checks(self) -> tuple[Check, ...]:
        watchlist = check_watchlist(self.key, lambda: NOW_MS)
        return (check_config("box-1", self.author.public), check_models, watchlist)

    def update(self) -> Outcome:
        trust = self.pusher.box(self.home, FolderCarrier(self.pusher.public))
        return update(trust, self.places, self.checks)

    def config(self, **changes: object) -> bytes:
        tree = {**GOOD, "centre": {"sealing_key": self.author.public}, "models": {"embedder": MODEL}, **changes}
        return yaml.safe_dump(tree).encode()

    def watchlist(self, model: str, expires_at_ms: int = NOW_MS + 1) -> bytes:
        made = contract.SealedWatchlist(
            watchlist="list-1",
            device="box-1",
            made_at_ms=0,
            expires_at_ms=expires_at_ms,
            model_sha256=model,
            dimension=DIMENSION,
            entries=("somebody",),
            owners=np.array([0], "<u4").tobytes(),
            templates=template_of((1, 2, 3)).astype("<f2").tobytes(),
            deployment=deployment(0, expires_at_ms),
        )
        return wrap(self.author, self.key.public, contract.encode(made))


@pytest.fixture
def box(tmp_path: Path) -> Box:
    pusher = centre(tmp_path / "centre")
    return Box(pusher, tmp_path / "box", make_or_load(tmp_path / "box.key"), make_or_load(tmp_path / "centre.key"))


def identity() -> str:
    return load_registry().model(MODEL, Task.EMBED).template_identity


def runs(box: Box) -> bytes:
    assert box.places.current is not None
    return (box.places.current / CONFIG).read_bytes()


def test_a_box_switches_to_what_is_pushed_and_stays_there(box: Box) -> None:
    files = {CONFIG: box.config(), WATCHLIST: box.watchlist(identity())}
    word = box.pusher.publish(files)
    assert box.update() == Outcome(word, changed=True, word=word, version=1)
    assert box.update() == Outcome(word, word=word, version=1)
    assert box.places.current is not None
    assert {path.name: path.read_bytes() for path in box.places.current.iterdir()} == files


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (lambda _: {CONFIG: b"camera: ["}, "is not YAML"),
        (lambda box: {CONFIG: box.config(colour="red")}, "unknown key colour"),
        (lambda box: {CONFIG: box.config(device={"id": "box-2", "state": "x"})}, "is for device box-2"),
        (lambda box: {CONFIG: box.config(centre={"sealing_key": "b" * 64})}, "names another centre"),
        (lambda box: {CONFIG: box.config(), WATCHLIST: b"garbage"}, "does not open"),
        (lambda box: {CONFIG: box.config(), WATCHLIST: box.watchlist("b" * 64)}, "was made with model"),
        (lambda box: {CONFIG: box.config(), WATCHLIST: box.watchlist(identity(), NOW_MS)}, "has expired"),
        (lambda box: {WATCHLIST: box.watchlist(identity())}, "cannot read the configuration"),
        (lambda _: {}, "nothing is published"),
    ],
)
def test_a_push_that_fails_a_check_leaves_the_last_good_state(
    box: Box, bad: Callable[[Box], dict[str, bytes]], says: str
) -> None:
    good = box.pusher.publish({CONFIG: box.config()})
    box.update()
    box.pusher.publish(bad(box))
    outcome = box.update()
    assert (outcome.runs, outcome.changed) == (good, False)
    assert says in outcome.refused
    assert runs(box) == box.config()


def test_a_refused_push_leaves_the_last_good_state(box: Box) -> None:
    good = box.pusher.publish({CONFIG: box.config()})
    box.update()
    box.pusher.publish({CONFIG: box.config(outbox={})})
    box.pusher.target(CONFIG).write_bytes(b"forged")
    outcome = box.update()
    assert (outcome.runs, outcome.changed) == (good, False)
    assert "not the bytes that were signed for" in outcome.refused
    assert runs(box) == box.config()


def models(**changes: object) -> bytes:
    entry = yaml.safe_load((SHIPPED.parent / "models.yaml").read_bytes())["models"][MODEL]
    return yaml.safe_dump({"models": {MODEL: {**entry, **changes}}, "defaults": {"embed": [MODEL]}}).encode()


def model_files() -> dict[str, bytes]:
    card = load_registry().model(MODEL, Task.EMBED)
    return {f"models/{name}": (SHIPPED / name).read_bytes() for name in (card.file, card.golden)}


def test_a_pushed_model_is_tried_before_it_runs(box: Box) -> None:
    word = box.pusher.publish({CONFIG: box.config(), MODELS: models(), **model_files()})
    assert box.update().changed
    wrong = model_files()
    golden = next(name for name in wrong if name.endswith(".npz"))
    with np.load(SHIPPED / Path(golden).name) as file:
        arrays: dict[str, Any] = {name: np.asarray(file[name]) for name in file.files}
    arrays["input"] = 255 - arrays["input"]
    made = box.home / "wrong.npz"
    np.savez(made, **arrays)
    wrong[golden] = made.read_bytes()
    box.pusher.publish({CONFIG: box.config(), MODELS: models(), **wrong})
    outcome = box.update()
    assert outcome.runs == word
    assert "fails its golden test" in outcome.refused


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"sha256": "0" * 64}, "is not the registered file"), ({"golden": ""}, "has no golden file")],
)
def test_a_pushed_model_that_cannot_be_tried_does_not_run(box: Box, changes: dict[str, object], says: str) -> None:
    box.pusher.publish({CONFIG: box.config(), MODELS: models(**changes), **model_files()})
    assert says in box.update().refused
    assert box.places.current is None


def test_a_model_file_that_is_named_and_not_published_is_told(box: Box) -> None:
    box.pusher.publish({CONFIG: box.config(), MODELS: models()})
    assert "announced and not there" in box.update().refused


def test_what_has_not_changed_is_not_brought_again(box: Box) -> None:
    box.pusher.publish({CONFIG: box.config(), WATCHLIST: box.watchlist(identity())})
    box.update()
    sealed = box.places.current
    assert sealed is not None
    box.pusher.publish({CONFIG: box.config(outbox={}), WATCHLIST: (sealed / WATCHLIST).read_bytes()})
    box.pusher.target(WATCHLIST).unlink()  # nobody could bring it
    assert box.update().changed


def test_a_box_goes_back_to_the_state_before_and_keeps_no_other(box: Box) -> None:
    words = []
    for tally in (10, 20, 30):
        device = {"id": "box-1", "state": "x", "tally_s": tally}
        words.append(box.pusher.publish({CONFIG: box.config(device=device)}))
        assert box.update().runs == words[-1]
    assert sorted(path.name for path in (box.home / "states").iterdir()) == sorted(words[1:])
    with pytest.raises(OperatorError, match="not here to go back to"):
        box.places.roll_back(words[0])
    box.places.roll_back(words[1])
    assert box.places.current is not None
    assert box.places.current.name == words[1]
    assert [path.name for path in (box.home / "states").iterdir()] == [words[1]]
    box.places.roll_back("")
    assert box.places.current is None


def test_a_group_may_read_a_state_and_nothing_else(box: Box) -> None:
    box.pusher.publish({CONFIG: box.config(), MODELS: models(), **model_files()})
    assert box.update().changed
    state = box.places.current
    assert state is not None
    assert {path.stat().st_mode & 0o777 for path in state.rglob("*") if path.is_file()} == {0o640}
    assert {path.stat().st_mode & 0o777 for path in (state, state / "models")} == {0o750}
    assert {path.stat().st_mode & 0o077 for path in (box.home / "trust", box.home / "parts")} == {0}


def test_what_was_refused_is_not_tried_again_until_it_is_published_anew(box: Box) -> None:
    files = {CONFIG: box.config()}
    box.pusher.publish(files)
    trust = box.pusher.box(box.home, FolderCarrier(box.pusher.public))
    first = prepare(trust, box.places, ())
    assert first.coming
    refusal = Refusal(word=first.word, version=first.version, why="the camera was not seen")
    again = prepare(trust, box.places, (), refusal)
    assert (again.coming, again.refused) == (False, "the camera was not seen")
    assert box.pusher.publish(files) == first.word
    assert prepare(trust, box.places, (), refusal).coming


def test_a_switch_that_was_cut_off_leaves_the_state_that_ran(box: Box) -> None:
    good = box.pusher.publish({CONFIG: box.config()})
    box.update()
    stage = box.places.stage()
    (stage / CONFIG).write_bytes(b"half of a conf")
    assert box.places.current is not None
    assert box.places.current.name == good
    shutil.copytree(stage, box.home / "states" / "never-pointed-at")
    box.pusher.publish({CONFIG: box.config(outbox={})})
    assert box.update().changed
    assert not (box.home / "states" / "never-pointed-at").exists()
