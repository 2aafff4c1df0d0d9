"""The eyes of one box: camera, pipeline and dispatch in one loop, and the telling of how it goes.

Built and given its outbox and key by service.py. Clocks are read here, once for each judgement.
"""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import structlog

from edge.camera.address import holds_password
from edge.camera.feed import Feed
from edge.camera.frame import ClockSource, Frame
from edge.camera.state import CameraState
from edge.dispatch import Dispatch
from edge.errors import SightlineError, WorldError
from edge.faces.detect import open_detector
from edge.faces.embed import open_embedder
from edge.faces.registry import Task
from edge.gate import Verdict
from edge.guard import Guard
from edge.notify import Notifier
from edge.outbox import Outbox, WatchReport
from edge.pipeline import Counts, Finding, Pipeline
from edge.running import Running
from edge.watchlist import read_watchlist
from edge.wire import sealing
from edge.wire.ids import new_id
from edge.wire.messages import CameraHealth, Tally
from edge.wire.turns import Instant
from edge.zone import Zone

REPORT_S = 1.0
LOOK_S = 1.0
FRAME_WAIT_S = 0.5
LAST_TRY_S = 10.0

_log: structlog.stdlib.BoundLogger = structlog.get_logger("edge.watch")


class Status(WatchReport, frozen=True, kw_only=True):
    """What `watch` says of itself: `link` carries the first part to the centre, `edge status` prints it all."""

    frames: int = 0
    dropped: int = 0
    faces: int = 0
    tracks: int = 0
    unusable: int = 0
    candidates: int = 0
    events: int = 0
    """Candidates and their revisions: what the centre must have in the end."""
    video_bytes: int = 0
    first_captured_ms: int = 0
    """Camera clock of the first frame."""
    matching: str = ""
    """The gate's word: whether people are matched, or why not."""
    withheld: int = 0
    """Candidates that did not leave, because the gate closed while they were made."""
    busy_s: float = 0.0
    """From taking the first frame to having done with the last, seconds."""
    looking_s: float = 0.0
    """Of that, spent on the frames themselves."""
    camera_id: str = ""
    references: int = 0
    """How many references are compared with now."""
    watchlist_expires_at_ms: int | None = None
    """Its last moment, box clock."""


