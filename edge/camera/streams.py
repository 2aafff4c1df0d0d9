"""Pictures from a camera on the network: RTSP, or MJPEG over HTTP; one connection, until it breaks.

Theory of operation, with what was measured (FFmpeg 8, PyAV 18):

- `probesize=32, analyzeduration=0` connects in 0.1 s rather than 1.1 s. Not `fflags=nobuffer`, which loses
  the first group of pictures, and not `noparse`, which lets broken ones through.
- Threads over slices: threads over frames hold a picture back for 40 to 75 ms.
- The parser knows that a picture is whole when the next one begins, so it comes one frame period late.
- When the stream stalls, the read is woken at `read_timeout_s` with the picture that the parser still held:
  it looks new and is old. It is decoded, since later ones refer to it, and not shown. At twice the timeout
  the read fails.
- A sender report gives packets their capture time (side data `prft`, microseconds since 1970 by the camera's
  clock); it is looked up by timestamp, since the decoder may hold pictures back.
- An exception of the decoder may hold the address with its password. So none leaves this file, not even as
  the context of ours: ours is raised after the handler has ended.
"""

import ssl
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import av
from av.container import InputContainer

from edge.camera.address import Address
from edge.camera.certificate import decoder_options, fingerprint_of
from edge.camera.clock import Clock
from edge.camera.errors import CameraError, Reason, stream_ended, stream_silent, stream_trouble, untrusted
from edge.camera.frame import ClockSource, Picture
from edge.camera.settings import CameraSettings
from edge.camera.trust import Trust

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

# A read that took this much longer than the stream's own time advanced was woken, or caught up after a stall;
# at most half the time after which it is woken.
_STALE_S = 1.0
# This many undecodable packets in a row are not a bad moment of the network.
_HOPELESS = 100
# Pictures without a key picture among them after which a damaged stream is believed again.
_DISTRUSTED = 250
# Capture times kept for pictures that the decoder still holds; H.264 allows 16.
_HELD = 32
# What comes encrypted, and its usual port.
_PORTS = {"https": 443, "rtsps": 322}

# Annotations with Packet[...] are quoted: it is generic for the type checker only.
_COMMON = {"probesize": "32", "analyzeduration": "0"}


class Stream:
    """One connection to a camera."""

    def __init__(self, address: Address, settings: CameraSettings, clock: Clock) -> None:
        """Connect, within `connect_timeout_s`; the error names the place and the reason."""
        self.video_bytes = 0
        self._place, self._clock = address.place, clock
        self._container = _connected(address, settings, clock)
        self._video = self._container.streams.video[0]
        self._video.thread_type = "SLICE"
        self.codec = self._video.codec_context.name
        # MJPEG comes with its length: nothing waits for the next picture.
        self._parsed = address.scheme.startswith("rtsp")
        self._stale_s = min(_STALE_S, settings.read_timeout_s / 2)
        self._trust = Trust(at_most=_DISTRUSTED)
        self._captured_ms: dict[int, int] = {}
        self._period_s = 0.04
        self._first_s: float | None = None
        self._newest_s: float | None = None
        self._index = 0

    def __iter__(self) -> Iterator[Picture]:
        """Give the pictures as they come; never ends but with a CameraError."""
        failures = 0
        asked_at = self._clock.monotonic_s()
        for packet in self._packets():
            arrived_at = self._clock.monotonic_s()
            stale = self._advance(packet, waited_s=arrived_at - asked_at)
            pictures = self._decode(packet)
            failures = failures + 1 if pictures is None else 0
            if failures == _HOPELESS:
                raise CameraError(
                    f"camera {self._place} sends pictures that cannot be decoded",
                    reason=Reason.CORRUPT,
                    hint="check the codec that the camera is set to, and the network",
                )
            for decoded in pictures or ():
                if self._trust.deserves(decoded) and not stale:
                    yield self._picture(decoded, arrived_at)
                self._index += 1
            asked_at = self._clock.monotonic_s()

    def close(self) -> None:
        """Hang up."""
        self._container.close()

    def _packets(self) -> "Iterator[Packet[VideoStream]]":
        packets = self._container.demux(self._video)
        while True:
            try:
                packet = next(packets, None)
                trouble = None
            except av.FFmpegError as error:
                packet = None
                trouble = stream_trouble(error, self._place, seen=self._index > 0)
            if packet is None:
                raise trouble or stream_ended(self._place)
            self.video_bytes += packet.size
            yield packet

    def _advance(self, packet: "Packet[VideoStream]", *, waited_s: float) -> bool:
        """Note the packet's times; say whether it had been held back by a stall."""
        if packet.pts is None or packet.time_base is None:
            return False
        at_s = float(packet.pts * packet.time_base)
        advanced_s = at_s - self._newest_s if self._newest_s is not None else waited_s
        if 0 < advanced_s < _STALE_S:
            self._period_s += (advanced_s - self._period_s) / 8
        self._newest_s = at_s
        captured_ms = _captured_ms(packet)
        if captured_ms is not None:
            self._captured_ms[packet.pts] = captured_ms
            if len(self._captured_ms) > _HELD:
                del self._captured_ms[next(iter(self._captured_ms))]
        return waited_s - advanced_s > self._stale_s

    def _decode(self, packet: "Packet[VideoStream]") -> list[av.VideoFrame] | None:
        """Decode; None when it cannot be, as with the first packets of a stream joined in its middle."""
        try:
            return packet.decode()
        except av.FFmpegError:
            self._trust.broken()
            return None

    def _picture(self, decoded: av.VideoFrame, arrived_at: float) -> Picture:
        at_s = decoded.time if decoded.pts is not None else 0.0
        self._first_s = at_s if self._first_s is None else self._first_s
        captured_ms = self._captured_ms.pop(decoded.pts, None) if decoded.pts is not None else None
        held_s = self._period_s if self._parsed else 0.0
        return Picture(
            index=self._index,
            captured_at_ms=self._clock.wall_ms() - round(held_s * 1000) if captured_ms is None else captured_ms,
            monotonic_at=arrived_at,
            clock_source=ClockSource.ARRIVAL if captured_ms is None else ClockSource.CAMERA,
            media_s=at_s - self._first_s,
            decoded=decoded,
        )


