"""What box and centre say to each other.

Rules: a new field has a default and an old one never changes; unknown fields are ignored, an unknown enum
value reads as UNKNOWN, an unknown message is garbage. Times are milliseconds since 1970, UTC. Pixels and
vectors are raw bytes.
"""

from enum import Enum
from typing import Annotated

from msgspec import Meta, Struct

PROTOCOL = 1

MAX_HEADER_BYTES = 64 * 1024
MAX_PAYLOAD_BYTES = 1024 * 1024
MAX_IDS = 256
OVERHEAD_BYTES = 64
"""What CURVE adds to a frame before ZeroMQ compares it with its limit: 33 bytes, rounded up."""

# \Z, not $: a dollar also matches before a last line feed, and an id goes into logs and file names.
Id = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[A-Za-z0-9._:-]+\Z")]
Text = Annotated[str, Meta(max_length=512)]
Path = Annotated[str, Meta(min_length=1, max_length=512, pattern=r"\A[A-Za-z0-9._:%/-]+\Z")]
"""Of a published file, below the repository; which a box may have is the centre's to say."""
Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
# Bounded so that no honest reader can be made to overflow: a database's 64 bits, a calendar's year 9999.
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Moment = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]


# ------------------------------------------------------------------ inside a sealed payload


class Box(Struct, frozen=True):
    """A face in its frame, pixels, left top width height."""

    x: float
    y: float
    width: float
    height: float


class Shot(Struct, frozen=True):
    """One picture of the probe: a JPEG crop with some surroundings, and where the landmarks lie in it."""

    image: Annotated[bytes, Meta(max_length=256 * 1024)]
    landmarks: Annotated[tuple[float, ...], Meta(min_length=10, max_length=10)]
    """x, y of right eye, left eye, nose tip, right and left mouth corner, in pixels of the crop."""
    quality: float
    captured_at_ms: Moment
    frame: Count
    box: Box


class Candidate(Struct, frozen=True):
    """A pass of a person that may be somebody on the watchlist; what an event's sealed payload holds."""

    event_id: Id
    track_id: Id
    revision: Count
    """0 for the first candidate of a track, then 1, 2 for each clearly better look."""
    device: Id
    camera: Id
    entry: Id
    """The watchlist entry it resembles: an opaque id, no name leaves the centre."""
    watchlist: Id
    score: float
    """Cosine between the fused probe template and the entry's nearest reference."""
    threshold: float
    """The candidate threshold in force on the box."""
    model_sha256: Digest
    template: Annotated[bytes, Meta(max_length=8192)]
    """The fused probe template, float16, little-endian, unit length."""
    first_seen_ms: Moment
    """Camera clock, when the track's first face was captured."""
    captured_at_ms: Moment
    """Camera clock, the frame on which the decision fell."""
    raised_at_ms: Moment
    """Box clock, when the decision fell."""
    shots: Annotated[tuple[Shot, ...], Meta(min_length=1, max_length=5)]
    taken_at_ms: Moment = 0
    """Box clock, when that frame was here: what the system itself adds is counted from then."""


# ------------------------------------------------------------------ device to centre


class Hello(Struct, frozen=True, tag="hello"):
    """Opens a conversation."""

    device: Id
    software: Text
    protocol: int = PROTOCOL


class Event(Struct, frozen=True, tag="event"):
    """A candidate; the payload frame beside it is sealed for the centre."""

    event_id: Id
    raised_at_ms: Moment


class Tally(Struct, frozen=True, tag="tally"):
    """What was seen in a period, in numbers alone: no face, no template, nobody."""

    tally_id: Id
    camera: Id
    from_ms: Moment
    until_ms: Moment
    frames: Count
    dropped: Count
    """Frames the camera delivered that were never looked at, newest wins."""
    faces: Count
    """Face detections."""
    tracks: Count
    """Passes: tracks that were confirmed in this period."""
    unusable: Count
    """Passes that ended without one face above the quality floor; counted, not matched."""
    candidates: Count


class CameraHealth(Struct, frozen=True, kw_only=True):
    """How a box's camera does, as data: the words are those of its log."""

    condition: Text
    """connecting, seeing or blind."""
    reason: Text = ""
    """Why it does not see; empty while it does."""
    frame_age_ms: Count | None = None
    """Of the newest picture; None before the first."""
    rate_fps: Annotated[float, Meta(ge=0)] = 0.0
    """Pictures a second over the last few seconds."""
    dropped: Count = 0
    """Pictures that gave way to a newer one."""
    reconnects: Count = 0
    hung_readers: Count = 0
    """Readers that hung in the decoder and were replaced."""
    clock_source: Text = ""
    """By which clock pictures are dated: camera, arrival or media; empty before the first."""
    clock_ahead_ms: Annotated[int, Meta(ge=-(2**53), le=2**53)] | None = None
    """The camera's clock less the box's; None where unknown."""


