"""Photographs to looks: faces brought upright and to one size, chosen for a calm expression."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edge.faces.align import align
from edge.faces.detect import Detector
from edge.faces.embed import Embedder
from edge.faces.geometry import similarity

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

WIDTH, HEIGHT = 160, 208
# Eyes 48 pixels apart, about as in the photographs; the other points follow ArcFace's proportions.
POINTS = np.array([[56, 88], [104, 88], [80, 115.3], [60.4, 143.4], [99.6, 143.4]], np.float32)
MOST_TURNED = 0.16
MOST_PER_PERSON = 4
EMBED_AT_ONCE = 64


@dataclass(frozen=True)
class Looks:
    """Aligned photographs (n,208,160,3) uint8 BGR, whose they are, and their templates (n,d)."""

    pictures: Bytes
    people: NDArray[np.str_]
    templates: Floats
    turned: Floats
    """How far the nose tip lies beside the face's axis, in distances between the eyes."""

    def only(self, keep: NDArray[np.bool_]) -> "Looks":
        """Return the looks that a mask names."""
        return Looks(self.pictures[keep], self.people[keep], self.templates[keep], self.turned[keep])


def read_looks(folder: Path, detector: Detector, embedder: Embedder) -> Looks:
    """Align the middle face of every `<identity>/<photo>.jpg`."""
    pictures, chips, people, turned = [], [], [], []
    for path in tqdm(sorted(folder.glob("*/*.jpg")), desc="photographs", unit=""):
        image = np.asarray(cv2.imread(str(path)), np.uint8)
        faces = detector.detect(image)
        if not len(faces):
            continue
        off = np.abs(faces.boxes[:, :2] + faces.boxes[:, 2:] / 2 - image.shape[1] / 2).sum(axis=1)
        points = faces.landmarks[int(off.argmin())]
        matrix = similarity(points, POINTS)
        pictures.append(
            cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        )
        chips.append(align(image, points))
        people.append(path.parent.name)
        turned.append(_turned(points))
    templates = [
        embedder.embed(np.array(chips[i : i + EMBED_AT_ONCE]))
        for i in tqdm(range(0, len(chips), EMBED_AT_ONCE), desc="templates", unit="")
    ]
    return Looks(np.array(pictures), np.array(people), np.concatenate(templates), np.array(turned, np.float32))


def frontal(looks: Looks) -> Looks:
    """Keep looks into the camera, few of each person, so that nobody weighs more than others."""
    seen: Counter[str] = Counter()
    keep = np.abs(looks.turned) < MOST_TURNED
    for i in np.argsort(np.abs(looks.turned)):
        seen[str(looks.people[i])] += 1
        keep[i] &= seen[str(looks.people[i])] <= MOST_PER_PERSON
    return looks.only(keep)


def calm(registered: Bytes) -> NDArray[np.bool_]:
    """Return which registered looks (n,208,160,3) have a closed mouth and no glasses.

    Open and closed mouths, or eyes with and without glasses, do not blend: their average is neither. Looks
    are sorted into a few kinds by mouth and by eyes, and whole kinds are left out by what their mean shows.
    """
    grey = registered.astype(np.float32).mean(axis=3)
    mouth = _kinds(grey[:, 126:164, 50:110], 10)
    eyes = _kinds(np.array([_relief(g) for g in grey])[:, 70:116, 34:126], 12)
    keep = np.ones(len(grey), bool)
    for kind in range(10):
        mean = grey[mouth == kind].mean(axis=0)
        # Closed lips are a dark line, far darker than the cheeks; teeth fill it with light.
        closed = mean[130:154, 72:88].mean(axis=1).min() < mean[100:130, 45:60].mean() - 50
        keep &= closed | (mouth != kind)
    for kind in range(12):
        mean = _relief(grey[eyes == kind].mean(axis=0))
        # A frame is a dark bar across the bridge of the nose, which is otherwise the brightest place.
        framed = mean[82:100, 76:84].mean() < 0
        keep &= (eyes != kind) | ~framed
    return keep


def _turned(points: Floats) -> float:
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    axis = (mouth - eyes) / np.linalg.norm(mouth - eyes)
    across = np.array([axis[1], -axis[0]])
    return float((points[2] - eyes) @ across / np.linalg.norm(points[1] - points[0]))


def _relief(grey: Floats) -> Floats:
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), 1) - cv2.GaussianBlur(grey, (0, 0), 8), np.float32)


def _kinds(patches: Floats, count: int) -> NDArray[np.int32]:
    """Sort patches (n,h,w) into kinds, each patch normalised to mean 0 and deviation 1."""
    flat = patches.reshape(len(patches), -1)
    flat = (flat - flat.mean(axis=1, keepdims=True)) / (flat.std(axis=1, keepdims=True) + 3)
    cv2.setRNGSeed(1)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 40, 0.01)
    none = np.zeros((len(flat), 1), np.int32)
    return np.asarray(cv2.kmeans(flat, count, none, stop, 4, cv2.KMEANS_PP_CENTERS)[1], np.int32).ravel()
