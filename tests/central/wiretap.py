"""A man in the middle: stands between boxes and a centre, writes down every byte, and may change some."""

import base64
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Change = Callable[[bytes], bytes]


def untouched(data: bytes) -> bytes:
    return data


@dataclass
class Wiretap:
    """Everything that crossed, and where to dial to be listened to."""

    endpoint: str = ""
    up: bytearray = field(default_factory=bytearray)
    """From boxes to the centre."""
    down: bytearray = field(default_factory=bytearray)
    connections: int = 0
    change_up: Change = untouched

    @property
    def seen(self) -> bytes:
        return bytes(self.up + self.down)

    def shows(self, secret: bytes) -> bool:
        """Tell whether eight bytes in a row of a secret can be read, as they are, as hex or as base64."""
        seen = self.seen
        forms = (secret, secret.hex().encode(), secret.hex().upper().encode(), base64.b64encode(secret))
        windows = {form[at : at + 8] for form in forms for at in range(max(1, len(form) - 7))}
        return any(window in seen for window in windows)


class _Middle:
    """The sockets and threads of one wiretap."""

    def __init__(self, tap: Wiretap, endpoint: str) -> None:
        self._tap = tap
        host, port = endpoint.removeprefix("tcp://").split(":")
        self._centre = (host, int(port))
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        tap.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def close(self) -> None:
        _shut(self._listener)
        self._threads[0].join()
        for end in self._ends:
            _shut(end)
        for thread in self._threads:
            thread.join()
        for end in (self._listener, *self._ends):
            end.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                self._tap.connections += 1
                self._join(near)

    def _join(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(self._centre)
        except OSError:
            near.close()
            return
        self._ends += [near, far]
        for source, target, up in ((near, far, True), (far, near, False)):
            thread = threading.Thread(target=self._carry, args=(source, target), kwargs={"up": up})
            self._threads.append(thread)
            thread.start()

    def _carry(self, source: socket.socket, target: socket.socket, *, up: bool) -> None:
        with contextlib.suppress(OSError):  # either side hung up
            while data := source.recv(65536):
                changed = self._tap.change_up(data) if up else data
                (self._tap.up if up else self._tap.down).extend(changed)
                target.sendall(changed)
        _shut(source)
        _shut(target)


@contextmanager
def wiretap(endpoint: str) -> Iterator[Wiretap]:
    """Listen for boxes and dial the centre at `endpoint` for each, until the block ends."""
    tap = Wiretap()
    with contextlib.closing(_Middle(tap, endpoint)):
        yield tap


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
