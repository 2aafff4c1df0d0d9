"""People walking towards the camera, and the truth of who was where.

The truth has the form that `sightline replay --truth` reads: fps, size, walks (identity, watched, photo,
enters, leaves in seconds) and frames, each a list of who is present (identity, watched, x, y of the face's
middle, face: its width; pixels).
"""

from dataclasses import dataclass

import cv2
import numpy as np

from scene.body import BODY_PX_PER_M, EYES_ABOVE_BODY, legs
from scene.canvas import MIDDLE, ORIGIN_X, ORIGIN_Y, blurred
from scene.face_model import FaceModel
from scene.looks import Floats
from scene.people import Person
from scene.portrait import Pose, likeness, posed
from scene.street import Camera

# Eyes 48 pixels apart on the canvas, 63 mm on a face.
HEAD_PX_PER_M = 48 / 0.063
EYES = (ORIGIN_X + MIDDLE, ORIGIN_Y + 88.0)
# A detector's box is this wide, and its middle this far below the eyes (m).
FACE_M, FACE_BELOW_EYES_M = 0.140, 0.030
FIRST_Z, LAST_Z = 12.5, 1.3
STEPS_PER_S = 1.8
LENS_PX = 0.6
MOOD_EVERY_S = 0.4
APPEARS_WITHIN_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Walk:
    """One pass of one person."""

    person: Person
    start_s: float
    speed_m_s: float
    far_x: float
    near_x: float
    eyes_m: float
    phase: float
    yaw: float
    moods: Floats
    """One mood (k,s+c) every MOOD_EVERY_S; between them the face changes gradually."""

    @property
    def seconds(self) -> float:
        """How long the pass lasts."""
        return (FIRST_Z - LAST_Z) / self.speed_m_s

    def depth(self, now: float) -> float | None:
        """Return the distance to the camera in metres, None before and after the pass."""
        gone = now - self.start_s
        return FIRST_Z - self.speed_m_s * gone if 0 <= gone < self.seconds else None


@dataclass(frozen=True, kw_only=True)
class Sight:
    """Where a face is in one frame: its middle and width in pixels."""

    x: float
    y: float
    face: float


class Walker:
    """Someone on their way, with what was painted of them already."""

    def __init__(self, model: FaceModel, walk: Walk, torso: Floats) -> None:
        self.walk = walk
        self._model = model
        self._torso = torso
        self._heads: dict[int, Floats] = {}

    def step(self, scene: Floats, camera: Camera, now: float) -> Sight | None:
        """Paint this person into the scene as they are at a time; None if they are not in it."""
        z = self.walk.depth(now)
        if z is None:
            return None
        walk, gone = self.walk, now - self.walk.start_s
        swing = np.sin(walk.phase + np.pi * STEPS_PER_S * gone)
        progress = (FIRST_Z - z) / (FIRST_Z - LAST_Z)
        x = walk.far_x + (walk.near_x - walk.far_x) * progress + 0.012 * swing
        eyes = walk.eyes_m + 0.018 * abs(swing)
        at = camera.spot(x, eyes, z)
        px_per_m = camera.focal_px / z
        if at[1] - 0.3 * px_per_m < camera.height:
            before = scene.copy() if gone < APPEARS_WITHIN_S else None
            self._paint(scene, camera, at, px_per_m, swing, gone)
            if before is not None:
                scene[:] = before + (scene - before) * np.float32(gone / APPEARS_WITHIN_S)
        return Sight(x=at[0], y=at[1] + FACE_BELOW_EYES_M * px_per_m, face=FACE_M * px_per_m)

    def _paint(
        self, scene: Floats, camera: Camera, at: tuple[float, float], px_per_m: float, swing: float, gone: float
    ) -> None:
        walk = self.walk
        ground = at[1] + walk.eyes_m * px_per_m
        if ground < camera.height + 0.1 * px_per_m:
            _shade(scene, (at[0], ground), px_per_m)
        if at[1] + 0.8 * px_per_m < camera.height:
            _paste(
                scene,
                legs(walk.person.clothes, swing, walk.eyes_m),
                (0.4 * BODY_PX_PER_M / 3, 0),
                BODY_PX_PER_M / 3,
                at,
                px_per_m,
            )
        pose = Pose(
            yaw=walk.yaw + 0.07 * np.sin(0.9 * gone + walk.phase),
            pitch=0.05 + 0.03 * np.sin(1.3 * gone + 2 * walk.phase),
            light=0.35 + 0.25 * np.sin(0.5 * gone + walk.phase),
            exposure=0.93 + 0.07 * np.sin(0.8 * gone + 3 * walk.phase),
        )
        head = posed(self._head(gone), pose)
        tilt = 2.2 * swing + 1.5 * np.sin(0.7 * gone + walk.phase)
        _paste(scene, head, EYES, HEAD_PX_PER_M, at, px_per_m, tilt)
        _paste(scene, self._torso, EYES_ABOVE_BODY, BODY_PX_PER_M, at, px_per_m)

    def _head(self, gone: float) -> Floats:
        before, share = divmod(gone / MOOD_EVERY_S, 1.0)
        first, second = self._painted(int(before)), self._painted(int(before) + 1)
        return np.asarray(first * (1 - share) + second * share, np.float32)

    def _painted(self, number: int) -> Floats:
        if number not in self._heads:
            self._heads = {n: h for n, h in self._heads.items() if n >= number - 1}
            person = self.walk.person
            look = person.who + self.walk.moods[min(number, len(self.walk.moods) - 1)]
            self._heads[number] = likeness(self._model, look, person.hair, person.grain)
        return self._heads[number]


