"""`sightline replay`: the whole system on one video and one folder of people, measured.

The video goes through `edge watch` and `edge link` to `sightline serve`, as processes; alerts are heard as a
console hears them. All times are in the video's clock: an alert is placed at the frame that completed the
decision, plus what the system took from having that frame until the alert was on the console.
"""

import contextlib
import json
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from central.rig import Listener, Process, Rig
from central.scoring import Alert, Rate, Score, Truth, score
from edge.errors import OperatorError, WorldError

NEWS_S = 0.2
DRAIN_S = 30.0
FOLLOW_S = 0.5
HEALTH_S = 2.0
GIVE_UP_S = 20.0
STARTING = ("starting", "watch has not started")

Say = Callable[[str], None]


class Latency(Struct, frozen=True):
    """Milliseconds from having the deciding frame to the alert on the console."""

    p50: float | None
    p99: float | None


class Alerted(Struct, frozen=True):
    """One alert, times in seconds of the video."""

    identity: str
    score: float
    first_seen_s: float
    alerted_s: float
    frame: int
    box: tuple[float, float, float, float]


class Report(Struct, frozen=True, kw_only=True):
    """What a replay measured."""

    frames: int
    seconds: float
    """From taking the first frame to having done with the last."""
    fps: float
    dropped: int
    tracks: int
    unusable: int
    candidates: int
    alerts: tuple[Alerted, ...]
    bytes_sent: int
    video_bytes: int
    cpu_seconds: float
    cpu_by_process: dict[str, float]
    latency_ms: Latency
    first_sight_to_alert_s: dict[str, float | None]
    truth: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to replay."""

    video: str
    watchlist: Path
    pace: str = "real"
    truth: Path | None = None
    seconds: float | None = None
    alert_threshold: float | None = None
    overrides: Sequence[str] = ()
    camera: dict[str, object] = field(default_factory=dict)
    """Further settings of the camera."""
    started_ms: Callable[[], int | None] = lambda: None
    """When the camera's film began, ms since 1970, where somebody knows; else when its first frame was taken."""
    keep: Path | None = None
    """Folder in which state and logs stay; by default they are deleted."""


def replay(plan: Plan, say: Say, *, stopped: Callable[[], bool] = lambda: False) -> Report:
    """Run the whole system on a video, saying each alert as it comes, and return what was measured."""
    truth = read_truth(plan.truth) if plan.truth else None
    if not plan.watchlist.is_dir():
        raise OperatorError(f"there is no folder {plan.watchlist}", hint="it holds <identity>/<photo>.jpg")
    with _home(plan.keep) as home, Rig(home) as rig:
        settings: dict[str, object] = {}
        if plan.alert_threshold is not None:
            settings["alert_threshold"] = plan.alert_threshold
        rig.start_centre(settings)
        _enrol(rig, plan.watchlist, say)
        camera = {"source": plan.video, "pace": plan.pace, **plan.camera}
        rig.make_box(camera, plan.overrides)
        say(f"console: {rig.login()}")
        with Listener(rig) as listener:
            link = rig.start_link()
            watch = rig.start_watch()
            _follow(rig, watch, listener, plan, say, stopped)
            status = _finish(rig, watch, link, listener, say)
        rig.stop()
        start_ms = plan.started_ms() or status["watch"]["first_captured_ms"]
        return _report(status, listener.heard, rig.cpu_seconds(), truth, start_ms)


