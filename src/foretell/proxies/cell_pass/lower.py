"""Lowering a network of cells to the operations of the fast pass.

Lowering finds nodes that are multiples of others (chains of skip connections) and ReLUs that read
the same value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from torch import Tensor, nn

from foretell.networks.cells import (
    Cell,
    CellNetwork,
    Projection,
    ReLUConvBN,
    ResidualReduction,
)
from foretell.proxies.cell_pass._exact import is_exact
from foretell.proxies.cell_pass._fuse import flat, merged
from foretell.proxies.cell_pass._ops import Conv, Gap, Linear, Norm, Op, Pool, Relu, Sum

__all__ = ["Program", "lower"]

Term = tuple[float, int]
"""A multiple of a value."""


@dataclass
class Program:
    """A lowered network.

    Args:
        ops: in topological order.
        layers: name of the weight of each layer, in the order in which the module runs them.
        bias: name of the head's bias, if it has one.
        norms: the modules of the batch normalisations, in that order too.
        norm_names: their names.
        features: the value that the global average reads.
        logits: the value of the outputs.
        relus: calls of ReLU.
        last_use: value -> index of the last operation that reads it.
    """

    ops: list[Op] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)
    bias: str | None = None
    norms: list[nn.BatchNorm2d] = field(default_factory=list)
    norm_names: list[str] = field(default_factory=list)
    features: int = 0
    logits: int = 0
    relus: int = 0
    last_use: Mapping[int, int] = field(default_factory=dict)


def lower(module: nn.Module) -> Program | None:
    """The program of a module, or None if it is not exactly what ``networks.cells`` builds."""
    return _Lowering(module).program if is_exact(module) else None  # type: ignore[arg-type]


def _last_use(ops: list[Op]) -> dict[int, int]:
    last_use: dict[int, int] = {}
    for i, op in enumerate(ops):
        last_use |= dict.fromkeys(op.reads, i)
    return last_use


class _Lowering:
    def __init__(self, module: CellNetwork) -> None:
        self.program = Program()
        self.names = {id(p): n for n, p in module.named_parameters()}
        self.modules = {id(m): n for n, m in module.named_modules()}
        self.count = 1
        self.relus: dict[int, Relu] = {}
        self.scaled: dict[Term, int] = {}
        conv, norm = cast(tuple[nn.Conv2d, nn.BatchNorm2d], tuple(module.stem))
        term = self.conv_norm((1.0, 0), conv, norm, relu=False)
        for layer in module.layers:
            if isinstance(layer, Cell):
                term = self.cell(layer, term)
            elif isinstance(layer, ResidualReduction):
                term = self.reduction(layer, term)
        self.head(module, term)
        self.program.ops = merged(self.program.ops)
        self.program.last_use = _last_use(self.program.ops)
        self.overwrite(flat(self.program.ops))

    def overwrite(self, ops: list[Op]) -> None:
        """Find results that may be overwritten: fresh tensors that no backward reads."""
        last_use = _last_use(ops)
        fresh = {op.out for op in ops if isinstance(op, Norm | Sum | Pool)}
        for op in ops:
            if isinstance(op, Norm | Conv | Gap):  # these need, or are, what they read
                fresh.difference_update(op.reads)
        for i, op in enumerate(ops):
            if isinstance(op, Relu):
                op.inplace = op.src in fresh and last_use[op.src] == i
            elif isinstance(op, Sum) and len(op.terms) > 1:
                own = [v for c, v in op.terms if c == 1.0 and v in fresh and last_use[v] == i]
                op.scratch = own[0] if own else None

    def new(self) -> int:
        self.count += 1
        return self.count - 1

    def value(self, term: Term) -> int:
        """The value of a multiple, computed once."""
        coefficient, value = term
        if coefficient == 1.0:
            return value
        if term not in self.scaled:
            self.scaled[term] = self.new()
            self.program.ops.append(Sum(value, self.scaled[term], (term,)))
        return self.scaled[term]

    def relu(self, term: Term) -> int:
        """A ReLU; one operation for all calls on the same value."""
        self.program.relus += 1
        value = self.value(term)
        if value in self.relus:
            self.relus[value].calls += 1
        else:
            self.relus[value] = Relu(value, self.new())
            self.program.ops.append(self.relus[value])
        return self.relus[value].out

    def layer(self, weight: Tensor) -> int:
        self.program.layers.append(self.names[id(weight)])
        return len(self.program.layers) - 1

    def norm(self, norm: nn.BatchNorm2d) -> int:
        self.program.norms.append(norm)
        self.program.norm_names.append(self.modules[id(norm)])
        return len(self.program.norms) - 1

    def conv(self, src: int, conv: nn.Conv2d, *, normed: bool) -> int:
        stride, padding = int(conv.stride[0]), conv.padding[0]
        assert isinstance(padding, int)
        out = self.new()
        layer = self.layer(conv.weight)
        self.program.ops.append(Conv(src, out, layer, stride, padding, normed))
        return out

    def conv_norm(self, term: Term, conv: nn.Conv2d, norm: nn.BatchNorm2d, *, relu: bool) -> Term:
        src = self.relu(term) if relu else self.value(term)
        z = self.conv(src, conv, normed=True)
        out = self.new()
        self.program.ops.append(Norm(z, out, self.norm(norm), norm.eps, True))
        return 1.0, out

    def pool(self, term: Term, pool: nn.AvgPool2d) -> Term:
        coefficient, value = term
        kernel, stride, padding = pool.kernel_size, pool.stride, pool.padding
        assert isinstance(kernel, int)
        assert isinstance(stride, int)
        assert isinstance(padding, int)
        out = self.new()
        self.program.ops.append(Pool(value, out, kernel, stride, padding, pool.ceil_mode))
        return coefficient, out

    def sum(self, terms: list[Term]) -> Term:
        """Sum of terms; equal values are combined, and a single value remains a multiple."""
        joined: dict[int, float] = {}
        for coefficient, value in terms:
            joined[value] = joined.get(value, 0.0) + coefficient
        if len(joined) == 1:
            ((value, coefficient),) = joined.items()
            return coefficient, value
        parts = tuple((c, v) for v, c in joined.items())
        out = self.new()
        self.program.ops.append(Sum(parts[0][1], out, parts))
        return 1.0, out

    def cell(self, cell: Cell, term: Term) -> Term:
        nodes = [term]
        for inputs in cell.plan:
            terms = [self.op(cell.edges[edge], nodes[source]) for edge, source in inputs]
            nodes.append(self.sum(terms) if terms else term)
        return nodes[3]

    def op(self, op: nn.Module, term: Term) -> Term:
        """The operation of an edge."""
        if isinstance(op, ReLUConvBN):
            return self.conv_norm(term, op.conv, op.norm, relu=True)
        if isinstance(op, nn.AvgPool2d):
            return self.pool(term, op)
        if isinstance(op, Projection):
            return self.conv_norm(term, op.conv, op.norm, relu=False)
        if isinstance(op, nn.Sequential):
            block, pool = cast(tuple[ReLUConvBN, nn.AvgPool2d], tuple(op))
            return self.pool(self.conv_norm(term, block.conv, block.norm, relu=True), pool)
        return term

    def reduction(self, block: ResidualReduction, term: Term) -> Term:
        first = self.conv_norm(term, block.first.conv, block.first.norm, relu=True)
        second = self.conv_norm(first, block.second.conv, block.second.norm, relu=True)
        pooled = self.value(self.pool(term, block.pool))
        shortcut = self.conv(pooled, block.shortcut, normed=False)
        return self.sum([second, (1.0, shortcut)])

    def head(self, module: CellNetwork, term: Term) -> None:
        program = self.program
        norm = module.last[0]
        assert isinstance(norm, nn.BatchNorm2d)
        normed = self.new()
        program.ops.append(Norm(self.value(term), normed, self.norm(norm), norm.eps, False))
        program.features = self.relu((1.0, normed))
        pooled, program.logits = self.new(), self.new()
        layer = self.layer(module.head.weight)
        program.ops += [
            Gap(program.features, pooled),
            Linear(pooled, program.logits, layer),
        ]
        if module.head.bias is not None:
            program.bias = self.names[id(module.head.bias)]
