"""Outbox to centre, over the box's only way out.

One thread, one loop: hear what the socket says, hand it to the conversation (edge/wire/conversation.py), do
what that says, read the outbox when it has changed and the window has room. A row leaves the outbox on the
centre's ack and for no other reason.
"""

import contextlib
import random
import threading
import time
from collections.abc import Sequence
from typing import Annotated, Protocol

import msgspec
import structlog
from msgspec import Meta, Struct

from edge.centre_clock import CentreClock
from edge.errors import WorldError
from edge.fetching import LinkCarrier
from edge.line import Dialler, Line
from edge.notify import Notifier
from edge.outbox import Outbox, Outgoing
from edge.telling import LinkReport, Numbers, heartbeat, in_words, said_by_link, said_by_watch
from edge.wire import address, codec
from edge.wire.conversation import DeviceSide, Instant, Letter, Pace
from edge.wire.curve import CurveKey, checked_public
from edge.wire.messages import Applied, Event, FromCentre, FromDevice, Heartbeat, Hello, Id, Tally
from edge.wire.turns import (
    Beat,
    Brought,
    Cut,
    Declined,
    DeviceAction,
    DeviceEvent,
    Dial,
    Forget,
    HangUp,
    Heard,
    Lost,
    Met,
    Offered,
    Parting,
    Say,
    State,
    Tick,
    Told,
    Unreadable,
)

_POLL_MS = 50
"""Longest sleep, milliseconds: how late a new row or a stop is seen. At 25 an idle link took 1.3 % of a core."""
_REPORT_S = 1.0
_STUMBLE_CAP_S = 30.0

_log: structlog.stdlib.BoundLogger = structlog.get_logger("edge.link")

_REMEDIES = {
    Parting.ABSENT: "start the centre, or correct link.endpoints; meanwhile everything waits in the outbox",
    Parting.DENIED: "admit this box's public key at the centre",
    Parting.WRONG_KEY: "check link.centre_key: the centre at this address seems to hold another",
    Parting.REFUSED: "the centre says why; see its log",
    Parting.EXPELLED: "this box was revoked; if that was a mistake, invite it again at the centre",
    Parting.VERSION: "install the same release on both sides",
}


class LinkSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the centre is, how to know it, and how patient to be."""

    endpoints: Annotated[tuple[str, ...], Meta(min_length=1, max_length=16)]
    """Addresses of the centre, `tcp://host:port`, tried in turn."""
    centre_key: str
    """The centre's public CURVE key, 40 characters of z85."""
    pace: Pace = Pace()
    """Heartbeats, patience, window and back-off."""


class Changes(Protocol):
    """Who brings about what the centre wants this box to run; asked from the link's thread."""

    def desired(self, word: str) -> None:
        """Take what the box should run, as the centre has just said it; empty: nothing is published."""

    def applied(self) -> Applied:
        """Return what it runs, for the next heartbeat."""