def read_truth(path: Path) -> Truth:
    """Read the truth of a scene."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Truth)
    except OSError as error:
        raise OperatorError(f"cannot read the truth {path}: {error.strerror}") from error
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise OperatorError(f"{path} is not the truth of a scene: {error}") from error


def _enrol(rig: Rig, folder: Path, say: Say) -> None:
    """Enrol the folder; a photograph that is refused is told and left out, as an operator would leave it."""
    for line in rig.sightline("enrol", str(folder), also_fine=(OperatorError.exit_code,)).splitlines():
        say(line)


def _follow(rig: Rig, watch: Process, listener: Listener, plan: Plan, say: Say, stopped: Callable[[], bool]) -> None:
    """Say alerts as they come, until the video ends, the time is up or somebody has had enough."""
    started = time.monotonic()
    troubles = _Troubles(rig, say)
    while watch.running():
        listener.tell(say, NEWS_S)
        for process in rig.processes:
            process.check()
        troubles.tell(time.monotonic() - started)
        if stopped() or (plan.seconds is not None and time.monotonic() - started >= plan.seconds):
            watch.signal(signal.SIGTERM)
            watch.wait(DRAIN_S)


class _Troubles:
    """What ails the box, told when it changes; a camera that never gave a picture ends the replay."""

    def __init__(self, rig: Rig, say: Say) -> None:
        self._rig, self._say = rig, say
        self._told: list[str] = []
        self._asked_s = 0.0
        self._saw = False

    def tell(self, now_s: float) -> None:
        """Ask the console how the box is, every now and then."""
        if now_s - self._asked_s < HEALTH_S:
            return
        self._asked_s = now_s
        for box in self._rig.ask("/api/health")["devices"]:
            self._saw = self._saw or box["state"] == "seeing"
            troubles = [trouble for trouble in box["troubles"] if trouble not in STARTING]
            for trouble in troubles:
                if trouble not in self._told:
                    self._say(f"trouble: {trouble}")
            self._told = troubles
            if troubles and not self._saw and now_s > GIVE_UP_S:
                raise WorldError(f"no picture within {GIVE_UP_S:.0f} s: {troubles[0]}", hint="check --video")


def _finish(rig: Rig, watch: Process, link: Process, listener: Listener, say: Say) -> Any:
    """Wait until nothing is under way any more, and return the box's last words about itself."""
    if link.wait(DRAIN_S) is None:
        say("the link has not emptied its outbox; what is missing below still waits in it")
    until = time.monotonic() + DRAIN_S
    while rig.ask("/api/tally")["pending"] and time.monotonic() < until:
        time.sleep(NEWS_S)
    listener.tell(say, FOLLOW_S)
    watch.check()
    return rig.box_status()


def _report(
    status: Any, heard: Sequence[dict[str, Any]], cpu: dict[str, float], truth: Truth | None, start_ms: int
) -> Report:
    watch, link = status["watch"], status["link"]
    first = _first_of_each(heard)
    alerts = tuple(_alerted(alert, start_ms) for alert in first)
    system_ms = sorted(float(alert["alerted_at_ms"] - alert["taken_at_ms"]) for alert in first)
    waits = [alert.alerted_s - alert.first_seen_s for alert in alerts]
    busy_s = watch["busy_s"]
    return Report(
        frames=watch["frames"],
        seconds=busy_s,
        fps=round(watch["frames"] / busy_s, 2) if busy_s else 0.0,
        dropped=watch["dropped"],
        tracks=watch["tracks"],
        unusable=watch["unusable"],
        candidates=watch["candidates"],
        alerts=alerts,
        bytes_sent=link["bytes_sent"],
        video_bytes=watch["video_bytes"],
        cpu_seconds=round(sum(cpu.values()), 2),
        cpu_by_process=cpu,
        latency_ms=Latency(_quantile(system_ms, 0.5), _quantile(system_ms, 0.99)),
        first_sight_to_alert_s={
            "median": round(statistics.median(waits), 3) if waits else None,
            "worst": round(max(waits), 3) if waits else None,
        },
        truth=_scored(score(truth, [Alert(**msgspec.structs.asdict(one)) for one in alerts])) if truth else None,
    )


