"""Where every box's line ends: the only importer of ZeroMQ at the centre.

A ROUTER, the ZAP handler that admits keys, and the monitor that sees connections come, go and fail, on one
thread. What libzmq bounds: the size of a frame, the messages that wait per box, the time for a handshake.
What it does not, connections.py does: the frames of one message, the connections of one key.
"""

import contextlib
import errno
from collections.abc import Callable, Sequence
from typing import TypeAlias

import zmq
from msgspec import Struct
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

from central.connections import Connections, Cut
from edge.errors import WorldError
from edge.wire import address
from edge.wire.curve import CurveKey
from edge.wire.messages import MAX_PAYLOAD_BYTES, OVERHEAD_BYTES

_Socket: TypeAlias = "zmq.Socket[bytes]"

_BATCH_BYTES = 32 * 1024 * 1024
_ZAP_DOMAIN = b"sightline"
_HANDSHAKE_MS = 5_000
_PEER_QUEUE = 16
"""Messages of one box that may wait unread, at most 1 MiB of payload each."""
_PEER_ANSWERS = 64
"""Messages that may wait for one box to read them, at most 256 KiB each: what is more is dropped, and asked again."""
_BACKLOG = 1024
"""Connections that may wait for their first byte: a whole fleet dials at once when a centre comes back."""
_MOST_FRAMES = 3
"""Frames of one message that are kept: with more than two it is garbage, however many more there are."""
_SWEEP_S = 0.25
"""Seconds between two looks at what each connection holds: 3 microseconds for each."""
_GONE = zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED
_BROKEN = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL


class Frames(Struct, frozen=True):
    """A message as it came: by which connection, under which key (z85), and its frames."""

    route: bytes
    key: str
    body: list[bytes]


class Switchboard:
    """The listening sockets: the ROUTER, the ZAP handler that admits keys, the monitor of failed handshakes."""

    def __init__(self, endpoint: str, key: CurveKey, admitted: Callable[[str], bool]) -> None:
        self.broken = 0
        """Handshakes that have failed; whoever reads it sets it back."""
        self._connections = Connections()
        self._sweep_s = 0.0
        self._admitted = admitted
        endpoint = address.checked(endpoint, what="intake.endpoint")
        self._context: zmq.Context[_Socket] = zmq.Context()
        # The handler first: a ROUTER without one would let everybody in. ENFORCE_DOMAIN says so twice.
        self._zap = self._context.socket(zmq.REP)
        self._zap.bind("inproc://zeromq.zap.01")
        self._router = self._context.socket(zmq.ROUTER)
        self._router.linger = 0
        self._router.setsockopt(zmq.MAXMSGSIZE, MAX_PAYLOAD_BYTES + OVERHEAD_BYTES)
        self._router.setsockopt(zmq.RCVHWM, _PEER_QUEUE)
        self._router.setsockopt(zmq.SNDHWM, _PEER_ANSWERS)
        self._router.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        self._router.setsockopt(zmq.BACKLOG, _BACKLOG)
        self._router.setsockopt(zmq.TCP_KEEPALIVE, 1)
        self._router.ipv6 = "[" in endpoint
        self._router.zap_domain = _ZAP_DOMAIN
        self._router.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        self._router.curve_server = True
        self._router.curve_secretkey = key.secret
        self._monitor = self._router.get_monitor_socket(_BROKEN | _GONE | zmq.EVENT_ACCEPTED)
        self._poller = zmq.Poller()
        for socket in (self._zap, self._router, self._monitor):
            self._poller.register(socket, zmq.POLLIN)
        self.endpoint = self._bind(endpoint)

    def _bind(self, endpoint: str) -> str:
        try:
            self._router.bind(endpoint)
        except zmq.ZMQError as error:
            self.close()
            message = f"cannot listen on {endpoint}: {zmq.strerror(error.errno or 0)}"
            if error.errno == errno.EADDRINUSE:
                hint = "stop the program that holds the port (`ss -ltnp` names it), or set intake.endpoint to another"
                raise WorldError(message, hint=hint) from error
            raise WorldError(message, hint="intake.endpoint must be an address of this machine") from error
        return str(self._router.get_string(zmq.LAST_ENDPOINT))

    def wait(self, timeout_ms: int, most: int) -> list[Frames]:
        """Wait for messages and return at most so many; keys are admitted and denied on the way."""
        ready = dict(self._poller.poll(timeout_ms))
        if self._zap in ready:
            self._admit()
        if self._monitor in ready:
            self._follow()
        heard: list[Frames] = []
        if self._router in ready:
            with contextlib.suppress(zmq.Again):
                size = 0
                while len(heard) < most and size < _BATCH_BYTES:
                    heard.append(self._read())
                    size += sum(len(frame) for frame in heard[-1].body)
        return heard

    def sweep(self, at_s: float) -> list[Cut]:
        """Cut the connections that take more than their share, if it is time to look (monotonic, seconds)."""
        if at_s < self._sweep_s:
            return []
        self._sweep_s = at_s + _SWEEP_S
        return self._connections.sweep()

    def _follow(self) -> None:
        """Take note of connections that came, went and failed."""
        with contextlib.suppress(zmq.Again):
            while True:
                told = parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))
                if told["event"] == zmq.EVENT_ACCEPTED:
                    self._connections.accepted(told["value"])
                elif told["event"] & _GONE:
                    self._connections.gone(told["value"])
                else:
                    self.broken += 1

    def _read(self) -> Frames:
        frames = [self._router.recv(zmq.NOBLOCK, copy=False)]
        while frames[-1].more:
            frame = self._router.recv(copy=False)  # a message is here whole or not at all
            frames[_MOST_FRAMES:] = [frame]
        route, *body = frames
        key = str(body[-1].get("User-Id")) if body else ""
        with contextlib.suppress(zmq.ZMQError):  # over ipc there is no such property
            self._connections.spoke(int(body[-1].get("__fd")) if body else -1, key)
        return Frames(route.bytes, key, [frame.bytes for frame in body])

    def _admit(self) -> None:
        """Answer one question of ZAP (RFC 27): whether this key may connect."""
        version, request, domain, _, _, mechanism, *credentials = self._zap.recv_multipart()
        key = ""
        if domain == _ZAP_DOMAIN and mechanism == b"CURVE" and len(credentials) == 1:
            key = z85.encode(credentials[0]).decode("ascii")
        answer = [b"200", b"OK", key.encode("ascii")] if key and self._admitted(key) else [b"400", b"no", b""]
        self._zap.send_multipart([version, request, *answer, b""])

    def send(self, route: bytes, frames: Sequence[bytes]) -> None:
        """Send to one connection; one that is gone or does not read loses it, and asks again."""
        with contextlib.suppress(zmq.Again, zmq.ZMQError):
            self._router.send_multipart([route, *frames], zmq.NOBLOCK)

    def close(self) -> None:
        """Close every socket."""
        self._router.disable_monitor()
        for socket in (self._monitor, self._router, self._zap):
            socket.close(linger=0)
        self._context.term()
