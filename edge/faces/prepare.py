"""A published model made ready to load.

Batch size matters for speed (models.md: 16 faces at once are 2.3 times faster in int8 than one by one), and
some published graphs are fixed to one image. Freeing the batch axis means renaming the first dimension of
every input and output, and letting a Reshape to a constant batch keep whatever batch comes.
"""

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types
from numpy.typing import NDArray
from onnx import numpy_helper

from edge.errors import IntegrityError

BATCH = "batch"


def free_batch(model: bytes, name: str) -> bytes:
    """Return the same ONNX model with a free first axis on inputs, outputs and constant reshapes."""
    try:
        graph_model = onnx.load_from_string(model)
    except DecodeError as error:
        raise IntegrityError(f"model {name} is not an ONNX file") from error
    graph = graph_model.graph
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    del graph.value_info[:]  # inferred shapes with the old batch
    targets = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    for node in graph.node:
        if node.op_type == "Constant" and node.output[0] in targets:
            _keep_batch(node.attribute[0].t)
    for tensor in graph.initializer:
        if tensor.name in targets:
            _keep_batch(tensor)
    return bytes(graph_model.SerializeToString())


def _keep_batch(tensor: onnx.TensorProto) -> None:
    """Replace a leading 1 of a reshape's target by 0, which means: as it came."""
    shape: NDArray[np.int64] = numpy_helper.to_array(tensor).copy()
    if shape.size and shape[0] == 1:
        shape[0] = 0
        tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))
