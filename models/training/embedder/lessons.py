"""Lessons made beside the training: other processes invent faces and ask the teacher, the training takes them.

A lesson is used a few times before newer ones take its place: making one costs half as much as learning from it,
and the second time a chip is seen it still teaches.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.faces.registry import ModelStore, Task, load_registry
from models.training.embedder.street import street_chip
from models.training.embedder.teacher import INSIDE, Teacher
from models.training.makers import Makers

BATCH = 64
HELD_BATCHES = 300
"""Batches that the pool holds: 19,200 chips and what the teacher said, about 2 GB."""
FIRST_BATCHES = 12


@dataclass(frozen=True)
class Lesson:
    """Chips (n,112,112,3) uint8 BGR, the teacher's templates (n,128), its features (n,128,h,w) float16."""

    chips: NDArray[np.uint8]
    templates: NDArray[np.float32]
    features: tuple[NDArray[np.float16], ...]


class Lessons:
    """A pool of lessons, renewed by one batch for each `uses` batches taken."""

    def __init__(self, faces: Path, teacher: str, *, seed: int, first: int, uses: int, makers: int) -> None:
        self._random = np.random.default_rng((seed, first))
        self._uses, self._taken = uses, 0
        self._pool: list[Lesson] = []
        self._next = 0
        self._makers: Makers[Lesson] = Makers(
            partial(_lessons, faces, teacher), seed=(seed, first), count=makers, waiting=4
        )

    def take(self) -> Lesson:
        """Return a batch drawn from the pool."""
        while len(self._pool) < FIRST_BATCHES or self._taken % self._uses == 0:
            self._put(self._makers.take())
            if len(self._pool) >= FIRST_BATCHES:
                break
        self._taken += 1
        batch, row = (
            self._random.integers(len(self._pool), size=BATCH),
            self._random.integers(BATCH, size=BATCH),
        )
        places = list(zip(batch.tolist(), row.tolist(), strict=True))
        return Lesson(
            np.stack([self._pool[b].chips[r] for b, r in places]),
            np.stack([self._pool[b].templates[r] for b, r in places]),
            tuple(np.stack([self._pool[b].features[i][r] for b, r in places]) for i in range(len(INSIDE))),
        )

    def stop(self) -> None:
        """End the makers."""
        self._makers.stop()

    def _put(self, lesson: Lesson) -> None:
        if len(self._pool) < HELD_BATCHES:
            self._pool.append(lesson)
        else:
            self._pool[self._next % HELD_BATCHES] = lesson
            self._next += 1


def _lessons(faces: Path, teacher: str, seed: tuple[int, ...]) -> Iterator[Lesson]:
    """Give lessons for ever."""
    cv2.setNumThreads(1)
    stored = np.load(faces, mmap_mode="r")
    store = ModelStore.default()
    asked = Teacher(load_registry().model(teacher, Task.EMBED), store, threads=1)
    random = np.random.default_rng(seed)
    while True:
        chips = np.stack([street_chip(stored, random) for _ in range(BATCH)])
        taught = asked.teach(chips)
        yield Lesson(chips, taught.templates, taught.features)
