"""How usable a face is, in the terms that move error rates: size, pose, sharpness, exposure.

After the light subset of ISO/IEC 29794-5: what landmarks and the aligned chip tell without another model.
Each part is 0..1; the score is their product, so that one bad part is enough to make a face poor.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# Size between the eyes at which recognition starts to lose (10 px: TAR 91 %; 20 px: 97.5 %; models.md).
GOOD_EYES_PX = 32.0
# The nose tip's offset from between the eyes, in eye distances, of a head turned by about 45 degrees.
TURNED = 0.45
# Nose below the eye line as a share of eyes to mouth: about 0.55 for a level head.
LEVEL, NODDED = 0.55, 0.30
# Laplacian energy against contrast: median of 400 development photographs 0.022, of the same chips blurred
# by sigma 3 px 0.002.
SHARP = 0.03


@dataclass(frozen=True)
class Quality:
    """What was measured of one face, and the product of it all."""

    eyes_px: float
    """Distance between the eyes in pixels of the picture."""
    size: float
    pose: float
    sharpness: float
    exposure: float

    @property
    def score(self) -> float:
        """Return the product of all parts, 0..1."""
        return self.size * self.pose * self.sharpness * self.exposure


def eyes_px(landmarks: NDArray[np.float32]) -> float:
    """Return the distance between the eyes of (5,2) landmarks, in their pixels."""
    return float(np.linalg.norm(landmarks[1] - landmarks[0]))


def assess(chip: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> Quality:
    """Judge a face by its (112,112,3) uint8 BGR chip and its (5,2) landmarks in pixels of the picture."""
    grey = cv2.cvtColor(chip[12:108, 20:92], cv2.COLOR_BGR2GRAY)
    between_px = eyes_px(landmarks)
    return Quality(
        eyes_px=between_px,
        size=min(1.0, between_px / GOOD_EYES_PX),
        pose=_frontal(landmarks),
        sharpness=_sharp(np.asarray(grey, np.uint8)),
        exposure=_exposed(np.asarray(grey, np.uint8)),
    )


def _frontal(landmarks: NDArray[np.float32]) -> float:
    """1 for a face that looks at the camera, towards 0 for a profile, or a head far up or down."""
    right, left, nose = landmarks[0], landmarks[1], landmarks[2]
    mouth = landmarks[3:].mean(axis=0)
    across = left - right
    eyes = float(np.linalg.norm(across)) or 1e-6
    along = across / eyes
    down = np.array([-along[1], along[0]])
    middle = (right + left) / 2
    height = float((mouth - middle) @ down) or 1e-6
    turn = float((nose - middle) @ along) / eyes
    nod = float((nose - middle) @ down) / height - LEVEL
    # A profile shows in two ways: the nose leaves the middle, and the eyes draw together against the height.
    narrow = max(0.0, 0.75 - eyes / abs(height))
    return float(np.exp(-((turn / TURNED) ** 2) - (nod / NODDED) ** 2 - (narrow / 0.35) ** 2))


def _sharp(grey: NDArray[np.uint8]) -> float:
    """Energy of the Laplacian after light smoothing, against contrast, so that light does not count twice."""
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.0)
    contrast = float(smooth.var()) + 25.0
    return min(1.0, float(cv2.Laplacian(smooth, cv2.CV_32F).var()) / contrast / SHARP)


def _exposed(grey: NDArray[np.uint8]) -> float:
    """1 for a face with mid grey and contrast, less where it drowns in black or white."""
    clipped = float(np.mean((grey < 12) | (grey > 243)))
    contrast = min(1.0, float(grey.std()) / 22.0)
    return max(0.05, 1.0 - clipped) * max(0.1, contrast)
