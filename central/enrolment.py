"""Enrolment: photographs in, references out, or a refusal that names the photograph and the reason.

Which face is meant: a photograph has to show exactly one good face. Press photographs have people behind,
so the largest face among several is taken if nobody could doubt it, which is in one of two ways: it has twice
the area of every other and is the nearest to the middle; or the photograph is framed on it, with its centre
in the middle, the others well away from there, and 1.4 times the area of each. Everything else is refused.
Of 900 press photographs with a known subject this takes the subject in 879 and
somebody else in none.

A reference and a probe take the same way from pixels to template: detect, `align`, `embed`. No mirrored
averaging, since the probe has none.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from central import pictures
from central.store.entries import Kept, NewReference
from central.store.state import Store
from edge.errors import OperatorError
from edge.faces.align import align
from edge.faces.detect import Faces
from edge.faces.quality import Quality, assess

MAX_PHOTO_BYTES = 32 * 1024 * 1024
MAX_NAME_CHARACTERS = 200
PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})

DOMINANCE = 2.0
"""Times the area of every other face."""
FRAMED_DOMINANCE = 1.4
FRAMED_WITHIN, FRAMED_BEYOND = 0.15, 0.25
"""Distance from the picture's middle as a share of its shorter side: of the face, and of every other."""
MIN_DETECTOR_SCORE = 0.7
MIN_EYES_PX = 20.0
"""Below 20 px between the eyes recognition loses steeply (docs/accuracy.md); a reference is wrong for ever."""
MIN_SHARPNESS = 0.25
MIN_POSE = 0.3
MIN_EXPOSURE = 0.3
CROP_REACH = 1.1
"""The reference's picture reaches this many face sizes from the face's middle, each way: twice the face."""
CROP_SIDE_PX = 480

Image = NDArray[np.uint8]


class Detector(Protocol):
    """Finds faces."""

    def detect(self, image: Image, *, max_side: int | None = None) -> Faces:
        """Find faces in a (h,w,3) uint8 BGR picture, shrunk for the search to at most `max_side` pixels."""


class Embedder(Protocol):
    """Makes templates."""

    model_sha256: str
    dimension: int

    def embed(self, chips: Image) -> NDArray[np.float32]:
        """Return the (n,d) float32 unit vectors of (n,112,112,3) uint8 BGR chips."""


class Outcome(Enum):
    """What became of a photograph; one word for report and operator."""

    ENROLLED = "enrolled"
    ALREADY_ENROLLED = "already-enrolled"
    UNREADABLE = "unreadable"
    NO_FACE = "no-face"
    SEVERAL_FACES = "several-faces"
    DOUBTFUL = "doubtful-face"
    TOO_SMALL = "too-small"
    BLURRED = "blurred"
    TURNED = "turned-away"
    BADLY_LIT = "badly-lit"
    ENROLLED_AS_ANOTHER = "enrolled-as-another"

    @property
    def refused(self) -> bool:
        """Return whether the photograph is not on the list."""
        return self not in {Outcome.ENROLLED, Outcome.ALREADY_ENROLLED}


@dataclass(frozen=True)
class PhotoReport:
    """What became of one photograph, and why in words."""

    path: Path
    name: str
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True)
class Face:
    """The one good face of a photograph."""

    landmarks: NDArray[np.float32]
    """(5,2) in pixels of the photograph."""
    box: NDArray[np.float32]
    """Left, top, width, height."""
    chip: Image
    quality: Quality


@dataclass(frozen=True)
class Refusal:
    """Why a photograph cannot be a reference."""

    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True)
class Enrolment:
    """Enrols photographs into a store."""

    store: Store
    detector: Detector
    embedder: Embedder
    clock: Callable[[], int]

    def enrol(self, wanted: Iterable["Wanted"]) -> Iterator[PhotoReport]:
        """Enrol photographs, yielding a report for each as it is done."""
        for photo in wanted:
            outcome, detail = self._enrol_one(photo.path, photo.name)
            yield PhotoReport(photo.path, photo.name, outcome, detail)

    def _enrol_one(self, path: Path, name: str) -> tuple[Outcome, str]:
        data = _read(path)
        if isinstance(data, Refusal):
            return data.outcome, data.detail
        held = self.store.entries.holder(name, data)
        if held is not Kept.NEW:
            return _HELD[held], ""
        image = pictures.decode(data, pictures.MAX_PIXELS, upright=True)
        if image is None:
            return Outcome.UNREADABLE, "not a JPEG or PNG picture, or a damaged one"
        face = only_face(image, self.detector)
        if isinstance(face, Refusal):
            return face.outcome, face.detail
        template = self.embedder.embed(face.chip[None])[0]
        crop, landmarks = _cropped(image, face)
        reference = NewReference(
            photo=data,
            crop=pictures.encode(crop),
            landmarks=landmarks,
            template=template,
            model_sha256=self.embedder.model_sha256,
            quality=face.quality.score,
        )
        kept = self.store.entries.keep(name, reference, self.clock())
        if kept is not Kept.NEW:
            return _HELD[kept], ""
        return Outcome.ENROLLED, f"quality {face.quality.score:.2f}, {face.quality.eyes_px:.0f} px between the eyes"


_HELD = {Kept.KNOWN: Outcome.ALREADY_ENROLLED, Kept.TAKEN: Outcome.ENROLLED_AS_ANOTHER}


@dataclass(frozen=True)
class Wanted:
    """A photograph to enrol, and whose it is."""

    path: Path
    name: str