def _paste(
    scene: Floats,
    painting: Floats,
    origin: tuple[float, float],
    painted_px_per_m: float,
    at: tuple[float, float],
    px_per_m: float,
    tilt: float = 0.0,
) -> None:
    """Blend a painting into the scene so that its origin comes to `at`, scaled, and tilted by degrees."""
    scale = px_per_m / painted_px_per_m
    premultiplied = np.dstack([painting[..., :3] * painting[..., 3:], painting[..., 3]])
    # Shrunk by averaging first: resampling alone would leave out pixels and flicker.
    shrink = max(1.0, 0.8 / scale)
    if shrink > 1:
        size = (round(painting.shape[1] / shrink), round(painting.shape[0] / shrink))
        zoom = np.array([size[0] / painting.shape[1], size[1] / painting.shape[0]])
        premultiplied = np.asarray(cv2.resize(premultiplied, size, interpolation=cv2.INTER_AREA))
    else:
        zoom = np.ones(2)
    turn = np.deg2rad(tilt)
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * scale / zoom
    reach = np.hypot(*painting.shape[:2]) * scale
    left, top = max(0, int(at[0] - reach)), max(0, int(at[1] - reach))
    right, bottom = min(scene.shape[1], int(at[0] + reach) + 1), min(scene.shape[0], int(at[1] + reach) + 1)
    if right <= left or bottom <= top:
        return
    shift = np.array(at) - (left, top) - linear @ (np.array(origin) * zoom)
    matrix = np.column_stack([linear, shift]).astype(np.float32)
    warped = cv2.warpAffine(premultiplied, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
    warped = blurred(np.asarray(warped, np.float32), LENS_PX)
    part = scene[top:bottom, left:right]
    part[:] = part * (1 - warped[..., 3:]) + warped[..., :3]


def _shade(scene: Floats, ground: tuple[float, float], px_per_m: float) -> None:
    """Darken the ground under somebody."""
    half = (0.34 * px_per_m, 0.10 * px_per_m)
    left, top = max(0, int(ground[0] - 2 * half[0])), max(0, int(ground[1] - 2 * half[1]))
    right, bottom = (
        min(scene.shape[1], int(ground[0] + 2 * half[0])),
        min(scene.shape[0], int(ground[1] + 2 * half[1])),
    )
    if right <= left or bottom <= top:
        return
    rows, columns = np.mgrid[top:bottom, left:right].astype(np.float32)
    away = ((columns - ground[0]) / half[0]) ** 2 + ((rows - ground[1]) / half[1]) ** 2
    scene[top:bottom, left:right] *= (1 - 0.45 * np.exp(-1.6 * away))[..., None]


def standing(head: Floats, torso: Floats, background: Floats, eyes: tuple[float, float]) -> Floats:
    """Return a portrait (h,w,3): head and shoulders before a background, eyes at a pixel, in the head's scale."""
    scene = background.copy()
    _paste(scene, head, EYES, HEAD_PX_PER_M, eyes, HEAD_PX_PER_M)
    _paste(scene, torso, EYES_ABOVE_BODY, BODY_PX_PER_M, eyes, HEAD_PX_PER_M)
    return scene
