"""The whole system on one machine, as the real processes over the real link: centre, box, camera.

For demo, replay and the journeys in tests/. Each process is started as an operator would start it, speaks
to the others over loopback only, and is ended with this one: on leaving, on Ctrl-C, and, where Linux's
`setpriv` is there, even if this process is killed.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from central.deployments import write_running
from edge.errors import SightlineError, WorldError

START_S = 60.0
STOP_S = 8.0
POLL_S = 0.05
DEVICE = "box-1"
CAMERA = "camera-1"


class ProcessEndedError(SightlineError):
    """A process of the rig ended as it should not have; its own line says why."""

    def __init__(self, name: str, code: int, said: str) -> None:
        super().__init__(said or f"{name} ended with exit code {code} and said nothing")
        self.exit_code = code if code > 0 else 1


@dataclass
class Process:
    """A process, its log file, and what it cost."""

    name: str
    popen: "subprocess.Popen[bytes]"
    log: Path
    cpu_s: float = 0.0

    def running(self) -> bool:
        """Return whether it still runs, reaping it if not."""
        if self.popen.returncode is None:
            self._reap(os.WNOHANG)
        return self.popen.returncode is None

    def wait(self, timeout_s: float) -> int | None:
        """Return its exit code, or None if it still runs after so many seconds."""
        until = time.monotonic() + timeout_s
        while self.running():
            if time.monotonic() >= until:
                return None
            time.sleep(POLL_S)
        return self.popen.returncode

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.running():
            self.popen.send_signal(number)

    def last_words(self) -> str:
        """Return the line in which it said why it ended."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        spoken = [line for line in lines if line.startswith(("edge ", "sightline"))]
        return (spoken or lines or [""])[-1].removeprefix("sightline: ")

    def check(self) -> None:
        """Raise if it has ended badly."""
        if not self.running() and self.popen.returncode:
            raise ProcessEndedError(self.name, self.popen.returncode, self.last_words())

    def _reap(self, how: int) -> None:
        pid, status, usage = os.wait4(self.popen.pid, how)
        if pid:
            self.popen.returncode = os.waitstatus_to_exitcode(status)
            self.cpu_s = usage.ru_utime + usage.ru_stime


