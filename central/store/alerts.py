"""Verified tracks and their sightings.

One alert per track (device, track id); a later revision of the track replaces its content in place. Every
creation and every change draws the next number of one sequence, `change`, so a reader that knows the last
number it saw gets exactly what it missed. Alert ids sort by time; `number` is their order of creation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from central.sightings import Span, place
from central.store.database import Database
from central.store.inbox import Inbox, SealedEvent
from central.store.tables import TALLIED
from central.verify import Verdict
from edge.wire.ids import new_id
from edge.wire.messages import Candidate, Shot

SUPERSEDED = "superseded"
PAGE = 1000


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One pass of one person that people should look at, as programs and the console page get it."""

    alert_id: str
    change: int
    sighting_id: str
    entry: str
    identity: str
    """The entry's name."""
    score: float
    """Cosine of the centre's own templates; never a probability."""
    threshold: float
    device: str
    camera: str
    track_id: str
    revision: int
    """The box's count of clearly better looks at this track."""
    first_seen_ms: int
    captured_at_ms: int
    """Camera clock, this revision."""
    raised_at_ms: int
    """Box clock, this revision."""
    taken_at_ms: int
    """Box clock, when this revision's frame had reached the box; what the system adds is counted from then."""
    received_at_ms: int
    """Centre clock, this revision."""
    alerted_at_ms: int
    """Centre clock, when the track first became an alert."""
    revised_at_ms: int
    """Centre clock, when this revision was recorded."""
    frame: int
    box: tuple[float, float, float, float]
    """The face in its frame, left, top, width, height, pixels."""
    late: bool
    """This revision came too late to be shown as live."""
    enrolled_at_ms: int
    """When the reference shown was enrolled."""
    references: int
    """How many references the entry has."""


@dataclass(frozen=True, kw_only=True)
class Verified:
    """A candidate that passed, with what the centre found."""

    candidate: Candidate
    shot: Shot
    """The shot to show."""
    reference: str
    """Id of the nearest reference."""
    score: float
    threshold: float
    late: bool


