"""What runs inside any module: products with weights, ReLUs and normalisations.

A dispatch mode sees every operation, whoever calls it: modules, functions, the projections inside
``nn.MultiheadAttention``, scripted code. It never sees a container, so nothing is counted twice.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.graph import Node
from torch.utils._python_dispatch import TorchDispatchMode

from foretell.proxies.autograd_pass.bias import Bare
from foretell.proxies.autograd_pass.graph import Graph, LayerKey, reachable
from foretell.proxies.autograd_pass.relus import MASKED, RELUS, Masks, relu_code

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
_NORMS = frozenset(
    {
        *(aten.native_batch_norm, aten._native_batch_norm_legit, aten._batch_norm_with_update),
        *(aten._native_batch_norm_legit_no_training, aten.cudnn_batch_norm),
    }
)
_PRODUCT, _RELU, _NORM, _MASK, _OTHER = range(5)


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


class Watch(TorchDispatchMode):
    """Records what runs while it is entered.

    Args:
        on_layer: called with the index and result of each layer.
        on_relu: called with the index of each ReLU and a tensor that is above 0 where its units are
            active, before it runs.
        on_write: called with a tensor before an operation writes into it.
        on_operation: called with each operation, its arguments and its result.
        measure: keep the unbiased batch variance of each batch normalisation.
        outputs: keep the results with more than one value for each image and channel.
        uncoupled: batch normalisations leave out their statistics, so that images do not mix.
    """

    def __init__(
        self,
        *,
        on_layer: Callable[[int, Tensor], None] | None = None,
        on_relu: Callable[[int, Tensor], None] | None = None,
        on_write: Callable[[Tensor], None] | None = None,
        on_operation: Callable[[Any, Sequence[Any], Any, Graph], None] | None = None,
        measure: bool = False,
        outputs: bool = False,
        uncoupled: bool = False,
    ) -> None:
        """Start with nothing seen."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.layers: list[Call] = []
        self.relus: list[Call] = []
        self.norms: list[Call] = []
        self.variances: list[tuple[float, float]] = []
        self.scales: dict[str, float] = {}
        self.outputs: dict[Node, Tensor] = {}
        self.graph = Graph({}, torch.empty(0))
        self._masks = Masks(self.graph)
        self._pending: _Pending | None = None
        self._bare: tuple[Bare, Call, int] | None = None
        self._before: tuple[Any, Any, Any] = (None, None, None)
        self._on_layer, self._on_relu, self._on_write = on_layer, on_relu, on_write
        self._on_operation = on_operation
        self._measure, self._outputs, self._uncoupled = measure, outputs, uncoupled

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No wrapper around each operation: compilers are off while a module is watched."""
        return False

    def begin(self, names: Mapping[int, str], image: Tensor) -> None:
        """Say which leaves are parameters and which is the images, before the forward.

        Args:
            names: id of a parameter's leaf -> its name.
            image: (n, ...).
        """
        self.graph = Graph(names, image)
        self._masks = Masks(self.graph)

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
        self._settle()
        kwargs = kwargs or {}
        fact = _FACTS.get(func)
        kind, packet, writes = fact if fact is not None else _learn(func)
        after = self._after(packet, args, kwargs)
        if kind == _NORM:
            return self._norm(func, args, kwargs)
        if packet is aten.native_group_norm:
            self._scaled(args[1], args[2])
        relu = None
        if kind == _RELU:
            relu = self._relu(relu_code(packet, args, kwargs, self.graph.data))
        elif kind == _MASK:
            relu = self._relu(self._masks.code(packet, args))
        if writes and self._on_write is not None and args and isinstance(args[0], Tensor):
            self._on_write(args[0])
        out = func(*args, **kwargs)
        if after is not None:
            self._pending = after(out)
        elif kind == _PRODUCT:
            self._product(packet, args, kwargs, out)
        elif relu is not None:
            self._pending = out, relu, -1
        elif self._outputs:
            first = out[0] if isinstance(out, tuple | list) and out else out
            if isinstance(first, Tensor):
                self._pending = first, None, -1
        self._masks.see(packet, args, out)
        if self._on_operation is not None:
            self._on_operation(packet, (args, kwargs), out, self.graph)
        if packet is not aten.empty:
            self._before = packet, args, out
        return out

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
            self._on_layer(layer, out)

    def _release(self) -> None:
        """Nothing is added to the last product: its own result is the layer's."""
        last, self._bare = self._bare, None
        if last is not None and self._on_layer is not None:
            bare, _, index = last
            self._on_layer(index, bare.out)

    def _after(
        self, packet: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Callable[[Tensor], _Pending] | None:
        """What to do with a view of the last product, or with that and its bias; else None."""
        if self._bare is None:
            return None
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
        lists = any(isinstance(a, list | tuple) and a and isinstance(a[0], Tensor) for a in args)
        if lists or any(isinstance(a, Tensor) and self.graph.data(a) for a in args):
            self._release()  # else it makes a bias, perhaps
        return None

    def _relu(self, code: Tensor | None) -> Call | None:
        if code is None:
            return None
        call = Call(None, shape=tuple(code.shape))
        if self._on_relu is not None:
            self._on_relu(len(self.relus), code)
        self.relus.append(call)
        return call

    def _product(
        self, packet: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor
    ) -> None:
        operands = _PRODUCTS[packet]
        weights = {i: self.graph.weight(args[i]) for i in operands}
        index = next((i for i, w in weights.items() if w is not None), None)
        other = 0 if len(operands) == 1 else sum(operands) - (index or 0)
        if index is None or not self.graph.data(args[other]):
            if self._outputs:
                self._pending = out, None, -1
            return  # a product of features, or nothing but weights and constants
        weight = weights[index]
        assert weight is not None
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

    def _norm(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        given = {a.name: v for a, v in zip(func._schema.arguments, args, strict=False)}
        given |= kwargs
        x: Tensor = given["input"]
        if self._on_operation is not None:
            self._on_operation(aten.native_batch_norm, (args, kwargs), x, self.graph)
        if self._uncoupled:
            ones = x.new_ones(x.shape[1])
            parts = given.get("weight"), given.get("bias"), ones * 0, ones
            return aten.native_batch_norm(x, *parts, False, 0.0, 1e-5)
        if self._of_instance(x):
            out = func(*args, **kwargs)
            if self._outputs:
                self._pending = out[0], None, -1
            self._before = func, args, out
            return out
        self._scaled(given.get("weight"), given.get("bias"))
        if self._measure:
            variance = given.get("running_var")
            if given.get("training", False) or variance is None:
                dims = [d for d in range(x.ndim) if d != 1]
                moved = float(x.var(dims, unbiased=True).double().mean())
                self.variances.append((moved, float(given.get("momentum", 0.1))))
            else:
                self.variances.append((float(variance.double().mean()), 1.0))
        out = func(*args, **kwargs)
        call = Call(given.get("running_var"), shape=tuple(x.shape))
        self.norms.append(call)
        self._pending = out[0], call, -1
        self._before = func, args, out
        return out

    def _scaled(self, weight: object, bias: object) -> None:
        """Remember which parameters scale and shift what is normalised, and how they begin."""
        for tensor, value in ((weight, 1.0), (bias, 0.0)):
            if (name := self.graph.leaf_name(tensor)) is not None:
                self.scales[name] = value

    def _of_instance(self, x: Tensor) -> bool:
        """Whether an instance normalisation asks: it views (n, c, ...) as (1, n c, ...)."""
        packet, args, out = self._before
        if x.shape[0] != 1 or packet is not aten.view or out.shape != x.shape:
            return False
        before = args[0].shape
        return len(before) == x.ndim and before[0] * before[1] == x.shape[1]


_FACTS: dict[Any, tuple[int, Any, bool]] = {}


def _learn(func: Any) -> tuple[int, Any, bool]:
    """What an operation is; looked up once."""
    packet = func.overloadpacket
    if packet in _PRODUCTS:
        kind = _PRODUCT
    elif packet in _NORMS:
        kind = _NORM
    elif packet in RELUS:
        kind = _RELU
    elif packet in MASKED:
        kind = _MASK
    else:
        kind = _OTHER
    _FACTS[func] = kind, packet, bool(func._schema.is_mutable)
    return _FACTS[func]


def _wide(x: Tensor) -> bool:
    """Whether there may be more than one value for an image and a channel."""
    return sum(size > 1 for size in x.shape) > 2
