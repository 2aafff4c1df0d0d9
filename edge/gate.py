"""Whether this box may match anybody now: a judge of facts, without a clock of its own.

It fails closed. A clock that cannot be believed stops matching and destroys nothing, since by that clock nobody
can say whether the window is over; the end of the window, of the watchlist or of the box's admission destroys.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Annotated

from msgspec import Meta, Struct

from edge.wire.watchlist import Deployment


class GateSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the box's clock is believed."""

    clock_within_s: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    """Most by which it may differ from the centre's, and jump while the box runs; seconds."""


class Verdict(Enum):
    """Whether people are matched, or why not; one word for log, report and operator."""

    MATCHING = "matching"
    NO_WATCHLIST = "no-watchlist"
    BEFORE = "before-window"
    AFTER = "after-window"
    EXPIRED = "watchlist-expired"
    WRONG_CAMERA = "wrong-camera"
    CLOCK = "clock-implausible"
    EXPELLED = "expelled"

    @property
    def destroys(self) -> bool:
        """Return whether the watchlist must not stay on the box."""
        return self in {Verdict.AFTER, Verdict.EXPIRED, Verdict.EXPELLED}

    @property
    def words(self) -> str:
        """Return it for the operator."""
        return _WORDS[self]


_WORDS = {
    Verdict.MATCHING: "people are matched",
    Verdict.NO_WATCHLIST: "no watchlist",
    Verdict.BEFORE: "the window has not begun",
    Verdict.AFTER: "the window has ended",
    Verdict.EXPIRED: "the watchlist has expired",
    Verdict.WRONG_CAMERA: "the deployment does not cover this camera",
    Verdict.CLOCK: "the box's clock cannot be believed",
    Verdict.EXPELLED: "the centre has locked this box out",
}


@dataclass(frozen=True, kw_only=True)
class Permit:
    """What a watchlist allows: its deployment, and its own last moment."""

    deployment: Deployment
    expires_at_ms: int


def judge(permit: Permit | None, *, now_ms: int, camera: str, clock_doubt: str, expelled: bool) -> Verdict:
    """Return whether people may be matched at `now_ms`, box clock; `clock_doubt` is empty where it is believed."""
    if permit is None:
        return Verdict.NO_WATCHLIST
    deployment = permit.deployment
    closed = {
        Verdict.EXPELLED: expelled,
        Verdict.CLOCK: bool(clock_doubt),
        Verdict.AFTER: now_ms >= deployment.until_ms,
        Verdict.EXPIRED: now_ms >= permit.expires_at_ms,
        Verdict.WRONG_CAMERA: bool(deployment.cameras) and camera not in deployment.cameras,
        Verdict.BEFORE: now_ms < deployment.from_ms,
    }
    return next((verdict for verdict, holds in closed.items() if holds), Verdict.MATCHING)


@dataclass(frozen=True, kw_only=True)
class ClockFacts:
    """What is known of the time; milliseconds since 1970."""

    now_ms: int
    """What the box's clock says."""
    centre_ms: int | None = None
    """What the centre's clock says now, as far as it was heard since the box started; None: not heard."""
    floor_ms: int = 0
    """The latest time that the box knows to have been, by what it kept and by what the centre signed."""
    built_ms: int = 0
    """When this software was installed."""
    jumped_ms: int = 0
    """By how much the clock has moved against the time that passed, since it was last believed."""


def doubt(facts: ClockFacts, settings: GateSettings) -> str:
    """Return why the box's clock is not believed; empty where it is.

    The centre's clock goes before what the box remembers: a box whose clock once was years ahead is believed
    again when it agrees with the centre.
    """
    within_ms = settings.clock_within_s * 1000
    if facts.centre_ms is not None:
        ahead_ms = facts.now_ms - facts.centre_ms
        if abs(ahead_ms) > within_ms:
            return f"it is {abs(ahead_ms) / 1000:.0f} s {'ahead of' if ahead_ms > 0 else 'behind'} the centre's"
        return ""
    if facts.now_ms < facts.built_ms:
        return "it is before the day this software was installed"
    if facts.now_ms < facts.floor_ms - within_ms:
        return f"it is {(facts.floor_ms - facts.now_ms) / 1000:.0f} s before a time that has been already"
    if abs(facts.jumped_ms) > within_ms:
        return f"it jumped by {facts.jumped_ms / 1000:+.0f} s, and the centre has not been heard since"
    return ""
