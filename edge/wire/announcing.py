"""How a box that nobody knows yet makes itself known, the box's half: events in, actions out, no socket, no clock.

It dials each of the centre's addresses once, with the key that its token is, says its own public keys and hears
whether they were taken. The centre's half is central/invitations.py; in words of an ordinary conversation
(turns.py), this one is a single question and its answer.
"""

from dataclasses import dataclass
from typing import TypeAlias

from edge.wire.messages import Announce, Announced, FromCentre, FromDevice, Reason, Refused
from edge.wire.turns import Dial, HangUp, Heard, Instant, Lost, Opened, Parting, Say, State, Tick, Unreadable


@dataclass(frozen=True)
class Known:
    """The centre has this box's keys."""

    admitted: bool
    clock_ms: int


@dataclass(frozen=True)
class GaveUp:
    """No address of the centre took the announcement; what the most telling one said."""

    endpoint: int
    why: Parting
    detail: str


AnnouncingEvent: TypeAlias = Tick | Opened | Lost | Heard | Unreadable
AnnouncingAction: TypeAlias = Dial | Say | HangUp | Known | GaveUp

# What says most about why a box is not taken, first: a word of the centre itself, then a shut door, then silence.
_TELLING = (
    Parting.REFUSED,
    Parting.VERSION,
    Parting.DENIED,
    Parting.WRONG_KEY,
    Parting.GARBAGE,
    Parting.OUT_OF_TURN,
    Parting.UNANSWERED,
    Parting.LOST,
    Parting.ABSENT,
)


class Announcing:
    """One announcement, over all addresses of the centre."""

    def __init__(self, announce: Announce, *, endpoints: int, answer_s: float) -> None:
        self.state = State.RESTING
        self._announce = announce
        self._endpoints = endpoints
        self._answer_s = answer_s
        self._next = 0
        self._deadline_s = 0.0
        self._failed: list[GaveUp] = []

    @property
    def ended(self) -> bool:
        """Tell whether there is nothing more to do."""
        return self.state is State.GONE

    def handle(self, event: AnnouncingEvent, now: Instant) -> list[AnnouncingAction]:
        """Take in what happened and return what is to be done about it, in order."""
        match event:
            case Tick():
                return self._tick(now)
            case Opened() if self.state is State.DIALLING:
                self._enter(State.GREETING, now)
                return [Say(self._announce)]
            case Lost() if self.state in {State.DIALLING, State.GREETING}:
                return self._part(event.why, event.detail)
            case Heard() if self.state is State.GREETING:
                return self._heard(event.message)
            case Unreadable() if self.state is State.GREETING:
                return self._part(Parting.GARBAGE, event.detail)
            case _:  # a word from a connection that has been given up
                return []

    def _tick(self, now: Instant) -> list[AnnouncingAction]:
        if self.state is State.RESTING:
            self._next += 1
            self._enter(State.DIALLING, now)
            return [Dial(self._next - 1)]
        if self.state is State.GONE or now.monotonic_s < self._deadline_s:
            return []
        return self._part(Parting.UNANSWERED, "")

    def _heard(self, message: FromDevice | FromCentre) -> list[AnnouncingAction]:
        match message:
            case Announced():
                self.state = State.GONE
                return [Known(message.admitted, message.clock_ms)]
            case Refused():
                why = Parting.VERSION if message.reason is Reason.VERSION else Parting.REFUSED
                return self._part(why, message.detail or message.reason.value)
            case _:
                return self._part(Parting.OUT_OF_TURN, type(message).__name__.lower())

    def _part(self, why: Parting, detail: str) -> list[AnnouncingAction]:
        self._failed.append(GaveUp(self._next - 1, why, detail))
        if self._next < self._endpoints:
            self.state = State.RESTING
            return [HangUp(why, detail)]
        self.state = State.GONE
        return [HangUp(why, detail), min(self._failed, key=lambda each: _TELLING.index(each.why))]

    def _enter(self, state: State, now: Instant) -> None:
        self.state = state
        self._deadline_s = now.monotonic_s + self._answer_s
