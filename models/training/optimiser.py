"""The optimiser of both recipes: Muon for convolutions, AdamW for the rest.

A convolution's weight (out, in, k, k) is a matrix (out, in*k*k). Muon makes each update of one nearly orthogonal, so
that directions which the gradient hardly shows are learnt as fast as those it shows strongly.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

WEIGHT_DECAY = 0.02
MOMENTUM = 0.95
LIKE_ADAM = 0.2
"""Brings an update's root mean square to what AdamW's has, so that both take one rate (Liu et al., 2025: "Muon is
scalable for LLM training", equation 4)."""
QUINTIC, TURNS = (3.4445, -4.7750, 2.0315), 5
"""The Newton-Schulz iteration of Jordan et al. (2024): singular values end between about 0.7 and 1.2."""


class Optimiser:
    """Moves the parameters; `rate` may be set before each step."""

    def __init__(self, parameters: Iterable[nn.Parameter], rate: float) -> None:
        every = list(parameters)
        self.rate = rate
        self._matrices = [each for each in every if _is_matrix(each)]
        self._means = [torch.zeros_like(each) for each in self._matrices]
        others = [each for each in every if not _is_matrix(each)]
        decayed, free = ([each for each in others if (each.ndim > 1) == wanted] for wanted in (True, False))
        groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": free, "weight_decay": 0.0}]
        self._others = torch.optim.AdamW(groups, lr=rate)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for each in chain(self._matrices, *(group["params"] for group in self._others.param_groups)):
            each.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient by one step."""
        for matrix, mean in zip(self._matrices, self._means, strict=True):
            if matrix.grad is None:
                continue
            mean.lerp_(matrix.grad, 1 - MOMENTUM)
            update = orthogonal(matrix.grad.lerp(mean, MOMENTUM).flatten(1))  # Nesterov's look ahead
            matrix.mul_(1 - self.rate * WEIGHT_DECAY)
            matrix.sub_(update.view(matrix.shape), alpha=self.rate * LIKE_ADAM * max(update.shape) ** 0.5)
        for group in self._others.param_groups:
            group["lr"] = self.rate
        self._others.step()

    def state_dict(self) -> dict[str, Any]:
        """Return what a training needs to go on."""
        return {"means": self._means, "others": self._others.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        for mean, stored in zip(self._means, state["means"], strict=True):
            mean.copy_(stored)
        self._others.load_state_dict(state["others"])


def orthogonal(matrix: Tensor) -> Tensor:
    """Return nearly U @ V.T of a matrix's singular value decomposition U S V.T, float32."""
    wide = matrix.shape[0] <= matrix.shape[1]
    found = (matrix if wide else matrix.T).bfloat16()
    found = found / (found.norm() + 1e-7)
    first, third, fifth = QUINTIC
    for _ in range(TURNS):
        square = found @ found.T
        found = first * found + (third * square + fifth * square @ square) @ found
    return (found if wide else found.T).float()


def _is_matrix(parameter: nn.Parameter) -> bool:
    """Tell weights that mix channels; those of one channel each, biases and norms are none."""
    return parameter.ndim > 1 and parameter.shape[1] > 1
