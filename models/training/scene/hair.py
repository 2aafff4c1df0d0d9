"""What people wear on their heads: hair, hats, scarves, painted around the average face."""

from dataclasses import dataclass

import cv2
import numpy as np

from scene.canvas import (
    ACROSS,
    MIDDLE,
    SIDE,
    X,
    Y,
    blurred,
    clouds,
    ellipse,
    filled,
    over,
    rounded,
    softened,
    symmetric,
)
from scene.looks import Floats

EYES_Y = 88.0
SIZE = (SIDE, SIDE)
# How far hair comes down beside the face.
ENDS = {"short": 92.0, "curly": 106.0, "bun": 88.0, "long": 122.0}
LOCK = (
    (27, 58), (33, 66), (27, 96), (25, 130), (30, 165), (38, 200), (30, 232), (12, 228), (6, 185), (8, 125), (14, 80),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Hair:
    """How somebody wears their hair; lengths in canvas pixels, colours BGR 0..255."""

    style: str
    """short, long, bun, curly, shaved, beanie, cap or scarf."""
    colour: tuple[float, float, float]
    line: float = 54.0
    """Height of the hairline (or the hat's rim) above the eyes."""
    volume: float = 5.0
    parting: float = 0.0
    """Where strands part: -30 (left) to 30."""


def dressed(head: Floats, hair: Hair, random: np.random.Generator) -> Floats:
    """Put hair or hat on a painted head (288,288,4)."""
    if hair.style in {"beanie", "cap"}:
        return _hat(head, hair, random)
    if hair.style == "scarf":
        return _scarf(head, hair, random)
    streaks = _streaks(hair, random)
    strands = _coloured(hair, streaks)
    line = EYES_Y - hair.line
    if hair.style == "shaved":
        stubble = softened(filled(_fringe(7, 24, line, 86, hair.parting)), 3 * streaks, 7) * 0.62
        return over(head, np.dstack([strands, stubble * head[..., 3]]))
    top, side = 7 - hair.volume, 20 - hair.volume / 2
    ragged = 2.2 * streaks + 2 * clouds(random, SIZE, 8) if hair.style == "curly" else 1.5 * streaks
    front = softened(filled(_fringe(top, side, line, ENDS[hair.style], hair.parting)), ragged, 2.2)
    shaded = _shaded(head, front, 4, 0.28)
    if hair.style == "long":
        shaded = _long(shaded, strands, ragged, top, side)
    return over(shaded, np.dstack([strands, front]))


def _long(head: Floats, strands: Floats, ragged: Floats, top: float, side: float) -> Floats:
    half = (
        (80, top), (52, top + 4), (32, top + 17), (side + 1, 50), (side - 4, 95), (side - 7, 150),
        (side - 6, 200), (side + 4, 228), (36, 236), (52, 190), (80, 120),
    )  # fmt: skip
    behind = np.dstack([strands * 0.55, softened(filled(symmetric(half)), ragged, 2)])
    locks = filled(rounded(LOCK), rounded(tuple((2 * MIDDLE - x, y) for x, y in LOCK)))
    return over(over(behind, head), np.dstack([strands * 0.92, softened(locks, ragged, 2.2)]))


def _hat(head: Floats, hair: Hair, random: np.random.Generator) -> Floats:
    colour = np.array(hair.colour, np.float32)
    line = EYES_Y - hair.line
    half = ((80, -10), (55, -7), (34, 5), (19, 28), (16, line + 12), (40, line + 6), (80, line + 4))
    shape = blurred(filled(symmetric(half)), 0.8)
    if hair.style == "beanie":
        ribs = 0.9 + 0.1 * np.sin(X * 1.1 + 2 * np.sin(Y / 9))
        turn_up = blurred((line - 22 < Y - 0.0036 * ACROSS**2).astype(np.float32), 1.0)
        tone = ribs * (1 + 0.16 * turn_up) + 0.04 * random.normal(size=(SIDE, SIDE))
    else:
        visor = blurred(ellipse(MIDDLE, line + 2, 58, 13), 0.8)
        shape = np.maximum(shape, visor)
        tone = (0.95 + 0.03 * random.normal(size=(SIDE, SIDE))) * (1 - 0.35 * visor)
        tone *= 1 - 0.12 * np.exp(-(((ACROSS - 22 - 0.1 * Y) / 1.2) ** 2))
    tone = tone * (1 - 0.45 * np.clip(ACROSS / 72, 0, 1) ** 2.2)
    temple = rounded(((20, 40), (29, 40), (29, 70), (26, 90), (21, 94), (18, 70)))
    sides = blurred(filled(temple, temple * (-1, 1) + (2 * MIDDLE, 0)), 2)
    dark = np.broadcast_to(np.array([28, 32, 40], np.float32), (SIDE, SIDE, 3))
    shaded = over(_shaded(head, shape, 7, 0.4), np.dstack([dark, sides]))
    return over(shaded, np.dstack([colour * tone[..., None], shape]).astype(np.float32))


def _scarf(head: Floats, hair: Hair, random: np.random.Generator) -> Floats:
    line = EYES_Y - hair.line
    outer = (
        (80, -6), (52, -2), (28, 16), (14, 52), (12, 110), (19, 158), (28, 190), (18, 222), (-20, 262), (-40, 300),
        (80, 300),
    )  # fmt: skip
    inner = ((80, line), (52, line + 4), (34, line + 22), (28, 88), (29, 126), (38, 158), (56, 183), (80, 191))
    hole = blurred(filled(symmetric(inner)), 1.0)
    shape = blurred(filled(symmetric(outer)), 0.9) * (1 - hole)
    away, angle = np.hypot(X - MIDDLE, (Y - 95) * 0.8), np.arctan2(Y - 95, X - MIDDLE)
    folds = 0.9 + 0.09 * np.sin(away / 5.5 + 3 * np.sin(2 * angle)) + 0.02 * clouds(random, SIZE, 24)
    folds *= 1 - 0.4 * np.clip(ACROSS / 80, 0, 1) ** 2
    folds *= 1 - 0.3 * blurred(hole, 9)
    shaded = _shaded(head, shape, 3, 0.35)
    return over(shaded, np.dstack([np.array(hair.colour, np.float32) * folds[..., None], shape]).astype(np.float32))


def _fringe(top: float, side: float, line: float, ends: float, parting: float) -> Floats:
    """Return the outline of hair down to `ends` beside the face; it falls from the parting."""
    outer = ((80, top), (58, top + 2), (39, top + 13), (side + 7, top + 31), (side + 1, 62), (side + 3, ends))
    left, right = line + max(0.0, parting) * 0.5, line + max(0.0, -parting) * 0.5
    inner_left = ((26, ends), (29, 80), (31, left + 30), (38, left + 12), (50, left + 2), (64, line - 1))
    inner_right = ((96, line - 1), (110, right + 2), (122, right + 12), (129, right + 30), (131, 80), (134, ends))
    mirrored = tuple((2 * MIDDLE - x, y) for x, y in reversed(outer[1:]))
    return rounded((*outer, *inner_left, (80 + parting / 2, line - 3), *inner_right, *mirrored))


def _streaks(hair: Hair, random: np.random.Generator) -> Floats:
    """Return streaks (288,288) of deviation about 1 that run from the parting outwards."""
    x, y = X - MIDDLE - hair.parting, Y - 2
    angle, away = np.arctan2(x, y + 30), np.hypot(x, y)
    curl, length = (0.14, 5.0) if hair.style == "curly" else (0.025, 19.0)
    column = ((angle + curl * np.sin(away / length + 4 * angle) + np.pi) / (2 * np.pi) * 511).astype(np.float32)
    row = np.clip(away / 260 * 63, 0, 63).astype(np.float32)
    streaks = np.zeros((SIDE, SIDE), np.float32)
    for fineness, weight in ((30, 0.4), (80, 0.4), (200, 0.35)):
        noise = random.normal(size=(7, fineness * 2)).astype(np.float32)
        noise = np.asarray(cv2.resize(noise, (512, 64), interpolation=cv2.INTER_CUBIC), np.float32)
        streaks += weight * cv2.remap(noise, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return streaks


def _coloured(hair: Hair, streaks: Floats) -> Floats:
    away = np.hypot(X - MIDDLE - hair.parting, Y - 2)
    gloss = np.exp(-(((away - 34) / 15) ** 2)) * np.clip(1 - ACROSS / 80, 0, 1)
    tone = (0.85 + 0.2 * streaks + 0.22 * gloss) * (1 - 0.4 * np.clip(ACROSS / 75, 0, 1) ** 2)
    colour = np.array(hair.colour, np.float32) * np.clip(tone, 0.25, 2)[..., None]
    return np.asarray(np.clip(colour + 4 * np.clip(streaks, 0, 2)[..., None], 0, 255), np.float32)


def _shaded(head: Floats, above: Floats, drop: int, depth: float) -> Floats:
    """Return the head in the soft shadow of what lies on it."""
    shadow = blurred(np.roll(above, drop, axis=0), 4)
    return np.asarray(head * np.dstack([*[1 - depth * shadow] * 3, np.ones_like(shadow)]), np.float32)
