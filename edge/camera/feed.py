"""A camera as the pipeline sees it: the next frame, and whether it sees at all.

Theory of operation. The decoder may block for seconds, and a consumer that reads it directly falls behind
without any error (16 s after 20 s, measured). So a thread of its own, the reader, drains it into the hand-over,
and the consumer takes from there. A second thread watches: it judges the state from the age of the newest
picture, whether anybody asks or not, and where a reader has been in one call of the decoder for `hung_after_s`,
it leaves it behind and starts another. What the old one still brings is known by its number and ignored. A few
may be left behind; then the process has to be started anew, and the consumer is told so by a CameraError.
"""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Self

import structlog

from edge.camera.address import without_secrets
from edge.camera.clock import Clock
from edge.camera.dating import Dated, Dating
from edge.camera.errors import CameraError, Reason
from edge.camera.frame import ClockSource, Frame, Picture
from edge.camera.handover import Handover
from edge.camera.reader import Opener, Reader
from edge.camera.settings import CameraSettings
from edge.camera.source import address_of, is_live, open_source
from edge.camera.state import CameraState, Sight

_log = structlog.get_logger(__name__)

# How often the watch is kept, in seconds, and how long an iterating consumer waits at once.
_WATCH_S = 0.5
# Readers that may hang at once; each keeps a thread, a connection and the decoder's buffers.
MOST_HUNG = 3


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
        opener: Opener = open_source,
    ) -> None:
        self._settings, self._clock, self._dice = settings, clock or Clock(), dice
        self._close_timeout_s = close_timeout_s
        self._opener = opener
        self._live = is_live(settings)
        if self._live:  # what only the operator can put right is told before anything starts
            address_of(settings)
        self._handover = Handover(newest_wins=self._live or settings.pace == "real")
        self._sight = Sight(settings.blind_after_s if self._live else None, self._clock.monotonic_s())
        self._dating = Dating(settings.clock_within_s)
        self._clock_source: ClockSource | None = None
        self._index = self._first_index = 0
        self._turn = threading.Lock()
        """Held where it matters whose turn it is to read."""
        self._reader = self._new_reader(0)
        self._left: list[Reader] = []
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name=f"watch of camera {settings.id}", daemon=True)
        self._telling = threading.Lock()
        self._told = Reason.CONNECTING if self._live else None
        self._clock_told = True
        self._log = _log.bind(camera=settings.id, place=without_secrets(settings.source))

    def __enter__(self) -> Self:
        """Start reading."""
        self._reader.start()
        if self._live:
            self._watcher.start()
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
        is connected again instead; a CameraError says that too many readers of it hang.
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
        return sum(reader.video_bytes for reader in [*self._left, self._reader])

    def state(self) -> CameraState:
        """Judge whether the camera sees now, and log it when that has changed; from any thread."""
        state = self._judged()
        self._tell(state)
        return state

    def close(self) -> None:
        """Stop reading, without waiting for a decoder that hangs."""
        self._closing.set()
        self._handover.close()
        self._reader.leave()
        if not self._reader.ended(self._close_timeout_s):
            self._log.info("camera.reader_left", waited_s=self._close_timeout_s)
        if self._watcher.ident is not None:
            self._watcher.join()

    # ------------------------------------------------------------------ what a reader tells

    def connected(self, reader: Reader) -> None:
        """Count a connection; the numbers of its pictures go on from those before."""
        with self._turn:
            if reader is self._reader:
                self._first_index = self._index
                self._dating.connected()
                self._sight.connected()

    def saw(self, reader: Reader, picture: Picture) -> bool:
        """Give a picture its number and date and hand it over; False when this reader's turn is over."""
        with self._turn:
            if reader is not self._reader:
                return False
            self._index = self._first_index + picture.index + 1
            numbered = replace(picture, index=self._index - 1)
            dated = self._dated(numbered)
            if dated is not None:
                numbered = replace(numbered, captured_at_ms=dated.captured_at_ms, clock_source=dated.clock_source)
            self._clock_source = numbered.clock_source
            self._sight.saw(numbered.monotonic_at)
        self._tell_clock(dated)
        if self._told is not None:
            self.state()
        return self._handover.put(numbered, reader.number)

    def lost(self, reader: Reader, error: CameraError) -> None:
        """Note why no pictures come."""
        with self._turn:
            if reader is not self._reader:
                return
            self._sight.lost(error.reason, error)
        self._tell(self._judged(), error)

    def finished(self, reader: Reader, trouble: Exception | None) -> None:
        """End: a file is over, or something is wrong that trying again does not mend."""
        with self._turn:
            if reader is not self._reader:
                return
            known = trouble if isinstance(trouble, CameraError) else None
            self._sight.lost(known.reason if known else Reason.ENDED, known)
        self._handover.finish(trouble)

    def _dated(self, picture: Picture) -> Dated | None:
        """Judge when a picture of a stream was taken; a file's time is its own."""
        if picture.arrival_ms is None:
            return None
        return self._dating.date(
            camera_ms=picture.captured_at_ms if picture.clock_source is ClockSource.CAMERA else None,
            arrival_ms=picture.arrival_ms,
            media_s=picture.media_s,
            at_s=picture.monotonic_at,
        )

    # ------------------------------------------------------------------ watching

    def _watch(self) -> None:
        while not self._closing.wait(_WATCH_S):
            self.state()
            quiet_s = self._reader.quiet_s()
            if quiet_s > self._settings.hung_after_s:
                self._replace_reader(quiet_s)

    def _replace_reader(self, quiet_s: float) -> None:
        """Leave a reader behind that hangs, and start another unless too many do."""
        with self._turn:
            self._reader.leave()
            self._left.append(self._reader)
            hanging = sum(not reader.ended() for reader in self._left)
            self._sight.hung()
            if hanging <= MOST_HUNG:
                self._reader = self._new_reader(len(self._left))
                self._handover.turn_to(self._reader.number)
                self._reader.start()
        self._log.warning("camera.reader_hung", quiet_s=round(quiet_s, 1), hanging=hanging)
        if hanging > MOST_HUNG:
            trouble = CameraError(
                f"{hanging} readers of camera {without_secrets(self._settings.source)} hang in the decoder",
                reason=Reason.HUNG,
                hint="the program has to be started again, which systemd does; if it recurs, set camera.reader "
                "to the other one",
            )
            self.finished(self._reader, trouble)
            self._closing.set()

    def _new_reader(self, number: int) -> Reader:
        return Reader(number, self._settings, self._clock, dice=self._dice, opener=self._opener, to=self)

    def _judged(self) -> CameraState:
        ahead_ms = self._dating.ahead_ms
        return self._sight.state(
            self._clock.monotonic_s(),
            dropped=self._handover.dropped,
            clock_source=self._clock_source,
            clock_ahead_s=None if ahead_ms is None else ahead_ms / 1000,
        )

    # ------------------------------------------------------------------ telling

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

    def _tell_clock(self, dated: Dated | None) -> None:
        """Log that the camera's clock was set, and when it begins and ceases to be too far off."""
        ahead_ms = self._dating.ahead_ms
        if dated is None or ahead_ms is None:
            return
        if dated.stepped_ms is not None:
            self._log.warning("camera.clock_stepped", by_s=dated.stepped_ms / 1000, ahead_s=ahead_ms / 1000)
        if self._dating.believed is self._clock_told:
            return
        self._clock_told = self._dating.believed
        if self._clock_told:
            self._log.info("camera.clock_right", ahead_s=ahead_ms / 1000, dated_by="camera")
        else:
            self._log.warning(
                "camera.clock_off",
                ahead_s=ahead_ms / 1000,
                within_s=self._settings.clock_within_s,
                dated_by="arrival",
                remedy="set the camera's clock from the time server that this box uses",
            )
