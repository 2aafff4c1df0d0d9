"""Who may say what when, for both roles: events in, actions out, no socket and no clock.

Theory of operation. The box dials, says hello and is welcomed; then events, tallies and heartbeats go one
way, acks and pulses the other (the tables are in turns.py). The door (edge/link.py, central/intake.py) owns
the sockets: it hands each thing that happens to `handle`, with the time as a value, and does what the
returned actions say, in order.

Nothing is lost: the box keeps what it sent in a bounded window until the ack, sends it again if the ack
stays out, and after a broken connection starts over from its outbox. A letter is sent again on one of two
signs, because on a slow link a long wait alone means nothing: something sent later has been acknowledged,
or nothing at all has. Repeats are the centre's to recognise, by id.

Nothing grows: the box holds one window; the centre holds a state and a time per peer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.wire.messages import (
    MAX_IDS,
    PROTOCOL,
    Ack,
    Event,
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
    CentreAction,
    CentreEvent,
    Commit,
    Committed,
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
    State,
    Tick,
    Unreadable,
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
        return min([self._deadline_s, self._beat_s, *(at_s + self._pace.resend_s for at_s in due)])

    def handle(self, event: DeviceEvent, now: Instant) -> list[DeviceAction]:
        """Take in what happened and return what is to be done about it, in order."""
        match event:
            case Tick():
                return self._tick(now)
            case Opened():
                return self._opened(now)
            case Lost():
                return self._part(event.why, event.detail, now) if self._turn(Lost) else []
            case Heard():
                return self._heard(event.message, now)
            case Unreadable():
                return self._part(Parting.GARBAGE, event.detail, now)
            case Offered():
                return self._offered(event.letters, now)

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
        return actions + [self._send(sent.letter, now) for sent in due]

    def _patience_s(self, sent: _Sent) -> float:
        """Return since when, seconds, the lack of this ack has meant something."""
        return sent.at_s if sent.order < self._acked_order else self._progress_s

    def _opened(self, now: Instant) -> list[DeviceAction]:
        state = self._turn(Opened)
        if state is None:
            return []
        self._enter(state, self._pace.answer_s, now)
        return [Say(self._hello)]

    def _heard(self, message: FromDevice | FromCentre, now: Instant) -> list[DeviceAction]:
        subject = message.subject if isinstance(message, Refused) else ""
        state = self._turn(Declined if subject else type(message))
        if state is None:
            return self._part(Parting.OUT_OF_TURN, type(message).__name__.lower(), now)
        if isinstance(message, Refused) and not subject:
            return self._part(Parting.REFUSED, f"{message.reason.value} {message.detail}".strip(), now)
        if isinstance(message, Welcome):
            return self._welcomed(message, state, now)
        self._enter(state, self._pace.silence_s, now)
        if isinstance(message, Ack):
            return self._acked(message.ids, now)
        if isinstance(message, Refused) and subject in self._sent:
            del self._sent[subject]
            return [Declined(subject, message.reason, message.detail)]
        return []

    def _welcomed(self, welcome: Welcome, state: State, now: Instant) -> list[DeviceAction]:
        if welcome.protocol != PROTOCOL:
            return self._part(Parting.VERSION, f"the centre speaks {welcome.protocol}, this box {PROTOCOL}", now)
        self._failures = 0
        self._enter(state, self._pace.silence_s, now)
        self._beat_s = now.monotonic_s + self._pace.heartbeat_s
        self._progress_s = now.monotonic_s
        return [Met(self.endpoint, welcome.clock_ms), Beat()]

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
        rounds = min(self._failures // self._endpoints, 32)
        self._failures += 1
        wait_s = min(self._pace.backoff_cap_s, self._pace.backoff_first_s * 2**rounds)
        self._enter(State.RESTING, wait_s * (0.5 + 0.5 * self._random()), now)
        return [HangUp(why, detail)]

    def _enter(self, state: State, seconds: float, now: Instant) -> None:
        self.state = state
        self._deadline_s = now.monotonic_s + seconds


class CentreSide:
    """The centre's half of one conversation with one authenticated box."""

    def __init__(self, device: str, pace: Pace, *, now: Instant) -> None:
        self.state = State.STRANGER
        self.device = device
        self._pace = pace
        self._deadline_s = now.monotonic_s + pace.silence_s

    @property
    def wakes_at_s(self) -> float:
        """Return the monotonic time, seconds, after which a peer still silent is gone."""
        return self._deadline_s

    def handle(self, event: CentreEvent, now: Instant) -> list[CentreAction]:
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
                return [Note(heard.message), Say(Pulse(now.clock_ms))]
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
        return [Say(Welcome(now.clock_ms))]

    def _leave(self, why: Parting, detail: str = "") -> list[CentreAction]:
        self.state = State.GONE
        return [Leave(why, detail)]
