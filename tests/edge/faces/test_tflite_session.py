"""The second engine: the same bytes in, and one clear line where it cannot."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.errors import IntegrityError, OperatorError
from edge.faces.runtime import RuntimeSettings, open_session
from edge.faces.tflite_session import PACKAGES, TfliteSession
from models.training.network import onnx_form, tflite_form
from models.training.network.plan import Add, Conv, Plan
from tests.edge.faces.making import card_for, stored
from tests.models.network.making import drawn

NETWORK = drawn(
    Plan(
        (Conv("a", "input", 8, 4, 4), Conv("b", "a", 8, 3, 1, 1, relu=False), Add("c", "a", "b", relu=False)),
        ("c", "b"),
    )
)
MODEL = tflite_form.write(NETWORK, name="tiny", size=(32, 32))


def picture(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (*shape, 3)).astype(np.uint8)


def test_a_file_s_form_chooses_its_engine_and_both_say_the_same(tmp_path: Path) -> None:
    onnx = onnx_form.write(NETWORK, name="tiny")
    settings = RuntimeSettings(threads=1)
    cards = [card_for(one, file=f"tiny.{form}", prepare="") for one, form in ((MODEL, "tflite"), (onnx, "onnx"))]
    sessions = [
        open_session(card, stored(one, card, tmp_path), settings)
        for card, one in zip(cards, (MODEL, onnx), strict=True)
    ]
    assert sessions[0].outputs == sessions[1].outputs == ("c", "b")
    seen = picture(2, 64, 96)
    lite = sessions[0].run(seen)
    other = sessions[1].run(seen)
    for name, one, same in zip(sessions[0].outputs, lite, other, strict=True):
        step = NETWORK.scales[name].scale
        np.testing.assert_allclose(one.transpose(0, 3, 1, 2), same, atol=1.01 * step)


def test_sizes_may_change_from_picture_to_picture_and_results_stay_what_they_were() -> None:
    session = TfliteSession(MODEL, "tiny")
    first = session.run(picture(1, 32, 64))
    session.run(picture(3, 96, 96))
    again = session.run(picture(1, 32, 64))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


BAD = {"empty": b"", "garbage": b"\xff" * 64, "truncated": MODEL[: len(MODEL) // 2], "foreign": b"\x08\x08" + MODEL}


@pytest.mark.parametrize("model", BAD.values(), ids=BAD.keys())
def test_a_file_that_is_no_model_is_told_in_one_line(model: bytes) -> None:
    with pytest.raises(IntegrityError, match="model tiny does not load") as refused:
        TfliteSession(model, "tiny")
    assert "\n" not in str(refused.value)


def test_what_is_not_as_the_model_wants_it_is_refused_and_the_next_picture_is_seen() -> None:
    session = TfliteSession(MODEL, "tiny")
    with pytest.raises(IntegrityError, match="does not take float32"):
        session.run(picture(1, 32, 32).astype(np.float32))
    with pytest.raises(IntegrityError, match="does not take uint8"):
        session.run(np.zeros((1, 32, 32, 4), np.uint8))
    assert session.run(picture(1, 64, 32))[0].shape == (1, 16, 8, 8)


def test_a_provider_that_it_does_not_have_is_an_error() -> None:
    with pytest.raises(OperatorError, match="'cuda' does not run"):
        TfliteSession(MODEL, "tiny", provider="cuda")


def test_without_any_interpreter_the_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in PACKAGES:
        for name in (package, package.split(".", maxsplit=1)[0]):
            monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(OperatorError, match="pip install ai-edge-litert"):
        TfliteSession(MODEL, "tiny")


def test_the_older_package_is_taken_where_it_is_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from ai_edge_litert.interpreter import Interpreter

    _only_older(monkeypatch, Interpreter)
    assert TfliteSession(MODEL, "tiny").outputs == ("c", "b")


def test_an_older_package_that_does_not_fit_numpy_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(**_: object) -> None:
        raise SystemError("<built-in method CreateWrapperFromFile> returned a result with an exception set")

    _only_older(monkeypatch, fails)
    with pytest.raises(OperatorError, match="needs numpy below 2") as refused:
        TfliteSession(MODEL, "tiny")
    assert "\n" not in str(refused.value)


def _only_older(monkeypatch: pytest.MonkeyPatch, interpreter: object) -> None:
    """Let the machine be one that has `tflite_runtime` and nothing newer."""
    older, package = ModuleType("tflite_runtime.interpreter"), ModuleType("tflite_runtime")
    older.Interpreter = interpreter  # type: ignore[attr-defined]  # what such a package has
    monkeypatch.setitem(sys.modules, "tflite_runtime", package)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", older)
    for name in (PACKAGES[0], "ai_edge_litert"):
        monkeypatch.setitem(sys.modules, name, None)
