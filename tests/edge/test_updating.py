"""The thread that brings a pushed state about: with a real repository, a real link between, and watch played."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from central.publishing.shelf import Shelf
from edge.errors import IntegrityError
from edge.fetching import CutError, LinkCarrier
from edge.link import Link, LinkSettings
from edge.outbox import Outbox, OutboxSettings, WatchReport
from edge.state.carrier import Carrier, FolderCarrier
from edge.state.notes import Notes, OnTrial
from edge.state.places import Places
from edge.trial import TrialSettings, UpdateSettings
from edge.update import Check
from edge.updating import Updating
from edge.wire import curve
from edge.wire.messages import Phase
from edge.wire.push import CHUNK_BYTES, CONFIG, WATCHLIST
from edge.wire.turns import Brought, Wanted
from tests.central.ports import QUICK, Centre, eventually
from tests.pushing import CONFIG_A, CONFIG_B, Pusher, centre

pytestmark = pytest.mark.slow

SWIFT = UpdateSettings(
    trial=TrialSettings(limit_s=1.0, settle_s=0.05), refused_s=0.2, retry_first_s=0.05, retry_cap_s=0.1, step_s=0.01
)


@dataclass
class Box:
    """An updating box; `report` is what watch says, which by itself always runs what is current, and sees."""

    pusher: Pusher
    home: Path
    carrier: Carrier | None = None
    checks: tuple[Check, ...] = ()
    unfit: dict[str, str] = field(default_factory=dict)
    blind: set[str] = field(default_factory=set)
    stuck: str = ""

    def __post_init__(self) -> None:
        self.places = Places(self.home)
        self.make()

    def make(self) -> None:
        self.updating = Updating(
            SWIFT,
            trust=self.pusher.box(self.home, self.carrier),
            places=self.places,
            checks=self.checks,
            watch=self.watch,
            now_ms=lambda: 1000,
        )

    @property
    def runs(self) -> str:
        return self.places.current.name if self.places.current else ""

    def watch(self) -> WatchReport:
        state = self.stuck or self.runs
        return WatchReport(at_ms=1000, state=state, unfit=self.unfit.get(state, ""), seeing=state not in self.blind)

    @contextmanager
    def running(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self.updating.run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            if isinstance(self.carrier, LinkCarrier):
                self.carrier.close()
            thread.join()

    def is_steady_with(self, word: str) -> bool:
        applied = self.updating.applied()
        return (applied.state, applied.phase) == (word, Phase.STEADY) and Notes(self.home).trial is None

    def has_refused(self, word: str) -> bool:
        applied = self.updating.applied()
        return (applied.about, applied.phase) == (word, Phase.REFUSED)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(centre(tmp_path / "centre"), tmp_path / "box")


def test_what_is_desired_is_switched_to_and_confirmed(box: Box) -> None:
    with box.running():
        for content in (CONFIG_A, CONFIG_B):
            word = box.pusher.publish({CONFIG: content})
            box.updating.desired(word)
            eventually(lambda word=word: box.is_steady_with(word), "steady")  # type: ignore[misc]


def test_a_state_that_watch_cannot_run_is_rolled_back_at_once_and_the_reason_told(box: Box) -> None:
    good = box.pusher.publish({CONFIG: CONFIG_A})
    with box.running():
        box.updating.desired(good)
        eventually(lambda: box.is_steady_with(good), "steady")
        bad = box.pusher.publish({CONFIG: CONFIG_B})
        box.unfit[bad] = "the watchlist does not open"
        box.updating.desired(bad)
        eventually(lambda: box.has_refused(bad), "refused")
    applied = box.updating.applied()
    assert applied.state == box.runs == good
    assert applied.refused == "watch cannot run it: the watchlist does not open"
    assert [path.name for path in (box.home / "states").iterdir() if not path.name.startswith(".")] == [good]


def test_a_first_state_that_fails_leaves_none(box: Box) -> None:
    word = box.pusher.publish({CONFIG: CONFIG_A})
    box.unfit[word] = "no"
    with box.running():
        box.updating.desired(word)
        eventually(lambda: box.has_refused(word), "refused")
    assert box.runs == ""


def test_a_refused_state_is_tried_again_only_when_it_is_published_anew(box: Box) -> None:
    word = box.pusher.publish({CONFIG: CONFIG_A})
    box.unfit[word] = "no"
    with capture_logs() as log, box.running():
        box.updating.desired(word)
        eventually(lambda: box.has_refused(word), "refused")
        del box.unfit[word]
        other = Box(box.pusher, box.home)  # a new start of link knows it too
        with other.running():
            other.updating.desired(word)
            eventually(lambda: other.has_refused(word), "refused")
        assert len([line for line in log if line["event"] == "update.switched"]) == 1
        box.pusher.publish({CONFIG: CONFIG_A})
        eventually(lambda: box.is_steady_with(word), "steady")


def test_a_camera_that_is_lost_with_the_new_state_brings_the_old_one_back(box: Box) -> None:
    good = box.pusher.publish({CONFIG: CONFIG_A})
    with box.running():
        box.updating.desired(good)
        eventually(lambda: box.is_steady_with(good), "steady")
        bad = box.pusher.publish({CONFIG: CONFIG_B})
        box.blind.add(bad)
        box.updating.desired(bad)
        eventually(lambda: box.has_refused(bad), "refused")
    assert "the camera was seen before" in box.updating.applied().refused
    assert box.runs == good


def test_a_check_that_fails_switches_nothing(box: Box) -> None:
    def refuse(_: Path) -> None:
        raise IntegrityError("the model fails its golden test")

    word = box.pusher.publish({CONFIG: CONFIG_A})
    box.checks = (refuse,)
    box.make()
    with box.running():
        box.updating.desired(word)
        eventually(lambda: box.has_refused(word), "refused")
    assert box.runs == ""
    assert "golden test" in box.updating.applied().refused


def test_a_trial_goes_on_after_a_restart(box: Box) -> None:
    good = box.pusher.publish({CONFIG: CONFIG_A})
    with box.running():
        box.updating.desired(good)
        eventually(lambda: box.is_steady_with(good), "steady")
        bad = box.pusher.publish({CONFIG: CONFIG_B})
        box.stuck = good
        box.updating.desired(bad)
        eventually(lambda: box.updating.applied().phase is Phase.TRYING, "on trial")
    assert box.runs == bad
    assert Notes(box.home).trial is not None
    again = Box(box.pusher, box.home, unfit={bad: "no"})
    with again.running():
        eventually(lambda: again.has_refused(bad), "refused")
    assert again.runs == good


def test_a_state_that_ends_link_in_its_trial_again_and_again_is_given_up(box: Box) -> None:
    word = box.pusher.publish({CONFIG: CONFIG_A})
    with box.running():
        box.stuck = "nothing"
        box.updating.desired(word)
        eventually(lambda: box.updating.applied().phase is Phase.TRYING, "on trial")
    note = Notes(box.home).trial
    assert note is not None
    Notes(box.home).trial = OnTrial(word=word, version=note.version, resumed=5)
    with box.running():
        eventually(lambda: box.has_refused(word), "refused")
    assert "again and again" in box.updating.applied().refused


def test_a_frozen_centre_is_told(box: Box) -> None:
    word = box.pusher.publish({CONFIG: CONFIG_A}, ago=timedelta(days=2))
    with box.running():
        box.updating.desired(word)
        eventually(lambda: box.has_refused(word), "refused")
    assert "too old" in box.updating.applied().refused


# ------------------------------------------------------------------ over the link


def test_a_question_nobody_answers_is_given_up() -> None:
    carrier = LinkCarrier(patience_s=0.02)
    with pytest.raises(CutError):
        carrier.piece("a", 0, 10)
    assert carrier.take() is None
    carrier.close()
    with pytest.raises(CutError):
        carrier.piece("a", 0, 10)


def test_an_answer_to_another_question_is_passed_over() -> None:
    carrier = LinkCarrier(patience_s=5)
    got: list[object] = []
    thread = threading.Thread(target=lambda: got.append(carrier.piece("a", 3, 10)))
    thread.start()
    eventually(lambda: carrier.take() == Wanted("a", 3), "asked")
    carrier.brought(Brought("a", 2, b"other", eof=True))
    carrier.brought(Brought("a", 3, b"this", eof=True))
    thread.join()
    carrier.close()
    (piece,) = got
    assert getattr(piece, "data", None) == b"this"


@pytest.mark.slow
def test_a_download_over_the_link_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    pusher = centre(tmp_path / "centre")
    content = b"w" * (40 * CHUNK_BYTES)
    word = pusher.publish({CONFIG: CONFIG_A, WATCHLIST: content})
    over = Centre(publications=Shelf(pusher.public))
    carrier = LinkCarrier()
    box = Box(pusher, tmp_path / "box", carrier)
    key = curve.make()
    over.roll.devices[key.public] = "box-1"
    stop = threading.Event()

    def link() -> None:
        with Outbox.open(tmp_path / "outbox.db", OutboxSettings()) as outbox:
            settings = LinkSettings(endpoints=(over.endpoint,), centre_key=over.key.public, pace=QUICK)
            made = Link(
                settings,
                device="box-1",
                software="0.1.0",
                key=key,
                outbox=outbox,
                carrier=carrier,
                changes=box.updating,
            )
            made.run(stop)

    pieces = 0
    with over.running():
        pass  # finds the port
    thread = threading.Thread(target=link)
    thread.start()
    try:
        with box.running():
            with over.running():
                eventually(lambda: over.report.pieces >= 15, "half-way")
            pieces += over.report.pieces
            with over.running():
                eventually(lambda: box.is_steady_with(word), "steady")
                eventually(
                    lambda: any(
                        beat.applied is not None and beat.applied.state == word
                        for _, beat, _ in over.pulses.heartbeats
                    ),
                    "told in a heartbeat",
                )
            pieces += over.report.pieces
    finally:
        stop.set()
        thread.join()
    # The metadata of two looks, the configuration, and each piece of the large file once, two at a cut.
    assert 40 <= pieces <= 40 + 2 * 6 + 3


def test_the_folder_of_a_stick_is_a_carrier_too(box: Box) -> None:
    box.carrier = FolderCarrier(box.pusher.public)
    box.make()
    word = box.pusher.publish({CONFIG: CONFIG_A})
    with box.running():
        box.updating.desired(word)
        eventually(lambda: box.is_steady_with(word), "steady")
