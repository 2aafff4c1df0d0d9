"""Templates and their owners: exact search, and the fusion of several looks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Match:
    """The nearest owner and the cosine to their nearest reference."""

    owner: str
    score: float


class Gallery:
    """Reference templates (n,d) float32 unit vectors with the owner of each; search is exact."""

    def __init__(self, templates: Floats, owners: Sequence[str]) -> None:
        if templates.ndim != 2 or len(templates) != len(owners):
            raise ValueError(f"{templates.shape} templates do not fit {len(owners)} owners")
        self._templates = np.ascontiguousarray(templates, np.float32)
        self._owners = tuple(owners)

    @classmethod
    def of_nobody(cls) -> "Gallery":
        """Return the empty gallery, which matches no probe."""
        return cls(np.zeros((0, 0), np.float32), [])

    def __len__(self) -> int:
        return len(self._owners)

    def erase(self) -> None:
        """Overwrite every template with zeros where it lies, and match nobody from now on."""
        self._templates.fill(0)
        self._templates = np.zeros((0, 0), np.float32)
        self._owners = ()

    def best(self, probe: Floats) -> Match | None:
        """Return the owner nearest to a probe (d,); None where nobody is enrolled."""
        matches = self.best_of(probe[None])
        return matches[0] if matches else None

    def best_of(self, probes: Floats) -> list[Match]:
        """Return the nearest owner of each probe (k,d): one matrix product; empty where nobody is enrolled."""
        if not self._owners:
            return []
        scores = probes @ self._templates.T
        nearest = scores.argmax(axis=1)
        return [Match(self._owners[j], float(scores[i, j])) for i, j in enumerate(nearest)]

    def scores_of(self, probe: Floats, owner: str) -> Floats:
        """Return the cosines (k,) between a probe (d,) and every reference of one owner."""
        rows = [i for i, name in enumerate(self._owners) if name == owner]
        return np.asarray(self._templates[rows] @ probe, np.float32)


def fuse(templates: Floats, weights: Floats) -> Floats:
    """Return the unit vector (d,) of the weighted mean of templates (k,d); weights (k,) are not negative."""
    mean = (templates * weights[:, None]).sum(axis=0)
    length = float(np.linalg.norm(mean))
    if length == 0:
        raise ValueError("templates that cancel each other have no mean direction")
    return np.asarray(mean / length, np.float32)