class Watch:
    """The eyes of one box: camera, pipeline, dispatch, and the telling of how it goes."""

    def __init__(
        self,
        running: Running,
        outbox: Outbox,
        key: sealing.SealingKey,
        systemd: Notifier,
        wanted: Callable[[], str] = str,
    ) -> None:
        config, models = running.config, running.config.models
        detect, embed = running.model(Task.DETECT), running.model(Task.EMBED)
        embedder = open_embedder(embed.card, embed.store, models.runtime)
        self._config = config
        self._word = running.word
        self._wanted = wanted
        """Gives the word of the state that should run now; each run is of one."""
        self._outbox = outbox
        self._systemd = systemd
        self._guard = _guard(running, key, embedder.model_sha256, outbox)
        self._pipeline = Pipeline(
            open_detector(detect.card, detect.store, models.runtime),
            embedder,
            self._guard.gallery,
            embedder.candidate_threshold(config.pipeline.policy.candidate_threshold),
            config.pipeline,
            zone=Zone(config.camera.zone) if config.camera.zone else None,
        )
        self._dispatch = Dispatch(
            outbox,
            device=config.device.id,
            camera=config.camera.id,
            run=new_id(_now_ms()),
            centre_sealing_key=config.centre.sealing_key,
            model_sha256=embedder.model_sha256,
        )
        self._status = Status(state=running.word)
        self._outdated = False
        self._looking_s = 0.0
        self._told = ""
        """What the log was last told about a report that could not be left."""
        self._tally = _Tallying(config.camera.id, _now_ms())

    def run(self, stop: threading.Event) -> Status:
        """Watch until stopped or until the video ends; what was decided is in the outbox when it returns."""
        _log.info("watch.started", camera=self._config.camera.id, matching=self._guard.verdict.value)
        if holds_password(self._config.camera.source):
            _log.warning("watch.password_in_configuration", remedy="move it into a file: camera.credentials_file")
        feed = Feed(self._config.camera)
        every_look, every_report = _Every(LOOK_S), _Every(REPORT_S)
        every_tally = _Every(self._config.device.tally_s)
        started_s: float | None = None
        try:
            with feed:
                self._systemd.ready()
                while not stop.is_set() and not feed.ended and not self._outdated:
                    # Here and not in a thread of its own: a model that hangs must starve the watchdog. A blind
                    # camera does not, since `next` comes back without a frame; the feed judges that.
                    self._systemd.alive()
                    frame = feed.next(FRAME_WAIT_S)
                    if every_look():
                        self._gate()
                    started_s = started_s or time.monotonic()
                    if frame is not None:
                        self._look(frame)
                    if every_report():
                        self._report(feed, started_s)
                        self._notice()
                    if every_tally():
                        self._send_tally(feed)
        finally:
            self._systemd.stopping()
            self._pipeline.end()
            self._send_tally(feed)
            self._save_the_last()
            self._report(feed, started_s or time.monotonic(), ended=not self._outdated)
        _log.info("watch.ended", frames=self._status.frames, candidates=self._status.candidates)
        return self._status

    def _notice(self) -> None:
        """End where another state should run: whoever keeps this program starts it again, with that."""
        wanted = self._wanted()
        if wanted != self._word:
            _log.info("watch.another_state", runs=self._word, wanted=wanted)
            self._outdated = True

    def _look(self, frame: Frame) -> None:
        since_s = time.monotonic()
        if not self._status.first_captured_ms:
            self._status = msgspec.structs.replace(self._status, first_captured_ms=frame.captured_at_ms)
        for finding in self._pipeline.process(frame):
            now = _now()
            taken_at_ms = now.clock_ms - int(1000 * (now.monotonic_s - frame.monotonic_at))
            if not self._guard.lets_out(now, _times(finding, frame, taken_at_ms)):
                self._status = msgspec.structs.replace(self._status, withheld=self._status.withheld + 1)
                continue
            self._dispatch.candidate(
                finding,
                frame,
                watchlist=self._guard.watchlist_id,
                threshold=self._pipeline.candidate_threshold,
                now_ms=now.clock_ms,
                taken_at_ms=taken_at_ms,
            )
        self._looking_s += time.monotonic() - since_s

    def _gate(self) -> None:
        """Give the pipeline the watchlist, or nobody, as the gate stands now."""
        self._guard.look(_now())
        if self._pipeline.gallery is not self._guard.gallery:
            # What was seen of somebody while the gate was shut goes into no match after it, nor the other way.
            self._pipeline.end()
            self._pipeline.gallery = self._guard.gallery

    def _troubles(self, feed: Feed) -> tuple[str, ...]:
        troubles = [*_camera_troubles(self._config.camera.id, feed.state())]
        troubles.extend(self._guard.troubles())
        if (trouble := self._dispatch.retry()) is not None:
            troubles.append(str(trouble))
        return tuple(troubles)

    def _report(self, feed: Feed, started_s: float, *, ended: bool = False) -> None:
        total = self._tally.total(self._pipeline.counts)
        state = feed.state()
        troubles = self._troubles(feed)
        self._status = msgspec.structs.replace(
            self._status,
            at_ms=_now_ms(),
            seeing=state.seeing,
            camera=_camera_health(state),
            troubles=troubles,
            matching=self._guard.verdict.value,
            watchlist_over=self._guard.ended,
            ended=ended,
            dropped=state.dropped,
            events=self._dispatch.events,
            video_bytes=feed.video_bytes,
            looking_s=round(self._looking_s, 3),
            camera_id=self._config.camera.id,
            references=len(self._pipeline.gallery),
            watchlist_expires_at_ms=self._guard.expires_at_ms,
            busy_s=round(time.monotonic() - started_s, 3),
            **vars(total),
        )
        self._systemd.status("ended" if ended else _in_words(state, self._guard.verdict, troubles))
        try:
            self._outbox.report("watch", msgspec.json.encode(self._status))
        except SightlineError as error:
            # A full disk must not stop the eyes; link tells the centre that the report is old.
            if error.message != self._told:
                _log.error("watch.report_failed", problem=error.message, remedy=error.hint)
            self._told = error.message
        else:
            self._told = ""

    def _save_the_last(self) -> None:
        """Give a disk that is full a little while before what waits in memory is lost, and then say so."""
        until = time.monotonic() + LAST_TRY_S
        while (trouble := self._dispatch.retry()) is not None:
            if time.monotonic() >= until:
                raise WorldError(
                    f"{self._dispatch.unsaved} candidates and tallies are lost: {trouble.message}", hint=trouble.hint
                )
            time.sleep(REPORT_S / 2)

    def _send_tally(self, feed: Feed) -> None:
        self._dispatch.tally(self._tally.close(self._pipeline.counts, feed.state().dropped, _now_ms()))