def _connected(address: Address, settings: CameraSettings, clock: Clock) -> InputContainer:
    format_, options = _options(address, settings)
    options |= _encrypted(address, settings)
    trouble: CameraError | None = None
    began_s = clock.monotonic_s()
    try:
        container = av.open(
            address.url(),
            format=format_,
            options=options,
            timeout=(settings.connect_timeout_s, settings.read_timeout_s),
        )
    except av.FFmpegError as error:
        trouble = stream_trouble(error, address.place, seen=False)
        # Woken in the middle of the RTSP dialogue, the decoder complains of invalid data.
        if clock.monotonic_s() - began_s >= settings.connect_timeout_s:
            trouble = stream_silent(address.place)
    if trouble is not None:
        raise trouble
    if not container.streams.video:
        container.close()
        raise CameraError(
            f"camera {address.place} offers no video",
            reason=Reason.NOT_A_VIDEO,
            hint="check the path of the address",
        )
    return container


def _options(address: Address, settings: CameraSettings) -> tuple[Literal["rtsp", "mpjpeg"], dict[str, str]]:
    if address.scheme.startswith("rtsp"):
        return "rtsp", {**_COMMON, "rtsp_transport": settings.transport, "allowed_media_types": "video"}
    return "mpjpeg", _COMMON


def _encrypted(address: Address, settings: CameraSettings) -> dict[str, str]:
    """Have the certificate checked, where there is one; the decoder by itself would believe any."""
    if address.scheme not in _PORTS:
        return {}
    place = urlsplit(address.place)
    host, port, timeout_s = place.hostname or "", place.port or _PORTS[address.scheme], settings.connect_timeout_s
    ca_file = Path(settings.ca_file).expanduser() if settings.ca_file else None
    try:
        return decoder_options(host, port, ca_file, timeout_s=timeout_s)
    except ssl.SSLCertVerificationError:
        trouble = untrusted(address.place, fingerprint_of(host, port, timeout_s=timeout_s))
    except TimeoutError:
        trouble = stream_silent(address.place)
    except OSError:
        return {"tls_verify": "1"}  # the decoder meets what else there is, and its words are understood
    raise trouble


def _captured_ms(packet: "Packet[VideoStream]") -> int | None:
    """Read AVProducerReferenceTime: int64 microseconds since 1970, int flags."""
    if not packet.has_sidedata("prft"):
        return None
    wallclock_us: int = struct.unpack_from("=q", bytes(packet.get_sidedata("prft")))[0]
    return wallclock_us // 1000
