"""The gate's judge, as a table and by its properties."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.gate import ClockFacts, GateSettings, Permit, Verdict, doubt, judge
from tests.deploying import deployment

FROM, UNTIL = 1_000_000, 2_000_000
PERMIT = Permit(deployment=deployment(FROM, UNTIL, cameras=("gate",)), expires_at_ms=UNTIL - 1000)
SETTINGS = GateSettings()
NOW = 1_800_000_000_000
moments = st.integers(0, 3_000_000)


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ({}, Verdict.MATCHING),
        ({"permit": None}, Verdict.NO_WATCHLIST),
        ({"permit": None, "expelled": True}, Verdict.NO_WATCHLIST),
        ({"now_ms": FROM - 1}, Verdict.BEFORE),
        ({"now_ms": FROM}, Verdict.MATCHING),
        ({"now_ms": UNTIL - 1001}, Verdict.MATCHING),
        ({"now_ms": UNTIL - 1000}, Verdict.EXPIRED),
        ({"now_ms": UNTIL}, Verdict.AFTER),
        ({"camera": "other"}, Verdict.WRONG_CAMERA),
        ({"camera": "other", "now_ms": UNTIL}, Verdict.AFTER),
        ({"clock_doubt": "wrong", "now_ms": UNTIL}, Verdict.CLOCK),
        ({"clock_doubt": "wrong", "expelled": True}, Verdict.EXPELLED),
    ],
)
def test_the_gate(facts: dict[str, object], verdict: Verdict) -> None:
    usual = {"permit": PERMIT, "now_ms": FROM + 1, "camera": "gate", "clock_doubt": "", "expelled": False}
    assert judge(**{**usual, **facts}) is verdict  # type: ignore[arg-type]
    assert verdict.words


@given(
    now_ms=moments,
    begins=moments,
    ends=moments,
    expires_at_ms=moments,
    camera=st.sampled_from(["gate", "yard"]),
    cameras=st.sampled_from([(), ("gate",), ("gate", "yard")]),
    clock_doubt=st.sampled_from(["", "wrong"]),
    expelled=st.booleans(),
)
def test_nobody_is_matched_unless_everything_allows_it(
    *,
    now_ms: int,
    begins: int,
    ends: int,
    expires_at_ms: int,
    camera: str,
    cameras: tuple[str, ...],
    clock_doubt: str,
    expelled: bool,
) -> None:
    permit = Permit(deployment=deployment(begins, ends, cameras=cameras), expires_at_ms=expires_at_ms)
    verdict = judge(permit, now_ms=now_ms, camera=camera, clock_doubt=clock_doubt, expelled=expelled)
    allowed = begins <= now_ms < min(ends, expires_at_ms) and camera in (cameras or (camera,))
    assert (verdict is Verdict.MATCHING) == (allowed and not clock_doubt and not expelled)
    over = now_ms >= min(ends, expires_at_ms)
    assert verdict.destroys == (expelled or (over and not clock_doubt))


@given(earlier=moments, later=moments)
def test_what_is_over_stays_over(earlier: int, later: int) -> None:
    def at(now_ms: int) -> Verdict:
        return judge(PERMIT, now_ms=now_ms, camera="gate", clock_doubt="", expelled=False)

    earlier, later = sorted((earlier, later))
    assert not at(earlier).destroys or at(later).destroys


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({}, ""),
        ({"centre_ms": NOW + 30_000}, ""),
        ({"centre_ms": NOW + 30_001}, "30 s behind the centre's"),
        ({"centre_ms": NOW - 31_000}, "31 s ahead of the centre's"),
        ({"built_ms": NOW + 1}, "before the day this software was installed"),
        ({"floor_ms": NOW + 30_000}, ""),
        ({"floor_ms": NOW + 40_000}, "40 s before a time that has been already"),
        ({"jumped_ms": -31_000}, "jumped by -31 s"),
        ({"jumped_ms": 30_000}, ""),
        # The centre goes before memory.
        ({"floor_ms": NOW + 10**9, "centre_ms": NOW}, ""),
        ({"jumped_ms": 10**9, "centre_ms": NOW}, ""),
        ({"centre_ms": NOW - 10**9, "floor_ms": NOW}, "ahead of the centre's"),
    ],
)
def test_when_a_clock_is_believed(facts: dict[str, int], says: str) -> None:
    found = doubt(ClockFacts(**{"now_ms": NOW, **facts}), SETTINGS)
    assert (says in found) if says else found == ""


def test_how_far_a_clock_may_differ_is_set() -> None:
    loose = msgspec.convert({"clock_within_s": 60}, GateSettings)
    assert doubt(ClockFacts(now_ms=NOW, centre_ms=NOW + 50_000), loose) == ""


@given(off_ms=st.integers(-(10**7), 10**7))
def test_against_the_centre_only_the_difference_counts(off_ms: int) -> None:
    assert bool(doubt(ClockFacts(now_ms=NOW, centre_ms=NOW + off_ms), SETTINGS)) == (abs(off_ms) > 30_000)
