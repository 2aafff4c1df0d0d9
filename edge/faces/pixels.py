"""A picture as detection and alignment read it, whoever made it: whole BGR, or the planes of a decoder.

Theory of operation. A decoder gives brightness (Y) and, at half the size, two colour differences (U, V). The
search wants a small picture and a face a small cut-out, so BGR is made of those alone (at 1080p 0.9 million
pixels and 0.02 million, of 2.1). Each conversion here is the same arithmetic on another part, so a cut-out
equals the same part of the whole, pixel by pixel.

Enrolment's photographs come as BGR from a JPEG decoder, which spreads the colour differences linearly, as
`Planes` does. FFmpeg's quick way repeats each of them, which is up to 20 grey levels beside it at an edge.

What is given out of `Bgr` may be the picture itself: who keeps it copies it. Planes belong to the decoder and
are never written to.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""(h,w,3) uint8 BGR."""


@dataclass(frozen=True)
class Area:
    """A part of a picture, in whole pixels; right and bottom are the first beyond it."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def around(cls, low: NDArray[np.floating], high: NDArray[np.floating], pixels: "Pixels") -> "Area":
        """Return the pixels from `low` (x,y) up to `high`, as far as the picture has them, and at least one."""
        edge = np.array([pixels.width, pixels.height])
        first = np.clip(low, 0, edge - 1).astype(int)
        left, top = first.tolist()
        right, bottom = np.clip(high, first + 1, edge).astype(int).tolist()
        return cls(left, top, right, bottom)

    @property
    def width(self) -> int:
        """Return how many pixels it is wide."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Return how many pixels it is high."""
        return self.bottom - self.top

    @property
    def corner(self) -> NDArray[np.float32]:
        """Return the left upper corner (2,): x, y."""
        return np.array([self.left, self.top], np.float32)


class Pixels(Protocol):
    """A picture of which parts can be had as BGR."""

    @property
    def width(self) -> int:
        """Return how many pixels it is wide."""

    @property
    def height(self) -> int:
        """Return how many pixels it is high."""

    def shrunk(self, max_side: int | None) -> Image:
        """Return the whole as BGR, for the search: neither side longer than `max_side`."""

    def region(self, area: Area) -> Image:
        """Return a part as BGR, at full size; it may be a view."""

    def window(self, area: Area) -> "Pixels":
        """Return a part as a picture of its own, without turning anything into BGR; left and top are even."""


@dataclass(frozen=True, eq=False)
class Bgr:
    """A picture that is BGR already: a photograph, or a frame of a reader that gives nothing else."""

    image: Image

    def __post_init__(self) -> None:
        """Refuse what is no BGR picture."""
        image = self.image
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"a picture is (h,w,3) uint8, got {image.shape} {image.dtype}")

    @property
    def width(self) -> int:
        """Return how many pixels it is wide."""
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        """Return how many pixels it is high."""
        return int(self.image.shape[0])

    def shrunk(self, max_side: int | None) -> Image:
        """Return the whole, resized linearly."""
        size = _size(self, max_side)
        return self.image if size == (self.width, self.height) else _resized(self.image, size)

    def region(self, area: Area) -> Image:
        """Return a part, as a view."""
        return self.image[area.top : area.bottom, area.left : area.right]

    def window(self, area: Area) -> "Bgr":
        """Return a part as a picture, as a view."""
        return Bgr(self.region(area))


@dataclass(frozen=True)
class Colours:
    """How Y, U and V stand for red, green and blue (ITU-R BT.601, BT.709, BT.2020: the luma coefficients)."""

    red: float
    blue: float
    full_range: bool = False
    """Whether black is 0 and white 255 (JPEG, many cameras), or 16 and 235, with U and V in 16..240."""

    @cached_property
    def of_full_range(self) -> "Colours":
        """Return the same in the full range."""
        return replace(self, full_range=True)

    @cached_property
    def matrix(self) -> NDArray[np.float64]:
        """Return the (3,4) matrix from Y, U, V, 1 to B, G, R, all 0..255."""
        black, bright, vivid = (0.0, 1.0, 1.0) if self.full_range else (16.0, 255 / 219, 255 / 224)
        green = 1 - self.red - self.blue
        of_u, of_v = 2 * (1 - self.blue) * vivid, 2 * (1 - self.red) * vivid
        mixed = np.array(
            [
                [bright, of_u, 0.0],
                [bright, -self.blue / green * of_u, -self.red / green * of_v],
                [bright, 0.0, of_v],
            ]
        )
        return np.column_stack([mixed, -mixed @ [black, 128.0, 128.0]])


