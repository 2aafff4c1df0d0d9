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
from edge.faces.geometry import suppress

SURE = 0.7
"""From this score a find is a face; below it, it is neither face nor background."""
ZOOMS = (1, 2)
"""Photographs are searched as they are and enlarged, for the small faces behind."""
OVERLAP = 0.4


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
                faces = _searched(np.asarray(image, np.uint8), teacher)
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


def _searched(image: NDArray[np.uint8], teacher: Detector) -> Faces:
    """Return what is found at all zooms, in the photograph's pixels."""
    finds = []
    for zoom in ZOOMS:
        larger = cv2.resize(image, None, fx=zoom, fy=zoom) if zoom > 1 else image
        faces = teacher.detect(np.asarray(larger, np.uint8))
        finds.append(Faces(faces.boxes / zoom, faces.landmarks / zoom, faces.scores))
    merged = Faces(
        np.concatenate([f.boxes for f in finds]),
        np.concatenate([f.landmarks for f in finds]),
        np.concatenate([f.scores for f in finds]),
    )
    return merged.only(suppress(merged.boxes, merged.scores, OVERLAP))
