import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from central.rates import (
    FOLDS,
    Pairs,
    Photographs,
    Setting,
    capacity,
    folds_by_person,
    searches,
    threshold_at,
    verification,
)

Floats = NDArray[np.float32]


def pairs(score: Floats, mated: NDArray[np.bool_], people: NDArray[np.intp] | None = None) -> Pairs:
    n = len(score)
    people = np.arange(2 * n).reshape(n, 2) if people is None else people
    return Pairs(people=people, mated=mated, fold=folds_by_person(people), score=score, disjoint=True)


def separable(n: int = 200) -> tuple[Floats, NDArray[np.bool_]]:
    mated = np.arange(n) % 2 == 0
    score = np.where(mated, 0.6, 0.1) + np.random.default_rng(0).uniform(-0.05, 0.05, n)
    return score.astype(np.float32), mated


def test_pairs_that_scores_separate_are_all_told_apart() -> None:
    rates = verification(pairs(*separable()))
    assert rates.accuracies == (1.0,) * FOLDS
    assert rates.correct == 200
    assert rates.accepted == 100
    assert all(0.15 < threshold < 0.55 for threshold in rates.thresholds)


def test_scores_that_say_nothing_give_about_half() -> None:
    draw = np.random.default_rng(1)
    rates = verification(pairs(draw.random(2000, np.float32), draw.random(2000) < 0.5))
    assert 0.4 < np.mean(rates.accuracies) < 0.6


def test_a_pair_without_a_face_is_an_error_whether_mated_or_not() -> None:
    score, mated = separable()
    score[[0, 1]] = np.nan  # one mated, one not
    rates = verification(pairs(score, mated))
    assert rates.correct == 198
    assert rates.accepted == 99


def test_the_threshold_of_a_fold_is_chosen_without_it() -> None:
    score, mated = separable()
    fold = np.arange(200) % FOLDS
    score[fold == 3] = np.where(mated[fold == 3], 0.1, 0.6)  # this fold alone is the wrong way round
    people = np.arange(400).reshape(200, 2)
    rates = verification(Pairs(people=people, mated=mated, fold=fold, score=score, disjoint=False))
    assert rates.accuracies[3] == 0.0
    assert rates.accuracies[4] == 1.0


def test_nobody_of_a_fold_under_test_helps_to_choose_its_threshold() -> None:
    score, mated = separable()
    people = np.arange(400).reshape(200, 2)
    fold = np.arange(200) % FOLDS
    # The people of fold 0 appear again in fold 1, with scores that would spoil the threshold.
    spoilers = np.flatnonzero(fold == 1)
    people[spoilers] = people[np.flatnonzero(fold == 0)]
    score[spoilers] = np.where(mated[spoilers], 0.85, 0.95)
    honest = verification(Pairs(people=people, mated=mated, fold=fold, score=score, disjoint=True))
    clean = np.flatnonzero(fold != 1)
    alone = score[clean][fold[clean] != 0], mated[clean][fold[clean] != 0]
    middle = (alone[0][alone[1]].min() + alone[0][~alone[1]].max()) / 2
    assert honest.thresholds[0] == pytest.approx(middle, abs=1e-6)


def test_too_few_pairs_for_ten_folds_are_refused() -> None:
    score, mated = separable(8)
    with pytest.raises(ValueError, match="a fold has no pair"):
        verification(pairs(score, mated))


def test_pairs_of_one_kind_cannot_give_a_threshold() -> None:
    score, _ = separable()
    with pytest.raises(ValueError, match="both kinds"):
        verification(pairs(score, np.ones(200, bool)))


@given(st.lists(st.integers(0, 30), min_size=1, max_size=200))
def test_all_pairs_of_one_first_person_are_in_one_fold(first: list[int]) -> None:
    people = np.stack([np.array(first), np.arange(len(first)) + 100], axis=1)
    folds = folds_by_person(people)
    assert folds.min() >= 0
    assert folds.max() < FOLDS
    for person in set(first):
        assert len(set(folds[people[:, 0] == person].tolist())) == 1


def test_folds_are_of_like_size() -> None:
    sizes = np.bincount(folds_by_person(np.arange(2006).reshape(1003, 2)))
    assert sizes.max() - sizes.min() <= 1


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=300), st.floats(0, 1))
def test_no_more_than_the_rate_reaches_a_threshold_and_none_lower_would_do(scores: list[float], rate: float) -> None:
    impostors = np.array(scores, np.float32)
    threshold = threshold_at(impostors, rate)
    allowed = int(rate * len(scores) + 1e-9)
    assert (impostors >= threshold).sum() <= allowed
    if allowed < len(scores):
        below = impostors[impostors < threshold].max()
        assert (impostors >= below).sum() > allowed


