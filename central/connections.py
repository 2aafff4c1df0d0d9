"""Connections that take more than their share, and what is done about them: they are cut.

Theory of operation. libzmq bounds a frame, the messages that wait and the time for a handshake. It does not
bound the frames of one message: they pile up inside it until the last one comes, where no reader sees them,
and an admitted box that never sends the last fills the memory. Nor does it bound how many connections one
key has, nor how many there are that never say a word.

The kernel knows better: for each TCP connection it counts the bytes received (`TCP_INFO`, `tcpi_bytes_received`).
What has come since the connection's last whole message was read is what libzmq and the kernel hold for it.
Above a limit, far above what an honest box may have on its way, the connection is shut down; libzmq then
drops it and frees what it held. An honest box that is cut loses nothing: it dials again and sends again.

The file descriptors are libzmq's own: they may be closed, and given out again, at any moment. A socket's
cookie, which the kernel gives no second time, tells whether a descriptor is still the connection it was.
"""

import contextlib
import resource
import socket
import struct
from dataclasses import dataclass
from enum import Enum

from edge.wire.messages import MAX_HEADER_BYTES, MAX_PAYLOAD_BYTES

MAX_UNREAD_BYTES = 8 * (MAX_HEADER_BYTES + MAX_PAYLOAD_BYTES)
"""Of one connection; a box has a quarter of it on its way at most (`Pace.window_bytes`)."""
MAX_UNREAD_BYTES_ALL = 512 * 1024 * 1024
"""Of all connections together; those that hold most are cut first."""
MAX_OF_ONE_KEY = 4
"""Connections that have spoken under one key: the living one, and dead ones that nobody has noticed."""
_STRANGERS_SHARE = 4
"""One in so many of the descriptors this process may have is for connections that have not spoken yet."""

_SO_COOKIE = 57
_RECEIVED = struct.Struct("128xQ")
"""Where Linux has `tcpi_bytes_received` in `struct tcp_info` (linux/tcp.h)."""


class Excess(Enum):
    """Why a connection was cut; one word for log and metric."""

    ENDLESS = "endless-message"
    MEMORY = "memory-of-all"
    CROWD = "too-many-of-one-key"
    MUTE = "too-many-that-say-nothing"


@dataclass(frozen=True)
class Cut:
    """A connection that was cut, and the key it had spoken under, empty where it had not."""

    why: Excess
    key: str


@dataclass
class _Connection:
    cookie: int
    read_to: int
    """Bytes received when its last whole message was read."""
    key: str = ""


class Connections:
    """Every TCP connection of one listening socket, by file descriptor."""

    def __init__(
        self,
        *,
        most_strangers: int | None = None,
        max_unread: int = MAX_UNREAD_BYTES,
        max_unread_all: int = MAX_UNREAD_BYTES_ALL,
    ) -> None:
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most_strangers = most_strangers or allowed // _STRANGERS_SHARE
        self._max_unread = max_unread
        self._max_unread_all = max_unread_all
        self._strangers: dict[int, _Connection] = {}
        """Those that have said nothing yet, the oldest first."""
        self._speakers: dict[int, _Connection] = {}
        self._of_key: dict[str, list[int]] = {}
        self._cut: list[Cut] = []

    def __len__(self) -> int:
        return len(self._strangers) + len(self._speakers)

    def accepted(self, fd: int) -> None:
        """Take note of a new connection."""
        self.gone(fd)
        cookie = _cookie(fd)
        if cookie is not None:
            self._strangers[fd] = _Connection(cookie, 0)

    def gone(self, fd: int) -> None:
        """Forget a connection that has ended."""
        self._strangers.pop(fd, None)
        connection = self._speakers.pop(fd, None)
        if connection is not None:
            fds = self._of_key[connection.key]
            fds.remove(fd)
            if not fds:
                del self._of_key[connection.key]

    def spoke(self, fd: int, key: str) -> None:
        """Take note that a whole message of this connection was read."""
        connection = self._speakers.get(fd)
        if connection is None or connection.key != key:
            cookie = _cookie(fd)
            self.gone(fd)
            if cookie is None:  # it has ended meanwhile, or is no TCP connection
                return
            connection = self._speakers[fd] = _Connection(cookie, 0, key)
            self._of_key.setdefault(key, []).append(fd)
        connection.read_to = _received(fd) or connection.read_to

    def sweep(self) -> list[Cut]:
        """Cut what takes too much, and return what was cut since the last sweep."""
        self._cut = []
        while len(self._strangers) > self._most_strangers:
            self._end(next(iter(self._strangers)), Excess.MUTE)
        for fds in [fds for fds in self._of_key.values() if len(fds) > MAX_OF_ONE_KEY]:
            for fd in fds[:-MAX_OF_ONE_KEY]:
                self._end(fd, Excess.CROWD)
        self._shrink()
        return self._cut

    def _shrink(self) -> None:
        unread = self._unread()
        for fd in [fd for fd, many in unread.items() if many > self._max_unread]:
            self._end(fd, Excess.ENDLESS)
            del unread[fd]
        over = sum(unread.values()) - self._max_unread_all
        for fd in sorted(unread, key=lambda fd: -unread[fd]) if over > 0 else []:
            self._end(fd, Excess.MEMORY)
            over -= unread[fd]
            if over <= 0:
                return

    def _unread(self) -> dict[int, int]:
        """Return what each connection holds, bytes, and forget those that have ended unnoticed."""
        unread, ended = {}, []
        for connections in (self._strangers, self._speakers):
            for fd, connection in connections.items():
                received = _received(fd)
                if received is None or received < connection.read_to:
                    ended.append(fd)
                else:
                    unread[fd] = received - connection.read_to
        for fd in ended:
            self.gone(fd)
        return unread

    def _end(self, fd: int, why: Excess) -> None:
        connection = self._speakers.get(fd) or self._strangers[fd]
        self.gone(fd)
        if _cookie(fd) == connection.cookie:
            _shut(fd)
            self._cut.append(Cut(why, connection.key))


def _cookie(fd: int) -> int | None:
    """Return the number that the kernel gives to one socket only, None where this is no living TCP connection."""
    if _received(fd) is None:
        return None
    cookie = _asked(fd, socket.SOL_SOCKET, _SO_COOKIE, 8)
    return None if cookie is None else int.from_bytes(cookie, "little")


def _received(fd: int) -> int | None:
    """Return the bytes that have come over a connection, None where this is no living TCP connection."""
    info = _asked(fd, socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED.size)
    if info is None or len(info) < _RECEIVED.size:
        return None
    (received,) = _RECEIVED.unpack(info)
    return int(received)


def _asked(fd: int, level: int, option: int, size: int) -> bytes | None:
    """Ask the kernel about a socket that is not ours to close."""
    try:
        end = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=fd)
    except OSError:  # closed meanwhile
        return None
    try:
        return end.getsockopt(level, option, size)
    except OSError:  # of another kind
        return None
    finally:
        end.detach()


def _shut(fd: int) -> None:
    """End a connection in both directions; libzmq sees its end and closes it."""
    end = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=fd)
    try:
        with contextlib.suppress(OSError):  # ended meanwhile
            end.shutdown(socket.SHUT_RDWR)
    finally:
        end.detach()
