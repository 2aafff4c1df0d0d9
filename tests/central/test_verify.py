import math

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from central.verify import Probe, References, Verdict, is_late, is_usable, judge
from tests.central.stand_ins import LANDMARKS, MODEL, OTHER_MODEL, shot


def vector(*values: float) -> NDArray[np.float32]:
    array = np.array(values, np.float32)
    return np.asarray(array / np.linalg.norm(array), np.float32)


EAST, NORTH = vector(1, 0), vector(0, 1)
NOBODY = Probe(np.zeros((0, 2), np.float32), np.zeros(0, np.float32))


def probe(*templates: NDArray[np.float32], weights: tuple[float, ...] = ()) -> Probe:
    return Probe(np.stack(templates), np.array(weights or [1.0] * len(templates), np.float32))


@pytest.mark.parametrize(
    ("case", "seen", "references", "verdict", "nearest"),
    [
        ("the same face", probe(EAST), References([EAST], [MODEL]), Verdict.ALERT, 0),
        ("another face", probe(NORTH), References([EAST], [MODEL]), Verdict.BELOW_THRESHOLD, 0),
        (
            "the nearest of two references decides",
            probe(EAST),
            References([NORTH, EAST], [MODEL] * 2),
            Verdict.ALERT,
            1,
        ),
        ("an entry that has left the list", probe(EAST), References([], []), Verdict.UNKNOWN_ENTRY, None),
        ("references of another model", probe(EAST), References([EAST], [OTHER_MODEL]), Verdict.MODEL_MISMATCH, None),
        (
            "another model's reference is never compared",
            probe(EAST),
            References([EAST, NORTH], [OTHER_MODEL, MODEL]),
            Verdict.BELOW_THRESHOLD,
            1,
        ),
        ("no usable shot", NOBODY, References([EAST], [MODEL]), Verdict.NO_USABLE_SHOT, None),
    ],
)
def test_each_candidate_gets_its_verdict(
    case: str, seen: Probe, references: References, verdict: Verdict, nearest: int | None
) -> None:
    finding = judge(seen, references, MODEL, 0.44)
    assert (finding.verdict, finding.reference) == (verdict, nearest), case


def test_a_score_exactly_at_the_threshold_is_an_alert() -> None:
    score = judge(probe(vector(0.5, 1)), References([EAST], [MODEL]), MODEL, 0.0).score
    assert score is not None
    at = judge(probe(vector(0.5, 1)), References([EAST], [MODEL]), MODEL, score)
    above = judge(probe(vector(0.5, 1)), References([EAST], [MODEL]), MODEL, math.nextafter(score, 1))
    assert (at.verdict, above.verdict) == (Verdict.ALERT, Verdict.BELOW_THRESHOLD)


def test_shots_are_fused_by_their_quality() -> None:
    mostly_east = judge(probe(EAST, NORTH, weights=(9, 1)), References([EAST], [MODEL]), MODEL, 0.9)
    mostly_north = judge(probe(EAST, NORTH, weights=(1, 9)), References([EAST], [MODEL]), MODEL, 0.9)
    assert (mostly_east.verdict, mostly_north.verdict) == (Verdict.ALERT, Verdict.BELOW_THRESHOLD)


def test_a_score_that_is_no_number_never_alerts() -> None:
    broken = Probe(np.full((1, 2), np.nan, np.float32), np.ones(1, np.float32))
    assert judge(broken, References([EAST], [MODEL]), MODEL, -0.99).verdict is Verdict.BELOW_THRESHOLD


def test_lateness_is_counted_from_the_decision_on_the_box() -> None:
    assert not is_late(1000, 11_000, 10_000)
    assert is_late(1000, 11_001, 10_000)
    assert not is_late(5000, 1000, 10_000), "a box whose clock is ahead is not late"


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("no quality", {"quality": 0.0}),
        ("quality without bound", {"quality": 1e30}),
        ("quality that is no number", {"quality": math.nan}),
        ("landmarks outside the picture", {"landmarks": (500.0, *LANDMARKS[1:])}),
        ("landmarks that are no numbers", {"landmarks": (math.nan, *LANDMARKS[1:])}),
        ("landmarks in one point", {"landmarks": (5.0,) * 10}),
        ("a frame number that no database holds", {"frame": 1 << 62}),
        ("a box that is no number", {"box": msgspec.structs.replace(shot(1).box, x=math.inf)}),
    ],
)
def test_a_shot_no_honest_box_makes_is_left_out(what: str, changes: dict[str, object]) -> None:
    assert is_usable(shot(1), 112, 112)
    assert not is_usable(msgspec.structs.replace(shot(1), **changes), 112, 112), what
