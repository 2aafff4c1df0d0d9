"""What a network is: convolutions and additions by name.

Two rules let ONNX and TensorFlow Lite agree to the bit on where a convolution looks: one that strides has its
stride as its kernel and no padding; one that does not is padded by half its kernel, or not at all.
"""

from dataclasses import dataclass

INPUT = "input"
INPUT_CHANNELS = 3
INPUT_SCALE = 1 / 128
INPUT_ZERO = 128
"""The input is bytes; a byte stands for (byte - 128) / 128."""


@dataclass(frozen=True)
class Conv:
    """A convolution with bias, and a ReLU after it unless it is linear."""

    name: str
    source: str
    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    relu: bool = True


@dataclass(frozen=True)
class Add:
    """The sum of two tensors of one shape, and a ReLU after it unless it is linear."""

    name: str
    left: str
    right: str
    relu: bool = True


Node = Conv | Add


@dataclass(frozen=True)
class Plan:
    """Nodes in the order in which they run, and which of their results are the network's."""

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse what the file forms cannot say."""
        channels = {INPUT: INPUT_CHANNELS}
        for node in self.nodes:
            if node.name in channels:
                raise ValueError(f"two nodes are called {node.name}")
            if missing := [source for source in sources(node) if source not in channels]:
                raise ValueError(f"{node.name} reads {missing[0]}, which does not come before it")
            if isinstance(node, Conv):
                _check(node, channels[node.source])
                channels[node.name] = node.channels
            else:
                if channels[node.left] != channels[node.right]:
                    raise ValueError(f"{node.name} adds {channels[node.left]} to {channels[node.right]} channels")
                channels[node.name] = channels[node.left]
        if unknown := [name for name in self.outputs if name not in channels]:
            raise ValueError(f"no node is called {unknown[0]}")

    def convolutions(self) -> tuple[Conv, ...]:
        """Return the nodes that have weights."""
        return tuple(node for node in self.nodes if isinstance(node, Conv))

    def channels(self) -> dict[str, int]:
        """Return the channels of every tensor, the input among them."""
        channels = {INPUT: INPUT_CHANNELS}
        for node in self.nodes:
            channels[node.name] = node.channels if isinstance(node, Conv) else channels[node.left]
        return channels

    def weight_shape(self, conv: Conv) -> tuple[int, int, int, int]:
        """Return (outputs, inputs per group, height, width)."""
        return conv.channels, self.channels()[conv.source] // conv.groups, conv.kernel, conv.kernel

    def weights(self) -> int:
        """Return how many weights the network has, biases not counted."""
        total = 0
        for conv in self.convolutions():
            out, into, height, width = self.weight_shape(conv)
            total += out * into * height * width
        return total


def sources(node: Node) -> tuple[str, ...]:
    """Return the tensors that a node reads."""
    return (node.source,) if isinstance(node, Conv) else (node.left, node.right)


def _check(conv: Conv, into: int) -> None:
    if conv.stride > 1 and (conv.kernel != conv.stride or conv.padding):
        raise ValueError(f"{conv.name}: a convolution that strides has its stride as its kernel, and no padding")
    if conv.padding and (conv.padding != conv.kernel // 2 or conv.kernel % 2 == 0):
        raise ValueError(f"{conv.name}: padding is half of an odd kernel, or nothing")
    if into % conv.groups or conv.channels % conv.groups:
        raise ValueError(f"{conv.name}: {into} to {conv.channels} channels do not divide into {conv.groups} groups")
    if conv.groups not in (1, into) or (conv.groups > 1 and conv.channels != into):
        raise ValueError(f"{conv.name}: groups are one, or one for each channel")
