"""What trying something found: said at once in one line each, and kept for programs."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct

from edge.errors import SightlineError


class Outcome(StrEnum):
    """How a step went."""

    OK = "ok"
    NOTE = "note"
    """It works, and something about it is worth knowing."""
    FAIL = "FAIL"
    SKIPPED = "-"


def printable(text: str) -> str:
    """Replace what a terminal would act upon: what a camera says of itself may hold anything."""
    return "".join(each if each.isprintable() else "?" for each in text)


class Finding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one step found."""

    step: str
    outcome: Outcome
    said: str
    remedy: str = ""
    facts: object = None
    """The numbers behind the words, for programs."""

    def line(self) -> str:
        """Write it for a terminal."""
        return printable(f"{self.outcome:<4}  {self.step:<9}  {self.said}{f'; {self.remedy}' if self.remedy else ''}")


class Report(Struct, frozen=True, kw_only=True):
    """All of them."""

    target: str
    findings: tuple[Finding, ...]
    exit_code: int
    """Of the first trouble; 0 where there is none."""


@dataclass(frozen=True)
class Told:
    """A step that went well."""

    said: str
    facts: object = None
    remedy: str = ""
    """Makes it a note."""


class Notes:
    """Says each finding at once and keeps it."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._findings: list[Finding] = []
        self._exit_code = 0

    def attempt(self, step: str, work: Callable[[], Told], *, needed: bool = True) -> SightlineError | None:
        """Try a step and return its trouble, which is a note where the step is not needed for seeing."""
        try:
            told = work()
        except SightlineError as error:
            self.fail(step, error, needed=needed)
            return error
        self.tell(step, told)
        return None

    def tell(self, step: str, told: Told) -> None:
        """Say what was found."""
        self._keep(Outcome.NOTE if told.remedy else Outcome.OK, step, told.said, told.remedy, told.facts)

    def fail(self, step: str, error: SightlineError, *, needed: bool = True) -> None:
        """Say what went wrong."""
        self._keep(Outcome.FAIL if needed else Outcome.NOTE, step, error.message, error.hint)
        if needed:
            self._exit_code = self._exit_code or error.exit_code

    def skip(self, steps: tuple[str, ...], why: str) -> None:
        """Say of each step that it was not tried."""
        for step in steps:
            self._keep(Outcome.SKIPPED, step, f"not tried: {why}")

    def report(self, target: str) -> Report:
        """Return everything found."""
        return Report(target=target, findings=tuple(self._findings), exit_code=self._exit_code)

    def _keep(self, outcome: Outcome, step: str, said: str, remedy: str = "", facts: object = None) -> None:
        finding = Finding(step=step, outcome=outcome, said=said, remedy=remedy, facts=facts)
        self._findings.append(finding)
        self._say(finding.line())