BT601 = Colours(0.299, 0.114)
BT709 = Colours(0.2126, 0.0722)
BT2020 = Colours(0.2627, 0.0593)


@dataclass(frozen=True, eq=False)
class Planes:
    """A picture as its decoder left it: y (h,w) uint8, u and v of the same size or half of it, rounded up."""

    y: Image
    u: Image
    v: Image
    colours: Colours

    def __post_init__(self) -> None:
        """Refuse planes that do not fit each other."""
        high, wide = self.y.shape
        fitting = {(-(-high // down), -(-wide // across)) for down in (1, 2) for across in (1, 2)}
        if self.u.shape not in fitting or self.v.shape != self.u.shape:
            raise ValueError(
                f"planes of {self.y.shape} have u and v {sorted(fitting)}, got {self.u.shape} {self.v.shape}"
            )

    @property
    def width(self) -> int:
        """Return how many pixels it is wide."""
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        """Return how many pixels it is high."""
        return int(self.y.shape[0])

    def shrunk(self, max_side: int | None) -> Image:
        """Return the whole as BGR, each plane resized linearly first: only so many pixels are converted."""
        size = _size(self, max_side)
        if size == (self.width, self.height):
            return whole(self)
        return self._converted(*(_resized(plane, size) for plane in (self.y, self.u, self.v)))

    def region(self, area: Area) -> Image:
        """Return a part as BGR, with a share of U and V in each pixel by its distance from them."""
        y = self.y[area.top : area.bottom, area.left : area.right]
        return self._converted(y, self._spread(self.u, area), self._spread(self.v, area))

    def window(self, area: Area) -> "Planes":
        """Return a part as planes, as views; its corner has to be where a colour difference has its corner."""
        across, down = self._shares
        if area.left % across or area.top % down:
            raise ValueError(f"a window begins at even pixels, got {area}")
        rows = slice(area.top // down, -(-area.bottom // down))
        columns = slice(area.left // across, -(-area.right // across))
        y = self.y[area.top : area.bottom, area.left : area.right]
        return Planes(y, self.u[rows, columns], self.v[rows, columns], self.colours)

    @cached_property
    def _shares(self) -> tuple[int, int]:
        """Return how many pixels share a colour difference, across and down: 1 or 2."""
        return -(-self.width // self.u.shape[1]), -(-self.height // self.u.shape[0])

    def _spread(self, plane: Image, area: Area) -> Image:
        """Return U or V for each pixel of a part; one more on each side, so that a cut changes nothing."""
        across, down = self._shares
        left, top = max(0, area.left // across - 1), max(0, area.top // down - 1)
        part = plane[top : -(-area.bottom // down) + 1, left : -(-area.right // across) + 1]
        if (across, down) != (1, 1):
            part = _resized(part, (part.shape[1] * across, part.shape[0] * down))
        left, top = area.left - left * across, area.top - top * down
        return part[top : top + area.height, left : left + area.width]

    def _converted(self, y: Image, u: Image, v: Image) -> Image:
        # Cut-outs are copied first: OpenCV merges six times faster what lies in one piece.
        mixed = cv2.merge([np.ascontiguousarray(plane) for plane in (y, u, v)])
        return np.asarray(cv2.transform(mixed, self.colours.matrix), np.uint8)


def as_pixels(picture: Pixels | Image) -> Pixels:
    """Return a picture as pixels; an array is (h,w,3) uint8 BGR."""
    return Bgr(picture) if isinstance(picture, np.ndarray) else picture


def whole(pixels: Pixels) -> Image:
    """Return all of a picture as BGR at full size: the dear way to look at it, for people and for tests."""
    return pixels.region(Area(0, 0, pixels.width, pixels.height))


def _size(pixels: Pixels, max_side: int | None) -> tuple[int, int]:
    """Return width and height of a picture shrunk to `max_side`."""
    scale = max_side / max(pixels.width, pixels.height) if max_side else 1.0
    if scale >= 1.0:
        return pixels.width, pixels.height
    return max(1, round(pixels.width * scale)), max(1, round(pixels.height * scale))


def _resized(image: Image, size: tuple[int, int]) -> Image:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
