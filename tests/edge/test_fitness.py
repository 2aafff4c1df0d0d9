"""A box's test of itself: each part fails for its own reason, with a remedy, and the centre hears of it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edge import fitness, selftest
from edge.errors import IntegrityError, WorldError
from edge.outbox import Outbox, OutboxSettings
from edge.state.places import Places
from edge.telling import heartbeat
from edge.wire.push import CONFIG, MODELS, WATCHLIST
from tests.pushing import Pusher, centre

NOW_MS = 1_800_000_000_000
FILES = {CONFIG: b"a: 1\n", WATCHLIST: b"sealed", MODELS: b"models: {}\n", "models/a.onnx": b"weights"}


def test_a_sound_disk_is_told_in_numbers_and_nothing_is_left_on_it(tmp_path: Path) -> None:
    assert " GB free at " in fitness.disk(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_nearly_full_is_not_fit(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="MB are free") as caught:
        fitness.disk(tmp_path, least_bytes=1 << 60)
    assert "free some" in caught.value.hint


def test_a_slow_card_is_called_failing(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match=r"took .* s to be safe"):
        fitness.disk(tmp_path, slow_s=0.0)


def test_a_folder_that_is_not_there_or_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(WorldError, match="cannot be written"):
            fitness.disk(folder)


def test_a_clock_that_is_behind_what_was_written_here_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    path.write_bytes(b"")
    os.utime(path, (NOW_MS / 1000, NOW_MS / 1000))
    day_ms = 24 * 3600 * 1000
    assert fitness.clock(NOW_MS, 0, (path, tmp_path / "missing")).startswith("2027-01-15")
    with pytest.raises(WorldError, match="files here are of 2027-01-15") as caught:
        fitness.clock(NOW_MS - 2 * day_ms, 0, (path,))
    assert "timedatectl" in caught.value.hint
    with pytest.raises(WorldError, match="the clock says 1970-01-01"):
        fitness.clock(0, NOW_MS, ())


@pytest.fixture(scope="module")
def pusher(tmp_path_factory: pytest.TempPathFactory) -> Pusher:
    return centre(tmp_path_factory.mktemp("centre"))


@pytest.fixture
def box(pusher: Pusher, tmp_path: Path) -> Path:
    """A box that runs what was pushed to it, taken through TUF."""
    folder = tmp_path / "pushed"
    word = pusher.publish(FILES)
    places = Places(folder)
    with pusher.box(folder).look() as look:
        stage = places.stage()
        for name in FILES:
            look.bring(name, stage)
    places.switch(word)
    return folder


def test_a_state_that_is_as_it_was_signed_passes_without_the_centre(box: Path, tmp_path: Path) -> None:
    assert fitness.pushed(tmp_path / "empty", "box-1") == "nothing was pushed"
    assert "4 files, all as they were signed" in fitness.pushed(box, "box-1")


@pytest.mark.parametrize("name", FILES)
def test_a_bit_that_changed_on_the_card_is_found_and_its_file_named(box: Path, name: str) -> None:
    path = box / "current" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=f"not what was signed any more: {name}") as caught:
        fitness.pushed(box, "box-1")
    assert "push again" in caught.value.hint


def test_a_file_that_is_missing_or_that_nobody_signed_is_found(box: Path) -> None:
    (box / "current" / "extra").write_bytes(b"x")
    with pytest.raises(IntegrityError, match="any more: extra"):
        fitness.pushed(box, "box-1")
    (box / "current" / "extra").unlink()
    (box / "current" / MODELS).unlink()
    with pytest.raises(IntegrityError, match=MODELS):
        fitness.pushed(box, "box-1")


def test_a_watchlist_that_was_destroyed_at_its_end_is_no_damage(box: Path) -> None:
    (box / "current" / WATCHLIST).unlink()
    assert "watchlist destroyed" in fitness.pushed(box, "box-1")


def test_damage_is_found_without_the_metadata_too(box: Path) -> None:
    shutil.rmtree(box / "trust")
    assert "as they were signed" in fitness.pushed(box, "box-1")
    (box / "current" / CONFIG).write_bytes(b"a: 2\n")
    with pytest.raises(IntegrityError, match="one of its files"):
        fitness.pushed(box, "box-1")


def refusing(message: str, hint: str) -> Callable[[], str]:
    def trial() -> str:
        raise WorldError(message, hint=hint)

    return trial


def test_every_part_is_tried_and_what_failed_is_in_the_next_heartbeat_with_its_remedy(tmp_path: Path) -> None:
    test = selftest.run(
        [("key", lambda: "fine"), ("disk", refusing("it is full", "free some")), ("clock", lambda: "fine")], NOW_MS
    )
    assert [part.ok for part in test.parts] == [True, False, True]
    assert selftest.told(test.parts[1]) == "FAIL  disk            it is full; free some"
    with Outbox.open(tmp_path / "outbox.db", OutboxSettings()) as outbox:
        outbox.report(selftest.report_name("watch"), msgspec.json.encode(test))
        assert "self-test, disk: it is full; free some" in heartbeat(outbox, NOW_MS, None).troubles
        outbox.report(selftest.report_name("watch"), msgspec.json.encode(selftest.run([], NOW_MS)))
        assert not [line for line in heartbeat(outbox, NOW_MS, None).troubles if "self-test" in line]
