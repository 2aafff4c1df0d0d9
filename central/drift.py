"""What a box should run against what it says it runs, in an operator's words."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from central.store.devices import DeviceHealth
from central.store.rollouts import Published
from edge.wire.messages import Phase

PARTS = ("config", "watchlist", "models")


class Standing(Enum):
    """How a box stands to what it should run."""

    UNPUSHED = "unpushed"
    """Nothing is published for it: it runs what lies there."""
    UNTOLD = "untold"
    """It has not said yet."""
    SAME = "same"
    BEHIND = "behind"
    BRINGING = "bringing"
    TRYING = "trying"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class Drift:
    """The difference between desired and reported."""

    standing: Standing
    desired: str = ""
    reported: str = ""
    parts: tuple[str, ...] = ()
    """What differs; empty where nothing does, or where it runs something that is not remembered here."""
    since_ms: int = 0
    """Since when they differ, centre clock; 0 where they do not."""
    why: str = ""

    @property
    def words(self) -> str:
        """Return it in words."""
        parts = ", ".join(self.parts) or "another state"
        return {
            Standing.UNPUSHED: "nothing is published for it",
            Standing.UNTOLD: "has not said what it runs",
            Standing.SAME: "runs what it should",
            Standing.BEHIND: f"does not run what it should ({parts})",
            Standing.BRINGING: f"is bringing {parts}",
            Standing.TRYING: f"is trying {parts}",
            Standing.REFUSED: f"refused: {self.why}",
        }[self.standing]


def drift(health: DeviceHealth, published: Sequence[Published]) -> Drift:
    """Compare what a box says with what was published for it, the newest first."""
    applied = health.applied
    reported = applied.state if applied else ""
    if not published:
        return Drift(standing=Standing.UNPUSHED, reported=reported)
    desired = published[0]
    if applied is None:
        return Drift(standing=Standing.UNTOLD, desired=desired.word, since_ms=desired.at_ms)
    if applied.state == desired.word:
        return Drift(standing=Standing.SAME, desired=desired.word, reported=reported)
    runs = next((state for state in published if state.word == applied.state), None)
    if runs is None and not applied.state:
        runs = Published(device=desired.device, word="", at_ms=0)
    parts = tuple(part for part in PARTS if runs and getattr(runs, part) != getattr(desired, part))
    standing = Standing.BEHIND
    if applied.about == desired.word:  # of another state it speaks only until it hears of this one
        standing = {
            Phase.BRINGING: Standing.BRINGING,
            Phase.TRYING: Standing.TRYING,
            Phase.REFUSED: Standing.REFUSED,
        }.get(applied.phase, Standing.BEHIND)
    return Drift(
        standing=standing,
        desired=desired.word,
        reported=reported,
        parts=parts,
        since_ms=desired.at_ms,
        why=applied.refused if standing is Standing.REFUSED else "",
    )
