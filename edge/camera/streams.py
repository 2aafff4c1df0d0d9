"""Pictures from a camera on the network: RTSP, or MJPEG over HTTP; one connection, until it breaks.

Theory of operation, with what was measured (FFmpeg 8, PyAV 18):

- `probesize=32, analyzeduration=0` connects in 0.1 s rather than 1.1 s. Not `fflags=nobuffer`, which loses
  the first group of pictures.
- Threads over slices: threads over frames hold a picture back for 40 to 75 ms.
- FFmpeg's parser knows that a picture is whole when the next one begins, so it comes one frame period late. Over
  TCP its pieces are joined here instead (edge/camera/units.py): 8 ms from the camera to the decoded picture rather
  than 46. Datagrams, of which some may be lost, are left to the parser, and so is everything by HTTP.
- When a parsed stream stalls, the read is woken at `read_timeout_s` with the picture that the parser still held:
  it looks new and is old. It is decoded, since later ones refer to it, and not shown. At twice the timeout
  the read fails.
- A sender report gives packets their capture time (side data `prft`, microseconds since 1970 by the camera's
  clock); it is looked up by timestamp, since the decoder may hold pictures back.
- An exception of the decoder may hold the address with its password. So none leaves this file, not even as
  the context of ours: ours is raised after the handler has ended.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import av
from av.codec.context import Flags2
from av.container import InputContainer

from edge.camera.address import Address
from edge.camera.certificate import checked
from edge.camera.clock import Clock
from edge.camera.errors import (
    CameraError,
    Reason,
    stream_silent,
    stream_trouble,
    stream_undecodable,
    stream_unreachable,
    wrong_codec,
)
from edge.camera.frame import ClockSource, Picture
from edge.camera.pace import Pace
from edge.camera.settings import CODECS, CameraSettings
from edge.camera.trust import Trust
from edge.camera.units import Assembler, Unit

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

# So many packets in a row without a good picture, a key picture among them, are not a bad moment of the network;
# nor are fewer over a while. Until the first key picture, which may be long in coming, nothing can be decoded.
_HOPELESS = 50
_BAD = 5
_KEYLESS = 500
# Pictures without a key picture among them after which a damaged stream is believed again.
_DISTRUSTED = 250
# Capture times kept for pictures that the decoder still holds; H.264 allows 16.
_HELD = 32

# Annotations with Packet[...] are quoted: it is generic for the type checker only.
_COMMON = {"probesize": "32", "analyzeduration": "0"}

_TROUBLE: tuple[tuple[tuple[type[Exception], ...], Reason], ...] = (
    ((av.HTTPUnauthorizedError, av.HTTPForbiddenError), Reason.UNAUTHORISED),
    ((av.ConnectionRefusedError,), Reason.REFUSED),
    ((av.HTTPNotFoundError,), Reason.MISSING),
    ((av.HTTPError, av.ProtocolNotFoundError, av.DecoderNotFoundError), Reason.NOT_A_VIDEO),
    ((av.InvalidDataError,), Reason.CORRUPT),
    ((av.TimeoutError, av.ExitError), Reason.TIMEOUT),
)


@dataclass(frozen=True)
class _Coded:
    """What the decoder takes, and when it was here: by the clock that only goes forward, and by date."""

    packet: "Packet[VideoStream]"
    key: bool
    stale: bool
    arrived_at: float
    arrived_ms: int


class Stream:
    """One connection to a camera."""

    def __init__(self, address: Address, settings: CameraSettings, clock: Clock) -> None:
        """Connect, within `connect_timeout_s`; the error names the place and the reason."""
        self.video_bytes = 0
        self._place, self._clock = address.place, clock
        self._read_timeout_s = settings.read_timeout_s
        self._container = _connected(address, settings, clock)
        self._video = _checked(self._container, settings, address.place)
        self._video.thread_type = "SLICE"
        self.codec = self._video.codec_context.name
        # A datagram that was a whole picture leaves no mark: the decoder goes on from the one before.
        self._lossy = settings.transport == "udp" and address.scheme.startswith("rtsp")
        self._assembler = Assembler(self.codec) if _in_pieces(address, settings) and self.codec != "mjpeg" else None
        self._pace = Pace(settings.read_timeout_s, parsed=self._lossy)
        if self._assembler is not None:
            self._video.codec_context.flags2 |= Flags2.chunks
        self._trust = Trust(at_most=_DISTRUSTED)
        self._captured_ms: dict[int, int] = {}
        self._stale_pts: int | None = None
        self._first_s: float | None = None
        self._index = 0
        self._bad, self._good_at, self._keyed = 0, clock.monotonic_s(), False

    def __iter__(self) -> Iterator[Picture]:
        """Give the pictures as they come; never ends but with a CameraError."""
        for coded in self._coded():
            pictures = self._decode(coded.packet)
            if not any(not decoded.is_corrupt for decoded in pictures):
                self._raise_if_hopeless(coded)
            for decoded in pictures:
                if self._trust.deserves(decoded):
                    self._bad, self._good_at, self._keyed = 0, coded.arrived_at, True
                    if not coded.stale:
                        yield self._picture(decoded, coded)
                self._index += 1

    def close(self) -> None:
        """Hang up."""
        self._container.close()

    def _coded(self) -> "Iterator[_Coded]":
        """Give what the decoder takes, each with the time of its coming."""
        asked_at = self._clock.monotonic_s()
        before = (asked_at, self._clock.wall_ms())
        for packet in self._packets():
            arrived_at, arrived_ms = self._clock.monotonic_s(), self._clock.wall_ms()
            stale = self._advance(packet, waited_s=arrived_at - asked_at)
            now = (arrived_at, arrived_ms)
            if self._assembler is not None and packet.pts is not None:
                if stale:
                    self._stale_pts = packet.pts
                for unit in self._assembler.add(bytes(packet), packet.pts):
                    # What is only known to be whole by this piece came with the one before.
                    came = now if unit.pts == packet.pts else before
                    yield _Coded(self._packet(unit), unit.key, unit.pts == self._stale_pts, *came)
                if self._assembler.broke:
                    self._trust.broken()
                before = now
            elif self._assembler is None or not packet.size:
                # An empty packet is the end: the decoder lets go of the pictures that it still holds.
                for unit in self._assembler.end() if self._assembler else []:
                    yield _Coded(self._packet(unit), unit.key, unit.pts == self._stale_pts, *before)
                yield _Coded(packet, packet.is_keyframe, stale, *now)
            asked_at = self._clock.monotonic_s()

    def _packets(self) -> "Iterator[Packet[VideoStream]]":
        packets = self._container.demux(self._video)
        while True:
            asked_at = self._clock.monotonic_s()
            reason = Reason.ENDED
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                packet, reason = None, _reason(error) or Reason.ENDED
            if packet is None:
                # A read that was woken fails with any error, an error of input and output among them.
                if reason is Reason.TIMEOUT or self._clock.monotonic_s() - asked_at >= 0.9 * self._read_timeout_s:
                    raise stream_silent(self._place, seen=self._index > 0)
                raise stream_trouble(self._place, reason)
            self.video_bytes += packet.size
            yield packet

    def _packet(self, unit: Unit) -> "Packet[VideoStream]":
        whole = cast("Packet[VideoStream]", av.Packet(unit.data))
        whole.pts = unit.pts
        if self._video.time_base is not None:
            whole.time_base = self._video.time_base
        return whole

    def _advance(self, packet: "Packet[VideoStream]", *, waited_s: float) -> bool:
        """Note the packet's times; say whether it had been held back by a stall."""
        if packet.pts is None or packet.time_base is None:
            return False
        captured_ms = _captured_ms(packet)
        if captured_ms is not None:
            self._captured_ms[packet.pts] = captured_ms
            if len(self._captured_ms) > _HELD:
                del self._captured_ms[next(iter(self._captured_ms))]
        held_back = self._pace.held_back(float(packet.pts * packet.time_base), waited_s=waited_s)
        if self._lossy and self._pace.skipped:
            self._trust.broken()
        return held_back

    def _decode(self, packet: "Packet[VideoStream]") -> list[av.VideoFrame]:
        """Decode; nothing when it cannot be, as with the first packets of a stream joined in its middle."""
        try:
            return self._video.codec_context.decode(packet)
        except av.FFmpegError:
            self._trust.broken()
            return []

    def _raise_if_hopeless(self, coded: "_Coded") -> None:
        """Count what gave no good picture, and give up where there has been too much of it."""
        if coded.key and not self._keyed:
            # What came before could not be decoded, however long it was; the count begins here.
            self._bad, self._good_at, self._keyed = 0, coded.arrived_at, True
        self._bad += 1
        late = self._bad >= _BAD and coded.arrived_at - self._good_at > self._read_timeout_s
        if self._bad >= _KEYLESS or (self._keyed and (late or self._bad >= _HOPELESS)):
            raise stream_undecodable(self._place)

    def _picture(self, decoded: av.VideoFrame, coded: "_Coded") -> Picture:
        at_s = decoded.time if decoded.pts is not None else 0.0
        self._first_s = at_s if self._first_s is None else self._first_s
        captured_ms = self._captured_ms.pop(decoded.pts, None) if decoded.pts is not None else None
        came_ms = coded.arrived_ms - round(self._pace.held_s * 1000)
        return Picture(
            index=self._index,
            captured_at_ms=came_ms if captured_ms is None else captured_ms,
            arrival_ms=came_ms,
            monotonic_at=coded.arrived_at,
            clock_source=ClockSource.ARRIVAL if captured_ms is None else ClockSource.CAMERA,
            media_s=at_s - self._first_s,
            decoded=decoded,
        )


