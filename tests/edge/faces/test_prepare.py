from pathlib import Path

import numpy as np
import pytest

from edge.errors import IntegrityError
from edge.faces.embed import open_embedder
from edge.faces.onnx_session import OnnxSession
from edge.faces.prepare import free_batch
from edge.faces.runtime import RuntimeSettings
from tests.edge.faces.making import card_for, chips, stored, tiny_embedder

SETTINGS = RuntimeSettings(threads=1)


@pytest.mark.parametrize("constant_node", [False, True])
def test_a_model_fixed_to_one_picture_takes_several_and_says_the_same_of_each(
    tmp_path: Path, *, constant_node: bool
) -> None:
    model = tiny_embedder(constant_node=constant_node)
    card = card_for(model)
    embedder = open_embedder(card, stored(model, card, tmp_path), SETTINGS)
    four = chips(4)
    together = embedder.embed(four)
    one_by_one = np.concatenate([embedder.embed(four[i : i + 1]) for i in range(4)])
    assert together.shape == (4, 48)
    np.testing.assert_allclose(together, one_by_one, atol=1e-6)


def test_a_freed_model_says_the_same_of_one_picture_as_the_published_one() -> None:
    model, picture = tiny_embedder(), np.random.default_rng(0).random((1, 3, 112, 112), np.float32)
    published = OnnxSession(model, "published").run(picture)[0]
    freed = OnnxSession(free_batch(model, "freed"), "freed").run(picture)[0]
    np.testing.assert_array_equal(published, freed)


def test_freeing_twice_changes_nothing() -> None:
    once = free_batch(tiny_embedder(), "tiny")
    assert free_batch(once, "tiny") == once


def test_what_is_no_onnx_file_is_refused() -> None:
    with pytest.raises(IntegrityError, match="is not an ONNX file"):
        free_batch(b"\xff" * 100, "tiny")
