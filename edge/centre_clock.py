"""What the centre's clock says, by the last thing heard from it and the time that has passed since."""

from edge.wire.turns import Instant


class CentreClock:
    """The centre's time as the box knows it; half a round trip is taken for the way back."""

    def __init__(self) -> None:
        self.clock_ms = 0
        """Centre clock when its last word arrived here; 0 before the first."""
        self.monotonic_s = 0.0
        """Box's monotonic clock at that moment."""
        self.ahead_ms = 0
        """Centre clock less box clock then."""
        self._asked_s: float | None = None

    def asked(self, monotonic_s: float) -> None:
        """Note that something was said which the centre answers with its time."""
        self._asked_s = monotonic_s

    def heard(self, clock_ms: int, now: Instant) -> None:
        """Take in the centre's time, as it stood when it answered."""
        way_s = 0.0 if self._asked_s is None else (now.monotonic_s - self._asked_s) / 2
        self._asked_s = None
        self.clock_ms = clock_ms + round(1000 * max(0.0, way_s))
        self.monotonic_s = now.monotonic_s
        self.ahead_ms = self.clock_ms - now.clock_ms
