"""What link says: to the centre in a heartbeat, to the operator in its report."""

import msgspec
from msgspec import Struct

from edge import selftest
from edge.outbox import Outbox, WatchReport
from edge.wire.messages import Applied, Heartbeat
from edge.wire.turns import State

WATCH_SILENT_MS = 15_000
"""Age, milliseconds, from which a report of watch is old: it leaves one every second."""
_MOST_TROUBLES = 16
_TROUBLE_CHARACTERS = 512


class LinkReport(Struct, frozen=True, kw_only=True):
    """What `link` leaves in the outbox, under the name "link", about itself."""

    at_ms: int = 0
    """Box clock when it was written."""
    state: str = State.RESTING.value
    connected: bool = False
    """Whether the centre has welcomed the box on the present connection."""
    endpoint: str = ""
    """Where it dialled last."""
    connects: int = 0
    """Welcomes since the start."""
    bytes_sent: int = 0
    """Lengths of all frames handed to the socket, resent ones too; CURVE and TCP add theirs."""
    bytes_received: int = 0
    messages_sent: int = 0
    messages_received: int = 0
    acked: int = 0
    """Rows that left the outbox because the centre has them."""
    unacked: int = 0
    """Rows on their way."""
    waiting: int = 0
    """Rows in the outbox, those on their way among them."""
    declined: int = 0
    """Rows the centre would not take; they stay."""
    unsendable: int = 0
    """Rows that are no message and were taken out: a fault of the writer."""
    centre_clock_ahead_ms: int = 0
    """Centre clock less box clock when the centre's time was last heard."""
    centre_clock_ms: int = 0
    """Centre clock then; 0 before link has heard it."""
    centre_clock_monotonic_s: float = 0.0
    """The box's monotonic clock then: with it, watch knows the centre's time though the box's clock is set."""
    last_parting: str = ""
    """Why the last connection ended."""
    expelled: bool = False
    """Whether the centre itself, having proved its key, said that this box is not admitted, and has not welcomed it
    since. A door that is shut in the handshake is no proof of anything."""
    expelled_at_ms: int = 0
    """Box clock when it said so; 0: it did not."""


class Numbers:
    """The counters behind a report."""

    def __init__(self) -> None:
        self.connects = self.bytes_sent = self.bytes_received = 0
        self.messages_sent = self.messages_received = 0
        self.acked = self.declined = self.unsendable = 0
        self.centre_clock_ahead_ms = self.centre_clock_ms = 0
        self.centre_clock_monotonic_s = 0.0
        self.last_parting = ""
        self.expelled, self.expelled_at_ms = False, 0


def in_words(report: LinkReport) -> str:
    """Say on one line how it goes."""
    if report.connected:
        return f"connected to {report.endpoint}; rows waiting: {report.waiting}"
    why = f", {report.last_parting}" if report.last_parting else ""
    return f"no centre yet at {report.endpoint}{why}; rows waiting: {report.waiting}"


def said_by_link(outbox: Outbox) -> LinkReport:
    """Return the last report of link, from before a restart too; an empty one where there is none."""
    try:
        return msgspec.json.decode(outbox.reports().get("link", b"{}"), type=LinkReport)
    except ValueError:
        return LinkReport()


def said_by_watch(outbox: Outbox) -> WatchReport:
    """Return the last report of watch; one that says so where there is none."""
    body = outbox.reports().get("watch")
    if body is None:
        return WatchReport(troubles=("watch has not started",))
    try:
        return msgspec.json.decode(body, type=WatchReport)
    except ValueError:
        return WatchReport(troubles=("watch left a report that cannot be read",))


def heartbeat(outbox: Outbox, now_ms: int, applied: Applied | None) -> Heartbeat:
    """Return the facts of the moment (box clock)."""
    watch = said_by_watch(outbox)
    troubles = list(watch.troubles)
    for test in selftest.results(outbox.reports()).values():
        troubles.extend(test.troubles)
    if watch.unfit:
        troubles.insert(0, f"watch cannot run what was pushed: {watch.unfit}")
    seeing, camera = watch.seeing, watch.camera
    age_ms = now_ms - watch.at_ms
    if watch.at_ms and not watch.ended and age_ms > WATCH_SILENT_MS:
        seeing, camera = False, None
        troubles.insert(0, f"watch has not reported for {age_ms // 1000} s; see its log on the box")
    return Heartbeat(
        sent_at_ms=now_ms,
        waiting=outbox.count(),
        shed=outbox.shed(),
        seeing=seeing,
        troubles=tuple(trouble[:_TROUBLE_CHARACTERS] for trouble in troubles[:_MOST_TROUBLES]),
        camera=camera,
        applied=applied,
    )
