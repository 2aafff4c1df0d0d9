"""When a picture was taken: tables of what the clocks of camera and box may do."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.camera.dating import Dated, Dating
from edge.camera.frame import ClockSource

NOON_MS = 1_790_000_000_000


def dates(
    dating: Dating,
    pictures: range,
    *,
    ahead_ms: int | None = None,
    late_ms: int = 0,
    box_ahead_ms: int = 0,
    every_ms: int = 40,
) -> list[Dated]:
    """Date pictures of a camera whose clock is ahead by so much, or that sends no reports."""
    given = []
    for number in pictures:
        taken_ms = number * every_ms
        given.append(
            dating.date(
                camera_ms=None if ahead_ms is None else NOON_MS + taken_ms + ahead_ms,
                arrival_ms=NOON_MS + taken_ms + late_ms + box_ahead_ms,
                media_s=taken_ms / 1000,
                at_s=(taken_ms + late_ms) / 1000,
            )
        )
    return given


def steps(given: list[Dated]) -> set[int]:
    return {after.captured_at_ms - before.captured_at_ms for before, after in pairwise(given)}


def test_a_camera_whose_clock_is_right_dates_its_pictures() -> None:
    dating = Dating(2.0)
    given = dates(dating, range(100), ahead_ms=300, late_ms=80)
    assert {each.clock_source for each in given} == {ClockSource.CAMERA}
    assert [each.captured_at_ms for each in given] == [NOON_MS + 40 * number + 300 for number in range(100)]
    assert dating.ahead_ms == 220
    assert dating.believed


def test_before_the_first_report_arrival_dates_and_then_time_goes_over_without_a_step() -> None:
    dating = Dating(2.0)
    early = dates(dating, range(50), late_ms=120)
    later = dates(dating, range(50, 100), ahead_ms=0, late_ms=120)
    assert {each.clock_source for each in early} == {ClockSource.ARRIVAL}
    assert {each.clock_source for each in later} == {ClockSource.CAMERA}
    assert steps(early + later) == {40, 30}
    assert later[-1].captured_at_ms == NOON_MS + 99 * 40


@pytest.mark.parametrize("ahead_ms", [-60_000, 3_600_000, -20 * 365 * 86_400_000])
def test_a_camera_whose_clock_is_far_off_dates_nothing_and_the_difference_is_known(ahead_ms: int) -> None:
    dating = Dating(2.0)
    given = dates(dating, range(50)) + dates(dating, range(50, 100), ahead_ms=ahead_ms)
    assert {each.clock_source for each in given} == {ClockSource.ARRIVAL}
    assert [each.captured_at_ms for each in given] == [NOON_MS + 40 * number for number in range(100)]
    assert not dating.believed
    assert dating.ahead_ms == ahead_ms


@pytest.mark.parametrize(
    ("by_ms", "source"), [(900, "camera"), (-900, "camera"), (7000, "arrival"), (-7000, "arrival")]
)
def test_a_clock_that_is_set_is_noticed_once_and_time_goes_on_without_a_step(by_ms: int, source: str) -> None:
    dating = Dating(2.0)
    given = dates(dating, range(50), ahead_ms=100) + dates(dating, range(50, 300), ahead_ms=100 + by_ms)
    assert [each.stepped_ms for each in given if each.stepped_ms is not None] == [by_ms]
    assert given[50].stepped_ms == by_ms
    assert steps(given) <= {30, 40, 50}
    assert given[-1].clock_source == source
    right_ms = 100 + by_ms if source == "camera" else 0
    assert given[-1].captured_at_ms == NOON_MS + 299 * 40 + right_ms
    assert dating.ahead_ms == 100 + by_ms


def test_pictures_that_a_network_held_back_keep_the_times_at_which_they_were_taken() -> None:
    dating = Dating(2.0)
    dates(dating, range(50), ahead_ms=0)
    held = [
        dating.date(
            camera_ms=NOON_MS + 40 * number, arrival_ms=NOON_MS + 4000, media_s=0.04 * number, at_s=4 + number / 1e4
        )
        for number in range(50, 100)
    ]
    assert [each.captured_at_ms for each in held] == [NOON_MS + 40 * number for number in range(50, 100)]
    assert [each.stepped_ms for each in held] == [None] * 50
    assert dating.ahead_ms == pytest.approx(0, abs=3)


def test_a_box_with_too_much_to_do_does_not_take_its_delay_for_a_clock_that_is_behind() -> None:
    dating = Dating(2.0)
    dates(dating, range(50), ahead_ms=0)
    late = [each for n in range(50, 15_000) for each in dates(dating, range(n, n + 1), ahead_ms=0, late_ms=5000)]
    assert {each.clock_source for each in late} == {ClockSource.CAMERA}
    assert [each.captured_at_ms for each in late] == [NOON_MS + 40 * n for n in range(50, 15_000)]


def test_a_camera_that_lost_its_clock_while_it_was_off_dates_nothing() -> None:
    dating = Dating(2.0)
    dates(dating, range(50), ahead_ms=0)
    dating.connected()
    assert dating.ahead_ms is None
    again = dates(dating, range(100, 150), ahead_ms=-800_000_000_000)
    assert {each.clock_source for each in again} == {ClockSource.ARRIVAL}
    assert [each.captured_at_ms for each in again] == [NOON_MS + 40 * n for n in range(100, 150)]


def test_a_clock_at_the_limit_does_not_come_and_go() -> None:
    dating = Dating(2.0)
    sources = [dates(dating, range(n, n + 1), ahead_ms=1980 + 15 * (n % 4))[0].clock_source for n in range(200)]
    assert sum(before is not after for before, after in pairwise(sources)) == 1


def test_where_the_cameras_clock_is_not_wanted_it_is_still_compared() -> None:
    dating = Dating(0.0)
    given = dates(dating, range(10), ahead_ms=0)
    assert {each.clock_source for each in given} == {ClockSource.ARRIVAL}
    assert dating.ahead_ms == pytest.approx(0, abs=3)


def test_a_new_connection_begins_a_time_of_its_own_and_is_no_step_of_the_clock() -> None:
    dating = Dating(2.0)
    dates(dating, range(50), ahead_ms=0)
    dating.connected()
    again = [
        dating.date(
            camera_ms=NOON_MS + 5000 + 40 * n, arrival_ms=NOON_MS + 5000 + 40 * n, media_s=0.04 * n, at_s=5 + 0.04 * n
        )
        for n in range(10)
    ]
    assert [each.stepped_ms for each in again] == [None] * 10
    assert [each.captured_at_ms for each in again] == [NOON_MS + 5000 + 40 * n for n in range(10)]


@pytest.mark.parametrize("by_ms", [-3_600_000, 3_600_000])
def test_when_the_boxs_own_clock_is_set_by_a_lot_time_goes_with_it(by_ms: int) -> None:
    dating = Dating(2.0)
    dates(dating, range(50))
    after = dates(dating, range(50, 60), box_ahead_ms=by_ms)
    assert [each.captured_at_ms for each in after] == [NOON_MS + 40 * n + by_ms for n in range(50, 60)]


a_camera = st.tuples(
    st.sampled_from([None, 0, 0, 0, 900, -1500, 5_000, -8_000, 10**9, -(10**9)]),
    st.integers(0, 2500),
    st.integers(5, 500),
)


@settings(max_examples=60)
@given(st.lists(a_camera, min_size=2, max_size=40))
def test_time_never_stands_still_and_never_runs_backwards(cameras: list[tuple[int | None, int, int]]) -> None:
    dating, now_ms, came_ms, given = Dating(2.0), 0, 0, []
    for ahead_ms, late_ms, passed_ms in cameras:
        now_ms += passed_ms
        came_ms = max(came_ms, now_ms + late_ms)
        given.append(
            dating.date(
                camera_ms=None if ahead_ms is None else NOON_MS + now_ms + ahead_ms,
                arrival_ms=NOON_MS + came_ms,
                media_s=now_ms / 1000,
                at_s=came_ms / 1000,
            )
        )
    assert min(steps(given)) >= 1
