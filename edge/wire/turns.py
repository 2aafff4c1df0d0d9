"""The words of a conversation: what happens, what is to be done about it, and every turn there is.

The two tables at the end are the protocol. What a table does not allow, the box answers by hanging up and
the centre by refusing; conversation.py walks them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from msgspec import Struct

from edge.wire.messages import (
    MAX_HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
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


class Pace(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast a conversation goes and when it is given up."""

    heartbeat_s: float = 5.0
    """Seconds between two heartbeats of the box."""
    silence_s: float = 15.0
    """Seconds without a word after which either end takes the other for gone."""
    answer_s: float = 10.0
    """Seconds for a connection to open and again for the hello to be answered."""
    resend_s: float = 10.0
    """Seconds after which something unacknowledged may be sent again."""
    backoff_first_s: float = 0.5
    """Longest wait, seconds, before the second attempt; it doubles with each round of all endpoints."""
    backoff_cap_s: float = 30.0
    """Longest wait, seconds, between two attempts."""
    window: int = 32
    """Most events and tallies on their way at once."""
    window_bytes: int = 2 * (MAX_HEADER_BYTES + MAX_PAYLOAD_BYTES)
    """Most bytes on their way at once; one message is always let through."""


@dataclass(frozen=True)
class Instant:
    """The time as the door read it: seconds that never jump, and milliseconds since 1970, UTC."""

    monotonic_s: float
    clock_ms: int


class State(Enum):
    """Where a conversation stands."""

    RESTING = "resting"
    DIALLING = "dialling"
    GREETING = "greeting"
    STRANGER = "stranger"
    TALKING = "talking"
    GONE = "gone"


class Parting(Enum):
    """Why a conversation ended; one word for log, metric and operator."""

    LOST = "lost"
    ABSENT = "absent"
    DENIED = "denied"
    WRONG_KEY = "wrong-key"
    UNANSWERED = "unanswered"
    SILENT = "silent"
    REFUSED = "refused"
    EXPELLED = "expelled"
    VERSION = "version"
    GARBAGE = "garbage"
    OUT_OF_TURN = "out-of-turn"
    OUTBOX = "outbox"


# ------------------------------------------------------------------ values that pass through


def subject_of(message: Event | Tally) -> str:
    """Return the id that acknowledges a message, and under which a repeat of it is known."""
    return message.event_id if isinstance(message, Event) else message.tally_id


@dataclass(frozen=True)
class Letter:
    """An event or a tally waiting in the box."""

    message: Event | Tally
    payload: bytes = b""

    @property
    def id(self) -> str:
        """Return the id that acknowledges it."""
        return subject_of(self.message)


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """An event or a tally of an authenticated box, for the centre to commit and only then acknowledge."""

    device: str
    """Known by the box's key, never by what it says."""
    message: Event | Tally
    payload: bytes
    """An event's sealed candidate; empty for a tally."""
    received_at_ms: int
    """Centre clock."""

    @property
    def id(self) -> str:
        """Return the id under which a repeat is known and the acknowledgement goes back."""
        return subject_of(self.message)


# ------------------------------------------------------------------ what happens


class Tick:
    """Time has passed."""


class Opened:
    """The dialled connection stands, encrypted and authenticated."""


@dataclass(frozen=True)
class Lost:
    """The connection broke or never came about."""

    why: Parting = Parting.LOST
    detail: str = ""


@dataclass(frozen=True)
class Heard:
    """The peer said something readable."""

    message: FromDevice | FromCentre
    payload: bytes = b""


@dataclass(frozen=True)
class Unreadable:
    """The peer said something that is no message."""

    reason: Reason
    detail: str = ""


@dataclass(frozen=True)
class Offered:
    """The box has these to send; no more than `room` and `room_bytes` said."""

    letters: Sequence[Letter]


@dataclass(frozen=True)
class Wanted:
    """The box wants a piece of a published file: the bytes from `offset` on, in place of what it wanted before."""

    path: str
    offset: int


@dataclass(frozen=True)
class Served:
    """The centre has read the piece that was asked for."""

    chunk: Chunk
    data: bytes = b""


@dataclass(frozen=True)
class Committed:
    """The centre has these safe."""

    ids: Sequence[str]


class Expelled:
    """The box is no longer admitted."""


DeviceEvent: TypeAlias = Tick | Opened | Lost | Heard | Unreadable | Offered | Wanted
CentreEvent: TypeAlias = Tick | Heard | Unreadable | Committed | Expelled | Served


# ------------------------------------------------------------------ what is to be done


@dataclass(frozen=True)
class Dial:
    """Make a fresh connection to this endpoint, by its index."""

    endpoint: int


@dataclass(frozen=True)
class HangUp:
    """Close the connection and read the outbox from its beginning again."""

    why: Parting
    detail: str = ""


@dataclass(frozen=True)
class Say:
    """Send this to the peer."""

    message: FromDevice | FromCentre
    payload: bytes = b""


class Beat:
    """Send a heartbeat with the facts of the moment."""


@dataclass(frozen=True)
class Met:
    """The centre has welcomed the box and told its time."""

    endpoint: int
    clock_ms: int
    desired: str = ""
    """The word of the state that the box should run; empty: none."""


@dataclass(frozen=True)
class Told:
    """The centre has answered a heartbeat with its time, and with what the box should run, as in `Met`."""

    clock_ms: int
    desired: str = ""


@dataclass(frozen=True)
class Brought:
    """The piece that was wanted is here, or there is no such file for this box."""

    path: str
    offset: int
    data: bytes
    eof: bool
    missing: bool = False


class Cut:
    """What was wanted will not come over this connection: want it again later."""


@dataclass(frozen=True)
class Forget:
    """The centre has these safe: they may leave the outbox."""

    ids: tuple[str, ...]


@dataclass(frozen=True)
class Declined:
    """The centre cannot take this one; it stays in the outbox and is offered again next time."""

    id: str
    reason: Reason
    detail: str


@dataclass(frozen=True)
class Commit:
    """Store this, then hand `Committed` back."""

    arrival: Arrival


@dataclass(frozen=True)
class Serve:
    """Read the piece that this box asks for, then hand `Served` back; a later question takes its place."""

    path: str
    offset: int


@dataclass(frozen=True)
class Note:
    """The box is alive and says how it is."""

    heartbeat: Heartbeat


@dataclass(frozen=True)
class Leave:
    """Forget this peer."""

    why: Parting
    detail: str = ""


DeviceAction: TypeAlias = Dial | HangUp | Say | Beat | Met | Told | Forget | Declined | Brought | Cut
CentreAction: TypeAlias = Say | Commit | Note | Serve | Leave


# ------------------------------------------------------------------ every turn there is

DEVICE_TURNS: dict[State, dict[type, State]] = {
    State.RESTING: {Tick: State.DIALLING},
    State.DIALLING: {Opened: State.GREETING, Lost: State.RESTING},
    State.GREETING: {Welcome: State.TALKING, Refused: State.RESTING, Lost: State.RESTING},
    State.TALKING: {
        Ack: State.TALKING,
        Pulse: State.TALKING,
        Chunk: State.TALKING,
        Declined: State.TALKING,
        Refused: State.RESTING,
        Lost: State.RESTING,
    },
}

CENTRE_TURNS: dict[State, dict[type, State]] = {
    State.STRANGER: {Hello: State.TALKING},
    State.TALKING: {
        Hello: State.TALKING,
        Event: State.TALKING,
        Tally: State.TALKING,
        Heartbeat: State.TALKING,
        Fetch: State.TALKING,
    },
    State.GONE: {},
}
