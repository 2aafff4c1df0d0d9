"""The optimiser of both recipes."""

from collections.abc import Iterable

import torch
from torch import nn

WEIGHT_DECAY = 0.02


def optimiser_of(parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.AdamW:
    """Return AdamW that lets weights decay, but neither biases nor what normalises."""
    every = list(parameters)
    decayed = [parameter for parameter in every if parameter.ndim > 1]
    free = [parameter for parameter in every if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate)
