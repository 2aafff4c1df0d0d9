"""One place where the reader lays a picture down and the consumer takes it up."""

import threading
from collections import deque

from edge.camera.frame import Picture


class Handover:
    """A bounded queue between two threads: the newest wins, or the reader waits and nothing is lost."""

    def __init__(self, *, newest_wins: bool) -> None:
        self._places = 1 if newest_wins else 2
        self._newest_wins = newest_wins
        self._changed = threading.Condition()
        self._waiting: deque[Picture] = deque()
        self._over = False
        self._turn = 0
        self._trouble: Exception | None = None
        self.dropped = 0
        """Pictures that gave way to a newer one."""

    def turn_to(self, turn: int) -> None:
        """Take pictures of this turn only: a reader that was left behind may wake up at any time."""
        with self._changed:
            self._turn = turn

    def put(self, picture: Picture, turn: int = 0) -> bool:
        """Lay a picture down; False when nobody will take any more from there."""
        with self._changed:
            if turn != self._turn:
                return False
            if self._newest_wins:
                self.dropped += len(self._waiting)
                self._waiting.clear()
            else:
                self._changed.wait_for(lambda: self._over or len(self._waiting) < self._places)
            if self._over:
                return False
            self._waiting.append(picture)
            self._changed.notify_all()
            return True

    def take(self, timeout_s: float) -> Picture | None:
        """Take the next picture; None when none came in time, or when all is over.

        Raises what the reader ended with, once what came before has been taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._over, timeout_s)
            if self._waiting:
                self._changed.notify_all()
                return self._waiting.popleft()
            if self._trouble is not None:
                trouble, self._trouble = self._trouble, None
                raise trouble
            return None

    def finish(self, trouble: Exception | None = None) -> None:
        """Say that no more will come, and why if it should have."""
        with self._changed:
            self._over, self._trouble = True, self._trouble or trouble
            self._changed.notify_all()

    def close(self) -> None:
        """Say that no more will be taken; what waits is let go."""
        with self._changed:
            self._over, self._trouble = True, None
            self._waiting.clear()
            self._changed.notify_all()

    @property
    def over(self) -> bool:
        """Say whether everything has been taken and no more will come."""
        with self._changed:
            return self._over and not self._waiting and self._trouble is None
