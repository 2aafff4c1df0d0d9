import pytest

from edge.camera.errors import Reason, stream_trouble
from edge.camera.reader import pause_s
from edge.camera.settings import CameraSettings
from edge.camera.state import Condition, Sight, judge

SETTINGS = CameraSettings(id="gate-3", source="rtsp://camera/x")


@pytest.mark.parametrize(
    ("trouble", "age_s", "blind_after_s", "reason"),
    [
        (None, None, 4.0, Reason.TIMEOUT),
        (None, None, None, Reason.CONNECTING),
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
    assert judge(trouble=trouble, frame_age_s=age_s, waited_s=400.0, blind_after_s=blind_after_s) is reason


def test_a_camera_that_never_gave_a_picture_is_connecting_and_after_a_while_blind() -> None:
    sight = Sight(SETTINGS.blind_after_s, started_s=100.0)
    assert sight.state(101.0, dropped=0).condition is Condition.CONNECTING
    state = sight.state(105.0, dropped=0)
    assert (state.condition, state.reason) == (Condition.BLIND, Reason.TIMEOUT)


def test_a_picture_ends_the_trouble_and_its_age_is_counted_from_there() -> None:
    sight = Sight(SETTINGS.blind_after_s, started_s=9.0)
    sight.connected()
    sight.lost(Reason.TIMEOUT, stream_trouble("rtsp://camera/x", Reason.TIMEOUT))
    blind = sight.state(10.0, dropped=0)
    assert (blind.condition, blind.reason) == (Condition.BLIND, Reason.TIMEOUT)
    assert blind.problem == "camera rtsp://camera/x does not answer; check its power, its network and the address"
    sight.connected()
    assert not sight.state(11.0, dropped=0).seeing
    sight.saw(12.0)
    state = sight.state(12.5, dropped=3)
    assert (state.condition, state.problem) == (Condition.SEEING, "")
    assert (state.frame_age_s, state.frames, state.dropped, state.reconnects) == (0.5, 1, 3, 1)


def test_a_camera_that_says_nothing_counts_as_blind_within_five_seconds() -> None:
    sight = Sight(SETTINGS.blind_after_s, started_s=-1.0)
    sight.saw(0.0)
    assert sight.state(5.0, dropped=0).reason is Reason.STALE


def test_the_rate_is_that_of_the_last_seconds() -> None:
    sight = Sight(SETTINGS.blind_after_s, started_s=0.0)
    assert sight.state(1.0, dropped=0).rate_fps == 0.0
    for picture in range(1, 1001):
        sight.saw(picture / 25)
    assert sight.state(40.0, dropped=0).rate_fps == pytest.approx(25, abs=0.3)
    for picture in range(1, 51):
        sight.saw(40 + picture / 5)
    assert sight.state(50.0, dropped=0).rate_fps == pytest.approx(5, abs=0.3)
    assert sight.state(52.5, dropped=0).rate_fps == pytest.approx(2.5, abs=0.3)
    assert sight.state(58.0, dropped=0).rate_fps == 0.0
    assert sight.state(58.0, dropped=0).frame_age_s == 8.0


def test_tries_are_further_apart_each_time_up_to_the_cap_and_spread_by_a_quarter() -> None:
    pauses = [pause_s(SETTINGS, Reason.REFUSED, tries, 0.5) for tries in (1, 2, 3, 4, 5, 6, 1000)]
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert pause_s(SETTINGS, Reason.REFUSED, 9, 0.0) == 3.75
    assert pause_s(SETTINGS, Reason.REFUSED, 9, 1.0) == 6.25


def test_what_a_try_took_is_not_waited_again() -> None:
    assert pause_s(SETTINGS, Reason.TIMEOUT, 9, 1.0, took_s=5.0) == 1.25
    assert pause_s(SETTINGS, Reason.TIMEOUT, 9, 0.5, took_s=60.0) == 0.25
    assert pause_s(SETTINGS, Reason.UNAUTHORISED, 1, 0.5, took_s=5.0) == 10.0


@pytest.mark.parametrize("reason", [Reason.UNAUTHORISED, Reason.UNOPENED])
def test_what_may_be_a_refused_password_is_tried_again_slowly_from_the_first_time(reason: Reason) -> None:
    assert pause_s(SETTINGS, reason, 1, 0.0) == 10.0


@pytest.mark.parametrize("patience", [{"connect_timeout_s": 10.0}, {"read_timeout_s": 5.0}])
def test_a_silent_camera_cannot_be_configured_to_look_like_a_decoder_that_hangs(patience: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="hung_after_s must be more than 10"):
        CameraSettings(id="gate-3", source="rtsp://camera/x", **patience)  # type: ignore[arg-type]
