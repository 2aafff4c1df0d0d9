"""A video file as a camera would send it: access units for RTP, pictures for JPEG."""

import re
import struct
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
from av.bitstream import BitStreamFilterContext

CLOCK_HZ = 90_000
_PAYLOAD = 96
_MAX_PACKET = 1400
_START_CODE = re.compile(rb"\x00\x00+\x01")


@dataclass(frozen=True, kw_only=True)
class Codec:
    """How a codec is named and its NAL units are told apart and cut."""

    name: str
    """As the session description has it."""
    to_annex_b: str
    header: int
    """Bytes before a NAL unit's payload."""
    sets: tuple[int, ...]
    """Types of the parameter sets, which a session description may hold."""
    fragment: int
    """Type of a packet that holds part of a NAL unit."""

    def kind(self, nal: bytes) -> int:
        """Return a NAL unit's type."""
        return nal[0] & 31 if self.header == 1 else nal[0] >> 1 & 63

    def fragment_header(self, nal: bytes) -> bytes:
        """Return what a part of the unit begins with (RFC 6184, section 5.8; RFC 7798, section 4.4.3)."""
        if self.header == 1:
            return bytes((nal[0] & 0xE0 | self.fragment,))
        return bytes((nal[0] & 0x81 | self.fragment << 1, nal[1]))


CODECS = {
    "h264": Codec(name="H264", to_annex_b="h264_mp4toannexb", header=1, sets=(7, 8), fragment=28),
    "hevc": Codec(name="H265", to_annex_b="hevc_mp4toannexb", header=2, sets=(32, 33, 34), fragment=49),
}


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One picture as compressed."""

    nals: tuple[bytes, ...]
    key: bool
    shown_s: float
    """When it was captured, from the beginning of the tape."""
    sent_s: float
    """When it is sent: never before it was captured, so later than that where pictures refer forward."""


@dataclass(frozen=True, kw_only=True)
class Tape:
    """A whole video in memory, compressed."""

    path: Path
    units: tuple[Unit, ...]
    period_s: float
    """Length, which is also when the next round of a loop begins."""
    codec: Codec
    sets: tuple[bytes, ...]
    """The parameter sets of the first picture, in the order of the codec's types."""


def load(path: Path) -> Tape:
    """Read an H.264 or H.265 video file (mp4, mkv, ts, Annex B)."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        codec = CODECS.get(stream.codec_context.name)
        if codec is None:
            raise SystemExit(f"{path} is {stream.codec_context.name}; the simulator sends {' or '.join(CODECS)}")
        annex_b = BitStreamFilterContext(codec.to_annex_b, stream)
        packets = [packet for each in container.demux(stream) if each.size for packet in annex_b.filter(each)]
        rate = float(stream.average_rate or 25)
    shown = [i / rate if p.pts is None else float(p.pts * p.time_base) for i, p in enumerate(packets)]
    sent = [i / rate if p.dts is None else float(p.dts * p.time_base) for i, p in enumerate(packets)]
    first = min(shown)
    late = max(a - b for a, b in zip(shown, sent, strict=True))
    units = tuple(
        Unit(nals=_nals(bytes(packet)), key=packet.is_keyframe, shown_s=a - first, sent_s=b - first + late)
        for packet, a, b in zip(packets, shown, sent, strict=True)
    )
    nals = {codec.kind(nal): nal for nal in units[0].nals}
    period_s = max(shown) - first + 1 / rate
    return Tape(path=path, units=units, period_s=period_s, codec=codec, sets=tuple(nals[each] for each in codec.sets))


def packetise(
    codec: Codec, nals: Iterable[bytes], *, first: int, timestamp: int, ssrc: int, uneven: bool
) -> Iterator[bytes]:
    """Cut a picture into RTP packets: single NAL units and parts of them; `first` is the sequence number.

    `uneven` parts are each of another length, as no known camera cuts them.
    """
    payloads = [payload for nal in nals for payload in _payloads(codec, nal, uneven=uneven)]
    for offset, payload in enumerate(payloads):
        marker = 0x80 if offset == len(payloads) - 1 else 0
        yield (
            struct.pack(">BBHII", 0x80, marker | _PAYLOAD, first + offset & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
            + payload
        )


def _payloads(codec: Codec, nal: bytes, *, uneven: bool) -> Iterator[bytes]:
    most = _MAX_PACKET // 10 if uneven else _MAX_PACKET
    if len(nal) <= most:
        yield nal
        return
    header, body = codec.fragment_header(nal), nal[codec.header :]
    start, length = 0, most
    while start < len(body):
        begins, ends = start == 0, start + length >= len(body)
        part = bytes((begins << 7 | ends << 6 | codec.kind(nal),))
        yield header + part + body[start : start + length]
        start += length
        length = most - start % 7 if uneven else most


def _nals(data: bytes) -> tuple[bytes, ...]:
    return tuple(nal.rstrip(b"\x00") for nal in _START_CODE.split(data) if nal)


class Pictures:
    """Any picture of the tape as JPEG; cheap when they are asked for in order."""

    def __init__(self, path: Path, quality: int = 85) -> None:
        self._path, self._quality = path, quality
        # Again by the same thread, in `close`; by another one, a picture is being decoded.
        self._lock = threading.RLock()
        self._container: av.container.InputContainer | None = None
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._index = -1
        self._jpeg = b""

    def jpeg(self, index: int) -> bytes:
        """Encode the picture with that number, in order of showing; the last one there is for any beyond."""
        with self._lock:
            if index < self._index or self._container is None:
                self.close()
                self._container = av.open(str(self._path))
                self._frames, self._index = self._container.decode(video=0), -1
            frame = None
            while self._index < index:
                following = next(self._frames, None)
                if following is None:
                    break
                frame, self._index = following, self._index + 1
            if frame is not None:
                _, data = cv2.imencode(
                    ".jpg", frame.to_ndarray(format="bgr24"), [cv2.IMWRITE_JPEG_QUALITY, self._quality]
                )
                self._jpeg = data.tobytes()
            return self._jpeg

    def close(self) -> None:
        """Let go of the file, once nothing is being decoded from it."""
        with self._lock:
            if self._container is not None:
                self._container.close()
                self._container = None