def photographs(path: Path, name: str | None) -> list[Wanted]:
    """List the photographs to enrol, each with its name.

    With a name: one photograph, or a folder of photographs of that one person. Without: a folder of folders,
    `<identity>/<photo>.jpg`.
    """
    if name is not None and not (name.strip() and len(name) <= MAX_NAME_CHARACTERS and name.isprintable()):
        raise OperatorError("a name is 1 to 200 printable characters", hint="give another --name")
    if not path.exists():
        raise OperatorError(f"there is no {path} to enrol", hint="name a photograph or a folder")
    if path.is_file():
        if name is None:
            raise OperatorError(f"{path} is one photograph; whose?", hint="add --name NAME")
        return [Wanted(path, name)]
    if name is not None:
        found = [Wanted(photo, name) for photo in _photos_in(path)]
    else:
        people = sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
        found = [Wanted(photo, person.name) for person in people for photo in _photos_in(person)]
        if not found and _photos_in(path):
            raise OperatorError(
                f"{path} holds photographs, not a folder for each person", hint="one person? add --name NAME"
            )
    if not found:
        raise OperatorError(f"no photograph (.jpg, .jpeg, .png) to enrol in {path}")
    return found


def only_face(image: Image, detector: Detector) -> Face | Refusal:
    """Return the one good face of a (h,w,3) uint8 BGR picture, or why there is none."""
    faces = _look(image, detector)
    if not len(faces):
        return Refusal(Outcome.NO_FACE)
    chosen = dominant(faces, image.shape[1], image.shape[0])
    if chosen is None:
        return Refusal(Outcome.SEVERAL_FACES, f"{len(faces)} faces, none clearly the one meant")
    landmarks = faces.landmarks[chosen]
    chip = align(image, landmarks)
    face = Face(landmarks, faces.boxes[chosen], chip, assess(chip, landmarks))
    return _refused(face, float(faces.scores[chosen])) or face


def dominant(faces: Faces, width: int, height: int) -> int | None:
    """Return the index of the face that is meant, by the rule of this module; None if that is open."""
    areas = faces.boxes[:, 2] * faces.boxes[:, 3]
    largest = int(np.argmax(areas))
    centres = faces.boxes[:, :2] + faces.boxes[:, 2:] / 2
    away = np.linalg.norm(centres - np.array([width / 2, height / 2]), axis=1) / min(width, height)
    others = np.arange(len(faces)) != largest
    ratio = float(np.min(areas[largest] / areas[others], initial=np.inf))
    nearest_other = float(np.min(away[others], initial=np.inf))
    much_larger = ratio >= DOMINANCE and away[largest] <= nearest_other
    framed = ratio >= FRAMED_DOMINANCE and away[largest] <= FRAMED_WITHIN and nearest_other >= FRAMED_BEYOND
    return largest if much_larger or framed else None


def _photos_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in PHOTO_SUFFIXES)


def _read(path: Path) -> bytes | Refusal:
    try:
        if path.stat().st_size > MAX_PHOTO_BYTES:
            return Refusal(Outcome.UNREADABLE, f"larger than {MAX_PHOTO_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        return Refusal(Outcome.UNREADABLE, str(error.strerror))


def _look(image: Image, detector: Detector) -> Faces:
    """Find faces, at the size a street camera would show them first: a detector is blind to huge faces."""
    faces = detector.detect(image, max_side=640)
    if not len(faces) and max(image.shape[:2]) > 640:
        faces = detector.detect(image, max_side=1920)
    if not len(faces):
        faces = _within_margins(image, detector)
    return faces


def _within_margins(image: Image, detector: Detector) -> Faces:
    """Look once more with margins, for a photograph cut so close that nothing surrounds the face."""
    height, width = image.shape[:2]
    down, across = height // 2, width // 2
    framed = np.full((height + 2 * down, width + 2 * across, 3), 127, np.uint8)
    framed[down : down + height, across : across + width] = image
    faces = detector.detect(framed, max_side=640)
    shift = np.array([across, down], np.float32)
    return Faces(faces.boxes - np.array([*shift, 0, 0], np.float32), faces.landmarks - shift, faces.scores)


def _refused(face: Face, detector_score: float) -> Refusal | None:
    quality = face.quality
    if quality.eyes_px < MIN_EYES_PX:
        return Refusal(Outcome.TOO_SMALL, f"{quality.eyes_px:.0f} px between the eyes, at least {MIN_EYES_PX:.0f}")
    if quality.sharpness < MIN_SHARPNESS:
        return Refusal(Outcome.BLURRED, f"sharpness {quality.sharpness:.2f}, at least {MIN_SHARPNESS}")
    if quality.pose < MIN_POSE:
        return Refusal(Outcome.TURNED, f"pose {quality.pose:.2f}, at least {MIN_POSE}")
    if quality.exposure < MIN_EXPOSURE:
        return Refusal(Outcome.BADLY_LIT, f"exposure {quality.exposure:.2f}, at least {MIN_EXPOSURE}")
    if detector_score < MIN_DETECTOR_SCORE:
        return Refusal(Outcome.DOUBTFUL, f"detector score {detector_score:.2f}, at least {MIN_DETECTOR_SCORE}")
    return None


def _cropped(image: Image, face: Face) -> tuple[Image, NDArray[np.float32]]:
    """Cut out the face with its surroundings, at most CROP_SIDE_PX wide; return it and its landmarks."""
    reach = CROP_REACH * float(face.box[2:].max())
    middle = face.box[:2] + face.box[2:] / 2
    low = np.maximum(np.floor(middle - reach), 0).astype(int)
    high = np.minimum(np.ceil(middle + reach), image.shape[1::-1]).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    crop = pictures.shrink(part, CROP_SIDE_PX)
    zoom = np.array([crop.shape[1] / part.shape[1], crop.shape[0] / part.shape[0]], np.float32)
    return crop, ((face.landmarks - low) * zoom).astype(np.float32)
