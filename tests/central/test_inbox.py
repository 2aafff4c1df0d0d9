import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event as events
from sqlalchemy import update

from central.fleet import admit
from central.store.database import open_database
from central.store.inbox import Trouble
from central.store.state import StateDir, Store, open_store
from edge.errors import IntegrityError, WorldError
from edge.wire import curve
from edge.wire.conversation import Arrival
from edge.wire.messages import CameraHealth, Event, Heartbeat, Tally
from edge.wire.sealing import make_or_load
from tests.central.stand_ins import NOON_MS, Desk, arrival, candidate, enrol


def tally(tally_id: str, faces: int = 10) -> Arrival:
    message = Tally(tally_id, "gate", NOON_MS - 60_000, NOON_MS, 600, 3, faces, 4, 1, 2)
    return Arrival(device="box-1", message=message, payload=b"", received_at_ms=NOON_MS)


def event(event_id: str, device: str = "box-1", payload: bytes = b"sealed") -> Arrival:
    return Arrival(device=device, message=Event(event_id, NOON_MS), payload=payload, received_at_ms=NOON_MS)


def test_a_repeated_event_changes_nothing_within_a_batch_or_after(store: Store) -> None:
    store.inbox.commit([event("e1"), event("e1")])
    store.inbox.commit([event("e1", payload=b"other"), event("e2")])
    totals = store.alerts.totals()
    assert (totals["events"], totals["duplicates"], store.inbox.waiting()) == (2, 2, 2)
    taken = store.inbox.take()
    assert taken is not None
    assert taken.payload == b"sealed"


def test_two_boxes_may_use_one_id(store: Store) -> None:
    store.inbox.commit([event("e1", "box-1"), event("e1", "box-2")])
    assert store.inbox.waiting() == 2


def test_a_repeat_is_known_after_its_event_was_judged(desk: Desk) -> None:
    entry = enrol(desk.store, "Ada", 1)
    desk.take_in(candidate(entry))
    desk.take_in(candidate(entry))
    totals = desk.store.alerts.totals()
    assert (totals["alerts"], totals["duplicates"], desk.store.inbox.waiting()) == (1, 1, 0)


def test_tallies_are_added_up_once(store: Store) -> None:
    store.inbox.commit([tally("t1"), tally("t1"), tally("t2", faces=5)])
    totals = store.alerts.totals()
    assert (totals["frames"], totals["faces"], totals["unusable"], totals["duplicates"]) == (1200, 15, 2, 0)


