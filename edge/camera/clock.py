"""The two clocks of a camera, read at this door and given in by tests."""

import time
from collections.abc import Callable
from dataclasses import dataclass


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Clock:
    """What time it is, for people and for intervals."""

    wall_ms: Callable[[], int] = _wall_ms
    """Milliseconds since 1970, UTC; may step."""
    monotonic_s: Callable[[], float] = time.monotonic
    """Seconds since some moment; never steps."""
