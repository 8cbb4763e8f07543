"""Operations of a lowered network with hand-written forward, backward and second order.

Every operation reads and writes numbered values of a ``Run``. ``backward`` propagates adjoints (the
derivative of a scalar with respect to a value). ``tangent`` propagates two tangents at once, R
along the loss gradient and U along the weights, and accumulates the second derivative of the loss
along both: the sum over operations of the adjoint of the result times the operation's own second
derivative. No second-order backward is needed.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from foretell.proxies.shared.codes import agreement

__all__ = ["Conv", "Gap", "Linear", "Norm", "Op", "Pool", "Relu", "Run", "Sum", "Sweep", "Weights"]

aten = torch.ops.aten

_CACHE = 2**18
"""Elements of a chunk where only the sums of a product are needed."""


@dataclass
class Weights:
    """The parameters one run uses.

    Args:
        layers: weights of each layer.
        bias: of the linear head.
        norms: (weight, bias) of each batch normalisation.
    """

    layers: list[Tensor]
    bias: Tensor | None
    norms: list[tuple[Tensor | None, Tensor | None]]


@dataclass
class Run:
    """One forward, and the second order along it.

    Args:
        weights: the parameters.
        keep: save every value for a backward.
        linear: ReLU and batch normalisation do nothing (SynFlow).
        merge: use the kernels of ``Merge``.
        codes: sum of the agreement of ReLU codes, if they are counted.
        values: what the operations wrote.
        stats: mean and 1 / sqrt(variance + epsilon) of each normalisation.
        sizes: number of values behind these.
        merges: values saved by each ``Merge``.
        r: the direction R of one tangent sweep.
        u: the direction U.
        second: w'Hg so far.
    """

    weights: Weights
    keep: bool = True
    linear: bool = False
    merge: bool = False
    codes: Tensor | None = None
    values: dict[int, Tensor] = field(default_factory=dict)
    stats: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    merges: dict[int, Any] = field(default_factory=dict)
    r: dict[int, Tensor] = field(default_factory=dict)
    u: dict[int, Tensor] = field(default_factory=dict)
    second: float = 0.0


@dataclass
class Sweep:
    """One backward through a run.

    Args:
        want_weights: compute the gradients of the weights.
        want_image: compute the adjoint of the images.
        last: nothing reads the run's values after this backward.
        store: save what a tangent sweep needs.
        fisher: sums over pixels of each layer's results times their adjoints, if requested.
        adjoints: of each value, as multiples of tensors that are not summed yet.
        owned: ids of the tensors among them that may be overwritten.
        mine: whether the last returned adjoint may be overwritten.
        grads: of the weights of each layer.
        products: the sums for ``fisher`` that a ``Merge`` has already computed.
        saved: adjoints of results, for the tangent sweep.
        sums: sum a xhat and sum a of the adjoint a of each normalisation.
    """

    want_weights: bool = True
    want_image: bool = False
    last: bool = True
    store: bool = False
    fisher: dict[int, Tensor] | None = None
    adjoints: dict[int, list[tuple[float, Tensor]]] = field(default_factory=dict)
    owned: set[int] = field(default_factory=set)
    mine: bool = False
    grads: dict[int, Tensor] = field(default_factory=dict)
    products: dict[int, Tensor] = field(default_factory=dict)
    saved: dict[int, Tensor] = field(default_factory=dict)
    sums: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def adjoint(self, value: int) -> Tensor | None:
        """Pop the summed adjoint of a value.

        ``mine`` is then set to whether the caller may overwrite it.
        """
        parts = self.adjoints.pop(value, None)
        self.mine = False
        if not parts:
            return None
        free = [id(x) in self.owned for _, x in parts]
        self.owned.difference_update(id(x) for _, x in parts)
        if len(parts) == 1 and parts[0][0] == 1.0:
            self.mine = free[0]
            return parts[0][1]
        self.mine = True
        for i, (c, x) in enumerate(parts):
            if c == 1.0 and free[i]:
                for d, y in parts[:i] + parts[i + 1 :]:
                    x.add_(y, alpha=d)
                return x
        return combine(parts)

    def own(self, adjoint: Tensor) -> Tensor:
        """Mark a tensor as free to be overwritten, and return it."""
        self.owned.add(id(adjoint))
        return adjoint

    def send(self, value: int, adjoint: Tensor, coefficient: float = 1.0) -> None:
        """Add to the adjoint of a value."""
        self.adjoints.setdefault(value, []).append((coefficient, adjoint))


def combine(parts: list[tuple[float, Tensor]]) -> Tensor:
    """Sum of coefficient times tensor; the tensors are not changed."""
    (a, x), *rest = parts
    if not rest:
        return x if a == 1.0 else x * a
    (b, y), *rest = rest
    total = torch.add(x, y, alpha=b) if a == 1.0 else torch.add(x * a, y, alpha=b)
    for c, z in rest:
        total.add_(z, alpha=c)
    return total


def dots(x: Tensor, y: Tensor) -> Tensor:
    """Sum of the products in each channel, (n, c, h, w) twice -> (c,)."""
    zeros, ones = x.new_zeros(x.shape[1]), x.new_ones(x.shape[1])
    products: Tensor = aten.native_batch_norm_backward(
        x, y, None, None, None, zeros, ones, True, 0.0, (False, True, False)
    )[1]
    return products


def spatial_dots(x: Tensor, y: Tensor) -> Tensor:
    """Sum over pixels of the products, (n, c, h, w) twice -> (n, c), in chunks that fit a cache."""
    step = max(1, _CACHE * len(x) // x.numel())
    if step >= len(x):
        return (x * y).sum((2, 3))
    product = torch.empty_like(x[:step])
    pieces = []
    for i in range(0, len(x), step):
        piece = torch.mul(x[i : i + step], y[i : i + step], out=product[: len(x) - i])
        pieces.append(piece.sum((2, 3)))
    return torch.cat(pieces)


def total_dot(x: Tensor, y: Tensor) -> float:
    """Sum of all products."""
    return float(dots(x, y).sum(dtype=torch.float64))


@dataclass
class Op(ABC):
    """One operation.

    Args:
        src: the value it reads.
        out: the value it writes.
    """

    src: int
    out: int

    @property
    def reads(self) -> tuple[int, ...]:
        """The values it reads."""
        return (self.src,)

    @abstractmethod
    def forward(self, run: Run) -> None:
        """Compute the result."""

    @abstractmethod
    def backward(self, run: Run, sweep: Sweep) -> None:
        """Propagate the adjoint of the result to the sources."""

    @abstractmethod
    def tangent(self, run: Run, sweep: Sweep) -> None:
        """Propagate both tangents."""


@dataclass
class LinearOp(Op):
    """An operation without weights whose result is linear in its source."""

    def tangent(self, run: Run, sweep: Sweep) -> None:
        """Apply the operation to each tangent."""
        for tangents in (run.r, run.u):
            if self.src in tangents:
                tangents[self.out] = self.apply(tangents[self.src])

    def forward(self, run: Run) -> None:
        """Apply the operation."""
        run.values[self.out] = self.apply(run.values[self.src])

    def apply(self, x: Tensor) -> Tensor:
        """The operation itself."""
        raise NotImplementedError


@dataclass
class Sum(Op):
    """Linear combination of values.

    ``scratch`` is a term that nothing else reads, not even a backward: the sum overwrites it.
    """

    terms: tuple[tuple[float, int], ...]
    scratch: int | None = None

    @property
    def reads(self) -> tuple[int, ...]:
        """The values it reads."""
        return tuple(v for _, v in self.terms)

    def forward(self, run: Run) -> None:
        """Compute the result."""
        if self.scratch is None or run.linear:  # there a value may be the value before
            run.values[self.out] = combine([(c, run.values[v]) for c, v in self.terms])
            return
        total = run.values[self.scratch]
        for c, v in self.terms:
            if v != self.scratch:
                total.add_(run.values[v], alpha=c)
        run.values[self.out] = total

    def backward(self, run: Run, sweep: Sweep) -> None:
        """Propagate the adjoint to the sources."""
        adjoint = sweep.adjoint(self.out)
        if adjoint is not None:
            for c, v in self.terms:
                sweep.send(v, adjoint, c)

    def tangent(self, run: Run, sweep: Sweep) -> None:
        """Propagate both tangents."""
        for tangents in (run.r, run.u):
            parts = [(c, tangents[v]) for c, v in self.terms if v in tangents]
            if parts:
                tangents[self.out] = combine(parts)


@dataclass
class Relu(Op):
    """ReLU, shared by all that read it.

    Args:
        calls: number of calls in the network.
        inplace: nothing reads the source's value afterwards, not even a backward.
    """

    calls: int = 1
    inplace: bool = False

    def forward(self, run: Run) -> None:
        """Compute the result."""
        x = run.values[self.src]
        if run.linear:
            run.values[self.out] = x
            return
        y = torch.relu_(x) if self.inplace else torch.relu(x)
        run.values[self.out] = y
        if run.codes is not None:
            codes = torch.sign(y).permute(0, 2, 3, 1).reshape(len(y), -1)
            run.codes.add_(agreement(codes), alpha=self.calls)

    def backward(self, run: Run, sweep: Sweep) -> None:
        """Propagate the adjoint to the sources."""
        adjoint = sweep.adjoint(self.out)
        if adjoint is None:
            return
        if run.linear:
            sweep.send(self.src, adjoint)
            return
        y = run.values[self.out]
        if sweep.mine:
            aten.threshold_backward.grad_input(adjoint, y, 0, grad_input=adjoint)
        else:
            adjoint = aten.threshold_backward(adjoint, y, 0)
        sweep.send(self.src, sweep.own(adjoint))

    def tangent(self, run: Run, sweep: Sweep) -> None:
        """Propagate both tangents."""
        y = run.values[self.out]
        for tangents in (run.r, run.u):
            if self.src in tangents:
                tangents[self.out] = aten.threshold_backward(tangents[self.src], y, 0)


@dataclass
class Pool(LinearOp):
    """Average pooling; padding is not counted."""

    kernel: int
    stride: int
    padding: int
    ceil: bool

    def apply(self, x: Tensor) -> Tensor:
        """The operation itself."""
        y: Tensor = aten.avg_pool2d(x, self.kernel, self.stride, self.padding, self.ceil, False)
        return y

    def backward(self, run: Run, sweep: Sweep) -> None:
        """Propagate the adjoint to the sources."""
        adjoint = sweep.adjoint(self.out)
        if adjoint is not None:
            x = run.values[self.src]
            k, s, p = (self.kernel,) * 2, (self.stride,) * 2, (self.padding,) * 2
            sweep.send(
                self.src, aten.avg_pool2d_backward(adjoint, x, k, s, p, self.ceil, False, None)
            )


@dataclass
class Conv(Op):
    """A convolution without bias.

    ``normed``: only a batch normalisation reads the result, so that the loss does not depend on the
    scale of the weights, except through epsilon.
    """

    layer: int
    stride: int
    padding: int
    normed: bool = True

    def forward(self, run: Run) -> None:
        """Compute the result."""
        run.values[self.out] = self._conv(run.values[self.src], run.weights.layers[self.layer])

    def _conv(self, x: Tensor, weight: Tensor) -> Tensor:
        return torch.conv2d(x, weight, None, self.stride, self.padding)

    def backward(self, run: Run, sweep: Sweep) -> None:
        """Propagate the adjoint to the sources."""
        adjoint = sweep.adjoint(self.out)
        if adjoint is None:
            return
        image = self.src != 0 or sweep.want_image
        if sweep.fisher is not None:
            fused = sweep.products.pop(self.out, None)
            dots = spatial_dots(run.values[self.out], adjoint) if fused is None else fused
            sweep.fisher[self.layer] = dots
        if sweep.store:
            sweep.saved[self.out] = adjoint
        x, w = run.values[self.src], run.weights.layers[self.layer]
        s, p = (self.stride,) * 2, (self.padding,) * 2
        gx, gw, _ = aten.convolution_backward(
            adjoint, x, w, None, s, p, (1, 1), False, (0, 0), 1, (image, sweep.want_weights, False)
        )
        if sweep.want_weights:
            sweep.grads[self.layer] = gw
        if image:
            sweep.send(self.src, sweep.own(gx))

    def tangent(self, run: Run, sweep: Sweep) -> None:
        """Propagate both tangents."""
        x, w, g = run.values[self.src], run.weights.layers[self.layer], sweep.grads[self.layer]
        adjoint = sweep.saved.pop(self.out)
        if self.src in run.r:
            r = self._conv(torch.cat([run.r[self.src], x], 1), torch.cat([w, g], 1))
        else:
            r = self._conv(x, g)
        run.r[self.out] = r
        run.second -= float(g.double().square().sum())
        if not self.normed:  # along the weights themselves: <adjoint, conv(R, w)>
            run.second += total_dot(r, adjoint)
        u = None
        if self.src in run.u:
            u, ug = self._conv(run.u[self.src], torch.cat([w, g])).chunk(2, 1)
            run.second += total_dot(ug.contiguous(memory_format=_format(adjoint)), adjoint)
        if not self.normed:
            z = run.values[self.out]
            u = z if u is None else u + z
        if u is not None:
            run.u[self.out] = u


@dataclass
class Norm(Op):
    """Batch normalisation in train mode.

    ``owned``: it is the only reader of a convolution, whose scale it cancels except for epsilon e.
    Scaling those weights by a factor is the same as dividing e by its square, so the tangent along
    the weights is taken along e instead, which avoids cancellation.
    """

    norm: int
    eps: float
    owned: bool = False

    def forward(self, run: Run) -> None:
        """Compute the result."""
        x = run.values[self.src]
        if run.linear:
            run.values[self.out] = x
            return
        w, b = run.weights.norms[self.norm]
        y, mean, inv = aten.native_batch_norm(x, w, b, None, None, True, 0.0, self.eps)
        run.values[self.out] = y
        run.stats[self.out] = mean, inv
        run.sizes[self.out] = x.numel() // x.shape[1]

    def _jacobian(
        self, run: Run, x: Tensor, mask: tuple[bool, bool, bool]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Product of the (symmetric) Jacobian with x; sum x xhat (c,); sum x (c,)."""
        z, (mean, inv) = run.values[self.src], run.stats[self.out]
        w, _ = run.weights.norms[self.norm]
        result: tuple[Tensor, Tensor, Tensor] = aten.native_batch_norm_backward(
            x, z, w, None, None, mean, inv, True, self.eps, mask
        )
        return result

    def backward(self, run: Run, sweep: Sweep) -> None:
        """Propagate the adjoint to the sources."""
        adjoint = sweep.adjoint(self.out)
        if adjoint is None:
            return
        if run.linear:
            sweep.send(self.src, adjoint)
            return
        gz, along, total = self._jacobian(run, adjoint, (True, sweep.store, sweep.store))
        if sweep.store:
            sweep.saved[self.out] = adjoint
            sweep.sums[self.out] = along, total
        sweep.send(self.src, gz)

    def tangent(self, run: Run, sweep: Sweep) -> None:
        """Propagate both tangents."""
        z, (mean, inv) = run.values[self.src], run.stats[self.out]
        a = sweep.saved.pop(self.out)
        m = z.numel() // z.shape[1]
        w, _ = run.weights.norms[self.norm]
        gamma = torch.ones_like(inv) if w is None else w
        a_x, a_1 = (s.double() for s in sweep.sums[self.out])
        inv64 = inv.double()
        everything = (True, True, True)

        r = run.r.get(self.src)
        u = run.u.get(self.src)
        if r is not None:
            run.r[self.out], r_x, r_1 = self._jacobian(run, r, everything)
            rx, r1 = r_x.double() / m, r_1.double() / m
            ajr = inv64 * (dots(r, a).double() - r1 * a_1 - rx * a_x)
        uy = None
        if u is not None:
            u = u.contiguous(memory_format=_format(z))
            uy, u_x, u_1 = self._jacobian(run, u, everything)
            ux, u1 = u_x.double() / m, u_1.double() / m
        amount = torch.zeros_like(inv64)
        if r is not None and u is not None:
            aju = inv64 * (dots(u, a).double() - u1 * a_1 - ux * a_x)
            jur = inv64 * (dots(u, r).double() / m - u1 * r1 - ux * rx)
            amount -= inv64 * (ux * ajr + rx * aju + jur * a_x)
        if self.owned:
            shrink = self.eps * inv64.square()
            if r is not None:
                amount += shrink * (ajr - 2 * inv64 * rx * a_x)
            scale = (gamma * inv * shrink.to(inv.dtype)).reshape(1, -1, 1, 1)
            shift = mean.reshape(1, -1, 1, 1)
            own = (z - shift).mul_(scale)
            uy = own if uy is None else uy.add_(own)
        if uy is not None:
            run.u[self.out] = uy
        run.second += float((amount * gamma.double()).sum())


