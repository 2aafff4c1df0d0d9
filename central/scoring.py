"""A replay against its truth: who walked, who was recognised, who was taken for somebody else. Pure.

The unit is the walk, one person passing once. A watched walk is recognised if an alert names that person
while the box of the alert lies on that person; an alert that names anybody else is false.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from central.intervals import exact


class Walk(Struct, frozen=True):
    """One person's way through the scene."""

    identity: str
    watched: bool
    enters: float
    leaves: float


class Spot(Struct, frozen=True):
    """Where a person's face was in one frame: its centre and width, pixels."""

    identity: str
    watched: bool
    x: float
    y: float
    face: float


class Truth(Struct, frozen=True):
    """What really happened in a scene; the JSON beside a rendered video."""

    fps: float
    size: tuple[int, int]
    walks: tuple[Walk, ...]
    frames: tuple[tuple[Spot, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An alert in the video's clock."""

    identity: str
    score: float
    first_seen_s: float
    alerted_s: float
    frame: int
    box: tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A measured rate with its exact 95 % interval."""

    events: int
    trials: int
    low: float
    high: float

    @classmethod
    def of(cls, events: int, trials: int) -> "Rate":
        """Return the rate of so many events in so many trials."""
        interval = exact(events, trials)
        return cls(events=events, trials=trials, low=interval.low, high=interval.high)


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a replay got right and wrong."""

    recognised: list[str]
    missed: list[str]
    false_alerts: list[dict[str, Any]]
    tpir: Rate
    fpir: Rate
    enters_to_alert_s: dict[str, float]


def score(truth: Truth, alerts: Sequence[Alert]) -> Score:
    """Compare alerts with the truth, walk by walk."""
    watched = {walk.identity: walk for walk in truth.walks if walk.watched}
    strangers = {walk.identity for walk in truth.walks if not walk.watched}
    waited: dict[str, float] = {}
    wrong: list[dict[str, Any]] = []
    accused: set[str] = set()
    for alert in alerts:
        person = who(truth, alert)
        if person == alert.identity and person in watched:
            waited.setdefault(person, round(alert.alerted_s - watched[person].enters, 2))
            continue
        wrong.append({"named": alert.identity, "was": person, "score": alert.score, "frame": alert.frame})
        accused.add(person)
    return Score(
        recognised=sorted(waited),
        missed=sorted(set(watched) - set(waited)),
        false_alerts=wrong,
        tpir=Rate.of(len(waited), len(watched)),
        fpir=Rate.of(len(accused & strangers), len(strangers)),
        enters_to_alert_s=waited,
    )


def who(truth: Truth, alert: Alert) -> str:
    """Return who stood in an alert's box, by the nearest face in the truth's frame; "" for nobody."""
    if not 0 <= alert.frame < len(truth.frames):
        return ""
    left, top, width, height = alert.box
    x, y = left + width / 2, top + height / 2
    near = [(math.hypot(spot.x - x, spot.y - y) / spot.face, spot.identity) for spot in truth.frames[alert.frame]]
    distance, identity = min(near, default=(math.inf, ""))
    return identity if distance < 1.0 else ""
