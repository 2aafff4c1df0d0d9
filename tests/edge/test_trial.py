"""When a state that was switched to is confirmed, and when it is not."""

import pytest

from edge.trial import Condition, Judgement, Trial, TrialSettings, Verdict

SETTINGS = TrialSettings(limit_s=120, settle_s=30)
WELL = Condition(state="new", alive=True, seeing=True)
BLIND = Condition(state="new", alive=True, trouble="camera gate does not see, refused")
OLD = Condition(state="old", alive=True, seeing=True)
DEAD = Condition(state="new", seeing=True)
UNFIT = Condition(state="new", unfit="the watchlist does not open")


def verdicts(steps: list[tuple[float, Condition]], *, must_see: bool = True) -> list[Verdict]:
    trial = Trial(SETTINGS, "new", must_see=must_see, now_s=0)
    return [trial.judge(found, at_s).verdict for at_s, found in steps]


WAIT, CONFIRM, ROLL_BACK = Verdict.WAIT, Verdict.CONFIRM, Verdict.ROLL_BACK


@pytest.mark.parametrize(
    ("steps", "then"),
    [
        ([(5, OLD), (10, WELL), (39.9, WELL), (40, WELL)], [WAIT, WAIT, WAIT, CONFIRM]),
        ([(119, OLD), (120, OLD)], [WAIT, ROLL_BACK]),
        ([(119, BLIND), (120, BLIND)], [WAIT, ROLL_BACK]),
        ([(119, DEAD), (120, DEAD)], [WAIT, ROLL_BACK]),
        ([(1, UNFIT)], [ROLL_BACK]),
        ([(1, Condition(state="old", unfit="broken")), (2, WELL)], [WAIT, WAIT]),
        ([(119, WELL), (140, WELL), (149, WELL)], [WAIT, WAIT, CONFIRM]),
        ([(10, WELL), (20, BLIND), (41, WELL), (71, WELL)], [WAIT, WAIT, WAIT, CONFIRM]),
        ([(119, WELL), (121, DEAD)], [WAIT, ROLL_BACK]),
    ],
)
def test_a_state_is_confirmed_when_watch_is_as_well_as_before_and_stays_so(
    steps: list[tuple[float, Condition]], then: list[Verdict]
) -> None:
    assert verdicts(steps) == then


def test_a_camera_that_was_blind_before_need_not_see() -> None:
    assert verdicts([(1, BLIND), (31, BLIND)], must_see=False) == [WAIT, CONFIRM]


def test_the_reason_is_what_watch_says() -> None:
    trial = Trial(SETTINGS, "new", must_see=True, now_s=0)
    assert trial.judge(UNFIT, 1) == Judgement(ROLL_BACK, "watch cannot run it: the watchlist does not open")
    assert trial.judge(BLIND, 120).reason.endswith("within 120 s: camera gate does not see, refused")
