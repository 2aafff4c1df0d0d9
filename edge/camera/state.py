"""Whether a camera sees: a judgement from a few facts, outside the decoder."""

import threading
from dataclasses import dataclass

from edge.camera.errors import Reason


@dataclass(frozen=True, kw_only=True)
class CameraState:
    """What there is to say about a camera at one moment."""

    seeing: bool
    reason: Reason | None
    """Why it does not see; None while it does."""
    frame_age_s: float | None
    """Seconds since the newest picture came; None before the first."""
    frames: int
    """Pictures that came."""
    dropped: int
    """Pictures that gave way to a newer one before anybody took them."""
    reconnects: int
    """Times the stream was connected again after it had been lost."""


def judge(*, trouble: Reason | None, frame_age_s: float | None, blind_after_s: float | None) -> Reason | None:
    """Say why the camera is blind, or None if it sees.

    `trouble` is what the reader last reported, cleared by the next picture; `blind_after_s` is None where
    pictures come no faster than they are asked for.
    """
    if trouble is not None:
        return trouble
    if frame_age_s is None:
        return Reason.CONNECTING
    if blind_after_s is not None and frame_age_s > blind_after_s:
        return Reason.STALE
    return None


class Sight:
    """What the reader reports about itself, safe to ask from any thread."""

    def __init__(self, blind_after_s: float | None) -> None:
        self._blind_after_s = blind_after_s
        self._lock = threading.Lock()
        self._trouble: Reason | None = None
        self._newest_at: float | None = None
        self._frames = 0
        self._connections = 0

    def connected(self) -> None:
        """Count a connection; it sees only with the first picture."""
        with self._lock:
            self._connections += 1

    def saw(self, at_s: float) -> None:
        """Note a picture."""
        with self._lock:
            self._newest_at, self._trouble = at_s, None
            self._frames += 1

    def lost(self, reason: Reason) -> None:
        """Note that no more pictures come, and why."""
        with self._lock:
            self._trouble = reason

    def state(self, now_s: float, *, dropped: int) -> CameraState:
        """Judge at a moment of the monotonic clock."""
        with self._lock:
            age_s = None if self._newest_at is None else max(0.0, now_s - self._newest_at)
            reason = judge(trouble=self._trouble, frame_age_s=age_s, blind_after_s=self._blind_after_s)
            return CameraState(
                seeing=reason is None,
                reason=reason,
                frame_age_s=age_s,
                frames=self._frames,
                dropped=dropped,
                reconnects=max(0, self._connections - 1),
            )
