"""The network as an ONNX file: QDQ form, bytes (n,h,w,3) in, float32 (n,c,h,w) out; n, h and w are free.

A flat network (one whose output is a single cell) gives (n,c). The input is laid out as a picture is: integer
kernels want the channels last, so the engine cancels the transposition that the graph begins with.

A ReLU is not written: its result's zero is the byte 0, so what is below is cut off in quantising, and an
addition without one becomes a single integer kernel (0.2 ms less for each at 80x48x64, of 0.45).
"""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.training.network.plan import INPUT, INPUT_CHANNELS, Add, Conv
from models.training.network.quantised import Quantised

OPSET = 17
IR_VERSION = 8  # read by ONNX Runtime 1.14 and later


def write(network: Quantised, *, name: str, flat: bool = False) -> bytes:
    """Return the bytes of the ONNX file."""
    graph = _Graph(network)
    for node in network.plan.nodes:
        graph.convolution(node) if isinstance(node, Conv) else graph.addition(node)
    outputs = [graph.output(tensor, flat=flat) for tensor in network.plan.outputs]
    shape: list[str | int | None] = ["n", "h", "w", INPUT_CHANNELS]
    made = helper.make_graph(
        graph.nodes,
        name,
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, shape)],
        outputs,
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="sightline")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


class _Graph:
    """The nodes and constants so far. A tensor T of the plan is `T:q` in bytes and `T:f` in floats again."""

    def __init__(self, network: Quantised) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._network = network
        self._node("Transpose", [INPUT], f"{INPUT}:planes", perm=[0, 3, 1, 2])
        self._dequantise(INPUT, f"{INPUT}:planes")

    def convolution(self, conv: Conv) -> None:
        layer = self._network.layers[conv.name]
        weight, bias = f"{conv.name}:weight", f"{conv.name}:bias"
        scale = self._constant(f"{weight}:scale", layer.scale)
        zeros = self._constant(f"{weight}:zero", np.zeros(len(layer.scale), np.int8))
        quantised = self._constant(f"{weight}:q", layer.weight)
        self._node("DequantizeLinear", [quantised, scale, zeros], weight, axis=0)
        source = np.float32(self._network.scales[conv.source].scale)
        bias_scale = self._constant(f"{bias}:scale", (source * layer.scale).astype(np.float32))
        bias_zeros = self._constant(f"{bias}:zero", np.zeros(len(layer.bias), np.int32))
        self._node(
            "DequantizeLinear", [self._constant(f"{bias}:q", layer.bias), bias_scale, bias_zeros], bias, axis=0
        )
        self._node(
            "Conv",
            [f"{conv.source}:f", weight, bias],
            f"{conv.name}:raw",
            kernel_shape=[conv.kernel] * 2,
            strides=[conv.stride] * 2,
            pads=[conv.padding] * 4,
            group=conv.groups,
        )
        self._finish(conv)

    def addition(self, add: Add) -> None:
        self._node("Add", [f"{add.left}:f", f"{add.right}:f"], f"{add.name}:raw")
        self._finish(add)

    def output(self, tensor: str, *, flat: bool) -> onnx.ValueInfoProto:
        channels = self._network.plan.channels()[tensor]
        if flat:
            self._node("Flatten", [f"{tensor}:f"], tensor, axis=1)
            return helper.make_tensor_value_info(tensor, TensorProto.FLOAT, ["n", channels])
        for node in self.nodes:  # the last dequantisation carries the name that the world sees
            node.output[:] = [tensor if out == f"{tensor}:f" else out for out in node.output]
            node.input[:] = [tensor if source == f"{tensor}:f" else source for source in node.input]
        return helper.make_tensor_value_info(tensor, TensorProto.FLOAT, ["n", channels, f"h_{tensor}", f"w_{tensor}"])

    def _finish(self, node: Conv | Add) -> None:
        scale, zero = self._scale(node.name)
        if node.relu and self._network.scales[node.name].zero:
            raise ValueError(f"{node.name} has a ReLU and a zero above the least byte")
        self._node("QuantizeLinear", [f"{node.name}:raw", scale, zero], f"{node.name}:q")
        self._dequantise(node.name, f"{node.name}:q")

    def _dequantise(self, tensor: str, quantised: str) -> None:
        self._node("DequantizeLinear", [quantised, *self._scale(tensor)], f"{tensor}:f")

    def _scale(self, tensor: str) -> tuple[str, str]:
        scale, zero = f"{tensor}:scale", f"{tensor}:zero"
        if not any(constant.name == scale for constant in self.constants):
            known = self._network.scales[tensor]
            self._constant(scale, np.array(known.scale, np.float32))
            self._constant(zero, np.array(known.zero, np.uint8))
        return scale, zero

    def _constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
