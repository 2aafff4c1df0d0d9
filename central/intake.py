"""Frames, message, commit, acknowledge: the straight line at the centre.

One thread, one loop. A box is known by the CURVE key it holds: ZAP admits the key, every
message carries it as its User-Id, and what the box says of itself only ever has to agree. The keys are
looked up again with every batch, so that a revoked box is locked out at once.

An acknowledgement leaves after `Inbox.commit` has returned, never before. Where storing fails, nothing is
acknowledged and nothing kept here: the boxes hold it and send it again.

Pieces of files for the boxes come last in each turn, a few at a time and one for each box: whoever asks for
more than that waits, and nobody's candidate waits for it.

What this needs of the rest of the centre are the ports below.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Protocol, Self

import structlog
from msgspec import Meta, Struct

from central.publishing.shelf import Piece
from central.switchboard import Frames, Switchboard
from edge.errors import SightlineError
from edge.wire import codec
from edge.wire.conversation import Arrival, CentreSide, Instant, Pace
from edge.wire.curve import CurveKey
from edge.wire.messages import Chunk, FromCentre, FromDevice, Heartbeat, Hello, Reason, Refused
from edge.wire.turns import (
    CentreEvent,
    Commit,
    Committed,
    Expelled,
    Heard,
    Leave,
    Note,
    Parting,
    Say,
    Serve,
    Served,
    State,
    Tick,
    Unreadable,
)

_log: structlog.stdlib.BoundLogger = structlog.get_logger("central.intake")

_POLL_MS = 100
_QUIET_S = 10.0
"""Seconds between two log lines about the same kind of trouble; what falls between is counted."""
_PIECES = 8
"""Pieces that are read in one turn: 2 MiB."""
_SWEEP_S = 1.0
"""Seconds between two looks for boxes that have gone silent."""
_BEATS_S = 0.25
"""Seconds between two writings of heartbeats: a thousand boxes, each by itself, would be 200 syncs a second."""


class Inbox(Protocol):
    """Where events and tallies are kept."""

    def commit(self, batch: Sequence[Arrival]) -> None:
        """Store the whole batch in one transaction and return once it would survive a power cut.

        Called from the intake's own thread. A repeat of (device, event id) or (device, tally id) changes
        nothing, within one batch too: repeats are how nothing is lost. Raises a `SightlineError` if it
        cannot store; then nothing is acknowledged and the boxes send all of it again.
        """


class Admissions(Protocol):
    """Who may connect."""

    def device(self, public_key: str) -> str | None:
        """Return the device that owns this CURVE public key (z85, 40 characters), None if not admitted.

        Asked at every handshake and again with every batch, so that a revoked box is locked out at once.
        """


class Reception(Protocol):
    """Who hears boxes that nobody knows yet, each by its invitation."""

    def expects(self, key: str, now_ms: int) -> bool:
        """Tell whether a CURVE public key is that of an invitation that may connect."""

    def hear(self, key: str, frames: Sequence[bytes], now_ms: int) -> FromCentre | None:
        """Answer what came under the key of an invitation; None where it is of none."""


class Heartbeats(Protocol):
    """Who hears that a box is alive."""

    def heard_all(self, heartbeats: Mapping[str, Heartbeat], at_ms: int) -> None:
        """Take each of these boxes' newest heartbeat, received shortly before this time."""


class Publications(Protocol):
    """What boxes should run. Asked from the intake's own thread: both answers are to be quick."""

    def desired(self, device: str) -> str:
        """Return the word for what a box should run; empty where nothing is published for it."""

    def piece(self, device: str, path: str, offset: int) -> Piece | None:
        """Return at most `push.CHUNK_BYTES` of a published file; None where there is none for this box."""


class Nothing:
    """Publications of a centre that pushes nothing."""

    def desired(self, device: str) -> str:
        """Return that nothing is."""
        del device
        return ""

    def piece(self, device: str, path: str, offset: int) -> Piece | None:
        """Return that there is none."""
        del device, path, offset
        return None


class IntakeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the centre listens for boxes."""

    endpoint: str = "tcp://127.0.0.1:5810"
    """Address to listen on; `tcp://0.0.0.0:5810` for boxes elsewhere, `:*` for any free port."""
    batch: Annotated[int, Meta(ge=1, le=4096)] = 128
    """Most messages that are committed together."""
    pace: Pace = Pace()
    """How long a silent box is waited for."""


class IntakeReport(Struct, frozen=True, kw_only=True):
    """What the intake has done since its start."""

    peers: int = 0
    """Boxes in conversation."""
    messages: int = 0
    bytes_received: int = 0
    """Lengths of all frames; CURVE and TCP add theirs."""
    bytes_sent: int = 0
    committed: int = 0
    """Events and tallies committed and acknowledged, repeats among them."""
    commit_failures: int = 0
    failures: int = 0
    """Turns that another port's trouble cut short."""
    denied: int = 0
    """Handshakes of keys that are not admitted."""
    pieces: int = 0
    """Pieces of published files that went out."""
    missing: int = 0
    """Files asked for that there are not, for that box."""
    broken_handshakes: int = 0
    """Handshakes that never got as far as a key: plain clients, wrong centre keys, noise."""
    refused: dict[str, int] = {}
    """Messages refused, by reason."""
    cut: dict[str, int] = {}
    """Connections that took more than their share, by reason."""


