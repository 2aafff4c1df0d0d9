"""The guard of the watchlist, by a clock that the test sets: who is matched when, and what is left after the end."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge import durable
from edge.errors import IntegrityError, WorldError
from edge.gate import GateSettings, Verdict
from edge.guard import NO_WATCHLIST, Guard
from edge.outbox import Ended
from edge.state.ending import end_watchlist
from edge.state.places import Places
from edge.watchlist import Watchlist, WatchlistSettings, read_watchlist
from edge.wire import watchlist as contract
from edge.wire.push import WATCHLIST
from edge.wire.sealing import make_or_load, wrap
from edge.wire.turns import Instant
from tests.deploying import deployment
from tests.edge.people import DIMENSION, template_of

MODEL = "a" * 64
NOON = 1_800_000_000_000
FROM, UNTIL = NOON, NOON + 3_600_000
PROBE = template_of((1, 2, 3))


@dataclass
class Memory:
    """Reports that outlive a guard, on a disk that may be full."""

    kept: dict[str, bytes] = field(default_factory=dict)
    full: bool = False

    def report(self, name: str, body: bytes) -> None:
        if self.full:
            raise WorldError("the disk is full")
        self.kept[name] = body

    def reports(self) -> dict[str, bytes]:
        return self.kept

    def link_says(self, **says: object) -> None:
        self.kept["link"] = msgspec.json.encode({"state": "talking", **says})


class Box:
    """A box with a watchlist file, and a clock; the monotonic one has run for a day."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "watch" / "watchlist.sealed"
        self.file.parent.mkdir()
        self.centre, self.key = make_or_load(folder / "centre.key"), make_or_load(folder / "box.key")
        self.memory = Memory()
        self.now = Instant(86_400.0, NOON + 1000)
        self.state = ""
        self.built_ms = 0

    def seal(self, watchlist: str = "list-1", **changes: object) -> None:
        window = msgspec.structs.replace(deployment(FROM, UNTIL), **changes)
        made = contract.SealedWatchlist(
            watchlist=watchlist,
            device="box-1",
            made_at_ms=FROM - 1000,
            expires_at_ms=window.until_ms,
            model_sha256=MODEL,
            dimension=DIMENSION,
            entries=("somebody",),
            owners=np.array([0], "<u4").tobytes(),
            templates=PROBE.astype("<f2").tobytes(),
            deployment=window,
        )
        self.file.write_bytes(wrap(self.centre, self.key.public, contract.encode(made)))

    def read(self) -> Watchlist | None:
        settings = WatchlistSettings(file=str(self.file))
        return read_watchlist(settings, self.key, author=self.centre.public, device="box-1", model_sha256=MODEL)

    def start(self) -> Guard:
        return Guard(
            self.read(),
            self.file,
            self.memory,
            GateSettings(),
            camera="gate",
            state=self.state,
            built_ms=self.built_ms,
            now=self.now,
        )

    def pass_ms(self, ms: int, *, jump_ms: int = 0) -> Instant:
        """Let time pass, and the clock jump besides."""
        self.now = Instant(self.now.monotonic_s + ms / 1000, self.now.clock_ms + ms + jump_ms)
        return self.now


@pytest.fixture
def box(tmp_path: Path) -> Box:
    made = Box(tmp_path)
    made.seal()
    return made


def matches(guard: Guard) -> bool:
    return guard.gallery.best(PROBE) is not None


def test_within_the_window_people_are_matched(box: Box) -> None:
    guard = box.start()
    assert guard.verdict is Verdict.MATCHING
    assert matches(guard)
    assert guard.lets_out(box.now, [box.now.clock_ms])
    assert list(guard.troubles()) == []


def test_before_the_window_nobody_is_matched_until_it_begins_by_itself(box: Box) -> None:
    box.pass_ms(-2000)
    guard = box.start()
    assert guard.verdict is Verdict.BEFORE
    assert not matches(guard)
    assert list(guard.troubles()) == []
    assert box.file.exists()
    guard.look(box.pass_ms(999))
    assert not matches(guard)
    guard.look(box.pass_ms(1))
    assert matches(guard)
    assert not guard.lets_out(box.now, [box.now.clock_ms, FROM - 1]), "a look from before the window"


def test_the_end_of_the_window_destroys_the_watchlist_in_memory_and_on_the_disk(box: Box) -> None:
    guard = box.start()
    held = guard.gallery._templates
    assert held.base is None or held.base.flags.owndata
    assert np.any(held)
    assert not guard.lets_out(Instant(box.now.monotonic_s + 3599, UNTIL), [UNTIL]), "between two looks too"
    inode = box.file.open("rb")  # what lay there can still be read by who had it open
    assert guard.look(box.pass_ms(3_599_000)) is Verdict.AFTER
    assert not np.any(held), "the array itself is overwritten"
    assert not matches(guard)
    assert not box.file.exists()
    with inode:
        assert set(inode.read()) == {0}
    assert guard.ended == Ended(watchlist="list-1", why="after-window", at_ms=UNTIL)
    (trouble,) = guard.troubles()
    assert trouble == (
        f"{NO_WATCHLIST} (watchlist list-1 destroyed at 2027-01-15 09:00:00 UTC: the window has ended)"
    )
    assert guard.look(box.pass_ms(1000)) is Verdict.NO_WATCHLIST
    assert not guard.lets_out(box.now, [box.now.clock_ms - 5000])


