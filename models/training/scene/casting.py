"""Who may play: people whom a face recogniser takes for nobody else, least of all for anybody who exists."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.faces.align import align
from edge.faces.detect import Detector
from edge.faces.embed import Embedder
from scene.canvas import SIDE
from scene.face_model import FaceModel
from scene.hair import Hair
from scene.looks import Floats
from scene.portrait import Pose, likeness, posed

STRENGTH = 0.95
REFERENCE_MOOD, WALKING_MOOD = 0.15, 0.55
LEAST_SCORE = 0.85
MOST_LIKE_SOMEBODY = 0.35
MOST_LIKE_SOMEBODY_WALKING = 0.38
LEAST_LIKE_ONESELF = 0.60
PLAIN = Hair(style="short", colour=(30, 36, 44))
POSES = (Pose(), Pose(yaw=0.15, light=0.4, exposure=0.8), Pose(yaw=-0.15, light=-0.4, exposure=1.1))


@dataclass(frozen=True)
class Eyes:
    """The public models, as whoever looks at the cast."""

    detector: Detector
    embedder: Embedder

    def template(self, image: NDArray[np.uint8]) -> tuple[float, Floats] | None:
        """Return detection score and template of the best face of a picture."""
        faces = self.detector.detect(image)
        if not len(faces):
            return None
        return float(faces.scores[0]), self.embedder.embed(align(image, faces.landmarks[0])[None])[0]


@dataclass(frozen=True, kw_only=True)
class Audition:
    """What three looks at one candidate showed."""

    seed: int
    picture: NDArray[np.uint8]
    templates: Floats
    like_somebody: float
    """Highest cosine of the first look to any real photograph."""


def drawn(model: FaceModel, seed: int) -> Floats:
    """Return who the seed is."""
    return model.person(np.random.default_rng(seed), STRENGTH)


def audition(model: FaceModel, eyes: Eyes, real: Floats, seed: int) -> Audition | None:
    """Look at a candidate in three moods and lights; None if they do not qualify.

    real (n,d): templates of all photographs that the model learnt from.
    """
    who, random = drawn(model, seed), np.random.default_rng((seed, 1))
    pictures, templates, nearest = [], [], []
    for number, pose in enumerate(POSES):
        mood = model.mood(random, WALKING_MOOD if number else REFERENCE_MOOD)
        picture = seen(posed(likeness(model, who + mood, PLAIN, seed), pose), small=number > 0)
        look = eyes.template(picture)
        if look is None or look[0] < LEAST_SCORE:
            return None
        nearest.append(float((real @ look[1]).max()))
        if nearest[-1] > (MOST_LIKE_SOMEBODY_WALKING if number else MOST_LIKE_SOMEBODY):
            return None
        pictures.append(picture)
        templates.append(look[1])
    found = np.array(templates)
    if (found[1:] @ found[0]).min() < LEAST_LIKE_ONESELF:
        return None
    return Audition(seed=seed, picture=pictures[0], templates=found, like_somebody=nearest[0])


def likeness_between(auditions: Sequence[Audition]) -> Floats:
    """Return the highest cosine (n,n) between any looks of two candidates."""
    all_looks = np.array([a.templates for a in auditions])
    cosines = np.einsum("ikd,jld->ijkl", all_looks, all_looks)
    return np.asarray(cosines.max(axis=(2, 3)), np.float32)


def seen(head: Floats, *, small: bool) -> NDArray[np.uint8]:
    """Return a head before grey, as a camera nearby or farther away sees it."""
    picture = head[..., :3] * head[..., 3:] + 130 * (1 - head[..., 3:])
    if small:
        away = cv2.resize(picture, (150, 150), interpolation=cv2.INTER_AREA)
        picture = np.asarray(cv2.resize(away, (SIDE, SIDE)), np.float32)
    return np.asarray(np.clip(picture, 0, 255), np.uint8)
