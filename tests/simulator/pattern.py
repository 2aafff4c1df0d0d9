"""Videos whose every frame carries its number in its pixels, readable after compression."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

_BITS = 16


def numbered(number: int, width: int = 320, height: int = 240) -> Image:
    """Draw one frame: its number as 16 blocks along the top, and texture that moves beneath."""
    image = np.empty((height, width, 3), np.uint8)
    rows, columns = np.mgrid[0:height, 0:width]
    image[:] = (96 + 48 * np.sin((columns + 3 * number) / 17) + 48 * np.cos((rows + 2 * number) / 23))[
        ..., None
    ]
    block = width // _BITS
    for bit in range(_BITS):
        image[: height // 8, bit * block : (bit + 1) * block] = 232 if number >> bit & 1 else 24
    return image


def number_of(image: Image) -> int:
    """Read the number back."""
    height, width = image.shape[:2]
    block = width // _BITS
    centres = image[height // 16, block // 2 : _BITS * block : block].mean(axis=-1)
    return int(sum(1 << bit for bit, level in enumerate(centres) if level > 128))


def write_video(
    path: Path,
    *,
    frames: int,
    fps: int = 25,
    size: tuple[int, int] = (320, 240),
    key_every: int = 10,
    **x264: str,
) -> Path:
    """Write numbered frames as H.264; an mp4 has its index in front, so that a cut copy still begins."""
    options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"g": str(key_every), "preset": "ultrafast", "crf": "20", **x264}
        for packet in _encoded(stream, frames, size):
            container.mux(packet)
    return path


def _encoded(stream: Any, frames: int, size: tuple[int, int]) -> Iterator[Any]:
    for number in range(frames):
        yield from stream.encode(av.VideoFrame.from_ndarray(numbered(number, *size), format="bgr24"))
    yield from stream.encode(None)
