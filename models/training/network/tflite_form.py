"""The network as a TensorFlow Lite file: int8 inside, bytes (n,h,w,3) in, float32 (n,h,w,c) out; n, h and w are free.

A flat network (one whose output is a single cell) gives (n,c).

TensorFlow Lite's int8 kernels want activations from -128 to 127, ours are bytes from 0 to 255: the same numbers
less 128, zero points included. Only the first operation changes anything, from the picture's bytes to those.

The file is written with the schema that the interpreter's own package carries.
"""

from collections.abc import Sequence

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import DTypeLike, NDArray

from models.training.network.plan import INPUT, Add, Conv, Node, sources
from models.training.network.quantised import Quantised, Scale

FORMAT_VERSION = 3
FILE_IDENTIFIER = b"TFL3"
SHIFT = 128
FREE = -1
# The first version of each operation that knows int8, per channel where there are weights.
VERSIONS = {
    schema.BuiltinOperator.CONV_2D: 3,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    schema.BuiltinOperator.ADD: 2,
    schema.BuiltinOperator.QUANTIZE: 2,
    schema.BuiltinOperator.DEQUANTIZE: 2,
    schema.BuiltinOperator.SQUEEZE: 1,
}
DTYPES = {
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.float32): schema.TensorType.FLOAT32,
}


def write(network: Quantised, *, name: str, size: tuple[int, int], flat: bool = False) -> bytes:
    """Return the bytes of the TensorFlow Lite file; `size` (height, width) is the one before anybody resizes."""
    graph = _Graph(network, size)
    for node in network.plan.nodes:
        graph.convolution(node) if isinstance(node, Conv) else graph.addition(node)
    outputs = [graph.output(tensor, flat=flat) for tensor in network.plan.outputs]
    return _packed(graph, outputs, name)