class Alerts:
    """Writes verdicts, and tells the console what there is."""

    def __init__(self, database: Database, inbox: Inbox) -> None:
        self._database = database
        self._inbox = inbox
        self._tables = database.tables

    # -------------------------------------------------------------- what alerting writes

    def dismiss(self, event: SealedEvent, verdict: Verdict) -> None:
        """Count a candidate that is no alert and destroy its content."""
        with self._database.write() as connection:
            self._inbox.conclude(connection, event, verdict.value)
            self._database.count(connection, **{f"verdict_{verdict.value}": 1})

    def raise_alert(self, event: SealedEvent, verified: Verified, window_ms: int, now_ms: int) -> str | None:
        """Record an alert or its newer revision, in one transaction with the end of its event.

        Returns the alert's id; None if a newer revision of the track is recorded already.
        """
        with self._database.write() as connection:
            known = self._known(connection, event.device, verified.candidate.track_id)
            if known is not None and known.revision >= verified.candidate.revision:
                self._inbox.conclude(connection, event, SUPERSEDED)
                return None
            sighting = self._sight(connection, verified.candidate, window_ms, now_ms)
            placed = _content(event, verified) | {"sighting": sighting, "revised_at_ms": now_ms}
            alert = self._put(connection, placed, known)
            if known is not None and known.sighting != sighting:
                self._drop_if_empty(connection, known.sighting)
            self._inbox.conclude(connection, event, Verdict.ALERT.value)
            return alert

    def purge(self, before_ms: int) -> int:
        """Delete alerts not revised since, and sightings that have none left; return how many alerts."""
        alerts, sightings = self._tables.alerts, self._tables.sightings
        with self._database.write() as connection:
            gone = connection.execute(delete(alerts).where(alerts.c.revised_at_ms < before_ms)).rowcount
            if gone:
                kept = select(alerts.c.sighting)
                connection.execute(delete(sightings).where(sightings.c.id.not_in(kept)))
        return gone

    # -------------------------------------------------------------- what the console reads

    def changed_after(self, change: int, limit: int = PAGE) -> list[Alert]:
        """Return alerts created or revised after a change number, in the order of the changes."""
        alerts = self._tables.alerts
        return self._listed(self._query().where(alerts.c.change > change).order_by(alerts.c.change).limit(limit))

    def latest(self, limit: int) -> list[Alert]:
        """Return the alerts that changed last, in the order of the changes."""
        query = self._query().order_by(self._tables.alerts.c.change.desc()).limit(limit)
        return self._listed(query)[::-1]

    def created_after(self, alert_id: str | None, limit: int = PAGE) -> list[Alert]:
        """Return alerts made after one of them, oldest first; all of them for None."""
        alerts = self._tables.alerts
        query = self._query().order_by(alerts.c.number).limit(limit)
        if alert_id is None:
            return self._listed(query)
        with self._database.read() as connection:
            number = connection.scalar(select(alerts.c.number).where(alerts.c.id == alert_id))
        # An alert that retention has deleted still says by its id when it was.
        later = alerts.c.id > alert_id if number is None else alerts.c.number > number
        return self._listed(query.where(later))

    def last_change(self) -> int:
        """Return the number of the newest change; 0 if there was none."""
        with self._database.read() as connection:
            return self._database.counted(connection, "change")

    def probe(self, alert_id: str) -> bytes | None:
        """Return the JPEG of the face that was seen."""
        alerts = self._tables.alerts
        return self._picture(select(alerts.c.probe).where(alerts.c.id == alert_id))

    def reference(self, alert_id: str) -> bytes | None:
        """Return the JPEG of the enrolled face it was nearest to."""
        alerts, references = self._tables.alerts, self._tables.references
        joined = alerts.join(references, alerts.c.reference == references.c.id)
        return self._picture(select(references.c.crop).select_from(joined).where(alerts.c.id == alert_id))

    def totals(self) -> dict[str, int]:
        """Return what was counted since the database was made: on the boxes, and here.

        A box counts a candidate once; its revisions are further `events`.
        """
        counters = self._tables.counters
        with self._database.read() as connection:
            counted = {row.name: int(row.value) for row in connection.execute(select(counters))}
        here = ("events", "alerts", "sightings", "duplicates", "set_aside")
        totals = {name: counted.get(f"tallied_{name}", 0) for name in TALLIED}
        totals["below_threshold"] = counted.get(f"verdict_{Verdict.BELOW_THRESHOLD.value}", 0)
        return totals | {name: counted.get(name, 0) for name in here}

    # -------------------------------------------------------------- inside

    def _known(self, connection: Connection, device: str, track_id: str) -> "_Known | None":
        alerts = self._tables.alerts
        row = connection.execute(
            select(alerts.c.id, alerts.c.revision, alerts.c.sighting).where(
                alerts.c.device == device, alerts.c.track_id == track_id
            )
        ).one_or_none()
        return None if row is None else _Known(row.id, row.revision, row.sighting)

    def _sight(self, connection: Connection, candidate: Candidate, window_ms: int, now_ms: int) -> str:
        """Return the sighting the pass belongs to, made, widened or merged as needed."""
        sightings = self._tables.sightings
        start, end = candidate.first_seen_ms, candidate.captured_at_ms
        rows = connection.execute(
            select(sightings.c.id, sightings.c.from_ms, sightings.c.until_ms).where(
                sightings.c.entry == candidate.entry,
                sightings.c.from_ms <= max(start, end) + window_ms,
                sightings.c.until_ms >= min(start, end) - window_ms,
            )
        )
        placement = place(start, end, [Span(row.id, row.from_ms, row.until_ms) for row in rows], window_ms)
        span = {"from_ms": placement.from_ms, "until_ms": placement.until_ms}
        if placement.sighting is None:
            made = new_id(now_ms)
            connection.execute(insert(sightings).values(id=made, entry=candidate.entry, **span))
            self._database.count(connection, sightings=1)
            return made
        connection.execute(update(sightings).where(sightings.c.id == placement.sighting).values(**span))
        self._absorb(connection, placement.sighting, placement.absorbed)
        return placement.sighting

    def _absorb(self, connection: Connection, sighting: str, absorbed: Sequence[str]) -> None:
        """Move the alerts of sightings that proved to be this one; each is a change that readers see."""
        alerts, sightings = self._tables.alerts, self._tables.sightings
        for other in absorbed:
            for moved in connection.scalars(select(alerts.c.id).where(alerts.c.sighting == other)).all():
                change = self._database.next(connection, "change")
                connection.execute(
                    update(alerts).where(alerts.c.id == moved).values(sighting=sighting, change=change)
                )
            connection.execute(delete(sightings).where(sightings.c.id == other))
            self._database.count(connection, sightings=-1)

    def _drop_if_empty(self, connection: Connection, sighting: str) -> None:
        alerts, sightings = self._tables.alerts, self._tables.sightings
        if connection.execute(select(alerts.c.id).where(alerts.c.sighting == sighting).limit(1)).first() is None:
            gone = connection.execute(delete(sightings).where(sightings.c.id == sighting)).rowcount
            self._database.count(connection, sightings=-gone)

    def _put(self, connection: Connection, content: dict[str, Any], known: "_Known | None") -> str:
        alerts = self._tables.alerts
        content["change"] = self._database.next(connection, "change")
        if known is not None:
            connection.execute(update(alerts).where(alerts.c.id == known.id).values(**content))
            return known.id
        now_ms = content["revised_at_ms"]
        made = new_id(now_ms)
        number = self._database.next(connection, "alerts")
        connection.execute(insert(alerts).values(id=made, number=number, alerted_at_ms=now_ms, **content))
        return made

    def _query(self) -> Select[Any]:
        alerts, entries, references = self._tables.alerts, self._tables.entries, self._tables.references
        shown = [column for column in alerts.c if column.name not in ("probe", "number", "event_id")]
        enrolled = (
            select(func.count())
            .select_from(references)
            .where(references.c.entry == alerts.c.entry)
            .correlate(alerts)
            .scalar_subquery()
        )
        joined = alerts.join(entries, alerts.c.entry == entries.c.id).join(
            references, alerts.c.reference == references.c.id
        )
        return select(
            *shown, entries.c.name.label("identity"), references.c.enrolled_at_ms, enrolled.label("references")
        ).select_from(joined)

    def _listed(self, query: Select[Any]) -> list[Alert]:
        with self._database.read() as connection:
            return [_alert(row) for row in connection.execute(query)]

    def _picture(self, query: Select[Any]) -> bytes | None:
        with self._database.read() as connection:
            picture: bytes | None = connection.scalar(query)
        return picture


