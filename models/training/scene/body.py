"""What people wear below the neck, seen from the front.

Bodies are painted at BODY_PX_PER_M; corners are metres, x to the viewer's right of the middle, y down from a
point 55 mm above the eyes.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scene.canvas import Corners, blurred, clouds, filled, over, rounded, symmetric
from scene.looks import Floats

BODY_PX_PER_M = 600.0
BODY_SIZE = (444, 620)
ORIGIN = (222.0, 20.0)
# Where the eyes would be on that picture.
EYES_ABOVE_BODY = (222.0, 20.0 + 0.055 * BODY_PX_PER_M)
SLIMNESS = 0.87
TORSO: Corners = (
    (0, 0.168), (-0.05, 0.170), (-0.085, 0.197), (-0.150, 0.222), (-0.212, 0.250), (-0.250, 0.300), (-0.262, 0.400),
    (-0.262, 0.560), (-0.240, 0.620), (-0.218, 0.780), (-0.226, 0.930), (-0.120, 0.945), (0, 0.948),
)  # fmt: skip
ARM: Corners = (
    (-0.205, 0.262), (-0.250, 0.290), (-0.276, 0.380), (-0.296, 0.560), (-0.300, 0.720), (-0.288, 0.800),
    (-0.236, 0.802), (-0.226, 0.720), (-0.224, 0.560), (-0.204, 0.420),
)  # fmt: skip
HAND: Corners = ((-0.284, 0.790), (-0.240, 0.790), (-0.236, 0.840), (-0.256, 0.882), (-0.280, 0.860))
NECKLINES: dict[str, Corners] = {
    "coat": ((0, 0.430), (-0.030, 0.330), (-0.062, 0.225), (-0.072, 0.140), (0, 0.120)),
    "jacket": ((0, 0.215), (-0.036, 0.195), (-0.058, 0.165), (-0.066, 0.130), (0, 0.120)),
    "jumper": ((0, 0.205), (-0.040, 0.196), (-0.068, 0.172), (-0.078, 0.130), (0, 0.120)),
    "hoodie": ((0, 0.240), (-0.044, 0.215), (-0.074, 0.178), (-0.080, 0.130), (0, 0.120)),
}
LAPEL: Corners = (
    (-0.074, 0.172),
    (-0.115, 0.260),
    (-0.098, 0.300),
    (-0.006, 0.470),
    (-0.002, 0.400),
    (-0.058, 0.210),
)
COLLAR: Corners = ((-0.070, 0.160), (-0.046, 0.205), (-0.002, 0.240), (-0.030, 0.285), (-0.080, 0.215))
HOOD: Corners = (
    (0, 0.262), (-0.060, 0.232), (-0.084, 0.190), (-0.080, 0.172), (-0.098, 0.180), (-0.130, 0.218), (-0.100, 0.262),
    (0, 0.300),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Clothes:
    """What somebody wears; colours BGR 0..255."""

    style: str
    """coat, jacket, jumper or hoodie."""
    colour: tuple[float, float, float]
    shirt: tuple[float, float, float] = (205, 205, 205)
    trousers: tuple[float, float, float] = (70, 58, 50)


def torso(clothes: Clothes, skin: Floats, random: np.random.Generator) -> Floats:
    """Paint the upper body with arms (620,444,4), open at the neck."""
    rows, columns = np.mgrid[: BODY_SIZE[1], : BODY_SIZE[0]].astype(np.float32)
    x, y = (columns - ORIGIN[0]) / BODY_PX_PER_M, (rows - ORIGIN[1]) / BODY_PX_PER_M
    opening = blurred(_shape(_whole(NECKLINES[clothes.style])), 1.0)
    trunk = _cloth(clothes.colour, _shape(_whole(TORSO)) * (1 - opening), x, random)
    trunk[..., :3] *= (0.72 + 0.28 * np.clip((y - 0.15) / 0.10, 0, 1))[..., None]
    painted = np.zeros((BODY_SIZE[1], BODY_SIZE[0], 4), np.float32)
    for side in (-1, 1):
        hand = np.dstack([np.ones_like(trunk[..., :3]) * skin * 0.8, _shape(_sided(HAND, side))])
        painted = over(painted, hand)
    if clothes.style == "coat":
        shirt = _shape(_whole(TORSO)) * (1 - blurred(_shape(_whole(NECKLINES["jacket"])), 1.0))
        painted = over(painted, _cloth(clothes.shirt, shirt, x, random))
    painted = over(painted, trunk)
    for side in (-1, 1):
        arm = _cloth(clothes.colour, _shape(_sided(ARM, side)), (x - side * 0.252 * SLIMNESS) * 3.6, random)
        seam = blurred(arm[..., 3], 5)
        painted[..., :3] *= (1 - 0.35 * seam * (1 - arm[..., 3]))[..., None]
        painted = over(painted, arm)
    return _details(painted, clothes, x, y, random)


def legs(clothes: Clothes, stride: float, height_m: float) -> Floats:
    """Paint legs in mid-stride (h,w,4) at a third of the body's scale; stride in -1..1, eyes at height_m."""
    scale = BODY_PX_PER_M / 3
    size = (int(0.8 * scale), int((height_m + 0.1) * scale))
    painted = np.zeros((size[1], size[0], 4), np.float32)
    for side in sorted((-1, 1), key=lambda s: s * stride):
        lifted = 0.10 * max(0.0, -side * stride)
        foot = height_m - 0.03 - lifted
        leg = (
            (side * 0.10 - 0.09, 0.80), (side * 0.10 + 0.09, 0.80), (side * 0.09 + 0.062, foot - 0.35),
            (side * 0.085 + 0.05, foot - 0.02), (side * 0.085 - 0.05, foot - 0.02),
            (side * 0.09 - 0.062, foot - 0.35),
        )  # fmt: skip
        shoe = (
            (side * 0.09 - 0.048, foot - 0.04), (side * 0.09 + 0.048, foot - 0.04),
            (side * 0.10 + 0.055, foot + 0.04), (side * 0.10 - 0.050, foot + 0.04),
        )  # fmt: skip
        dark = 0.62 if lifted else 0.95
        for corners, colour in ((shoe, (34.0, 34.0, 38.0)), (leg, clothes.trousers)):
            outline = np.array(corners, np.float32) * scale
            shape = filled(outline, size=size, origin=(size[0] / 2, 0))
            shade = dark * (1 - 0.3 * np.abs(np.linspace(-1, 1, size[0], dtype=np.float32)) ** 0.5)
            tissue = np.ones((*shape.shape, 3), np.float32) * np.array(colour, np.float32) * shade[None, :, None]
            painted = over(painted, np.dstack([tissue, shape]))
    return painted


