"""Closed-form costs of networks made of NAS-Bench-201 cells, vectorised over architectures.

The forward pass of ``foretell.networks.cells`` is simulated on arrays: every operation declares
what it reads and writes, and the peak memory is the largest sum of live values at one operation.
Tests compare both to the byte.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from foretell.spaces._base import CostTable
from foretell.types import Array, IntArray, Shape3

__all__ = ["EDGES", "OPS", "CellCosts", "live_edges"]

OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NONE, SKIP, CONV1, CONV3, POOL = range(5)
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
_FLOAT = 4
"""Bytes of one activation."""


def live_edges(genes: IntArray) -> NDArray[np.bool_]:
    """Whether each edge lies on a path from input to output without ``none``, (n, 6)."""
    a, b, c, d, e, f = (genes != NONE).T
    reached_1 = a
    reached_2 = b | (a & c)
    leads_2 = f
    leads_1 = e | (c & f)
    return np.stack(
        [a & leads_1, b & leads_2, reached_1 & c & leads_2, d, reached_1 & e, reached_2 & f],
        axis=1,
    )


@dataclass
class CellCosts:
    """Running totals of n networks over one walk through their layers.

    Args:
        params: all trainable parameters so far.
        live: those on live paths.
        flops: multiply-adds.
        peak: largest bytes alive so far.
        logs: sum of log weights of live layers.
        alive: whether the input still reaches this layer.
        channels: channels of the current value.
        height: of the current value.
        width: of the current value.
    """

    params: IntArray
    live: IntArray
    flops: IntArray
    peak: IntArray
    logs: Array
    alive: NDArray[np.bool_]
    channels: IntArray
    height: int
    width: int

    @classmethod
    def stem(cls, n: int, input_shape: Shape3, channels: int | IntArray) -> "CellCosts":
        """A 3x3 convolution with BatchNorm."""
        c, h, w = input_shape
        zeros = np.zeros(n, dtype=np.int64)
        total = cls(
            zeros.copy(),
            zeros.copy(),
            zeros.copy(),
            zeros.copy(),
            np.zeros(n),
            np.ones(n, dtype=bool),
            np.broadcast_to(np.asarray(channels, dtype=np.int64), (n,)).copy(),
            int(h),
            int(w),
        )
        image, value = int(c) * h * w, total.channels * h * w
        total._convolution(np.full(n, c, dtype=np.int64), total.channels, 3)
        total._normalisation(total.channels)
        total._alive(image + value)
        total._alive(2 * value)
        return total

    def reduction(self, c_in: IntArray, c_out: IntArray) -> None:
        """A residual block of stride 2: two 3x3 convolutions, pooling and 1x1 beside them."""
        before = c_in * self.height * self.width
        self.height, self.width = -(-self.height // 2), -(-self.width // 2)
        pooled, after = (c * self.height * self.width for c in (c_in, c_out))
        self._convolution(c_in, c_out, 3)
        self._convolution(c_out, c_out, 3)
        self._convolution(c_in, c_out, 1)
        for _ in range(2):
            self._normalisation(c_out)
        # body: relu, conv, norm, relu, conv, norm; then pooling, conv and the sum
        self._alive(2 * before)
        self._alive(2 * before + after)
        self._alive(before + 2 * after)
        self._alive(before + after + pooled)
        self._alive(pooled + 2 * after)
        self._alive(3 * after)
        self.channels = c_out

    def cell(self, genes: IntArray, c_in: IntArray, c_out: IntArray, *, times: int = 1) -> None:
        """``times`` equal cells, one after the other (more than one only if c_in = c_out)."""
        if not times:
            return
        live = live_edges(genes)
        changes = c_in != c_out
        self.alive &= live.any(axis=1)
        for e, (source, _) in enumerate(EDGES):
            op, on = genes[:, e], live[:, e]
            for kind in (CONV1, CONV3, SKIP, POOL):
                there = op == kind
                if kind in (SKIP, POOL):  # these have weights only to change the channels
                    if source or not changes.any():
                        continue
                    there = there & changes
                kernel = 3 if kind == CONV3 else 1
                self._convolution(c_out if source else c_in, c_out, kernel, on, there, times)
                self._normalisation(c_out, on, there, times)
        pixels = self.height * self.width
        if changes.any():
            self._alive(_cell_peak(genes, c_in * pixels, c_out * pixels))
        else:
            code = genes @ np.array([5**i for i in range(5, -1, -1)])
            self._alive(_cell_values()[code] * c_out * pixels)
        self.channels = c_out

    def head(self, classes: int) -> CostTable:
        """BatchNorm, ReLU, global average and a linear layer."""
        c = self.channels
        self._normalisation(c)
        value = c * self.height * self.width
        self._alive(2 * value)
        self._alive(value + c)
        self._alive(c + classes)
        weights = c * classes
        self.params += weights + classes
        self.live += weights + classes
        self.flops += weights
        self.logs += np.log(weights)
        dead = ~self.alive
        self.live[dead] = 0
        self.logs[dead] = 0.0
        return CostTable(
            self.params, self.live, self.flops, self.peak * _FLOAT, self.logs, self.alive
        )

    def _alive(self, numbers: IntArray) -> None:
        np.maximum(self.peak, numbers, out=self.peak)

    def _convolution(
        self,
        c_in: IntArray,
        c_out: IntArray,
        kernel: int,
        live: bool | NDArray[np.bool_] = True,
        there: bool | NDArray[np.bool_] = True,
        times: int = 1,
    ) -> None:
        weights = c_in * c_out * kernel * kernel
        runs = np.logical_and(live, there) * times
        self.params += weights * there * times
        self.live += weights * runs
        self.flops += weights * (self.height * self.width) * runs
        self.logs += np.log(weights) * runs

    def _normalisation(
        self,
        channels: IntArray,
        live: bool | NDArray[np.bool_] = True,
        there: bool | NDArray[np.bool_] = True,
        times: int = 1,
    ) -> None:
        self.params += 2 * times * channels * there
        self.live += 2 * times * channels * np.logical_and(live, there)


@lru_cache(maxsize=1)
def _cell_values() -> IntArray:
    """Maximum number of live values in each cell without a change of channels, (15625,)."""
    genes = np.array(list(np.ndindex(*(len(OPS),) * len(EDGES))), dtype=np.int64)
    ones = np.ones(len(genes), dtype=np.int64)
    return _cell_peak(genes, ones, ones)


def _cell_peak(genes: IntArray, size_in: IntArray, size_out: IntArray) -> IntArray:
    """Maximum number of live elements at one operation of each cell, (n,).

    Args:
        genes: (n, 6).
        size_in: elements of the cell's input, (n,).
        size_out: elements of each value that the cell computes, (n,).
    """
    n, rows = len(genes), np.arange(len(genes))
    live, changes = live_edges(genes), size_in != size_out
    steps = 5 * len(EDGES)  # relu, conv, norm, pool, add for each edge
    # value 0 is the input; each edge may make relu, conv, norm, pool and add, in this order
    birth = np.full((n, 1 + steps), -1)
    death = np.full((n, 1 + steps), -1)
    sizes = np.repeat(size_out[:, None], 1 + steps, axis=1)
    birth[:, 0], death[:, 0], sizes[:, 0] = 0, 0, size_in
    ends = [np.zeros(n, dtype=np.int64)]  # which value each of the cell's nodes is
    total = np.full(n, -1)
    for e, (source, target) in enumerate(EDGES):
        time, op, on, start = 5 * e, genes[:, e], live[:, e], ends[source]
        moves = changes & (source == 0)
        rectifies = on & ((op == CONV1) | (op == CONV3) | ((op == POOL) & moves))
        convolves = rectifies | (on & (op == SKIP) & moves)
        pools = on & (op == POOL)
        value = start
        for step, there in enumerate((rectifies, convolves, convolves, pools)):
            death[rows[there], value[there]] = time + step
            value = np.where(there, 1 + time + step, value)
            birth[there, 1 + time + step] = time + step
        if source == 0:
            sizes[:, 1 + time] = size_in
        adds = on & (total >= 0)
        death[rows[adds], value[adds]] = time + 4
        death[rows[adds], total[adds]] = time + 4
        birth[adds, 1 + time + 4] = time + 4
        total = np.where(adds, 1 + time + 4, np.where(on, value, total))
        if source == target - 1:
            ends.append(total)
            total = np.full(n, -1)
    alive = live.any(axis=1)
    death[rows[alive], ends[3][alive]] = steps - 1
    change = np.zeros((n, steps + 1), dtype=np.int64)
    for i in range(1 + steps):
        there = birth[:, i] >= 0
        change[rows[there], birth[there, i]] += sizes[there, i]
        change[rows[there], death[there, i] + 1] -= sizes[there, i]
    peak = change.cumsum(axis=1).max(axis=1)
    return np.where(alive, peak, size_in + size_out)  # a dead cell writes zeros
