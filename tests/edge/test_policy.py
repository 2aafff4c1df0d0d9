"""When a track becomes a candidate, as a table."""

import pytest

from edge.faces.compare import Match
from edge.policy import PolicySettings, Raised, Verdict, judge

SETTINGS = PolicySettings(min_looks=2, revise_better=1.4, revise_gain=0.05, max_revisions=2)
SENT = Raised(entry="a", score=0.40, quality=0.2, revision=0)


@pytest.mark.parametrize(
    ("match", "looks", "quality", "raised", "verdict"),
    [
        (None, 5, 0.9, None, Verdict.NOBODY),
        (Match("a", 0.35), 5, 0.9, None, Verdict.NOBODY),
        (Match("a", 0.36), 1, 0.9, None, Verdict.TOO_FEW_LOOKS),
        (Match("a", 0.36), 2, 0.1, None, Verdict.RAISE),
        (Match("a", 0.42), 3, 0.21, SENT, Verdict.NOTHING_NEW),
        (Match("a", 0.46), 3, 0.21, SENT, Verdict.REVISE),
        (Match("a", 0.41), 3, 0.30, SENT, Verdict.REVISE),
        (Match("a", 0.39), 3, 0.90, SENT, Verdict.NOTHING_NEW),
        (Match("b", 0.60), 3, 0.90, Raised("a", 0.4, 0.2, 2), Verdict.NOTHING_NEW),
    ],
)
def test_verdicts(match: Match | None, looks: int, quality: float, raised: Raised | None, verdict: Verdict) -> None:
    assert judge(match, looks, quality, raised, threshold=0.36, settings=SETTINGS) is verdict
