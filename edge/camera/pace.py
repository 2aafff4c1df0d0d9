"""How far apart a stream's pictures are, and whether one was held back on its way."""

# A read that took this much longer than the stream's own time advanced was woken, or caught up after a stall;
# at most half the time after which it is woken.
_STALE_S = 1.0
# A guess, 25 a second, until pictures say better; it moves by an eighth of what each one shows.
_FIRST_PERIOD_S = 0.04
_SHARE = 8
# So many periods between two pictures: one is missing, where the camera sends them evenly.
_MISSING = 1.5


class Pace:
    """The rhythm of one connection; `held_back` once a packet, in order of coming."""

    def __init__(self, read_timeout_s: float, *, parsed: bool) -> None:
        """Begin; `parsed` where a picture is known to be whole only when the next begins: RTSP by a parser."""
        self._stale_s = min(_STALE_S, read_timeout_s / 2)
        self._parsed = parsed
        self._period_s = _FIRST_PERIOD_S
        self._newest_s: float | None = None
        self.skipped = False
        """Whether a picture seems to be missing before the last one."""

    def held_back(self, at_s: float, *, waited_s: float) -> bool:
        """Say whether a picture of the stream's moment `at_s` is old though it came just now.

        `waited_s` is how long the read took that brought it.
        """
        advanced_s = at_s - self._newest_s if self._newest_s is not None else waited_s
        self.skipped = advanced_s > _MISSING * self._period_s
        if 0 < advanced_s < _STALE_S:
            self._period_s += (advanced_s - self._period_s) / _SHARE
        self._newest_s = at_s
        return waited_s - advanced_s > self._stale_s

    @property
    def held_s(self) -> float:
        """Return how long a picture has been here before it is known to be whole, in seconds."""
        return self._period_s if self._parsed else 0.0
