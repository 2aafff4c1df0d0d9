"""What the services tell systemd, heard on a real socket."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge.config import Config, load_config
from edge.errors import SightlineError
from edge.faces.detect import Faces
from edge.faces.pixels import Pixels
from edge.faces.registry import ModelStore, Task, load_registry
from edge.link import Link, LinkSettings
from edge.notify import Notifier
from edge.outbox import Outbox, OutboxSettings
from edge.running import Running
from edge.service import Home
from edge.watching import Watch
from edge.wire import curve
from edge.wire import watchlist as contract
from edge.wire.sealing import make_or_load, wrap
from tests.deploying import deployment
from tests.edge.test_config import GOOD, written
from tests.simulator.pattern import write_video

LIMIT_US = 200_000


class Manager:
    """Systemd's end of the line."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        self.socket.settimeout(10)
        self.environment = {"NOTIFY_SOCKET": address}

    def hears(self) -> str:
        return self.socket.recv(4096).decode()

    def hears_all(self) -> list[str]:
        """Everything said so far."""
        heard = []
        while select.select([self.socket], [], [], 0)[0]:
            heard.append(self.hears())
        return heard

    def waits_for(self, beginning: str) -> str:
        while not (line := self.hears()).startswith(beginning):
            pass
        return line


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    with made.socket:
        yield made


@pytest.fixture
def abstract() -> Iterator[Manager]:
    made = Manager(f"@sightline-test-{os.getpid()}")
    with made.socket:
        yield made


def test_everything_is_said_in_systemds_words(manager: Manager, abstract: Manager) -> None:
    for one in (manager, abstract):
        with Notifier(one.environment) as line:
            line.ready()
            line.status("seeing,\n10 pictures a second")
            line.status("seeing, 10 pictures a second")
            line.status("blind")
            line.stopping()
        assert one.hears_all() == [
            "READY=1",
            "STATUS=seeing, 10 pictures a second",
            "STATUS=blind",
            "STOPPING=1",
        ]


@pytest.mark.parametrize(
    ("limit_s", "turns", "fed_at"),
    [(4.0, [0, 1, 2, 3, 4, 5], [0, 2, 4]), (60.0, [0, 1, 4, 5, 7, 9, 11], [0, 5, 11]), (0, [0, 9], [])],
)
def test_the_watchdog_is_fed_twice_in_its_time_or_oftener(
    manager: Manager, limit_s: float, turns: list[float], fed_at: list[float]
) -> None:
    now = [0.0]
    environment = {**manager.environment, "WATCHDOG_USEC": str(int(1e6 * limit_s)), "WATCHDOG_PID": str(os.getpid())}
    fed = []
    with Notifier(environment, lambda: now[0]) as line:
        for now[0] in turns:
            line.alive()
            fed += [now[0] for said in manager.hears_all() if said == "WATCHDOG=1"]
    assert fed == fed_at


@pytest.mark.parametrize("more", [{}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}])
def test_nobody_is_told_of_life_who_did_not_ask(manager: Manager, more: dict[str, str]) -> None:
    with Notifier({**manager.environment, **more}) as line:
        line.alive()
    assert manager.hears_all() == []


def test_without_systemd_or_with_one_that_is_away_nothing_happens(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}, {"NOTIFY_SOCKET": "vsock:2:1"}):
        with Notifier({**environment, "WATCHDOG_USEC": "1000"}) as line:
            line.ready()
            line.alive()
            line.stopping()


