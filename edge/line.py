"""One encrypted connection to the centre at a time: the only importer of ZeroMQ on the device.

Every attempt has a fresh socket, and ZeroMQ's own reconnecting is off: back-off, round robin and reasons
are the conversation's alone.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import zmq
from zmq.utils.monitor import parse_monitor_message

from edge.errors import OperatorError
from edge.wire.curve import CurveKey
from edge.wire.messages import OVERHEAD_BYTES
from edge.wire.push import CHUNK_BYTES
from edge.wire.turns import Lost, Opened, Parting

_Socket: TypeAlias = "zmq.Socket[bytes]"

_HEARD_AT_ONCE = 64
_PARTINGS: dict[int, Parting] = {
    zmq.EVENT_CLOSED: Parting.ABSENT,
    zmq.EVENT_DISCONNECTED: Parting.LOST,
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: Parting.DENIED,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: Parting.WRONG_KEY,
    # The centre hangs up without a word when our hello was not encrypted for its key.
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: Parting.WRONG_KEY,
}


@dataclass(frozen=True)
class Happened:
    """What came over a line, and what became of the line itself; the latter happened first."""

    line: Sequence[Opened | Lost]
    messages: Sequence[list[bytes]]


class Dialler:
    """What it takes to reach the centre: both keys, and ZeroMQ's thread from entering to leaving."""

    _context: "zmq.Context[_Socket]"

    def __init__(self, *, centre_key: bytes, key: CurveKey) -> None:
        self._centre_key = centre_key
        self._key = key

    def __enter__(self) -> Self:
        self._context = zmq.Context()
        return self

    def __exit__(self, *_: object) -> None:
        self._context.term()

    def dial(self, endpoint: str, bell: int | None = None) -> "Line":
        """Start to connect; what becomes of it, `Line.wait` tells. A `bell` that is readable ends its waiting."""
        socket = self._context.socket(zmq.DEALER)
        socket.linger = 0
        socket.setsockopt(zmq.RECONNECT_IVL, -1)
        socket.setsockopt(zmq.MAXMSGSIZE, CHUNK_BYTES + OVERHEAD_BYTES)
        socket.setsockopt(zmq.RCVHWM, _HEARD_AT_ONCE)
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.ipv6 = "[" in endpoint
        socket.curve_serverkey = self._centre_key
        socket.curve_publickey = self._key.public.encode("ascii")
        socket.curve_secretkey = self._key.secret
        return Line(socket, endpoint, bell)


class Line:
    """One connection: a DEALER that dials once, and the monitor that tells what became of it."""

    def __init__(self, socket: _Socket, endpoint: str, bell: int | None = None) -> None:
        self._socket = socket
        wanted = zmq.EVENT_HANDSHAKE_SUCCEEDED
        for event in _PARTINGS:
            wanted |= event
        self._monitor = socket.get_monitor_socket(wanted)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        if bell is not None:
            self._poller.register(bell, zmq.POLLIN)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise OperatorError(
                f"cannot dial {endpoint}: {zmq.strerror(error.errno or 0)}", hint="correct link.endpoints"
            ) from error

    def wait(self, timeout_ms: int) -> Happened:
        """Wait at most so long for something to happen."""
        ready = dict(self._poller.poll(timeout_ms))
        line: list[Opened | Lost] = []
        messages: list[list[bytes]] = []
        with contextlib.suppress(zmq.Again):
            while self._monitor in ready:
                event = parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))["event"]
                line.append(Opened() if event == zmq.EVENT_HANDSHAKE_SUCCEEDED else Lost(_PARTINGS[event]))
        with contextlib.suppress(zmq.Again):
            while self._socket in ready and len(messages) < _HEARD_AT_ONCE:
                messages.append(self._socket.recv_multipart(zmq.NOBLOCK))
        return Happened(line, messages)

    def send(self, frames: Sequence[bytes]) -> bool:
        """Hand a message to the socket; False if it takes no more, and then silence will end the line."""
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def close(self) -> None:
        """Close the socket; what it has not sent is dropped, and is still in the outbox."""
        self._socket.disable_monitor()
        self._monitor.close(linger=0)
        self._socket.close(linger=0)
