import itertools
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.errors import IntegrityError, WorldError
from edge.outbox import Kind, Outbox, OutboxSettings, Outgoing
from edge.wire.codec import decode_from_device
from edge.wire.messages import MAX_HEADER_BYTES, MAX_PAYLOAD_BYTES, Event, Tally

SETTINGS = OutboxSettings(max_bytes=8 * 1024 * 1024)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    with Outbox.open(path, SETTINGS) as opened:
        yield opened


def a_row(name: str, *, kind: Kind = "event", size: int = 100) -> Outgoing:
    return Outgoing(id=name, kind=kind, header=b"header of " + name.encode(), payload=b"x" * size)


def ids(outbox: Outbox) -> list[str]:
    return [row.id for row in outbox.waiting(1000)]


def test_a_row_waits_until_it_is_forgotten(outbox: Outbox) -> None:
    outbox.put(a_row("one"))
    outbox.put(a_row("two", kind="tally", size=0))
    (one, two) = outbox.waiting(10)
    assert (one.id, one.kind, one.header, one.payload) == ("one", "event", b"header of one", b"x" * 100)
    assert (two.id, two.kind, two.payload) == ("two", "tally", b"")
    assert outbox.forget(["one"]) == 1
    assert ids(outbox) == ["two"]
    assert outbox.count() == 1


def test_a_second_put_of_a_waiting_id_changes_nothing(outbox: Outbox) -> None:
    outbox.put(a_row("one"))
    weight = outbox.weight()
    outbox.put(a_row("one", size=5000))
    assert outbox.count() == 1
    assert outbox.weight() == weight
    assert outbox.waiting(1)[0].payload == b"x" * 100


def test_forgetting_what_is_not_there_is_harmless(outbox: Outbox) -> None:
    outbox.put(a_row("one"))
    assert outbox.forget(["stranger", "one", "one"]) == 1
    assert outbox.count() == outbox.weight() == 0


def test_rows_come_out_in_the_order_they_went_in_and_window_by_window(outbox: Outbox) -> None:
    for name in "abcdef":
        outbox.put(a_row(name))
    first = outbox.waiting(2)
    assert [row.id for row in first] == ["a", "b"]
    assert [row.id for row in outbox.waiting(3, after=first[-1].number)] == ["c", "d", "e"]
    outbox.forget("a")
    outbox.put(a_row("a"))
    assert ids(outbox) == ["b", "c", "d", "e", "f", "a"], "a number is never used twice"


def test_a_window_is_bounded_in_bytes_but_never_empty(outbox: Outbox) -> None:
    for name in "abc":
        outbox.put(a_row(name, size=10_000))
    assert [row.id for row in outbox.waiting(9, max_bytes=1)] == ["a"]
    assert [row.id for row in outbox.waiting(9, max_bytes=21_000)] == ["a", "b"]


def test_when_it_is_full_tallies_go_before_events_and_the_oldest_first(outbox: Outbox) -> None:
    outbox.put(a_row("e0", size=MAX_PAYLOAD_BYTES))
    outbox.put(a_row("t0", kind="tally", size=0))
    for name in range(1, 7):
        outbox.put(a_row(f"e{name}", size=MAX_PAYLOAD_BYTES))
    outbox.put(a_row("t1", kind="tally", size=0))
    assert outbox.shed() == 0
    outbox.put(a_row("e7", size=MAX_PAYLOAD_BYTES))
    assert ids(outbox) == [f"e{name}" for name in range(1, 8)]
    assert outbox.shed() == 3
    assert outbox.weight() <= SETTINGS.max_bytes


def test_what_was_shed_is_still_counted_after_a_restart(path: Path) -> None:
    with Outbox.open(path, SETTINGS) as outbox:
        for name in range(10):
            outbox.put(a_row(f"e{name}", size=MAX_PAYLOAD_BYTES))
        shed, held = outbox.shed(), ids(outbox)
    assert shed == 3
    with Outbox.open(path, SETTINGS) as outbox:
        assert outbox.shed() == shed
        assert ids(outbox) == held
        assert outbox.count() == len(held)


def test_the_file_stays_near_its_bound_however_much_is_put(path: Path) -> None:
    with Outbox.open(path, SETTINGS) as outbox:
        for number in range(300):
            outbox.put(a_row(f"e{number}", size=100_000))
        assert outbox.shed() > 200
        assert outbox.tidy()
        assert sum(file.stat().st_size for file in path.parent.iterdir()) < 1.1 * SETTINGS.max_bytes


