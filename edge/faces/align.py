"""A face cut out as its embedder wants it: landmarks onto fixed points, by a similarity transform."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.faces.geometry import similarity

# Where ArcFace's 112x112 template has right eye, left eye, nose tip, right and left mouth corner
# (Deng et al., 2019). A chip padded by a quarter instead costs ten points of accuracy (docs/accuracy.md).
ARCFACE_112 = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    np.float32,
)
CHIP = 112


def align(image: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the (112,112,3) uint8 BGR chip of a face with these (5,2) landmarks, in pixels of `image`.

    A face larger than the chip is averaged down first: sampling it sparsely would alias, and a probe and a
    reference of different size would then differ for no reason of the face's.
    """
    matrix = similarity(landmarks, ARCFACE_112)
    zoom = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if zoom < 0.5:
        image, matrix = _shrunk(image, matrix, landmarks, int(0.5 / zoom) + 1)
    chip = cv2.warpAffine(image, matrix, (CHIP, CHIP), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(chip, np.uint8)


def _shrunk(
    image: NDArray[np.uint8], matrix: NDArray[np.float64], landmarks: NDArray[np.float32], factor: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return the face's surroundings averaged down by a whole factor, and the transform from there."""
    reach = np.ptp(landmarks, axis=0).max() * 2
    edge = np.array(image.shape[1::-1])
    # At least one pixel, also of a face outside the picture: its chip is black.
    low = np.clip(landmarks.mean(axis=0) - reach, 0, edge - 1).astype(int)
    high = np.clip(landmarks.mean(axis=0) + reach, low + 1, edge).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    size = (max(1, part.shape[1] // factor), max(1, part.shape[0] // factor))
    small = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    zoom = np.array([part.shape[1] / size[0], part.shape[0] / size[1]])
    # pixel centres: full = (small + 0.5) * zoom - 0.5 + low
    shift = (zoom - 1) / 2 + low
    linear = matrix[:, :2] * zoom
    return small, np.column_stack([linear, matrix[:, :2] @ shift + matrix[:, 2]])
