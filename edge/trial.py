"""Whether a state that was just switched to is well: decided from what watch says of itself."""

from dataclasses import dataclass
from enum import Enum
from typing import Annotated

from msgspec import Meta, Struct


class TrialSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a pushed state is tried before it counts as good."""

    limit_s: Annotated[float, Meta(gt=0)] = 120.0
    """Seconds within which watch must run it and be as well as before."""
    settle_s: Annotated[float, Meta(ge=0)] = 30.0
    """Seconds for which that must last."""


class UpdateSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often to look, and how long to try."""

    trial: TrialSettings = TrialSettings()
    look_s: Annotated[float, Meta(gt=0)] = 6 * 3600.0
    """Seconds after which it looks though nothing was said to be new: a frozen centre is noticed so."""
    refused_s: Annotated[float, Meta(gt=0)] = 3600.0
    """Seconds after which it looks whether what it refused was published anew."""
    retry_first_s: Annotated[float, Meta(gt=0)] = 5.0
    """Seconds before it tries again after trouble; they double."""
    retry_cap_s: Annotated[float, Meta(gt=0)] = 600.0
    step_s: Annotated[float, Meta(gt=0)] = 0.5
    """Seconds between two looks at watch while a state is on trial."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What watch says at a moment."""

    state: str = ""
    """The word of the pushed state that it runs or could not run."""
    unfit: str = ""
    """Why it cannot run that one."""
    alive: bool = False
    """Whether its report is fresh and not its last."""
    seeing: bool = False
    trouble: str = ""
    """The first of its troubles."""


class Verdict(Enum):
    """What is to be done about a state on trial."""

    WAIT = "wait"
    CONFIRM = "confirm"
    ROLL_BACK = "roll-back"


@dataclass(frozen=True)
class Judgement:
    """A verdict, and the reason for going back."""

    verdict: Verdict
    reason: str = ""


class Trial:
    """One state on trial."""

    def __init__(self, settings: TrialSettings, word: str, *, must_see: bool, now_s: float) -> None:
        self.word = word
        self._settings = settings
        self._must_see = must_see
        self._until_s = now_s + settings.limit_s
        self._well_since_s: float | None = None

    def judge(self, found: Condition, now_s: float) -> Judgement:
        """Decide by what watch says now; it must be well without a break for as long as it takes to settle."""
        if found.state == self.word and found.unfit:
            return Judgement(Verdict.ROLL_BACK, f"watch cannot run it: {found.unfit}")
        ill = self._ill(found)
        if ill:
            self._well_since_s = None
            return Judgement(Verdict.ROLL_BACK, ill) if now_s >= self._until_s else Judgement(Verdict.WAIT)
        if self._well_since_s is None:
            self._well_since_s = now_s
        settled = now_s - self._well_since_s >= self._settings.settle_s
        return Judgement(Verdict.CONFIRM if settled else Verdict.WAIT)

    def _ill(self, found: Condition) -> str:
        within = f"within {self._settings.limit_s:.0f} s"
        if found.state != self.word or not found.alive:
            return f"watch did not run it {within}"
        if self._must_see and not found.seeing:
            why = f": {found.trouble}" if found.trouble else ""
            return f"the camera was seen before and was not seen with it {within}{why}"
        return ""
