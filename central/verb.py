"""What a word of the command line is made of."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

Arguments = argparse.Namespace


@dataclass(frozen=True)
class Verb:
    """One word of the command line."""

    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Arguments], int]
    """Imports what it needs when it runs; returns the exit code."""
