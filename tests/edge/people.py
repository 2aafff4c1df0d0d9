"""People for tests: nobody, only coloured patches that a fake detector and a fake embedder agree about."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.camera.frame import ClockSource, Frame
from edge.faces.detect import NOBODY, Faces
from edge.faces.pixels import Bgr, Image, Pixels

DIMENSION = 16
# Where the landmarks lie in a box, as shares of it: an upright face that looks at the camera.
LANDMARKS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.56], [0.34, 0.72], [0.66, 0.72]], np.float32)


@dataclass(frozen=True)
class Person:
    """Somebody with a colour for a face, standing somewhere."""

    colour: tuple[int, int, int]
    x: float
    y: float
    size: float = 80.0
    score: float = 0.95

    def at(self, x: float, y: float, size: float | None = None) -> "Person":
        """Return the same person elsewhere."""
        return Person(self.colour, x, y, size or self.size, self.score)


def template_of(colour: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return the template of everybody with this colour: different colours, nearly orthogonal templates."""
    vector = np.random.default_rng(list(colour)).normal(size=DIMENSION)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def picture(people: list[Person], width: int = 640, height: int = 360) -> NDArray[np.uint8]:
    """Paint people as patches of their colour with enough texture to be sharp."""
    image = np.full((height, width, 3), 90, np.uint8)
    for person in people:
        box = _box(person).astype(int)
        patch = image[max(0, box[1]) : box[1] + box[3], max(0, box[0]) : box[0] + box[2]]
        patch[:] = person.colour
        across = np.arange(patch.shape[1]) * 24 // max(1, patch.shape[1])
        patch[:, across % 3 == 1] = np.clip(np.array(person.colour) + 60, 0, 255)
        patch[:, across % 3 == 2] = np.clip(np.array(person.colour) - 60, 0, 255)
    return image


def frame(people: list[Person], index: int, at_ms: int) -> Frame:
    """Return a frame with these people in it."""
    return Frame(
        index=index,
        captured_at_ms=at_ms,
        monotonic_at=at_ms / 1000,
        clock_source=ClockSource.MEDIA,
        pixels=Bgr(picture(people)),
    )


class PatchDetector:
    """Finds exactly the people it was told of, frame by frame."""

    def __init__(self, script: list[list[Person]]) -> None:
        self._script = iter(script)

    def detect(self, picture: Pixels | Image, *, max_side: int | None = None) -> Faces:
        del picture, max_side
        people = next(self._script)
        if not people:
            return NOBODY
        boxes = np.stack([_box(person) for person in people])
        landmarks = boxes[:, None, :2] + LANDMARKS * boxes[:, None, 2:]
        return Faces(boxes, landmarks.astype(np.float32), np.array([p.score for p in people], np.float32))


class PatchEmbedder:
    """Knows people by the colour in the middle of their chip."""

    def __init__(self, colours: list[tuple[int, int, int]]) -> None:
        self._colours = colours
        self.embedded = 0

    def embed(self, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.embedded += len(chips)
        return np.stack([template_of(self._nearest(chip)) for chip in chips])

    def _nearest(self, chip: NDArray[np.uint8]) -> tuple[int, int, int]:
        middle = cv2.mean(chip[40:72, 40:72])[:3]
        return min(self._colours, key=lambda colour: float(np.abs(np.array(colour) - middle).sum()))


def _box(person: Person) -> NDArray[np.float32]:
    half = person.size / 2
    return np.array([person.x - half, person.y - half, person.size, person.size], np.float32)
