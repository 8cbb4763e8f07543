"""The contract of a search space: sample, neighbors, graph; the rest has defaults."""

import difflib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import zip_longest
from typing import ClassVar, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.errors import ArchError, NetworkError, UnknownNameError, UsageError
from foretell.graph import Graph
from foretell.types import Array, IntArray, Shape3

__all__ = ["CostTable", "ProductSpace", "Skeleton", "Space"]

_LONGEST_GENE = 10
"""Digits of a gene in a text, from which it is none."""


_OWN_PRESET = re.compile(r"([1-9][0-9]{0,3})x([1-9][0-9]{0,2})")
"""Channels and cells of a skeleton that has no name."""


@dataclass(frozen=True)
class Skeleton:
    """The fixed part of a network around the searched genes (macro skeleton).

    Args:
        input_shape: channels, height, width of one image.
        classes: number of outputs.
        channels: channels of the stem, where the space leaves them open.
        cells: cells in each stage, where the space leaves them open.
    """

    input_shape: Shape3 = (3, 32, 32)
    classes: int = 10
    channels: int = 16
    cells: int = 5


_INTEGER, _FLOAT, _BOOL = ({"dtype": t} for t in (np.int64, np.float64, np.bool_))


@dataclass(frozen=True)
class CostTable:
    """Closed-form costs of n architectures; every field has shape (n,).

    Args:
        params: trainable parameters, those of dead operations included (int64).
        live_params: trainable parameters on some path from input to output (int64).
        flops: multiply-adds of one image (int64); only what runs: dead operations do not.
        memory: peak activation bytes of one image; see ``foretell.cost.memory`` (int64).
        sum_log_params: sum over live weight layers of log of their number of weights (float64).
        alive: whether input reaches output (bool).
    """

    params: IntArray = field(metadata=_INTEGER)
    live_params: IntArray = field(metadata=_INTEGER)
    flops: IntArray = field(metadata=_INTEGER)
    memory: IntArray = field(metadata=_INTEGER)
    sum_log_params: Array = field(metadata=_FLOAT)
    alive: NDArray[np.bool_] = field(metadata=_BOOL)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(f.name for f in fields(cls))

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[float] | Array]) -> Self:
        """A table of columns by name.

        Args:
            columns: name of a field -> n values.
        """
        return cls(*(np.array(columns[f.name], f.metadata["dtype"]) for f in fields(cls)))

    def __len__(self) -> int:
        """Number of architectures."""
        return len(self.params)

    def limited(self, name: str) -> Array | IntArray:
        """The values that a limit or an objective of some name is about, (n,).

        ``params`` there are the live ones: the others are not exported.
        """
        values: Array | IntArray = getattr(self, "live_params" if name == "params" else name)
        return values


