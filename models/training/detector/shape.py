"""What the detector is: a patch stem, dense convolutions, and outputs at three strides.

There is no way back from coarse to fine: a resize or a concatenation costs more in integers than the
convolutions that give the finest stride enough sight of its own.
"""

from models.training.network.plan import INPUT, Conv, Node, Plan

STRIDES = (8, 16, 32)
WIDTHS = (48, 64, 96)
DEPTHS = (5, 3, 2)
SHAPE = 14
"""Numbers of a face besides its score: centre, log size, five landmarks (x, y); all in strides."""


def detector_plan() -> Plan:
    """Return the plan: outputs `score_S` (1 channel) and `shape_S` (14) for S = 8, 16, 32."""
    nodes: list[Node] = [Conv("stem", INPUT, WIDTHS[0], 8, 8)]
    outputs: list[str] = []
    for stride, width, depth in zip(STRIDES, WIDTHS, DEPTHS, strict=True):
        if stride > STRIDES[0]:
            nodes.append(Conv(f"down{stride}", _body(stride // 2), width, 2, 2))
        for i in range(depth):
            nodes.append(Conv(f"body{stride}_{i}", nodes[-1].name, width, 3, 1, 1))
        body = head = nodes[-1].name
        if stride > STRIDES[0]:  # the finest has no time for one
            head = f"head{stride}"
            nodes.append(Conv(head, body, width, 3, 1, 1))
        nodes.append(Conv(f"score_{stride}", head, 1, 1, relu=False))
        nodes.append(Conv(f"shape_{stride}", head, SHAPE, 1, relu=False))
        outputs += [f"score_{stride}", f"shape_{stride}"]
    return Plan(tuple(nodes), tuple(outputs))


def _body(stride: int) -> str:
    return f"body{stride}_{DEPTHS[STRIDES.index(stride)] - 1}"
