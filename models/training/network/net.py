"""The network as a PyTorch module: trained in floats, then with the integers' rounding in the loop.

The order is: train (batch normalisation after each convolution), `fold()`, `observe()` over some batches,
`pretend()` for the rest of the training, `quantised()`.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from models.training.network.plan import INPUT, INPUT_SCALE, INPUT_ZERO, Conv, Plan
from models.training.network.quantised import Layer, Quantised, Scale

LEVELS = 255
RANGE_MOMENTUM = 0.05


class Net(nn.Module):
    """A plan that can be trained. Input (n,3,h,w) float32 of bytes; outputs by name, float32."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        channels = plan.channels()
        self.convs = nn.ModuleDict()
        self.norms = nn.ModuleDict()
        for conv in plan.convolutions():
            module = nn.Conv2d(
                channels[conv.source],
                conv.channels,
                conv.kernel,
                conv.stride,
                conv.padding,
                groups=conv.groups,
                bias=False,
            )
            nn.init.kaiming_normal_(module.weight, mode="fan_out" if conv.groups == 1 else "fan_in")
            self.convs[conv.name] = module
            self.norms[conv.name] = nn.BatchNorm2d(conv.channels)
        names = [node.name for node in plan.nodes]
        self._row = {name: i for i, name in enumerate(names)}
        self.register_buffer("least", torch.zeros(len(names)))
        self.register_buffer("greatest", torch.zeros(len(names)))
        self.observing = False
        self.pretending = False

    def forward(self, image: Tensor, *, also: tuple[str, ...] = ()) -> dict[str, Tensor]:
        """Return the outputs, and the tensors of the plan named in `also`."""
        wanted = {*self.plan.outputs, *also}
        values = {INPUT: (image - INPUT_ZERO) * INPUT_SCALE}
        for node in self.plan.nodes:
            value = self._convolve(node, values) if isinstance(node, Conv) else values[node.left] + values[node.right]
            if node.relu:
                value = fn.relu(value)
            values[node.name] = self._rounded(node.name, value)
        return {name: values[name] for name in wanted}

    def fold(self) -> None:
        """Merge each batch normalisation into its convolution; from here on nothing depends on the batch."""
        for name, module in self.convs.items():
            norm = self.norms[name]
            gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            weight = module.weight.detach() * gain.detach()[:, None, None, None]
            bias = (norm.bias - norm.running_mean * gain).detach()
            module.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
            module.bias = nn.Parameter(bias)
        self.norms = nn.ModuleDict()

    def observe(self, *, on: bool = True) -> None:
        """Learn the range of every tensor from what passes."""
        self.observing = on

    def pretend(self, *, on: bool = True) -> None:
        """Round weights and tensors as the integers will; gradients pass as if nothing had happened."""
        self.pretending = on

    def quantised(self) -> Quantised:
        """Return the network in integers."""
        scales = {INPUT: Scale(INPUT_SCALE, INPUT_ZERO)} | {name: Scale(*self._scale(name)) for name in self._row}
        layers = {}
        for conv in self.plan.convolutions():
            module = self.convs[conv.name]
            scale = _weight_scale(module.weight.detach())
            weight = torch.round(module.weight.detach() / scale[:, None, None, None]).clamp(-127, 127)
            bias = module.bias.detach().double() / (scale.double() * scales[conv.source].scale)
            layers[conv.name] = Layer(
                np.ascontiguousarray(weight.numpy().astype(np.int8)),
                torch.round(bias).numpy().astype(np.int32),
                scale.numpy().astype(np.float32),
            )
        return Quantised(self.plan, layers, scales)

    def _convolve(self, conv: Conv, values: dict[str, Tensor]) -> Tensor:
        module = self.convs[conv.name]
        weight = module.weight
        if self.pretending:
            scale = _weight_scale(weight.detach())
            zeros = torch.zeros(len(scale), dtype=torch.int32)
            weight = torch.fake_quantize_per_channel_affine(weight, scale, zeros, 0, -127, 127)
        value = fn.conv2d(values[conv.source], weight, module.bias, conv.stride, conv.padding, groups=conv.groups)
        return self.norms[conv.name](value) if conv.name in self.norms else value

    def _rounded(self, name: str, value: Tensor) -> Tensor:
        if self.observing:
            self._see(name, value.detach())
        if not self.pretending:
            return value
        scale, zero = self._scale(name)
        return torch.fake_quantize_per_tensor_affine(value.float(), scale, zero, 0, LEVELS)

    def _see(self, name: str, value: Tensor) -> None:
        row, low, high = self._row[name], value.min().float(), value.max().float()
        if self.greatest[row] == self.least[row]:  # the first that is seen
            self.least[row], self.greatest[row] = low, high
        self.least[row] += RANGE_MOMENTUM * (low - self.least[row])
        self.greatest[row] += RANGE_MOMENTUM * (high - self.greatest[row])

    def _scale(self, name: str) -> tuple[float, int]:
        """Return the step of a tensor and the byte that stands for nought, which is a byte exactly."""
        low = min(0.0, float(self.least[self._row[name]]))
        high = max(0.0, float(self.greatest[self._row[name]]))
        scale = float(np.float32(max(high - low, 1e-6) / LEVELS))
        return scale, round(min(LEVELS, max(0, -low / scale)))


def _weight_scale(weight: Tensor) -> Tensor:
    """Return the step of each output channel: its greatest weight is 127."""
    return weight.abs().amax(dim=(1, 2, 3)).clamp_min(1e-8) / 127
