"""Wakes the event streams: alerting calls from its thread, streams wait in the server's loop."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Feed:
    """Tells everyone who listens that there is something new to read from the store."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._closed = False

    @property
    def closed(self) -> bool:
        """Return whether the streams should end."""
        return self._closed

    def publish(self) -> None:
        """Wake every stream; from any thread."""
        with self._lock:
            for news, loop in self._listeners.items():
                loop.call_soon_threadsafe(news.set)

    def close(self) -> None:
        """Let every stream end."""
        self._closed = True
        self.publish()

    @contextmanager
    def listen(self) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever there is news; in a running loop."""
        news = asyncio.Event()
        with self._lock:
            self._listeners[news] = asyncio.get_running_loop()
        try:
            yield news
        finally:
            with self._lock:
                del self._listeners[news]
