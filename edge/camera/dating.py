"""When a picture was taken: a judgement between the camera's clock and this box's.

The rule:

- By the camera's clock where sender reports give it, as long as that clock is within `within_s` of this box's.
  What it is ahead is the largest difference seen since either clock was set, since every delay on the way, and on a
  box with too much to do, only makes it smaller; a clock by itself drifts no faster than `_DRIFT`.
- Else by the box's clock: when the picture came, less the time the stream holds it back. So it is before the
  first report, without reports, and for a camera whose clock is hours or years off: that one must not date
  anybody's walk.
- A change between the two, a step of the camera's clock or a new connection is not handed on as a step. Time goes
  on from where it was and runs a quarter faster or slower until it is right, which tracking does not notice.
- It never stands still and never runs backwards. One exception: when the box's own clock is set by more than
  `_CUT_MS`, time goes with it, and everybody in view begins anew.
"""

from dataclasses import dataclass

from edge.camera.frame import ClockSource

# Reports are a few milliseconds uneven; what is more is led over gently, and what a person could notice is told.
_UNEVEN_MS = 10
_STEP_MS = 250
# The box's clock as read twice, a moment apart, on a busy machine.
_OWN_STEP_MS = 500
_CUT_MS = 10_000
# The share of real time by which an error is led over.
_LEAD = 0.25
# How fast a camera's clock may go wrong, or be led right by its time server; a quartz is ten times better.
_DRIFT = 0.001
# A clock is believed again when it is well within its limit, so that one at the limit does not come and go.
_AGAIN = 0.75


@dataclass(frozen=True, kw_only=True)
class Dated:
    """When a picture was taken, by which clock, and what happened to the clock with it."""

    captured_at_ms: int
    clock_source: ClockSource
    stepped_ms: int | None = None
    """By how much the camera's clock was set since the last picture, if it was."""


class Dating:
    """The dates of one camera's pictures, over all its connections; `date` once a picture, in order."""

    def __init__(self, within_s: float) -> None:
        self._within_ms = 1000 * within_s
        self._believed = within_s > 0
        self._ahead_ms: float | None = None
        self._source: ClockSource | None = None
        self._base_ms: float | None = None
        self._own_base_ms: float | None = None
        self._camera_base_ms: float | None = None
        self._lead_ms = 0.0
        self._last_ms: int | None = None
        self._last_s = 0.0

    @property
    def ahead_ms(self) -> int | None:
        """Return the camera's clock less this box's, milliseconds; None before the first report."""
        return None if self._ahead_ms is None else round(self._ahead_ms)

    @property
    def believed(self) -> bool:
        """Say whether the camera's clock, if it is known, is close enough to this box's."""
        return self._believed

    def connected(self) -> None:
        """Note a new connection, whose own time begins again, and maybe to a camera that lost its clock meanwhile."""
        self._camera_base_ms = self._base_ms = self._ahead_ms = None

    def date(self, *, camera_ms: int | None, arrival_ms: int, media_s: float, at_s: float) -> Dated:
        """Date a picture.

        `camera_ms` and `arrival_ms` are when it was taken by either clock, `media_s` its place in the stream's own
        time, `at_s` when it came by the monotonic clock.
        """
        own_base_ms = arrival_ms - 1000 * at_s
        if _apart(own_base_ms, self._own_base_ms, _OWN_STEP_MS):
            self._ahead_ms = None
        self._own_base_ms = own_base_ms
        stepped_ms = None if camera_ms is None else self._hear(camera_ms, arrival_ms, media_s, at_s)
        if camera_ms is not None and self._believed:
            source, wanted_ms, base_ms, uneven_ms = ClockSource.CAMERA, camera_ms, self._camera_base_ms, _UNEVEN_MS
        else:
            source, wanted_ms, base_ms, uneven_ms = ClockSource.ARRIVAL, arrival_ms, own_base_ms, _OWN_STEP_MS
        turned = source is not self._source or _apart(base_ms, self._base_ms, uneven_ms)
        self._source, self._base_ms = source, base_ms
        return Dated(
            captured_at_ms=self._steadily(wanted_ms, at_s, turned=turned), clock_source=source, stepped_ms=stepped_ms
        )

    def _hear(self, camera_ms: int, arrival_ms: int, media_s: float, at_s: float) -> int | None:
        """Compare the clocks; return by how much the camera's was set, if it was."""
        base_ms, before_ms = camera_ms - 1000 * media_s, self._camera_base_ms
        self._camera_base_ms = base_ms
        stepped = _apart(base_ms, before_ms, _STEP_MS)
        if self._ahead_ms is None or stepped:
            self._ahead_ms = camera_ms - arrival_ms
        else:
            drifted_ms = _DRIFT * 1000 * max(0.0, at_s - self._last_s)
            self._ahead_ms = max(camera_ms - arrival_ms, self._ahead_ms - drifted_ms)
        most_ms = self._within_ms * (1 if self._believed else _AGAIN)
        self._believed = self._within_ms > 0 and abs(self._ahead_ms) <= most_ms
        return round(base_ms - before_ms) if stepped and before_ms is not None else None

    def _steadily(self, wanted_ms: int, at_s: float, *, turned: bool) -> int:
        """Lead from where time was to where it should be."""
        if self._last_ms is None:
            given_ms = wanted_ms
        else:
            passed_ms = max(0.0, 1000 * (at_s - self._last_s))
            if turned:
                self._lead_ms = self._last_ms + passed_ms - wanted_ms
            if abs(self._lead_ms) > _CUT_MS:
                self._lead_ms = 0.0
                given_ms = wanted_ms
            else:
                most_ms = _LEAD * passed_ms
                self._lead_ms -= min(most_ms, max(-most_ms, self._lead_ms))
                given_ms = max(self._last_ms + 1, round(wanted_ms + self._lead_ms))
        self._last_ms, self._last_s = given_ms, at_s
        return given_ms


def _apart(one_ms: float | None, other_ms: float | None, most_ms: float) -> bool:
    return one_ms is not None and other_ms is not None and abs(one_ms - other_ms) > most_ms
