"""A network in integers, as every file form says it. Needs nothing but numpy."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.training.network.plan import INPUT, INPUT_SCALE, INPUT_ZERO, Add, Conv, Plan


@dataclass(frozen=True)
class Scale:
    """What a byte of a tensor stands for: scale * (byte - zero)."""

    scale: float
    zero: int


@dataclass(frozen=True)
class Layer:
    """A convolution's numbers: weight (o,i/groups,k,k) int8, bias (o,) int32, scale (o,) float32.

    A weight stands for scale[o] * weight; a bias for (scale of the source * scale[o]) * bias.
    """

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    scale: NDArray[np.float32]


@dataclass(frozen=True)
class Quantised:
    """A plan, the numbers of its convolutions, and the scale of each of its tensors (bytes, 0 to 255)."""

    plan: Plan
    layers: dict[str, Layer]
    scales: dict[str, Scale]

    def __post_init__(self) -> None:
        """Refuse numbers that do not fit the plan."""
        for conv in self.plan.convolutions():
            layer = self.layers[conv.name]
            wanted = self.plan.weight_shape(conv)
            if layer.weight.shape != wanted or layer.bias.shape != layer.scale.shape or len(layer.bias) != wanted[0]:
                raise ValueError(f"{conv.name}: weights {layer.weight.shape}, the plan says {wanted}")
        for name in (INPUT, *(node.name for node in self.plan.nodes)):
            if not (self.scales[name].scale > 0 and 0 <= self.scales[name].zero <= 255):
                raise ValueError(f"{name} has no scale")
        if self.scales[INPUT] != Scale(INPUT_SCALE, INPUT_ZERO):
            raise ValueError("the input's scale is fixed by the plan")

    def save(self, path: Path) -> None:
        """Write everything into one .npz file."""
        head = {
            "nodes": [{"op": type(node).__name__, **asdict(node)} for node in self.plan.nodes],
            "outputs": self.plan.outputs,
            "scales": {name: asdict(scale) for name, scale in self.scales.items()},
        }
        arrays = {
            f"{name}.{part}": value for name, layer in self.layers.items() for part, value in vars(layer).items()
        }
        with path.open("wb") as file:
            np.savez_compressed(file, head=np.array(json.dumps(head)), **arrays)


def load(path: Path) -> Quantised:
    """Read what `save` wrote."""
    with np.load(path, allow_pickle=False) as file:
        head = json.loads(str(file["head"]))
        arrays = {name: file[name] for name in file.files if name != "head"}
    kinds: dict[str, type[Conv | Add]] = {"Conv": Conv, "Add": Add}
    nodes = tuple(kinds[node.pop("op")](**node) for node in head["nodes"])
    plan = Plan(nodes, tuple(head["outputs"]))
    layers = {
        conv.name: Layer(*(arrays[f"{conv.name}.{part}"] for part in ("weight", "bias", "scale")))
        for conv in plan.convolutions()
    }
    return Quantised(plan, layers, {name: Scale(**scale) for name, scale in head["scales"].items()})
