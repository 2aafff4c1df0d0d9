"""A video file as a camera would send it: access units for RTP, pictures for JPEG."""

import re
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
from av.bitstream import BitStreamFilterContext

CLOCK_HZ = 90_000
_PAYLOAD = 96
_MAX_PACKET = 1400
_START_CODE = re.compile(rb"\x00\x00+\x01")
_SPS, _PPS = 7, 8


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
    sps: bytes
    pps: bytes


def load(path: Path) -> Tape:
    """Read an H.264 video file (mp4, mkv, ts, Annex B)."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if stream.codec_context.name != "h264":
            raise SystemExit(f"{path} is {stream.codec_context.name}; the simulator sends H.264 only")
        annex_b = BitStreamFilterContext("h264_mp4toannexb", stream)
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
    nals = {nal[0] & 31: nal for nal in units[0].nals}
    period_s = max(shown) - first + 1 / rate
    return Tape(path=path, units=units, period_s=period_s, sps=nals[_SPS], pps=nals[_PPS])


def packetise(unit: Unit, *, first: int, timestamp: int, ssrc: int) -> Iterator[bytes]:
    """Cut a unit into RTP packets (RFC 6184: single NAL units and FU-A); `first` is the sequence number."""
    payloads = [payload for nal in unit.nals for payload in _payloads(nal)]
    for offset, payload in enumerate(payloads):
        marker = 0x80 if offset == len(payloads) - 1 else 0
        yield (
            struct.pack(">BBHII", 0x80, marker | _PAYLOAD, first + offset & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
            + payload
        )


def _payloads(nal: bytes) -> Iterator[bytes]:
    if len(nal) <= _MAX_PACKET:
        yield nal
        return
    indicator, kind, body = nal[0] & 0xE0 | 28, nal[0] & 0x1F, nal[1:]
    for start in range(0, len(body), _MAX_PACKET):
        begins, ends = start == 0, start + _MAX_PACKET >= len(body)
        yield bytes((indicator, begins << 7 | ends << 6 | kind)) + body[start : start + _MAX_PACKET]


def _nals(data: bytes) -> tuple[bytes, ...]:
    return tuple(nal.rstrip(b"\x00") for nal in _START_CODE.split(data) if nal)


class Pictures:
    """Any picture of the tape as JPEG; cheap when they are asked for in order."""

    def __init__(self, path: Path, quality: int = 85) -> None:
        self._path, self._quality = path, quality
        self._lock = threading.Lock()
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
        if self._container is not None:
            self._container.close()
            self._container = None