def test_a_link_tells_how_it_stands_and_keeps_the_watchdog_fed(manager: Manager, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"tcp://127.0.0.1:{listener.getsockname()[1]}"  # nobody's, once this is closed
    settings = LinkSettings(endpoints=(endpoint,), centre_key=curve.make().public)
    stop = threading.Event()
    with (
        Outbox.open(tmp_path / "outbox.db", OutboxSettings()) as outbox,
        Notifier({**manager.environment, "WATCHDOG_USEC": str(LIMIT_US)}) as line,
    ):
        link = Link(settings, device="box-1", software="0", key=curve.make(), outbox=outbox, systemd=line)
        thread = threading.Thread(target=link.run, args=(stop,))
        thread.start()
        try:
            assert manager.hears() == "READY=1"
            said = manager.waits_for("STATUS=")
            assert said.startswith(f"STATUS=no centre yet at {endpoint}")
            assert said.endswith("; rows waiting: 0")
            for _ in range(3):
                manager.waits_for("WATCHDOG=1")
        finally:
            stop.set()
            thread.join()
    assert manager.hears_all()[-2:] == ["STOPPING=1", "STATUS=ended"]


# ---------------------------------------------------------------------- with the models


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """Write the configuration of a box that has its keys and an empty watchlist; its camera refuses to connect."""
    registry, store = load_registry(), ModelStore.default()
    try:
        card = registry.wanted("", Task.EMBED, store)
        for task in Task:
            store.path(registry.wanted("", task, store))
    except SightlineError as error:
        pytest.skip(f"the default models are not here: {error}")
    centre = make_or_load(tmp_path / "centre.key")
    key = make_or_load(Home(tmp_path / "box").sealing_key)
    empty = contract.SealedWatchlist(
        watchlist="nobody",
        device="box-1",
        made_at_ms=0,
        expires_at_ms=1 << 45,
        model_sha256=card.template_identity,
        dimension=card.dimension,
        entries=(),
        owners=b"",
        templates=b"",
        deployment=deployment(0, 1 << 46),
    )
    sealed = tmp_path / "watchlist.sealed"
    sealed.write_bytes(wrap(centre, key.public, contract.encode(empty)))
    tree = {
        **GOOD,
        "device": {"id": "box-1", "state": str(tmp_path / "box")},
        "centre": {"sealing_key": centre.public},
        "camera": {"id": "gate", "source": "rtsp://127.0.0.1:1/"},
        "watchlist": {"file": str(sealed)},
    }
    return written(tmp_path, tree)


@pytest.mark.slow
def test_a_watch_whose_camera_is_away_is_ready_blind_and_alive(manager: Manager, box: Path) -> None:
    environment = {**os.environ, **manager.environment, "WATCHDOG_USEC": str(LIMIT_US)}
    manager.socket.settimeout(60)
    watch = subprocess.Popen(
        [sys.executable, "-m", "edge", "watch", "--config", str(box)], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        assert manager.hears().startswith("STATUS=starting")
        assert manager.hears() == "READY=1"
        assert manager.waits_for("STATUS=").startswith("STATUS=blind; camera gate does not see, refused")
        for _ in range(3):
            manager.waits_for("WATCHDOG=1")
        watch.send_signal(signal.SIGTERM)
        manager.waits_for("STOPPING=1")
        assert watch.wait(30) == 0
    finally:
        watch.kill()
        watch.wait()


class Hanging:
    """A detector that hangs from the third picture on, as a model in a broken driver would."""

    def __init__(self) -> None:
        self.pictures, self.hangs, self.wakes = 0, threading.Event(), threading.Event()

    def detect(self, picture: Pixels, *, max_side: int | None = None) -> Faces:  # noqa: ARG002  # as the port has it
        self.pictures += 1
        if self.pictures > 2:
            self.hangs.set()
            self.wakes.wait(30)
        return Faces(np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32))


@pytest.mark.slow
def test_a_pipeline_that_hangs_starves_the_watchdog(manager: Manager, box: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=50)
    config = load_config(box)
    camera = msgspec.structs.replace(config.camera, source=str(clip), at_end="loop")
    heard_while_hanging = _hang(manager, msgspec.structs.replace(config, camera=camera))
    assert heard_while_hanging == []


def _hang(manager: Manager, config: Config) -> list[str]:
    """Run a watch until its detector hangs, and return what it said in three times the watchdog's limit."""
    home, stop, detector = Home(Path(config.device.state)), threading.Event(), Hanging()
    with (
        Notifier({**manager.environment, "WATCHDOG_USEC": str(LIMIT_US)}) as line,
        Outbox.open(home.outbox, config.outbox) as outbox,
    ):
        watch = Watch(Running(config), outbox, make_or_load(home.sealing_key), line)
        watch._pipeline.detector = detector
        thread = threading.Thread(target=watch.run, args=(stop,))
        thread.start()
        try:
            assert detector.hangs.wait(10)
            assert "WATCHDOG=1" in manager.hears_all()
            time.sleep(3 * LIMIT_US / 1e6)
            return manager.hears_all()
        finally:
            stop.set()
            detector.wakes.set()
            thread.join()
