"""One thread that reads a camera: it connects, reads, and connects again until it is told to leave.

It may hang: in the resolver, in a decoder, in a driver. So nobody waits for it, `quiet_s` tells from outside how
long it has been in one call that brings nothing, and what it does after it was told to leave counts for nothing.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from edge.camera.clock import Clock
from edge.camera.errors import CameraError, Reason
from edge.camera.frame import Picture
from edge.camera.settings import CameraSettings
from edge.camera.source import Source, is_live

Opener = Callable[[CameraSettings, Clock], Source]

_FIRST_PAUSE_S = 0.25
# A connection that gave pictures for so long, in seconds, was a good one: the next pause is short again.
_STEADY_S = 2.0


def pause_s(settings: CameraSettings, reason: Reason, tries: int, dice: float, *, took_s: float = 0.0) -> float:
    """Say how long to wait before the next try.

    `tries` is the number of failures in a row, from 1; `dice`, in [0, 1), spreads cameras that fell together. What
    the last try took has been waited already, so that a camera which came back meanwhile is not kept waiting.
    """
    # Where the reader cannot tell, it may be the password: cameras lock out those who hurry.
    if reason in {Reason.UNAUTHORISED, Reason.UNOPENED}:
        return settings.retry_password_s
    whole_s = min(settings.retry_cap_s, _FIRST_PAUSE_S * 2.0 ** min(tries - 1, 16)) * (0.75 + 0.5 * dice)
    return max(min(whole_s, _FIRST_PAUSE_S), whole_s - took_s)


class Listens(Protocol):
    """Whom a reader tells; each call says who it is, since another may have taken its place."""

    def connected(self, reader: "Reader") -> None:
        """Note that a connection, or a file, is open."""

    def saw(self, reader: "Reader", picture: Picture) -> bool:
        """Take a picture; False when no more are wanted from this reader."""

    def lost(self, reader: "Reader", error: CameraError) -> None:
        """Note that no more pictures come, for the time being."""

    def finished(self, reader: "Reader", trouble: Exception | None) -> None:
        """Note that no more pictures will come."""


class Reader:
    """The thread, from `start` to `leave`."""

    def __init__(
        self,
        number: int,
        settings: CameraSettings,
        clock: Clock,
        *,
        dice: Callable[[], float],
        opener: Opener,
        to: Listens,
    ) -> None:
        self.number = number
        self.video_bytes = 0
        """Of all connections."""
        self._settings, self._clock, self._dice, self._opener, self._to = settings, clock, dice, opener, to
        self._paced = not is_live(settings) and settings.pace == "real"
        self._leaving = threading.Event()
        self._source: Source | None = None
        self._failures = 0
        """In a row, since the last good connection."""
        self._calls = 0
        """Calls of the source begun and ended: odd while in one."""
        self._sign = (0, 0)
        self._sign_s = 0.0
        self._thread = threading.Thread(target=self._run, name=f"camera {settings.id} {number}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def leave(self) -> None:
        """Ask it to end; it does when it next comes out of the decoder."""
        self._leaving.set()

    def ended(self, within_s: float = 0.0) -> bool:
        """Say whether it is gone, waiting for a while if it is not."""
        if self._thread.ident is not None:
            self._thread.join(within_s)
        return not self._thread.is_alive()

    def quiet_s(self) -> float:
        """Say for how long the present call of the decoder has brought nothing; for one watcher."""
        source, now_s = self._source, self._clock.monotonic_s()
        sign = (self._calls, source.video_bytes if source is not None else 0)
        if sign != self._sign or not self._calls % 2:
            self._sign, self._sign_s = sign, now_s
        return now_s - self._sign_s

    def _run(self) -> None:
        trouble: Exception | None = None
        try:
            if is_live(self._settings):
                self._keep_connected()
            else:
                self._read()
        except Exception as error:  # noqa: BLE001 - the top of the reader's loop: the consumer gets it
            trouble = error
        self._to.finished(self, trouble)

    def _keep_connected(self) -> None:
        while not self._leaving.is_set():
            began_s = self._clock.monotonic_s()
            try:
                self._read()
            except CameraError as error:
                self._failures += 1
                self._to.lost(self, error)
                took_s = self._clock.monotonic_s() - began_s
                self._leaving.wait(pause_s(self._settings, error.reason, self._failures, self._dice(), took_s=took_s))

    def _read(self) -> None:
        """Read one connection, or one file, to its end."""
        with self._in_a_call():
            source = self._opener(self._settings, self._clock)
        before, self._source = self.video_bytes, source
        try:
            self._to.connected(self)
            first_s: float | None = None
            for picture in self._pictures(source):
                first_s = picture.monotonic_at if first_s is None else first_s
                if picture.monotonic_at - first_s > _STEADY_S:
                    self._failures = 0
                self.video_bytes = before + source.video_bytes
                if not self._to.saw(self, picture):
                    return
        finally:
            self.video_bytes = before + source.video_bytes
            with self._in_a_call():
                source.close()

    def _pictures(self, source: Source) -> Iterator[Picture]:
        started_s = self._clock.monotonic_s()
        pictures = iter(source)
        while not self._leaving.is_set():
            with self._in_a_call():
                picture = next(pictures, None)
            if picture is None:
                return
            if self._paced:
                self._leaving.wait(max(0.0, started_s + picture.media_s - self._clock.monotonic_s()))
                picture = replace(picture, monotonic_at=self._clock.monotonic_s())
            yield picture

    @contextmanager
    def _in_a_call(self) -> Iterator[None]:
        self._calls += 1
        try:
            yield
        finally:
            self._calls += 1
