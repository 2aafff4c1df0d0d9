"""`sightline serve`: builds the rooms, owns the threads and their end.

Six threads: intake (commits and acknowledges), alerting (judges), retention (deletes), pushing (carries roll-outs),
upkeep (signs again what boxes should run), console (serves).
One that ends by itself takes the process down, with one line that says which and why: the process table
starts it again, and everything committed is where it was.
"""

import asyncio
import fcntl
import ipaddress
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
import uvicorn

from central.alerting import Alerting, AlertingSettings
from central.console.app import ConsoleSettings, make_app
from central.console.feed import Feed
from central.console.gate import make_or_load_token
from central.intake import Intake, IntakeSettings
from central.invitations import Reception
from central.metrics import AlertDelays, CentreNumbers, TimedInbox
from central.publishing.repository import Repository
from central.publishing.shelf import Shelf
from central.pushing import Pushing, open_pushing
from central.settings import CentreSettings
from central.store.state import StateDir, Store, open_store
from central.upkeep import Upkeep
from central.watchlists import renew
from edge.errors import OperatorError, SightlineError, WorldError
from edge.exposition import told_if_wanted
from edge.faces.embed import Embedder, open_embedder
from edge.faces.registry import ModelStore, Task, load_registry
from edge.faces.runtime import RuntimeSettings
from edge.wire import curve, sealing

SWEEP_S = 60.0
IDLE_S = 1.0
WAITS_S = 30.0
STOP_S = 1.5
MOST_FILES = 65_536
KNOWN_MS = 31 * 24 * 3600 * 1000
"""How long ids of judged events are remembered, so that a box long cut off cannot raise one twice."""

_log = structlog.get_logger("service")


def now_ms() -> int:
    """Read the clock: milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Ready:
    """What an operator needs once the centre runs."""

    endpoint: str
    curve_public: str
    seal_public: str
    console: str


def serve(state: StateDir, settings: CentreSettings, announce: Callable[[Ready], None]) -> None:
    """Run the centre until SIGTERM or SIGINT; raises what stopped it otherwise."""
    _allow_files()
    with _bell() as bell, _only_one(state), _console_socket(settings) as listener, _opened(state) as store:
        seal_key = sealing.make_or_load(state.seal_key)
        curve_key = curve.make_or_load(state.curve_key)
        token = make_or_load_token(state.console_token)
        embedder = _embedder(settings)
        threshold = embedder.alert_threshold(settings.alert_threshold)
        renewed = renew(store, embedder)
        if renewed:
            _log.info("references embedded again by the present model", references=renewed)
        feed = Feed()
        inbox, delays = TimedInbox(store.inbox), AlertDelays(store, feed.publish)
        upkeep = Upkeep(Repository(state.push, state.push_keys), now_ms)
        intake = Intake(
            IntakeSettings(endpoint=settings.endpoint),
            key=curve_key,
            inbox=inbox,
            admissions=store.devices,
            heartbeats=store.devices,
            reception=Reception(store),
            publications=Shelf(state.push),
        )
        alerting = Alerting(
            store, seal_key, embedder, _alerting_settings(settings, threshold), clock=now_ms, alerted=delays.alerted
        )
        app = make_app(
            store,
            feed,
            _console_settings(settings, token, listener, threshold),
            clock=now_ms,
            received=lambda: intake.report().bytes_received,
            notices=lambda: upkeep.notices,
        )
        pushing = open_pushing(state, settings, store, now_ms)
        console = _Console(app, listener, feed)
        numbers = CentreNumbers(store, intake.report, inbox, delays, now_ms)
        with intake, told_if_wanted([numbers], settings.metrics):
            endpoint = intake.bind()
            workers = [
                Worker("intake", lambda stop: _ignore(intake.run(stop)), bell),
                Worker("alerting", lambda stop: _judge(alerting, store, stop), bell),
                Worker("retention", lambda stop: _sweep(store, settings, stop), bell),
                Worker("pushing", lambda stop: _push(pushing, stop), bell),
                Worker("upkeep", upkeep.run, bell),
                Worker("console", console.run, bell),
            ]
            link = f"http://{_address(listener)}/login?token={token}"
            ready = Ready(endpoint, curve_key.public, seal_key.public, link)
            _run(workers, bell, [store.inbox.wake, console.stop], lambda: announce(ready))


# ------------------------------------------------------------------ threads


class Bell:
    """Wakes the main thread: a signal came, or a worker ended. Safe to ring from a signal handler."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def ring(self) -> None:
        """Wake whoever waits."""
        os.write(self._write, b"!")

    def wait(self) -> None:
        """Return once it was rung."""
        os.read(self._read, 1)

    def close(self) -> None:
        """Release the pipe."""
        os.close(self._read)
        os.close(self._write)


class Worker(threading.Thread):
    """A thread that does one thing until it is told to stop, and tells when it ended."""

    def __init__(self, name: str, work: Callable[[threading.Event], None], bell: Bell) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._bell = bell
        self.stop = threading.Event()
        self.failure: Exception | None = None
        self.ended = False

    def run(self) -> None:
        """Work, and keep what ended it."""
        try:
            self._work(self.stop)
        except Exception as error:  # noqa: BLE001 - the top of a service loop: the main thread tells it
            self.failure = error
        finally:
            # A thread is alive until a moment after this: whoever hears the bell needs to know now.
            self.ended = True
            self._bell.ring()


