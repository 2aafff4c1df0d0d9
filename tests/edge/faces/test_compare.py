import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.faces.compare import Gallery, fuse

Floats = NDArray[np.float32]


def unit(count: int, dimension: int = 8, seed: int = 0) -> Floats:
    vectors = np.random.default_rng(seed).normal(size=(count, dimension))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def test_the_nearest_reference_names_its_owner_and_the_cosine() -> None:
    templates = unit(5)
    match = Gallery(templates, ["ann", "bob", "ann", "cy", "dee"]).best(templates[2])
    assert match is not None
    assert match.owner == "ann"
    assert match.score == pytest.approx(1, abs=1e-6)


@given(st.integers(1, 40), st.integers(0, 1000))
def test_the_search_is_exact(count: int, seed: int) -> None:
    templates, probe = unit(count, seed=seed), unit(1, seed=seed + 5000)[0]
    match = Gallery(templates, [str(i) for i in range(count)]).best(probe)
    assert match is not None
    assert match.score == pytest.approx(max(float(t @ probe) for t in templates), abs=1e-6)


def test_several_probes_at_once_find_what_each_finds_alone() -> None:
    gallery, probes = Gallery(unit(30), [str(i) for i in range(30)]), unit(7, seed=1)
    assert [m.owner for m in gallery.best_of(probes)] == [m.owner for p in probes if (m := gallery.best(p))]


def test_where_nobody_is_enrolled_nobody_is_found() -> None:
    empty = Gallery(np.zeros((0, 8), np.float32), [])
    assert len(empty) == 0
    assert empty.best(unit(1)[0]) is None
    assert empty.best_of(unit(3)) == []


def test_the_scores_of_one_owner_are_those_of_all_their_references() -> None:
    templates = unit(3)
    scores = Gallery(templates, ["ann", "bob", "ann"]).scores_of(templates[0], "ann")
    np.testing.assert_allclose(scores, [1, templates[0] @ templates[2]], atol=1e-6)
    assert Gallery(templates, ["ann", "bob", "ann"]).scores_of(templates[0], "zoe").shape == (0,)


def test_references_without_an_owner_each_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit 1 owners"):
        Gallery(unit(2), ["ann"])


def test_a_fused_template_is_a_unit_vector_that_leans_to_the_better_look() -> None:
    looks = unit(2)
    fused = fuse(looks, np.array([3, 1], np.float32))
    assert np.linalg.norm(fused) == pytest.approx(1, abs=1e-6)
    assert fused @ looks[0] > fused @ looks[1]


def test_fusing_noisy_looks_comes_nearer_to_the_person_than_one_look() -> None:
    person = unit(1, 128)[0]
    noisy = person + 0.5 * unit(5, 128, seed=9)
    looks = np.asarray(noisy / np.linalg.norm(noisy, axis=1, keepdims=True), np.float32)
    assert fuse(looks, np.ones(5, np.float32)) @ person > (looks @ person).max()


def test_looks_that_cancel_each_other_are_refused() -> None:
    look = unit(1)
    with pytest.raises(ValueError, match="no mean direction"):
        fuse(np.concatenate([look, -look]), np.ones(2, np.float32))
