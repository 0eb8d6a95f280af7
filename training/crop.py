"""Let an exported net compute no more than a part of its answer depends on."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

CORE = "core"
"""The input that names the part: top, left, bottom, right in pixels, int64, multiples of the stride."""

_Rectangle = tuple[str, str]


class _Graph:
    """Add integer arithmetic and slices to a graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[tuple[int, ...], onnx.TensorProto] = {}

    def constant(self, *values: int) -> str:
        name = "const_" + "_".join(map(str, values)).replace("-", "m")
        self.constants[values] = numpy_helper.from_array(np.array(values, np.int64), name)
        return name

    def op(self, kind: str, *inputs: str) -> str:
        name = f"part_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=f"node_{name}"))
        return name

    def part(self, values: str, start: int, stop: int) -> str:
        return self.op("Slice", values, self.constant(start), self.constant(stop), self.constant(0))

    def widened(self, low: str, high: str, divisor: int, reach: int, size: str) -> _Rectangle:
        """Bring a rectangle to a coarser level, widen it, and keep it within the image."""
        by, more, none = self.constant(divisor), self.constant(reach), self.constant(0)
        start = self.op("Max", self.op("Sub", self.op("Div", low, by), more), none)
        stop = self.op("Min", self.op("Add", self.op("Div", high, by), more), self.op("Div", size, by))
        return start, stop

    def doubled(self, rectangle: _Rectangle) -> _Rectangle:
        low, high = (self.op("Mul", edge, self.constant(2)) for edge in rectangle)
        return low, high

    def cut(self, values: str, rectangle: _Rectangle, origin: str | None, axes: tuple[int, int] = (2, 3)) -> str:
        """Slice a feature map that begins at `origin` (None: with the image) to a rectangle."""
        low, high = rectangle if origin is None else (self.op("Sub", edge, origin) for edge in rectangle)
        return self.op("Slice", values, low, high, self.constant(*axes))


def insert(model: onnx.ModelProto) -> None:
    """Add the input `core` to a net as `export` writes it: the answer is the image's part `core` only, unchanged.

    Each level is cut to what is still needed. Upwards, the two convolutions of the finest level reach 4 px (at dilation
    2), those of the middle one 2 px of half size; downwards, two of each level reach 2 px of its own.
    """
    graph, built = model.graph, _Graph()
    low, high = built.part(CORE, 0, 2), built.part(CORE, 2, 4)
    size = built.part(built.op("Shape", "image"), 2, 4)
    upper = built.widened(low, high, 2, 2, size)
    coarse = built.widened(low, high, 4, 2, size)
    bottom = built.widened(low, high, 4, 4, size)
    down = built.widened(low, high, 2, 10, size)
    fine, middle = built.doubled(upper), built.doubled(coarse)
    entered = built.op("Div", down[0], built.constant(2))
    setup, built.nodes = built.nodes, []
    rise, surface = (n for n in graph.node if n.op_type == "ConvTranspose")
    skips = [n for n in graph.node if n.op_type == "Concat"]
    pools = [_reader(graph, n) for n in graph.node if n.op_type == "MaxPool"]
    select = next(n for n in graph.node if n.op_type == "Gather")
    sigmoid = next(n for n in graph.node if n.op_type == "Sigmoid")
    cuts = [
        (pools[0], 0, down, None, (2, 3)),
        (pools[1], 0, bottom, entered, (2, 3)),
        (rise, 0, coarse, bottom[0], (2, 3)),
        (skips[0], 0, middle, down[0], (2, 3)),
        (surface, 0, upper, middle[0], (2, 3)),
        (skips[1], 0, fine, None, (2, 3)),
        (sigmoid, 0, (low, high), fine[0], (1, 2)),
    ]
    before: dict[str, Sequence[onnx.NodeProto]] = {}
    numbered = len(setup)
    for node, place, rectangle, origin, axes in cuts:
        built.nodes = [onnx.NodeProto()] * numbered  # names go on from what was built before
        node.input[place] = built.cut(node.input[place], rectangle, origin, axes)
        before[node.name] = built.nodes[numbered:]
        numbered = len(built.nodes)
    assert select.output[0] in str(before[sigmoid.name][-1].input)  # noqa: S101 - the last cut follows the head
    nodes = [*setup]
    for node in graph.node:
        nodes += [*before.get(node.name, ()), node]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(built.constants.values())
    graph.input.append(helper.make_tensor_value_info(CORE, onnx.TensorProto.INT64, [4]))
    del graph.value_info[:]
    output = helper.make_tensor_value_info("probability", onnx.TensorProto.FLOAT, ["batch", "rows", "columns"])
    graph.output[0].CopyFrom(output)


def _reader(graph: onnx.GraphProto, node: onnx.NodeProto) -> onnx.NodeProto:
    return next(n for n in graph.node if node.output[0] in n.input)
