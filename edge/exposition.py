"""Numbers for Prometheus: what each one means, and the small server on this machine that tells them.

It listens on the loopback address alone: whoever reads it is on the machine already, by a shell or by an agent that
sends the numbers on. There is no setting for another address, since it has neither TLS nor accounts.
"""

import contextlib
import socketserver
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from msgspec import Meta, Struct
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.errors import WorldError

HOST = "127.0.0.1"
_SILENT_S = 5.0
"""How long a connection may say nothing, seconds."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger("metrics")


class MetricsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether this program tells its numbers to Prometheus."""

    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """TCP port on 127.0.0.1 that serves /metrics; 0: none."""


@dataclass(frozen=True)
class Meaning:
    """What a number says, and by what it is told apart."""

    help: str
    labels: tuple[str, ...] = ()


class Sheet:
    """The numbers of one moment; only what has a meaning can be put on it, and None is not put."""

    def __init__(self, meanings: Mapping[str, Meaning], common: Mapping[str, str]) -> None:
        self._meanings = meanings
        self._common = common
        self._families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}

    def put(self, name: str, value: float | None, *labels: str) -> None:
        """Put a number, its own labels in the order of its meaning."""
        if value is None:
            return
        meaning = self._meanings[name]
        if name not in self._families:
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            self._families[name] = kind(name, meaning.help, labels=(*self._common, *meaning.labels))
        self._families[name].add_metric([*self._common.values(), *labels], value)

    def families(self) -> Iterable[Metric]:
        """Return what was put, in the order of the first of each."""
        return self._families.values()


class _Handler(WSGIRequestHandler):
    timeout = _SILENT_S

    def log_message(self, *_: object) -> None:
        """Keep the log for what somebody must act on."""


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Let a reader go that hung up in the middle."""


@contextlib.contextmanager
def told(collectors: Iterable[Collector], port: int) -> Iterator[str]:
    """Serve the numbers until the block ends and yield their address; port 0 takes any that is free.

    Raises WorldError where the port is taken.
    """
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    app: Any = make_wsgi_app(registry)
    try:
        server = make_server(HOST, port, app, _Server, _Handler)
    except OSError as error:
        raise WorldError(
            f"cannot tell metrics on {HOST}:{port}: {error.strerror}", hint="choose another metrics.port"
        ) from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def told_if_wanted(collectors: Iterable[Collector], settings: MetricsSettings) -> Iterator[None]:
    """Serve the numbers if there is a port for them; one that is taken costs the numbers and nothing else."""
    with contextlib.ExitStack() as stack:
        if settings.port:
            try:
                address = stack.enter_context(told(collectors, settings.port))
                _log.info("metrics.told", address=address)
            except WorldError as error:
                _log.error("metrics.not_told", what=error.message, hint=error.hint)
        yield
