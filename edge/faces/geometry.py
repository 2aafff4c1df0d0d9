"""Boxes, overlaps and similarity transforms."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def overlaps(one: Floats, other: Floats) -> Floats:
    """Return the intersection over union of every box of `one` (n,4) with every box of `other` (m,4).

    Boxes are left, top, width, height. The result is (n,m) in 0..1; empty boxes overlap nothing.
    """
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, :2] + one[:, None, 2:], other[None, :, :2] + other[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = np.prod(one[:, 2:], axis=1)[:, None] + np.prod(other[:, 2:], axis=1)[None] - shared
    return np.asarray(np.divide(shared, areas, out=np.zeros_like(shared), where=areas > 0), np.float32)


def suppress(boxes: Floats, scores: Floats, overlap: float) -> NDArray[np.intp]:
    """Return the indices that greedy non-maximum suppression keeps, best score first."""
    order = np.argsort(-scores, kind="stable")
    shared = overlaps(boxes[order], boxes[order])
    alive = np.ones(len(order), bool)
    for i in range(len(order)):
        if alive[i]:
            alive[i + 1 :] &= shared[i, i + 1 :] <= overlap
    return np.asarray(order[alive], np.intp)


def similarity(source: Floats, target: Floats) -> NDArray[np.float64]:
    """Return the (2,3) rotation, uniform scale and shift that best take `source` (n,2) onto `target` (n,2).

    Least squares without reflection, in closed form: in complex numbers the best scale and turn is
    sum(conj(s) t) / sum(|s|^2) of the centred points (the planar case of Umeyama, 1991).
    """
    from_mean, to_mean = source.mean(axis=0, dtype=np.float64), target.mean(axis=0, dtype=np.float64)
    s = (source - from_mean) @ np.array([1, 1j])
    t = (target - to_mean) @ np.array([1, 1j])
    spread = float(np.vdot(s, s).real)
    turn = complex(np.vdot(s, t)) / spread if spread > 0 else 1 + 0j
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([linear, to_mean - linear @ from_mean])