class _Graph:
    """The tensors, buffers and operations so far, and which tensor holds which of the plan's results."""

    def __init__(self, network: Quantised, size: tuple[int, int]) -> None:
        self.tensors: list[schema.TensorT] = []
        self.buffers = [schema.BufferT()]  # the first one is empty: tensors without numbers of their own
        self.operators: list[schema.OperatorT] = []
        self.codes: list[int] = []
        self._network = network
        self._channels = network.plan.channels()
        self._sizes = _sizes(network.plan.nodes, size)
        known = network.scales[INPUT]
        self.input = self._tensor(INPUT, np.uint8, self._shape(INPUT), _affine(known))
        shifted = self._activation(INPUT, "input_int8")
        self._operator(
            schema.BuiltinOperator.QUANTIZE, [self.input], shifted, "QuantizeOptions", schema.QuantizeOptionsT()
        )
        self._index = {INPUT: shifted}

    def convolution(self, conv: Conv) -> None:
        layer = self._network.layers[conv.name]
        depthwise = conv.groups > 1
        # (o,i,k,k) to (o,k,k,i), or of one weight for each channel to (1,k,k,o)
        weight = layer.weight.transpose(1, 2, 3, 0) if depthwise else layer.weight.transpose(0, 2, 3, 1)
        source = np.float32(self._network.scales[conv.source].scale)
        inputs = [
            self._index[conv.source],
            self._constant(f"{conv.name}/weight", weight, layer.scale, axis=3 if depthwise else 0),
            self._constant(f"{conv.name}/bias", layer.bias, source * layer.scale, axis=0),
        ]
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        # Half of an odd kernel at stride 1 is what SAME means, on any size.
        options.padding = schema.Padding.SAME if conv.padding else schema.Padding.VALID
        options.strideH = options.strideW = conv.stride
        options.fusedActivationFunction = _activation(conv)
        if depthwise:
            options.depthMultiplier = 1
        code = schema.BuiltinOperator.DEPTHWISE_CONV_2D if depthwise else schema.BuiltinOperator.CONV_2D
        kind = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
        self._operator(code, inputs, self._result(conv), kind, options)

    def addition(self, add: Add) -> None:
        options = schema.AddOptionsT()
        options.fusedActivationFunction = _activation(add)
        inputs = [self._index[source] for source in sources(add)]
        self._operator(schema.BuiltinOperator.ADD, inputs, self._result(add), "AddOptions", options)

    def output(self, tensor: str, *, flat: bool) -> int:
        name = f"{tensor}_cell" if flat else tensor
        real = self._tensor(name, np.float32, self._shape(tensor), None)
        options = schema.DequantizeOptionsT()
        self._operator(schema.BuiltinOperator.DEQUANTIZE, [self._index[tensor]], real, "DequantizeOptions", options)
        if not flat:
            return real
        squeezed = self._tensor(tensor, np.float32, [1, self._channels[tensor]], None)
        one_cell = schema.SqueezeOptionsT()
        one_cell.squeezeDims = np.array([1, 2], np.int32)
        self._operator(schema.BuiltinOperator.SQUEEZE, [real], squeezed, "SqueezeOptions", one_cell)
        return squeezed

    def _result(self, node: Node) -> int:
        self._index[node.name] = self._activation(node.name, f"{node.name}_int8")
        return self._index[node.name]

    def _activation(self, tensor: str, name: str) -> int:
        known = self._network.scales[tensor]
        return self._tensor(name, np.int8, self._shape(tensor), _affine(Scale(known.scale, known.zero - SHIFT)))

    def _constant(self, name: str, value: NDArray[np.generic], scale: NDArray[np.float32], *, axis: int) -> int:
        quantisation = schema.QuantizationParametersT()
        quantisation.scale = np.asarray(scale, np.float32)
        quantisation.zeroPoint = np.zeros(len(scale), np.int64)
        quantisation.quantizedDimension = axis
        index = self._tensor(name, value.dtype, list(value.shape), quantisation, free=False)
        buffer = schema.BufferT()
        # Flatbuffers are little-endian, whatever the machine is.
        little = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"))
        buffer.data = np.frombuffer(little.tobytes(), np.uint8)
        self.tensors[index].buffer = len(self.buffers)
        self.buffers.append(buffer)
        return index

    def _tensor(
        self,
        name: str,
        dtype: DTypeLike,
        shape: Sequence[int],
        quantisation: schema.QuantizationParametersT | None,
        *,
        free: bool = True,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name = name
        tensor.type = DTYPES[np.dtype(dtype)]
        tensor.shape = np.array(shape, np.int32)
        if free:  # all but the channels
            tensor.shapeSignature = np.array([FREE] * (len(shape) - 1) + [shape[-1]], np.int32)
        tensor.quantization = quantisation
        tensor.buffer = 0
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _shape(self, tensor: str) -> list[int]:
        return [1, *self._sizes[tensor], self._channels[tensor]]

    def _operator(self, code: int, inputs: Sequence[int], output: int, kind: str, options: object) -> None:
        if code not in self.codes:
            self.codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes.index(code)
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array([output], np.int32)
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        operator.builtinOptions = options
        self.operators.append(operator)


def _packed(graph: _Graph, outputs: Sequence[int], name: str) -> bytes:
    subgraph = schema.SubGraphT()
    subgraph.name = name
    subgraph.tensors = graph.tensors
    subgraph.inputs = np.array([graph.input], np.int32)
    subgraph.outputs = np.array(outputs, np.int32)
    subgraph.operators = graph.operators
    model = schema.ModelT()
    model.version = FORMAT_VERSION
    model.description = f"sightline {name}"
    model.operatorCodes = [_code(code) for code in graph.codes]
    model.subgraphs = [subgraph]
    model.buffers = graph.buffers
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def _code(code: int) -> schema.OperatorCodeT:
    made = schema.OperatorCodeT()
    made.builtinCode = code
    made.deprecatedBuiltinCode = code  # what interpreters before 2.4 read; all of ours are below 127
    made.version = VERSIONS[code]
    return made


def _affine(known: Scale) -> schema.QuantizationParametersT:
    quantisation = schema.QuantizationParametersT()
    quantisation.scale = np.array([known.scale], np.float32)
    quantisation.zeroPoint = np.array([known.zero], np.int64)
    return quantisation


def _activation(node: Node) -> int:
    function: int = schema.ActivationFunctionType.RELU if node.relu else schema.ActivationFunctionType.NONE
    return function


def _sizes(nodes: Sequence[Node], size: tuple[int, int]) -> dict[str, tuple[int, int]]:
    """Return the height and width of every tensor, for an input of this size."""
    sizes = {INPUT: size}
    for node in nodes:
        height, width = sizes[sources(node)[0]]
        if isinstance(node, Conv):
            less = node.kernel - 2 * node.padding
            height, width = ((side - less) // node.stride + 1 for side in (height, width))
        sizes[node.name] = (height, width)
    return sizes