class Phase(Enum):
    """What a box does about what it should run."""

    STEADY = "steady"
    """It runs what it was told, or was told nothing."""
    BRINGING = "bringing"
    """It brings and checks another state."""
    TRYING = "trying"
    """It runs another state, and watches whether it is well."""
    REFUSED = "refused"
    """It does not run what it should, and says why."""
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> "Phase":  # noqa: ARG003  # the hook's own signature
        return cls.UNKNOWN


class Applied(Struct, frozen=True, kw_only=True):
    """Which pushed state a box runs, and why not another."""

    state: Text = ""
    """The word of the state that runs (push.py); empty: none was ever pushed."""
    phase: Phase = Phase.STEADY
    about: Text = ""
    """The word of the state that is brought, tried or refused; empty where steady."""
    refused: Text = ""
    """Why `about` does not run; empty unless refused."""


class Heartbeat(Struct, frozen=True, tag="heartbeat"):
    """Says that the box is alive, what waits in its outbox and what ails it."""

    sent_at_ms: Moment
    waiting: Count = 0
    """Rows in the outbox."""
    shed: Count = 0
    """Rows ever dropped because the outbox was full."""
    seeing: bool = False
    """Whether the camera's newest frame is fresh."""
    troubles: Annotated[tuple[Text, ...], Meta(max_length=32)] = ()
    camera: CameraHealth | None = None
    """None where watch has not said it."""
    applied: Applied | None = None
    """None from a box that knows nothing of pushed states."""


class Fetch(Struct, frozen=True, tag="fetch"):
    """Asks for a piece of a published file: the bytes from `offset` on, at most `push.CHUNK_BYTES`."""

    path: Path
    offset: Count


class Announce(Struct, frozen=True, tag="announce"):
    """Tells the keys that a box made for itself, on a connection that its one-time token opened."""

    device: Id
    software: Text
    curve: Annotated[str, Meta(min_length=40, max_length=40)]
    """Public CURVE key, z85."""
    seal: Digest
    """Public sealing key, 64 hex digits."""
    protocol: int = PROTOCOL


# ------------------------------------------------------------------ centre to device


class Welcome(Struct, frozen=True, tag="welcome"):
    """Answers a hello."""

    clock_ms: Moment
    protocol: int = PROTOCOL
    desired: Text = ""
    """The word of the state that the box should run; empty: nothing is published for it."""


class Ack(Struct, frozen=True, tag="ack"):
    """These ids are committed at the centre; the box may forget them."""

    ids: Annotated[tuple[Id, ...], Meta(max_length=MAX_IDS)]


class Pulse(Struct, frozen=True, tag="pulse"):
    """Answers a heartbeat."""

    clock_ms: Moment
    desired: Text = ""
    """As in the welcome."""


class Chunk(Struct, frozen=True, tag="chunk"):
    """Answers a fetch; the payload frame beside it is the piece, absent where the piece is empty."""

    path: Path
    offset: Count
    eof: bool = False
    """Whether the piece is the file's last."""
    missing: bool = False
    """Whether there is no such file for this box."""


class Announced(Struct, frozen=True, tag="announced"):
    """Answers an announcement: the keys are known; until somebody admits the box it may say nothing else."""

    admitted: bool
    clock_ms: Moment


class Reason(Enum):
    """Why something was refused; one word for log, metric and operator."""

    VERSION = "version"
    GARBAGE = "garbage"
    NO_HELLO = "no-hello"
    WRONG_DEVICE = "wrong-device"
    OVERSIZE = "oversize"
    NOT_ADMITTED = "not-admitted"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> "Reason":  # noqa: ARG003  # the hook's own signature
        return cls.UNKNOWN


class Refused(Struct, frozen=True, tag="refused"):
    """Something the peer said cannot be taken; `subject` is the id it concerns, if it had one."""

    reason: Reason
    detail: Text = ""
    subject: Annotated[str, Meta(max_length=64)] = ""


FromDevice = Hello | Event | Tally | Heartbeat | Fetch | Announce
FromCentre = Welcome | Ack | Pulse | Refused | Chunk | Announced
