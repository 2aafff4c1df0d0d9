"""How a roll-out goes on: a box, what it reports, the time; what became of it, and what that means for the rest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from central.store.devices import DeviceHealth
from central.store.rollouts import Member, Outcome, Rollout
from edge.errors import OperatorError
from edge.wire.messages import Phase

STAGES = "1,10%,all"
PATIENCE_MS = 15 * 60 * 1000
_IN_TOUCH_MS = 60_000
_RETRIED_MS = 60_000
"""By then a box that refused this very state before has looked at it again."""


class Step(Enum):
    """What to do about a roll-out now."""

    PUBLISH = "publish"
    WAIT = "wait"
    ADVANCE = "advance"
    HALT = "halt"
    FINISH = "finish"


@dataclass(frozen=True)
class Next:
    """What to do, and why where that is an end."""

    step: Step
    why: str = ""


def stages_of(text: str, boxes: int) -> tuple[int, ...]:
    """Return how many boxes have been reached after each stage: "1,10%,all" of 40 is (1, 4, 40)."""
    reached: list[int] = []
    words = [word.strip() for word in text.split(",")]
    for word in words:
        number = word.removesuffix("%")
        if word != "all" and not (number.isascii() and number.isdigit() and 0 < int(number) < 10**6):
            raise OperatorError(f"not a stage: {word[:20]!r}", hint=f"numbers, shares and all, e.g. {STAGES}")
        share = boxes if word == "all" else int(number)
        if word.endswith("%"):
            share = math.ceil(boxes * min(100, int(number)) / 100)
        # Of a few boxes, a tenth is less than the one before: such a stage is left out.
        if not reached or share > reached[-1]:
            reached.append(min(share, boxes))
    if words[-1] != "all":
        raise OperatorError(f"the stages {text[:40]!r} do not end with all", hint=f"e.g. {STAGES}")
    return tuple(sorted(set(reached)))


def members_of(
    devices: Sequence[str], health: dict[str, DeviceHealth], stages: str, now_ms: int
) -> tuple[Member, ...]:
    """Put boxes into stages: those that are well and in touch go first, so that a first stage says something."""

    def order(device: str) -> tuple[bool, bool, str]:
        known = health.get(device)
        heard_at_ms = known.heard_at_ms if known else None
        return (heard_at_ms is None or now_ms - heard_at_ms > _IN_TOUCH_MS, not (known and known.seeing), device)

    reached = stages_of(stages, len(devices))
    ordered = enumerate(sorted(devices, key=order))
    return tuple(
        Member(device=device, stage=next(stage for stage, count in enumerate(reached) if place < count))
        for place, device in ordered
    )


def judge(member: Member, health: DeviceHealth | None, now_ms: int, patience_ms: int) -> Member:
    """Return a box for which something was published, as it stands now; `health` is None once it is revoked."""
    if member.outcome is not Outcome.WAITING:
        return member
    if health is None:
        return replace(member, outcome=Outcome.LEFT, why="it was revoked")
    since = health.heard_at_ms is not None and health.heard_at_ms >= member.published_at_ms
    applied = health.applied if since else None
    if applied and applied.phase is Phase.REFUSED and applied.about == member.word and _anew(member, health, now_ms):
        return replace(member, outcome=Outcome.REFUSED, why=applied.refused or "it does not say why")
    runs = applied is not None and applied.state == member.word and applied.phase is Phase.STEADY
    outcome, why = Outcome.SILENT, _silence(health, since=since)
    if runs:
        why = _worse(member, health)
        outcome = Outcome.WORSE if why else Outcome.WELL
    patient = now_ms - member.published_at_ms < patience_ms
    return member if outcome.failed and patient else replace(member, outcome=outcome, why=why)


def next_step(rollout: Rollout) -> Next:
    """Return what to do about a roll-out whose boxes were just judged."""
    stage = [member for member in rollout.members if member.stage == rollout.stage]
    failed = [member for member in stage if member.outcome.failed]
    if failed and rollout.plan.halts:
        first = failed[0]
        return Next(Step.HALT, f"{first.device} {first.outcome.value}: {first.why}")
    if any(member.outcome is Outcome.PLANNED for member in stage):
        return Next(Step.PUBLISH)
    if not all(member.outcome.settled for member in stage):
        return Next(Step.WAIT)
    if rollout.stage < max(member.stage for member in rollout.members):
        return Next(Step.ADVANCE)
    failures = sum(member.outcome.failed for member in rollout.members)
    return Next(Step.FINISH, f"{failures} of {len(rollout.members)} boxes failed" if failures else "")


def _anew(member: Member, health: DeviceHealth, now_ms: int) -> bool:
    """Return whether a refusal is of this publication: the same state may be tried a second time."""
    return health.applied_since_ms >= member.published_at_ms or now_ms - member.published_at_ms >= _RETRIED_MS


def _worse(member: Member, health: DeviceHealth) -> str:
    """Return in what a box is not as well as before; empty where it is."""
    if member.was_seeing and not health.seeing:
        return "its camera was seeing and is not any more"
    if len(health.troubles) > member.had_troubles:
        return f"it has a new trouble: {health.troubles[-1]}"
    return ""


def _silence(health: DeviceHealth, *, since: bool) -> str:
    if not since:
        return "nothing was heard of it"
    if health.applied is None:
        return "it knows nothing of pushed states"
    return f"it says {health.applied.phase.value} and runs {health.applied.state or 'nothing that was pushed'}"
