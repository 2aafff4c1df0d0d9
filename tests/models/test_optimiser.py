"""The optimiser of the recipes; needs torch, which the program itself does not."""

import importlib
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs torch: models/training/requirements.txt")
RECIPE = "models.training.optimiser"


def test_updates_of_a_matrix_show_every_direction_alike() -> None:
    orthogonal = importlib.import_module(RECIPE).orthogonal
    torch.manual_seed(0)
    lopsided = torch.randn(24, 60) * torch.logspace(0, -2, 24)[:, None]
    for matrix in (lopsided, lopsided.T):
        values = torch.linalg.svdvals(orthogonal(matrix))
        assert 0.5 < values.min() <= values.max() < 1.3


def test_a_training_taken_up_again_goes_on_as_if_it_had_not_stopped() -> None:
    new = importlib.import_module(RECIPE).Optimiser

    def layers() -> Any:
        torch.manual_seed(1)
        return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8, 2))

    def steps(net: Any, optimiser: Any, seeds: range) -> None:
        for seed in seeds:
            torch.manual_seed(seed)
            optimiser.zero_grad()
            net(torch.randn(4, 3, 3, 3)).square().sum().backward()
            optimiser.step()

    whole, first = layers(), layers()
    steps(whole, new(whole.parameters(), 1e-2), range(6))
    stopped = new(first.parameters(), 1e-2)
    steps(first, stopped, range(3))
    second = layers()
    second.load_state_dict(first.state_dict())
    resumed = new(second.parameters(), 1e-2)
    resumed.load_state_dict(stopped.state_dict())
    steps(second, resumed, range(3, 6))
    for one, other in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