def _connected(address: Address, settings: CameraSettings, clock: Clock) -> InputContainer:
    format_, options = _options(address, settings)
    options |= checked(address, settings.ca_file, timeout_s=settings.connect_timeout_s)
    trouble: CameraError | None = None
    began_s = clock.monotonic_s()
    try:
        container = av.open(
            address.url(),
            format=format_,
            options=options,
            # A parser is woken twice before it gives up, and so as patient.
            timeout=(
                settings.connect_timeout_s,
                settings.read_timeout_s * (2 if _in_pieces(address, settings) else 1),
            ),
        )
    except av.FFmpegError as error:
        reason = _reason(error)
        # Woken in the middle of the RTSP dialogue, the decoder complains of invalid data.
        if clock.monotonic_s() - began_s >= settings.connect_timeout_s:
            reason = Reason.TIMEOUT
        trouble = stream_unreachable(address.place) if reason is None else stream_trouble(address.place, reason)
    if trouble is not None:
        raise trouble
    return container


def _checked(container: InputContainer, settings: CameraSettings, place: str) -> "VideoStream":
    """Return the stream of video, if it is one that can be decoded and is wanted; else hang up and say so."""
    trouble: CameraError | None = None
    video = container.streams.video[0] if container.streams.video else None
    if video is None:
        trouble = CameraError(
            f"camera {place} offers no video", reason=Reason.NOT_A_VIDEO, hint="check the path of the address"
        )
    # PyAV's types do not know that a stream without a decoder has no context.
    elif video.codec_context is None:
        trouble = wrong_codec(place, "an unknown codec")  # type: ignore[unreachable]
    elif settings.accept_codec != "any" and video.codec_context.codec.canonical_name != CODECS[settings.accept_codec]:
        trouble = wrong_codec(place, video.codec_context.codec.canonical_name, wanted=settings.accept_codec)
    if video is None or trouble is not None:
        container.close()
        raise trouble or stream_trouble(place, Reason.NOT_A_VIDEO)
    return video


def _options(address: Address, settings: CameraSettings) -> tuple[Literal["rtsp", "mpjpeg"], dict[str, str]]:
    if address.scheme.startswith("rtsp"):
        flags = {"fflags": "noparse"} if _in_pieces(address, settings) else {}
        return "rtsp", {**_COMMON, "rtsp_transport": settings.transport, "allowed_media_types": "video", **flags}
    return "mpjpeg", _COMMON


def _in_pieces(address: Address, settings: CameraSettings) -> bool:
    """Say whether pictures come as the pieces of their packets, none of which can be lost."""
    return address.scheme.startswith("rtsp") and settings.transport == "tcp"


def _reason(error: Exception) -> Reason | None:
    """Read the decoder's error, whose own text may hold the password; None for what it has no word for."""
    return next((reason for kinds, reason in _TROUBLE if isinstance(error, kinds)), None)


def _captured_ms(packet: "Packet[VideoStream]") -> int | None:
    """Read AVProducerReferenceTime: int64 microseconds since 1970, int flags."""
    if not packet.has_sidedata("prft"):
        return None
    wallclock_us: int = struct.unpack_from("=q", bytes(packet.get_sidedata("prft")))[0]
    return wallclock_us // 1000
