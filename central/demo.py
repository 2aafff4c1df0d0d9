"""`sightline demo`: the main job on one machine, with a camera process in place of a camera.

A street scene of people who do not exist is streamed over RTSP; everything behind it is what runs on a box
and at a centre, over the real link. Works from a checkout: the scene and the camera simulator are there.
"""

import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from central.replay import Plan, Report, Say, replay
from central.rig import Process, Rig
from edge.errors import OperatorError, WorldError

CHECKOUT = Path(__file__).resolve().parents[1]
SCENE = CHECKOUT / "models" / "sample"
READY_S = 20.0


def demo(say: Say, *, stopped: Callable[[], bool]) -> Report:
    """Stream the sample scene through the whole system and return what was measured."""
    video, truth, references = SCENE / "street.mp4", SCENE / "street.json", SCENE / "references"
    simulator = CHECKOUT / "tests" / "simulator" / "__main__.py"
    for needed in (video, truth, references, simulator):
        if not needed.exists():
            raise OperatorError(f"the demo needs {needed}", hint="run it from a checkout of the project")
    say("a street of people who do not exist; some of them are on the watchlist")
    with _Camera(video, say) as camera:
        plan = Plan(video=camera.address, watchlist=references, truth=truth, started_ms=camera.started_ms)
        return replay(plan, say, stopped=lambda: stopped() or camera.ended())


class _Camera:
    """The camera process, its address, and whether its film is over."""

    def __init__(self, video: Path, say: Say) -> None:
        self._video, self._say = video, say

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="sightline-camera-")
        self._rig = Rig(Path(self._folder.name), {"PYTHONPATH": str(CHECKOUT)})
        self._process: Process = self._rig.start(
            "camera",
            "tests.simulator",
            "--video",
            str(self._video),
            "--rtsp-port",
            "0",
            "--once",
            "--wait-for-client",
        )
        self.address = self._ready()
        self._say(f"camera: {self.address}")
        return self

    def __exit__(self, *_: object) -> None:
        self._rig.stop()
        self._folder.cleanup()

    def ended(self) -> bool:
        """Return whether the film has been shown to its end."""
        return not self._process.running() or "ended" in self._said()

    def started_ms(self) -> int | None:
        """Return when the first frame was captured; None before."""
        found = re.search(r"^started (\d+)", self._said(), re.MULTILINE)
        return int(found.group(1)) if found else None

    def _ready(self) -> str:
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            self._process.check()
            if found := re.search(r"^ready (rtsp://\S+)", self._said(), re.MULTILINE):
                return found.group(1)
            time.sleep(0.05)
        raise WorldError("the camera process did not start", hint=f"{sys.executable} -m tests.simulator says why")

    def _said(self) -> str:
        return self._process.log.read_text(errors="replace")
