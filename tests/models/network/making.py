"""Small quantised networks with drawn weights, and what their integers mean, worked out slowly and plainly."""

import numpy as np
from numpy.typing import NDArray

from models.training.network.plan import INPUT, INPUT_SCALE, INPUT_ZERO, Conv, Plan
from models.training.network.quantised import Layer, Quantised, Scale

Floats = NDArray[np.float64]
WEIGHT_MOST = 127


def drawn(plan: Plan, seed: int = 0, *, gain: float = 2.0) -> Quantised:
    """Return a plan with drawn weights; results of a ReLU span 0 to 2, the others -2 to 2.

    A weight's variance keeps that of its layer's input, times `gain` squared.
    """
    draw = np.random.default_rng(seed)
    scales, layers = {INPUT: Scale(INPUT_SCALE, INPUT_ZERO)}, {}
    for node in plan.nodes:
        scales[node.name] = Scale(2 / 255, 0) if node.relu else Scale(4 / 255, 128)
        if isinstance(node, Conv):
            shape = plan.weight_shape(node)
            weight = draw.integers(-WEIGHT_MOST, WEIGHT_MOST + 1, shape).astype(np.int8)
            each = gain * draw.uniform(0.7, 1.3, shape[0]) / (73 * np.sqrt(np.prod(shape[1:])))
            bias = draw.normal(0, 0.2, shape[0]) / (scales[node.source].scale * each)
            layers[node.name] = Layer(weight, bias.astype(np.int32), each.astype(np.float32))
    return Quantised(plan, layers, scales)


def reference(network: Quantised, picture: NDArray[np.uint8]) -> dict[str, Floats]:
    """Return every tensor's bytes, as float64 (n,c,h,w), of pictures (n,h,w,3): exact sums, then one rounding."""
    tensors: dict[str, Floats] = {INPUT: picture.transpose(0, 3, 1, 2).astype(np.float64)}
    for node in network.plan.nodes:
        if isinstance(node, Conv):
            real = _convolved(network, node, tensors[node.source])
        else:
            real = sum(
                (
                    network.scales[side].scale * (tensors[side] - network.scales[side].zero)
                    for side in (node.left, node.right)
                ),
                np.zeros(1),
            )
        real = np.maximum(real, 0) if node.relu else real
        known = network.scales[node.name]
        tensors[node.name] = np.clip(np.rint(real / known.scale) + known.zero, 0, 255)
    return tensors


def _convolved(network: Quantised, conv: Conv, source: Floats) -> Floats:
    layer, known = network.layers[conv.name], network.scales[conv.source]
    centred = source - known.zero
    edge = conv.padding
    padded = np.pad(centred, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    high, wide = ((side - conv.kernel) // conv.stride + 1 for side in padded.shape[2:])
    total = np.zeros((len(source), conv.channels, high, wide))
    for row in range(conv.kernel):
        for column in range(conv.kernel):
            seen = padded[
                :,
                :,
                row : row + conv.stride * (high - 1) + 1 : conv.stride,
                column : column + conv.stride * (wide - 1) + 1 : conv.stride,
            ]
            weight = layer.weight[:, :, row, column].astype(np.float64)
            if conv.groups > 1:
                total += seen * weight[:, 0][None, :, None, None]
            else:
                total += np.einsum("nihw,oi->nohw", seen, weight)
    summed = total + layer.bias[None, :, None, None]
    return np.asarray(summed * (known.scale * layer.scale.astype(np.float64))[None, :, None, None])
