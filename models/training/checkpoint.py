"""The state of a training on disk."""

import os
from pathlib import Path
from typing import Any

import torch


def save(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint beside its place and move it there: a power cut leaves the one before."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)


def load(path: Path) -> dict[str, Any] | None:
    """Return a checkpoint, or None where there is none."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state


def resumable(run: Path, integers_at: int) -> dict[str, Any] | None:
    """Return the checkpoint to go on from in a course that turns to integers at this step; None for a new run.

    The last one, unless it has turned already and this course is longer: then the last before the rate fell.
    """
    state = load(run / "last.pt")
    if state is None or _turned(state) == (state["step"] > integers_at):
        return state
    steady = load(run / "steady.pt")
    if steady is None or steady["step"] > integers_at:
        raise SystemExit(f"the run in {run} is at step {state['step']}, past what --steps leaves; give more steps")
    print(f"a longer course: back to step {steady['step']}, before the rate fell", flush=True)
    return steady


def _turned(state: dict[str, Any]) -> bool:
    return not any(name.startswith("norms.") for name in state["net"])