@dataclass(frozen=True)
class _Known:
    """The alert that a track has already."""

    id: str
    revision: int
    sighting: str


def _content(event: SealedEvent, verified: Verified) -> dict[str, Any]:
    """Return the columns that a revision replaces."""
    candidate, shot = verified.candidate, verified.shot
    return {
        "device": event.device,
        "track_id": candidate.track_id,
        "revision": candidate.revision,
        "event_id": candidate.event_id,
        "entry": candidate.entry,
        "reference": verified.reference,
        "camera": candidate.camera,
        "score": verified.score,
        "threshold": verified.threshold,
        "late": verified.late,
        "first_seen_ms": candidate.first_seen_ms,
        "captured_at_ms": candidate.captured_at_ms,
        "raised_at_ms": candidate.raised_at_ms,
        "taken_at_ms": candidate.taken_at_ms if 0 <= candidate.taken_at_ms < 1 << 53 else 0,
        "received_at_ms": event.received_at_ms,
        "frame": shot.frame,
        "box_x": shot.box.x,
        "box_y": shot.box.y,
        "box_width": shot.box.width,
        "box_height": shot.box.height,
        "probe": shot.image,
    }


def _alert(row: Row[Any]) -> Alert:
    plain = ("change", "entry", "identity", "score", "threshold", "device", "camera", "track_id", "revision")
    times = (
        "first_seen_ms",
        "captured_at_ms",
        "raised_at_ms",
        "taken_at_ms",
        "received_at_ms",
        "alerted_at_ms",
        "revised_at_ms",
    )
    rest = ("frame", "late", "enrolled_at_ms", "references")
    return Alert(
        alert_id=row.id,
        sighting_id=row.sighting,
        box=(row.box_x, row.box_y, row.box_width, row.box_height),
        **{name: getattr(row, name) for name in (*plain, *times, *rest)},
    )
