"""Pieces of pushed files over the link: asked for in one thread, brought by the link's own."""

import os
import threading
import time

from edge.errors import WorldError
from edge.state.carrier import Piece
from edge.wire.turns import Brought, Wanted

PATIENCE_S = 120.0


class CutError(WorldError):
    """The way to the centre is cut: what was brought is kept, and the rest asked for another time."""


class LinkCarrier:
    """A `Carrier` over the link; one thread asks, the link's thread takes the question and gives the answer."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._news = threading.Condition()
        self._question: Wanted | None = None
        self._waiting: Wanted | None = None
        self._answer: Brought | None = None
        self._closed = False
        self.bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        """A file descriptor that is readable while a question waits to be taken."""

    def piece(self, path: str, offset: int, max_bytes: int) -> Piece | None:
        """Ask the centre and wait for its answer; raises `CutError` where none comes."""
        until_s = time.monotonic() + self._patience_s  # noqa: TID251 - a door's clock
        with self._news:
            if self._closed:
                raise _cut()
            self._ask(Wanted(path, offset))
            while self._pending():
                left_s = until_s - time.monotonic()  # noqa: TID251 - a door's clock
                if left_s <= 0:
                    self._silence()
                    self._waiting = None
                    break
                self._news.wait(left_s)
            answer, self._answer = self._answer, None
        if answer is None:
            raise _cut()
        return None if answer.missing else Piece(answer.data[:max_bytes], eof=answer.eof)

    # ------------------------------------------------------------------ the link's side

    def take(self) -> Wanted | None:
        """Return a question that was not taken yet."""
        with self._news:
            question = self._question
            self._silence()
            return question

    def brought(self, answer: Brought) -> None:
        """Give the answer."""
        self._end(answer)

    def cut(self) -> None:
        """Say that none will come."""
        self._end(None)

    def close(self) -> None:
        """Answer nobody any more."""
        with self._news:
            if not self._closed:
                os.close(self.bell)
            self._closed = True
            self._question = self._waiting = None
            self._news.notify_all()

    def _ask(self, question: Wanted) -> None:
        self._silence()
        self._waiting = self._question = question
        self._answer = None
        os.eventfd_write(self.bell, 1)

    def _pending(self) -> bool:
        return self._waiting is not None

    def _silence(self) -> None:
        if self._question is not None:
            os.eventfd_read(self.bell)
        self._question = None

    def _end(self, answer: Brought | None) -> None:
        with self._news:
            if answer is None or self._waiting == Wanted(answer.path, answer.offset):
                # A question that is not taken yet is for the next connection, or for the next turn.
                if self._question is not None:
                    return
                self._answer, self._waiting = answer, None
                self._news.notify_all()


def _cut() -> CutError:
    return CutError("the link to the centre was cut in the middle of a push", hint="it is brought later")