@dataclass(frozen=True)
class Space(ABC):
    """A search space: a set of architectures.

    Args:
        name: as in ``Arch.space``: a registered name or a ``module:attribute`` string.
    """

    name: str

    network: ClassVar[str] = ""
    """``module:function`` that builds a network: (space, arch, skeleton) -> nn.Module."""
    presets: ClassVar[Mapping[str, tuple[int, int]]] = {}
    """Name of a skeleton -> (channels, cells); the first is the published one."""
    published_features: ClassVar[str] = ""
    """``module:function`` that gives GRAF's own columns: (space, archs) -> EncodingTable."""

    @abstractmethod
    def sample(self, rng: Generator) -> Arch:
        """One architecture, uniformly where the space is finite."""

    @abstractmethod
    def neighbors(self, arch: Arch) -> list[Arch]:
        """Every architecture one edit away, in a fixed order."""

    @abstractmethod
    def graph(self, arch: Arch) -> Graph:
        """The searched part of the network as a labelled DAG."""

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Number of choices of each gene; empty where architectures differ in length."""
        return ()

    @property
    def graph_describes_network(self) -> bool:
        """Whether ``graph`` describes what a network computes; otherwise networks are traced."""
        return True

    @property
    def size(self) -> int | None:
        """Number of architectures; None if unknown or infinite."""
        return None

    def genes(self, archs: Sequence[Arch]) -> IntArray:
        """The genes as an array, (n, genes), for architectures of equal length."""
        return np.array([a.genes for a in archs], dtype=np.int64).reshape(
            len(archs), len(self.cardinalities)
        )

    def genes_fit(self, arch: Arch) -> bool:
        """Whether the number of genes and each of their values fit ``cardinalities``."""
        counts = self.cardinalities
        return len(arch.genes) == len(counts) and all(
            0 <= g < c for g, c in zip(arch.genes, counts, strict=True)
        )

    def enumerate(self) -> Iterator[Arch]:
        """Every architecture, once.

        Raises:
            ArchError: the space cannot be enumerated.
        """
        raise ArchError(f"The space {self.name!r} cannot be enumerated: sample it instead.")

    def mutate(self, arch: Arch, rng: Generator) -> Arch:
        """A uniformly drawn neighbor."""
        near = self.neighbors(arch)
        return near[int(rng.integers(len(near)))] if near else arch

    def edit(self, before: Arch, after: Arch) -> str:
        """A description of the edit that turns one architecture into another."""
        changes = [
            f"gene {i}: {old} -> {new}"
            for i, (old, new) in enumerate(zip_longest(before.genes, after.genes))
            if old != new
        ]
        return ", ".join(changes)

    def gene_name(self, index: int) -> str:
        """The name of a gene, such as "edge 0->1"."""
        return f"gene {index}"

    def crossover(self, first: Arch, second: Arch, rng: Generator) -> Arch:
        """Each gene from one parent or the other, with equal chance."""
        mask = rng.random(len(first.genes)) < 0.5
        pairs = zip(first.genes, second.genes, mask, strict=True)
        return Arch(self.name, tuple(a if m else b for a, b, m in pairs))

    def check(self, arch: Arch) -> Arch:
        """The same architecture, if it belongs to this space.

        Raises:
            ArchError: it does not.
        """
        if arch.space != self.name:
            raise ArchError(f"Expected an architecture of {self.name!r}, but got {arch}.")
        return arch

    def format(self, arch: Arch) -> str:
        """The text that ``parse`` reads; the official string where a benchmark has one."""
        return ".".join(map(str, arch.genes))

    def parse(self, text: str) -> Arch:
        """The architecture of a text: what ``format`` writes, or an ``Arch`` as JSON.

        Raises:
            ArchError: the text is neither.
        """
        text = text.strip()
        if text.startswith("{"):
            return self.check(Arch.from_json(text))
        genes = text.removeprefix(f"{self.name}:").split(".")
        if not all(g.isdecimal() and len(g) < _LONGEST_GENE for g in genes):
            raise ArchError(
                f"{text[:80]!r} is no architecture of {self.name!r}: expected text such as "
                f"{self.example()!r}."
            )
        return self.check(Arch(self.name, tuple(map(int, genes))))

    def example(self) -> str:
        """The text of some architecture, for messages."""
        return self.format(self.sample(np.random.default_rng(0)))

    def skeleton(
        self, input_shape: Shape3 = (3, 32, 32), classes: int = 10, preset: str | None = None
    ) -> Skeleton:
        """The fixed part of the networks for images of some shape.

        Args:
            input_shape: channels, height, width.
            classes: number of outputs.
            preset: a name from ``presets``, or channels and cells such as "12x1"; by default the
                published skeleton for images of 24 pixels and more, and the smallest preset for
                smaller ones.

        Raises:
            UnknownNameError: no such preset.
            UsageError: "auto", which needs the limits of a search.
        """
        names = list(self.presets)
        c, h, w = (int(v) for v in input_shape)
        if preset is None:
            if not names:
                return Skeleton((c, h, w), classes)
            preset = names[0] if min(h, w) >= 24 else names[-1]
        if names and (match := _OWN_PRESET.fullmatch(preset)):
            channels, cells = int(match[1]), int(match[2])
            return Skeleton((c, h, w), classes, channels, cells)
        if names and preset == "auto":
            raise UsageError(
                f"The preset 'auto' follows from the limits of a search (foretell search "
                f"--max-params 100k --preset auto): here name one of {', '.join(names)}, or "
                f"channels and cells, such as 12x1."
            )
        if preset not in self.presets:
            raise UnknownNameError(
                "preset", preset, difflib.get_close_matches(preset, names), names
            )
        channels, cells = self.presets[preset]
        return Skeleton((c, h, w), classes, channels, cells)

    def builder(self) -> str:
        """The ``module:function`` that builds a network.

        Raises:
            NetworkError: the space has none.
        """
        if not self.network:
            raise NetworkError(
                f"Networks of the space {self.name!r} cannot be built, only their graphs: rank "
                f"architectures by measured values with 'foretell predict', judge a table with "
                f"'foretell evaluate', or set the class attribute network = 'module:function'."
            )
        return self.network

    def costs(self, archs: Sequence[Arch], skeleton: Skeleton) -> CostTable | None:
        """Closed-form costs, vectorised; None where the space has no closed form."""
        return None

    def adjacency(self, archs: Sequence[Arch]) -> tuple[IntArray, NDArray[np.str_]] | None:
        """The benchmark's own adjacency matrices, padded to one size; None for those of the graphs.

        Returns:
            Adjacency matrices (n, v, v) and operations (n, v), "" where there is no vertex; the
            input is the first and the output the last.
        """
        return None

    def alive(self, archs: Sequence[Arch]) -> NDArray[np.bool_]:
        """Whether input reaches output, (n,)."""
        return np.array([self.graph(a).alive for a in archs], dtype=bool)


@dataclass(frozen=True)
class ProductSpace(Space):
    """A space of independent decisions, each with a fixed number of choices.

    Subclasses implement ``cardinalities`` and ``graph``.
    """

    @property
    @abstractmethod
    def cardinalities(self) -> tuple[int, ...]:
        """Number of choices of each decision."""

    @property
    def size(self) -> int:
        """The product of the cardinalities."""
        return int(np.prod(self.cardinalities, dtype=object))

    def sample(self, rng: Generator) -> Arch:
        """Each gene uniformly."""
        return Arch(self.name, tuple(rng.integers(self.cardinalities).tolist()))

    def neighbors(self, arch: Arch) -> list[Arch]:
        """Every architecture that differs in one gene."""
        self.check(arch)
        return [
            arch.set(i, g)
            for i, (old, count) in enumerate(zip(arch.genes, self.cardinalities, strict=True))
            for g in range(count)
            if g != old
        ]

    def enumerate(self) -> Iterator[Arch]:
        """Every architecture, the last gene running fastest."""
        return (Arch(self.name, tuple(map(int, g))) for g in np.ndindex(*self.cardinalities))

    def check(self, arch: Arch) -> Arch:
        """The same architecture, if its genes fit.

        Raises:
            ArchError: they do not.
        """
        super().check(arch)
        if not self.genes_fit(arch):
            counts = self.cardinalities
            raise ArchError(
                f"Expected {len(counts)} genes below {list(counts)}, but got {list(arch.genes)} "
                f"for the space {self.name!r}."
            )
        return arch
