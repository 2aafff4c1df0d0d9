"""A decoded picture as the pixels that detection and alignment read, by reference where that can be.

By reference: planar YUV of eight bits, with U and V of full or half size: what H.264, H.265 and MJPEG cameras
send. The rest goes a slower way first (FFmpeg, a whole picture each time), known in advance by its format:
more than eight bits (10-bit H.265) and rarer layouts to eight-bit 4:2:0, what is no YUV to BGR. A picture that
says it has to be turned, as a telephone's, is copied turned.

Colours are as the stream says. One that does not say is taken for BT.601, as FFmpeg and OpenCV do, and for the
limited range, except in the formats that mean JPEG's.
"""

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.faces.pixels import BT601, BT709, BT2020, Bgr, Colours, Image, Pixels, Planes

if TYPE_CHECKING:  # a stream is read without PyAV where it is not there
    from av import VideoFrame

_BY_REFERENCE = frozenset(f"yuv{j}{share}p" for j in ("", "j") for share in ("420", "422", "444"))
# AVColorSpace, as in ITU-T H.273, table 4.
_COLOURS = {1: BT709, 4: Colours(0.30, 0.11), 7: Colours(0.212, 0.087), 9: BT2020, 10: BT2020}
# AVColorRange.
_FULL = 2
# Degrees anticlockwise, as a display matrix says them.
_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


def pixels_of(decoded: "VideoFrame | NDArray[np.uint8]") -> Pixels:
    """Return a decoded picture upright; it pins the decoder's buffer for as long as it lives."""
    if isinstance(decoded, np.ndarray):
        return Bgr(decoded)
    turn = _TURNS.get(round(decoded.rotation / 90) * 90 % 360)
    format_ = decoded.format
    if format_.is_rgb or format_.has_palette or len(format_.components) < 3:
        return Bgr(_turned(np.asarray(decoded.to_ndarray(format="bgr24"), np.uint8), turn))
    colours = _colours(decoded)
    if format_.name not in _BY_REFERENCE:
        decoded = decoded.reformat(
            format="yuv420p", src_color_range=decoded.color_range, dst_color_range=decoded.color_range
        )
    y, u, v = (_turned(_plane(decoded, number), turn) for number in range(3))
    return Planes(y, u, v, colours)


def _colours(decoded: "VideoFrame") -> Colours:
    colours = _COLOURS.get(decoded.colorspace, BT601)
    return colours.of_full_range if decoded.color_range == _FULL or decoded.format.name[:4] == "yuvj" else colours


def _plane(decoded: "VideoFrame", number: int) -> Image:
    """Return a plane (h,w) uint8 without what pads its rows; nobody may write to a decoder's picture."""
    plane = decoded.planes[number]
    rows = np.frombuffer(memoryview(plane).toreadonly(), np.uint8).reshape(plane.height, abs(plane.line_size))
    upright = rows if plane.line_size > 0 else np.ascontiguousarray(rows[::-1])
    return upright[:, : plane.width]


def _turned(image: Image, turn: int | None) -> Image:
    return image if turn is None else np.asarray(cv2.rotate(image, turn), np.uint8)
