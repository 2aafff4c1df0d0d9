"""What the embedder is: a patch stem, three stages of residual blocks, and one weight for each cell at the end."""

from models.training.network.plan import INPUT, Add, Conv, Node, Plan

DIMENSION = 128
WIDTHS = (48, 96, 128)
BLOCKS = (3, 4, 1)
HEAD = 512
HINTED = ("s1_3c", "s2_0c")
"""Results that are compared with the teacher's in training: the ends of the stages at 14x14 and 7x7."""


def embedder_plan() -> Plan:
    """Return the plan: (112,112) bytes to 128 numbers.

    The last convolution over space weighs each cell of the 7x7 by itself, as MobileFaceNet's does (Chen et al.,
    2018): the mean of all cells would treat the corner of a chip like its middle.
    """
    nodes: list[Node] = [Conv("stem", INPUT, WIDTHS[0], 4, 4)]
    for stage, (width, blocks) in enumerate(zip(WIDTHS, BLOCKS, strict=True)):
        if stage:
            nodes.append(Conv(f"down{stage}", nodes[-1].name, width, 2, 2))
        for block in range(blocks):
            name, before = f"s{stage}_{block}", nodes[-1].name
            nodes += [
                Conv(f"{name}a", before, width, 3, 1, 1),
                Conv(f"{name}b", f"{name}a", width, 3, 1, 1, relu=False),
                Add(f"{name}c", before, f"{name}b"),
            ]
    nodes += [
        Conv("wide", nodes[-1].name, HEAD, 1),
        Conv("pool", "wide", HEAD, 7, groups=HEAD, relu=False),
        Conv("embedding", "pool", DIMENSION, 1, relu=False),
    ]
    return Plan(tuple(nodes), ("embedding",))
