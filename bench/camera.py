"""What a camera costs and how soon it is seen again: python bench/camera.py age|cpu|memory|faults [--reader opencv].

Against the simulated camera as a process of its own, with the settings of a box. The video is made here: 1920x1080,
25 a second, H.264 at 4 Mbit/s, each frame with its number in its pixels.

age     age of the newest frame when it is taken, by the camera's clock and by the number in the picture, with a
        consumer that takes 200 ms a frame
cpu     processor time a frame of the reader's thread, and of PyAV alone in the same minute, in turns
memory  resident memory each 30 s for ten minutes
faults  of each fault: what is reported, how soon, and how soon a picture comes after the camera's return
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import av

from edge.camera.feed import Feed
from edge.camera.frame import ClockSource
from edge.camera.settings import CameraSettings
from tests.simulator.background import Camera, running
from tests.simulator.pattern import number_of, write_video
from tests.simulator.tape import load

ROOT = Path(__file__).parents[1]
PERIOD_MS = 40
FRAMES = 250


def main() -> None:
    """Measure what is asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("age", "cpu", "memory", "faults"))
    parser.add_argument("--reader", choices=("av", "opencv"), default="av")
    parser.add_argument("--seconds", type=float, help="how long: 30, for memory 600")
    parser.add_argument("--times", type=int, default=3, help="faults: how often each")
    parser.add_argument("--fault", action="append", default=[], help="only these")
    options = parser.parse_args()
    load_ = os.getloadavg()[0]
    print(f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}  {os.cpu_count()} cores, load {load_:.1f}")
    print(
        "  ".join(f"{name} {version(name)}" for name in ("av", "opencv-python-headless")), f" reader {options.reader}"
    )
    with tempfile.TemporaryDirectory(prefix="sightline-bench-") as folder:
        if options.what == "faults":
            faults(Path(folder), options.reader, options.times, options.fault)
            return
        video = street(Path(folder) / "street.mp4")
        with a_camera(video) as (address, began_at_ms):
            seconds = options.seconds or (600 if options.what == "memory" else 30)
            if options.what == "age":
                age(address, began_at_ms, options.reader, seconds)
            elif options.what == "cpu":
                cpu(address, options.reader, seconds)
            else:
                memory(address, options.reader, seconds)


def street(path: Path) -> Path:
    """Write ten seconds of the video."""
    rate = {"b": "4M", "maxrate": "4M", "bufsize": "4M", "preset": "veryfast", "tune": "zerolatency", "threads": "1"}
    return write_video(path, frames=FRAMES, size=(1920, 1080), key_every=50, more=rate | {"crf": "-1"})


