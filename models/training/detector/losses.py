"""How far the detector's outputs are from what they should say."""

import torch
from torch import Tensor
from torch.nn import functional as fn

GAMMA, ALPHA = 2.0, 0.5
"""Focal loss (Lin et al., 2017): what is easy hardly counts. The strides' outputs are few, so faces weigh as much."""
BOX, POINTS = 2.0, 10.0


def score_loss(logit: Tensor, score: Tensor) -> Tensor:
    """Return the focal loss of (n,h,w) logits, cells that are left out (-1) not counted, per face cell."""
    face, counted = (score > 0).float(), (score >= 0).float()
    cross = fn.binary_cross_entropy_with_logits(logit, face, reduction="none")
    right = torch.sigmoid(logit) * face + (1 - torch.sigmoid(logit)) * (1 - face)
    weight = (ALPHA * face + (1 - ALPHA) * (1 - face)) * (1 - right) ** GAMMA
    return (weight * cross * counted).sum() / face.sum().clamp_min(1)


def shape_loss(found: Tensor, meant: Tensor, score: Tensor, size: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Return how far boxes and landmarks of face cells are off, in the size of the face. (n,14,h,w) and (n,h,w)."""
    face = (score > 0).float()
    count = face.sum().clamp_min(1)
    error = (found - meant).abs() * face[:, None]
    scale = stride / size[:, None]
    centre, log, points = error[:, :2] * scale, error[:, 2:4], error[:, 4:] * scale
    return (centre.sum() + log.sum()) / 4 / count, points.sum() / 10 / count
