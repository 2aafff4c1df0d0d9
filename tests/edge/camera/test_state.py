import pytest

from edge.camera.errors import Reason
from edge.camera.feed import pause_s
from edge.camera.settings import CameraSettings
from edge.camera.state import Sight, judge

SETTINGS = CameraSettings(id="gate-3", source="rtsp://camera/x")


@pytest.mark.parametrize(
    ("trouble", "age_s", "blind_after_s", "reason"),
    [
        (None, None, 4.0, Reason.CONNECTING),
        (None, 0.1, 4.0, None),
        (None, 3.9, 4.0, None),
        (None, 4.1, 4.0, Reason.STALE),
        (None, 400.0, None, None),
        (Reason.REFUSED, None, 4.0, Reason.REFUSED),
        (Reason.ENDED, 0.1, 4.0, Reason.ENDED),
        (Reason.TIMEOUT, 9.0, 4.0, Reason.TIMEOUT),
    ],
)
def test_a_camera_is_blind_for_a_reason(
    trouble: Reason | None, age_s: float | None, blind_after_s: float | None, reason: Reason | None
) -> None:
    assert judge(trouble=trouble, frame_age_s=age_s, blind_after_s=blind_after_s) is reason


def test_a_picture_ends_the_trouble_and_its_age_is_counted_from_there() -> None:
    sight = Sight(blind_after_s=SETTINGS.blind_after_s)
    sight.connected()
    sight.lost(Reason.TIMEOUT)
    assert sight.state(10.0, dropped=0).reason is Reason.TIMEOUT
    sight.connected()
    assert not sight.state(11.0, dropped=0).seeing
    sight.saw(12.0)
    state = sight.state(12.5, dropped=3)
    assert (state.seeing, state.frame_age_s, state.frames, state.dropped, state.reconnects) == (
        True,
        0.5,
        1,
        3,
        1,
    )


def test_a_camera_that_says_nothing_counts_as_blind_within_five_seconds() -> None:
    sight = Sight(blind_after_s=SETTINGS.blind_after_s)
    sight.saw(0.0)
    assert sight.state(5.0, dropped=0).reason is Reason.STALE


def test_tries_are_further_apart_each_time_up_to_the_cap_and_spread_by_a_quarter() -> None:
    pauses = [pause_s(SETTINGS, Reason.REFUSED, tries, 0.5) for tries in (1, 2, 3, 4, 5, 6, 1000)]
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert pause_s(SETTINGS, Reason.REFUSED, 9, 0.0) == 3.75
    assert pause_s(SETTINGS, Reason.REFUSED, 9, 1.0) == 6.25


def test_a_refused_password_is_tried_again_slowly_from_the_first_time() -> None:
    assert pause_s(SETTINGS, Reason.UNAUTHORISED, 1, 0.0) == 10.0