def _run(workers: list[Worker], bell: Bell, wakers: list[Callable[[], None]], ready: Callable[[], None]) -> None:
    for worker in workers:
        worker.start()
    ready()
    bell.wait()
    ended = [worker for worker in workers if worker.ended]
    for worker in workers:
        worker.stop.set()
    for wake in wakers:
        wake()
    until_s = time.monotonic() + STOP_S
    for worker in workers:
        worker.join(max(0.05, until_s - time.monotonic()))
    for worker in ended:
        raise _cause(worker)


def _cause(worker: Worker) -> Exception:
    if isinstance(worker.failure, SightlineError) or worker.failure is None:
        what = worker.failure or "it ended without being told to"
        return WorldError(f"the centre's {worker.name} stopped: {what}")
    return worker.failure


def _ignore(_: object) -> None:
    """Drop a report that nobody asked for."""


def _judge(alerting: Alerting, store: Store, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            if not alerting.step():
                store.inbox.wait(IDLE_S)
        except WorldError as error:  # a full disk, a locked file: the event waits, and so do we
            _log.error("alerting waits", what=error.message, hint=error.hint)
            stop.wait(IDLE_S)


def _push(pushing: Pushing, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            pushing.step(stop)
        except SightlineError as error:  # a full disk, a repository that cannot be read: roll-outs wait
            _log.error("pushing waits", what=error.message, hint=error.hint)
            stop.wait(WAITS_S)
        stop.wait(IDLE_S)


def _sweep(store: Store, settings: CentreSettings, stop: threading.Event) -> None:
    while not stop.is_set():
        sweep(store, now_ms(), int(settings.retention_h * 3600 * 1000))
        stop.wait(SWEEP_S)


def sweep(store: Store, at_ms: int, retention_ms: int) -> None:
    """Delete what retention no longer allows, and its traces in the write-ahead log."""
    alerts = store.alerts.purge(at_ms - retention_ms)
    aside = store.inbox.purge(set_aside_before_ms=at_ms - retention_ms, known_before_ms=at_ms - KNOWN_MS)
    if alerts or aside:
        store.database.settle()
        _log.info("retention", alerts_deleted=alerts, set_aside_deleted=aside)


class _Console:
    """The web server in its thread."""

    def __init__(self, app: Any, listener: socket.socket, feed: Feed) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,  # an access log would hold the token of the login link
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._listener = listener
        self._feed = feed

    def run(self, stop: threading.Event) -> None:
        """Serve until stopped."""
        del stop  # uvicorn has its own flag
        asyncio.run(self._server.serve(sockets=[self._listener]))

    def stop(self) -> None:
        """Let the event streams end, then the server."""
        self._server.should_exit = True
        self._feed.close()


# ------------------------------------------------------------------ building


def _allow_files() -> None:
    """Ask for as many open files as may be had: every box holds one, and the usual limit is 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = MOST_FILES if most == resource.RLIM_INFINITY else min(most, MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))


@contextmanager
def _bell() -> Iterator[Bell]:
    """Give a bell that SIGTERM and SIGINT ring."""
    bell = Bell()
    stopping = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: bell.ring()) for number in stopping]
    try:
        yield bell
    finally:
        for number, handler in zip(stopping, before, strict=True):
            signal.signal(number, handler)
        bell.close()


@contextmanager
def _only_one(state: StateDir) -> Iterator[None]:
    """Hold the state directory: two centres on one database would both raise every alert."""
    state.prepare()
    with state.lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WorldError(
                f"{state.folder} is served by another process already", hint="stop it, or choose another --state"
            ) from error
        yield


@contextmanager
def _opened(state: StateDir) -> Iterator[Store]:
    store = open_store(state)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _console_socket(settings: CentreSettings) -> Iterator[socket.socket]:
    host, port = settings.console.host, settings.console.port
    if not _is_loopback(host):
        raise OperatorError(
            f"the console will not listen on {host}: it has no TLS and no accounts yet",
            hint="keep console.host on 127.0.0.1 and reach it through a tunnel (ssh -L)",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(64)
        except OSError as error:
            raise WorldError(
                f"the console cannot listen on {host}:{port}: {error.strerror}",
                hint="is another centre running? choose another console.port",
            ) from error
        yield listener


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _embedder(settings: CentreSettings) -> Embedder:
    runtime = RuntimeSettings(provider=settings.models.provider, threads=settings.models.threads)
    store = ModelStore.default()
    return open_embedder(load_registry().wanted(settings.models.embedder, Task.EMBED, store), store, runtime)


def _alerting_settings(settings: CentreSettings, threshold: float) -> AlertingSettings:
    return AlertingSettings(
        threshold=threshold,
        window_ms=int(settings.sighting_window_s * 1000),
        late_after_ms=int(settings.late_after_s * 1000),
    )


def _console_settings(
    settings: CentreSettings, token: str, listener: socket.socket, threshold: float
) -> ConsoleSettings:
    host, port = listener.getsockname()[:2]
    return ConsoleSettings(
        host=host,
        port=port,
        token=token,
        threshold=threshold,
        silent_after_ms=int(settings.silent_after_s * 1000),
        retention_ms=int(settings.retention_h * 3600 * 1000),
    )
