"""A camera as the pipeline sees it: the next frame, and whether it sees at all.

Theory of operation. The decoder may block for seconds, and a consumer that reads it directly falls behind
without any error (16 s after 20 s, measured). So a thread of its own drains it into the hand-over, and the
consumer takes from there. Nobody waits for that thread without a limit: it is a daemon, and the state is
judged from the age of the newest picture by whoever asks.
"""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from types import TracebackType
from typing import Self

import structlog

from edge.camera.address import without_secrets
from edge.camera.clock import Clock
from edge.camera.errors import CameraError, Reason
from edge.camera.frame import Frame
from edge.camera.handover import Handover
from edge.camera.settings import CameraSettings
from edge.camera.source import Source, address_of, is_live, open_source
from edge.camera.state import CameraState, Sight

_log = structlog.get_logger(__name__)

# How often a waiting consumer looks whether the camera has gone blind.
_WATCH_S = 0.5
_FIRST_PAUSE_S = 0.25


def pause_s(settings: CameraSettings, reason: Reason, tries: int, dice: float) -> float:
    """Say how long to wait before the next try.

    `tries` is the number of failures in a row, from 1; `dice`, in [0, 1), spreads cameras that fell together.
    """
    if reason is Reason.UNAUTHORISED:
        return settings.retry_password_s
    return min(settings.retry_cap_s, _FIRST_PAUSE_S * 2.0 ** min(tries - 1, 16)) * (0.75 + 0.5 * dice)


class Feed:
    """Frames of one camera, as a context manager and an iterator; for one consumer thread.

    `close` takes at most `close_timeout_s`: a reader that hangs in the decoder is left behind as a daemon.
    """

    def __init__(
        self,
        settings: CameraSettings,
        clock: Clock | None = None,
        *,
        dice: Callable[[], float] = random.random,
        close_timeout_s: float = 2.0,
    ) -> None:
        self._settings, self._clock, self._dice = settings, clock or Clock(), dice
        self._close_timeout_s = close_timeout_s
        self._live = is_live(settings)
        if self._live:  # what only the operator can put right is told before anything starts
            address_of(settings)
        self._paced = not self._live and settings.pace == "real"
        self._handover = Handover(newest_wins=self._live or self._paced)
        self._sight = Sight(settings.blind_after_s if self._live else None)
        self._index = 0
        self._video_bytes = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera {settings.id}", daemon=True)
        self._telling = threading.Lock()
        self._told = Reason.CONNECTING if self._live else None
        self._log = _log.bind(camera=settings.id, place=without_secrets(settings.source))

    def __enter__(self) -> Self:
        """Start reading."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        """Give frames until a file ends, waiting for a stream for as long as it takes."""
        while not self.ended:
            frame = self.next(_WATCH_S)
            if frame is not None:
                yield frame

    def next(self, timeout_s: float) -> Frame | None:
        """Take the next frame; None when none came within `timeout_s`, or when it has ended.

        Raises a VideoError for a file that is missing or damaged, once what was good has been taken. A stream
        is connected again instead.
        """
        picture = self._handover.take(timeout_s)
        if picture is None:
            self.state()
            return None
        return picture.frame()

    @property
    def ended(self) -> bool:
        """Say whether every frame has been taken and no more will come."""
        return self._handover.over

    @property
    def video_bytes(self) -> int:
        """Compressed bytes of video read so far."""
        return self._video_bytes

    def state(self) -> CameraState:
        """Judge whether the camera sees now, and log it when that has changed; from any thread."""
        state = self._judged()
        self._tell(state)
        return state

    def close(self) -> None:
        """Stop reading, without waiting for a decoder that hangs."""
        self._closing.set()
        self._handover.close()
        if self._thread.ident is not None:
            self._thread.join(self._close_timeout_s)
            if self._thread.is_alive():
                self._log.info("camera.reader_left", waited_s=self._close_timeout_s)

    def _judged(self) -> CameraState:
        return self._sight.state(self._clock.monotonic_s(), dropped=self._handover.dropped)

    def _tell(self, state: CameraState, error: CameraError | None = None) -> None:
        """Log a change between seeing and each kind of blindness, once."""
        with self._telling:
            if state.reason is self._told:
                return
            self._told = state.reason
        if state.reason is None:
            self._log.info("camera.seeing", reconnects=state.reconnects)
        elif self._live:
            told = {} if error is None else {"problem": error.message, "remedy": error.hint}
            self._log.warning("camera.blind", reason=state.reason.value, frame_age_s=state.frame_age_s, **told)

    def _run(self) -> None:
        trouble: Exception | None = None
        try:
            if self._live:
                self._keep_connected()
            else:
                self._read()
                self._sight.lost(Reason.ENDED)
        except Exception as error:  # noqa: BLE001 - the top of the reader's loop: the consumer gets it
            self._sight.lost(error.reason if isinstance(error, CameraError) else Reason.ENDED)
            trouble = error
        self._handover.finish(trouble)

    def _keep_connected(self) -> None:
        tries = 0
        while not self._closing.is_set():
            before = self._index
            try:
                self._read()
            except CameraError as error:
                tries = 1 if self._index > before else tries + 1
                self._sight.lost(error.reason)
                self._tell(self._judged(), error)
                self._closing.wait(pause_s(self._settings, error.reason, tries, self._dice()))

    def _read(self) -> None:
        """Read one connection, or one file, to its end."""
        with closing(open_source(self._settings, self._clock)) as source:
            self._sight.connected()
            bytes_before = self._video_bytes
            try:
                self._drain(source, bytes_before)
            finally:
                self._video_bytes = bytes_before + source.video_bytes

    def _drain(self, source: Source, bytes_before: int) -> None:
        first_index, started_s = self._index, self._clock.monotonic_s()
        for picture in source:
            monotonic_at = picture.monotonic_at
            if self._paced:
                self._closing.wait(max(0.0, started_s + picture.media_s - self._clock.monotonic_s()))
                monotonic_at = self._clock.monotonic_s()
            index = first_index + picture.index
            self._index = index + 1
            self._video_bytes = bytes_before + source.video_bytes
            self._sight.saw(monotonic_at)
            if self._told is not None:
                self.state()
            if not self._handover.put(replace(picture, index=index, monotonic_at=monotonic_at)):
                return