@dataclass
class Rig:
    """One centre and one box under a folder; a context manager that leaves nothing running."""

    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Choose free ports."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.port, self.console_port = free_ports(2)
        self.centre_state = self.home / "centre"
        self.centre_config = self.home / "centre.yaml"
        self.box_config = self.home / "edge.yaml"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ------------------------------------------------------------------ centre

    @property
    def console(self) -> str:
        """Return the console's address."""
        return f"http://127.0.0.1:{self.console_port}"

    def start_centre(self, settings: Mapping[str, object] | None = None) -> Process:
        """Start `sightline serve` and wait until it answers."""
        tree = {
            "endpoint": f"tcp://127.0.0.1:{self.port}",
            "console": {"host": "127.0.0.1", "port": self.console_port},
            **(settings or {}),
        }
        self.centre_config.write_text(yaml.safe_dump(tree))
        centre = self.start("centre", "central", "serve", *self._centre_options())
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            centre.check()
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.console}/healthz", timeout=1).is_success:
                    return centre
            time.sleep(POLL_S)
        raise WorldError(f"the centre did not answer within {START_S:.0f} s", hint=f"see {centre.log}")

    def login(self) -> str:
        """Return the link that lets a browser in."""
        return f"{self.console}/login?token={(self.centre_state / 'console.token').read_text().strip()}"

    def sightline(self, *arguments: str, also_fine: Sequence[int] = ()) -> str:
        """Run a verb of the centre to its end and return what it printed."""
        return self._run("central", *arguments, *self._centre_options(), also_fine=also_fine)

    def client(self) -> httpx.Client:
        """Return a client that the console lets in."""
        token = (self.centre_state / "console.token").read_text().strip()
        return httpx.Client(base_url=self.console, headers={"Authorization": f"Bearer {token}"}, timeout=10)

    def ask(self, path: str) -> Any:
        """Return what the console answers, as data."""
        with self.client() as client:
            return client.get(path).raise_for_status().json()

    # ------------------------------------------------------------------ box

    def make_box(self, camera: Mapping[str, object], overrides: Sequence[str] = ()) -> None:
        """Write the box's configuration, admit the box, and give it its watchlist."""
        keys = json.loads(self.sightline("keys"))
        tree: dict[str, Any] = {
            "device": {"id": DEVICE, "state": str(self.home / "box"), "tally_s": 5.0},
            "centre": {"sealing_key": keys["seal"]},
            "camera": {"id": CAMERA, **camera},
            "watchlist": {"file": str(self.home / "box" / "watchlist.sealed")},
            "link": {"endpoints": [f"tcp://127.0.0.1:{self.port}"], "centre_key": keys["curve"]},
        }
        for override in overrides:
            put(tree, override)
        self.box_config.write_text(yaml.safe_dump(tree))
        box = json.loads(self._run("edge", "keys", "--config", str(self.box_config)))
        self.sightline("device", "admit", DEVICE, "--curve", box["curve"], "--seal", box["seal"])
        paper = self.home / "deployment.yaml"
        write_running(paper, "Trial on one machine", time.time_ns() // 1_000_000)
        wanted = ("--deployment", str(paper), "--out", str(tree["watchlist"]["file"]))
        self.sightline("watchlist", "seal", "--device", DEVICE, *wanted)

    def start_watch(self) -> Process:
        """Start `edge watch`."""
        return self.start("watch", "edge", "watch", "--config", str(self.box_config))

    def start_link(self, *, drain: bool = True) -> Process:
        """Start `edge link`."""
        return self.start("link", "edge", "link", "--config", str(self.box_config), *(["--drain"] if drain else []))

    def box_status(self) -> Any:
        """Return what `edge status` prints, as data."""
        return json.loads(self._run("edge", "status", "--config", str(self.box_config)))

    # ------------------------------------------------------------------ processes

    def start(self, name: str, module: str, *arguments: str) -> Process:
        """Start one of our programs in the background, its output in a log file."""
        log = self.home / f"{name}.log"
        with log.open("ab") as output:
            popen = subprocess.Popen(  # noqa: S603  # our own programs, arguments as a list
                [*_tied_to_us(), sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **self.environment, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        process = Process(name, popen, log)
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """End everything, last started first; what does not listen is killed."""
        for process in reversed(self.processes):
            process.signal(signal.SIGTERM)
            if process.wait(STOP_S) is None:
                process.signal(signal.SIGKILL)
                process.wait(STOP_S)

    def cpu_seconds(self) -> dict[str, float]:
        """Return the processor time of every ended process by name."""
        spent: dict[str, float] = {}
        for process in self.processes:
            spent[process.name] = round(spent.get(process.name, 0.0) + process.cpu_s, 2)
        return spent

    def _centre_options(self) -> tuple[str, ...]:
        return ("--state", str(self.centre_state), "--config", str(self.centre_config))

    def _run(self, module: str, *arguments: str, also_fine: Sequence[int] = ()) -> str:
        done = subprocess.run(  # noqa: S603  # our own programs, arguments as a list
            [sys.executable, "-m", module, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **self.environment},
        )
        if done.returncode and (done.returncode not in also_fine or not done.stdout):
            lines = done.stderr.strip().splitlines() or [""]
            said = lines[-1].removeprefix("sightline: ")
            raise ProcessEndedError(f"{module} {arguments[0]}", done.returncode, said)
        return done.stdout


@dataclass
class Listener:
    """The console's event stream, as a browser hears it; collects alerts in a thread of its own."""

    rig: Rig
    heard: list[dict[str, Any]] = field(default_factory=list)
    _told: int = 0
    _last: str = ""

    def __post_init__(self) -> None:
        """Start listening and wait until the stream is open."""
        self._open = threading.Event()
        self._news = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._listen, name="listener", daemon=True)
        self._thread.start()
        self._open.wait(START_S)

    def tell(self, say: Callable[[str], None], timeout_s: float) -> None:
        """Say every alert that was not told yet, waiting for one at most so long."""
        with self._news:
            self._news.wait_for(lambda: len(self.heard) > self._told, timeout_s)
            news, known = self.heard[self._told :], {alert["alert_id"] for alert in self.heard[: self._told]}
            self._told = len(self.heard)
        for alert in news:
            say(_in_words(alert, first=alert["alert_id"] not in known))
            known.add(alert["alert_id"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening; the thread ends with the stream."""
        self._closing = True

    def _listen(self) -> None:
        client = self.rig.client()
        with client:
            while not self._closing:
                with contextlib.suppress(httpx.HTTPError):
                    self._hear(client)
                time.sleep(POLL_S)

    def _hear(self, client: httpx.Client) -> None:
        headers = {"Last-Event-ID": self._last} if self._last else {}
        with client.stream("GET", "/api/events", headers=headers, timeout=None) as stream:
            stream.raise_for_status()
            self._open.set()
            for kind, number, data in _events(stream.iter_lines()):
                self._last = number or self._last
                if kind == "alert":
                    with self._news:
                        self.heard.append(json.loads(data))
                        self._news.notify_all()
                if self._closing:
                    break


def _in_words(alert: dict[str, Any], *, first: bool) -> str:
    """Return an alert as one line for a person."""
    line = f"{alert['identity']:<24} score {alert['score']:.2f} against {alert['threshold']:.2f}   {alert['camera']}"
    if not first:
        return f"revised {line}   a better look"
    system_ms = alert["alerted_at_ms"] - alert["taken_at_ms"]
    wait_s = (system_ms + alert["captured_at_ms"] - alert["first_seen_ms"]) / 1000
    return f"ALERT   {line}   {wait_s:.1f} s after first sight{'   LATE' if alert['late'] else ''}"


def _events(lines: Iterator[str]) -> Iterator[tuple[str, str, str]]:
    """Yield kind, id and data of each server-sent event (HTML standard, section 9.2.6)."""
    kind, number = "message", ""
    data: list[str] = []
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield kind, number, "\n".join(data)
            kind, data = "message", []
        elif name == "event":
            kind = value
        elif name == "id":
            number = value
        elif name == "data":
            data.append(value)


def free_ports(count: int) -> list[int]:
    """Return free TCP ports on loopback."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def put(tree: dict[str, Any], override: str) -> None:
    """Set `a.b.c=value` in a tree; the value is read as YAML."""
    name, equals, value = override.partition("=")
    if not equals:
        raise SightlineError(f"not a setting: {override!r}", hint="it looks like pipeline.search_side=960")
    *folders, leaf = name.split(".")
    for folder in folders:
        tree = tree.setdefault(folder, {})
    tree[leaf] = yaml.safe_load(value)


def _tied_to_us() -> list[str]:
    """Return the prefix that ends a child when we end, however we end."""
    return ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
