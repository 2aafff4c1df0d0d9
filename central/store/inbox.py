"""Events as they came, sealed: committed before they are acknowledged, opened later, judged once.

A row of `inbox` lives from the intake's commit to the verdict. The row of `candidates` beside it stays for
weeks, as the memory that makes a repeat harmless.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from central.store.database import Database
from central.store.tables import TALLIED
from edge.wire.conversation import Arrival
from edge.wire.messages import Event, Tally

WAITING = "waiting"
SET_ASIDE = "set-aside"


class Trouble(Enum):
    """Why an event was set aside; one word for record, log and metric."""

    SEALED = "does-not-open"
    GARBLED = "does-not-parse"
    MISLABELLED = "not-what-its-envelope-says"
    GAVE_UP = "stopped-the-process-repeatedly"


@dataclass(frozen=True, kw_only=True)
class SealedEvent:
    """An event that waits to be judged."""

    number: int
    device: str
    event_id: str
    raised_at_ms: int
    received_at_ms: int
    payload: bytes
    attempts: int
    """How often it was taken up before and the process did not live to say what became of it."""


class Inbox:
    """Keeps what the intake commits until alerting has judged it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._arrived = threading.Event()

    def commit(self, batch: Sequence[Arrival]) -> None:
        """Store a batch durably; a repeat of (device, id) changes nothing."""
        with self._database.write() as connection:
            for arrival in batch:
                if isinstance(arrival.message, Event):
                    self._keep_event(connection, arrival, arrival.message)
                else:
                    self._keep_tally(connection, arrival.device, arrival.message)
        self._arrived.set()

    def wait(self, timeout_s: float) -> None:
        """Return when something was committed, at the latest after `timeout_s`."""
        self._arrived.wait(timeout_s)
        self._arrived.clear()

    def wake(self) -> None:
        """Let `wait` return now."""
        self._arrived.set()

    def take(self) -> SealedEvent | None:
        """Return the oldest event to judge, its attempt recorded first; None if there is none."""
        inbox = self._database.tables.inbox
        with self._database.read() as connection:
            row = connection.execute(
                select(inbox).where(inbox.c.set_aside.is_(None)).order_by(inbox.c.number).limit(1)
            ).one_or_none()
        if row is None:
            return None
        with self._database.write() as connection:
            tried = update(inbox).where(inbox.c.number == row.number).values(attempts=inbox.c.attempts + 1)
            connection.execute(tried)
        return SealedEvent(
            number=row.number,
            device=row.device,
            event_id=row.event_id,
            raised_at_ms=row.raised_at_ms,
            received_at_ms=row.received_at_ms,
            payload=row.payload,
            attempts=row.attempts,
        )

    def set_aside(self, event: SealedEvent, trouble: Trouble) -> None:
        """Keep an event that cannot be judged, still sealed, out of the way until retention deletes it."""
        inbox = self._database.tables.inbox
        with self._database.write() as connection:
            connection.execute(update(inbox).where(inbox.c.number == event.number).values(set_aside=trouble.value))
            self.conclude(connection, event, SET_ASIDE, forget=False)
            self._database.count(connection, set_aside=1)

    def conclude(self, connection: Connection, event: SealedEvent, outcome: str, *, forget: bool = True) -> None:
        """Record what became of an event and delete its sealed content, within the caller's transaction."""
        tables = self._database.tables
        connection.execute(
            update(tables.candidates)
            .where(tables.candidates.c.device == event.device, tables.candidates.c.event_id == event.event_id)
            .values(outcome=outcome)
        )
        if forget:
            connection.execute(delete(tables.inbox).where(tables.inbox.c.number == event.number))

    def purge(self, *, set_aside_before_ms: int, known_before_ms: int) -> int:
        """Delete events set aside, and the memory of judged ones, received before these times."""
        inbox, candidates = self._database.tables.inbox, self._database.tables.candidates
        with self._database.write() as connection:
            gone = connection.execute(
                delete(inbox).where(inbox.c.set_aside.is_not(None), inbox.c.received_at_ms < set_aside_before_ms)
            ).rowcount
            connection.execute(
                delete(candidates).where(
                    candidates.c.received_at_ms < known_before_ms, candidates.c.outcome != WAITING
                )
            )
        return gone

    def waiting(self) -> int:
        """Return how many events have not been judged."""
        inbox = self._database.tables.inbox
        with self._database.read() as connection:
            return int(connection.scalar(select(func.count()).where(inbox.c.set_aside.is_(None))) or 0)

    def _keep_event(self, connection: Connection, arrival: Arrival, event: Event) -> None:
        tables = self._database.tables
        key = {"device": arrival.device, "event_id": event.event_id}
        if _has(connection, tables.candidates, key):
            self._database.count(connection, duplicates=1)
            return
        times = {"raised_at_ms": event.raised_at_ms, "received_at_ms": arrival.received_at_ms}
        connection.execute(insert(tables.candidates).values(**key, **times, outcome=WAITING))
        connection.execute(insert(tables.inbox).values(**key, **times, payload=arrival.payload, attempts=0))
        self._database.count(connection, events=1)

    def _keep_tally(self, connection: Connection, device: str, tally: Tally) -> None:
        tallies = self._database.tables.tallies
        key = {"device": device, "tally_id": tally.tally_id}
        if _has(connection, tallies, key):
            return
        numbers = {name: getattr(tally, name) for name in TALLIED}
        connection.execute(
            insert(tallies).values(
                **key, camera=tally.camera, from_ms=tally.from_ms, until_ms=tally.until_ms, **numbers
            )
        )
        self._database.count(connection, **{f"tallied_{name}": number for name, number in numbers.items()})


def _has(connection: Connection, table: Any, key: dict[str, str]) -> bool:
    same = [table.c[name] == value for name, value in key.items()]
    return connection.execute(select(1).select_from(table).where(*same)).first() is not None
