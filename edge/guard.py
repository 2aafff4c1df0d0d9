"""Who keeps the watchlist: gives it out while the gate stands open, and destroys it when it is over.

It gathers the facts for the judge (gate.py): what link last said of the centre's clock and of the box's
admission, what the box remembers of the time, how the clock moved against the time that passed. When a
watchlist is over, its templates are overwritten in memory first, then that is written down, then its file is
destroyed: here where it was put by hand, by link where it was pushed. A kill in between is made good by the next
start, which finds what was written down.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
import structlog
from msgspec import Struct

from edge import durable
from edge.errors import SightlineError
from edge.faces.compare import Gallery
from edge.gate import ClockFacts, GateSettings, Verdict, doubt, judge
from edge.outbox import Ended
from edge.watchlist import Watchlist
from edge.wire.turns import Instant

_KEEP_TIME_S = 60.0
"""How often the time is written down, seconds: often enough for a floor, seldom enough for a flash card."""
NO_WATCHLIST = "no watchlist: nobody is matched"

Kind = TypeVar("Kind", bound=Struct)

_log: structlog.stdlib.BoundLogger = structlog.get_logger("edge.watch")


class Memory(Protocol):
    """Short reports by name that outlive the process."""

    def report(self, name: str, body: bytes) -> None:
        """Leave one in place of the last."""

    def reports(self) -> dict[str, bytes]:
        """Return all of them."""


class _LinkSays(Struct, frozen=True):
    """What matters here of link's report."""

    expelled: bool = False
    centre_clock_ms: int = 0
    centre_clock_monotonic_s: float = 0.0


class _Known(Struct, frozen=True):
    """The latest time that was believed."""

    floor_ms: int = 0