def _first_of_each(heard: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each alert as it was when it was first shown."""
    first: dict[Any, dict[str, Any]] = {}
    for alert in heard:
        first.setdefault(alert["alert_id"], alert)
    return list(first.values())


def _alerted(alert: dict[str, Any], start_ms: int) -> Alerted:
    system_ms = alert["alerted_at_ms"] - alert["taken_at_ms"]
    left, top, width, height = alert["box"]
    return Alerted(
        identity=alert["identity"],
        score=round(alert["score"], 4),
        first_seen_s=round((alert["first_seen_ms"] - start_ms) / 1000, 3),
        alerted_s=round((alert["captured_at_ms"] - start_ms + system_ms) / 1000, 3),
        frame=alert["frame"],
        box=(left, top, width, height),
    )


def _scored(scored: Score) -> dict[str, Any]:
    waits = list(scored.enters_to_alert_s.values())
    return {
        "walks_watched": scored.tpir.trials,
        "walks_other": scored.fpir.trials,
        "recognised": scored.recognised,
        "missed": scored.missed,
        "false_alerts": scored.false_alerts,
        "tpir": _rate(scored.tpir),
        "fpir": _rate(scored.fpir),
        "enters_to_alert_s": {
            "median": statistics.median(waits) if waits else None,
            "worst": max(waits, default=None),
            "each": scored.enters_to_alert_s,
        },
    }


def _rate(rate: Rate) -> dict[str, float | None]:
    share = rate.events / rate.trials if rate.trials else None
    return {"rate": share, "events": rate.events, "trials": rate.trials, "low": rate.low, "high": rate.high}


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least this share of the values does not exceed."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@contextlib.contextmanager
def _home(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        if keep.exists() and any(keep.iterdir()):
            raise OperatorError(f"{keep} is not empty", hint="a replay starts from nothing: name another folder")
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="sightline-") as folder:
        yield Path(folder)


def summary(report: Report) -> str:
    """Return the numbers as a table for a person."""
    sent, video = report.bytes_sent, report.video_bytes
    wait = report.first_sight_to_alert_s
    rows = [
        ("frames", f"{report.frames} in {report.seconds:.1f} s: {report.fps:.1f} a second, {report.dropped} dropped"),
        ("faces seen", f"{report.tracks} passes, {report.unusable} of them never usable"),
        ("candidates", str(report.candidates)),
        ("alerts", str(len(report.alerts))),
        ("first sight to alert", _spread(wait["median"], wait["worst"], "s")),
        ("frame to alert", _spread(report.latency_ms.p50, report.latency_ms.p99, "ms", worst="99th percentile")),
        ("sent", f"{sent:,} bytes, against {video:,} of video ({_share(sent, video)})"),
        ("processor", f"{report.cpu_seconds:.1f} s ({_each(report.cpu_by_process)})"),
    ]
    if report.truth:
        rows += _truth_rows(report.truth)
    return "\n".join(f"  {name:<22}{text}" for name, text in rows)


def _truth_rows(truth: dict[str, Any]) -> list[tuple[str, str]]:
    missed = f"; missed: {', '.join(truth['missed'])}" if truth["missed"] else ""
    waits = truth["enters_to_alert_s"]
    return [
        ("recognised", f"{len(truth['recognised'])} of {truth['walks_watched']} watched walks{missed}"),
        ("false alerts", str(len(truth["false_alerts"]))),
        ("TPIR per walk", _in_words(truth["tpir"])),
        ("FPIR per walk", _in_words(truth["fpir"])),
        ("entering to alert", _spread(waits["median"], waits["worst"], "s")),
    ]


def _in_words(rate: dict[str, float | None]) -> str:
    if rate["rate"] is None:
        return "nobody walked"
    return (
        f"{100 * rate['rate']:.1f} % ({rate['events']} of {rate['trials']},"
        f" 95 % interval {100 * (rate['low'] or 0):.1f} to {100 * (rate['high'] or 0):.1f} %)"
    )


def _spread(middle: float | None, worst_value: float | None, unit: str, *, worst: str = "worst") -> str:
    if middle is None or worst_value is None:
        return "no alert"
    digits = 0 if unit == "ms" else 2
    return f"median {middle:.{digits}f} {unit}, {worst} {worst_value:.{digits}f} {unit}"


def _share(sent: int, video: int) -> str:
    return f"1 to {video / sent:,.0f}" if sent and video else "no video"


def _each(cpu: dict[str, float]) -> str:
    return ", ".join(f"{name} {spent:.1f}" for name, spent in cpu.items())


def write_json(report: Report, path: Path) -> None:
    """Write the numbers for a program."""
    path.write_text(json.dumps(msgspec.to_builtins(report), indent=2) + "\n")
