"""Whom the candidates show: people who do not exist, as the centre knows them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bestshot import Look


@dataclass(frozen=True)
class Member:
    """One of those whom candidates show: who the centre says it is, and a look at them."""

    entry: str
    look: Look


def cast(home: Path) -> list[Member]:
    """Return whom candidates may show."""
    with np.load(home / "cast.npz", allow_pickle=False) as kept:
        count = len(kept["entries"])
        return [
            Member(
                str(kept["entries"][index]),
                look_at(kept[f"crop{index}"], kept["landmarks"][index], kept["templates"][index]),
            )
            for index in range(count)
        ]


def look_at(crop: NDArray[np.uint8], landmarks: NDArray[np.float32], template: NDArray[np.float32]) -> Look:
    """Return a look that shows this."""
    box = np.array([10, 10, *crop.shape[1::-1]], np.float32)
    return Look(template=template, quality=0.8, crop=crop, landmarks=landmarks, box=box, captured_at_ms=1, frame=1)
