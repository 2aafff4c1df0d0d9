from pathlib import Path

import onnxruntime as ort
import pytest

from edge.errors import IntegrityError, OperatorError
from edge.faces.embed import open_embedder
from edge.faces.onnx_session import PROVIDERS, OnnxSession
from edge.faces.runtime import RuntimeSettings, open_session
from tests.edge.faces.making import card_for, stored, tiny_embedder

MISSING = sorted(name for name, provider in PROVIDERS.items() if provider not in ort.get_available_providers())


@pytest.mark.skipif(not MISSING, reason="this build of the engine has every provider")
def test_a_provider_that_is_asked_for_and_missing_is_an_error_and_no_silent_fall_back() -> None:
    with pytest.raises(OperatorError, match="is not in this build"):
        OnnxSession(tiny_embedder(), "tiny", provider=MISSING[0])


def test_an_unknown_provider_is_refused_with_the_known_ones() -> None:
    with pytest.raises(OperatorError, match="known: cpu, xnnpack, cuda, tensorrt"):
        OnnxSession(tiny_embedder(), "tiny", provider="quantum")


@pytest.mark.parametrize("model", [b"", b"\xff" * 64, tiny_embedder()[:-40]], ids=["empty", "garbage", "truncated"])
def test_a_file_that_is_registered_but_no_model_is_told_in_one_line(model: bytes, tmp_path: Path) -> None:
    card = card_for(model, prepare="")
    with pytest.raises(IntegrityError, match="model tiny does not load") as refused:
        open_session(card, stored(model, card, tmp_path), RuntimeSettings())
    assert "\n" not in str(refused.value)


def test_a_published_model_that_needs_preparing_and_is_empty_is_told_too(tmp_path: Path) -> None:
    card = card_for(b"")
    with pytest.raises(IntegrityError, match="model tiny"):
        open_embedder(card, stored(b"", card, tmp_path), RuntimeSettings())


def test_a_model_that_changed_on_disk_is_not_run(tmp_path: Path) -> None:
    model = tiny_embedder()
    card = card_for(model)
    store = stored(model, card, tmp_path)
    (tmp_path / card.file).write_bytes(tiny_embedder(constant_node=True))
    with pytest.raises(IntegrityError, match="is not the registered file"):
        open_session(card, store, RuntimeSettings())
