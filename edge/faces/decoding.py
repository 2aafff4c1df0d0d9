"""What a detector's outputs mean: one way for each `decode` that a card may name.

All are free of anchors, with three strides; a cell of stride S stands for S pixels of the padded picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.faces.registry import ModelCard

Floats = NDArray[np.float32]
STRIDES = (8, 16, 32)
LARGEST = 6.0
"""Of a logarithm of a side over its stride: what a broken output says beyond this is no face."""


@dataclass(frozen=True)
class Found:
    """Faces before suppression: boxes (n,4), landmarks (n,5,2), scores (n,), pixels of the searched picture."""

    boxes: Floats
    landmarks: Floats
    scores: Floats


def outputs_of(decode: str) -> frozenset[str]:
    """Return the outputs that a detector must have."""
    parts = {"yunet": ("cls", "obj", "bbox", "kps"), "sightline": ("score", "shape")}.get(decode, ())
    return frozenset(f"{part}_{stride}" for part in parts for stride in STRIDES)


def decoded(raw: Mapping[str, Floats], card: ModelCard, columns: int) -> list[Found]:
    """Return what each stride found in a padded picture that is `columns` pixels wide."""
    if card.decode == "sightline":
        return [_sightline(raw, card, stride) for stride in STRIDES]
    return [_yunet(raw, card, stride, columns // stride) for stride in STRIDES]


def _yunet(raw: Mapping[str, Floats], card: ModelCard, stride: int, columns: int) -> Found:
    """Decode one stride: score sqrt(cls * obj); priors at (column * stride, row * stride), no half offset."""
    cls, obj, bbox, kps = (np.asarray(raw[f"{part}_{stride}"])[0] for part in ("cls", "obj", "bbox", "kps"))
    scores = np.sqrt(np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1))
    kept = np.flatnonzero(scores >= card.score_threshold)
    priors = np.stack([kept % columns, kept // columns], axis=1).astype(np.float32) * stride
    centres = priors + bbox[kept, :2] * stride
    sizes = np.exp(bbox[kept, 2:]) * stride
    landmarks = priors[:, None] + kps[kept].reshape(-1, 5, 2) * stride
    return _found(centres, sizes, landmarks, scores[kept])


def _sightline(raw: Mapping[str, Floats], card: ModelCard, stride: int) -> Found:
    """Decode one stride: `score` a logit; `shape` centre, log sides, landmarks, from the cell's middle, in strides.

    Compared as logits, so that only what is kept costs an exponential.
    """
    score, shape = raw[f"score_{stride}"][0], raw[f"shape_{stride}"][0]
    channels_first = card.outputs == "NCHW"
    columns = score.shape[2] if channels_first else score.shape[1]
    logits = score.reshape(-1)
    kept = np.flatnonzero(logits >= np.log(card.score_threshold / (1 - card.score_threshold)))
    cells = shape.reshape(len(shape), -1)[:, kept].T if channels_first else shape.reshape(-1, shape.shape[2])[kept]
    middles = (np.stack([kept % columns, kept // columns], axis=1) + 0.5) * stride
    centres = middles + cells[:, :2] * stride
    sizes = np.exp(np.minimum(cells[:, 2:4], LARGEST)) * stride
    landmarks = middles[:, None] + cells[:, 4:].reshape(-1, 5, 2) * stride
    return _found(centres, sizes, landmarks, 1 / (1 + np.exp(-logits[kept])))


def _found(
    centres: NDArray[np.floating], sizes: NDArray[np.floating], landmarks: NDArray[np.floating], scores: Floats
) -> Found:
    boxes = np.concatenate([centres - sizes / 2, sizes], axis=1)
    return Found(boxes.astype(np.float32), landmarks.astype(np.float32), np.asarray(scores, np.float32))
