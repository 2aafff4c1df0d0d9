"""A head of somebody who does not exist: face, ears, neck and hair; bent into shape, turned, and lit."""

from dataclasses import dataclass

import cv2
import numpy as np

from scene.canvas import (
    ACROSS,
    MIDDLE,
    ORIGIN_X,
    ORIGIN_Y,
    SIDE,
    X,
    Y,
    blurred,
    ellipse,
    filled,
    moved,
    over,
    symmetric,
)
from scene.face_model import FaceModel
from scene.hair import Hair, dressed
from scene.looks import HEIGHT, WIDTH, Floats
from scene.registration import inverse

# The outline of the left half of the average head, from the chin up, without hair.
OUTLINE = (
    (80, 187), (66, 185), (54, 179), (43, 168), (34, 153), (28, 136), (25, 116), (23, 96), (23, 76),
    (26, 54), (33, 34), (45, 19), (60, 11), (80, 8),
)  # fmt: skip
NECK = ((80, 300), (-30, 300), (-10, 268), (26, 244), (37, 226), (40, 200), (42, 150), (80, 150))
# Lightness, and green-red and blue-yellow of CIE Lab, between which skin lies in neutral light.
PALEST, DARKEST = 76.0, 34.0
REDNESS, YELLOWNESS = (11.0, 17.0), (14.0, 21.0)
_ROUND = 62 * np.sqrt(np.clip(1 - (ACROSS / 70) ** 2 - ((Y - 88) / 108) ** 2, 0, 1))
_NOSE = 14 * np.exp(-((ACROSS / 11) ** 2) - ((Y - 112) / 18) ** 2)
# How far each pixel of a head lies before its axis, in pixels.
DEPTH = blurred(np.asarray(_ROUND + _NOSE, np.float32), 4)


@dataclass(frozen=True, kw_only=True)
class Pose:
    """How a head is held and lit: angles in radians, light from -1 (left) to 1, exposure about 1."""

    yaw: float = 0.0
    pitch: float = 0.0
    light: float = 0.0
    exposure: float = 1.0


def likeness(model: FaceModel, look: Floats, hair: Hair, grain: int) -> Floats:
    """Paint a head and neck (288,288,4) that looks straight ahead in even light.

    look (s+c,) is who and in which mood; `grain` seeds the strands of the hair.
    """
    face = balanced(np.clip(model.complexion(look), 0, 255))
    head = dressed(_skin(face), hair, np.random.default_rng(grain))
    flow = np.zeros((SIDE, SIDE, 2), np.float32)
    flow[ORIGIN_Y : ORIGIN_Y + HEIGHT, ORIGIN_X : ORIGIN_X + WIDTH] = model.shape(look)
    back = inverse(blurred(flow, 1.5))
    return moved(head, back[..., 0], back[..., 1])


def skin_tone(model: FaceModel, look: Floats) -> Floats:
    """Return the colour (3,) of the cheeks of a look."""
    face = balanced(np.clip(model.complexion(look), 0, 255))
    return np.asarray(np.median(face[98:128, 38:62].reshape(-1, 3), axis=0), np.float32)


def posed(head: Floats, pose: Pose) -> Floats:
    """Turn and light a head by shifting what lies nearer to the viewer more, as on an ellipsoid with a nose."""
    turned = moved(head, -np.sin(pose.yaw) * DEPTH, -np.sin(pose.pitch) * DEPTH)
    gain = pose.exposure * (1 + 0.28 * pose.light * np.clip((X - MIDDLE) / 70, -1.2, 1.2))
    turned[..., :3] = np.clip(turned[..., :3] * gain[..., None], 0, 255)
    return turned


def balanced(face: Floats) -> Floats:
    """Take the colour cast of the light, which the model learnt too, off a face: cheeks get a hue of skin."""
    cheeks = np.concatenate([face[98:128, 38:62].reshape(-1, 3), face[98:128, 98:122].reshape(-1, 3)])
    mean = np.clip(np.median(cheeks, axis=0), 8, 250).astype(np.float32)
    lightness, red, yellow = cv2.cvtColor((mean / 255).reshape(1, 1, 3), cv2.COLOR_BGR2Lab)[0, 0]
    wanted = np.array(
        [[[np.clip(lightness, DARKEST, PALEST), np.clip(red, *REDNESS), np.clip(yellow, *YELLOWNESS)]]], np.float32
    )
    return np.asarray(face * (cv2.cvtColor(wanted, cv2.COLOR_Lab2BGR)[0, 0] * 255 / mean), np.float32)


def _skin(face: Floats) -> Floats:
    """Lay a face on a head with ears and neck, whose colours continue its own."""
    colours = np.zeros((SIDE, SIDE, 3), np.float32)
    colours[ORIGIN_Y : ORIGIN_Y + HEIGHT, ORIGIN_X : ORIGIN_X + WIDTH] = face
    outline = filled(symmetric(OUTLINE))
    inner = np.asarray(cv2.erode(outline, np.ones((13, 13), np.uint8)), np.float32)
    known = blurred(inner, 4) * np.clip((Y - 24) / 18, 0, 1)
    smooth = _continued(colours, known)
    skin = smooth + (colours - smooth) * known[..., None]
    inward = np.clip(cv2.distanceTransform((outline > 0.5).astype(np.uint8), cv2.DIST_L2, 5) / 16, 0, 1)
    skin = skin * (0.72 + 0.28 * np.sqrt(inward))[..., None]
    row = smooth[ORIGIN_Y + 112]
    tone = (row[ORIGIN_X + 48] + row[ORIGIN_X + 112]) / 2
    return over(over(_neck(tone), _ears(tone)), np.dstack([skin, outline]))


def _neck(tone: Floats) -> Floats:
    below_chin = np.clip((Y - 186 + 0.004 * ACROSS**2) / 26, 0, 1)
    shade = (0.6 + 0.32 * below_chin) * (1 - 0.3 * np.clip(ACROSS / 52, 0, 1) ** 2)
    return np.dstack([tone * shade[..., None], filled(symmetric(NECK))])


def _ears(tone: Floats) -> Floats:
    opacity = np.maximum(ellipse(21.5, 104, 6, 16), ellipse(138.5, 104, 6, 16))
    return np.dstack([tone * (0.62 + 0.36 * blurred(opacity, 3))[..., None], opacity])


def _continued(colours: Floats, known: Floats) -> Floats:
    """Continue known colours smoothly into the unknown."""
    total, weight = np.zeros_like(colours), np.full(known.shape, 1e-6, np.float32)
    for sigma, share in ((7, 1.0), (20, 0.05), (60, 0.002)):
        total += share * blurred(colours * known[..., None], sigma)
        weight += share * blurred(known, sigma)
    return np.asarray(total / weight[..., None], np.float32)
