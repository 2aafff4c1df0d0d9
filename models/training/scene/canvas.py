"""Painting in floats: shapes, edges, layers.

A painting is (h,w,4) float32: BGR 0..255 and opacity 0..1. Heads are painted on a square canvas (side 288,
eyes 48 apart, the face's frame at ORIGIN); corners of shapes on it are in the face's frame.
"""

import cv2
import numpy as np

from scene.looks import Floats

SIDE = 288
ORIGIN_X, ORIGIN_Y = 64, 48
MIDDLE = 80.0
Corners = tuple[tuple[float, float], ...]

# Column and row of every pixel of the canvas, in the face's frame.
X, Y = np.meshgrid(np.arange(SIDE, dtype=np.float32) - ORIGIN_X, np.arange(SIDE, dtype=np.float32) - ORIGIN_Y)
ACROSS: Floats = np.abs(X - MIDDLE)


def over(below: Floats, above: Floats) -> Floats:
    """Lay one painting over another."""
    cover = above[..., 3:]
    opacity = cover + below[..., 3:] * (1 - cover)
    colours = above[..., :3] * cover + below[..., :3] * below[..., 3:] * (1 - cover)
    return np.asarray(np.dstack([colours / np.maximum(opacity, 1e-4), opacity]), np.float32)


def rounded(corners: Corners, *, closed: bool = True) -> Floats:
    """Return a smooth curve (n,2) through corners (Catmull-Rom)."""
    points = np.array(corners, np.float32)
    ends = (points[-1:], points[:2]) if closed else (points[:1], points[-1:])
    ring = np.vstack([ends[0], points, ends[1]])
    t = np.linspace(0, 1, 12, endpoint=False, dtype=np.float32)[:, None]
    pieces = [
        b + 0.5 * t * ((c - a) + t * (2 * a - 5 * b + 4 * c - d + t * (3 * b - a - 3 * c + d)))
        for a, b, c, d in zip(ring, ring[1:], ring[2:], ring[3:], strict=False)
    ]
    return np.asarray(np.vstack(pieces if closed else [*pieces, points[-1:]]), np.float32)


def symmetric(half: Corners, middle: float = MIDDLE) -> Floats:
    """Return the closed curve whose left half runs through corners."""
    left = rounded(half, closed=False)
    return np.concatenate([left, left[::-1] * (-1, 1) + (2 * middle, 0)]).astype(np.float32)


def filled(
    *outlines: Floats, size: tuple[int, int] = (SIDE, SIDE), origin: tuple[float, float] = (ORIGIN_X, ORIGIN_Y)
) -> Floats:
    """Return the opacity (h,w) of filled outlines, smooth at the edge; size is width and height."""
    big = np.zeros((size[1] * 4, size[0] * 4), np.uint8)
    for outline in outlines:
        cv2.fillPoly(big, [((outline + origin) * 4).round().astype(np.int32)], 255)
    return np.asarray(cv2.resize(big, size, interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)


def ellipse(x: float, y: float, across: float, down: float) -> Floats:
    """Return the opacity of an ellipse on the head's canvas."""
    inward = (1 - np.hypot((X - x) / across, (Y - y) / down)) * min(across, down)
    return np.asarray(np.clip(inward + 0.5, 0, 1), np.float32)


def softened(shape: Floats, ragged: Floats, edge: float) -> Floats:
    """Return a shape whose outline wanders by `ragged` (h,w) pixels and is `edge` pixels soft."""
    inside = (shape > 0.5).astype(np.uint8)
    outward = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 5) - outward
    return np.asarray(np.clip((distance + ragged) / (2 * edge) + 0.5, 0, 1), np.float32)


def clouds(random: np.random.Generator, size: tuple[int, int], coarse: float) -> Floats:
    """Return smooth noise (h,w) of deviation 1, its lumps about `coarse` pixels wide."""
    small = (max(4, int(size[1] / coarse * 2)), max(4, int(size[0] / coarse * 2)))
    noise = cv2.resize(random.normal(size=small).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(noise / noise.std(), np.float32)


def blurred(picture: Floats, sigma: float) -> Floats:
    """Return a picture with every detail smaller than `sigma` pixels gone."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)


def moved(painted: Floats, across: Floats, down: Floats) -> Floats:
    """Return a painting whose pixel at x shows what lies at x + (across, down), in pixels."""
    columns, rows = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in painted.shape[1::-1]))
    result = cv2.remap(
        painted,
        (columns + across).astype(np.float32),
        (rows + down).astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(np.clip(result, 0, (255, 255, 255, 1)), np.float32)