class Guard:
    """One watchlist, or none, and whether it may be used."""

    def __init__(
        self,
        watchlist: Watchlist | None,
        file: Path,
        memory: Memory,
        settings: GateSettings,
        *,
        camera: str,
        state: str,
        built_ms: int,
        now: Instant,
    ) -> None:
        """Take charge of what was read from `file`; `state` is the pushed state that it came with, or empty."""
        self._watchlist, self._file, self._memory, self._settings = watchlist, file, memory, settings
        self._camera, self._state, self._built_ms = camera, state, built_ms
        self._nobody = Gallery.of_nobody()
        self.ended = _read(memory, "ended", Ended)
        """The last watchlist that was destroyed."""
        self._floor_ms = (_read(memory, "clock", _Known) or _Known()).floor_ms
        self._kept_s: float | None = None
        self._believed: Instant | None = None
        self._says = _LinkSays()
        self._file_left = False
        """Whether the file of a watchlist that was destroyed here is still to be cleared away."""
        self._doubt = ""
        self._trouble = ""
        """Why the file could not be destroyed."""
        self.verdict = Verdict.NO_WATCHLIST
        if watchlist is not None:
            self._floor_ms = max(self._floor_ms, watchlist.made_at_ms)
            if self.ended is not None and self.ended.watchlist == watchlist.id:
                watchlist.gallery.erase()  # destroyed before, but for its file
                self._watchlist, self._file_left = None, not state
        self.look(now)

    @property
    def gallery(self) -> Gallery:
        """Return whom to look for now."""
        if self._watchlist is None or self.verdict is not Verdict.MATCHING:
            return self._nobody
        return self._watchlist.gallery

    @property
    def watchlist_id(self) -> str:
        """Return the id of the watchlist that is kept; empty where there is none."""
        return self._watchlist.id if self._watchlist is not None else ""

    @property
    def expires_at_ms(self) -> int | None:
        """Return the last moment of the watchlist, box clock; None where there is none."""
        return self._watchlist.permit.expires_at_ms if self._watchlist is not None else None

    def look(self, now: Instant) -> Verdict:
        """Gather the facts, judge, and do what the verdict asks for; to be called about once a second."""
        self._says = _read(self._memory, "link", _LinkSays) or self._says
        told, self._doubt = bool(self._doubt), self._doubt_at(now)
        if bool(self._doubt) != told:
            self._tell_clock()
        self._remember(now)
        before, self.verdict = self.verdict, self._judged(now)
        if self.verdict is not before:
            _log.info("watch.gate", verdict=self.verdict.value, watchlist=self.watchlist_id)
        if self.verdict.destroys:
            self._destroy(self.verdict, now)
        self._clear_away()
        return self.verdict

    def lets_out(self, now: Instant, seen_at_ms: list[int]) -> bool:
        """Return whether a candidate may leave at this moment, with pictures taken at these times."""
        if self._watchlist is None or self._doubt_at(now) or self._judged(now) is not Verdict.MATCHING:
            return False
        window = self._watchlist.permit.deployment
        return all(window.from_ms <= at_ms < window.until_ms for at_ms in seen_at_ms)

    def troubles(self) -> Iterator[str]:
        """Say what the operator has to know; a window that has not begun is no trouble."""
        if self._watchlist is None:
            ended = "" if self.ended is None else f" ({_in_words(self.ended, gone=not self._file.exists())})"
            yield f"{NO_WATCHLIST}{ended}"
        elif self.verdict is not Verdict.BEFORE and self.verdict is not Verdict.MATCHING:
            why = f": {self._doubt}" if self.verdict is Verdict.CLOCK else ""
            yield f"{self.verdict.words}{why}; nobody is matched"
        if self._watchlist is None and self._doubt:
            yield f"{Verdict.CLOCK.words}: {self._doubt}"
        if self._trouble:
            yield self._trouble

    # ------------------------------------------------------------------ the clock

    def _doubt_at(self, now: Instant) -> str:
        centre_ms, last = None, self._believed
        # A report of before a restart of the box counts a monotonic clock that was not yet, or another.
        if self._says.centre_clock_ms and 0 < self._says.centre_clock_monotonic_s <= now.monotonic_s:
            passed_ms = 1000 * (now.monotonic_s - self._says.centre_clock_monotonic_s)
            centre_ms = self._says.centre_clock_ms + round(passed_ms)
        jumped_ms = 0
        if last is not None:
            jumped_ms = now.clock_ms - last.clock_ms - round(1000 * (now.monotonic_s - last.monotonic_s))
        facts = ClockFacts(
            now_ms=now.clock_ms,
            centre_ms=centre_ms,
            floor_ms=self._floor_ms,
            built_ms=self._built_ms,
            jumped_ms=jumped_ms,
        )
        return doubt(facts, self._settings)

    def _remember(self, now: Instant) -> None:
        """Write down, now and then, that it has been this late."""
        if self._doubt:
            return
        self._believed = now
        # Down too: what agrees with the centre goes before a memory that does not.
        self._floor_ms = now.clock_ms if self._says.centre_clock_ms else max(self._floor_ms, now.clock_ms)
        if self._kept_s is None or now.monotonic_s - self._kept_s >= _KEEP_TIME_S:
            self._keep("clock", _Known(self._floor_ms))
            self._kept_s = now.monotonic_s

    def _tell_clock(self) -> None:
        if self._doubt:
            _log.error("watch.clock_doubted", why=self._doubt, remedy="give the box a time server that it can reach")
        else:
            _log.info("watch.clock_believed")

    # ------------------------------------------------------------------ the end

    def _judged(self, now: Instant) -> Verdict:
        return judge(
            None if self._watchlist is None else self._watchlist.permit,
            now_ms=now.clock_ms,
            camera=self._camera,
            clock_doubt=self._doubt,
            expelled=self._says.expelled,
        )

    def _destroy(self, why: Verdict, now: Instant) -> None:
        if self._watchlist is None:
            return
        self._watchlist.gallery.erase()
        self.ended = Ended(watchlist=self._watchlist.id, why=why.value, at_ms=now.clock_ms, state=self._state)
        self._watchlist, self._file_left = None, not self._state
        self._keep("ended", self.ended)
        _log.warning("watch.watchlist_destroyed", watchlist=self.ended.watchlist, why=why.value)

    def _clear_away(self) -> None:
        """Destroy the file of a watchlist that is over, as long as it is there; a pushed one is link's."""
        if not self._file_left:
            return
        try:
            durable.destroy(self._file)
        except SightlineError as error:
            if not self._trouble:
                _log.error("watch.watchlist_not_destroyed", problem=error.message, remedy=error.hint)
            self._trouble = str(error)
        else:
            self._trouble, self._file_left = "", False

    def _keep(self, name: str, body: Struct) -> None:
        try:
            self._memory.report(name, msgspec.json.encode(body))
        except SightlineError as error:
            # A full disk keeps neither the watchlist alive nor the eyes shut.
            _log.error("watch.report_failed", problem=error.message, remedy=error.hint)


def _in_words(ended: Ended, *, gone: bool) -> str:
    at = datetime.fromtimestamp(ended.at_ms / 1000, UTC)
    what = "destroyed" if gone else "overwritten in memory, its file is about to be destroyed,"
    return f"watchlist {ended.watchlist} {what} at {at:%Y-%m-%d %H:%M:%S} UTC: {Verdict(ended.why).words}"


def _read(memory: Memory, name: str, kind: type[Kind]) -> Kind | None:
    """Return what was left under a name; None where there is none, or it cannot be read."""
    try:
        return msgspec.json.decode(memory.reports().get(name, b""), type=kind)
    except (ValueError, SightlineError):
        return None
