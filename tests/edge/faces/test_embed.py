import numpy as np
import pytest

from edge.errors import IntegrityError, OperatorError
from edge.faces.embed import Embedder
from edge.faces.registry import Input, Thresholds
from tests.edge.faces.making import Handmade, card_for, chips

CARD = card_for(b"", dimension=3, prepare="")


def session(*rows: tuple[float, ...]) -> Handmade:
    return Handmade({"embedding": np.array(rows, np.float32)})


def test_templates_are_unit_vectors_whatever_the_model_gives() -> None:
    templates = Embedder(CARD, session((3, 0, 4), (0, 0.002, 0))).embed(chips(2))
    np.testing.assert_allclose(templates, [[0.6, 0.0, 0.8], [0.0, 1.0, 0.0]], rtol=1e-6)
    assert templates.dtype == np.float32


def test_chips_become_the_input_that_the_card_describes() -> None:
    handmade = session((1, 0, 0))
    wants = Input(
        layout="NCHW",
        colour="RGB",
        divide_by=255,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        size=(112, 112),
    )
    chip = chips(1)
    Embedder(card_for(b"", dimension=3, input=wants), handmade).embed(chip)
    rgb = chip[0, 17, 33, ::-1].astype(np.float64)
    expected = (rgb / 255 - np.array(wants.mean)) / np.array(wants.std)
    assert handmade.given.shape == (1, 3, 112, 112)
    np.testing.assert_allclose(handmade.given[0, :, 17, 33].astype(np.float64), expected, rtol=1e-5)


def test_a_model_that_wants_channels_last_gets_them() -> None:
    handmade = session((1, 0, 0))
    wants = Input(layout="NHWC", colour="BGR", divide_by=1, mean=(0, 0, 0), std=(1, 1, 1))
    Embedder(card_for(b"", dimension=3, input=wants), handmade).embed(chips(1))
    np.testing.assert_array_equal(handmade.given, chips(1))


def test_nobody_gives_no_templates_and_does_not_ask_the_model() -> None:
    assert Embedder(CARD, session()).embed(chips(0)).shape == (0, 3)


@pytest.mark.parametrize("bad", [(np.nan, 0, 1), (np.inf, 0, 1), (0, 0, 0)], ids=["nan", "inf", "zero"])
def test_a_template_without_a_direction_is_an_error_and_never_compared(bad: tuple[float, ...]) -> None:
    with pytest.raises(IntegrityError, match="not numbers"):
        Embedder(CARD, session(bad)).embed(chips(1))


def test_a_model_of_another_dimension_than_its_card_says_is_an_error() -> None:
    with pytest.raises(IntegrityError, match=r"gave \(1, 4\) for 1 chips, its card says 3 numbers"):
        Embedder(CARD, session((1, 2, 3, 4))).embed(chips(1))


def test_templates_carry_the_sha256_of_the_published_file() -> None:
    assert Embedder(CARD, session()).model_sha256 == CARD.sha256


def test_thresholds_are_those_of_the_model_unless_others_are_set() -> None:
    card = card_for(b"", thresholds=Thresholds(candidate=0.31, alert=0.42))
    embedder = Embedder(card, session((1.0, 0.0)))
    assert (embedder.candidate_threshold(None), embedder.alert_threshold(None)) == (0.31, 0.42)
    assert (embedder.candidate_threshold(0.2), embedder.alert_threshold(0.5)) == (0.2, 0.5)


def test_a_model_that_nobody_measured_has_no_threshold_to_fall_back_on() -> None:
    embedder = Embedder(card_for(b""), session((1.0, 0.0)))
    assert embedder.alert_threshold(0.5) == 0.5
    with pytest.raises(OperatorError, match="has no thresholds on its card"):
        embedder.alert_threshold(None)
