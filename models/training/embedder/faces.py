"""Aligned faces of a folder of photographs, with a margin, so that they can be moved about in training."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from central.holdout import held_out
from central.photographs import photographs_in
from edge.faces.align import ARCFACE_112, CHIP
from edge.faces.detect import Detector
from edge.faces.geometry import similarity

ZOOM = 1.2
"""Pixels of a stored face for one of a chip: about what photographs of 250x250 have."""
MARGIN = 24
"""Pixels of a chip kept on each side."""
STORED = round((CHIP + 2 * MARGIN) * ZOOM)
Faces = NDArray[np.uint8]


@dataclass(frozen=True)
class FaceSet:
    """Stored faces (n,192,192,3) uint8 BGR, whose they are, and which are held out (n,)."""

    faces: Faces
    names: NDArray[np.str_]
    held: NDArray[np.bool_]


def stored_faces(folder: Path, finder: Detector, cache: Path) -> FaceSet:
    """Find, align and keep the face nearest to the middle of each photograph; the cache is used if it is there."""
    if cache.exists():
        with np.load(cache) as file:
            return FaceSet(file["faces"], file["names"], file["held"])
    faces, names = [], []
    for photo in tqdm(photographs_in(folder), desc="aligning", unit="photo", mininterval=5, disable=None):
        image = cv2.imread(str(photo.path))
        if image is None:
            continue
        found = finder.detect(np.asarray(image, np.uint8))
        if not len(found):
            continue
        middle = np.array(image.shape[1::-1]) / 2
        centres = found.boxes[:, :2] + found.boxes[:, 2:] / 2
        nearest = int(np.argmin(np.linalg.norm(centres - middle, axis=1)))
        matrix = similarity(found.landmarks[nearest], ((ARCFACE_112 + MARGIN) * ZOOM).astype(np.float32))
        face = cv2.warpAffine(
            image, matrix, (STORED, STORED), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        faces.append(np.asarray(face, np.uint8))
        names.append(photo.name)
    held = np.array([held_out(name.split("/")[0]) for name in names])
    kept = FaceSet(np.stack(faces), np.array(names), held)
    part = cache.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, faces=kept.faces, names=kept.names, held=kept.held)
    part.replace(cache)
    return kept


def chips_of(faces: Faces) -> Faces:
    """Return the (n,112,112,3) chips in the middle of stored faces."""
    matrix = np.array([[1 / ZOOM, 0, -MARGIN], [0, 1 / ZOOM, -MARGIN]])
    return np.stack([np.asarray(cv2.warpAffine(face, matrix, (CHIP, CHIP)), np.uint8) for face in faces])
