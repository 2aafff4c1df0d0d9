from pathlib import Path

import numpy as np
import pytest

from central.quantise import quantise
from edge.errors import OperatorError
from edge.faces.embed import open_embedder
from edge.faces.registry import LOCAL, ModelStore, Task, digest, load_registry, register_local
from edge.faces.runtime import RuntimeSettings
from tests.central.making import Middle, people_in
from tests.edge.faces.making import card_for, chips, names_in, stored, tiny_convolution

pytestmark = pytest.mark.slow

SETTINGS = RuntimeSettings(threads=1)
MODEL = tiny_convolution()
CARD = card_for(MODEL, dimension=128)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return people_in(tmp_path_factory.mktemp("faces"), [2] * 20)


def test_the_int8_form_enters_the_store_with_its_own_card(faces: Path, tmp_path: Path) -> None:
    store = stored(MODEL, CARD, tmp_path / "store")
    made = quantise(CARD, faces, store, finder=Middle(), settings=SETTINGS, crops=20, quiet=True)
    register_local(CARD, ModelStore(tmp_path))  # a registry in which the parent is shipped
    card = load_registry(tmp_path / LOCAL, store=store).model("tiny-int8", Task.EMBED)
    assert card == made.card
    assert card.made_from == CARD.sha256
    assert card.sha256 == digest(store.path(card)) != CARD.sha256
    assert len(card.calibrated_on) == 64
    assert (made.crops, made.compared) == (20, 20)
    assert "made from tiny" in made.told()


def test_its_templates_are_near_its_parents_at_any_batch(faces: Path, tmp_path: Path) -> None:
    store = stored(MODEL, CARD, tmp_path)
    made = quantise(CARD, faces, store, finder=Middle(), settings=SETTINGS, crops=30, quiet=True)
    assert made.cosine_lowest > 0.98
    before, after = open_embedder(CARD, store, SETTINGS), open_embedder(made.card, store, SETTINGS)
    assert np.einsum("nd,nd->n", before.embed(chips(5)), after.embed(chips(5))).min() > 0.9


@pytest.mark.slow
def test_the_same_crops_give_the_same_file(faces: Path, tmp_path: Path) -> None:
    made = [
        quantise(CARD, faces, stored(MODEL, CARD, tmp_path / name), finder=Middle(), settings=SETTINGS, quiet=True)
        for name in ("one", "other")
    ]
    assert made[0].card == made[1].card


@pytest.mark.slow
def test_a_new_one_takes_the_place_of_the_older(faces: Path, tmp_path: Path) -> None:
    store = stored(MODEL, CARD, tmp_path / "store")
    others = people_in(tmp_path / "others", [2] * 15, noise=60)
    first = quantise(CARD, faces, store, finder=Middle(), settings=SETTINGS, quiet=True).card
    second = quantise(CARD, others, store, finder=Middle(), settings=SETTINGS, older=first, quiet=True).card
    assert first.file != second.file
    assert names_in(store.folder) == sorted([CARD.file, second.file, LOCAL])


def test_too_few_faces_to_calibrate_on_are_refused(tmp_path: Path) -> None:
    store = stored(MODEL, CARD, tmp_path / "store")
    few = people_in(tmp_path / "faces", [2] * 5)
    with pytest.raises(OperatorError, match="only 10 faces"):
        quantise(CARD, few, store, finder=Middle(), settings=SETTINGS, quiet=True)


def test_what_is_quantised_already_is_refused(faces: Path, tmp_path: Path) -> None:
    card = card_for(MODEL, dimension=128, made_from="a" * 64)
    with pytest.raises(OperatorError, match="is quantised already"):
        quantise(card, faces, stored(MODEL, card, tmp_path), finder=Middle(), settings=SETTINGS, quiet=True)
