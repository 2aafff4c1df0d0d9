"""One test for each thing that a camera or its network does wrong: what is reported, and that it sees again.

Each runs with both readers where both can be put through it. The settings are impatient, so that a fault shows in
about a second; how soon it shows with the settings of a box is measured by bench/camera.py.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from edge.camera.errors import Reason
from edge.camera.feed import Feed
from edge.camera.frame import ClockSource
from edge.camera.settings import CameraSettings
from edge.camera.state import CameraState, Condition
from tests.edge.camera.conftest import impatient, next_frame, take_until
from tests.simulator.background import Camera, running
from tests.simulator.pattern import number_of, write_video
from tests.simulator.tape import load

both_readers = pytest.mark.parametrize("reader", ["av", pytest.param("opencv", marks=pytest.mark.slow)])
ROOT = Path(__file__).parents[3]


@pytest.fixture
def camera(video: Path) -> Iterator[Camera]:
    with running(video) as camera:
        yield camera


def blind_for(feed: Feed, *reasons: Reason) -> CameraState:
    """Wait until it is blind for one of the reasons."""
    states: list[CameraState] = []

    def blind() -> bool:
        states.append(feed.state())
        return states[-1].reason in reasons

    take_until(feed, blind)
    assert states[-1].condition is Condition.BLIND
    return states[-1]


def sees(feed: Feed) -> CameraState:
    """Wait until it sees, and take a picture that came since."""
    take_until(feed, lambda: feed.state().seeing)
    next_frame(feed)
    return feed.state()


@both_readers
def test_refused_is_said_and_seen_again_when_it_listens(camera: Camera, reader: str) -> None:
    camera.do("refuse")
    with Feed(impatient(camera.rtsp_url, reader=reader)) as feed:
        state = blind_for(feed, Reason.REFUSED)
        assert "refuses the connection; check the port" in state.problem
        camera.do("accept")
        assert sees(feed).problem == ""


@pytest.mark.slow
@both_readers
def test_accepting_and_never_answering_is_a_timeout(camera: Camera, reader: str) -> None:
    camera.do("mute")
    with Feed(impatient(camera.rtsp_url, reader=reader)) as feed:
        assert "does not answer" in take_problem(feed, Reason.TIMEOUT)
        camera.do("speak")
        sees(feed)


@pytest.mark.slow
@both_readers
def test_answering_without_a_picture_is_a_timeout(camera: Camera, reader: str) -> None:
    camera.do("stall")
    with Feed(impatient(camera.rtsp_url, reader=reader)) as feed:
        assert "answers, but sends no picture" in take_problem(feed, Reason.TIMEOUT)
        camera.do("resume")
        sees(feed)


def take_problem(feed: Feed, reason: Reason) -> str:
    """Wait for trouble that the reader has put in words, and return them."""
    blind_for(feed, reason)
    take_until(feed, lambda: bool(feed.state().problem))
    return feed.state().problem


@both_readers
@pytest.mark.parametrize("fault", ["reset", "close"])
def test_hanging_up_is_said_and_it_is_connected_again(camera: Camera, reader: str, fault: str) -> None:
    with structlog.testing.capture_logs() as log, Feed(impatient(camera.rtsp_url, reader=reader)) as feed:
        before = next_frame(feed)
        camera.do(fault)
        take_until(feed, lambda: feed.state().reconnects >= 1 and feed.state().seeing)
        after = next_frame(feed)
    assert after.index > before.index
    assert after.captured_at_ms > before.captured_at_ms
    assert ("camera.blind", "ended") in {(each["event"], each.get("reason")) for each in log}


@pytest.mark.slow
@both_readers
def test_a_stall_is_blindness_and_the_picture_that_was_held_back_is_not_shown(camera: Camera, reader: str) -> None:
    patient = impatient(camera.rtsp_url, reader=reader, read_timeout_s=1.0)
    with Feed(patient) as feed:
        for _ in range(10):
            next_frame(feed)
        camera.do("stall")
        blind_for(feed, Reason.STALE)
        assert feed.next(timeout_s=0.01) is None
        late = take_until(feed, lambda: feed.state().reason is Reason.TIMEOUT)
        assert not late, "the picture that the parser still held is not a new one"
        assert "has stopped sending" in feed.state().problem
        camera.do("resume")
        sees(feed)


@pytest.mark.slow
@both_readers
def test_a_camera_whose_process_is_killed_is_seen_when_it_is_back(video: Path, reader: str) -> None:
    with a_camera_process(video) as (first, address):
        port = address.rpartition(":")[2].partition("/")[0]
        with Feed(impatient(address, reader=reader)) as feed:
            next_frame(feed)
            first.send_signal(signal.SIGKILL)
            first.wait()
            blind_for(feed, Reason.REFUSED)
            with a_camera_process(video, "--rtsp-port", port):
                assert sees(feed).reconnects == 1


@contextmanager
def a_camera_process(video: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "tests.simulator", "--video", str(video), *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().split()[1]
        finally:
            process.kill()


@pytest.mark.slow
@both_readers
def test_a_network_that_hiccups_for_two_seconds_loses_no_connection(camera: Camera, reader: str) -> None:
    patient = impatient(camera.rtsp_url, reader=reader, read_timeout_s=1.5, blind_after_s=0.8)
    with Feed(patient) as feed:
        seen = [next_frame(feed) for _ in range(10)]
        camera.do("hold")
        take_until(feed, lambda: (feed.state().frame_age_s or 0) > 2.0)
        assert feed.state().reason is Reason.STALE
        camera.do("release")
        seen += [next_frame(feed) for _ in range(20)]
        assert feed.state().reconnects == 0
    captured = [frame.captured_at_ms for frame in seen]
    assert captured == sorted(set(captured))


@both_readers
def test_a_wrong_password_is_said_and_the_right_one_opens(video: Path, reader: str) -> None:
    with running(video, username="root", password="old") as camera:
        address = camera.rtsp_url.replace("://", "://root:new@")
        with Feed(impatient(address, reader=reader)) as feed:
            # OpenCV does not say why; what it is tried again after is the pause of a wrong password.
            state = blind_for(feed, Reason.UNAUTHORISED if reader == "av" else Reason.UNOPENED)
            assert "check credentials_file" in state.problem
            camera.device.gate.password = "new"
            sees(feed)


@pytest.mark.slow
@both_readers
def test_another_resolution_in_mid_stream_is_followed(camera: Camera, tmp_path: Path, reader: str) -> None:
    larger = load(write_video(tmp_path / "larger.mp4", frames=50, size=(640, 480)))
    with Feed(impatient(camera.rtsp_url, reader=reader, blind_after_s=5.0, read_timeout_s=2.0)) as feed:
        assert next_frame(feed).image.shape == (240, 320, 3)
        camera.device.programme.tape = larger
        # OpenCV scales to the size that it began with.
        size = (480, 640, 3) if reader == "av" else (240, 320, 3)
        since = feed.state().frames
        take_until(feed, lambda: feed.state().frames >= since + 15)
        assert next_frame(feed).image.shape == size
        assert feed.state().reconnects == 0


@pytest.mark.slow
def test_a_camera_whose_clock_is_set_is_noticed_and_time_never_runs_backwards(camera: Camera) -> None:
    with structlog.testing.capture_logs() as log, Feed(impatient(camera.rtsp_url)) as feed:
        seen = take_until(feed, lambda: feed.state().clock_source is ClockSource.CAMERA)
        camera.device.programme.clock_ahead_s = -3600.0
        seen += take_until(feed, lambda: feed.state().clock_source is ClockSource.ARRIVAL)
        seen += [next_frame(feed) for _ in range(10)]
        state = feed.state()
    assert state.seeing
    assert state.clock_ahead_s == pytest.approx(-3600, abs=1)
    captured = [frame.captured_at_ms for frame in seen]
    assert captured == sorted(set(captured))
    assert captured[-1] - captured[0] < 60_000
    told = {each["event"]: each for each in log}
    assert told["camera.clock_stepped"]["by_s"] == pytest.approx(-3600, abs=1)
    assert (told["camera.clock_off"]["dated_by"], told["camera.clock_off"]["log_level"]) == ("arrival", "warning")


def test_a_camera_whose_clock_is_years_off_does_not_date_anybody(video: Path) -> None:
    with running(video, clock_ahead_s=-20 * 365 * 86_400.0) as camera, Feed(impatient(camera.rtsp_url)) as feed:
        seen = [next_frame(feed) for _ in range(20)]
        state = feed.state()
    assert {frame.clock_source for frame in seen} == {ClockSource.ARRIVAL}
    assert state.clock_ahead_s == pytest.approx(-20 * 365 * 86_400, abs=1)


@pytest.mark.slow
def test_one_percent_of_loss_on_udp_is_outlived_and_no_damaged_picture_is_shown(tmp_path: Path) -> None:
    # One slice a picture, as cameras send it: of several, the loss of a whole one leaves no mark.
    video = write_video(tmp_path / "street.mp4", frames=50, size=(1280, 720), more={"threads": "1"})
    with running(video) as camera:
        camera.device.programme.loss = 0.01
        with Feed(impatient(camera.rtsp_url, transport="udp", blind_after_s=2.0)) as feed:
            seen = take_until(feed, lambda: feed.state().frames >= 60)
            state = feed.state()
        began_at_ms = camera.device.programme.began_at_ms()
    assert (state.seeing, state.reconnects) == (True, 0)
    assert seen[-1].index >= 1.1 * state.frames, "nothing was lost"
    late_ms = {(f.captured_at_ms - began_at_ms - 40 * number_of(f.image) + 1000) % 2000 - 1000 for f in seen[15:]}
    assert max(map(abs, late_ms)) <= 20, "the number in the picture is that of another moment"


@pytest.mark.slow
def test_one_percent_of_loss_on_udp_is_outlived_by_opencv_which_shows_what_is_damaged(camera: Camera) -> None:
    camera.device.programme.loss = 0.01
    with Feed(impatient(camera.rtsp_url, reader="opencv", transport="udp", blind_after_s=2.0)) as feed:
        take_until(feed, lambda: feed.state().frames >= 40)
        assert (feed.state().seeing, feed.state().reconnects) == (True, 0)


@pytest.mark.slow
@both_readers
def test_garbage_in_mid_stream_is_said_and_it_recovers(camera: Camera, reader: str) -> None:
    with Feed(impatient(camera.rtsp_url, reader=reader)) as feed:
        next_frame(feed)
        camera.do("garble")
        if reader == "av":
            assert "sends pictures that cannot be decoded" in take_problem(feed, Reason.CORRUPT)
        else:  # it gives up each connection after a while, and takes some garbage for pictures before
            blind_for(feed, Reason.ENDED)
        camera.do("clear")
        sees(feed)


@both_readers
def test_another_codec_than_the_one_wanted_is_named(tmp_path: Path, reader: str) -> None:
    with running(h265(tmp_path)) as camera:
        with Feed(impatient(camera.rtsp_url, reader=reader, accept_codec="h264")) as feed:
            state = blind_for(feed, Reason.WRONG_CODEC)
            assert "sends hevc, not in h264; set the camera to h264" in state.problem
        with Feed(impatient(camera.rtsp_url, reader=reader, connect_timeout_s=5.0)) as feed:
            sees(feed)


def h265(folder: Path) -> Path:
    options = {"x265-params": "log-level=none:bframes=0"}
    return write_video(folder / "street.mp4", frames=50, encoder="libx265", more=options)


@both_readers
def test_a_codec_that_cannot_be_decoded_here_is_said(camera: Camera, reader: str) -> None:
    camera.device.programme.codec_said = "X-NEW"
    with Feed(impatient(camera.rtsp_url, reader=reader)) as feed:
        state = blind_for(feed, Reason.WRONG_CODEC, Reason.UNOPENED)
        assert state.reason is (Reason.WRONG_CODEC if reader == "av" else Reason.UNOPENED)
        camera.device.programme.codec_said = None
        sees(feed)


@pytest.mark.slow
@both_readers
def test_another_frame_rate_is_followed_and_told(camera: Camera, tmp_path: Path, reader: str) -> None:
    slower = load(write_video(tmp_path / "slower.mp4", frames=20, fps=5, key_every=5))
    with Feed(impatient(camera.rtsp_url, reader=reader, blind_after_s=3.0, read_timeout_s=2.0)) as feed:
        take_until(feed, lambda: feed.state().rate_fps > 20)
        camera.device.programme.tape = slower
        take_until(feed, lambda: feed.state().rate_fps < 6)
        assert feed.state().rate_fps == pytest.approx(5, abs=1.5)
        assert feed.state().reconnects == 0


@both_readers
def test_a_password_is_nowhere_in_what_a_reader_says(
    video: Path, reader: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with running(video, username="root", password="another") as camera:
        for url in (camera.rtsp_url, camera.mjpeg_url):
            address = url.replace("://", "://root:hunter2@") + "?pwd=hunter2"
            with structlog.testing.capture_logs() as log, Feed(impatient(address, reader=reader)) as feed:
                blind_for(feed, Reason.UNAUTHORISED, Reason.UNOPENED)
                said = f"{feed.state()} {log}"
            assert "hunter2" not in said
    assert "hunter2" not in str(capfd.readouterr())


@pytest.mark.slow
def test_a_stream_is_read_where_pyav_is_not_installed(camera: Camera) -> None:
    done = without_pyav(camera.rtsp_url, reader="opencv")
    assert (done.returncode, done.stdout) == (0, "(240, 320, 3) arrival\n"), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "options", "remedy"),
    [
        ("rtsp://127.0.0.1:1/x", {}, "install the package av, or set camera.reader to opencv"),
        ("street.mp4", {"reader": "opencv"}, "files are read by it alone: install the package av"),
    ],
)
def test_a_reader_that_is_asked_for_and_missing_is_an_error(
    source: str, options: dict[str, str], remedy: str
) -> None:
    done = without_pyav(source, **options)
    assert done.returncode == 2
    assert done.stdout == ""
    assert remedy in done.stderr


def without_pyav(source: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Take one frame in a process in which PyAV cannot be imported."""
    program = (
        "import sys; sys.modules['av'] = None\n"
        "from edge import program; from edge.camera.feed import Feed\n"
        "from edge.camera.settings import CameraSettings\n"
        "def work():\n"
        f"    with Feed(CameraSettings(id='gate-3', source=sys.argv[1], **{options!r})) as feed:\n"
        "        frame = next(iter(feed))\n"
        "    print(frame.image.shape, frame.clock_source)\n"
        "    return 0\n"
        "sys.exit(program.run('edge watch', work, debug=False))\n"
    )
    command = [sys.executable, "-c", program, source]
    return subprocess.run(command, cwd=ROOT, check=False, timeout=60, capture_output=True, text=True, env=os.environ)


def test_the_reader_is_pyav_unless_another_is_asked_for() -> None:
    assert CameraSettings(id="gate-3", source="rtsp://camera/x").reader == "av"
