"""Both file forms of one network say the same, and what its integers mean."""

import numpy as np
import onnxruntime as ort
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from models.training.network import onnx_form, tflite_form
from models.training.network.plan import Add, Conv, Plan
from models.training.network.quantised import Quantised
from tests.models.network.making import drawn, reference

PLANS = {
    "patch-stem": Plan((Conv("stem", "input", 16, 4, 4),), ("stem",)),
    "linear-1x1": Plan((Conv("stem", "input", 8, 2, 2), Conv("out", "stem", 24, 1, relu=False)), ("out",)),
    "3x3": Plan((Conv("a", "input", 12, 3, 1, 1), Conv("b", "a", 12, 3, 1, 1, relu=False)), ("b",)),
    "down-by-2": Plan((Conv("a", "input", 8, 8, 8), Conv("b", "a", 16, 2, 2)), ("b",)),
    "depthwise": Plan((Conv("a", "input", 16, 4, 4), Conv("b", "a", 16, 3, 1, 1, groups=16)), ("b",)),
    "valid-3x3": Plan((Conv("a", "input", 16, 4, 4), Conv("b", "a", 8, 3)), ("b",)),
    "residual": Plan(
        (
            Conv("a", "input", 16, 4, 4),
            Conv("b", "a", 16, 3, 1, 1, relu=False),
            Add("c", "a", "b"),
            Add("d", "c", "b", relu=False),
        ),
        ("d", "c"),
    ),
    "two-outputs-one-read-again": Plan(
        (Conv("a", "input", 8, 8, 8), Conv("b", "a", 8, 2, 2), Conv("c", "b", 14, 1, relu=False)), ("a", "c")
    ),
}
WHOLE = Plan(
    (
        Conv("a", "input", 8, 8, 8),
        Conv("b", "a", 16, 2, 2),
        Conv("c", "b", 16, 7, groups=16, relu=False),
        Conv("embedding", "c", 32, 1, relu=False),
    ),
    ("embedding",),
)


def pictures(count: int, height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (count, height, width, 3)).astype(np.uint8)


def through_onnx(model: bytes, batch: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    results = session.run(None, {"input": batch})
    return {output.name: result for output, result in zip(session.get_outputs(), results, strict=True)}


def through_tflite(model: bytes, *batches: NDArray[np.uint8]) -> list[dict[str, NDArray[np.float32]]]:
    interpreter = Interpreter(model_content=model)
    told = []
    for batch in batches:
        interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], batch.shape, strict=True)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], batch)
        interpreter.invoke()
        told.append({o["name"]: interpreter.get_tensor(o["index"]) for o in interpreter.get_output_details()})
    return told


def steps_apart(network: Quantised, name: str, one: NDArray[np.float32], meant: NDArray[np.float64]) -> float:
    known = network.scales[name]
    return float(np.abs(one / known.scale + known.zero - meant).max())


@pytest.mark.parametrize("name", PLANS)
def test_both_forms_give_what_the_integers_mean_within_one_step(name: str) -> None:
    network, batch = drawn(PLANS[name]), pictures(2, 48, 64)
    meant = reference(network, batch)
    onnx = through_onnx(onnx_form.write(network, name=name), batch)
    tflite = through_tflite(tflite_form.write(network, name=name, size=(32, 32)), batch)[0]
    assert list(onnx) == list(tflite) == list(network.plan.outputs)
    for output in network.plan.outputs:
        assert np.ptp(meant[output]) > 100, "the test's own numbers say little"
        assert steps_apart(network, output, onnx[output], meant[output]) < 1.01
        assert steps_apart(network, output, tflite[output].transpose(0, 3, 1, 2), meant[output]) < 1.01


def test_a_flat_network_gives_a_vector_for_each_picture() -> None:
    network, batch = drawn(WHOLE), pictures(3, 112, 112)
    meant = reference(network, batch)["embedding"][..., 0, 0]
    onnx = through_onnx(onnx_form.write(network, name="whole", flat=True), batch)["embedding"]
    tflite = through_tflite(tflite_form.write(network, name="whole", size=(112, 112), flat=True), batch)
    assert onnx.shape == tflite[0]["embedding"].shape == (3, 32)
    assert steps_apart(network, "embedding", onnx, meant) < 1.01
    assert steps_apart(network, "embedding", tflite[0]["embedding"], meant) < 1.01


def test_a_tflite_network_may_be_given_other_sizes_and_batches_again_and_again() -> None:
    network = drawn(PLANS["residual"])
    batches = [pictures(1, 32, 32), pictures(4, 96, 64), pictures(1, 32, 64)]
    for batch, told in zip(
        batches, through_tflite(tflite_form.write(network, name="r", size=(64, 64)), *batches), strict=True
    ):
        assert steps_apart(network, "d", told["d"].transpose(0, 3, 1, 2), reference(network, batch)["d"]) < 1.01


def test_the_same_network_makes_the_same_file() -> None:
    network = drawn(PLANS["residual"])
    assert tflite_form.write(network, name="r", size=(64, 64)) == tflite_form.write(network, name="r", size=(64, 64))
    assert onnx_form.write(network, name="r") == onnx_form.write(network, name="r")
