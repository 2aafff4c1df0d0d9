"""What a wrong crop and a small face cost: python bench/crops_and_sizes.py FACES PAIRS.csv [PAIRS PER KIND].

Both on listed pairs. Crops: the aligned chip against the detector's box padded by a quarter on each side.
Sizes: the second photograph of each pair is averaged down until so many pixels lie between the eyes.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from central.intervals import exact
from central.pairs import read_pairs
from central.photographs import BATCH, meant, photographs_in
from central.rates import FAR, Pairs, folds_by_person, threshold_at, verification
from edge.faces.align import CHIP, align
from edge.faces.detect import Faces, open_detector
from edge.faces.embed import open_embedder
from edge.faces.registry import ModelStore, Task, load_registry
from edge.faces.runtime import RuntimeSettings

Image = NDArray[np.uint8]
Crop = Callable[[Image, Faces, int], Image]
EYES_PX = (30, 20, 14, 10, 7)


def aligned(image: Image, faces: Faces, index: int) -> Image:
    """Return the chip as it should be."""
    return align(image, faces.landmarks[index])


def padded(image: Image, faces: Faces, index: int) -> Image:
    """Return the box with a quarter more on each side, stretched to the chip."""
    left, top, width, height = faces.boxes[index]
    low = np.maximum([left - width / 4, top - height / 4], 0).astype(int)
    high = np.array([left + 1.25 * width, top + 1.25 * height]).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    return np.asarray(cv2.resize(part, (CHIP, CHIP), interpolation=cv2.INTER_AREA), np.uint8)


def shrunk(eyes_px: float) -> Crop:
    """Return a crop of the picture averaged down to so many pixels between the eyes, landmarks with it."""

    def crop(image: Image, faces: Faces, index: int) -> Image:
        landmarks = faces.landmarks[index]
        zoom = min(1.0, eyes_px / float(np.linalg.norm(landmarks[1] - landmarks[0])))
        size = (round(image.shape[1] * zoom), round(image.shape[0] * zoom))
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        ratio = np.array([size[0] / image.shape[1], size[1] / image.shape[0]], np.float32)
        return align(small, np.asarray((landmarks + 0.5) * ratio - 0.5, np.float32))

    return crop


def main(folder: Path, listed: Path, most: int) -> None:
    """Measure and print."""
    registry, store, settings = load_registry(), ModelStore.default(), RuntimeSettings()
    detector = open_detector(registry.wanted("", Task.DETECT, store), store, settings)
    embedder = open_embedder(registry.wanted("", Task.EMBED, store), store, settings)
    photos = photographs_in(folder)
    pairs = read_pairs(listed, photos)
    kept = np.concatenate([np.flatnonzero(pairs.mated == kind)[:most] for kind in (True, False)])
    rows, mated = pairs.rows[kept], pairs.mated[kept]
    images, found = {}, {}
    for row in np.unique(rows).tolist():
        images[row] = np.asarray(cv2.imread(str(photos[row].path)), np.uint8)
        found[row] = detector.detect(images[row])

    def templates(crop: Crop, wanted: list[int]) -> NDArray[np.float32]:
        chips = [crop(images[r], found[r], meant(found[r], *images[r].shape[1::-1])) for r in wanted]
        return np.concatenate([embedder.embed(np.stack(chips[i : i + BATCH])) for i in range(0, len(chips), BATCH)])

    numbers: dict[str, int] = {}
    people = np.array([[numbers.setdefault(photos[r].person, len(numbers)) for r in pair] for pair in rows], np.intp)
    a, b = rows.T.tolist()
    for name, crop in (("aligned", aligned), ("padded by a quarter", padded)):
        score = np.einsum("nd,nd->n", templates(crop, a), templates(crop, b))
        rates = verification(
            Pairs(people=people, mated=mated, fold=folds_by_person(people), score=score, disjoint=True)
        )
        interval = exact(rates.correct, len(mated))
        accuracy = 100 * float(np.mean(rates.accuracies))
        print(f"crop {name}: accuracy {accuracy:.2f} ({100 * interval.low:.2f} - {100 * interval.high:.2f})")
    reference = templates(aligned, a)
    for eyes_px in EYES_PX:
        score = np.einsum("nd,nd->n", reference, templates(shrunk(eyes_px), b))
        accepted = int((score[mated] >= threshold_at(score[~mated], FAR)).sum())
        interval = exact(accepted, int(mated.sum()))
        rate = 100 * accepted / int(mated.sum())
        print(f"{eyes_px} px: TAR at FAR {FAR:g} {rate:.2f} ({100 * interval.low:.2f} - {100 * interval.high:.2f})")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 3000)
