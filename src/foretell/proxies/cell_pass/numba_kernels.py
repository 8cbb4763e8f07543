"""Fused kernels, compiled by Numba: one pass over memory instead of several.

Normalisation, sum and ReLU between two convolutions each read and write every activation, and are
bound by memory bandwidth on CPUs. All arrays here
are activations in rows: (n, h, w, c) without gaps, seen as (rows, period), where a period holds
whole pixels, so that values of one channel stand in the same columns and an image is whole rows.
Such rows are long enough for vector instructions with any number of channels.

Sums are accumulated in the arrays' precision over blocks of rows and in float64 over the blocks.
NaN and infinite values are propagated.
"""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["agreements", "gather", "merge", "moments", "spread"]

Array = NDArray[Any]
Function = TypeVar("Function", bound=Callable[..., Any])

BLOCK = 128
"""Rows of a block."""
_VERSION = sha256(Path(__file__).read_bytes()).hexdigest()[:12]
"""Of this file."""


def _compiled(function: Function) -> Function:
    """Compile on first use; cached on disk where a cache folder is writable.

    Numba's cache is keyed by function name and line, and its index is written before the code:
    after an upgrade, one of two concurrent processes could load the code of the older version. The
    digest of this file in the function name prevents that.
    """
    function.__qualname__ = f"{function.__name__}_{_VERSION}"
    options: dict[str, Any] = {
        "fastmath": {"reassoc", "contract", "nsz", "arcp"},
        "error_model": "numpy",
        "nogil": True,
    }
    try:
        compiled: Function = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither this folder nor the user's cache can be written to
        compiled = numba.njit(**options)(function)
    return compiled