def _details(painted: Floats, clothes: Clothes, x: Floats, y: Floats, random: np.random.Generator) -> Floats:
    darker = tuple(0.8 * c for c in clothes.colour)
    if clothes.style == "coat":
        for side in (-1, 1):
            painted = over(painted, _cloth(clothes.shirt, _shape(_sided(COLLAR, side)), x * 2, random))
        for side in (-1, 1):
            lapel = _cloth(clothes.colour, _shape(_sided(LAPEL, side)), x * 2, random)
            painted[..., :3] *= (1 - 0.35 * blurred(lapel[..., 3], 4))[..., None]
            painted = over(painted, lapel)
        painted = _line(painted, np.abs(x + 0.004), y > 0.44)
        for button in (0.52, 0.66, 0.80):
            dot = np.clip(6 - np.hypot(x - 0.022, y - button) * BODY_PX_PER_M, 0, 1)
            painted[..., :3] *= (1 - 0.6 * dot)[..., None]
    elif clothes.style == "jacket":
        painted = _line(painted, np.abs(x), y > 0.20)
        collar = (
            (-0.066, 0.162),
            (-0.092, 0.184),
            (-0.070, 0.225),
            (-0.006, 0.240),
            (-0.010, 0.215),
            (-0.056, 0.180),
        )
        for side in (-1, 1):
            painted = over(painted, _cloth(clothes.colour, _shape(_sided(collar, side)), x * 4, random))
    elif clothes.style == "hoodie":
        painted = over(painted, _cloth(clothes.colour, _shape(_whole(HOOD)), x * 4, random))
        for side in (-1, 1):
            cord = np.clip(2.4 - np.abs(x - side * (0.04 + 0.03 * (y - 0.27))) * BODY_PX_PER_M, 0, 1)
            cord *= (y > 0.262) & (y < 0.40)
            painted = over(painted, np.dstack([np.full((*x.shape, 3), 205, np.float32), cord]))
    else:
        inner = _shape(_whole(NECKLINES["jumper"]))
        rim = np.clip(blurred(inner, 5) * 3, 0, 1) * (1 - inner) * painted[..., 3]
        painted = over(painted, np.dstack([np.ones_like(painted[..., :3]) * np.array(darker, np.float32), rim]))
    return painted


def _cloth(colour: tuple[float, ...], shape: Floats, across: Floats, random: np.random.Generator) -> Floats:
    """Return cloth with folds; `across` is -0.27..0.27 over its roundness."""
    tall = (BODY_SIZE[0], BODY_SIZE[1] // 5)
    folds = cv2.resize(clouds(random, tall, 60) + 0.5 * clouds(random, tall, 30), BODY_SIZE)
    shear = np.array([[1, 0.3, -90], [0, 1, 0]], np.float32)
    sheared = cv2.warpAffine(folds, shear, BODY_SIZE, borderMode=cv2.BORDER_REFLECT)
    tone = 0.96 + 0.045 * sheared + 0.015 * random.normal(size=shape.shape)
    tone = tone * (1 - 0.42 * np.clip(np.abs(across) / 0.27, 0, 1.2) ** 2.2)
    tissue = np.ones((*shape.shape, 3)) * np.array(colour) * np.clip(tone, 0.15, 1.4)[..., None]
    return np.dstack([np.clip(tissue, 0, 255), shape]).astype(np.float32)


def _line(painted: Floats, distance: Floats, where: NDArray[np.bool_]) -> Floats:
    painted[..., :3] *= (1 - 0.5 * np.clip(1.6 - distance * BODY_PX_PER_M, 0, 1) * where)[..., None]
    return painted


def _shape(outline: Floats) -> Floats:
    return filled(outline, size=BODY_SIZE, origin=ORIGIN)


def _whole(half: Corners) -> Floats:
    return _slim(symmetric(half, middle=0))


def _sided(corners: Corners, side: int) -> Floats:
    """Return a shape of the left (-1) or right (1) half."""
    return _slim(rounded(corners) * (-side, 1))


def _slim(outline: Floats) -> Floats:
    return np.asarray(outline * (SLIMNESS * BODY_PX_PER_M, BODY_PX_PER_M), np.float32)
