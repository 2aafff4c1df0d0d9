"""The centre's time as the box knows it."""

from edge.centre_clock import CentreClock
from edge.wire.turns import Instant


def test_half_of_the_round_trip_is_the_way_back() -> None:
    clock = CentreClock()
    clock.asked(10.0)
    clock.heard(50_000, Instant(10.4, 49_000))
    assert (clock.clock_ms, clock.monotonic_s, clock.ahead_ms) == (50_200, 10.4, 1200)


def test_a_word_that_nobody_asked_for_is_taken_as_it_is() -> None:
    clock = CentreClock()
    clock.heard(50_000, Instant(10.4, 51_000))
    assert (clock.clock_ms, clock.ahead_ms) == (50_000, -1000)
    clock.asked(11.0)
    clock.heard(60_000, Instant(12.0, 60_000))
    clock.heard(61_000, Instant(13.0, 61_000))
    assert clock.ahead_ms == 0
