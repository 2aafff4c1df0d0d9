"""Judge a candidate a second time, from the centre's own templates of its shots.

The box's score is permissive and is not used here: the shots are embedded again by the centre's model,
fused, and compared with the references of the entry that the box named. Lateness is a mark, not a refusal:
a candidate that waited in an outbox is still evidence, only never live.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from edge.faces.align import ARCFACE_112
from edge.faces.compare import fuse
from edge.faces.geometry import similarity
from edge.wire.messages import Shot

# Beyond these a shot is not what any box makes: points on a heap, a face of a thousand pixels, weights
# without bound.
MIN_EYES_PX = 1.0
MIN_ZOOM, MAX_ZOOM = 0.03, 35.0
MAX_QUALITY = 1000.0


class Verdict(Enum):
    """What became of a candidate; one word for record, log and metric."""

    ALERT = "alert"
    BELOW_THRESHOLD = "below-threshold"
    UNKNOWN_ENTRY = "unknown-entry"
    """The entry is not, or no longer, on the watchlist."""
    MODEL_MISMATCH = "model-mismatch"
    """None of the entry's references was made by the centre's model: they must be enrolled again."""
    NO_USABLE_SHOT = "no-usable-shot"
    """No shot of the candidate is a picture with landmarks inside it."""


@dataclass(frozen=True)
class Probe:
    """The centre's templates of a candidate's usable shots."""

    templates: NDArray[np.float32]
    """(k, d) unit vectors; k may be 0."""
    weights: NDArray[np.float32]
    """(k,) qualities, above 0."""

    def __post_init__(self) -> None:
        if self.templates.ndim != 2 or self.weights.shape != self.templates.shape[:1]:
            raise ValueError(f"templates {self.templates.shape} do not fit weights {self.weights.shape}")


@dataclass(frozen=True)
class References:
    """An entry's enrolled templates, each with the model that made it."""

    templates: Sequence[NDArray[np.float32]]
    """(d,) unit vectors; d may differ between models."""
    models: Sequence[str]
    """The sha256 of each template's model."""


@dataclass(frozen=True)
class Finding:
    """A verdict with what led to it."""

    verdict: Verdict
    score: float | None = None
    """Cosine between the fused probe and the nearest reference."""
    reference: int | None = None
    """Index of that reference."""


def judge(probe: Probe, references: References, model_sha256: str, threshold: float) -> Finding:
    """Compare a probe with an entry's references made by the same model; the nearest decides."""
    if not references.models:
        return Finding(Verdict.UNKNOWN_ENTRY)
    comparable = [index for index, model in enumerate(references.models) if model == model_sha256]
    if not comparable:
        return Finding(Verdict.MODEL_MISMATCH)
    if not len(probe.templates):
        return Finding(Verdict.NO_USABLE_SHOT)
    fused = fuse(probe.templates, probe.weights)
    scores = np.stack([references.templates[index] for index in comparable]) @ fused
    nearest = int(np.argmax(scores))
    score = float(scores[nearest])
    # Written so that a score that is no number is below every threshold.
    verdict = Verdict.ALERT if score >= threshold else Verdict.BELOW_THRESHOLD
    return Finding(verdict, score, comparable[nearest])


def is_late(raised_at_ms: int, received_at_ms: int, late_after_ms: int) -> bool:
    """Tell whether a candidate waited too long to be shown as live."""
    return received_at_ms - raised_at_ms > late_after_ms


def is_usable(shot: Shot, width: int, height: int) -> bool:
    """Tell whether a shot's landmarks lie in its picture of width x height pixels and its numbers are sane."""
    xs, ys = shot.landmarks[0::2], shot.landmarks[1::2]
    return (
        0 < shot.quality <= MAX_QUALITY
        and 0 <= shot.frame < 1 << 53
        and all(map(math.isfinite, (shot.box.x, shot.box.y, shot.box.width, shot.box.height)))
        and all(0 <= x <= width for x in xs)
        and all(0 <= y <= height for y in ys)
        and math.dist(shot.landmarks[0:2], shot.landmarks[2:4]) >= MIN_EYES_PX
        and MIN_ZOOM <= _zoom(shot.landmarks) <= MAX_ZOOM
    )


def _zoom(landmarks: Sequence[float]) -> float:
    """Return the scale at which these landmarks best fit the embedder's chip."""
    matrix = similarity(np.array(landmarks, np.float32).reshape(5, 2), ARCFACE_112)
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))
