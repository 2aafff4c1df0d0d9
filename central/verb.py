"""What a word of the command line is made of, and the options that many of them share."""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from central.settings import CentreSettings, load_settings

if TYPE_CHECKING:
    from central.store.state import StateDir

Arguments = argparse.Namespace


@dataclass(frozen=True)
class Verb:
    """One word of the command line."""

    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Arguments], int]
    """Imports what it needs when it runs; returns the exit code."""


def add_state(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which centre is meant."""
    parser.add_argument("--state", type=Path, metavar="DIR", help="the centre's keys and database")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, YAML")


def state_of(arguments: Arguments) -> "StateDir":
    """Return the folder of the centre that is meant."""
    from central.store.state import StateDir

    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return StateDir(arguments.state or home / "sightline")


def settings_of(arguments: Arguments) -> CentreSettings:
    """Return the settings of the centre that is meant."""
    return load_settings(arguments.config)


def now_ms() -> int:
    """Read the clock: milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000
