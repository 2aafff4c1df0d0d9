"""Who may say what when, for both roles: events in, actions out, no socket and no clock.

Theory of operation. The box dials, says hello and is welcomed; then events, tallies and heartbeats go one
way, acks and pulses the other (the tables are in turns.py). The door (edge/link.py, central/intake.py) owns
the sockets: it hands each thing that happens to `handle`, with the time as a value, and does what the
returned actions say, in order.

Nothing is lost: the box keeps what it sent in a bounded window until the ack, sends it again if the ack
stays out, and after a broken connection starts over from its outbox. A letter is sent again on one of two
signs, because on a slow link a long wait alone means nothing: something sent later has been acknowledged,
or nothing at all has. Repeats are the centre's to recognise, by id.

Files come in pieces, one asked for at a time, by path and offset; a question is repeated if its answer stays
out. An answer to a question that was given up, or a second answer, is passed over; one that nobody asked for
is out of turn.

Nothing grows: the box holds one window; the centre holds a state and a time per peer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.wire.messages import (
    MAX_IDS,
    PROTOCOL,
    Ack,
    Chunk,
    Event,
    Fetch,
    FromCentre,
    FromDevice,
    Heartbeat,
    Hello,
    Pulse,
    Reason,
    Refused,
    Tally,
    Welcome,
)
from edge.wire.turns import (
    CENTRE_TURNS,
    DEVICE_TURNS,
    Arrival,
    Beat,
    Brought,
    CentreAction,
    CentreEvent,
    Commit,
    Committed,
    Cut,
    Declined,
    DeviceAction,
    DeviceEvent,
    Dial,
    Expelled,
    Forget,
    HangUp,
    Heard,
    Instant,
    Leave,
    Letter,
    Lost,
    Met,
    Note,
    Offered,
    Opened,
    Pace,
    Parting,
    Say,
    Serve,
    Served,
    State,
    Tick,
    Told,
    Unreadable,
    Wanted,
)

__all__ = ["Arrival", "CentreSide", "DeviceSide", "Instant", "Letter", "Pace"]


@dataclass
class _Sent:
    """A letter on its way."""

    letter: Letter
    order: int
    at_s: float

    @property
    def size(self) -> int:
        """Return about what it weighs, bytes; a header without ids and counts is next to nothing."""
        return len(self.letter.payload)


class DeviceSide:
    """The box's half of one link, over all its connections."""

    def __init__(
        self, hello: Hello, pace: Pace, *, endpoints: int, random: Callable[[], float], now: Instant
    ) -> None:
        self.state = State.RESTING
        self._hello = hello
        self._pace = pace
        self._endpoints = endpoints
        self._random = random
        self._attempts = 0
        self._failures = 0
        self._deadline_s = now.monotonic_s
        """When resting: dial; when dialling or greeting: give up; when talking: the peer is silent."""
        self._beat_s = now.monotonic_s
        self._sent: dict[str, _Sent] = {}
        self._order = 0
        self._acked_order = -1
        self._progress_s = now.monotonic_s
        self._wanted: Wanted | None = None
        self._asked_s = now.monotonic_s
        self._unanswered = 0
        """Fetches said on this connection less chunks heard."""

    @property
    def endpoint(self) -> int:
        """Return the index of the endpoint dialled last."""
        return (self._attempts - 1) % self._endpoints

    @property
    def unacked(self) -> int:
        """Return how many letters are on their way."""
        return len(self._sent)

    @property
    def room(self) -> int:
        """Return how many letters may be offered now."""
        if self.state is not State.TALKING or (self._sent and self.room_bytes <= 0):
            return 0
        return max(0, self._pace.window - len(self._sent))

    @property
    def room_bytes(self) -> int:
        """Return how many bytes of payload may be offered now, one letter always excepted."""
        return max(0, self._pace.window_bytes - sum(sent.size for sent in self._sent.values()))

    @property
    def wakes_at_s(self) -> float:
        """Return the monotonic time, seconds, at which a `Tick` will have something to do."""
        if self.state is not State.TALKING:
            return self._deadline_s
        due = [max(sent.at_s, self._patience_s(sent)) for sent in self._sent.values()]
        due += [self._asked_s] if self._wanted else []
        return min([self._deadline_s, self._beat_s, *(at_s + self._pace.resend_s for at_s in due)])

    def handle(self, event: DeviceEvent, now: Instant) -> list[DeviceAction]:  # noqa: PLR0911 - one for each event
        """Take in what happened and return what is to be done about it, in order."""
        match event:
            case Tick():
                return self._tick(now)
            case Opened():
                return self._opened(now)
            case Lost():
                return self._part(event.why, event.detail, now) if self._turn(Lost) else []
            case Heard():
                return self._heard(event.message, event.payload, now)
            case Unreadable():
                return self._part(Parting.GARBAGE, event.detail, now)
            case Offered():
                return self._offered(event.letters, now)
            case Wanted():
                return self._want(event, now) if self.state is State.TALKING else [Cut()]

    def _turn(self, kind: type) -> State | None:
        return DEVICE_TURNS[self.state].get(kind)

    def _tick(self, now: Instant) -> list[DeviceAction]:
        if now.monotonic_s < self._deadline_s:
            return self._keep_talking(now) if self.state is State.TALKING else []
        state = self._turn(Tick)
        if state is None:
            silent = self.state is State.TALKING
            return self._part(Parting.SILENT if silent else Parting.UNANSWERED, "", now)
        self._attempts += 1
        self._enter(state, self._pace.answer_s, now)
        return [Dial(self.endpoint)]

    def _keep_talking(self, now: Instant) -> list[DeviceAction]:
        actions: list[DeviceAction] = []
        if now.monotonic_s >= self._beat_s:
            self._beat_s = now.monotonic_s + self._pace.heartbeat_s
            actions.append(Beat())
        due = [
            sent
            for sent in self._sent.values()
            if now.monotonic_s >= max(sent.at_s, self._patience_s(sent)) + self._pace.resend_s
        ]
        actions += [self._send(sent.letter, now) for sent in due]
        if self._wanted and now.monotonic_s >= self._asked_s + self._pace.resend_s:
            actions += self._want(self._wanted, now)
        return actions

    def _patience_s(self, sent: _Sent) -> float:
        """Return since when, seconds, the lack of this ack has meant something."""
        return sent.at_s if sent.order < self._acked_order else self._progress_s

    def _opened(self, now: Instant) -> list[DeviceAction]:
        state = self._turn(Opened)
        if state is None:
            return []
        self._enter(state, self._pace.answer_s, now)
        return [Say(self._hello)]

    def _heard(self, message: FromDevice | FromCentre, payload: bytes, now: Instant) -> list[DeviceAction]:
        subject = message.subject if isinstance(message, Refused) else ""
        state = self._turn(Declined if subject else type(message))
        if state is None or (isinstance(message, Chunk) and not self._unanswered):
            return self._part(Parting.OUT_OF_TURN, type(message).__name__.lower(), now)
        if isinstance(message, Refused) and not subject:
            # Heard from a centre that proved its key: unlike a shut door, this can be believed.
            why = Parting.EXPELLED if message.reason is Reason.NOT_ADMITTED else Parting.REFUSED
            return self._part(why, f"{message.reason.value} {message.detail}".strip(), now)
        if isinstance(message, Welcome):
            return self._welcomed(message, state, now)
        self._enter(state, self._pace.silence_s, now)
        return self._taken(message, payload, now)

    def _taken(self, message: FromDevice | FromCentre, payload: bytes, now: Instant) -> list[DeviceAction]:
        match message:
            case Ack(ids):
                return self._acked(ids, now)
            case Pulse(clock_ms, desired):
                return [Told(clock_ms, desired)]
            case Chunk():
                return self._brought(message, payload)
            case Refused(reason, detail, subject) if subject in self._sent:
                del self._sent[subject]
                return [Declined(subject, reason, detail)]
            case _:
                return []

    def _welcomed(self, welcome: Welcome, state: State, now: Instant) -> list[DeviceAction]:
        if welcome.protocol != PROTOCOL:
            return self._part(Parting.VERSION, f"the centre speaks {welcome.protocol}, this box {PROTOCOL}", now)
        self._failures = 0
        self._enter(state, self._pace.silence_s, now)
        self._beat_s = now.monotonic_s + self._pace.heartbeat_s
        self._progress_s = now.monotonic_s
        return [Met(self.endpoint, welcome.clock_ms, welcome.desired), Beat()]

    def _want(self, wanted: Wanted, now: Instant) -> list[DeviceAction]:
        self._wanted, self._asked_s = wanted, now.monotonic_s
        self._unanswered += 1
        return [Say(Fetch(wanted.path, wanted.offset))]

    def _brought(self, chunk: Chunk, data: bytes) -> list[DeviceAction]:
        self._unanswered -= 1
        if self._wanted != Wanted(chunk.path, chunk.offset):
            return []
        self._wanted = None
        return [Brought(chunk.path, chunk.offset, data, chunk.eof, chunk.missing)]

    def _acked(self, ids: Sequence[str], now: Instant) -> list[DeviceAction]:
        """Let go of what is known; an ack that is late, repeated or for a stranger changes nothing."""
        known = [self._sent.pop(id_) for id_ in ids if id_ in self._sent]
        if not known:
            return []
        self._progress_s = now.monotonic_s
        self._acked_order = max(self._acked_order, *(sent.order for sent in known))
        return [Forget(tuple(sent.letter.id for sent in known))]

    def _offered(self, letters: Sequence[Letter], now: Instant) -> list[DeviceAction]:
        if len(letters) > self.room:
            raise ValueError(f"{len(letters)} letters offered where {self.room} have room")
        if not self._sent:
            self._progress_s = now.monotonic_s
        return [self._send(letter, now) for letter in letters if letter.id not in self._sent]

    def _send(self, letter: Letter, now: Instant) -> Say:
        self._sent[letter.id] = _Sent(letter, self._order, now.monotonic_s)
        self._order += 1
        return Say(letter.message, letter.payload)

    def _part(self, why: Parting, detail: str, now: Instant) -> list[DeviceAction]:
        if self.state is State.RESTING:
            return []  # a word from a connection that has been given up
        self._sent.clear()
        self._acked_order = -1
        cut: list[DeviceAction] = [Cut()] if self._wanted else []
        self._wanted, self._unanswered = None, 0
        rounds = min(self._failures // self._endpoints, 32)
        self._failures += 1
        wait_s = min(self._pace.backoff_cap_s, self._pace.backoff_first_s * 2**rounds)
        self._enter(State.RESTING, wait_s * (0.5 + 0.5 * self._random()), now)
        return [HangUp(why, detail), *cut]

    def _enter(self, state: State, seconds: float, now: Instant) -> None:
        self.state = state
        self._deadline_s = now.monotonic_s + seconds


class CentreSide:
    """The centre's half of one conversation with one authenticated box."""

    def __init__(self, device: str, pace: Pace, *, now: Instant, desired: Callable[[], str] = lambda: "") -> None:
        self.state = State.STRANGER
        self.device = device
        self._desired = desired
        """Gives the word of the state that this box should run."""
        self._pace = pace
        self._deadline_s = now.monotonic_s + pace.silence_s

    @property
    def wakes_at_s(self) -> float:
        """Return the monotonic time, seconds, after which a peer still silent is gone."""
        return self._deadline_s

    def handle(self, event: CentreEvent, now: Instant) -> list[CentreAction]:  # noqa: PLR0911 - one for each event
        """Take in what happened and return what is to be done about it, in order."""
        if self.state is State.GONE:
            return []
        match event:
            case Tick():
                return self._leave(Parting.SILENT) if now.monotonic_s >= self._deadline_s else []
            case Heard():
                return self._heard(event, now)
            case Unreadable():
                return [Say(Refused(event.reason, event.detail))]
            case Committed():
                ids = tuple(event.ids)
                return [Say(Ack(ids[start : start + MAX_IDS])) for start in range(0, len(ids), MAX_IDS)]
            case Served():
                return [Say(event.chunk, event.data)]
            case Expelled():
                return [Say(Refused(Reason.NOT_ADMITTED)), *self._leave(Parting.DENIED)]

    def _heard(self, heard: Heard, now: Instant) -> list[CentreAction]:
        state = CENTRE_TURNS[self.state].get(type(heard.message))
        if state is None:
            return [Say(Refused(Reason.NO_HELLO))]
        self._deadline_s = now.monotonic_s + self._pace.silence_s
        match heard.message:
            case Hello():
                return self._greeted(heard.message, state, now)
            case Event() | Tally():
                return [
                    Commit(
                        Arrival(
                            device=self.device,
                            message=heard.message,
                            payload=heard.payload,
                            received_at_ms=now.clock_ms,
                        )
                    )
                ]
            case Heartbeat():
                return [Note(heard.message), Say(Pulse(now.clock_ms, self._desired()))]
            case Fetch():
                return [Serve(heard.message.path, heard.message.offset)]
            case _:  # a word of the centre's own: the table has refused it above
                return []

    def _greeted(self, hello: Hello, state: State, now: Instant) -> list[CentreAction]:
        if hello.protocol != PROTOCOL:
            detail = f"the box speaks {hello.protocol}, the centre {PROTOCOL}"
            return [Say(Refused(Reason.VERSION, detail)), *self._leave(Parting.VERSION, detail)]
        if hello.device != self.device:
            detail = "the key belongs to another device"
            return [Say(Refused(Reason.WRONG_DEVICE, detail)), *self._leave(Parting.REFUSED, detail)]
        self.state = state
        return [Say(Welcome(now.clock_ms, desired=self._desired()))]

    def _leave(self, why: Parting, detail: str = "") -> list[CentreAction]:
        self.state = State.GONE
        return [Leave(why, detail)]
