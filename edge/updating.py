"""Brings about what the centre wants: look, switch, watch how watch does with it, confirm or go back.

Theory of operation. One thread of link. What the centre says in a pulse is a hint that nobody signed: it
only makes this look, and what is found is believed by its signatures alone (edge/state/trust.py). A switch
is put on trial first: the note is on the disk before the link is turned, and taken away when watch has shown
for a while that it is as well as before. So whatever cuts this off, the next start either goes on with the
trial or finds the state before still running. Before it goes back it notes the refusal; the same version is
not tried again, the same content published anew is.
"""

import threading
import time
from collections.abc import Callable

import structlog

from edge.errors import SightlineError
from edge.outbox import WatchReport
from edge.state.ending import end_watchlist
from edge.state.notes import Notes, OnTrial, Refusal
from edge.state.places import Places
from edge.state.trust import Trust
from edge.telling import WATCH_SILENT_MS
from edge.trial import Condition, Trial, UpdateSettings, Verdict
from edge.update import Check, Outcome, prepare
from edge.wire.messages import Applied, Phase

_log: structlog.stdlib.BoundLogger = structlog.get_logger("edge.update")

_MOST_RESUMED = 5
"""Starts of link within one trial, after which the state is held to be what ends it."""
_BACK_AFTER_S = 30.0
"""Seconds without a word of the centre, after which the next one means that it was away."""
_TEXT = 512


