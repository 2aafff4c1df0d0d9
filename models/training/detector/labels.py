"""What the public detector finds in photographs: the truth that the student is taught."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from central.holdout import held_out
from central.photographs import photographs_in
from edge.faces.detect import Detector, Faces
from edge.faces.geometry import overlaps, suppress

SURE = 0.7
"""From this score a find is a face; below it, it is neither face nor background."""
ZOOMS = (0.75, 1, 1.5, 2)
"""Photographs are searched as they are, mirrored, smaller, and enlarged for the small faces behind."""
OVERLAP, SAME = 0.4, 0.5
MIRRORED = [1, 0, 2, 4, 3]
"""Landmarks of a mirrored face: right and left change places."""


@dataclass(frozen=True)
class Labelled:
    """A photograph (h,w,3) uint8 BGR and its faces: boxes (n,4) left, top, width, height; landmarks (n,5,2); sure."""

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    sure: NDArray[np.bool_]


def labels_of(folder: Path, teacher: Detector, cache: Path) -> list[Labelled]:
    """Return the labelled photographs of everybody who is not held out; the cache is used if it is there."""
    if not cache.exists():
        photos = [photo for photo in photographs_in(folder) if not held_out(photo.person)]
        found = {}
        for photo in tqdm(photos, desc="labelling", unit="photo", mininterval=5, disable=None):
            image = cv2.imread(str(photo.path))
            if image is not None:
                faces = mean_look(np.asarray(image, np.uint8), teacher)
                found[photo.name] = [faces.boxes.tolist(), faces.landmarks.tolist(), faces.scores.tolist()]
        part = cache.with_suffix(".part")
        part.write_text(json.dumps(found))
        part.replace(cache)
    return [
        Labelled(
            np.asarray(cv2.imread(str(folder / name)), np.uint8),
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(landmarks, np.float32).reshape(-1, 5, 2),
            np.array(scores, np.float32) >= SURE,
        )
        for name, (boxes, landmarks, scores) in json.loads(cache.read_text()).items()
    ]


def mean_look(image: NDArray[np.uint8], teacher: Detector) -> Faces:
    """Return what is found in all looks, in the photograph's pixels, counted from the edge of the first.

    The teacher differs from its mirrored self by 8 to 10 % of the distance between the eyes, most of it chance;
    the mean over looks is a better label than any of them.
    """
    finds = [_look(image, teacher, zoom, mirrored=mirrored) for zoom in ZOOMS for mirrored in (False, True)]
    boxes, landmarks, scores = (
        np.concatenate([getattr(f, part) for f in finds]) for part in ("boxes", "landmarks", "scores")
    )
    kept = suppress(boxes, scores, OVERLAP)
    same = overlaps(boxes[kept], boxes) > SAME
    # A look in which a face was not sure says little about where its eyes are.
    weights = same * np.where(scores >= SURE, scores, 1e-3)
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return Faces(weights @ boxes, np.einsum("kn,npd->kpd", weights, landmarks), scores[kept])


def _look(image: NDArray[np.uint8], teacher: Detector, zoom: float, *, mirrored: bool) -> Faces:
    seen = cv2.resize(image, None, fx=zoom, fy=zoom) if zoom != 1 else image
    found = teacher.detect(np.ascontiguousarray(seen[:, ::-1] if mirrored else seen, np.uint8))
    boxes, landmarks = found.boxes / np.float32(zoom), found.landmarks / np.float32(zoom)
    if mirrored:
        boxes[:, 0] = image.shape[1] - boxes[:, 0] - boxes[:, 2]
        landmarks[..., 0] = image.shape[1] - landmarks[..., 0]
        landmarks = landmarks[:, MIRRORED]
    return Faces(boxes, landmarks, found.scores)