@_compiled
def moments(z: Array, eps: float, mean: Array, inverse: Array) -> None:
    """Mean and 1 / sqrt(variance + eps) of each channel.

    Blocks have their own means, and are joined as Chan, Golub and LeVeque (1983) do.

    Args:
        z: (rows, period).
        eps: added to the variance, which counts all values (no n - 1).
        mean: (c,), written.
        inverse: (c,), written.
    """
    rows, period = z.shape
    channels = mean.shape[0]
    means, squares = np.zeros(period), np.zeros(period)
    block_sum, block_square = np.empty(period, z.dtype), np.empty(period, z.dtype)
    center = np.empty(period, z.dtype)
    for start in range(0, rows, BLOCK):
        stop = min(start + BLOCK, rows)
        count = stop - start
        even = start + count // 8 * 8
        block_sum[:] = 0
        block_square[:] = 0
        for i in range(start, even, 8):
            for j in range(period):
                block_sum[j] += (
                    ((z[i, j] + z[i + 1, j]) + (z[i + 2, j] + z[i + 3, j]))
                    + ((z[i + 4, j] + z[i + 5, j]) + (z[i + 6, j] + z[i + 7, j]))
                )  # fmt: skip
        for i in range(even, stop):
            for j in range(period):
                block_sum[j] += z[i, j]
        for j in range(period):
            center[j] = block_sum[j] / count
        for i in range(start, even, 4):
            for j in range(period):
                middle = center[j]
                a, b = z[i, j] - middle, z[i + 1, j] - middle
                c, d = z[i + 2, j] - middle, z[i + 3, j] - middle
                block_square[j] += (a * a + b * b) + (c * c + d * d)
        for i in range(even, stop):
            for j in range(period):
                a = z[i, j] - center[j]
                block_square[j] += a * a
        for j in range(period):
            step = block_sum[j] / np.float64(count) - means[j]
            means[j] += step * count / stop
            squares[j] += block_square[j] + step * step * start * count / stop
    for c in range(channels):
        total = 0.0
        for j in range(c, period, channels):
            total += means[j]
        middle64 = total / (period // channels)
        square = 0.0
        for j in range(c, period, channels):
            square += squares[j] + rows * (means[j] - middle64) ** 2
        mean[c] = middle64
        inverse[c] = 1 / np.sqrt(square / (rows * (period // channels)) + eps)


@_compiled
def _tile(values: Array, period: int) -> Array:
    """(c,) repeated to (period,)."""
    channels = values.shape[0]
    tiled = np.empty(period, values.dtype)
    for start in range(0, period, channels):
        for c in range(channels):
            tiled[start + c] = values[c]
    return tiled


@_compiled
def merge(
    count: int, z0: Array, z1: Array, z2: Array,
    mean: Array, inverse: Array, weight: Array, bias: Array,
    with_total: bool, total: Array, with_relu: bool, relu: Array, with_active: bool, active: Array,
) -> None:  # fmt: skip
    """Sum of normalised tensors, and where it is positive.

    Args:
        count: terms, 1 to 3; the others are not read.
        z0: the first term, (rows, period).
        z1: the second.
        z2: the third.
        mean: (3, c), subtracted from each term.
        inverse: (3, c), what each is multiplied with then.
        weight: (3, c), and then.
        bias: (3, c), added to each.
        with_total: whether the sum is wanted.
        total: (rows, period), written if so; any of these may be one of the terms.
        with_relu: whether the ReLU of the sum is wanted.
        relu: (rows, period), written if so.
        with_active: whether the signs are wanted.
        active: (rows, period) of uint8, 1 where the sum is positive; written if so.
    """
    rows, period = z0.shape
    scale = inverse * weight
    shift = np.zeros_like(mean[0])
    for k in range(count):
        shift += bias[k] - mean[k] * scale[k]
    b = _tile(shift, period)
    a0, a1, a2 = _tile(scale[0], period), _tile(scale[1], period), _tile(scale[2], period)
    zero = np.zeros_like(shift)[0]
    row = np.empty_like(b)
    for i in range(rows):
        if count == 1:
            for j in range(period):
                row[j] = z0[i, j] * a0[j] + b[j]
        elif count == 2:
            for j in range(period):
                row[j] = z0[i, j] * a0[j] + z1[i, j] * a1[j] + b[j]
        else:
            for j in range(period):
                row[j] = z0[i, j] * a0[j] + z1[i, j] * a1[j] + z2[i, j] * a2[j] + b[j]
        if with_total:
            for j in range(period):
                total[i, j] = row[j]
        if with_relu:
            for j in range(period):
                relu[i, j] = zero if row[j] < zero else row[j]
        if with_active:
            for j in range(period):
                active[i, j] = row[j] > zero


@_compiled
def _add_row(i: int, target: Array, part: Array, factor: float) -> None:
    for j in range(target.shape[1]):
        target[i, j] += part[i, j] * factor


@_compiled
def _row_sums(i: int, g: Array, z: Array, mean: Array, along: Array) -> None:
    """Add the products of four rows."""
    for j in range(g.shape[1]):
        m = mean[j]
        along[j] += (g[i, j] * (z[i, j] - m) + g[i + 1, j] * (z[i + 1, j] - m)) + (
            g[i + 2, j] * (z[i + 2, j] - m) + g[i + 3, j] * (z[i + 3, j] - m)
        )


@_compiled
def _row_sum(i: int, g: Array, z: Array, mean: Array, along: Array) -> None:
    for j in range(g.shape[1]):
        along[j] += g[i, j] * (z[i, j] - mean[j])


@_compiled
def _fold(sums: Array, target: Array) -> None:
    """Add (period,) to (c,) in float64 and set it to zero."""
    channels = target.shape[0]
    for start in range(0, sums.shape[0], channels):
        for c in range(channels):
            target[c] += sums[start + c]
    sums[:] = 0


@_compiled
def gather(
    g: Array, g_by: float,
    masked: int, m0: Array, m1: Array, masked_by: Array, active: Array,
    plain: int, p0: Array, p1: Array, p2: Array, plain_by: Array,
    count: int, z0: Array, z1: Array, z2: Array, mean: Array, total: Array, along: Array,
) -> None:  # fmt: skip
    """The adjoint of a sum of normalised tensors, and what their normalisations need of it.

    Args:
        g: an adjoint of the ReLU, or of the sum if there is none; (rows, period). The sum of all
            adjoints is written into it.
        g_by: its coefficient.
        masked: adjoints of the ReLU, 0 to 3, the first of them ``g``.
        m0: the second, (rows, period); not read if there is none, like all that follow.
        m1: the third.
        masked_by: (3,), their coefficients, and one that is not read.
        active: (rows, period) of uint8: adjoints of the ReLU count where it is not 0.
        plain: further adjoints of the sum itself, 0 to 3.
        p0: the first, (rows, period).
        p1: the second.
        p2: the third.
        plain_by: (3,), their coefficients.
        count: normalised terms, 0 to 3.
        z0: the first term, (rows, period), before its normalisation.
        z1: the second.
        z2: the third.
        mean: (3, c), of the terms.
        total: (c,) float64, the sum of ``g``; zeros before.
        along: (3, c) float64, the sums of ``g (z - mean)``; zeros before.
    """
    rows, period = g.shape
    c0, c1, c2 = _tile(mean[0], period), _tile(mean[1], period), _tile(mean[2], period)
    f0, f1 = masked_by[0], masked_by[1]
    sums = np.zeros(period, g.dtype)
    s0, s1, s2 = np.zeros(period, g.dtype), np.zeros(period, g.dtype), np.zeros(period, g.dtype)
    zero = sums[0]
    done = 0
    for i in range(rows):
        if masked == 0:
            for j in range(period):
                g[i, j] *= g_by
        elif masked == 1:
            for j in range(period):
                g[i, j] = zero if active[i, j] == 0 else g[i, j] * g_by
        elif masked == 2:
            for j in range(period):
                value = g[i, j] * g_by + m0[i, j] * f0
                g[i, j] = zero if active[i, j] == 0 else value
        else:
            for j in range(period):
                value = g[i, j] * g_by + m0[i, j] * f0 + m1[i, j] * f1
                g[i, j] = zero if active[i, j] == 0 else value
        if plain > 0:
            _add_row(i, g, p0, plain_by[0])
        if plain > 1:
            _add_row(i, g, p1, plain_by[1])
        if plain > 2:
            _add_row(i, g, p2, plain_by[2])
        if count == 0 or (i % 4 != 3 and i + 1 < rows):
            continue
        if i % 4 == 3:
            start = i - 3
            for j in range(period):
                sums[j] += (g[start, j] + g[i - 2, j]) + (g[i - 1, j] + g[i, j])
            _row_sums(start, g, z0, c0, s0)
            if count > 1:
                _row_sums(start, g, z1, c1, s1)
            if count > 2:
                _row_sums(start, g, z2, c2, s2)
        else:  # the last one to three rows
            for last in range(rows // 4 * 4, rows):
                for j in range(period):
                    sums[j] += g[last, j]
                _row_sum(last, g, z0, c0, s0)
                if count > 1:
                    _row_sum(last, g, z1, c1, s1)
                if count > 2:
                    _row_sum(last, g, z2, c2, s2)
        done += 4
        if done >= BLOCK or i + 1 == rows:
            done = 0
            _fold(sums, total)
            _fold(s0, along[0])
            _fold(s1, along[1])
            _fold(s2, along[2])


@_compiled
def _spread_row(
    i: int, row: Array, g: Array, z: Array,
    mean: Array, by_g: Array, by_z: Array, shift: Array, with_dots: bool, dots: Array, d: Array,
) -> None:  # fmt: skip
    for j in range(row.shape[0]):
        row[j] = g[i, j] * by_g[j] + (z[i, j] - mean[j]) * by_z[j] + shift[j]
    if with_dots:
        for j in range(row.shape[0]):
            dots[j] += z[i, j] * row[j]
    for j in range(row.shape[0]):
        d[i, j] = row[j]


@_compiled
def spread(
    count: int, g: Array, z0: Array, z1: Array, z2: Array,
    mean: Array, inverse: Array, weight: Array, total: Array, along: Array,
    d0: Array, d1: Array, d2: Array, with_dots: bool, dots: Array,
) -> None:  # fmt: skip
    """The adjoints before the normalisations.

    With x = (z - mean) * inverse and m values in a channel:
    d = weight * inverse * (g - total / m - x * (along * inverse) / m).

    Args:
        count: normalised terms, 1 to 3.
        g: the adjoint of their sum, (rows, period).
        z0: the first term before its normalisation, (rows, period).
        z1: the second.
        z2: the third.
        mean: (3, c), of the terms.
        inverse: (3, c), 1 / sqrt(variance + eps).
        weight: (3, c), of the normalisations.
        total: (c,), from ``gather``.
        along: (3, c), from ``gather``.
        d0: the first adjoint, (rows, period), written; it may be ``z0``, and so on.
        d1: the second.
        d2: the third.
        with_dots: whether sums of ``z d`` over the pixels of each image are wanted.
        dots: (3, images, period), added to if so; not empty in any case.
    """
    rows, period = g.shape
    values = rows * (period // mean.shape[1])
    by_g = inverse * weight
    by_z = np.empty_like(by_g)
    shift = np.empty_like(by_g)
    for k in range(count):
        for c in range(mean.shape[1]):
            factor = -np.float64(by_g[k, c]) / values
            by_z[k, c] = factor * inverse[k, c] * inverse[k, c] * along[k, c]
            shift[k, c] = factor * total[c]
    c0, c1, c2 = _tile(mean[0], period), _tile(mean[1], period), _tile(mean[2], period)
    a0, a1, a2 = _tile(by_g[0], period), _tile(by_g[1], period), _tile(by_g[2], period)
    b0, b1, b2 = _tile(by_z[0], period), _tile(by_z[1], period), _tile(by_z[2], period)
    h0, h1, h2 = _tile(shift[0], period), _tile(shift[1], period), _tile(shift[2], period)
    images = dots.shape[1]
    row = np.empty_like(c0)
    for i in range(rows):
        image = i * images // rows
        _spread_row(i, row, g, z0, c0, a0, b0, h0, with_dots, dots[0, image], d0)
        if count > 1:
            _spread_row(i, row, g, z1, c1, a1, b1, h1, with_dots, dots[1, image], d1)
        if count > 2:
            _spread_row(i, row, g, z2, c2, a2, b2, h2, with_dots, dots[2, image], d2)


@_compiled
def _ones(word: Any) -> Any:
    """How many of the 64 bits are set."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + (
        (word >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


@_compiled
def agreements(bits: Array, units: int, found: Array) -> None:
    """Number of units on which each pair of images agrees.

    Args:
        bits: (n, words) of uint64, a bit for each unit, unused bits 0.
        units: of each image.
        found: (n, n), written.
    """
    n, words = bits.shape
    for i in range(n):
        found[i, i] = units
        for k in range(i):
            different = np.uint64(0)
            for w in range(words):
                different += _ones(bits[i, w] ^ bits[k, w])
            found[i, k] = units - np.int64(different)
            found[k, i] = found[i, k]
