"""A model tried: golden pictures in, the outputs that were recorded for them expected, or it is not run.

A verified file is the one that was meant, but an engine may still run it wrongly: embeddings that were not
numbers were seen on one board. All file forms of a network share one golden file, which is what allows their
templates to be compared.

The file is .npz: `input` (n,h,w,3) uint8 in the model's order of colours; `tolerance` float; and under the name
of each output what is expected, float32, channels last. How wrong an output is: the root mean square of the
differences over that of what is expected. Two honest engines differ by their rounding, a few thousandths.
"""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.errors import IntegrityError
from edge.faces.registry import ModelCard, ModelStore

INPUT = "input"
TOLERANCE = "tolerance"
SUFFIX = ".npz"
_NO_FILE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


class Runs(Protocol):
    """A loaded model."""

    def run(self, array: NDArray[np.generic]) -> Sequence[NDArray[np.float32]]:
        """Infer."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return the names of the outputs."""


@dataclass(frozen=True)
class Golden:
    """Pictures (n,h,w,3) uint8, and of each output what it is to be, channels last, float32."""

    pictures: NDArray[np.uint8]
    expected: Mapping[str, NDArray[np.float32]]
    tolerance: float

    def off(self, told: Mapping[str, NDArray[np.float32]]) -> float:
        """Return how wrong outputs are, channels last: the worst one's share; infinite for one of another shape."""
        return max(_wrong(told[name], expected) for name, expected in self.expected.items())

    def save(self, path: Path) -> None:
        """Write the file."""
        with path.open("wb") as file:
            arrays: dict[str, Any] = {INPUT: self.pictures, TOLERANCE: np.float32(self.tolerance), **self.expected}
            np.savez_compressed(file, **arrays)


def prove(session: Runs, card: ModelCard, store: ModelStore) -> float:
    """Refuse a model that is not what was recorded; return how far off it is, as a share."""
    golden = _load(store.shipped / card.golden, card)
    pictures = golden.pictures.transpose(0, 3, 1, 2) if card.input.layout == "NCHW" else golden.pictures
    results = session.run(np.ascontiguousarray(pictures))
    told = {}
    for name, result in zip(session.outputs, results, strict=True):
        told[name] = result.transpose(0, 2, 3, 1) if card.outputs == "NCHW" and result.ndim == 4 else result
    if missing := sorted(golden.expected.keys() - told.keys()):
        raise IntegrityError(f"model {card.name} has no output {missing[0]}, as {card.golden} expects")
    worst = golden.off(told)
    if not worst <= golden.tolerance:
        raise IntegrityError(
            f"model {card.name} fails its golden test: {100 * worst:.1f} % off, at most {100 * golden.tolerance:.1f}",
            hint="this engine on this processor does not run it rightly; install Sightline again or choose another "
            "model, and run: edge check",
        )
    return worst


def _wrong(told: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    if told.shape != expected.shape or not np.all(np.isfinite(told)):
        return float("inf")
    return float(np.sqrt(np.mean(np.square(told - expected)) / np.mean(np.square(expected))))


def _load(path: Path, card: ModelCard) -> Golden:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in file.files}
        pictures, tolerance = arrays.pop(INPUT), float(arrays.pop(TOLERANCE))
    except _NO_FILE as error:
        raise IntegrityError(
            f"model {card.name}: its golden file {path} cannot be read", hint="install Sightline again"
        ) from error
    return Golden(pictures, arrays, tolerance)