@dataclass
class Gap(LinearOp):
    """Global average pooling, (n, c, h, w) -> (n, c)."""

    def apply(self, x: Tensor) -> Tensor:
        """The operation itself."""
        return x.mean((2, 3))

    def backward(self, run: Run, sweep: Sweep) -> None:
        """Propagate the adjoint to the sources."""
        adjoint = sweep.adjoint(self.out)
        if adjoint is not None:
            x = run.values[self.src]
            size = x.shape[2] * x.shape[3]
            wide = (adjoint / size)[:, :, None, None].expand_as(x)
            sweep.send(self.src, wide.contiguous(memory_format=_format(x)))


@dataclass
class Linear(Op):
    """The linear head."""

    layer: int

    def forward(self, run: Run) -> None:
        """Compute the result."""
        w = run.weights.layers[self.layer]
        run.values[self.out] = torch.nn.functional.linear(run.values[self.src], w, run.weights.bias)

    def backward(self, run: Run, sweep: Sweep) -> None:
        """Propagate the adjoint to the sources."""
        adjoint = sweep.adjoint(self.out)
        assert adjoint is not None
        if sweep.fisher is not None:
            sweep.fisher[self.layer] = run.values[self.out] * adjoint
        if sweep.store:
            sweep.saved[self.out] = adjoint
        if sweep.want_weights:
            sweep.grads[self.layer] = adjoint.T @ run.values[self.src]
        sweep.send(self.src, adjoint @ run.weights.layers[self.layer])

    def tangent(self, run: Run, sweep: Sweep) -> None:
        """Propagate both tangents."""
        f, w, g = run.values[self.src], run.weights.layers[self.layer], sweep.grads[self.layer]
        adjoint = sweep.saved.pop(self.out)
        r, u = f @ g.T, f @ w.T
        if self.src in run.r:
            moved = run.r[self.src] @ w.T
            run.second += float((adjoint * moved).sum(dtype=torch.float64))
            r = r + moved
        if self.src in run.u:
            u = u + run.u[self.src] @ w.T
            crossed = run.u[self.src] @ g.T
            run.second += float((adjoint * crossed).sum(dtype=torch.float64))
        run.r[self.out], run.u[self.out] = r, u


def _format(x: Tensor) -> torch.memory_format:
    nhwc = (
        x.ndim == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    )
    return torch.channels_last if nhwc else torch.contiguous_format
