"""What a service says to systemd: that it is ready, how it goes, that it is alive, that it ends (sd_notify(3)).

Without systemd, where NOTIFY_SOCKET is missing, every call does nothing.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Self

_MOST_BETWEEN_S = 5.0
"""Seconds between two signs of life at most, so that a turn of a loop may be slow before half the limit is over."""
_PATIENCE_S = 1.0
_STATUS_CHARACTERS = 256


class Notifier:
    """The line to systemd of one process; for one thread."""

    def __init__(
        self, environment: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._socket: socket.socket | None = None
        address = environment.get("NOTIFY_SOCKET", "")
        if address.startswith(("/", "@")):
            # "@" stands for the zero byte at the start of an abstract address.
            self._address = f"\0{address[1:]}" if address.startswith("@") else address
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(_PATIENCE_S)
        self._every_s = _period_s(environment)
        self._next_s = clock()
        self._status = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()

    def ready(self) -> None:
        """Say that the service is set up."""
        self._say("READY=1")

    def status(self, text: str) -> None:
        """Say in one line of plain words how it goes; the same words twice are sent once."""
        line = " ".join(text.split())[:_STATUS_CHARACTERS]
        if line != self._status:
            self._status = line
            self._say(f"STATUS={line}")

    def alive(self) -> None:
        """Feed the watchdog where it is due; to be called from each turn of the loop that must not hang."""
        if self._every_s is not None and self._clock() >= self._next_s:
            self._next_s = self._clock() + self._every_s
            self._say("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the service ends."""
        self._say("STOPPING=1")

    def _say(self, line: str) -> None:
        if self._socket is None:
            return
        # A manager that is just being replaced does not listen; what is said next finds it again.
        with contextlib.suppress(OSError):
            self._socket.sendto(line.encode(), self._address)


def _period_s(environment: Mapping[str, str]) -> float | None:
    """Return the seconds between two signs of life: half the limit or less; None where nobody waits for them."""
    limit_us = environment.get("WATCHDOG_USEC", "")
    mine = environment.get("WATCHDOG_PID") in {None, "", str(os.getpid())}
    if not mine or not limit_us.isdecimal() or not int(limit_us):
        return None
    return min(_MOST_BETWEEN_S, int(limit_us) / 2_000_000)
