"""The public embedder as a teacher: its templates, and what it holds at two places inside."""

from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edge.errors import OperatorError
from edge.faces.embed import Embedder, open_embedder
from edge.faces.registry import ModelCard, ModelStore
from edge.faces.runtime import RuntimeSettings, read_model

INSIDE = ("/features/features.11/Add_output_0", "/features/features.14/Add_output_0")
"""The ends of MobileFaceNet's stages at 14x14 and 7x7, in the published file and in its int8 form."""
INSIDE_CHANNELS = 128


@dataclass(frozen=True)
class Taught:
    """What the teacher makes of a batch: templates (n,128) float32, and features (n,128,h,w) float16."""

    templates: NDArray[np.float32]
    features: tuple[NDArray[np.float16], ...]


class Teacher:
    """Runs a registered embedder with its inner results as further outputs."""

    def __init__(self, card: ModelCard, store: ModelStore, *, threads: int) -> None:
        model = onnx.load_from_string(read_model(card, store))
        made = {name for node in model.graph.node for name in node.output}
        if missing := [name for name in INSIDE if name not in made]:
            raise OperatorError(f"model {card.name} has no {missing[0]}", hint="the teacher is a MobileFaceNet")
        model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in INSIDE)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self._embedder: Embedder = open_embedder(card, store, RuntimeSettings(threads=threads))

    def teach(self, chips: NDArray[np.uint8]) -> Taught:
        """Return what the teacher makes of (n,112,112,3) uint8 BGR chips."""
        array = self._embedder.as_input(chips)
        raw, *features = self._session.run(None, {self._session.get_inputs()[0].name: array})
        templates = raw / np.linalg.norm(raw, axis=1, keepdims=True)
        return Taught(templates.astype(np.float32), tuple(feature.astype(np.float16) for feature in features))