class _Peer:
    """One box in conversation: its present connection and where that stands."""

    def __init__(self, route: bytes, side: CentreSide) -> None:
        self.route = route
        self.side = side
        self.asked: Serve | None = None
        """The piece it waits for."""


class Intake:
    """The centre's end of every link; `bind`, then `run` in a thread of its own."""

    def __init__(
        self,
        settings: IntakeSettings,
        *,
        key: CurveKey,
        inbox: Inbox,
        admissions: Admissions,
        heartbeats: Heartbeats,
        reception: Reception | None = None,
        publications: Publications | None = None,
    ) -> None:
        self._settings = settings
        self._key = key
        self._inbox = inbox
        self._admissions = admissions
        self._heartbeats = heartbeats
        self._reception = reception
        self._publications = publications or Nothing()
        self._asking: deque[_Peer] = deque()
        self._peers: dict[str, _Peer] = {}
        self._batch: list[Arrival] = []
        self._beats: dict[str, Heartbeat] = {}
        """Each box's newest heartbeat since they were last written."""
        self._beats_s = 0.0
        self._counts: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._cut: Counter[str] = Counter()
        self._quiet_until_s: dict[str, float] = {}
        self._sweep_s = 0.0
        self._switchboard: Switchboard | None = None

    def bind(self) -> str:
        """Start listening and return the address, with the port that was found for `:*`."""
        if self._switchboard is None:
            self._switchboard = Switchboard(self._settings.endpoint, self._key, self._admitted)
        return self._switchboard.endpoint

    def __enter__(self) -> Self:
        self.bind()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening."""
        if self._switchboard is not None:
            self._switchboard.close()
        self._switchboard = None

    def run(self, stop: threading.Event) -> IntakeReport:
        """Take in what the boxes send until `stop` is set, then stop listening."""
        self.bind()
        try:
            while not stop.is_set():
                try:
                    self._turn()
                except SightlineError as error:  # one of the ports: what it could not take is sent again
                    self._batch.clear()
                    self._counts["failures"] += 1
                    self._say_rarely("intake.failed", what=error.message, hint=error.hint)
        finally:
            self.close()
        return self.report()

    def report(self) -> IntakeReport:
        """Return the counters so far; any thread may ask."""
        return IntakeReport(peers=len(self._peers), refused=dict(self._refused), cut=dict(self._cut), **self._counts)

    # ------------------------------------------------------------------ one turn

    def _turn(self) -> None:
        switchboard = self._bound()
        heard = switchboard.wait(0 if self._asking else _POLL_MS, self._settings.batch)
        now = _now()
        devices: dict[str, str | None] = {}
        for frames in heard:
            self._counts["messages"] += 1
            self._counts["bytes_received"] += sum(len(frame) for frame in frames.body)
            if frames.key not in devices:
                devices[frames.key] = self._admissions.device(frames.key) if frames.key else None
            self._hear(frames, devices[frames.key], now)
        self._commit()
        self._serve(now)
        if switchboard.broken:
            self._counts["broken_handshakes"] += switchboard.broken
            self._say_rarely("intake.broken_handshake", count=switchboard.broken)
            switchboard.broken = 0
        for cut in switchboard.sweep(now.monotonic_s):
            self._cut[cut.why.value] += 1
            self._say_rarely("intake.cut", why=cut.why.value, key=cut.key)
        if now.monotonic_s >= self._sweep_s:
            self._sweep_s = now.monotonic_s + _SWEEP_S
            for peer in list(self._peers.values()):
                self._handle(peer, Tick(), now)
        self._keep_beats(now)

    def _keep_beats(self, now: Instant) -> None:
        if self._beats and now.monotonic_s >= self._beats_s:
            self._beats_s = now.monotonic_s + _BEATS_S
            beats, self._beats = self._beats, {}
            self._heartbeats.heard_all(beats, now.clock_ms)

    def _hear(self, frames: Frames, device: str | None, now: Instant) -> None:
        if device is None:
            answer = self._reception.hear(frames.key, frames.body, now.clock_ms) if self._reception else None
            if answer is None:
                self._expel(frames, now)
            else:
                self._send(frames.route, answer)
            return
        event: CentreEvent
        try:
            said = codec.decode_from_device(frames.body)
            event = Heard(said.message, said.payload)
        except codec.Garbled as error:
            event = Unreadable(error.reason, error.message)
        peer = self._peers.get(device)
        if peer is None or peer.route != frames.route:
            desired = partial(self._desired, device)
            fresh = _Peer(frames.route, CentreSide(device, self._settings.pace, now=now, desired=desired))
            if peer is None or (isinstance(event, Heard) and isinstance(event.message, Hello)):
                self._peers[device] = fresh
            peer = fresh
        self._handle(peer, event, now)

    def _expel(self, frames: Frames, now: Instant) -> None:
        """Turn away a box that was admitted when it connected and no longer is."""
        self._counts["denied"] += 1
        self._say_rarely("intake.expelled", public_key=frames.key)
        for peer in [peer for peer in self._peers.values() if peer.route == frames.route]:
            self._handle(peer, Expelled(), now)
            return
        self._send(frames.route, Refused(Reason.NOT_ADMITTED))

    def _handle(self, peer: _Peer, event: CentreEvent, now: Instant) -> None:
        before = peer.side.state
        for action in peer.side.handle(event, now):
            match action:
                case Say(message, payload):
                    self._send(peer.route, message, payload)
                case Commit(arrival):
                    self._batch.append(arrival)
                case Note(heartbeat):
                    self._beats[peer.side.device] = heartbeat
                case Serve():
                    if peer.asked is None:
                        self._asking.append(peer)
                    peer.asked = action
                case Leave(why, detail):
                    self._leave(peer, why, detail)
        if before is State.STRANGER and peer.side.state is State.TALKING:
            _log.info("intake.connected", device=peer.side.device)

    def _leave(self, peer: _Peer, why: Parting, detail: str) -> None:
        if self._peers.get(peer.side.device) is peer:
            del self._peers[peer.side.device]
        _log.warning("intake.disconnected", device=peer.side.device, why=why.value, detail=detail)

    def _commit(self) -> None:
        batch, self._batch = self._batch, []
        if not batch:
            return
        try:
            self._inbox.commit(batch)
        except SightlineError as error:
            self._counts["commit_failures"] += 1
            self._say_rarely("intake.commit_failed", what=error.message, hint=error.hint, messages=len(batch))
            return
        self._counts["committed"] += len(batch)
        ids: dict[str, list[str]] = {}
        for arrival in batch:
            ids.setdefault(arrival.device, []).append(arrival.id)
        for device, committed in ids.items():
            if device in self._peers:
                self._handle(self._peers[device], Committed(committed), _now())

    # ------------------------------------------------------------------ pieces

    def _serve(self, now: Instant) -> None:
        """Answer the boxes that have waited longest."""
        for _ in range(min(_PIECES, len(self._asking))):
            peer = self._asking.popleft()
            asked, peer.asked = peer.asked, None
            if asked is not None and peer.side.state is State.TALKING:
                self._handle(peer, self._read(peer.side.device, asked), now)

    def _read(self, device: str, asked: Serve) -> Served:
        piece = None
        try:
            piece = self._publications.piece(device, asked.path, asked.offset)
        except SightlineError as error:
            self._say_rarely("intake.push_failed", what=error.message, hint=error.hint)
        if piece is None:
            self._counts["missing"] += 1
            self._say_rarely("intake.no_such_file", device=device, path=asked.path)
            return Served(Chunk(asked.path, asked.offset, missing=True))
        self._counts["pieces"] += 1
        return Served(Chunk(asked.path, asked.offset, eof=piece.eof), piece.data)

    def _desired(self, device: str) -> str:
        try:
            return self._publications.desired(device)
        except SightlineError as error:
            self._say_rarely("intake.push_failed", what=error.message, hint=error.hint)
            return ""

    # ------------------------------------------------------------------ below

    def _admitted(self, public_key: str) -> bool:
        try:
            admitted = self._admissions.device(public_key) is not None
            if not admitted and self._reception is not None:
                admitted = self._reception.expects(public_key, _now().clock_ms)
        except SightlineError as error:
            self._say_rarely("intake.failed", what=error.message, hint=error.hint)
            return False
        if not admitted:
            self._counts["denied"] += 1
            self._say_rarely("intake.denied", public_key=public_key)
        return admitted

    def _send(self, route: bytes, message: FromDevice | FromCentre, payload: bytes = b"") -> None:
        if isinstance(message, Refused):
            self._refused[message.reason.value] += 1
            self._say_rarely("intake.refused", reason=message.reason.value, detail=message.detail)
        frames = codec.encode(message, payload)
        self._counts["bytes_sent"] += sum(len(frame) for frame in frames)
        self._bound().send(route, frames)

    def _bound(self) -> Switchboard:
        if self._switchboard is None:
            raise RuntimeError("the intake is closed")
        return self._switchboard

    def _say_rarely(self, event: str, **fields: object) -> None:
        """Log a kind of trouble at most every few seconds: whoever causes it must not fill the disk."""
        at_s = _now().monotonic_s
        if at_s >= self._quiet_until_s.get(event, 0.0):
            self._quiet_until_s[event] = at_s + _QUIET_S
            _log.warning(event, **fields)


def _now() -> Instant:
    return Instant(time.monotonic(), time.time_ns() // 1_000_000)  # noqa: TID251 - a door reads the clock
