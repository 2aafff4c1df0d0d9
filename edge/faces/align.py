"""A face cut out as its embedder wants it: landmarks onto fixed points, by a similarity transform.

Of the picture only what the chip shows is turned into BGR.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.faces.geometry import similarity
from edge.faces.pixels import Area, Image, Pixels, as_pixels

# Where ArcFace's 112x112 template has right eye, left eye, nose tip, right and left mouth corner
# (Deng et al., 2019). A chip padded by a quarter instead costs ten points of accuracy (docs/accuracy.md).
ARCFACE_112 = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    np.float32,
)
CHIP = 112
# Pixels around the chip's footprint: interpolation reads the next one, and corners are rounded.
_BESIDE = 2


def align(picture: Pixels | Image, landmarks: NDArray[np.float32]) -> Image:
    """Return the (112,112,3) uint8 BGR chip of a face with these (5,2) landmarks, in pixels of the picture.

    A face larger than the chip is averaged down first: sampling it sparsely would alias, and a probe and a
    reference of different size would then differ for no reason of the face's.
    """
    pixels, matrix = as_pixels(picture), similarity(landmarks, ARCFACE_112)
    zoom = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if zoom < 0.5:
        image, matrix = _shrunk(pixels, matrix, landmarks, int(0.5 / zoom) + 1)
    else:
        image, matrix = _under(pixels, matrix)
    chip = cv2.warpAffine(image, matrix, (CHIP, CHIP), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(chip, np.uint8)


def _under(pixels: Pixels, matrix: NDArray[np.float64]) -> tuple[Image, NDArray[np.float64]]:
    """Return what lies under the chip, and the transform from there."""
    corners = np.array([[0, 0], [CHIP, 0], [0, CHIP], [CHIP, CHIP]]) - matrix[:, 2]
    footprint = np.linalg.solve(matrix[:, :2], corners.T).T
    area = Area.around(footprint.min(axis=0) - _BESIDE, footprint.max(axis=0) + _BESIDE + 1, pixels)
    return pixels.region(area), np.column_stack([matrix[:, :2], matrix[:, :2] @ area.corner + matrix[:, 2]])


def _shrunk(
    pixels: Pixels, matrix: NDArray[np.float64], landmarks: NDArray[np.float32], factor: int
) -> tuple[Image, NDArray[np.float64]]:
    """Return the face's surroundings averaged down by a whole factor, and the transform from there."""
    reach = np.ptp(landmarks, axis=0).max() * 2
    # At least one pixel, also of a face outside the picture: its chip is black.
    area = Area.around(landmarks.mean(axis=0) - reach, landmarks.mean(axis=0) + reach, pixels)
    part = pixels.region(area)
    size = (max(1, part.shape[1] // factor), max(1, part.shape[0] // factor))
    small = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    zoom = np.array([part.shape[1] / size[0], part.shape[0] / size[1]])
    # pixel centres: full = (small + 0.5) * zoom - 0.5 + low
    shift = (zoom - 1) / 2 + area.corner
    linear = matrix[:, :2] * zoom
    return small, np.column_stack([linear, matrix[:, :2] @ shift + matrix[:, 2]])