def test_what_was_forgotten_is_nowhere_in_the_files(path: Path) -> None:
    with Outbox.open(path, SETTINGS) as outbox:
        for number in range(40):
            outbox.put(
                Outgoing(id=f"secret-id-{number}", kind="event", header=b"h", payload=b"the sealed face" * 900)
            )
        outbox.put(a_row("stays"))
        outbox.forget(f"secret-id-{number}" for number in range(40))
        assert outbox.tidy()
        left = b"".join(file.read_bytes() for file in path.parent.iterdir())
        assert b"header of stays" in left
        assert b"the sealed face" not in left
        assert b"secret-id" not in left


def test_tidying_gives_way_to_a_reader_and_works_when_it_has_left(path: Path, outbox: Outbox) -> None:
    outbox.put(a_row("one"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM waiting").fetchone()
    outbox.forget(["one"])
    assert not outbox.tidy()
    other.close()
    assert outbox.tidy()


def test_reports_replace_each_other_by_name(path: Path, outbox: Outbox) -> None:
    outbox.report("watch", b"1")
    outbox.report("link", b"2")
    outbox.report("watch", b"3")
    with Outbox.open(path, SETTINGS) as other:
        assert other.reports() == {"watch": b"3", "link": b"2"}
    assert outbox._db.execute("PRAGMA synchronous").fetchone() == (2,), "rows are forced to disk again"


def test_the_version_tells_of_the_other_sides_writes_and_of_nothing_else(path: Path, outbox: Outbox) -> None:
    with Outbox.open(path, SETTINGS) as other:
        before = outbox.version()
        assert outbox.version() == before
        other.put(a_row("one"))
        assert outbox.version() != before


def test_only_the_owner_may_read_the_files(path: Path, outbox: Outbox) -> None:
    outbox.put(a_row("one"))
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_a_message_is_put_as_the_centre_will_read_it(outbox: Outbox) -> None:
    event = Event("e1", 5)
    tally = Tally("t1", "door", 1, 2, 3, 4, 5, 6, 7, 8)
    outbox.put(Outgoing.of(event, b"sealed"))
    outbox.put(Outgoing.of(tally))
    first, second = outbox.waiting(2)
    assert (first.id, first.kind, second.id, second.kind) == ("e1", "event", "t1", "tally")
    assert decode_from_device([first.header, first.payload]).message == event
    assert decode_from_device([second.header]).message == tally


@pytest.mark.parametrize(("header", "payload"), [(MAX_HEADER_BYTES + 1, 1), (1, MAX_PAYLOAD_BYTES + 1)])
def test_what_the_centre_would_never_take_is_not_made(header: int, payload: int) -> None:
    with pytest.raises(ValueError, match="are allowed"):
        Outgoing(id="one", kind="event", header=b"h" * header, payload=b"p" * payload)


# ------------------------------------------------------------------ trouble


def overwrite_everything(path: Path) -> None:
    path.write_bytes(b"this is not a database, it is a text " * 400)


def overwrite_the_middle(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [overwrite_everything, overwrite_the_middle, cut_short])
def test_a_damaged_file_is_named_with_what_to_do(path: Path, damage: Callable[[Path], None]) -> None:
    with Outbox.open(path, SETTINGS) as outbox:
        for number in range(50):
            outbox.put(a_row(f"e{number}", size=5000))
    damage(path)

    def use() -> None:
        with Outbox.open(path, SETTINGS) as outbox:
            outbox.waiting(1000)
            outbox.put(a_row("new"))

    with pytest.raises(IntegrityError, match="is damaged") as caught:
        use()
    assert str(path) in caught.value.message
    assert "move it away" in caught.value.hint


def test_a_file_of_a_newer_program_is_left_alone(path: Path) -> None:
    Outbox.open(path, SETTINGS).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(IntegrityError, match="has format 9"):
        Outbox.open(path, SETTINGS)


def test_a_full_disk_is_told_and_loses_nothing_that_was_put(path: Path) -> None:
    with Outbox.open(path, SETTINGS) as outbox:
        outbox.put(a_row("before", size=20_000))
        (pages,) = outbox._db.execute("PRAGMA page_count").fetchone()
        outbox._db.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(WorldError, match="the disk is full") as caught:
            outbox.put(a_row("too much", size=50_000))
        assert "free some" in caught.value.hint
        assert ids(outbox) == ["before"]
        outbox.forget(["before"])
        outbox.put(a_row("after", size=15_000))
        assert ids(outbox) == ["after"]


def test_a_path_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WorldError, match="cannot open the outbox"):
        Outbox.open(tmp_path / "file" / "outbox.db", SETTINGS)
    with pytest.raises(WorldError, match="cannot"):
        Outbox.open(tmp_path, SETTINGS)


# ------------------------------------------------------------------ several at once


@pytest.mark.slow
def test_several_may_open_a_new_one_at_the_same_moment(tmp_path: Path) -> None:
    """As watch and link do at the first boot."""

    def meet(path: Path, together: threading.Barrier) -> None:
        together.wait()
        with Outbox.open(path, OutboxSettings()) as outbox:
            outbox.report("watch", b"{}")
            opened.append(path)

    opened: list[Path] = []
    for attempt in range(20):
        together = threading.Barrier(3)
        path = tmp_path / str(attempt) / "outbox.db"
        threads = [threading.Thread(target=meet, args=(path, together)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(opened) == 60


def test_threads_may_share_one(outbox: Outbox) -> None:
    def put(worker: int) -> None:
        for number in range(20):
            outbox.put(a_row(f"{worker}-{number}"))
            outbox.report("watch", str(number).encode())

    threads = [threading.Thread(target=put, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outbox.count() == 80


WRITER = """
import sys
from itertools import count
from pathlib import Path
from edge.outbox import Outbox, OutboxSettings, Outgoing
start, many = int(sys.argv[2]), int(sys.argv[3])
with Outbox.open(Path(sys.argv[1]), OutboxSettings(max_bytes=1 << 30)) as outbox:
    for number in range(start, start + many):
        outbox.put(Outgoing(id=str(number), kind="event", header=b"h", payload=b"p" * 20_000))
        print(number, flush=True)
"""


def start_writer(path: Path, start: int, many: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(path), str(start), str(many)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.slow
def test_one_process_writes_while_another_reads_and_deletes(path: Path, outbox: Outbox) -> None:
    seen: list[str] = []
    with start_writer(path, 0, 200) as writer:
        while writer.poll() is None or outbox.count():
            rows = outbox.waiting(16)
            seen += [row.id for row in rows]
            outbox.forget(row.id for row in rows)
            outbox.report("link", str(len(seen)).encode())
            outbox.tidy()
        assert writer.returncode == 0
    assert seen == [str(number) for number in range(200)]


@pytest.mark.slow
def test_a_writer_killed_in_the_act_loses_nothing_it_was_told_is_kept(path: Path) -> None:
    told: list[str] = []
    for kill_after in (1, 7, 23, 40, 64):
        with start_writer(path, 1000 * kill_after, 1000) as writer:
            assert writer.stdout is not None
            told += [line.strip() for line in itertools.islice(writer.stdout, kill_after)]
            writer.send_signal(signal.SIGKILL)
            told += [line.strip() for line in writer.stdout if line.endswith("\n")]
        with Outbox.open(path, OutboxSettings(max_bytes=1 << 30)) as outbox:
            assert outbox._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert set(told) <= set(ids(outbox))
            assert outbox.count() == len(ids(outbox))
    assert len(told) >= 135


def test_a_put_leaves_the_last_of_the_disk_to_deletions(tmp_path: Path) -> None:
    free = 64 * 1024 * 1024

    def room(_: Path) -> int:
        return free

    with Outbox.open(tmp_path / "outbox.db", OutboxSettings(), free_bytes=room) as outbox:
        outbox.put(Outgoing(id="first", kind="event", header=b"h", payload=b"p"))
        free = 3 * 1024 * 1024
        with pytest.raises(WorldError, match="the disk is full"):
            outbox.put(Outgoing(id="second", kind="event", header=b"h", payload=b"p"))
        assert outbox.forget(["first"]) == 1
        free = 64 * 1024 * 1024
        outbox.put(Outgoing(id="second", kind="event", header=b"h", payload=b"p"))
        assert [row.id for row in outbox.waiting(10)] == ["second"]


# ------------------------------------------------------------------ shared by two users


@pytest.mark.parametrize(("folder_mode", "rights"), [(0o2770, 0o660), (0o770, 0o600)])
def test_a_folder_that_a_group_shares_shares_its_outbox_and_the_log_beside_it(
    tmp_path: Path, folder_mode: int, rights: int
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(folder_mode)
    before = os.umask(0o077)
    try:
        with Outbox.open(folder / "outbox.db", SETTINGS) as outbox:
            outbox.put(a_row("one"))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("outbox.db", "outbox.db-wal", "outbox.db-shm"), rights)
