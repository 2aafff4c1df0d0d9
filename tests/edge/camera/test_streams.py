"""Cameras on the network, as dialogues with a simulated one over real sockets."""

import contextlib
import io
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from edge.camera.clock import Clock
from edge.camera.errors import CameraError, Reason
from edge.camera.feed import Feed
from edge.camera.frame import ClockSource
from edge.camera.source import open_source
from tests.edge.camera.conftest import FRAMES, impatient, next_frame, settings, take_until
from tests.simulator.background import Camera, running
from tests.simulator.pattern import number_of, write_video

PASSWORD = "hunter2:/@"
QUOTED = "hunter2%3A%2F%40"


@pytest.fixture
def camera(video: Path) -> Iterator[Camera]:
    with running(video) as camera:
        yield camera


@contextlib.contextmanager
def a_host_that(answer: bytes | None) -> Iterator[str]:
    """Accept one connection; answer so, or never."""

    def talk() -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            connection.recv(1000)
            connection.sendall(answer or b"")
            connection.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        host = threading.Thread(target=talk)
        if answer is not None:
            host.start()
        yield f"rtsp://127.0.0.1:{listener.getsockname()[1]}/axis-media/media.amp"
        if answer is not None:
            host.join()


def trouble_opening(source: str, **options: object) -> CameraError:
    with pytest.raises(CameraError) as trouble:
        open_source(impatient(source, **options), Clock()).close()
    return trouble.value


@pytest.mark.slow
def test_a_stream_joined_in_the_middle_of_a_long_group_of_pictures_is_waited_for(tmp_path: Path) -> None:
    """The key picture comes later than a read may take, and the decoder holds back the first pictures after it."""
    longs = write_video(tmp_path / "long.mp4", frames=250, key_every=100, bf="3", refs="4")
    with running(longs) as camera:
        patient = impatient(camera.rtsp_url, read_timeout_s=1.6, blind_after_s=4.0)
        with Feed(patient) as first:
            take_until(first, lambda: first.state().seeing)
            time.sleep(0.7)
        with Feed(patient) as feed:
            frames = [next_frame(feed) for _ in range(20)]
            state = feed.state()
    assert 100 <= number_of(frames[0].image) < 115
    assert state.reconnects == 0


def test_an_rtsp_camera_gives_each_frame_with_the_time_of_its_own_clock(video: Path) -> None:
    with running(video, clock_ahead_s=-0.15) as camera, Feed(settings(camera.rtsp_url)) as feed:
        frames = [next_frame(feed) for _ in range(40)]
        began_at_ms = camera.device.programme.began_at_ms()
        state = feed.state()
    assert number_of(frames[0].image) <= 5
    indices = [frame.index for frame in frames]
    assert indices == sorted(set(indices))
    by_camera = [frame for frame in frames if frame.clock_source is ClockSource.CAMERA]
    assert len(by_camera) >= 35
    captured = [frame.captured_at_ms for frame in frames]
    assert captured == sorted(set(captured))
    # The first one is dated by its arrival, and time is led over to the camera's gently.
    for frame in frames[-10:]:
        assert frame.captured_at_ms - began_at_ms == pytest.approx(40 * number_of(frame.image), abs=20)
    assert state.seeing
    assert state.reason is None
    assert state.clock_source is ClockSource.CAMERA
    assert state.clock_ahead_s == pytest.approx(-0.2, abs=0.1)
    assert feed.video_bytes > 5_000


@pytest.mark.slow
def test_a_camera_that_cuts_pictures_unevenly_is_found_out_and_seen_rightly(video: Path) -> None:
    with running(video) as camera:
        camera.device.programme.uneven = True
        with Feed(settings(camera.rtsp_url)) as feed:
            frames = [next_frame(feed) for _ in range(30)]
            state = feed.state()
    numbers = [number_of(frame.image) for frame in frames]
    # Each picture shows the number that its place in the stream has: none is made of two.
    assert len({(number - frame.index) % FRAMES for number, frame in zip(numbers, frames, strict=True)}) == 1
    assert state.reconnects == 0


