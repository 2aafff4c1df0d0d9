"""The simulated camera in a thread of the test's own process."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.simulator.camera import SimulatedCamera


class Camera:
    """A simulated camera that can be commanded from the test's thread."""

    def __init__(self, camera: SimulatedCamera, loop: asyncio.AbstractEventLoop) -> None:
        self.device = camera
        self._loop = loop
        self.rtsp_url, self.mjpeg_url, self.snapshot_url = (
            camera.rtsp_url,
            camera.mjpeg_url,
            camera.snapshot_url,
        )

    def do(self, fault: str) -> None:
        """Carry out a fault, or its end: any of `SimulatedCamera`'s, by its name."""
        coroutine: Coroutine[Any, Any, None] = getattr(self.device, fault)()
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=10)


@contextmanager
def running(
    video: Path,
    *,
    loop: bool = True,
    username: str | None = None,
    password: str = "",
    clock_ahead_s: float = 0.0,
    reports: bool = True,
) -> Iterator[Camera]:
    """Run a camera on free ports; its video begins when the first client plays."""
    device = SimulatedCamera(
        video,
        loop=loop,
        username=username,
        password=password,
        clock_ahead_s=clock_ahead_s,
        reports=reports,
    )
    with attended(device) as camera:
        yield camera


@contextmanager
def attended(device: SimulatedCamera) -> Iterator[Camera]:
    """Run this camera on free ports, in a thread with a loop of its own."""
    events = asyncio.new_event_loop()
    thread = threading.Thread(target=events.run_forever, name="simulated camera")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(device.start(http_port=0), events).result(timeout=10)
        yield Camera(device, events)
    finally:
        asyncio.run_coroutine_threadsafe(device.stop(), events).result(timeout=10)
        events.call_soon_threadsafe(events.stop)
        thread.join()
        events.run_until_complete(events.shutdown_default_executor())
        events.close()
