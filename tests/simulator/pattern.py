"""Videos whose every frame carries its number in its pixels, readable after compression."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

_BITS = 16


def numbered(number: int, width: int = 320, height: int = 240) -> Image:
    """Draw one frame: its number as 16 blocks along the top, and texture that moves beneath."""
    image = np.roll(_texture(width, height), (2 * number, 3 * number), (0, 1))
    block = width // _BITS
    for bit in range(_BITS):
        image[: height // 8, bit * block : (bit + 1) * block] = 232 if number >> bit & 1 else 24
    return image


@lru_cache
def _texture(width: int, height: int) -> Image:
    rows, columns = np.mgrid[0:height, 0:width]
    levels = 96 + 48 * np.sin(columns / 17) + 48 * np.cos(rows / 23)
    return np.repeat(levels.astype(np.uint8)[..., None], 3, axis=2)


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
    encoder: Literal["libx264", "libx265"] = "libx264",
    more: Mapping[str, str] = MappingProxyType({}),
    **x264: str,
) -> Path:
    """Write numbered frames as H.264 (or `libx265`); an mp4 has its index in front: a cut copy still begins."""
    options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(encoder, rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"g": str(key_every), "preset": "ultrafast", "crf": "20", **x264, **more}
        for packet in _encoded(stream, frames, size):
            container.mux(packet)
    return path


def _encoded(stream: Any, frames: int, size: tuple[int, int]) -> Iterator[Any]:
    for number in range(frames):
        yield from stream.encode(av.VideoFrame.from_ndarray(numbered(number, *size), format="bgr24"))
    yield from stream.encode(None)
