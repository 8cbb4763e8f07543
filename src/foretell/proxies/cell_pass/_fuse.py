"""Fusion of normalisation, sum and ReLU between two convolutions into one operation.

A node of a cell is relu(norm(a) + norm(b) + c): three memory-bound operations that each read and
write every activation. ``Merge`` fuses them into one pass, forward and backward, where Numba is
installed; elsewhere, and for second derivatives, it runs its parts one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from math import gcd
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.proxies.cell_pass._ops import Norm, Op, Relu, Run, Sum, Sweep, combine

__all__ = ["Merge", "can_merge", "flat", "merged"]

Array = NDArray[Any]

_PERIOD = 256
"""Target row length of the kernels, long enough for vector instructions."""
THREADS = 2
"""The kernels are single-threaded; with more threads than this, PyTorch's operations are faster."""
TERMS = 3
"""Maximum number of tensors that a kernel sums."""
PIXELS = 2**15
"""Minimum number of pixels in a batch; smaller ones fit the caches, where fusion gains nothing."""


@cache
def _installed() -> bool:
    return find_spec("numba") is not None


def can_merge(images: Tensor) -> bool:
    """Whether the fused kernels can run on these images, and are faster.

    Args:
        images: (n, c, h, w).
    """
    n, _, h, w = images.shape
    return (
        images.device.type == "cpu"
        and images.dtype in (torch.float32, torch.float64)
        and n * h * w >= PIXELS
        and torch.get_num_threads() <= THREADS
        and _installed()
    )


@dataclass
class _Part:
    """A part of an adjoint.

    Args:
        by: its coefficient.
        x: the tensor.
        mine: whether it may be overwritten, as nothing else reads it.
    """

    by: float
    x: Tensor
    mine: bool