class Updating:
    """What this box should run and runs; `run` it in a thread of its own."""

    def __init__(
        self,
        settings: UpdateSettings,
        *,
        trust: Trust,
        places: Places,
        checks: tuple[Check, ...],
        watch: Callable[[], WatchReport],
        now_ms: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._trust = trust
        self._places = places
        self._checks = checks
        self._watch = watch
        self._now_ms = now_ms
        self._notes = Notes(places.folder)
        self._news = threading.Condition()
        self._desired = ""
        self._looked_for: str | None = None
        """The word that was told when it last looked; None before the first look, and after trouble on the way."""
        self._look_at_s = 0.0
        self._failures = 0
        self._told_s = 0.0
        self._troubled_by = ""
        """What the log was last told about a way that is cut or a disk in trouble."""
        self._applied = Applied(state=_text(self._runs()))

    # ------------------------------------------------------------------ for the link's thread

    def desired(self, word: str) -> None:
        """Take what the box should run, as the centre has just said it; empty: nothing is published."""
        with self._news:
            if _now_s() - self._told_s > _BACK_AFTER_S:  # the centre is back: no need to wait for the next try
                self._failures, self._look_at_s = 0, 0.0
            self._told_s = _now_s()
            if word != self._desired:
                self._desired = word
                self._news.notify_all()

    def applied(self) -> Applied:
        """Return what it runs and what it does about the rest."""
        return self._applied

    # ------------------------------------------------------------------ its own thread

    def run(self, stop: threading.Event) -> None:
        """Look, switch, try, confirm or go back, until `stop` is set."""
        while not stop.is_set():
            try:
                self._turn(stop)
            except SightlineError as error:
                _log.error("update.trouble", what=error.message, hint=error.hint)
                stop.wait(self._settings.retry_first_s)
            except Exception as error:  # noqa: BLE001 - the top of a loop: the link must live on, and carry the repair
                _log.error("update.unexpected", kind=type(error).__name__)
                stop.wait(self._settings.retry_cap_s)

    def _turn(self, stop: threading.Event) -> None:
        self._end_watchlist()
        note = self._notes.trial
        if note is not None:
            self._resume(note, stop)
        elif self._due():
            self._look(stop)
        else:
            with self._news:
                self._news.wait(min(1.0, self._settings.step_s))

    def _due(self) -> bool:
        if not self._desired:
            return False
        late = _now_s() >= self._look_at_s
        return late if self._looked_for is None else late or self._desired != self._looked_for

    def _look(self, stop: threading.Event) -> None:
        desired = self._desired
        if desired not in (self._runs(), self._applied.about):
            self._say(Phase.BRINGING, about=desired)
        outcome = prepare(self._trust, self._places, self._checks, self._notes.refusal)
        if stop.is_set():
            return
        self._looked_for = None if outcome.cut else desired
        troubled = outcome.cut or (outcome.refused and not outcome.word)
        self._failures = self._failures + 1 if troubled else 0
        self._look_at_s = _now_s() + self._pause_s(outcome)
        if outcome.coming:
            self._switch(outcome)
        elif outcome.cut:
            if outcome.refused != self._troubled_by:
                _log.warning("update.trouble", what=outcome.refused)
        elif outcome.refused:
            self._refuse(outcome, desired)
        else:
            self._say(Phase.STEADY)
        self._troubled_by = outcome.refused if outcome.cut else ""

    def _pause_s(self, outcome: Outcome) -> float:
        if not outcome.refused:
            return self._settings.look_s
        if outcome.word and not outcome.cut:
            return self._settings.refused_s
        return min(self._settings.retry_cap_s, self._settings.retry_first_s * 2.0 ** min(self._failures, 16))

    def _refuse(self, outcome: Outcome, desired: str) -> None:
        about = outcome.word or desired
        if outcome.final:
            self._notes.refusal = Refusal(word=about, version=outcome.version, why=_text(outcome.refused))
        if self._applied.refused != _text(outcome.refused):
            _log.error("update.refused", state=about, why=outcome.refused)
        self._say(Phase.REFUSED, about=about, refused=outcome.refused)

    # ------------------------------------------------------------------ a trial

    def _switch(self, outcome: Outcome) -> None:
        """Note the trial, then turn the link: what cuts this off in between leaves a note about nothing."""
        before = self._condition()
        self._notes.trial = OnTrial(
            word=outcome.word,
            version=outcome.version,
            before=self._runs(),
            must_see=before.alive and before.seeing,
        )
        self._places.switch(outcome.word)
        _log.info("update.switched", state=outcome.word, version=outcome.version)
        self._say(Phase.TRYING, about=outcome.word)

    def _resume(self, note: OnTrial, stop: threading.Event) -> None:
        refusal = self._notes.refusal
        if self._runs() != note.word:
            self._notes.trial = None  # the switch was cut off before it came to be, or the way back after
            self._say(Phase.STEADY)
            return
        if refusal is not None and (refusal.word, refusal.version) == (note.word, note.version):
            self._roll_back(note, refusal.why)
            return
        # Counted on the disk first: a state that ends link in its trial must not do so for ever.
        self._notes.trial = note = OnTrial(
            word=note.word,
            version=note.version,
            before=note.before,
            must_see=note.must_see,
            resumed=note.resumed + 1,
        )
        if note.resumed > _MOST_RESUMED:
            self._roll_back(note, "link was started again and again while it was tried")
            return
        self._try(note, stop)

    def _try(self, note: OnTrial, stop: threading.Event) -> None:
        self._say(Phase.TRYING, about=note.word)
        trial = Trial(self._settings.trial, note.word, must_see=note.must_see, now_s=_now_s())
        while not stop.wait(self._settings.step_s):
            self._end_watchlist()
            judged = trial.judge(self._condition(), _now_s())
            if judged.verdict is Verdict.CONFIRM:
                self._notes.refusal = None
                self._notes.trial = None
                _log.info("update.confirmed", state=note.word)
                self._say(Phase.STEADY)
                return
            if judged.verdict is Verdict.ROLL_BACK:
                self._roll_back(note, judged.reason)
                return

    def _roll_back(self, note: OnTrial, why: str) -> None:
        self._notes.refusal = Refusal(word=note.word, version=note.version, why=_text(why))
        self._places.roll_back(note.before)
        self._notes.trial = None
        _log.error("update.rolled_back", state=note.word, back_to=note.before, why=why)
        self._look_at_s = _now_s() + self._settings.refused_s
        self._looked_for = self._desired
        self._say(Phase.REFUSED, about=note.word, refused=why)

    def _condition(self) -> Condition:
        report = self._watch()
        fresh = 0 <= self._now_ms() - report.at_ms <= WATCH_SILENT_MS
        return Condition(
            state=report.state,
            unfit=report.unfit,
            alive=fresh and not report.ended,
            seeing=report.seeing,
            trouble=report.troubles[0] if report.troubles else "",
        )

    # ------------------------------------------------------------------ below

    def _end_watchlist(self) -> None:
        """Destroy what watch says is over; it cannot, since the folder is link's."""
        over = self._watch().watchlist_over
        if over is not None and end_watchlist(self._places, over.state):
            _log.warning("update.watchlist_destroyed", watchlist=over.watchlist, why=over.why)

    def _runs(self) -> str:
        current = self._places.current
        return current.name if current else ""

    def _say(self, phase: Phase, *, about: str = "", refused: str = "") -> None:
        self._applied = Applied(state=_text(self._runs()), phase=phase, about=_text(about), refused=_text(refused))


def _text(words: str) -> str:
    return words[:_TEXT]


def _now_s() -> float:
    return time.monotonic()  # noqa: TID251 - a door reads the clock
