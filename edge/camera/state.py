"""Whether a camera sees: a judgement from a few facts, outside the decoder."""

import threading
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from edge.camera.errors import CameraError, Reason
from edge.camera.frame import ClockSource

# Over what time pictures are counted for the rate, in seconds, and how many at most.
_RATE_S = 5.0
_MOST_COUNTED = 2048


class Condition(StrEnum):
    """What an operator needs to know first."""

    CONNECTING = "connecting"
    SEEING = "seeing"
    BLIND = "blind"


@dataclass(frozen=True, kw_only=True)
class CameraState:
    """What there is to say about a camera at one moment."""

    condition: Condition
    reason: Reason | None
    """Why it does not see; None while it does."""
    problem: str
    """The reader's last trouble in words, and what to do about it; empty while it sees."""
    frame_age_s: float | None
    """Seconds since the newest picture came; None before the first."""
    rate_fps: float
    """Pictures a second over the last five seconds."""
    frames: int
    """Pictures that came."""
    dropped: int
    """Pictures that gave way to a newer one before anybody took them."""
    reconnects: int
    """Times the stream was connected again after it had been lost."""
    hung_readers: int
    """Readers that hung in the decoder and were replaced."""
    clock_source: ClockSource | None
    """By which clock the newest picture is dated."""
    clock_ahead_s: float | None
    """The camera's clock less this box's, seconds, the least delay on the way included; None where unknown."""

    @property
    def seeing(self) -> bool:
        """Say whether the newest picture is fresh."""
        return self.condition is Condition.SEEING


def judge(
    *, trouble: Reason | None, frame_age_s: float | None, waited_s: float, blind_after_s: float | None
) -> Reason | None:
    """Say why the camera is blind, or None if it sees.

    `trouble` is what the reader last reported, cleared by the next picture; `waited_s` is the time since it was
    started; `blind_after_s` is None where pictures come no faster than they are asked for.
    """
    if trouble is not None:
        return trouble
    if frame_age_s is None:
        late = blind_after_s is not None and waited_s > blind_after_s
        return Reason.TIMEOUT if late else Reason.CONNECTING
    if blind_after_s is not None and frame_age_s > blind_after_s:
        return Reason.STALE
    return None


class Sight:
    """What the reader reports about itself, safe to ask from any thread."""

    def __init__(self, blind_after_s: float | None, started_s: float) -> None:
        self._blind_after_s, self._started_s = blind_after_s, started_s
        self._lock = threading.Lock()
        self._trouble: Reason | None = None
        self._problem = ""
        self._came: deque[float] = deque(maxlen=_MOST_COUNTED)
        self._first_s: float | None = None
        self._frames = 0
        self._connections = 0
        self._hung = 0

    def connected(self) -> None:
        """Count a connection; it sees only with the first picture."""
        with self._lock:
            self._connections += 1

    def saw(self, at_s: float) -> None:
        """Note a picture."""
        with self._lock:
            self._trouble, self._problem = None, ""
            self._first_s = at_s if self._first_s is None else self._first_s
            self._came.append(at_s)
            self._frames += 1

    def lost(self, reason: Reason, error: CameraError | None = None) -> None:
        """Note that no more pictures come, and why."""
        with self._lock:
            self._trouble, self._problem = reason, str(error or "")

    def hung(self) -> None:
        """Note that a reader hung and was replaced."""
        with self._lock:
            self._hung += 1

    def state(
        self,
        now_s: float,
        *,
        dropped: int,
        clock_source: ClockSource | None = None,
        clock_ahead_s: float | None = None,
    ) -> CameraState:
        """Judge at a moment of the monotonic clock."""
        with self._lock:
            age_s = max(0.0, now_s - self._came[-1]) if self._came else None
            reason = judge(
                trouble=self._trouble,
                frame_age_s=age_s,
                waited_s=now_s - self._started_s,
                blind_after_s=self._blind_after_s,
            )
            return CameraState(
                condition=_CONDITIONS.get(reason, Condition.BLIND),
                reason=reason,
                problem=self._problem,
                frame_age_s=age_s,
                rate_fps=self._rate(now_s),
                frames=self._frames,
                dropped=dropped,
                reconnects=max(0, self._connections - 1),
                hung_readers=self._hung,
                clock_source=clock_source,
                clock_ahead_s=clock_ahead_s,
            )

    def _rate(self, now_s: float) -> float:
        while len(self._came) > 1 and self._came[0] <= now_s - _RATE_S:  # the newest stays: its age is asked for
            self._came.popleft()
        if self._first_s is None or self._came[-1] <= now_s - _RATE_S:
            return 0.0
        # In the first second a few pictures would make any rate.
        return len(self._came) / min(_RATE_S, max(1.0, now_s - self._first_s))


_CONDITIONS = {None: Condition.SEEING, Reason.CONNECTING: Condition.CONNECTING}
