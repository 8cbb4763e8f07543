"""Limits on what an ONNX file may unfold to, checked before onnx itself looks at it.

Shape inference copies sizes from node to node and functions are inlined wherever they are called,
so that a few lines of a file can ask for any amount of memory. These walks visit every node once.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from foretell.errors import NetworkError

__all__ = ["MOST_NODES", "check_functions", "check_ranks", "check_values", "folded_elements"]

MOST_NODES, MOST_BYTES = 30_000, 256 << 20
"""Of a network, its functions inlined; a file that has half as many itself may have more."""
MOST_AXES = 64
"""Of a value; numpy has no more."""
MOST_VALUES = 1 << 16
"""Sizes that shape inference may carry from one node to the next."""
_JOINS = frozenset({"Gather", "GatherND"})
"""Operations that add up the axes of their inputs."""
_SHAPED = {"Reshape": 1, "Expand": 1, "ConstantOfShape": 0}
"""Operation -> the position of the operand that holds the sizes of the result."""
_SUBGRAPHS = frozenset({5, 10})
"""AttributeProto's numbers for a graph and several."""


def check_functions(model: Any) -> None:
    """Refuse functions that call themselves, or that unfold to more nodes than a network has.

    Raises:
        NetworkError: they do.
    """
    bodies = {(f.domain, f.name, getattr(f, "overload", "")): f.node for f in model.functions}
    sizes: dict[tuple[str, str, str], tuple[int, int]] = {}
    order = [("", "", "\0")]
    state: dict[tuple[str, str, str], str] = {}
    bodies["", "", "\0"] = model.graph.node
    while order:
        key = order[-1]
        calls = [c for c in map(_called, _all_nodes(bodies[key])) if c in bodies]
        if state.get(key) is None:
            state[key] = "entered"
            for call in calls:
                if state.get(call) == "entered":
                    raise NetworkError(f"its function {call[1]!r} calls itself.")
            order += [c for c in dict.fromkeys(calls) if c not in state]
            continue
        order.pop()
        if key not in sizes:
            nodes = sum(1 for _ in _all_nodes(bodies[key])) + sum(sizes[c][0] for c in calls)
            size = sum(n.ByteSize() for n in bodies[key]) + sum(sizes[c][1] for c in calls)
            sizes[key] = min(nodes, 1 << 60), min(size, 1 << 60)
            state[key] = "done"
    nodes, size = sizes["", "", "\0"]
    own = sum(len(body) for body in bodies.values())
    if nodes > max(MOST_NODES, 2 * own) or size > max(MOST_BYTES, 2 * model.ByteSize()):
        raise NetworkError(
            f"its functions unfold to {nodes:,} nodes or {size >> 20:,} MB, far more than the "
            f"file holds: export it with fewer functions."
        )


def _called(node: Any) -> tuple[str, str, str]:
    return node.domain, node.op_type, getattr(node, "overload", "")


def _all_nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    """Nodes, and those of the graphs in their attributes."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            if attribute.type in _SUBGRAPHS:
                for graph in (attribute.g, *attribute.graphs):
                    yield from _all_nodes(graph.node)


def check_ranks(graph: Any) -> None:
    """Refuse values of more axes than numpy has, from upper bounds along the nodes.

    Raises:
        NetworkError: a value has more.
    """
    ranks = {t.name: len(t.dims) for t in graph.initializer}
    lengths = {t.name: math.prod(t.dims) for t in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        ranks.setdefault(value.name, len(value.type.tensor_type.shape.dim))
    for name, rank in ranks.items():
        if rank > MOST_AXES:
            raise NetworkError(f"the value {name!r} has {rank} axes, more than {MOST_AXES}.")
    for node in graph.node:
        given = [ranks.get(name, 0) for name in node.input]
        if node.op_type in _SHAPED:
            operand = _SHAPED[node.op_type]
            rank = lengths.get(node.input[operand], 0) if len(node.input) > operand else 0
        elif node.op_type in _JOINS:
            rank = sum(given)
        elif node.op_type == "Unsqueeze":
            own = sum(len(a.ints) for a in node.attribute)
            axes = [lengths.get(name, 1) for name in node.input[1:]]
            rank = max(given, default=0) + max(own, sum(axes))
        else:
            rank = max(given, default=0) + (node.op_type == "OneHot")
        if rank > MOST_AXES:
            raise NetworkError(
                f"the result of {node.op_type} {node.name or node.output[0]!r} would have {rank} "
                f"axes, more than {MOST_AXES}."
            )
        for name in node.output:
            ranks[name] = max(rank, ranks.get(name, 0))


def check_values(graph: Any, small: int) -> bool:
    """Refuse lists of sizes that grow from node to node, from upper bounds.

    Returns:
        Whether onnx may propagate values of integers: it also makes those of ``ConstantOfShape``.

    Args:
        graph: a GraphProto, its constants being initializers.
        small: elements up to which a constant may hold sizes.

    Raises:
        NetworkError: a list would be too long.
    """
    lengths = {t.name: math.prod(t.dims) for t in graph.initializer if math.prod(t.dims) <= small}
    tensors = {t.name: t for t in graph.initializer if t.name in lengths}
    bounded = True
    for node in graph.node:
        given = [lengths[name] for name in node.input if name in lengths]
        length = 0
        if node.op_type == "ConstantOfShape":
            operand = tensors.get(node.input[0]) if node.input else None
            bounded &= operand is not None and _product(operand) <= small
        if node.op_type == "Shape":
            length = MOST_AXES
        elif node.op_type == "Concat":
            length = sum(given)
        elif given:
            length = max(given)
        if length > MOST_VALUES:
            raise NetworkError(
                f"{node.op_type} {node.name or node.output[0]!r} makes a list of {length:,} sizes, "
                f"which no network needs: export it again."
            )
        if length:
            lengths |= dict.fromkeys(node.output, length)
    return bounded


def _product(tensor: Any) -> int:
    from onnx.numpy_helper import to_array

    return math.prod(max(int(v), 0) for v in to_array(tensor).ravel())


def folded_elements(node: Any, given: Mapping[str, Any]) -> int:
    """An upper bound of the elements of a result that is folded from constants.

    Args:
        node: a NodeProto.
        given: its inputs as arrays.
    """
    arrays = [given[name] for name in node.input if name]
    sizes: list[int] = [a.size for a in arrays]
    if node.op_type == "ConstantOfShape":
        return math.prod(max(int(v), 0) for v in arrays[0].ravel())
    if node.op_type == "Concat":
        return int(sum(sizes))
    if node.op_type == "Gather":
        return int(math.prod(sizes))
    if node.op_type == "Expand":
        target = [max(int(v), 1) for v in arrays[-1].ravel()]
        return int(math.prod(target) * arrays[0].size)
    ranks = {a.shape for a in arrays if a.ndim}
    if len(ranks) > 1 and node.op_type in _BROADCAST:
        width = max(map(len, ranks))
        shapes = [(1,) * (width - len(r)) + r for r in ranks]
        return math.prod(map(max, zip(*shapes, strict=True)))
    return int(max(sizes, default=1))


_BROADCAST = frozenset({"Add", "Div", "Equal", "Max", "Min", "Mod", "Mul", "Sub", "Where"})
