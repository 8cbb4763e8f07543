"""Growing arrays, one per metric, filled in any order."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.benchmarks._base import Metric
from foretell.errors import TableFormatError
from foretell.types import Array

__all__ = ["Sheet", "number", "numbers", "same", "shown"]

_LARGEST_TABLE = 4 << 30
_MOST_SEEDS = 64
_MOST_METRICS = 5_000


@dataclass
class _Block:
    """The numbers of one metric: (rows, seeds, epochs), NaN by default."""

    metric: Metric
    seeds: list[int]
    epochs: list[int]
    values: Array


@dataclass
class Sheet:
    """Arrays that grow with the rows, seeds and epochs of a file.

    Args:
        rows: expected number of architectures.
        what: the file, for messages.
    """

    rows: int
    what: str
    _blocks: dict[str, _Block] = field(default_factory=dict)
    _size: int = 0

    def put(
        self,
        metric: Metric,
        row: int,
        values: Sequence[float] | Array,
        *,
        seed: int = 0,
        epochs: Sequence[int] = (0,),
    ) -> None:
        """Store the numbers of one architecture and run, one per epoch.

        Raises:
            TableFormatError: the numbers do not match the epochs, or the table exceeds a limit.
        """
        if len(values) != len(epochs):
            raise TableFormatError(
                f"{self.what}: {len(values)} numbers of {metric.key!r} for {len(epochs)} epochs."
            )
        if not len(epochs):
            return
        block = self._blocks.get(metric.key)
        if block is None:
            block = _Block(metric, [seed], sorted(set(epochs)), np.empty((0, 0, 0)))
            self._blocks[metric.key] = block
            if len(self._blocks) > _MOST_METRICS:
                raise TableFormatError(
                    f"{self.what}: more than {_MOST_METRICS} metrics, which no benchmark has: use "
                    f"the official file."
                )
            self._resize(block)
        if row >= len(block.values):
            if row >= self.rows:
                self.rows = max(self.rows * 2, row + 1)
            self._resize(block)
        if seed not in block.seeds:
            self._extend(block, seed)
        if list(epochs) != block.epochs and not set(epochs) <= set(block.epochs):
            self._stretch(block, epochs)
        seed_index = block.seeds.index(seed)
        if list(epochs) == block.epochs:
            block.values[row, seed_index] = values
        else:
            columns = [block.epochs.index(e) for e in epochs]
            block.values[row, seed_index, columns] = values

    def finish(self, rows: int) -> tuple[dict[str, Metric], dict[str, NDArray[Any]]]:
        """Facts and numbers of every metric, by key; seeds and epochs increasing."""
        metrics, values = {}, {}
        for key, block in self._blocks.items():
            order = np.argsort(block.seeds, kind="stable")
            content = block.values[:rows]
            if len(content) < rows:
                missing = np.full((rows - len(content), *content.shape[1:]), np.nan)
                content = np.concatenate([content, missing])
            if order.tolist() != list(range(len(order))):
                content = content[:, order]
            metrics[key] = replace(
                block.metric,
                seeds=tuple(block.seeds[i] for i in order),
                epochs=tuple(block.epochs),
            )
            values[key] = content
        return metrics, values

    def _resize(self, block: _Block) -> None:
        shape = (max(self.rows, 1), len(block.seeds), len(block.epochs))
        self._replace(block, shape, (slice(None), slice(None)))

    def _extend(self, block: _Block, seed: int) -> None:
        block.seeds.append(seed)
        if len(block.seeds) > _MOST_SEEDS:
            raise TableFormatError(
                f"{self.what}: more than {_MOST_SEEDS} runs of {block.metric.key!r}, which no "
                f"benchmark has: use the official file."
            )
        self._resize(block)

    def _stretch(self, block: _Block, epochs: Sequence[int]) -> None:
        old = block.epochs
        block.epochs = sorted({*old, *epochs})
        shape = (len(block.values), len(block.seeds), len(block.epochs))
        columns = [block.epochs.index(e) for e in old]
        self._replace(block, shape, (slice(None), columns))

    def _replace(self, block: _Block, shape: tuple[int, int, int], places: Any) -> None:
        self._size += 8 * math.prod(shape) - block.values.nbytes
        if self._size > _LARGEST_TABLE:
            raise TableFormatError(
                f"{self.what}: the table would take more than {_LARGEST_TABLE >> 30} GiB, which no "
                f"benchmark does: use the official file."
            )
        made = np.full(shape, np.nan)
        old = block.values
        if old.size:
            seeds, epochs = places
            part = made[: len(old), : old.shape[1]][:, seeds]
            part[..., epochs if epochs != slice(None) else slice(old.shape[2])] = old
        block.values = made


def same(value: Any, expected: int | str) -> bool:
    """Whether a value of a file is exactly that one, whatever it is: arrays have an own idea."""
    return type(value) is type(expected) and bool(value == expected)


def shown(value: Any) -> str:
    """A short text of a value for messages."""
    if isinstance(value, str):
        return repr(value[:60])
    if value is None or isinstance(value, bool | float):
        return str(value)
    if isinstance(value, int) and abs(value) < 1 << 63:
        return str(value)
    if isinstance(value, tuple) and len(value) < 4 and not any(isinstance(v, tuple) for v in value):
        return f"({', '.join(map(shown, value))})"
    return f"something of the type {type(value).__name__}"


def number(value: Any, what: str) -> float:
    """A number as a float; None is NaN.

    Raises:
        TableFormatError: it is no number.
    """
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TableFormatError(f"{what} should be a number, but is a {type(value).__name__}.")
    try:
        return float(value)
    except OverflowError as error:
        raise TableFormatError(f"{what} is too large for a number.") from error


def numbers(values: Any, what: str) -> Array:
    """A list of numbers as an array; None is NaN.

    Raises:
        TableFormatError: it is no list, or something in it is no number.
    """
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "iuf":
        return values.astype(np.float64)
    if not isinstance(values, list | tuple):
        raise TableFormatError(f"{what} should be a list, but is a {type(values).__name__}.")
    if set(map(type, values)) <= {float}:
        return np.array(values, dtype=np.float64)
    return np.array([number(v, what) for v in values], dtype=np.float64)