class Link:
    """One box's link; `run` it in a thread or a process of its own."""

    def __init__(
        self,
        settings: LinkSettings,
        *,
        device: Id,
        software: str,
        key: CurveKey,
        outbox: Outbox,
        systemd: Notifier | None = None,
        carrier: LinkCarrier | None = None,
        changes: Changes | None = None,
    ) -> None:
        self._outbox = outbox
        self._carrier = carrier
        self._changes = changes
        self._systemd = systemd or Notifier({})
        self._dialler = Dialler(centre_key=checked_public(settings.centre_key), key=key)
        self._endpoints = [address.checked(endpoint, what="link.endpoints") for endpoint in settings.endpoints]
        self._talk = DeviceSide(
            Hello(device, software),
            settings.pace,
            endpoints=len(self._endpoints),
            random=random.SystemRandom().random,
            now=_now(),
        )
        self._numbers = Numbers()
        self._clock = CentreClock()
        self._line: Line | None = None
        self._cursor = 0
        """Number of the last row offered on this connection."""
        self._seen_version = -1
        self._more = False
        self._told: set[str] = set()
        """Why there is no centre, as far as the log has been told."""
        self._stumbles = 0
        """Troubles with the outbox since it last took an ack."""
        self._written = LinkReport()
        self._report_s = 0.0
        self._untidy_s: float | None = None
        """When the last row was forgotten that the log may still hold."""

    def run(self, stop: threading.Event, *, drain: bool = False) -> LinkReport:
        """Carry rows to the centre until `stop` is set, and return the last report.

        With `drain`, also return once `watch` has reported that it has ended and the outbox is empty. `watch`
        puts its last row before it says so, and says "not ended" before its first; this reads in that order.
        """
        with self._dialler:
            try:
                with contextlib.suppress(WorldError):  # a disk in trouble is told by the loop
                    self._remember_expelled(said_by_link(self._outbox).expelled_at_ms)
                self._systemd.ready()
                while not stop.is_set():
                    self._systemd.alive()
                    try:
                        if drain and self._drained():
                            break
                        self._turn()
                    except WorldError as error:
                        self._stumble(error, stop)
            finally:
                self._systemd.stopping()
                self._hang_up()
                with contextlib.suppress(WorldError):  # told above, or soon by whoever opens it next
                    self._outbox.tidy()
                    self._leave_report(final=True)
        return self._written

    def _stumble(self, error: WorldError, stop: threading.Event) -> None:
        """Wait for the disk to come back: start over from the outbox, which has lost nothing."""
        if not self._stumbles:
            _log.error("link.outbox_trouble", what=error.message, hint=error.hint)
        self._stumbles += 1
        self._systemd.status(f"in trouble: {error}")
        self._handle(Lost(Parting.OUTBOX, error.message), _now())
        stop.wait(min(_STUMBLE_CAP_S, 0.25 * 2.0 ** min(self._stumbles, 16)))

    def _turn(self) -> None:
        now = _now()
        self._handle(Tick(), now)
        self._offer(now)
        if self._carrier is not None and (wanted := self._carrier.take()) is not None:
            self._handle(wanted, now)
        for event in self._listen(now):
            self._handle(event, _now())
        self._leave_report()
        self._tidy()

    def _handle(self, event: DeviceEvent, now: Instant) -> None:
        for action in self._talk.handle(event, now):
            self._do(action, now)

    def _do(self, action: DeviceAction, now: Instant) -> None:  # noqa: C901 - one for each action
        match action:
            case Say(message, payload):
                self._say(message, payload)
            case Beat():
                self._say(heartbeat(self._outbox, now.clock_ms, self._changes.applied() if self._changes else None))
            case Forget(ids):
                self._numbers.acked += self._outbox.forget(ids)
                self._stumbles = 0
                self._untidy_s = now.monotonic_s
            case Dial(endpoint):
                self._line = self._dialler.dial(
                    self._endpoints[endpoint], self._carrier.bell if self._carrier else None
                )
            case HangUp(why, detail):
                self._hang_up()
                if why is Parting.EXPELLED:
                    self._remember_expelled(now.clock_ms)
                    self._report_s = 0.0  # watch must know at once
                self._tell_parting(why, detail)
            case Met(_, clock_ms, desired):
                self._tell_met(clock_ms, now)
                self._wish(desired)
            case Told(clock_ms, desired):
                self._hear_clock(clock_ms, now)
                self._wish(desired)
            case Brought() if self._carrier is not None:
                self._carrier.brought(action)
            case Cut() if self._carrier is not None:
                self._carrier.cut()
            case Declined(id_, reason, detail):
                self._numbers.declined += 1
                _log.error("link.declined", id=id_, reason=reason.value, detail=detail)

    def _wish(self, desired: str) -> None:
        if self._changes is not None:
            self._changes.desired(desired)

    # ------------------------------------------------------------------ outbox to window

    def _offer(self, now: Instant) -> None:
        room = self._talk.room
        if not room:
            return
        version = self._outbox.version()
        if version == self._seen_version and not self._more:
            return
        rows = self._outbox.waiting(room, after=self._cursor, max_bytes=self._talk.room_bytes)
        self._seen_version, self._more = version, bool(rows)
        if rows:
            self._cursor = rows[-1].number
            self._handle(Offered(self._letters(rows)), now)

    def _letters(self, rows: Sequence[Outgoing]) -> list[Letter]:
        letters = []
        for row in rows:
            letter = _letter(row)
            if letter is not None:
                letters.append(letter)
                continue
            # The centre could never take it either; left there, it would come up for ever.
            _log.error("link.unsendable", id=row.id, kind=row.kind, bytes=row.size)
            self._numbers.unsendable += 1
            self._outbox.forget([row.id])
        return letters

    def _drained(self) -> bool:
        return said_by_watch(self._outbox).ended and not self._outbox.count()

    def _tidy(self) -> None:
        if self._untidy_s is None or time.monotonic() - self._untidy_s < 1:  # noqa: TID251 - a door's clock
            return
        if self._outbox.tidy():
            self._untidy_s = None
        else:
            self._untidy_s = time.monotonic()  # noqa: TID251 - a door's clock

    # ------------------------------------------------------------------ socket

    def _listen(self, now: Instant) -> list[DeviceEvent]:
        timeout_ms = min(_POLL_MS, max(0, int((self._talk.wakes_at_s - now.monotonic_s) * 1000) + 1))
        if self._line is None:
            time.sleep(timeout_ms / 1000)
            return []
        happened = self._line.wait(timeout_ms)
        events: list[DeviceEvent] = [*happened.line]
        for frames in happened.messages:
            self._numbers.messages_received += 1
            self._numbers.bytes_received += sum(len(frame) for frame in frames)
            try:
                said = codec.decode_from_centre(frames)
                events.append(Heard(said.message, said.payload))
            except codec.Garbled as error:
                events.append(Unreadable(error.reason, error.message))
        return events

    def _say(self, message: FromDevice | FromCentre, payload: bytes = b"") -> None:
        frames = codec.encode(message, payload)
        if isinstance(message, Hello | Heartbeat):
            self._clock.asked(time.monotonic())  # noqa: TID251 - a door's clock
        if self._line is not None and self._line.send(frames):
            self._numbers.messages_sent += 1
            self._numbers.bytes_sent += sum(len(frame) for frame in frames)

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
        self._line = None
        self._cursor = 0
        self._seen_version = -1

    # ------------------------------------------------------------------ telling

    def _leave_report(self, *, final: bool = False) -> None:
        now = _now()
        if not final and now.monotonic_s < self._report_s:
            return
        self._report_s = now.monotonic_s + _REPORT_S
        report = LinkReport(
            at_ms=self._written.at_ms,
            state=self._talk.state.value,
            connected=self._talk.state is State.TALKING and not final,
            endpoint=self._endpoints[self._talk.endpoint],
            unacked=0 if final else self._talk.unacked,
            waiting=self._outbox.count(),
            **vars(self._numbers),
        )
        self._systemd.status("ended" if final else in_words(report))
        if report == self._written and not final:
            return
        self._written = msgspec.structs.replace(report, at_ms=now.clock_ms)
        self._outbox.report("link", msgspec.json.encode(self._written))

    def _remember_expelled(self, at_ms: int) -> None:
        self._numbers.expelled, self._numbers.expelled_at_ms = at_ms > 0, at_ms

    def _tell_met(self, clock_ms: int, now: Instant) -> None:
        self._told.clear()
        self._numbers.connects += 1
        self._remember_expelled(0)
        self._hear_clock(clock_ms, now)
        endpoint = self._endpoints[self._talk.endpoint]
        _log.info("link.connected", endpoint=endpoint, waiting=self._outbox.count())

    def _hear_clock(self, clock_ms: int, now: Instant) -> None:
        self._clock.heard(clock_ms, now)
        self._numbers.centre_clock_ahead_ms = self._clock.ahead_ms
        self._numbers.centre_clock_ms = self._clock.clock_ms
        self._numbers.centre_clock_monotonic_s = self._clock.monotonic_s

    def _tell_parting(self, why: Parting, detail: str) -> None:
        """Say each reason why there is no centre once, until there is one again."""
        self._numbers.last_parting = f"{why.value} {detail}".strip()
        if why.value in self._told:
            return
        self._told.add(why.value)
        _log.warning(
            "link.disconnected",
            endpoint=self._endpoints[self._talk.endpoint],
            why=why.value,
            detail=detail,
            waiting=self._outbox.count(),
            hint=_REMEDIES.get(why, "it is dialled again; meanwhile everything waits in the outbox"),
        )


def _letter(row: Outgoing) -> Letter | None:
    """Read a row as the centre will; None if it is no event or tally of that id."""
    try:
        said = codec.decode_from_device([row.header, row.payload] if row.payload else [row.header])
    except codec.Garbled:
        return None
    if not isinstance(said.message, Event | Tally):
        return None
    letter = Letter(said.message, said.payload)
    return letter if letter.id == row.id else None


def _now() -> Instant:
    return Instant(time.monotonic(), time.time_ns() // 1_000_000)  # noqa: TID251 - a door reads the clock
