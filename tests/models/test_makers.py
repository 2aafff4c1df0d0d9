"""Processes that make what is learnt from: they give in order, say when they die, and outlive nobody."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.training import makers
from models.training.makers import Makers

KILLED = """
import os, time
from models.training import makers
makers.LOOKED_S = 0.1
def made(seed):
    print(os.getpid(), flush=True)
    while True:
        yield 0
makers.Makers(made, seed=(1,), count=1, waiting=1).take()
time.sleep(60)
"""


def _counted(seed: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    for number in range(3):
        yield (*seed, number)
    sys.exit(1)


def test_what_is_made_comes_in_order_and_a_death_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(makers, "LOOKED_S", 0.1)
    working = Makers(_counted, seed=(7,), count=1, waiting=8)
    assert [working.take() for _ in range(3)] == [(7, 0, 0), (7, 0, 1), (7, 0, 2)]
    with pytest.raises(SystemExit, match="has died"):
        working.take()
    working.stop()


def test_a_killed_training_leaves_no_maker_behind() -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True) as training:
        assert training.stdout is not None
        maker = int(training.stdout.readline())
        training.kill()
        # The maker holds the other end of the pipe: it closes when the maker has ended.
        assert training.stdout.read() == ""
    assert not Path(f"/proc/{maker}/cwd").exists() or Path(f"/proc/{maker}/stat").read_text().split()[2] == "Z"
