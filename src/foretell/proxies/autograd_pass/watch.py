"""What runs inside any module: products with weights, ReLUs and normalisations.

A dispatch mode sees every operation, whoever calls it: modules, functions, the projections inside
``nn.MultiheadAttention``, scripted code. It never sees a container, so nothing is counted twice.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.autograd.graph import Node

from foretell.networks.watching import Watching
from foretell.proxies.autograd_pass.bias import FOLLOWING, Bare
from foretell.proxies.autograd_pass.graph import Graph, LayerKey, reachable
from foretell.proxies.autograd_pass.relus import COMPARISONS, MASKED, RELUS, Masks, relu_code
from foretell.proxies.autograd_pass.rows import RowCheck, Rule, rule_of

__all__ = ["Call", "Watch", "reachable"]

aten = torch.ops.aten

_PRODUCTS: Mapping[Any, tuple[int, ...]] = {
    aten.convolution: (1,),
    aten.linear: (1,),
    aten.mm: (1, 0),
    aten.bmm: (1, 0),
    aten.mv: (1, 0),
    aten.addmm: (2, 1),
    aten.addmv: (2, 1),
    aten.baddbmm: (2, 1),
    aten.addbmm: (2, 1),
    aten._trilinear: (1,),
}
"""Operation -> index of the arguments that may be its weights, the first that is one counts."""
_BIAS = {
    aten.convolution: 2,
    aten.linear: 2,
    aten.addmm: 0,
    aten.addmv: 0,
    aten.baddbmm: 0,
    aten.addbmm: 0,
}
_LISTS = (list, tuple)
_NORMS = frozenset(
    {
        *(aten.native_batch_norm, aten._native_batch_norm_legit, aten._batch_norm_with_update),
        *(aten._native_batch_norm_legit_no_training, aten.cudnn_batch_norm),
    }
)
_OTHER, _PRODUCT, _RELU, _NORM, _MASK, _COMPARISON, _GROUPS, _VIEW = range(8)


@dataclass
class Call:
    """One call of a layer, a ReLU or a batch normalisation.

    Args:
        weight: the layer's weights; the key of a normalisation.
        node: the result's place in the autograd graph, None outside of it.
        key: which layer it is.
        channel: the axis of the result that is the layer's channels; None where there is none.
        bias: name of the parameter that is its bias.
        shape: of the result, or of a ReLU's input.
        part: where in the weights the part begins that the call reads, and its shape.
    """

    weight: Tensor | None
    node: Node | None = None
    key: LayerKey | None = None
    channel: int | None = None
    bias: str | None = None
    shape: tuple[int, ...] = ()
    part: tuple[int, tuple[int, ...]] = (0, ())


_Pending: TypeAlias = tuple[Tensor, Call | None, int]
"""A result whose place in the graph is not known yet, what made it, the layer's index or -1."""


