"""Photographs of nobody, and models that see them: people are colours, a photograph is a colour and noise."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from central.accuracy import ModelUsed
from central.evaluation import Models
from edge.faces.align import ARCFACE_112
from edge.faces.detect import NOBODY, Faces

SIDE = 112


class Middle:
    """Finds one face, the whole of any picture that is not black."""

    def detect(self, image: NDArray[np.uint8]) -> Faces:
        if not image.any():
            return NOBODY
        height, width = image.shape[:2]
        return Faces(np.array([[0, 0, width, height]], np.float32), ARCFACE_112[None], np.ones(1, np.float32))


class Colours:
    """Gives the mean colour of a few tiles as a template, and remembers the sizes of the batches it was given."""

    dimension = 48

    def __init__(self) -> None:
        self.batches: list[int] = []

    def embed(self, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batches.append(len(chips))
        tiles = chips.reshape(len(chips), 4, 28, 4, 28, 3).mean(axis=(2, 4)).reshape(len(chips), -1) - 128
        return np.asarray(tiles / np.linalg.norm(tiles, axis=1, keepdims=True), np.float32)


def photograph(person: int, number: int, noise: float) -> NDArray[np.uint8]:
    """Return a picture of a made-up person: a pattern of their own, and noise of the day."""
    own = np.random.default_rng(person).normal(0, 40, (4, 4, 3))
    day = np.random.default_rng((person + 1) * 10_000 + number).normal(0, noise, (4, 4, 3))
    return np.asarray((128 + own + day).clip(1, 255).repeat(28, 0).repeat(28, 1), np.uint8)


def people_in(folder: Path, counts: list[int], *, noise: float = 10) -> Path:
    """Write a folder of people with so many photographs each."""
    for person, count in enumerate(counts):
        own = folder / f"person_{person:04}"
        own.mkdir(parents=True)
        for number in range(count):
            cv2.imwrite(str(own / f"{number:04}.png"), photograph(person, number, noise))
    return folder


def models(**embedders: Colours) -> Models:
    """Return models for these made-up people."""
    chosen = embedders or {"colours": Colours()}
    return Models(
        ModelUsed("middle", "0" * 64),
        Middle(),
        {name: (ModelUsed(name, "1" * 64), embedder) for name, embedder in chosen.items()},
    )
