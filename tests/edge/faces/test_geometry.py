import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge.faces.align import ARCFACE_112
from edge.faces.geometry import Floats, overlaps, similarity, suppress

BOXES = st.integers(1, 12).flatmap(
    lambda n: arrays(np.float32, (n, 4), elements=st.integers(0, 40).map(float)).map(
        lambda b: b + np.array([0, 0, 1, 1], np.float32)
    )
)


@given(
    turn=st.floats(-math.pi, math.pi),
    scale=st.floats(0.05, 20),
    shift=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_a_similarity_is_recovered_from_the_points_it_moved(
    turn: float, scale: float, shift: tuple[float, float]
) -> None:
    linear = scale * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    moved = ARCFACE_112.astype(np.float64) @ linear.T + shift
    found = similarity(ARCFACE_112, moved.astype(np.float32))
    np.testing.assert_allclose(found, np.column_stack([linear, shift]), atol=2e-3 * max(1, scale))


@given(noise=arrays(np.float32, (5, 2), elements=st.floats(-3, 3, width=32)))
def test_no_other_similarity_brings_the_points_nearer(noise: Floats) -> None:
    target = ARCFACE_112 + noise
    best = similarity(ARCFACE_112, target)

    def error(matrix: Floats) -> float:
        return float(((ARCFACE_112 @ matrix[:, :2].T + matrix[:, 2] - target) ** 2).sum())

    least = error(best.astype(np.float32))
    for turn, zoom, step in ((0.01, 1, 0), (-0.01, 1, 0), (0, 1.01, 0), (0, 0.99, 0), (0, 1, 0.1), (0, 1, -0.1)):
        c, s = zoom * math.cos(turn), zoom * math.sin(turn)
        other = np.array([[c, -s], [s, c]]) @ best
        other[:, 2] = best[:, 2] + step + (best[:, :2] - other[:, :2]) @ ARCFACE_112.mean(axis=0)
        assert error(other.astype(np.float32)) >= least - 1e-2


def test_points_that_lie_on_each_other_give_a_shift_and_no_nonsense() -> None:
    matrix = similarity(np.full((5, 2), 7, np.float32), ARCFACE_112)
    assert np.all(np.isfinite(matrix))


def test_known_overlaps() -> None:
    box = np.array([[0, 0, 10, 10]], np.float32)
    others = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [20, 20, 5, 5], [10, 0, 10, 10], [3, 3, 0, 0]], np.float32)
    np.testing.assert_allclose(overlaps(box, others), [[1, 1 / 3, 0, 0, 0]], rtol=1e-6)


@given(boxes=BOXES)
def test_overlaps_are_shares_and_the_same_both_ways(boxes: Floats) -> None:
    boxes = boxes.astype(np.float32)
    shared = overlaps(boxes, boxes)
    assert shared.min() >= 0
    assert shared.max() <= 1 + 1e-6
    np.testing.assert_allclose(shared, shared.T, rtol=1e-6)
    np.testing.assert_allclose(np.diag(shared), 1, rtol=1e-6)


@given(boxes=BOXES, seed=st.integers(0, 1000), overlap=st.floats(0.1, 0.9))
def test_suppression_keeps_the_best_and_drops_only_what_a_better_kept_one_covers(
    boxes: Floats, seed: int, overlap: float
) -> None:
    boxes = boxes.astype(np.float32)
    scores = np.random.default_rng(seed).permutation(len(boxes)).astype(np.float32)
    kept = suppress(boxes, scores, overlap)
    assert kept[0] == scores.argmax()
    assert np.all(np.diff(scores[kept]) < 0)
    shared = overlaps(boxes, boxes)
    for i in range(len(boxes)):
        better = [k for k in kept if scores[k] > scores[i]]
        covered = any(shared[i, k] > overlap for k in better)
        assert covered == (i not in kept)
