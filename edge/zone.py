"""The zone of recognition: which part of the picture faces may be found in, as the operator drew it.

A polygon in shares of the picture, so that another resolution does not move it. A face belongs to it when the
middle of its box does: that point moves least from frame to frame and from one detector to another.

What lies outside is ignored before anything else is done with it. It is not even searched, but for a margin
around the zone's own width and height: a face whose middle is just inside has to be seen whole to be found.
Nor is it counted: a number of faces elsewhere is none of the deployment's business, and could not be right,
since most of what is elsewhere is never looked at.
"""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from edge.faces.pixels import Area, Pixels

Corner = tuple[float, float]
"""Share of the picture's width from the left, share of its height from the top."""

MARGIN = 0.06
"""What is searched around the zone, in shares of the picture's longer side: half of the largest usual face."""
MOST_CORNERS = 64
LEAST_SHARE = 0.001
"""Of the picture: 45 x 45 pixels at 1080p, smaller than which no zone is meant."""


@dataclass(frozen=True)
class Zone:
    """A polygon that does not cross itself; the last corner is joined to the first."""

    corners: tuple[Corner, ...]

    def __post_init__(self) -> None:
        """Refuse what is no zone, naming what is wrong with it."""
        problem = _problem(self.corners)
        if problem:
            raise ValueError(f"the zone {problem}")

    @property
    def share(self) -> float:
        """Return how much of the picture it covers, 0..1."""
        return abs(_signed_area(self.corners))

    def holds(self, boxes: NDArray[np.float32], pixels: Pixels) -> NDArray[np.bool_]:
        """Say of each box (n,4), left, top, width, height in pixels, whether its middle lies inside."""
        x, y = ((boxes[:, :2] + boxes[:, 2:] / 2) / [pixels.width, pixels.height]).T
        inside = np.zeros(len(boxes), bool)
        # A ray to the right crosses the sides an odd number of times from within.
        for (ax, ay), (bx, by) in _sides(self.corners):
            if ay != by:
                inside ^= ((ay > y) != (by > y)) & (x < ax + (y - ay) / (by - ay) * (bx - ax))
        return inside

    def searched(self, pixels: Pixels) -> Area:
        """Return the part of a picture that has to be searched, with even corners."""
        size = np.array([pixels.width, pixels.height])
        shares = np.array(self.corners)
        margin = MARGIN * size.max()
        low, high = shares.min(axis=0) * size - margin, shares.max(axis=0) * size + margin
        return Area.around(np.floor(low / 2) * 2, np.ceil(high / 2) * 2, pixels)


def _problem(corners: tuple[Corner, ...]) -> str:
    """Say what makes these corners no zone; nothing where they are one."""
    if not 3 <= len(corners) <= MOST_CORNERS:
        return f"has {len(corners)} corners: a polygon has 3, and at most {MOST_CORNERS}"
    for number, (x, y) in enumerate(corners, start=1):
        if not (0 <= x <= 1 and 0 <= y <= 1):
            return f"has corner {number} outside the picture, at [{x:g}, {y:g}]: corners are shares of it, 0 to 1"
    sides = _sides(corners)
    for number, (begin, end) in enumerate(sides, start=1):
        if math.dist(begin, end) == 0:
            return f"has corners {number} and {number % len(corners) + 1} in the same place"
    for (first, one), (second, other) in combinations(enumerate(sides, start=1), 2):
        if _cross(one, other, joined=second - first in {1, len(sides) - 1}):
            return f"crosses itself: the side after corner {first} meets the one after corner {second}"
    if abs(_signed_area(corners)) < LEAST_SHARE:
        return f"covers less than {100 * LEAST_SHARE:g} % of the picture"
    return ""


def _sides(corners: tuple[Corner, ...]) -> list[tuple[Corner, Corner]]:
    return list(zip(corners, (*corners[1:], corners[0]), strict=True))


def _signed_area(corners: tuple[Corner, ...]) -> float:
    """Return the area by the shoelace formula, positive for corners in the order of a clock's hands."""
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in _sides(corners)) / 2


def _cross(one: tuple[Corner, Corner], other: tuple[Corner, Corner], *, joined: bool) -> bool:
    """Say whether two sides meet other than in the corner that joins neighbours."""
    (a, b), (c, d) = one, other
    of_c, of_d, of_a, of_b = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if joined:
        # Neighbours share a corner; they meet elsewhere only where one runs back along the other.
        shared, ends = (b, (a, d)) if b == c else (a, (b, c))
        return of_c == of_d == 0 and _dot(shared, *ends) > 0
    if of_c * of_d < 0 and of_a * of_b < 0:
        return True
    touching = ((of_c, one, c), (of_d, one, d), (of_a, other, a), (of_b, other, b))
    return any(turn == 0 and _dot(point, *side) <= 0 for turn, side, point in touching)


def _turn(a: Corner, b: Corner, point: Corner) -> float:
    """Return on which side of the line from a to b a point lies; 0 on it, rounding aside."""
    turn = (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0])
    return 0.0 if abs(turn) < 1e-12 else turn


def _dot(point: Corner, a: Corner, b: Corner) -> float:
    """Return the scalar product of the ways from a point to a and to b; negative for one between them."""
    return (a[0] - point[0]) * (b[0] - point[0]) + (a[1] - point[1]) * (b[1] - point[1])