@pytest.mark.slow
@pytest.mark.parametrize("slices", ["1", "4"])
def test_a_picture_does_not_wait_for_the_next_and_is_whole(tmp_path: Path, slices: str) -> None:
    video = write_video(tmp_path / "sliced.mp4", frames=FRAMES, more={"slices": slices, "tune": "zerolatency"})
    with running(video) as camera, Feed(settings(camera.rtsp_url)) as feed:
        frames = [next_frame(feed) for _ in range(20)]
        camera.do("stall")
        frames += take_until(feed, lambda: (feed.state().frame_age_s or 0) > 0.3)
        sent = camera.device.programme.sent
    numbers = [number_of(frame.image) for frame in frames]
    assert len({(number - frame.index) % FRAMES for number, frame in zip(numbers, frames, strict=True)}) == 1
    assert numbers[-1] == sent


def test_a_camera_without_sender_reports_is_dated_by_arrival(video: Path) -> None:
    with running(video, reports=False) as camera, Feed(settings(camera.rtsp_url)) as feed:
        frames = [next_frame(feed) for _ in range(10)]
        began_at_ms = camera.device.programme.began_at_ms()
    assert {frame.clock_source for frame in frames} == {ClockSource.ARRIVAL}
    for frame in frames[1:]:
        late_ms = frame.captured_at_ms - began_at_ms - 40 * number_of(frame.image)
        assert -60 < late_ms < 1000


def test_an_mjpeg_camera_gives_frames_dated_by_arrival(camera: Camera) -> None:
    with Feed(settings(camera.mjpeg_url)) as feed:
        frames = [next_frame(feed) for _ in range(10)]
        began_at_ms = camera.device.programme.began_at_ms()
    assert {frame.clock_source for frame in frames} == {ClockSource.ARRIVAL}
    for frame in frames[1:]:
        assert -60 < frame.captured_at_ms - began_at_ms - 40 * number_of(frame.image) < 1000


def test_a_consumer_that_is_busy_gets_the_newest_frame_and_the_rest_is_counted(camera: Camera) -> None:
    with Feed(settings(camera.rtsp_url)) as feed:
        first = next_frame(feed)
        while feed.state().frames < 15:
            assert feed.state().reason is None
        second = next_frame(feed)
        state = feed.state()
    assert second.index >= 14
    assert state.dropped >= second.index - first.index - 1


