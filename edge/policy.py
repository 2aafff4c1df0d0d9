"""When a track becomes a candidate, and when a candidate is revised. Pure."""

from dataclasses import dataclass
from enum import Enum
from typing import Annotated

from msgspec import Meta, Struct

from edge.faces.compare import Match


class PolicySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """When the centre should look."""

    candidate_threshold: Annotated[float, Meta(gt=-1, lt=1)] | None = None
    """Cosine of the fused probe to a reference from which a pass becomes a candidate; None: as the embedder's card
    says. Permissive on purpose: the centre looks again and applies the deployment's alert threshold."""
    min_looks: int = 2
    """Looks a track needs before it is judged; one look, one accident."""
    revise_better: float = 1.4
    """How many times better the best look must be than when the candidate was raised, to revise it."""
    revise_gain: float = 0.05
    """Or by how much the score must have risen."""
    max_revisions: int = 3
    """Revisions of one candidate at most."""


class Verdict(Enum):
    """What is to be done with a track now, one word for log, metric and operator."""

    RAISE = "raise"
    REVISE = "revise"
    TOO_FEW_LOOKS = "too-few-looks"
    NOBODY = "nobody"
    NOTHING_NEW = "nothing-new"


@dataclass(frozen=True)
class Raised:
    """What was last sent of a track."""

    entry: str
    score: float
    quality: float
    revision: int


def judge(
    match: Match | None,
    looks: int,
    quality: float,
    raised: Raised | None,
    *,
    threshold: float,
    settings: PolicySettings,
) -> Verdict:
    """Decide from the nearest reference, the number of looks, the best look's quality, and what was sent.

    `threshold` is the candidate threshold in force: the one set, or the one on the embedder's card.
    """
    if match is None or match.score < threshold:
        return Verdict.NOBODY
    if looks < settings.min_looks:
        return Verdict.TOO_FEW_LOOKS
    if raised is None:
        return Verdict.RAISE
    if raised.revision >= settings.max_revisions:
        return Verdict.NOTHING_NEW
    gained = match.score - raised.score
    clearer = quality >= settings.revise_better * raised.quality and gained > 0
    return Verdict.REVISE if gained >= settings.revise_gain or clearer else Verdict.NOTHING_NEW