@pytest.mark.slow
def test_what_was_committed_is_there_after_the_process_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "centre"
    script = f"""
import os, signal
from pathlib import Path
from central.store.state import StateDir, open_store
from tests.central.test_inbox import event, tally
store = open_store(StateDir(Path({str(folder)!r})))
store.inbox.commit([event("e1"), tally("t1")])
assert store.inbox.take().event_id == "e1"
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == -9
    store = open_store(StateDir(folder))
    again = store.inbox.take()
    assert again is not None
    assert (again.event_id, again.attempts, store.alerts.totals()["frames"]) == ("e1", 1, 600)
    store.close()


def test_judging_continues_where_it_stopped(desk: Desk, state: StateDir) -> None:
    entry = enrol(desk.store, "Ada", 1)
    sent = [candidate(entry, event_id=f"e{n}", track_id=f"t{n}") for n in range(3)]
    desk.store.inbox.commit([arrival(desk.key, one) for one in sent])
    desk.alerting().step()
    desk.store.inbox.take()  # taken up, and then the process is gone
    desk.store.close()
    store = open_store(state)
    reopened = Desk(store, desk.key)
    alerting = reopened.alerting()
    while alerting.step():
        pass
    assert (store.alerts.totals()["alerts"], store.inbox.waiting()) == (3, 0)
    store.close()


def test_an_event_that_stopped_the_process_twice_is_set_aside(desk: Desk) -> None:
    entry = enrol(desk.store, "Ada", 1)
    desk.store.inbox.commit([arrival(desk.key, candidate(entry))])
    for _ in range(2):
        desk.store.inbox.take()
    assert desk.alerting().step()
    totals = desk.store.alerts.totals()
    assert (totals["set_aside"], totals["alerts"], desk.store.inbox.waiting()) == (1, 0, 0)
    assert not desk.alerting().step()


def test_what_was_set_aside_is_kept_sealed_until_retention(store: Store) -> None:
    store.inbox.commit([event("e1")])
    taken = store.inbox.take()
    assert taken is not None
    store.inbox.set_aside(taken, Trouble.SEALED)
    assert store.inbox.purge(set_aside_before_ms=NOON_MS, known_before_ms=0) == 0
    assert store.inbox.purge(set_aside_before_ms=NOON_MS + 1, known_before_ms=0) == 1
    store.inbox.commit([event("e1")])
    assert store.inbox.waiting() == 0, "its id is still known"


def test_a_second_process_may_write_beside_the_centre(store: Store, state: StateDir) -> None:
    beside = open_store(state)
    beside.inbox.commit([event("e1")])
    store.inbox.commit([event("e2")])
    assert (store.inbox.waiting(), beside.inbox.waiting()) == (2, 2)
    beside.close()


def test_the_newest_heartbeat_is_kept(store: Store) -> None:
    seal = make_or_load(Path(store.database.name).parent / "box-seal.key")
    admit(store, "box-1", curve.make().public, seal.public, NOON_MS)
    assert [health.heard_at_ms for health in store.devices.health()] == [None]
    store.devices.heard("box-1", Heartbeat(NOON_MS, seeing=True), NOON_MS)
    store.devices.heard("box-1", Heartbeat(NOON_MS, waiting=7, troubles=("no camera",)), NOON_MS + 5)
    (health,) = store.devices.health()
    assert (health.heard_at_ms, health.seeing, health.waiting, health.troubles) == (
        NOON_MS + 5,
        False,
        7,
        ("no camera",),
    )
    assert health.camera is None
    camera = CameraHealth(condition="blind", reason="refused", reconnects=3, clock_ahead_ms=-4)
    store.devices.heard("box-1", Heartbeat(NOON_MS, camera=camera), NOON_MS + 9)
    assert [health.camera for health in store.devices.health()] == [camera]


# ------------------------------------------------------------------ the file


def test_a_database_of_another_schema_is_refused(store: Store, state: StateDir) -> None:
    meta = store.database.tables.meta
    with store.database.write() as connection:
        connection.execute(update(meta).where(meta.c.name == "schema").values(value="99"))
    store.close()
    with pytest.raises(IntegrityError, match="has schema 99, this program knows 3"):
        open_store(state)


def test_a_database_under_another_storage_key_is_refused(store: Store, state: StateDir) -> None:
    store.close()
    state.storage_key.write_bytes(bytes(32))
    with pytest.raises(IntegrityError, match="written under another storage key"):
        open_store(state)


def test_a_database_whose_key_is_lost_is_refused_and_no_new_key_is_made(store: Store, state: StateDir) -> None:
    store.close()
    state.storage_key.unlink()
    with pytest.raises(IntegrityError, match="the key it is encrypted with"):
        open_store(state)
    assert not state.storage_key.exists()


def test_a_file_that_is_no_database_is_refused(state: StateDir) -> None:
    state.prepare()
    open_store(state).close()
    state.database.write_bytes(b"this is a letter, not a database " * 100)
    with pytest.raises(IntegrityError, match="is damaged"):
        open_store(state)


def test_a_state_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorldError, match=r"cannot use .* as the state directory"):
        open_store(StateDir(tmp_path / "file" / "centre"))


def test_commits_survive_a_power_cut(store: Store) -> None:
    with store.database.read() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}


def test_trouble_with_the_database_costs_an_event_no_attempt(desk: Desk) -> None:
    entry = enrol(desk.store, "Ada", 1)
    desk.store.inbox.commit([arrival(desk.key, candidate(entry))])
    alerting = desk.alerting()
    # Another writer holds the file for longer than the centre waits.
    blocker = open_database(
        f"sqlite:///{desk.store.database.name}", StateDir(Path(desk.store.database.name).parent).storage_key
    )
    taken = desk.store.inbox.take()
    assert taken is not None
    alerting._current = taken
    with blocker.write():
        desk.store.database._engine.dispose()

        def impatient(connection: object, _record: object) -> None:
            connection.execute("PRAGMA busy_timeout=1")  # type: ignore[attr-defined]

        events.listen(desk.store.database._engine, "connect", impatient)
        for _ in range(5):
            with pytest.raises(WorldError, match="locked"):
                alerting.step()
    blocker.close()
    assert alerting.step()
    assert desk.store.alerts.totals()["alerts"] == 1
    assert replace(taken, attempts=0) == taken
