"""Many alerts, one sighting: the same entry seen again within the window, by any camera.

A sighting is a chain: each of its passes begins no later than the window after another one of it ended.
Events may arrive in any order, so a late one can bridge two sightings; then they become one.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A stretch of camera time in which one entry was seen, milliseconds since 1970, both ends included."""

    sighting: str
    from_ms: int
    until_ms: int


@dataclass(frozen=True)
class Placement:
    """Where an alert belongs."""

    sighting: str | None
    """The sighting it joins, the earliest within reach; None: it opens a new one."""
    absorbed: tuple[str, ...]
    """Sightings that it proves to be the same as that one."""
    from_ms: int
    until_ms: int


def place(from_ms: int, until_ms: int, spans: Sequence[Span], window_ms: int) -> Placement:
    """Place a pass among the spans of its entry's sightings; the order of arrival does not matter."""
    start, end = min(from_ms, until_ms), max(from_ms, until_ms)
    near = sorted(
        (span for span in spans if span.from_ms <= end + window_ms and span.until_ms >= start - window_ms),
        key=lambda span: (span.from_ms, span.sighting),
    )
    names = [span.sighting for span in near]
    return Placement(
        sighting=names[0] if names else None,
        absorbed=tuple(names[1:]),
        from_ms=min([start, *(span.from_ms for span in near)]),
        until_ms=max([end, *(span.until_ms for span in near)]),
    )