def test_a_threshold_needs_impostors() -> None:
    with pytest.raises(ValueError, match="no impostor scores"):
        threshold_at(np.zeros(0, np.float32), 0.1)


def crowd(counts: list[int], *, noise: float = 0.3, seed: int = 0) -> Photographs:
    """Return photographs of people with templates of their own and noise."""
    draw = np.random.default_rng(seed)
    person = np.repeat(np.arange(len(counts)), counts)
    templates = draw.normal(size=(len(counts), 64))[person] + noise * draw.normal(size=(len(person), 64))
    templates /= np.linalg.norm(templates, axis=1, keepdims=True)
    return Photographs(templates.astype(np.float32), np.ones(len(person), bool), person)


COUNTS = [3] * 20 + [1] * 40


def test_seventy_per_cent_of_the_people_photographed_often_are_mated_and_everybody_else_is_not() -> None:
    drawn = searches(crowd(COUNTS), Setting(30), seed=7)
    assert drawn is not None
    assert len(drawn.mates) == 14 * 2  # fourteen of twenty people, one of three photographs enrolled
    assert len(drawn.impostors) == 6 * 3 + 40 - 16
    assert drawn.mates.min() > drawn.impostors.max()


def test_a_small_gallery_holds_mated_people_alone() -> None:
    drawn = searches(crowd(COUNTS), Setting(10), seed=7)
    assert drawn is not None
    assert len(drawn.mates) == 20
    assert len(drawn.impostors) == 10 * 3 + 40


def test_at_most_ten_probes_are_taken_of_one_person() -> None:
    drawn = searches(crowd([40, 40, 1, 1]), Setting(1), seed=7)
    assert drawn is not None
    assert len(drawn.mates) == 10


def test_a_gallery_that_the_set_cannot_fill_is_not_drawn() -> None:
    assert capacity(crowd(COUNTS), Setting(30)) == 54
    assert searches(crowd(COUNTS), Setting(55), seed=7) is None
    assert searches(crowd(COUNTS), Setting(54), seed=7) is not None


def test_a_gallery_that_leaves_nobody_to_search_for_is_not_drawn() -> None:
    assert searches(crowd([2]), Setting(1), seed=7) is None


def test_the_same_seed_draws_the_same_people() -> None:
    one, same, other = (searches(crowd(COUNTS), Setting(30), seed) for seed in (7, 7, 8))
    assert one is not None
    assert same is not None
    assert other is not None
    np.testing.assert_array_equal(one.mates, same.mates)
    assert not np.array_equal(one.mates, other.mates)


def test_a_person_who_is_not_first_is_missed_at_every_threshold() -> None:
    photos = crowd([2] * 10 + [1] * 5)
    photos.template[1::2][:10] = photos.template[
        10
    ]  # every second photograph of the often photographed is of one face
    drawn = searches(photos, Setting(7), seed=7)
    assert drawn is not None
    assert np.isneginf(drawn.mates).sum() >= 6


def test_a_probe_without_a_face_is_a_miss_and_a_stranger_without_one_is_not_searched() -> None:
    photos = crowd(COUNTS)
    whole = searches(photos, Setting(30), seed=7)
    photos.found[:] = photos.person >= 20  # none of the often photographed has a face
    drawn = searches(photos, Setting(30), seed=7)
    assert whole is not None
    assert drawn is not None
    assert len(drawn.mates) == len(whole.mates)
    assert np.isneginf(drawn.mates).all()
    assert len(drawn.impostors) == len(whole.impostors) - 18


def test_a_person_whose_reference_shows_no_face_is_missed() -> None:
    photos = crowd([3] * 20)
    photos.found[::3] = False  # the lowest photograph of everybody
    drawn = searches(photos, Setting(10), seed=7)
    assert drawn is not None
    assert np.isneginf(drawn.mates).all()


def test_fused_probes_and_several_references_score_higher_than_one_of_each() -> None:
    photos = crowd([8] * 30, noise=1.0)
    means = []
    for references, probes in ((1, 1), (3, 1), (3, 3)):
        drawn = searches(photos, Setting(20, references, probes), seed=7)
        assert drawn is not None
        means.append(float(drawn.mates[np.isfinite(drawn.mates)].mean()))
    assert means[0] < means[1] < means[2]


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="pairs need shapes"):
        Pairs(
            people=np.zeros((2, 2), np.intp),
            mated=np.zeros(3, bool),
            fold=np.zeros(2, np.intp),
            score=np.zeros(2, np.float32),
            disjoint=True,
        )
    with pytest.raises(ValueError, match="templates"):
        Photographs(np.zeros((2, 4), np.float32), np.zeros(3, bool), np.zeros(2, np.intp))
