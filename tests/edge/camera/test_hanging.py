"""Readers that hang for good: in the decoder, while connecting, when they are to leave."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from edge.camera.clock import Clock
from edge.camera.errors import CameraError, Reason
from edge.camera.feed import MOST_HUNG, Feed
from edge.camera.frame import Picture
from edge.camera.settings import CameraSettings
from edge.camera.source import Source, open_source
from tests.edge.camera.conftest import impatient, next_frame, take_until
from tests.simulator.background import Camera, running

ROOT = Path(__file__).parents[3]


class Blocking:
    """A real connection whose decoder, after some pictures, does not come back until it is let go."""

    def __init__(self, source: Source, *, after: int, let_go: threading.Event) -> None:
        self._source, self._after, self._let_go = source, after, let_go
        self.closed = threading.Event()

    @property
    def video_bytes(self) -> int:
        return self._source.video_bytes

    def __iter__(self) -> Iterator[Picture]:
        for picture in self._source:
            if picture.index == self._after:
                self._let_go.wait()
            yield picture

    def close(self) -> None:
        self._source.close()
        self.closed.set()


class Openers:
    """Opens the camera; its first connections hang after a few pictures, or in connecting."""

    def __init__(self, *, hang: int, after: int | None) -> None:
        self.let_go = threading.Event()
        self.opened: list[Blocking] = []
        self._hang, self._after, self._asked = hang, after, 0

    def __call__(self, settings: CameraSettings, clock: Clock) -> Source:
        self._asked += 1
        if self._asked > self._hang:
            return open_source(settings, clock)
        if self._after is None:
            self.let_go.wait()
        self.opened.append(Blocking(open_source(settings, clock), after=self._after or 0, let_go=self.let_go))
        return self.opened[-1]


@pytest.fixture
def camera(video: Path, openers: Callable[..., Openers]) -> Iterator[Camera]:  # noqa: ARG001 - let go after it stops
    with running(video) as camera:
        yield camera


def hasty(camera: Camera) -> CameraSettings:
    return impatient(camera.rtsp_url, hung_after_s=1.2)


@pytest.fixture
def openers() -> Iterator[Callable[..., Openers]]:
    """Make openers whose readers are let go in the end."""
    made: list[Openers] = []

    def make(*, hang: int, after: int | None) -> Openers:
        made.append(Openers(hang=hang, after=after))
        return made[-1]

    yield make
    for each in made:
        each.let_go.set()


@pytest.mark.slow
def test_a_decoder_that_hangs_is_replaced_and_what_it_brings_later_is_ignored(
    camera: Camera, openers: Callable[..., Openers]
) -> None:
    opener = openers(hang=1, after=3)
    with structlog.testing.capture_logs() as log, Feed(hasty(camera), opener=opener) as feed:
        before = take_until(feed, lambda: feed.state().reason is Reason.STALE)
        take_until(feed, lambda: feed.state().seeing)
        first = next_frame(feed)
        state = feed.state()
        opener.let_go.set()
        assert opener.opened[0].closed.wait(10), "the one left behind hangs up when it wakes"
        after = [first, *(next_frame(feed) for _ in range(5))]
    assert (state.hung_readers, state.reconnects) == (1, 1)
    assert first.index >= 3
    indices = [frame.index for frame in before + after]
    assert indices == sorted(set(indices))
    captured = [frame.captured_at_ms for frame in before + after]
    assert captured == sorted(set(captured))
    assert [each["event"] for each in log].count("camera.reader_hung") == 1


@pytest.mark.slow
def test_connecting_that_hangs_is_given_up_for_another_try(camera: Camera, openers: Callable[..., Openers]) -> None:
    with Feed(hasty(camera), opener=openers(hang=1, after=None)) as feed:
        take_until(feed, lambda: feed.state().reason is Reason.TIMEOUT)
        next_frame(feed)
        assert feed.state().seeing
        assert feed.state().hung_readers == 1


@pytest.mark.slow
def test_when_too_many_readers_hang_the_program_is_told_to_leave(
    camera: Camera, openers: Callable[..., Openers]
) -> None:
    opener = openers(hang=99, after=2)
    with Feed(hasty(camera), opener=opener) as feed:
        with pytest.raises(CameraError, match=f"{MOST_HUNG + 1} readers of camera .* hang in the decoder") as trouble:
            for _ in feed:
                pass
        assert feed.state().hung_readers == MOST_HUNG + 1
        assert feed.ended
    assert trouble.value.reason is Reason.HUNG
    assert trouble.value.exit_code == 3
    assert len(opener.opened) == MOST_HUNG + 1


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["av", "opencv"])
def test_a_process_leaves_with_an_error_while_its_readers_hang(camera: Camera, reader: str) -> None:
    """As `edge watch` does: the readers are left in the decoder, and nothing waits for them."""
    program = (
        "import sys, threading\n"
        "from edge import program; from edge.camera.feed import Feed\n"
        "from edge.camera.settings import CameraSettings\n"
        "from tests.edge.camera.test_hanging import Openers\n"
        "settings = CameraSettings(id='gate-3', source=sys.argv[1], reader=sys.argv[2], connect_timeout_s=1,\n"
        "                          read_timeout_s=0.4, hung_after_s=1.1)\n"
        "def work():\n"
        "    with Feed(settings, close_timeout_s=0.1, opener=Openers(hang=99, after=2)) as feed:\n"
        "        for _ in feed: pass\n"
        "    return 0\n"
        "sys.exit(program.run('edge watch', work, debug=False))\n"
    )
    command = [sys.executable, "-c", program, camera.rtsp_url, reader]
    done = subprocess.run(command, cwd=ROOT, check=False, timeout=60, capture_output=True, text=True)
    assert done.returncode == 3
    assert "hang in the decoder; the program has to be started again, which systemd does" in done.stderr
