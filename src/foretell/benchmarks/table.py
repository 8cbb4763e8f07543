"""Tables: one array for each metric, in one file that is mapped into memory."""

import io
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.benchmarks._base import Benchmark, Metric, TableData
from foretell.benchmarks._file import DTYPES, TableFile, write
from foretell.errors import BenchmarkError
from foretell.files import user_path, whole
from foretell.spaces import spaces
from foretell.types import Array

__all__ = ["ENDING", "Table", "check_name", "check_path", "from_data", "write_table"]

ENDING = ".foretell"
"""How the name of a table's file ends."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Table(Benchmark):
    """A benchmark in one file.

    Nothing is read before it is asked for. Architectures are found by their genes, by their
    official text, or by any other text that their space reads; a table whose space is not known
    here is asked by official text, or by an ``Arch`` of that space.

    Args:
        file: an opened table.
    """

    def __init__(self, file: TableFile) -> None:
        """Store the file; ``open`` and ``from_data`` make tables."""
        head = file.header
        self._file = file
        self.name, self.space = head.name, head.space
        self.facts: Mapping[str, str] = MappingProxyType(head.facts)
        self.metrics: Mapping[str, Metric] = MappingProxyType(
            {c.metric.key: c.metric for c in head.columns}
        )
        self._places = {key: i for i, key in enumerate(self.metrics)}

    @classmethod
    def open(cls, path: Path | str) -> "Table":
        """The table of a file, which stays where it is.

        Raises:
            MissingDataError: there is no such file.
            TableFormatError: it is no table, of another version, cut off or damaged.
        """
        return cls(TableFile.open(user_path(path)))

    def __len__(self) -> int:
        """Number of architectures."""
        return self._file.header.rows

    def __repr__(self) -> str:
        """Name and size."""
        return f"Table({self.name!r}, {len(self):,} architectures, {len(self.metrics)} metrics)"

    @cached_property
    def texts(self) -> Sequence[str]:  # type: ignore[override]
        """Official text of each architecture."""
        return tuple(self._file.texts())

    @cached_property
    def genes(self) -> NDArray[np.int64] | None:
        """Genes of each architecture, (n, genes); None without a space."""
        genes = self._file.genes()
        return None if genes is None else genes.astype(np.int64)

    def archs(self) -> list[Arch]:
        """Every architecture, in the table's order.

        Raises:
            BenchmarkError: the table has no space; its ``texts`` are all there is.
        """
        if self.genes is None:
            raise BenchmarkError(
                f"The table {self.name!r} belongs to no search space: use its texts instead."
            )
        return [Arch(self.space, tuple(g)) for g in self.genes.tolist()]

    def rows_of(self, archs: Sequence[Arch | str]) -> NDArray[np.int64]:
        """Row of each architecture, (n,); -1 where it is not in the table.

        Raises:
            ArchError: a text is neither in the table nor one that its space reads.
        """
        rows = [
            (self._by_genes.get(a.genes, -1) if a.space == self.space else -1)
            if isinstance(a, Arch)
            else self._by_text.get(a, -1)
            for a in archs
        ]
        row_of = np.array(rows, dtype=np.int64)
        others = [i for i in np.flatnonzero(row_of < 0).tolist() if isinstance(archs[i], str)]
        if others and self._by_genes and self.space in spaces:
            space = spaces[self.space]
            for i in others:
                row_of[i] = self._by_genes.get(space.parse(str(archs[i])).genes, -1)
        return row_of

    def read(
        self, key: str, rows: NDArray[np.int64] | None = None, *, column: int | None = None
    ) -> Array:
        """Values in the metric's unit, (n, seeds, epochs); NaN for missing values.

        Args:
            key: of a metric.
            rows: (n,); by default all.
            column: one place of the epoch axis alone; then its length is 1.

        Raises:
            UnknownNameError: no such metric.
            TableFormatError: the file is damaged.
        """
        scale = self.metric(key).scale
        block = self._file.values(self._places[key])
        if column is not None:
            block = block[column, None]
        if rows is not None:
            block = block.take(rows, axis=1)
        values = block.astype(np.float64)
        if block.dtype.kind == "u":
            values[block == np.iinfo(block.dtype).max] = np.nan
        if scale != 1.0:
            values *= scale
        return np.moveaxis(values, 0, 2)

    def verify(self) -> None:
        """Compare all numbers of the file with its check sums.

        Raises:
            TableFormatError: they differ.
        """
        self._file.verify()

    @cached_property
    def _by_text(self) -> dict[str, int]:
        return {text: row for row, text in enumerate(self.texts)}

    @cached_property
    def _by_genes(self) -> dict[tuple[int, ...], int]:
        genes = self._file.genes()
        return {} if genes is None else {tuple(g): i for i, g in enumerate(genes.tolist())}


def write_table(data: TableData, path: Path | str) -> Path:
    """Write a table to a file, whole or not at all.

    Args:
        data: the table.
        path: ends in ``.foretell``; its folder is made.

    Returns:
        The path.

    Raises:
        BenchmarkError: the data contradict themselves, or the path has another ending.
        OSError: the file cannot be written.
    """
    path = check_path(path)
    _check(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as draft, draft.open("wb") as file:
        write(data, file)
    return path


def check_path(path: Path | str) -> Path:
    """The path, if a table may be written there: asked before hours of work, not after.

    Raises:
        BenchmarkError: it has another ending.
    """
    path = user_path(path)
    if path.suffix != ENDING:
        raise BenchmarkError(f"{path.name!r} should end in {ENDING}, as every table does.")
    return path


def check_name(name: str) -> str:
    """The name, if a table may have it.

    Raises:
        BenchmarkError: it would not do as the name of a file.
    """
    if not _NAME.fullmatch(name):
        raise BenchmarkError(
            f"{name!r} is no name of a table: use letters, digits, '.', '-' and '_'."
        )
    return name


def from_data(data: TableData) -> Table:
    """The same table in memory, as if it had been written and opened.

    Raises:
        BenchmarkError: the data contradict themselves.
    """
    _check(data)
    file = io.BytesIO()
    write(data, file)
    return Table(TableFile(np.frombuffer(file.getbuffer(), np.uint8), data.name))


def _check(data: TableData) -> None:
    """Whether a table can be written and read back.

    Raises:
        BenchmarkError: it cannot.
    """
    rows = len(data.texts)
    check_name(data.name)
    if not rows or not data.values:
        raise BenchmarkError(f"The table {data.name!r} holds no architecture or no metric.")
    if len(set(data.texts)) != rows:
        raise BenchmarkError(f"The table {data.name!r} names some architecture twice.")
    if data.metrics.keys() != data.values.keys():
        odd = sorted(data.metrics.keys() ^ data.values.keys())
        raise BenchmarkError(
            f"Every metric of {data.name!r} needs values, and the other way round: look at "
            f"{', '.join(odd[:5])}."
        )
    if (genes := data.genes) is not None:
        if not data.space or genes.ndim != 2 or len(genes) != rows or not genes.shape[1]:
            raise BenchmarkError(
                f"Expected genes ({rows}, genes) of a space for {data.name!r}, but got "
                f"{genes.shape} of {data.space!r}."
            )
        if genes.dtype.kind not in "iu" or genes.min() < 0 or genes.max() >= 2**32:
            raise BenchmarkError(f"The genes of {data.name!r} should be integers >= 0.")
        if len(np.unique(genes, axis=0)) != rows:
            raise BenchmarkError(f"The table {data.name!r} holds some genes twice.")
    for key, facts in data.metrics.items():
        shape = (rows, len(facts.seeds), len(facts.epochs))
        values = data.values[key]
        if facts.key != key:
            raise BenchmarkError(f"The metric {facts.key!r} of {data.name!r} stands under {key!r}.")
        if values.shape != shape or 0 in shape:
            raise BenchmarkError(
                f"Expected values (architectures, seeds, epochs) = {shape} for {key!r} of "
                f"{data.name!r}, but got {values.shape}."
            )
        if values.dtype.name not in DTYPES:
            raise BenchmarkError(
                f"The values of {key!r} are {values.dtype.name}, but should be one of "
                f"{', '.join(DTYPES)}."
            )
        if list(facts.epochs) != sorted(set(facts.epochs)) or len(set(facts.seeds)) != shape[1]:
            raise BenchmarkError(
                f"The epochs of {key!r} should rise, and its seeds differ from one another."
            )
        if not 0 < abs(facts.scale) < float("inf"):
            raise BenchmarkError(f"The scale of {key!r} should be a number, but is {facts.scale}.")
