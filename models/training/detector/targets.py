"""What each cell of the outputs should say about a scene."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.training.detector.shape import SHAPE, STRIDES

SIZES = {8: (5.0, 52.0), 16: (36.0, 128.0), 32: (90.0, 2000.0)}
"""Faces (square root of their area, pixels) that each stride answers for; where two do, both learn."""
NEAR, AROUND = 0.2, 0.45
"""Distance of a cell's centre from the face's, in the face's size: up to the first it is the face, up to the second
it is left out."""
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Targets:
    """For one stride: score (h,w) 1 face, 0 background, -1 left out; shape (14,h,w); size (h,w), pixels."""

    score: Floats
    shape: Floats
    size: Floats


def targets_of(
    boxes: Floats, landmarks: Floats, sure: NDArray[np.bool_], stride: int, cells: tuple[int, int]
) -> Targets:
    """Return what the cells (rows, columns) of a stride should say. Where two faces meet, the smaller is meant."""
    rows, columns = cells
    score = np.zeros(cells, np.float32)
    shape = np.zeros((SHAPE, rows, columns), np.float32)
    size_of = np.ones(cells, np.float32)
    x = (np.arange(columns, dtype=np.float32) + 0.5) * stride
    y = (np.arange(rows, dtype=np.float32) + 0.5) * stride
    sizes = np.sqrt(boxes[:, 2] * boxes[:, 3])
    least, most = SIZES[stride]
    for i in np.argsort(-sizes):
        centre = boxes[i, :2] + boxes[i, 2:] / 2
        far = np.hypot((x[None] - centre[0]) / boxes[i, 2], (y[:, None] - centre[1]) / boxes[i, 3])
        closest = (far == far.min()) & (far < 1)
        score[far < AROUND] = -1
        if not (sure[i] and least <= sizes[i] <= most):
            score[closest] = -1  # another stride answers for it, or nobody can tell
            continue
        mine = (far < NEAR) | closest
        row, column = np.nonzero(mine)
        score[mine], size_of[mine] = 1, sizes[i]
        offset = np.stack([centre[0] - x[column], centre[1] - y[row]]) / stride
        log = np.broadcast_to(np.log(boxes[i, 2:, None] / stride), (2, len(row)))
        points = (landmarks[i][:, :, None] - np.stack([x[column], y[row]])[None]) / stride
        shape[:, row, column] = np.concatenate([offset, log, points.reshape(10, -1)])
    return Targets(score, shape, size_of)


def all_targets(boxes: Floats, landmarks: Floats, sure: NDArray[np.bool_], side: int) -> dict[int, Targets]:
    """Return the targets of every stride for a square scene."""
    return {
        stride: targets_of(boxes, landmarks, sure, stride, (side // stride, side // stride)) for stride in STRIDES
    }