@contextmanager
def a_camera(video: Path) -> Iterator[tuple[str, Callable[[], int]]]:
    """Run the camera as a process; give its address and the moment of its first frame, once it is known."""
    command = [sys.executable, "-m", "tests.simulator", "--video", str(video), "--wait-for-client"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            out: IO[str] = process.stdout  # type: ignore[assignment]
            address = out.readline().split()[1]
            yield address, lambda: int(out.readline().split()[1])
        finally:
            process.kill()


def settings(address: str, reader: str) -> CameraSettings:
    """Return the settings of a box."""
    return CameraSettings(id="bench", source=address, reader=reader)  # type: ignore[arg-type]


def age(address: str, began_at_ms: Callable[[], int], reader: str, seconds: float) -> None:
    """Measure the age of what a slow consumer takes."""
    by_clock, by_number = [], []
    with Feed(settings(address, reader)) as feed:
        frames = iter(feed)
        next(frames)
        began_ms, until = began_at_ms(), time.monotonic() + seconds + 3
        while time.monotonic() < until:
            frame = next(frames)
            now_ms = time.time_ns() / 1e6
            if time.monotonic() < until - seconds:  # the first pictures are dated by arrival
                continue
            if frame.clock_source is ClockSource.CAMERA:
                by_clock.append(now_ms - frame.captured_at_ms)
            round_ms = FRAMES * PERIOD_MS
            by_number.append((now_ms - began_ms - PERIOD_MS * number_of(frame.image)) % round_ms)
            time.sleep(0.2)  # the consumer's work
        state = feed.state()
    for name, ages in (("by the camera's clock", by_clock), ("by the number in the picture", by_number)):
        if ages:
            p90 = statistics.quantiles(ages, n=10)[-1]
            print(f"age {name}: median {statistics.median(ages):.0f} ms, p90 {p90:.0f} ms, {len(ages)} frames")
    print(f"{state.rate_fps:.1f} a second, {state.dropped} dropped, {state.reconnects} reconnects")


def cpu(address: str, reader: str, seconds: float) -> None:
    """Measure processor time a frame: the reader's thread in a feed nobody takes from, and PyAV alone, in turns."""
    turns: dict[str, list[float]] = {"feed": [], "PyAV alone": []}
    for _ in range(3):
        turns["feed"].append(_of_the_feed(address, reader, seconds / 6))
        turns["PyAV alone"].append(_of_pyav(address, seconds / 6))
    for name, each in turns.items():
        print(f"{name}: {statistics.median(each):.2f} ms a frame ({', '.join(f'{one:.2f}' for one in each)})")
    print(f"feed over PyAV alone: {statistics.median(turns['feed']) / statistics.median(turns['PyAV alone']):.2f}")


def _of_the_feed(address: str, reader: str, seconds: float) -> float:
    with Feed(settings(address, reader)) as feed:
        while feed.state().frames < 10:
            time.sleep(0.05)
        before, frames = _reader_s(), feed.state().frames
        time.sleep(seconds)
        return 1000 * (_reader_s() - before) / (feed.state().frames - frames)


def _reader_s() -> float:
    """Return the processor time of all threads but this one and the watch: the reader and its decoder's."""
    own = {threading.get_native_id()} | {
        each.native_id for each in threading.enumerate() if each.name.startswith("watch of") and each.native_id
    }
    total = 0.0
    for task in Path("/proc/self/task").iterdir():
        if int(task.name) not in own:
            fields = (task / "schedstat").read_text().split()
            total += int(fields[0]) / 1e9
    return total


def _of_pyav(address: str, seconds: float) -> float:
    options = {"probesize": "32", "analyzeduration": "0", "rtsp_transport": "tcp"}
    with av.open(address, format="rtsp", options=options, timeout=(5, 3)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"
        count, before, until = 0, time.thread_time(), time.monotonic() + seconds
        for _ in container.decode(stream):
            count += 1
            if time.monotonic() > until:
                break
        return 1000 * (time.thread_time() - before) / count


def memory(address: str, reader: str, seconds: float) -> None:
    """Print resident memory each 30 s, a slow consumer taking frames."""
    page, began = os.sysconf("SC_PAGE_SIZE"), time.monotonic()
    due = 0.0
    with Feed(settings(address, reader)) as feed:
        for frame in feed:
            frame.image.mean()
            passed = time.monotonic() - began
            if passed >= due:
                resident = int(Path("/proc/self/statm").read_text().split()[1]) * page / 2**20
                print(f"{passed:5.0f} s  {resident:7.1f} MiB  {feed.state().frames} frames", flush=True)
                due += 30
            if passed > seconds:
                return
            time.sleep(0.2)


# ---------------------------------------------------------------------- faults


@dataclass(frozen=True)
class Fault:
    """What is done to a camera, what ends it, and how long it lasts before it is ended."""

    does: Callable[[Camera], None]
    ends: Callable[[Camera], None] = lambda _: None
    lasts_s: float = 8.0
    from_the_start: bool = False
    """It is there before the box connects."""
    options: tuple[tuple[str, Any], ...] = ()


def _told(*names: str) -> Callable[[Camera], None]:
    def tell(camera: Camera) -> None:
        for name in names:
            camera.do(name)

    return tell


def _program(name: str, value: Any) -> Callable[[Camera], None]:
    return lambda camera: setattr(camera.device.programme, name, value)


def _password(word: str) -> Callable[[Camera], None]:
    return lambda camera: setattr(camera.device.gate, "password", word)


def all_faults(folder: Path) -> dict[str, Fault]:
    """Return every fault there is a test for."""
    larger = load(write_video(folder / "larger.mp4", frames=50, size=(640, 480)))
    hevc = load(
        write_video(
            folder / "hevc.mp4", frames=50, encoder="libx265", more={"x265-params": "log-level=none:bframes=0"}
        )
    )
    plain = load(folder / "street.mp4")
    return {
        "refused": Fault(_told("refuse"), _told("accept"), from_the_start=True),
        "accepts, never answers": Fault(_told("mute"), _told("speak"), from_the_start=True),
        "answers, sends no picture": Fault(_told("stall"), _told("resume"), from_the_start=True),
        "reset": Fault(_told("reset"), lasts_s=0),
        "closed": Fault(_told("close"), lasts_s=0),
        "stall, connection up": Fault(_told("stall"), _told("resume"), lasts_s=10),
        "off and on again after 20 s": Fault(_told("refuse"), _told("accept"), lasts_s=20),
        "hiccup of 2 s": Fault(_told("hold"), _told("release"), lasts_s=2),
        "wrong password": Fault(_password("other"), _password("word"), from_the_start=True),
        "another resolution": Fault(_program("tape", larger), lasts_s=0),
        "clock set by an hour": Fault(_program("clock_ahead_s", -3600.0), lasts_s=5),
        "1 % loss on UDP": Fault(_program("loss", 0.01), _program("loss", 0.0), options=(("transport", "udp"),)),
        "garbage": Fault(_told("garble"), _told("clear")),
        "another codec": Fault(
            _program("tape", hevc), _program("tape", plain), from_the_start=True, options=(("accept_codec", "h264"),)
        ),
    }


def faults(folder: Path, reader: str, times: int, only: list[str]) -> None:
    """Put a camera through every fault and print a table."""
    video = write_video(folder / "street.mp4", frames=50)
    print("| fault | reported | blind after | picture after the return |\n|---|---|---|---|")
    for name, fault in all_faults(folder).items():
        if only and name not in only:
            continue
        # A little longer each time, so that the return does not always meet the same pause between two tries.
        runs = [_once(video, fault, reader, 1.3 * i if fault.lasts_s > 2 else 0.0) for i in range(times)]
        reasons = ", ".join(dict.fromkeys(reason for run in runs for reason in run.reasons)) or "nothing: it sees on"
        blind = statistics.median([run.blind_s for run in runs if run.reasons] or [0.0])
        back = statistics.median(run.back_s for run in runs)
        worst = max(run.back_s for run in runs)
        print(f"| {name} | {reasons} | {blind:.1f} s | {back:.1f} s (worst {worst:.1f}) |", flush=True)


@dataclass(frozen=True)
class Run:
    """How one fault went."""

    reasons: tuple[str, ...]
    blind_s: float
    back_s: float


def _once(video: Path, fault: Fault, reader: str, longer_s: float) -> Run:
    with running(video, username="root", password="word") as camera:  # noqa: S106 - a simulated camera's
        address = camera.rtsp_url.replace("://", "://root:word@")
        patient = CameraSettings(id="bench", source=address, reader=reader, **dict(fault.options))  # type: ignore[arg-type]
        if fault.from_the_start:
            fault.does(camera)
        with Feed(patient) as feed:
            if not fault.from_the_start:
                until(lambda: feed.state().frames > 50)
                fault.does(camera)
            began = time.monotonic()
            reasons: dict[str, float] = {}

            def note() -> bool:
                state = feed.state()
                if state.condition == "blind" and state.reason is not None:
                    reasons.setdefault(state.reason.value, time.monotonic() - began)
                feed.next(0.01)
                return time.monotonic() - began >= fault.lasts_s + longer_s

            until(note)
            frames, ended = feed.state().frames, time.monotonic()
            fault.ends(camera)
            until(lambda: note() and feed.state().seeing and feed.state().frames > frames)
            return Run(tuple(reasons), min(reasons.values(), default=0.0), time.monotonic() - ended)


def until(true: Callable[[], bool]) -> None:
    """Wait for something that has to come about."""
    end = time.monotonic() + 60
    while not true():
        if time.monotonic() > end:
            raise SystemExit("it did not come about within a minute")
        time.sleep(0.005)


if __name__ == "__main__":
    main()
