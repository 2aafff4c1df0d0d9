"""Which looks are worth an embedding, and whose they are."""

import numpy as np
import pytest

from edge.bestshot import BestShots, BestShotSettings, Look, Taken
from edge.faces.quality import Quality
from tests.edge.people import template_of

RED, BLUE = (40, 40, 200), (200, 40, 40)


def quality(score: float, eyes_px: float = 40.0) -> Quality:
    return Quality(eyes_px=eyes_px, size=1.0, pose=1.0, sharpness=1.0, exposure=score)


def look(colour: tuple[int, int, int], at_ms: int, score: float = 0.5) -> Look:
    return Look(
        template=template_of(colour),
        quality=score,
        crop=np.zeros((8, 8, 3), np.uint8),
        landmarks=np.zeros((5, 2), np.float32),
        box=np.zeros(4, np.float32),
        captured_at_ms=at_ms,
        frame=at_ms // 40,
    )


@pytest.mark.parametrize(("score", "eyes_px", "wanted"), [(0.5, 40.0, True), (0.02, 40.0, False), (0.5, 6.0, False)])
def test_a_face_under_the_floor_is_not_worth_an_embedding(score: float, eyes_px: float, *, wanted: bool) -> None:
    shots = BestShots(BestShotSettings(min_eyes_px=10, min_quality=0.08))
    assert shots.wants(quality(score, eyes_px), 0) is wanted
    assert shots.ready(eyes_px, 0) is (eyes_px >= 10)


def test_two_looks_within_a_moment_count_once() -> None:
    shots = BestShots(BestShotSettings(gap_ms=150))
    shots.add(look(RED, 1000))
    assert not shots.ready(40.0, 1100)
    assert not shots.wants(quality(0.9), 1100)
    assert shots.wants(quality(0.9), 1150)


def test_a_full_track_wants_only_what_is_clearly_better_than_its_worst() -> None:
    shots = BestShots(BestShotSettings(keep=2, better=1.2, gap_ms=0))
    shots.add(look(RED, 0, 0.30))
    shots.add(look(RED, 1, 0.50))
    assert not shots.wants(quality(0.35), 10)
    assert shots.wants(quality(0.37), 10)
    shots.add(look(RED, 10, 0.37))
    assert [kept.quality for kept in shots.looks] == [0.50, 0.37]


def test_one_strange_look_is_set_aside() -> None:
    shots = BestShots(BestShotSettings())
    shots.add(look(RED, 0))
    assert shots.add(look(BLUE, 200)) is Taken.SET_ASIDE
    assert shots.add(look(RED, 400)) is Taken.KEPT
    assert shots.fused() @ template_of(RED) == pytest.approx(1.0, abs=1e-5)


def test_two_looks_of_one_other_person_change_the_hands() -> None:
    shots = BestShots(BestShotSettings())
    shots.add(look(RED, 0))
    shots.add(look(RED, 200))
    assert shots.add(look(BLUE, 400)) is Taken.SET_ASIDE
    assert shots.add(look(BLUE, 600)) is Taken.CHANGED_HANDS
    assert [kept.captured_at_ms for kept in shots.looks] == [400, 600]
    assert shots.fused() @ template_of(BLUE) == pytest.approx(1.0, abs=1e-5)
