"""Keeps what is published believable: signs again in time, tells in time when the root will end, tidies.

The root is the one thing that this cannot renew: that takes the off-line key, and a person.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from central.publishing.repository import Repository
from edge.errors import SightlineError

EVERY_S = 3600.0
WARN = timedelta(days=30)
KEEP = timedelta(days=7)
"""A box reads what the newest snapshot names; what it replaced is kept for one that is slow, and for an auditor."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger("central.upkeep")


class Upkeep:
    """Looks after the repository; `notices` may be read from any thread."""

    def __init__(self, repository: Repository, clock: Callable[[], int]) -> None:
        self._repository = repository
        self._clock = clock
        self._notices: tuple[str, ...] = ()

    @property
    def notices(self) -> tuple[str, ...]:
        """Return what a person has to do, in words; empty where nothing is."""
        return self._notices

    def run(self, stop: threading.Event) -> None:
        """Look every hour until told to stop."""
        while not stop.is_set():
            self.look()
            stop.wait(EVERY_S)

    def look(self) -> None:
        """Do now what is to be done."""
        now = datetime.fromtimestamp(self._clock() / 1000, UTC)
        try:
            expires = self._repository.root_expires()
            if expires is None:
                self._notices = ()
                return
            self._notices = _of_the_root(expires, now)
            renewed, pruned = self._repository.renew(now=now), self._repository.prune(now=now, keep=KEEP)
        except SightlineError as error:
            self._notices = (*self._notices, f"what boxes should run cannot be signed again: {error}")
            _log.error("push.upkeep_failed", what=error.message, hint=error.hint)
            return
        for notice in self._notices:
            _log.warning("push.root_expires", what=notice)
        if renewed or pruned:
            _log.info("push.upkeep", signed_again=renewed, pruned=pruned)


def _of_the_root(expires: datetime, now: datetime) -> tuple[str, ...]:
    if expires - now > WARN:
        return ()
    days = (expires - now).days
    when = f"ends in {days} days" if expires > now else "has ended, boxes take nothing new"
    return (f"the root of what is pushed {when} ({expires:%Y-%m-%d}); run: sightline push root",)
