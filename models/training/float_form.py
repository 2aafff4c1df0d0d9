"""The embedder before its integers, so that what they cost can be measured like any other model.

    python -m models.training.float_form --checkpoint RUN/float.pt
    sightline evaluate --faces DIR --held-out --model sightline-embedder --model sightline-embedder-fp32

float.pt is written when a training turns to integers. The ONNX file goes into the user's store, and its card into the
registry there; neither ships.
"""

import argparse
import hashlib
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge.faces.registry import ModelStore, Task, load_registry, register_local
from models.training.checkpoint import load
from models.training.embedder.shape import embedder_plan
from models.training.network.net import Net
from models.training.network.onnx_form import IR_VERSION, OPSET
from models.training.network.plan import INPUT, INPUT_CHANNELS, INPUT_SCALE, INPUT_ZERO, Conv

SHIPPED, NAME = "sightline-embedder", "sightline-embedder-fp32"


def write(net: Net) -> bytes:
    """Return a folded network as an ONNX file in floats: bytes (n,h,w,3) in, float32 (n,c) out."""
    constants = [
        numpy_helper.from_array(np.float32(INPUT_ZERO), "zero"),
        numpy_helper.from_array(np.float32(INPUT_SCALE), "scale"),
    ]
    nodes = [
        helper.make_node("Transpose", [INPUT], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["floats", "zero"], ["centred"]),
        helper.make_node("Mul", ["centred", "scale"], [f"{INPUT}:f"]),
    ]
    for node in net.plan.nodes:
        result = f"{node.name}:raw" if node.relu else f"{node.name}:f"
        if isinstance(node, Conv):
            module, kernel = net.convs[node.name], [node.kernel] * 2
            for part, value in (("weight", module.weight), ("bias", module.bias)):
                array = np.ascontiguousarray(value.detach().float().numpy())
                constants.append(numpy_helper.from_array(array, f"{node.name}:{part}"))
            nodes.append(
                helper.make_node(
                    "Conv",
                    [f"{node.source}:f", f"{node.name}:weight", f"{node.name}:bias"],
                    [result],
                    kernel_shape=kernel,
                    strides=[node.stride] * 2,
                    pads=[node.padding] * 4,
                    group=node.groups,
                )
            )
        else:
            nodes.append(helper.make_node("Add", [f"{node.left}:f", f"{node.right}:f"], [result]))
        if node.relu:
            nodes.append(helper.make_node("Relu", [result], [f"{node.name}:f"]))
    output = net.plan.outputs[0]
    nodes.append(helper.make_node("Flatten", [f"{output}:f"], [output], axis=1))
    graph = helper.make_graph(
        nodes,
        NAME,
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", "h", "w", INPUT_CHANNELS])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", net.plan.channels()[output]])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="sightline")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def main() -> None:
    """Write the file into the store and register it."""
    parser = argparse.ArgumentParser(
        prog="models.training.float_form", description="The embedder before its integers."
    )
    parser.add_argument("--checkpoint", type=Path, required=True, help="RUN/float.pt")
    asked = parser.parse_args()
    state = load(asked.checkpoint)
    if state is None:
        raise SystemExit(f"there is no checkpoint {asked.checkpoint}: a training writes it when it turns to integers")
    net = Net(embedder_plan())
    net.load_state_dict(state["net"])
    net.eval()
    net.fold()
    model, store = write(net), ModelStore.default()
    parent = load_registry().model(SHIPPED, Task.EMBED)
    sha256 = hashlib.sha256(model).hexdigest()
    card = msgspec.structs.replace(
        parent,
        name=NAME,
        file=f"{NAME}-{sha256[:12]}.onnx",
        sha256=sha256,
        shipped=False,
        golden="",
        made_from=parent.sha256,
    )
    register_local(card, store)
    print(f"{NAME}: {store.put(card, iter([model]), str(asked.checkpoint))}")


if __name__ == "__main__":
    main()