@pytest.mark.parametrize("kind", ["rtsp_url", "mjpeg_url"])
def test_a_password_from_a_file_opens_the_camera(video: Path, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "credentials"
    file.write_text(f"root:{PASSWORD}\n")
    file.chmod(0o600)
    with running(video, username="root", password=PASSWORD) as camera:
        with Feed(settings(getattr(camera, kind), credentials_file=str(file))) as feed:
            next_frame(feed)
        assert camera.device.gate.refused == 0


@pytest.mark.parametrize("kind", ["rtsp_url", "mjpeg_url"])
def test_a_wrong_password_is_said_once_and_never_shown(
    video: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with running(video, username="root", password="another") as camera:
        address = getattr(camera, kind).replace("://", f"://root:{QUOTED}@") + "?pwd=hunter2"
        with structlog.testing.capture_logs() as log, Feed(impatient(address)) as feed:
            take_until(feed, lambda: camera.device.gate.refused >= 3)
            state = feed.state()
        trouble = trouble_opening(address)
    assert state.reason is trouble.reason is Reason.UNAUTHORISED
    assert [(each["event"], each["reason"]) for each in log] == [("camera.blind", "unauthorised")]
    told = io.StringIO()
    traceback.print_exception(trouble, file=told)
    assert trouble.__context__ is None
    for text in (told.getvalue(), str(log), repr(feed), str(capfd.readouterr())):
        assert "hunter2" not in text
        assert QUOTED not in text


def test_a_camera_whose_password_is_put_right_is_seen_without_a_restart(video: Path) -> None:
    with running(video, username="root", password="old") as camera:
        address = camera.rtsp_url.replace("://", "://root:new@")
        with Feed(impatient(address)) as feed:
            take_until(feed, lambda: feed.state().reason is Reason.UNAUTHORISED)
            camera.device.gate.password = "new"
            next_frame(feed)
            assert feed.state().seeing


def test_a_camera_that_refuses_is_tried_until_it_is_there(camera: Camera) -> None:
    camera.do("refuse")
    patient = impatient(camera.rtsp_url, blind_after_s=30.0)
    with structlog.testing.capture_logs() as log, Feed(patient) as feed:
        take_until(feed, lambda: feed.state().reason is Reason.REFUSED)
        assert feed.state().frame_age_s is None
        camera.do("accept")
        next_frame(feed)
        assert feed.state().seeing
    assert [each["event"] for each in log] == ["camera.blind", "camera.seeing"]


@pytest.mark.parametrize("fault", ["reset", "close"])
def test_a_camera_that_hangs_up_is_connected_again_and_frames_count_on(camera: Camera, fault: str) -> None:
    patient = impatient(camera.rtsp_url, blind_after_s=30.0)
    with structlog.testing.capture_logs() as log, Feed(patient) as feed:
        before = next_frame(feed)
        camera.do(fault)
        after = take_until(feed, lambda: feed.state().reconnects == 1 and feed.state().seeing)
        after.append(next_frame(feed))
    assert after[-1].index > before.index
    reasons = [each.get("reason") for each in log]
    assert reasons == [None, "ended", None]


@pytest.mark.slow
def test_a_stall_is_blindness_and_no_old_frame_is_shown_as_new(camera: Camera) -> None:
    with Feed(impatient(camera.rtsp_url, read_timeout_s=1.5)) as feed:
        seen = [next_frame(feed) for _ in range(10)]
        camera.do("stall")
        stalled_at = time.monotonic()
        seen += take_until(feed, lambda: not feed.state().seeing)
        assert feed.state().reason is Reason.STALE
        assert time.monotonic() - stalled_at < 3.0
        late = take_until(feed, lambda: feed.state().reason is Reason.TIMEOUT)
        assert not late, "the picture that the parser still held is not a new one"
        camera.do("resume")
        resumed_at = time.monotonic()
        again = next_frame(feed)
        assert feed.state().seeing
        assert time.monotonic() - resumed_at < 5.0
    assert again.index > seen[-1].index


@pytest.mark.slow
def test_a_short_stall_is_outlived_without_connecting_again(camera: Camera) -> None:
    with Feed(settings(camera.rtsp_url, blind_after_s=0.3)) as feed:
        next_frame(feed)
        camera.do("stall")
        take_until(feed, lambda: feed.state().reason is Reason.STALE)
        camera.do("resume")
        next_frame(feed)
        assert feed.state().seeing
        assert feed.state().reconnects == 0


def test_a_host_that_accepts_and_never_answers_is_a_timeout() -> None:
    with a_host_that(answer=None) as address:
        trouble = trouble_opening(address, connect_timeout_s=0.3)
    assert trouble.reason is Reason.TIMEOUT
    assert trouble.exit_code == 3
    assert trouble.message == f"camera {address} does not answer"


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", bytes(range(256)) * 16])
def test_a_host_that_talks_garbage_is_told_from_a_camera(answer: bytes) -> None:
    with a_host_that(answer) as address:
        trouble = trouble_opening(address)
    assert trouble.reason in {Reason.CORRUPT, Reason.ENDED, Reason.TIMEOUT, Reason.NOT_A_VIDEO}


@pytest.mark.parametrize("path", ["rtsp_url", "mjpeg_url"])
def test_an_unknown_path_on_the_camera_is_missing(camera: Camera, path: str) -> None:
    trouble = trouble_opening(getattr(camera, path).replace("axis", "exit"))
    assert trouble.reason is Reason.MISSING
    assert "has no such stream" in trouble.message


def test_a_page_that_is_no_stream_is_told(camera: Camera) -> None:
    trouble = trouble_opening(camera.snapshot_url)
    assert trouble.reason in {Reason.CORRUPT, Reason.NOT_A_VIDEO}


@pytest.mark.slow
def test_closing_does_not_wait_for_a_reader_that_hangs() -> None:
    with a_host_that(answer=None) as address:
        feed = Feed(impatient(address, connect_timeout_s=1.5), close_timeout_s=0.05)
        with feed:
            feed.next(timeout_s=0.1)
            closing_at = time.monotonic()
        assert time.monotonic() - closing_at < 1.2
        assert feed.ended
        assert feed._reader.ended(within_s=10)


@pytest.mark.slow
def test_a_process_can_leave_while_its_camera_hangs() -> None:
    program = (
        "import sys; from edge.camera.feed import Feed; from edge.camera.settings import CameraSettings\n"
        "settings = CameraSettings(id='gate-3', source=sys.argv[1], connect_timeout_s=60, hung_after_s=90)\n"
        "feed = Feed(settings, close_timeout_s=0.1).__enter__()\n"
        "feed.next(timeout_s=0.2); feed.close()\n"
    )
    with a_host_that(answer=None) as address:
        done = subprocess.run([sys.executable, "-c", program, address], check=False, timeout=30)
    assert done.returncode == 0
