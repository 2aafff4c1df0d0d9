"""One announcement on loopback at a time: what one test announces, all others of this machine hear too."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def announcing_alone() -> Iterator[None]:
    """Wait until no other test, of this run or another one of this user, announces or listens."""
    place = Path(tempfile.gettempdir()) / f"sightline-announcements-{os.getuid()}.lock"
    with place.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
