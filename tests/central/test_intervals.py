import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from central.intervals import exact


def test_one_false_alert_in_36420_faces_is_anything_from_1_in_6500_to_1_in_1_4_million() -> None:
    interval = exact(1, 36_420)
    assert 1 / interval.high == pytest.approx(6_537, rel=1e-3)
    assert 1 / interval.low == pytest.approx(1.44e6, rel=5e-3)


def test_no_event_in_180000_faces_supports_a_claim_of_one_in_about_60000() -> None:
    assert exact(0, 180_000, level=0.90).high == pytest.approx(1 / 60_000, rel=2e-3)  # the rule of three


@pytest.mark.parametrize("trials", [1, 10, 1000])
def test_zero_events_have_a_lower_end_of_zero_and_all_events_an_upper_end_of_one(trials: int) -> None:
    assert exact(0, trials).low == 0
    assert exact(trials, trials).high == 1
    assert exact(0, trials).high == pytest.approx(1 - 0.025 ** (1 / trials))
    assert exact(trials, trials).low == pytest.approx(0.025 ** (1 / trials))


def test_published_intervals_are_reproduced() -> None:
    five_of_ten = exact(5, 10)
    assert (five_of_ten.low, five_of_ten.high) == pytest.approx((0.1871, 0.8129), abs=1e-4)
    one_of_twenty = exact(1, 20)
    assert (one_of_twenty.low, one_of_twenty.high) == pytest.approx((0.0013, 0.2487), abs=1e-4)


def test_nothing_tried_says_nothing() -> None:
    assert (exact(0, 0).low, exact(0, 0).high) == (0, 1)


@pytest.mark.parametrize(("events", "trials"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(events: int, trials: int) -> None:
    with pytest.raises(ValueError, match=f"{events} events of {trials} trials"):
        exact(events, trials)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_at_each_end_of_the_interval_so_extreme_a_count_has_two_and_a_half_per_cent(counts: tuple[int, int]) -> None:
    events, trials = counts
    interval = exact(events, trials)
    assert interval.low <= events / trials <= interval.high
    if events:
        assert binom.sf(events - 1, trials, interval.low) == pytest.approx(0.025, rel=1e-6)
    if events < trials:
        assert binom.cdf(events, trials, interval.high) == pytest.approx(0.025, rel=1e-6)