def test_after_a_restart_a_box_without_watchlist_still_says_what_became_of_it(box: Box) -> None:
    box.start().look(box.pass_ms(3_600_000))
    guard = box.start()
    assert guard.verdict is Verdict.NO_WATCHLIST
    (trouble,) = guard.troubles()
    assert "list-1 destroyed at" in trouble
    box.file.unlink(missing_ok=True)
    fresh = Memory()
    box.memory = fresh
    assert list(box.start().troubles()) == [NO_WATCHLIST]


def test_a_watchlist_put_there_after_the_end_is_left_alone_until_it_is_over_itself(box: Box) -> None:
    guard = box.start()
    guard.look(box.pass_ms(3_600_000))
    box.seal("list-2", until_ms=UNTIL + 3_600_000)
    guard.look(box.pass_ms(1000))
    assert box.file.exists()
    again = box.start()
    assert matches(again)
    assert list(again.troubles()) == []


def test_a_kill_between_memory_and_file_is_made_good_at_the_next_start(box: Box) -> None:
    before = box.file.read_bytes()
    box.start().look(box.pass_ms(3_600_000))
    box.file.write_bytes(before)  # as if the kill had come before
    box.pass_ms(0, jump_ms=-1_800_000)  # and the clock were back in the window
    guard = box.start()
    assert not matches(guard)
    assert not box.file.exists()


def test_a_box_that_is_locked_out_destroys_its_watchlist_whatever_its_clock_says(box: Box) -> None:
    guard = box.start()
    held = guard.gallery._templates
    box.memory.link_says(expelled=True, centre_clock_ms=1, centre_clock_monotonic_s=box.now.monotonic_s)
    guard.look(box.pass_ms(1000))
    assert guard.verdict is Verdict.EXPELLED
    assert not np.any(held)
    assert not box.file.exists()
    assert "locked this box out" in next(iter(guard.troubles()))


def test_a_camera_that_the_deployment_does_not_cover_matches_nobody_and_says_so(box: Box) -> None:
    box.seal(cameras=("yard",))
    guard = box.start()
    assert guard.verdict is Verdict.WRONG_CAMERA
    assert not matches(guard)
    assert list(guard.troubles()) == ["the deployment does not cover this camera; nobody is matched"]
    assert box.file.exists()


def test_a_file_that_cannot_be_destroyed_is_told_and_tried_again(box: Box, tmp_path: Path) -> None:
    guard = box.start()
    box.file.unlink()
    box.file.symlink_to(tmp_path / "box.key")
    guard.look(box.pass_ms(3_600_000))
    assert not matches(guard)
    assert any("cannot destroy" in trouble and "delete it by hand" in trouble for trouble in guard.troubles())
    box.file.unlink()
    box.seal()
    guard.look(box.pass_ms(1000))
    assert not box.file.exists()
    assert len(list(guard.troubles())) == 1


def test_a_full_disk_keeps_no_watchlist_alive(box: Box) -> None:
    guard = box.start()
    box.memory.full = True
    guard.look(box.pass_ms(3_600_000))
    assert not matches(guard)
    assert not box.file.exists()


# ------------------------------------------------------------------ the clock


def heard(box: Box, centre_ms: int) -> None:
    box.memory.link_says(centre_clock_ms=centre_ms, centre_clock_monotonic_s=box.now.monotonic_s)


def test_a_clock_that_is_off_the_centre_s_stops_matching_and_keeps_the_list(box: Box) -> None:
    guard = box.start()
    heard(box, box.now.clock_ms + 7_200_000)
    guard.look(box.pass_ms(1000))
    assert guard.verdict is Verdict.CLOCK
    assert not matches(guard)
    assert not guard.lets_out(box.now, [box.now.clock_ms])
    assert box.file.exists()
    assert list(guard.troubles()) == [
        "the box's clock cannot be believed: it is 7200 s behind the centre's; nobody is matched"
    ]
    heard(box, box.now.clock_ms + 1000)
    guard.look(box.pass_ms(1000))
    assert matches(guard)
    assert list(guard.troubles()) == []


def test_by_a_clock_that_is_not_believed_no_window_ends(box: Box) -> None:
    guard = box.start()
    heard(box, box.now.clock_ms)
    guard.look(box.pass_ms(1000, jump_ms=7_200_000))
    assert guard.verdict is Verdict.CLOCK
    assert box.file.exists()


def test_what_the_centre_said_goes_on_counting_while_it_is_away(box: Box) -> None:
    guard = box.start()
    heard(box, box.now.clock_ms)
    guard.look(box.pass_ms(1_800_000))
    assert matches(guard)
    guard.look(box.pass_ms(1000, jump_ms=-31_000))
    assert guard.verdict is Verdict.CLOCK