def _camera_health(state: CameraState) -> CameraHealth:
    """Return a camera's state as it is told."""
    return CameraHealth(
        condition=state.condition.value,
        reason=state.reason.value if state.reason else "",
        frame_age_ms=None if state.frame_age_s is None else round(1000 * state.frame_age_s),
        rate_fps=round(state.rate_fps, 1),
        dropped=state.dropped,
        reconnects=state.reconnects,
        hung_readers=state.hung_readers,
        clock_source=state.clock_source.value if state.clock_source else "",
        clock_ahead_ms=None if state.clock_ahead_s is None else round(1000 * state.clock_ahead_s),
    )


def _camera_troubles(camera: str, state: CameraState) -> Iterator[str]:
    """Say what an operator has to know of a camera: why it does not see, and a clock that is wrong."""
    if state.reason is not None:
        why = f": {state.problem}" if state.problem else ""
        yield f"camera {camera} does not see, {state.reason.value}{why}"
    if state.clock_ahead_s is not None and state.clock_source is ClockSource.ARRIVAL:
        yield (
            f"the clock of camera {camera} is {state.clock_ahead_s:+.0f} s off this box's, so its pictures are dated "
            "by their arrival; set it from the time server that this box uses"
        )


def _in_words(state: CameraState, verdict: Verdict, troubles: tuple[str, ...]) -> str:
    """Say on one line whether the camera is seen, and what is wrong."""
    sees = f"seeing, {state.rate_fps:.0f} pictures a second" if state.seeing else state.condition.value
    waits = [f"nobody is matched yet: {verdict.words}"] if verdict is Verdict.BEFORE else []
    return "; ".join([sees, *waits, *troubles])


def _guard(running: Running, key: sealing.SealingKey, model_sha256: str, outbox: Outbox) -> Guard:
    """Open the watchlist, where there is one, and set a guard over it."""
    config = running.config
    file = Path(config.watchlist.file)
    watchlist = read_watchlist(
        config.watchlist,
        key,
        author=config.centre.sealing_key,
        device=config.device.id,
        model_sha256=model_sha256,
    )
    return Guard(
        watchlist,
        file,
        outbox,
        config.gate,
        camera=config.camera.id,
        state=running.word if file.parent == running.folder else "",
        built_ms=round(Path(__file__).stat().st_mtime * 1000),
        now=_now(),
    )


def _times(finding: Finding, frame: Frame, taken_at_ms: int) -> list[int]:
    """Return when a candidate's pictures were taken; by the box's clock alone where a film has its own time."""
    if frame.clock_source is ClockSource.MEDIA:
        return [taken_at_ms]
    return [taken_at_ms, frame.captured_at_ms, *(look.captured_at_ms for look in finding.looks)]


class _Tallying:
    """The counts of the running period, and of everything before it."""

    def __init__(self, camera: str, now_ms: int) -> None:
        self._camera = camera
        self._from_ms = now_ms
        self._before = Counts()
        self._dropped_before = 0

    def total(self, counts: Counts) -> Counts:
        """Return the counts since the start."""
        return self._before.plus(counts)

    def close(self, counts: Counts, dropped: int, now_ms: int) -> Tally:
        """End the period and begin another."""
        self._before = self._before.plus(counts)
        tally = Tally(
            tally_id=new_id(now_ms),
            camera=self._camera,
            from_ms=self._from_ms,
            until_ms=now_ms,
            dropped=dropped - self._dropped_before,
            **vars(counts.taken()),
        )
        self._from_ms, self._dropped_before = now_ms, dropped
        return tally


class _Every:
    """True once every so many seconds."""

    def __init__(self, period_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._period_s, self._clock = period_s, clock
        self._next_s = clock() + period_s

    def __call__(self) -> bool:
        due = self._clock() >= self._next_s
        if due:
            self._next_s = self._clock() + self._period_s
        return due


def _now() -> Instant:
    return Instant(time.monotonic(), time.time_ns() // 1_000_000)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
