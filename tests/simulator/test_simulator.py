"""The simulated camera as a process, as the demonstration uses it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import cv2
import numpy as np
import pytest

from edge.camera.feed import Feed
from edge.camera.settings import CameraSettings
from tests.simulator.pattern import number_of, write_video

ROOT = Path(__file__).parents[2]


@contextmanager
def simulator(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.simulator", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


def frames_until_the_camera_leaves(address: str) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    with Feed(CameraSettings(id="gate-3", source=address)) as feed:
        there = True
        while there:
            there = not seen or feed.state().seeing
            # Asked once more after the camera has gone: its last picture may still wait.
            frame = feed.next(timeout_s=0.2)
            if frame is not None:
                seen.append((number_of(frame.image), frame.captured_at_ms))
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("b_frames", ["0", "2"])
def test_a_video_played_once_begins_at_its_first_frame_and_ends_at_its_last(tmp_path: Path, b_frames: str) -> None:
    video = write_video(tmp_path / "street.mp4", frames=40, bf=b_frames)
    with simulator("--video", str(video), "--once", "--wait-for-client") as process:
        ready, address = line(process)
        seen = frames_until_the_camera_leaves(address)
        started, began_at_ms = line(process)
        assert line(process) == ["ended"]
        assert process.wait(timeout=10) == 0
    assert (ready, started) == ("ready", "started")
    numbers = [number for number, _ in seen]
    assert (numbers[0], numbers[-1]) == (0, 39)
    assert numbers == sorted(set(numbers))
    # The newest wins: a busy machine, or the decoder's last pictures at once, may leave some out.
    assert len(numbers) > 30
    # The first pictures are dated by their arrival, and time is led over to the camera's gently.
    for number, captured_at_ms in seen[-10:]:
        assert captured_at_ms - int(began_at_ms) == pytest.approx(40 * number, abs=20)


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_it_leaves_cleanly_when_told(tmp_path: Path, sign: signal.Signals) -> None:
    video = write_video(tmp_path / "street.mp4", frames=40)
    with simulator("--video", str(video)) as process:
        _, address = line(process)
        with Feed(CameraSettings(id="gate-3", source=address)) as feed:
            assert feed.next(timeout_s=10) is not None
            process.send_signal(sign)
            assert process.wait(timeout=10) == 0


@pytest.mark.slow
def test_it_takes_faults_and_gives_snapshots(tmp_path: Path) -> None:
    video = write_video(tmp_path / "street.mp4", frames=40)
    with simulator("--video", str(video), "--http-port", "0", "--commands") as process:
        _, mjpeg = line(process)
        line(process)
        with urlopen(mjpeg.replace("mjpg/video", "jpg/image"), timeout=10) as answer:  # noqa: S310 - http, ours
            image = cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        assert number_of(np.asarray(image, np.uint8)) < 40
        assert line(process)[0] == "started"
        assert process.stdin is not None
        process.stdin.write("stall\nresume\n")
        process.stdin.flush()
        assert line(process) == ["done", "stall"]
        assert line(process) == ["done", "resume"]