class Watch(Watching):
    """Records what runs while it is entered.

    Of what operations write into, ``overwritten`` has those of ``guarded`` (by the place of their
    memory), each with its values before.

    Args:
        on_layer: called with the index and result of each layer, and whether the images lie one
            after the other along its first axis.
        on_relu: called with the index of each ReLU, a tensor that is above 0 where its units are
            active, before it runs, and the same of that tensor.
        on_write: called with a tensor before an operation writes into it.
        images: in the batch, to look at where they lie; 0 does not look.
        measure: keep the unbiased batch variance of each batch normalisation.
        outputs: keep the results with more than one value for each image and channel.
        uncoupled: batch normalisations leave out their statistics, so that images do not mix.
    """

    def __init__(
        self,
        *,
        on_layer: Callable[[int, Tensor, bool], None] | None = None,
        on_relu: Callable[[int, Tensor, bool], None] | None = None,
        on_write: Callable[[Tensor], None] | None = None,
        images: int = 0,
        measure: bool = False,
        outputs: bool = False,
        uncoupled: bool = False,
    ) -> None:
        """Start with nothing seen."""
        super().__init__()
        self.layers: list[Call] = []
        self.relus: list[Call] = []
        self.norms: list[Call] = []
        self.variances: list[tuple[float, float]] = []
        self.scales: dict[str, float] = {}
        self.outputs: dict[Node, Tensor] = {}
        self.guarded: Mapping[int, Tensor] = {}
        self.overwritten: list[tuple[Tensor, Tensor]] = []
        self._pending: _Pending | None = None
        self._bare: tuple[Bare, Call, int] | None = None
        self._view: tuple[Tensor, Tensor] | None = None
        self._on_layer, self._on_relu, self._on_write = on_layer, on_relu, on_write
        self._images = images
        self._measure, self._outputs, self._uncoupled = measure, outputs, uncoupled
        self.begin({}, torch.empty(0))

    def begin(self, names: Mapping[int, str], image: Tensor, others: Collection[int] = ()) -> None:
        """Say which leaves are parameters and which is the images, before the forward.

        Args:
            names: id of a parameter's leaf -> its name.
            image: (n, ...).
            others: ids of tensors that are the same for all images, such as buffers.
        """
        self.graph = Graph(names, image)
        self._masks = Masks(self.graph)
        self._rows: RowCheck | None = None
        if self._images:
            self._rows = RowCheck(self._images, self.graph, others)

    def __exit__(self, *args: Any) -> None:
        """Record the last operation."""
        self._settle()
        self._release()
        super().__exit__(*args)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operation, and record it if it is one of those that matter."""
        if self._pending is not None:
            self._settle()
        kwargs = kwargs or {}
        fact = _FACTS.get(id(func)) or _learn(func)
        kind, packet = fact.kind, fact.packet
        after = None if self._bare is None else self._after(fact, args, kwargs)
        relu = None
        if kind:
            if kind == _NORM:
                return self._norm(fact, args, kwargs)
            if kind == _RELU:
                relu = self._relu(relu_code(packet, args, kwargs, self.graph.data))
            elif kind == _MASK and self._masks.any:
                relu = self._relu(self._masks.code(packet, args))
            elif kind == _GROUPS:
                self._scaled(args[1], args[2])
        if fact.writes and args and isinstance(args[0], Tensor):
            self._write(args[0])
        out = fact.run(*args, **kwargs)
        if after is not None:
            self._pending = after(out)
        elif kind == _PRODUCT:
            self._product(packet, args, kwargs, out)
        elif relu is not None:
            self._pending = out, relu, -1
        elif self._outputs:
            first = out[0] if isinstance(out, _LISTS) and out else out
            if isinstance(first, Tensor):
                self._pending = first, None, -1
        if kind == _VIEW:
            self._view = args[0], out
        if kind == _COMPARISON or self._masks.any:
            self._masks.see(packet, args, out)
        if self._rows is not None and self._rows.ok:
            self._rows.see(fact.rule, args, out, writes=fact.writes)
        return out

    def _write(self, x: Tensor) -> None:
        """An operation is about to write into a tensor: into a parameter's memory, perhaps."""
        if self.guarded:
            p = self.guarded.get(x.untyped_storage().data_ptr())
            if p is not None and not any(p is q for q, _ in self.overwritten):
                self.overwritten.append((p, p.detach().clone()))
        if self._on_write is not None:
            self._on_write(x)

    @property
    def _by_row(self) -> bool:
        return self._rows is not None and self._rows.ok

    def _settle(self) -> None:
        """Read the place in the graph that the last result has by now."""
        if self._pending is None:
            return
        out, call, layer = self._pending
        self._pending = None
        node = out.grad_fn
        if call is not None:
            call.node = node
        if self._outputs and node is not None and _wide(out):
            self.outputs[node] = out
        if layer >= 0 and self._on_layer is not None:
            self._on_layer(layer, out, self._by_row)

    def _release(self) -> None:
        """Nothing is added to the last product: its own result is the layer's."""
        last, self._bare = self._bare, None
        if last is not None and self._on_layer is not None:
            bare, _, index = last
            self._on_layer(index, bare.out, self._by_row)

    def _after(
        self, fact: "_Fact", args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Callable[[Tensor], _Pending] | None:
        """What to do with a view of the last product, or with that and its bias; else None."""
        if fact.follows and (after := self._following(fact.packet, args, kwargs)) is not None:
            return after
        for a in args:
            if isinstance(a, Tensor):
                if self.graph.data(a):
                    self._release()  # else it makes a bias, perhaps
                    break
            elif isinstance(a, _LISTS) and a and isinstance(a[0], Tensor):
                self._release()
                break
        return None

    def _following(
        self, packet: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Callable[[Tensor], _Pending] | None:
        assert self._bare is not None
        bare, call, index = self._bare
        if bare.is_viewed(packet, args):

            def viewed(out: Tensor) -> _Pending:
                bare.view(packet, args, out)
                return out, None, -1

            return viewed
        bias = bare.bias(packet, args, kwargs, self.graph)
        if bias is not None:
            self._bare = None

            def biased(out: Tensor) -> _Pending:
                call.bias, call.channel = self.graph.leaf_name(bias), bare.axis
                call.shape = tuple(out.shape)
                return out, call, index

            return biased
        return None

    def _relu(self, code: Tensor | None) -> Call | None:
        if code is None:
            return None
        call = Call(None, shape=tuple(code.shape))
        if self._on_relu is not None:
            self._on_relu(len(self.relus), code, self._by_row)
        self.relus.append(call)
        return call

    def _product(
        self, packet: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor
    ) -> None:
        operands = _PRODUCTS[packet]
        index, weight = operands[0], self.graph.weight(args[operands[0]])
        if weight is None and len(operands) > 1:
            index, weight = operands[1], self.graph.weight(args[operands[1]])
        other = 0 if len(operands) == 1 else sum(operands) - index
        if weight is None or not self.graph.data(args[other]):
            if self._outputs:
                self._pending = out, None, -1
            return  # a product of features, or nothing but weights and constants
        if packet is aten.convolution:
            channel: int | None = 1
        elif packet in (aten.mv, aten.addmv):
            channel = None
        else:
            channel = out.ndim - 1 if index == operands[0] else out.ndim - 2
        place = _BIAS.get(packet)
        bias = args[place] if place is not None and len(args) > place else None
        call = Call(
            weight.tensor,
            None,
            weight.key,
            channel,
            self.graph.leaf_name(bias),
            tuple(out.shape),
            (args[index].storage_offset(), tuple(args[index].shape)),
        )
        self.layers.append(call)
        index = len(self.layers) - 1
        if call.bias is not None or channel is None:
            self._pending = out, call, index
        else:
            self._pending = out, call, -1
            self._bare = Bare(out, channel), call, index

    def _norm(self, fact: "_Fact", args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        given = dict(zip(fact.arguments, args, strict=False))
        given |= kwargs
        x: Tensor = given["input"]
        if self._uncoupled:
            ones = x.new_ones(x.shape[1])
            parts = given.get("weight"), given.get("bias"), ones * 0, ones
            return aten.native_batch_norm(x, *parts, False, 0.0, 1e-5)
        out = fact.run(*args, **kwargs)
        if self._rows is not None and self._rows.ok:
            self._rows.see(fact.rule, args, out, writes=False)
        if self._of_instance(x):
            if self._outputs:
                self._pending = out[0], None, -1
            return out
        self._scaled(given.get("weight"), given.get("bias"))
        variance = given.get("running_var")
        if self._measure:
            if given.get("training", False) or variance is None:
                moved = _batch_variance(x, out[2], float(given.get("eps", 1e-5)))
                self.variances.append((moved, float(given.get("momentum", 0.1))))
            else:
                self.variances.append((float(variance.double().mean()), 1.0))
        call = Call(variance, shape=tuple(x.shape))
        self.norms.append(call)
        self._pending = out[0], call, -1
        return out

    def _scaled(self, weight: object, bias: object) -> None:
        """Remember which parameters scale and shift what is normalised, and how they begin."""
        for tensor, value in ((weight, 1.0), (bias, 0.0)):
            if (name := self.graph.leaf_name(tensor)) is not None:
                self.scales[name] = value

    def _of_instance(self, x: Tensor) -> bool:
        """Whether an instance normalisation asks: it views (n, c, ...) as (1, n c, ...)."""
        if x.shape[0] != 1 or self._view is None or self._view[1] is not x:
            return False
        before = self._view[0].shape
        return len(before) == x.ndim and before[0] * before[1] == x.shape[1]


class _Fact(NamedTuple):
    """What an operation is.

    Args:
        kind: one of those above.
        packet: its name, for all of its overloads.
        run: runs it.
        writes: it writes into an argument.
        follows: it may view a product, or add its bias.
        rule: how it treats rows.
        arguments: their names.
        operation: itself, which must not go while its id is a key.
    """

    kind: int
    packet: Any
    run: Any
    writes: bool
    follows: bool
    rule: Rule | None
    arguments: tuple[str, ...]
    operation: Any


_FACTS: dict[int, _Fact] = {}
"""Id of an operation -> what it is."""


def _learn(func: Any) -> _Fact:
    """What an operation is; looked up once."""
    packet = func.overloadpacket
    kinds = (
        (_PRODUCT, _PRODUCTS),
        (_NORM, _NORMS),
        (_RELU, RELUS),
        (_MASK, MASKED),
        (_COMPARISON, COMPARISONS),
        (_GROUPS, (aten.native_group_norm,)),
        (_VIEW, (aten.view,)),
    )
    kind = next((kind for kind, packets in kinds if packet in packets), _OTHER)
    rule = rule_of(aten.native_batch_norm if kind == _NORM else packet)
    arguments = tuple(a.name for a in func._schema.arguments)
    writes, follows = bool(func._schema.is_mutable), packet in FOLLOWING
    fact = _Fact(kind, packet, func._op, writes, follows, rule, arguments, func)
    _FACTS[id(func)] = fact
    return fact


def _batch_variance(x: Tensor, inverse: Tensor, eps: float) -> float:
    """Mean over channels of the unbiased variance, from what the normalisation has computed.

    Args:
        x: what is normalised, (n, c, ...).
        inverse: (c,) 1 / sqrt(biased variance + eps).
        eps: of the normalisation.
    """
    count = x.numel() // x.shape[1]
    if inverse.dtype in (torch.float32, torch.float64) and inverse.shape == (x.shape[1],):
        biased = inverse.double().pow(-2) - eps
        if float(biased.min()) > 1e3 * eps:  # else little is left of it beside eps
            return float(biased.mean()) * count / (count - 1)
    return float(x.var([d for d in range(x.ndim) if d != 1], unbiased=True).double().mean())


def _wide(x: Tensor) -> bool:
    """Whether there may be more than one value for an image and a channel."""
    return x.ndim > 2 and sum([size > 1 for size in x.shape]) > 2
