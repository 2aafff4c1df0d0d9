"""A box's test of itself: parts by name, each with what was found, and with its remedy where it fails.

Watch and link test what is theirs when they start and leave the result in the outbox; the centre hears of what
failed with every heartbeat. `edge check` tries the same parts, and the camera and the centre besides.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec
from msgspec import Struct

from edge.errors import SightlineError

Try = Callable[[], str]
"""Tries one part: returns what it found, raises a `SightlineError` with the remedy as its hint."""
_REPORT = "selftest-"


class Part(Struct, frozen=True, kw_only=True):
    """What became of one part."""

    name: str
    ok: bool
    said: str
    """What was found, or what is wrong."""
    remedy: str = ""
    """What to do; empty where all is well."""
    exit_code: int = 0
    """0 where all is well, else of the kind of trouble."""


class SelfTest(Struct, frozen=True, kw_only=True):
    """All parts that a process tried, and when (box clock)."""

    at_ms: int
    parts: tuple[Part, ...]

    @property
    def failed(self) -> tuple[Part, ...]:
        """Return the parts that did not pass."""
        return tuple(part for part in self.parts if not part.ok)

    @property
    def troubles(self) -> tuple[str, ...]:
        """Return a line for each part that did not pass, as a heartbeat carries it."""
        return tuple(f"self-test, {part.name}: {_line(part.said, part.remedy)}" for part in self.failed)


def attempt(name: str, trial: Try) -> Part:
    """Try one part."""
    try:
        return Part(name=name, ok=True, said=trial())
    except SightlineError as error:
        return Part(name=name, ok=False, said=error.message, remedy=error.hint, exit_code=error.exit_code)


def run(trials: Iterable[tuple[str, Try]], at_ms: int) -> SelfTest:
    """Try all parts, each whatever became of the others."""
    return SelfTest(at_ms=at_ms, parts=tuple(attempt(name, trial) for name, trial in trials))


def failing(error: SightlineError) -> str:
    """Be the part that failed with an error met elsewhere."""
    raise error


def report_name(process: str) -> str:
    """Return the name under which a process leaves its result in the outbox."""
    return f"{_REPORT}{process}"


def results(reports: Mapping[str, bytes]) -> dict[str, SelfTest]:
    """Return the results by process among the reports of an outbox; one that cannot be read is as none."""
    found = {}
    for name, body in reports.items():
        if name.startswith(_REPORT):
            try:
                found[name.removeprefix(_REPORT)] = msgspec.json.decode(body, type=SelfTest)
            except ValueError:
                continue
    return found


def told(part: Part) -> str:
    """Return a part as one line for a person."""
    return f"{'ok   ' if part.ok else 'FAIL '} {part.name:<14}  {_line(part.said, part.remedy)}"


def _line(said: str, remedy: str) -> str:
    return f"{said}; {remedy}" if remedy else said
