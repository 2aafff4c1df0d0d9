"""How far a student is from its teacher."""

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

RELATION = 4.0
"""Weight of the relation loss against the cosine loss."""
HINT_AT_START = 0.6
HINT_AT_END = 0.1


class Hints(nn.Module):
    """Compares a student's inner results with the teacher's, through a linear map that is thrown away after."""

    def __init__(self, widths: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths)

    def forward(self, student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        """Return the mean over places of the squared error relative to the variance of the teacher's."""
        losses = [
            fn.mse_loss(mapped(mine).float(), theirs) / theirs.var().clamp_min(1e-6)
            for mapped, mine, theirs in zip(self.maps, student, teacher, strict=True)
        ]
        return torch.stack(losses).mean()


def cosine_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return 1 less the mean cosine of raw embeddings (n,d) and unit vectors (n,d)."""
    return 1 - (fn.normalize(student, dim=1) * teacher).sum(dim=1).mean()


def relation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared error of the cosines between the faces of a batch (Park et al., 2019, for cosines)."""
    student = fn.normalize(student, dim=1)
    return fn.mse_loss(student @ student.T, teacher @ teacher.T)