@dataclass
class Merge(Op):
    """ReLU of a sum of normalised and other tensors.

    Args:
        src: the first value it reads.
        out: the last value it writes.
        parts: the fused operations, in topological order.
        norms: the normalisations among them; nothing else reads their results.
        plain: coefficients and values of the other terms.
        total: the value of the sum, if it is read elsewhere.
        relu: the ReLU of the sum, if there is one.
        inner: values that only the parts read.
    """

    parts: tuple[Op, ...] = ()
    norms: tuple[Norm, ...] = ()
    plain: tuple[tuple[float, int], ...] = ()
    total: int | None = None
    relu: Relu | None = None
    inner: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Find the values that only the parts read."""
        seen = (self.total, None if self.relu is None else self.relu.out)
        self.inner = tuple(p.out for p in self.parts if p.out not in seen)

    @property
    def reads(self) -> tuple[int, ...]:
        """The values it reads."""
        return (*(norm.src for norm in self.norms), *(v for _, v in self.plain))

    def forward(self, run: Run) -> None:
        """Compute the result."""
        if not run.merge:
            for part in self.parts:
                part.forward(run)
            if not run.keep:
                for value in self.inner:
                    run.values.pop(value, None)
            return
        kernels = _kernels()
        for value in self.reads:
            run.values[value] = _dense(run.values[value])
        terms = [run.values[v] for v in self.reads]
        like, z = terms[0], [_rows(t) for t in terms]
        moments = _Moments.make(self, run, like)
        for k, norm in enumerate(self.norms):
            kernels.moments(z[k], norm.eps, moments.mean[k], moments.inverse[k])
            run.stats[norm.out] = moments.tensors(k)
            run.sizes[norm.out] = like.numel() // like.shape[1]
        spare = terms[0] if self.norms and self.norms[0].owned and not run.keep else None
        result = torch.empty_like(like) if spare is None else spare
        both = self.relu is not None and self.total is not None
        relu = torch.empty_like(like) if both else result
        signs = self.relu is not None and (run.keep or run.codes is not None)
        active = np.empty(z[0].shape if signs else (1, 1), np.uint8)
        kernels.merge(
            len(z), *_three(z), moments.mean, moments.inverse, moments.weight, moments.bias,
            self.total is not None, _rows(result),
            self.relu is not None, _rows(relu), signs, active,
        )  # fmt: skip
        if run.keep:
            run.merges[self.out] = _Saved(moments, z[: len(self.norms)], active)
        if self.total is not None:
            run.values[self.total] = result
        if self.relu is not None:
            run.values[self.relu.out] = relu
            if run.codes is not None:
                run.codes.add_(_agreement(active.reshape(len(like), -1)), alpha=self.relu.calls)

    def backward(self, run: Run, sweep: Sweep) -> None:
        """Propagate the adjoint to the sources."""
        if not run.merge:
            for part in reversed(self.parts):
                part.backward(run, sweep)
            return
        masked = [] if self.relu is None else _parts(sweep, self.relu.out)
        plain = [] if self.total is None else _parts(sweep, self.total)
        if not masked and not plain:
            return
        saved = run.merges[self.out]
        adjoint, total, along = self._gather(saved, masked, plain)
        for coefficient, value in self.plain:
            sweep.send(value, adjoint, coefficient)
        if self.norms:
            self._spread(run, sweep, saved, adjoint, total, along)

    def _gather(
        self, saved: "_Saved", masked: list[_Part], plain: list[_Part]
    ) -> tuple[Tensor, Array, Array]:
        """Adjoint of the sum; its channel sums; its channel sums times each term."""
        first = (masked or plain)[0]
        adjoint = first.x if first.mine else first.x.clone()
        g = _rows(adjoint)
        masks, others = masked[1:], plain if masked else plain[1:]
        m0, m1, _ = _three([_rows(part.x) for part in masks] or [g])
        p0, p1, p2 = _three([_rows(part.x) for part in others] or [g])
        total = np.zeros(adjoint.shape[1])
        along = np.zeros((TERMS, len(total)))
        _kernels().gather(
            g, g.dtype.type(first.by),
            len(masked), m0, m1, _factors(masks, g), saved.active,
            len(others), p0, p1, p2, _factors(others, g),
            len(saved.z), *_three(saved.z or [g]), saved.moments.mean, total, along,
        )  # fmt: skip
        return adjoint, total, along

    def _spread(
        self, run: Run, sweep: Sweep, saved: "_Saved", adjoint: Tensor, total: Array, along: Array
    ) -> None:
        """Propagate the adjoint through the normalisations."""
        moments, z = saved.moments, saved.z
        n, channels = adjoint.shape[:2]
        period = z[0].shape[1]
        before = [
            run.values[norm.src] if sweep.last and norm.owned else torch.empty_like(adjoint)
            for norm in self.norms
        ]
        with_dots = sweep.fisher is not None
        dots = np.zeros((TERMS, n, period) if with_dots else (TERMS, 1, 1), z[0].dtype)
        _kernels().spread(
            len(z), _rows(adjoint), *_three(z),
            moments.mean, moments.inverse, moments.weight, total, along,
            *_three([_rows(b) for b in before]), with_dots, dots,
        )  # fmt: skip
        for k, norm in enumerate(self.norms):
            if with_dots:
                folded = dots[k].reshape(n, period // channels, channels).sum(1)
                sweep.products[norm.src] = torch.from_numpy(folded)
            if sweep.store:
                sweep.saved[norm.out] = adjoint
                inverse = run.stats[norm.out][1]
                sweep.sums[norm.out] = (
                    torch.from_numpy(along[k]).to(inverse.dtype) * inverse,
                    torch.from_numpy(total).to(inverse.dtype),
                )
            sweep.send(norm.src, sweep.own(before[k]))

    def tangent(self, run: Run, sweep: Sweep) -> None:
        """Propagate both tangents."""
        for part in self.parts:
            part.tangent(run, sweep)
        for value in self.inner:
            run.r.pop(value, None)
            run.u.pop(value, None)


@dataclass
class _Moments:
    """Normalisation of each term, (3, c) each; plain terms are scaled by their coefficient."""

    mean: Array
    inverse: Array
    weight: Array
    bias: Array

    @classmethod
    def make(cls, merge: Merge, run: Run, like: Tensor) -> "_Moments":
        shape = (TERMS, like.shape[1])
        dtype = np.float32 if like.dtype == torch.float32 else np.float64
        mean, bias = np.zeros(shape, dtype), np.zeros(shape, dtype)
        inverse, weight = np.ones(shape, dtype), np.ones(shape, dtype)
        for k, norm in enumerate(merge.norms):
            w, b = run.weights.norms[norm.norm]
            if w is not None:
                weight[k] = w.numpy()
            if b is not None:
                bias[k] = b.numpy()
        for k, (coefficient, _) in enumerate(merge.plain, len(merge.norms)):
            inverse[k] = coefficient
        return cls(mean, inverse, weight, bias)

    def tensors(self, k: int) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(self.mean[k]), torch.from_numpy(self.inverse[k])


@dataclass
class _Saved:
    """Values saved for the backward.

    Args:
        moments: of the terms.
        z: the terms before their normalisation, in rows.
        active: 1 where the ReLU is positive, in rows.
    """

    moments: _Moments
    z: list[Array]
    active: Array


def merged(ops: Sequence[Op]) -> list[Op]:
    """The same operations, with normalisations, sums and ReLUs fused where possible.

    A normalisation is fused with its only reader, if that is a sum; a ReLU with its source.
    """
    makers = {op.out: op for op in ops}
    readers: dict[int, list[Op]] = {}
    for op in ops:
        for value in op.reads:
            readers.setdefault(value, []).append(op)
    used: set[int] = set()
    groups: dict[int, Merge] = {}
    for op in reversed(ops):  # sums before the normalisations they take in
        if not isinstance(op, Sum | Norm) or op.out in used or len(op.reads) > TERMS:
            continue
        terms = op.terms if isinstance(op, Sum) else ((1.0, op.out),)
        norms: list[Norm] = []
        plain: list[tuple[float, int]] = []
        for coefficient, value in terms:
            maker = makers.get(value)
            alone = maker is op or readers.get(value) == [op]
            if isinstance(maker, Norm) and coefficient == 1.0 and alone:
                norms.append(maker)
            else:
                plain.append((coefficient, value))
        users = readers.get(op.out, [])
        relu = next((r for r in users if isinstance(r, Relu)), None)
        total = op.out if relu is None or len(users) > 1 else None
        parts = [*norms, *([op] if isinstance(op, Sum) else []), *([relu] if relu else [])]
        out = op.out if relu is None else relu.out
        src = norms[0].src if norms else plain[0][1]
        groups[op.out] = Merge(src, out, tuple(parts), tuple(norms), tuple(plain), total, relu)
        used.update(p.out for p in parts)
    return [groups.get(op.out, op) for op in ops if op.out in groups or op.out not in used]


def flat(ops: Sequence[Op]) -> list[Op]:
    """The operations with each ``Merge`` replaced by its parts."""
    return [part for op in ops for part in (op.parts if isinstance(op, Merge) else (op,))]


def _kernels() -> ModuleType:
    from foretell.proxies.cell_pass import numba_kernels

    return numba_kernels


def _parts(sweep: Sweep, value: int) -> list[_Part]:
    """Adjoints of a value, at most as many as a kernel sums; overwritable ones first."""
    parts = []
    for by, x in sweep.adjoints.pop(value, []):
        dense = _dense(x)
        parts.append(_Part(by, dense, dense is not x or id(x) in sweep.owned))
        sweep.owned.discard(id(x))
    if len(parts) > TERMS:
        rest = combine([(part.by, part.x) for part in parts[TERMS - 1 :]])
        parts = [*parts[: TERMS - 1], _Part(1.0, rest, True)]
    return sorted(parts, key=lambda part: not part.mine)


def _factors(parts: list[_Part], like: Array) -> Array:
    by = np.zeros(TERMS, like.dtype)
    by[: len(parts)] = [part.by for part in parts]
    return by


def _three(arrays: list[Array]) -> list[Array]:
    """Padded to three with the first."""
    return arrays + [arrays[0]] * (TERMS - len(arrays))


def _dense(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _rows(x: Tensor) -> Array:
    """(n, c, h, w), in memory as (n, h, w, c) -> (rows, period), the same memory.

    A row holds whole pixels, and an image whole rows.
    """
    assert x.is_contiguous(memory_format=torch.channels_last)
    _, c, h, w = x.shape
    period = c * gcd(h * w, max(1, _PERIOD // c))
    rows: Array = torch.as_strided(x, (x.numel() // period, period), (period, 1)).numpy()
    return rows


def _agreement(active: NDArray[np.uint8]) -> Tensor:
    """(n, units) of 0 and 1 -> number of units on which each pair of images agrees."""
    n, units = active.shape
    bits = np.packbits(active, axis=1)
    padded = np.zeros((n, -(-bits.shape[1] // 8) * 8), np.uint8)
    padded[:, : bits.shape[1]] = bits
    counts = np.empty((n, n), np.int64)
    _kernels().agreements(padded.view(np.uint64), units, counts)
    return torch.from_numpy(counts).to(torch.float32)
