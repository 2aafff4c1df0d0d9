"""A picture to faces: boxes, five landmarks, scores."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import OperatorError
from edge.faces.decoding import decoded, outputs_of
from edge.faces.geometry import suppress
from edge.faces.pixels import Image, Pixels, as_pixels
from edge.faces.registry import ModelCard, ModelStore
from edge.faces.runtime import RuntimeSettings, Session, open_session

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Faces:
    """The faces of one picture, in its pixels, best score first.

    boxes (n,4) float32: left, top, width, height. landmarks (n,5,2) float32: x, y of the right eye (the
    viewer's left), left eye, nose tip, right and left mouth corner. scores (n,) float32 in 0..1.
    """

    boxes: Floats
    landmarks: Floats
    scores: Floats

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit each other."""
        n = len(self.scores)
        shapes = (self.boxes.shape, self.landmarks.shape, self.scores.shape)
        if shapes != ((n, 4), (n, 5, 2), (n,)):
            raise ValueError(f"faces need shapes {((n, 4), (n, 5, 2), (n,))}, got {shapes}")

    def __len__(self) -> int:
        return len(self.scores)

    def only(self, keep: NDArray[np.bool_] | NDArray[np.intp]) -> "Faces":
        """Return the faces that a mask or index array names."""
        return Faces(self.boxes[keep], self.landmarks[keep], self.scores[keep])

    def moved(self, by: Floats) -> "Faces":
        """Return the same faces further right and down by (2,) pixels."""
        return Faces(self.boxes + np.concatenate([by, np.zeros(2, np.float32)]), self.landmarks + by, self.scores)


MOST_FINDS = 2000
"""Finds before suppression, whose cost is quadratic: a picture that sets off every cell must not stop the box."""
NOBODY = Faces(np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32))


class Detector:
    """A detector that is free of anchors: three strides, pictures padded to multiples of the greatest."""

    def __init__(self, card: ModelCard, session: Session) -> None:
        self._card = card
        self._session = session

    def detect(self, picture: Pixels | Image, *, max_side: int | None = None) -> Faces:
        """Find faces in a picture, shrunk for the search to at most `max_side` pixels."""
        pixels = as_pixels(picture)
        small = pixels.shrunk(max_side)
        faces = self._search(small)
        if small.shape[:2] == (pixels.height, pixels.width):
            return faces
        zoom = np.array([pixels.width / small.shape[1], pixels.height / small.shape[0]], np.float32)
        return Faces(faces.boxes * np.tile(zoom, 2), faces.landmarks * zoom, faces.scores)

    def _search(self, image: Image) -> Faces:
        array = self._as_input(image)
        raw = dict(zip(self._session.outputs, self._session.run(array), strict=True))
        width = array.shape[3] if self._card.input.layout == "NCHW" else array.shape[2]
        found = decoded(raw, self._card, width)
        faces = Faces(
            np.concatenate([f.boxes for f in found]),
            np.concatenate([f.landmarks for f in found]),
            np.concatenate([f.scores for f in found]),
        )
        if len(faces) > MOST_FINDS:
            faces = faces.only(np.argsort(-faces.scores, kind="stable")[:MOST_FINDS])
        return faces.only(suppress(faces.boxes, faces.scores, self._card.nms_iou)) if len(faces) else NOBODY

    def _as_input(self, image: Image) -> NDArray[np.generic]:
        """Pad right and bottom, then order, scale and lay out as the card says."""
        wants = self._card.input
        height, width = (-(-side // wants.multiple_of) * wants.multiple_of for side in image.shape[:2])
        if wants.layout == "NCHW":
            return self._as_planes(image, height, width)
        if wants.dtype == "uint8":
            return _ordered(_padded(image, height, width), wants.colour)[None]
        return np.ascontiguousarray(self._as_planes(image, height, width).transpose(0, 2, 3, 1))

    def _as_planes(self, image: Image, height: int, width: int) -> NDArray[np.generic]:
        """Return (1,3,height,width), plane by plane: a quarter of the time of converting and then transposing."""
        wants = self._card.input
        planes = np.zeros((3, height, width), wants.dtype)
        colours = cv2.split(image) if wants.colour == "BGR" else cv2.split(image)[::-1]
        for plane, colour, mean, std in zip(planes, colours, wants.mean, wants.std, strict=True):
            plane[: image.shape[0], : image.shape[1]] = colour
            if wants.dtype != "uint8" and (wants.divide_by, mean, std) != (1, 0, 1):
                np.divide(plane, wants.divide_by * std, out=plane)
                np.subtract(plane, mean / std, out=plane)
        return planes[None]


def open_detector(card: ModelCard, store: ModelStore, settings: RuntimeSettings) -> Detector:
    """Load a registered detector."""
    session = open_session(card, store, settings)
    needed = outputs_of(card.decode)
    if not needed or not needed <= set(session.outputs):
        raise OperatorError(
            f"model {card.name} has not the outputs of a {card.decode or 'face'} detector",
            hint="see models/models.yaml",
        )
    return Detector(card, session)


def _padded(image: Image, height: int, width: int) -> Image:
    if image.shape[:2] == (height, width):
        return image
    below, beside = height - image.shape[0], width - image.shape[1]
    return np.asarray(cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=(0, 0, 0)), np.uint8)


def _ordered(image: Image, colour: str) -> Image:
    if colour == "BGR":
        return np.ascontiguousarray(image)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
