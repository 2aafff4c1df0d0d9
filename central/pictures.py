"""Pictures in and out: bytes to pixels and back, with a limit before anything is decoded.

A few kilobytes of JPEG can claim four thousand million pixels; the size is read from the header first.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

MAX_PIXELS = 100_000_000
MAX_PROBE_PIXELS = 4_000_000
JPEG_QUALITY = 92

_PNG = b"\x89PNG\r\n\x1a\n"
# Start-of-frame markers of JPEG (ITU-T T.81, table B.1): C0 to CF without DHT, JPG and DAC.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True)
class Size:
    """Width and height in pixels, as a header says."""

    width: int
    height: int


def size_of(data: bytes) -> Size | None:
    """Read the size from a JPEG or PNG header; None for anything else."""
    if data.startswith(_PNG) and len(data) >= 24:
        return Size(int.from_bytes(data[16:20]), int.from_bytes(data[20:24]))
    if data.startswith(b"\xff\xd8"):
        return _jpeg_size(data)
    return None


def decode(data: bytes, max_pixels: int, *, upright: bool) -> Image | None:
    """Decode a JPEG or PNG to (h,w,3) uint8 BGR; None if it is neither, damaged or larger than allowed.

    `upright` turns the picture as its EXIF orientation says.
    """
    size = size_of(data)
    if size is None or not 0 < size.width * size.height <= max_pixels:
        return None
    flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)


def encode(image: Image) -> bytes:
    """Encode (h,w,3) uint8 BGR as JPEG."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()


def shrink(image: Image, max_side: int) -> Image:
    """Average a picture down so that neither side is longer; a smaller one is returned as it is."""
    scale = max_side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _jpeg_size(data: bytes) -> Size | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _BARE_MARKERS:
            at += 2
        elif marker in _FRAME_MARKERS:
            return Size(int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7]))
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None