def test_a_jump_is_noticed_without_a_centre_and_forgiven_when_the_clock_comes_back(box: Box) -> None:
    guard = box.start()
    assert not guard.lets_out(Instant(box.now.monotonic_s, box.now.clock_ms + 60_000), [box.now.clock_ms])
    guard.look(box.pass_ms(1000, jump_ms=60_000))
    assert guard.verdict is Verdict.CLOCK
    assert "jumped by +60 s" in next(iter(guard.troubles()))
    guard.look(box.pass_ms(1000, jump_ms=-60_000))
    assert matches(guard)


def test_slow_steering_of_the_clock_is_no_jump(box: Box) -> None:
    guard = box.start()
    for _ in range(100):
        guard.look(box.pass_ms(1000, jump_ms=500))
        assert guard.verdict is Verdict.MATCHING


def test_a_clock_before_what_the_box_remembers_is_not_believed(box: Box) -> None:
    box.pass_ms(1_800_000)
    box.start()
    box.now = Instant(10.0, NOON + 1000)  # a restart with a clock that has stood still
    guard = box.start()
    assert guard.verdict is Verdict.CLOCK
    assert "before a time that has been already" in next(iter(guard.troubles()))


def test_a_clock_before_the_list_was_made_or_the_software_installed_is_not_believed(box: Box) -> None:
    box.now = Instant(10.0, 1000)
    assert box.start().verdict is Verdict.CLOCK
    box.memory = Memory()
    box.now, box.built_ms = Instant(10.0, NOON + 1000), NOON + 2000
    assert box.start().verdict is Verdict.CLOCK


def test_a_box_whose_clock_once_was_ahead_is_believed_again_with_the_centre(box: Box) -> None:
    box.memory.kept["clock"] = msgspec.json.encode({"floor_ms": NOON + 10**10})
    guard = box.start()
    assert guard.verdict is Verdict.CLOCK
    heard(box, box.now.clock_ms)
    guard.look(box.pass_ms(1000))
    assert matches(guard)
    box.memory.link_says()
    assert matches(box.start()), "and remembers the right time"


def test_what_link_said_before_the_box_started_anew_counts_for_nothing(box: Box) -> None:
    heard(box, 1)
    box.now = Instant(10.0, NOON + 1000)
    assert matches(box.start())


def test_a_report_that_cannot_be_read_changes_nothing(box: Box) -> None:
    box.memory.kept["link"] = b"garbage"
    assert matches(box.start())


# ------------------------------------------------------------------ what was pushed


def pushed(box: Box, folder: Path, words: tuple[str, ...]) -> Places:
    places = Places(folder / "pushed")
    for word in words:
        (places.stage() / WATCHLIST).write_bytes(box.file.read_bytes())
        places.switch(word)
    return places


def test_a_pushed_watchlist_is_link_s_to_destroy_in_every_kept_state(box: Box, tmp_path: Path) -> None:
    places = pushed(box, tmp_path, ("one", "two"))
    current, previous = places.current, places.previous
    assert current is not None
    assert previous is not None
    box.file, box.state = current / WATCHLIST, "two"
    guard = box.start()
    guard.look(box.pass_ms(3_600_000))
    assert guard.ended is not None
    assert guard.ended.state == "two"
    assert box.file.exists()
    assert "its file is about to be destroyed" in next(iter(guard.troubles()))
    assert end_watchlist(places, guard.ended.state)
    assert not (current / WATCHLIST).exists()
    assert not (previous / WATCHLIST).exists()
    assert "list-1 destroyed at" in next(iter(guard.troubles()))
    assert not end_watchlist(places, guard.ended.state)


def test_a_watchlist_that_was_pushed_since_is_left_alone(box: Box, tmp_path: Path) -> None:
    places = pushed(box, tmp_path, ("one", "two"))
    current, previous = places.current, places.previous
    assert current is not None
    assert previous is not None
    assert end_watchlist(places, "one")
    assert (current / WATCHLIST).exists()
    assert not (previous / WATCHLIST).exists()
    assert not end_watchlist(places, "")
    assert not end_watchlist(places, "gone")


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"precious")
    (tmp_path / "watchlist.sealed").symlink_to("other")
    with pytest.raises(WorldError, match="cannot destroy"):
        durable.destroy(tmp_path / "watchlist.sealed")
    assert (tmp_path / "other").read_bytes() == b"precious"
    durable.destroy(tmp_path / "absent")


def test_a_watchlist_of_the_old_format_must_be_sealed_again(box: Box) -> None:
    old = msgspec.msgpack.encode({"watchlist": "list-0", "device": "box-1", "format": 1})
    box.file.write_bytes(wrap(box.centre, box.key.public, old))
    with pytest.raises(IntegrityError, match="format 1, this program knows 2; have the centre seal it again"):
        box.read()
