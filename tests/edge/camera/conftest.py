"""What the camera tests share: a small numbered video, settings, patience."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.camera.feed import Feed
from edge.camera.frame import Frame
from edge.camera.settings import CameraSettings
from tests.simulator.pattern import write_video

FRAMES = 50
FPS = 25


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of numbered frames, a key frame each 0.4 s."""
    return write_video(tmp_path_factory.mktemp("videos") / "street.mp4", frames=FRAMES, fps=FPS)


def settings(source: Path | str, **options: Any) -> CameraSettings:
    return CameraSettings(id="gate-3", source=str(source), **options)


def impatient(source: str, **options: Any) -> CameraSettings:
    """Settings of a stream under which every fault shows in about a second."""
    patience = {
        "connect_timeout_s": 1.0,
        "read_timeout_s": 0.4,
        "blind_after_s": 0.5,
        "retry_cap_s": 0.3,
        "retry_password_s": 0.3,
    }
    return settings(source, **patience | options)


def next_frame(feed: Feed) -> Frame:
    frame = feed.next(timeout_s=10)
    assert frame is not None, feed.state()
    return frame


def take_until(feed: Feed, condition: Callable[[], bool], *, tries: int = 500) -> list[Frame]:
    """Take frames, as a pipeline does, until something has come about."""
    taken: list[Frame] = []
    for _ in range(tries):
        if condition():
            return taken
        frame = feed.next(timeout_s=0.02)
        if frame is not None:
            taken.append(frame)
    raise AssertionError(feed.state())
