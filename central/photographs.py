"""A folder of people's photographs, `<person>/<photo>`, and the templates of the face meant in each."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edge.errors import OperatorError
from edge.faces.align import CHIP, align
from edge.faces.detect import Faces

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
BATCH = 16


class Finder(Protocol):
    """What finds faces in a picture."""

    def detect(self, image: NDArray[np.uint8]) -> Faces:
        """Find faces in a (h,w,3) uint8 BGR picture."""


class Templater(Protocol):
    """What turns chips into templates."""

    dimension: int

    def embed(self, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (n,d) unit vectors of (n,112,112,3) chips."""


@dataclass(frozen=True)
class Photo:
    """One photograph of one person."""

    name: str
    """`<person>/<file>`, as pairs and reports name it."""
    person: str
    path: Path


@dataclass(frozen=True)
class Templates:
    """Templates (n,d) of photographs in their order, found (n,) where there was a face, per embedder."""

    found: NDArray[np.bool_]
    of: Mapping[str, NDArray[np.float32]]


def photographs_in(folder: Path) -> list[Photo]:
    """List the photographs of a folder by person and file name; refuse a folder without any."""
    try:
        people = sorted(path for path in folder.iterdir() if path.is_dir())
        photos = [
            Photo(f"{person.name}/{path.name}", person.name, path)
            for person in people
            for path in sorted(person.iterdir())
            if path.suffix.lower() in SUFFIXES
        ]
    except OSError as error:
        raise OperatorError(f"cannot read the folder of faces {folder}: {error.strerror}") from error
    if not photos:
        raise OperatorError(f"no photographs in {folder}", hint="it must hold <person>/<photo>.jpg")
    return photos


def people_of(photos: Sequence[Photo]) -> NDArray[np.intp]:
    """Return a number for the person of each photograph (n,), counted from 0 in order."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(photo.person, len(numbers)) for photo in photos], np.intp)


def alone(photos: Sequence[Photo]) -> list[Photo]:
    """Return the photographs that are the only one of their person."""
    counts = Counter(photo.person for photo in photos)
    return [photo for photo in photos if counts[photo.person] == 1]


def digest_of(photos: Sequence[Photo]) -> str:
    """Return the sha256 of names and contents, in order: which data a number was measured on."""
    total = hashlib.sha256()
    for photo in photos:
        content = hashlib.sha256(_bytes_of(photo)).hexdigest()
        total.update(f"{photo.name}\0{content}\n".encode())
    return total.hexdigest()


def chip_of(photo: Photo, finder: Finder) -> NDArray[np.uint8] | None:
    """Return the aligned chip of the face that is meant; None without a face, or for what is no picture."""
    data = np.frombuffer(_bytes_of(photo), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        return None
    picture = np.asarray(image, np.uint8)
    faces = finder.detect(picture)
    if not len(faces):
        return None
    return align(picture, faces.landmarks[meant(faces, picture.shape[1], picture.shape[0])])


def meant(faces: Faces, width: int, height: int) -> int:
    """Return the face that a portrait is of: size against distance from the middle of the picture.

    The greatest of (root of the box's area) - 2 * (distance of its centre from the picture's), in pixels.
    """
    centres = faces.boxes[:, :2] + faces.boxes[:, 2:] / 2
    distance = np.linalg.norm(centres - np.array([width / 2, height / 2]), axis=1)
    size = np.sqrt(np.clip(np.prod(faces.boxes[:, 2:], axis=1), 0, None))
    return int(np.argmax(size - 2 * distance))


def templates_of(
    photos: Sequence[Photo], finder: Finder, embedders: Mapping[str, Templater], *, quiet: bool
) -> Templates:
    """Embed the face meant in every photograph with every embedder, in batches of 16, with a progress bar."""
    found = np.zeros(len(photos), bool)
    of = {name: np.zeros((len(photos), embedder.dimension), np.float32) for name, embedder in embedders.items()}
    with tqdm(total=len(photos), desc="photographs", unit="photo", disable=quiet) as bar:
        for start in range(0, len(photos), BATCH):
            batch = photos[start : start + BATCH]
            chips = [chip_of(photo, finder) for photo in batch]
            rows = [start + i for i, chip in enumerate(chips) if chip is not None]
            faces = np.stack([np.zeros((CHIP, CHIP, 3), np.uint8), *(chip for chip in chips if chip is not None)])[1:]
            found[rows] = True
            for name, embedder in embedders.items():
                of[name][rows] = embedder.embed(faces)
            bar.update(len(batch))
    return Templates(found, of)


def chips_in(photos: Sequence[Photo], finder: Finder, wanted: int, *, quiet: bool) -> Iterator[NDArray[np.uint8]]:
    """Yield up to `wanted` chips, spread evenly over the photographs."""
    step = max(1, len(photos) // wanted) if wanted else 1
    order = [photo for offset in range(step) for photo in photos[offset::step]]
    with tqdm(total=min(wanted, len(photos)), desc="chips", unit="photo", disable=quiet) as bar:
        given = 0
        for photo in order:
            if given == wanted:
                return
            chip = chip_of(photo, finder)
            if chip is not None:
                given += 1
                bar.update(1)
                yield chip


def _bytes_of(photo: Photo) -> bytes:
    try:
        return photo.path.read_bytes()
    except OSError as error:
        raise OperatorError(f"cannot read photograph {photo.name}: {error.strerror}") from error
