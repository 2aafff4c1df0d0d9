"""A camera that is not ours: Debian's GStreamer RTSP server, where it is installed."""

import contextlib
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from edge.camera.errors import Reason
from edge.camera.feed import Feed
from edge.camera.frame import ClockSource
from tests.edge.camera.conftest import impatient, next_frame, settings, take_until

SERVER = Path(__file__).parents[2] / "simulator" / "gstreamer.py"
# The system's own, which alone has the bindings.
PYTHON = "/usr/bin/python3"
INSTALL = (
    "apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good "
    "gstreamer1.0-plugins-bad gir1.2-gst-plugins-base-1.0"
)

both_readers = pytest.mark.parametrize("reader", ["av", "opencv"])


@cache
def what_is_missing() -> str:
    """Return why the server cannot run here; empty where it can."""
    try:
        with serving() as address:
            return "" if address else f"Debian's GStreamer RTSP server is not installed: {INSTALL}"
    except FileNotFoundError:
        return f"there is no {PYTHON}"


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """Run the server; its address is empty where it cannot run."""
    command = [PYTHON, str(SERVER), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().removeprefix("ready ").strip()
        finally:
            server.kill()


@pytest.fixture(autouse=True)
def _installed() -> None:
    if missing := what_is_missing():
        pytest.skip(missing)


@pytest.mark.slow
def test_its_pictures_are_read_and_dated_by_its_clock() -> None:
    with serving() as address, Feed(settings(address)) as feed:
        frames = take_until(feed, lambda: feed.state().clock_source is ClockSource.CAMERA)
        frames += [next_frame(feed) for _ in range(10)]
        state = feed.state()
    assert frames[-1].image.shape == (360, 640, 3)
    captured = [frame.captured_at_ms for frame in frames]
    assert captured == sorted(set(captured))
    assert (state.seeing, state.reconnects) == (True, 0)
    # It runs by the clock of this machine; what it is behind is what encoding and sending take.
    assert state.clock_ahead_s == pytest.approx(0, abs=0.5)


@pytest.mark.slow
@both_readers
def test_when_it_is_killed_that_is_said_and_when_it_is_back_it_is_seen(reader: str) -> None:
    with contextlib.ExitStack() as stack:
        with serving() as address:
            patient = impatient(address, reader=reader, connect_timeout_s=5.0)
            feed = stack.enter_context(Feed(patient))
            next_frame(feed)
        take_until(feed, lambda: feed.state().reason is Reason.REFUSED)
        with serving("--port", address.rpartition(":")[2].partition("/")[0]):
            take_until(feed, lambda: feed.state().seeing)
            next_frame(feed)
            assert feed.state().reconnects >= 1


@pytest.mark.slow
@both_readers
def test_a_wrong_password_is_told_and_the_right_one_opens(reader: str) -> None:
    with serving("--password", "hunter2") as address:
        wrong, right = (address.replace("://", f"://root:{word}@") for word in ("hunter3", "hunter2"))
        with Feed(impatient(wrong, reader=reader)) as feed:
            take_until(feed, lambda: feed.state().reason in {Reason.UNAUTHORISED, Reason.UNOPENED})
            assert feed.state().reason is (Reason.UNAUTHORISED if reader == "av" else Reason.UNOPENED)
        with Feed(impatient(right, reader=reader, connect_timeout_s=5.0)) as feed:
            next_frame(feed)
