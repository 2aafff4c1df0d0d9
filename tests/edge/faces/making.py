"""Things to test the science with, made of nothing: tiny models, cards, a session with hand-made outputs."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge.faces.registry import CHECKOUT, Input, ModelCard, ModelStore, Task

TINY_DIMENSION = 48
SHARED = Path(os.environ.get("SIGHTLINE_SHARED") or CHECKOUT.parent / "shared")


def tiny_embedder(*, constant_node: bool = False) -> bytes:
    """Return an ONNX model fixed to one picture: averages of 28x28 tiles, 48 numbers, by a constant reshape."""
    target = numpy_helper.from_array(np.array([1, TINY_DIMENSION], np.int64), "target")
    nodes = [
        helper.make_node("AveragePool", ["picture"], ["tiles"], kernel_shape=[28, 28], strides=[28, 28]),
        helper.make_node("Reshape", ["tiles", "target"], ["embedding"]),
    ]
    if constant_node:
        nodes.insert(0, helper.make_node("Constant", [], ["target"], value=target))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, TINY_DIMENSION])],
        [] if constant_node else [target],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def tiny_convolution() -> bytes:
    """Return an ONNX embedder with weights: one convolution, then averages of 28x28 tiles; 128 numbers."""
    weights = np.random.default_rng(1).normal(0, 0.3, (8, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["picture", "weights"], ["seen"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["seen"], ["bright"]),
            helper.make_node("AveragePool", ["bright"], ["tiles"], kernel_shape=[28, 28], strides=[28, 28]),
            helper.make_node("Reshape", ["tiles", "target"], ["embedding"]),
        ],
        "convolution",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, 128])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([1, 128], np.int64), "target"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return bytes(model.SerializeToString())


def card_for(model: bytes, **changes: object) -> ModelCard:
    """Return an embedder's card for this file; name it and change it by keyword."""
    card = ModelCard(
        task=Task.EMBED,
        file="tiny.onnx",
        sha256=hashlib.sha256(model).hexdigest(),
        licence="Apache-2.0",
        training_data="none",
        input=Input(layout="NCHW", colour="BGR", divide_by=255, mean=(0, 0, 0), std=(1, 1, 1), size=(112, 112)),
        prepare="free-batch",
        align="arcface-112",
        dimension=TINY_DIMENSION,
        name="tiny",
    )
    return msgspec.structs.replace(card, **changes)


def stored(model: bytes, card: ModelCard, folder: Path) -> ModelStore:
    """Return a store that holds this model."""
    store = ModelStore(folder)
    store.put(card, iter([model]), "the test")
    return store


def names_in(folder: Path) -> list[str]:
    """Return the names of everything in a folder."""
    return sorted(path.name for path in folder.iterdir())


class Handmade:
    """A session whose outputs were written by hand; it remembers what it was given."""

    def __init__(self, outputs: Mapping[str, NDArray[np.float32]]) -> None:
        self.outputs = tuple(outputs)
        self.given: NDArray[np.generic] = np.zeros(0)
        self._results = list(outputs.values())

    def run(self, array: NDArray[np.generic]) -> Sequence[NDArray[np.float32]]:
        self.given = array
        return self._results


def chips(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return (count,112,112,3) pictures of noise over a colour of their own."""
    draw = np.random.default_rng(seed)
    base = draw.integers(40, 200, (count, 7, 7, 3))
    return np.asarray(base.repeat(16, 1).repeat(16, 2) + draw.integers(0, 40, (count, 112, 112, 3)), np.uint8)
