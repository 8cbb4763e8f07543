"""The macro space of TransNAS-Bench-101: where to double channels and halve the resolution."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.errors import ArchError
from foretell.graph import Graph, Node
from foretell.spaces._base import Space

__all__ = ["TransNASMacro"]

_OFFICIAL = re.compile(r"64-([1-4]{4,6})-basic", re.ASCII)
_TUPLE = re.compile(r"\([1-4](, ?[1-4]){3,5}(, ?0){0,2}\)", re.ASCII)
_SHORTEST, _LONGEST = 4, 6
_Code = tuple[int, ...]


_CHANNELS, _PIXELS = 64, 64
"""Behind the stem, for images of 256 pixels as in most of the tasks."""


@cache
def _module(gene: int, channels: int, pixels: int) -> Node:
    """Two residual blocks and their costs.

    Args:
        gene: 1 plain, 2 more channels, 3 stride, 4 both.
        channels: of the input.
        pixels: height and width of the input.
    """
    factor, stride = 2 - gene % 2, 1 + (gene > 2)
    wide, side = channels * factor, pixels // stride
    weights = 9 * wide * (channels + 3 * wide)
    beside = channels * wide if gene > 1 else 0  # a 1x1 convolution, and its BatchNorm
    attrs = {
        "kind": "conv",
        "kernel": 3,
        "stride": stride,
        "channel_factor": factor,
        "weights": True,
        "out_channels": wide,
        "resolution": side,
        "params": weights + beside + 2 * wide * (5 if beside else 4),
        "flops": (weights + beside) * side * side,
    }
    ending = ("_c2" if factor == 2 else "") + ("_s2" if stride == 2 else "")
    return Node(f"basic{ending}", MappingProxyType(attrs))


_INPUT = Node("input", MappingProxyType({"out_channels": _CHANNELS, "resolution": _PIXELS}))
_OUTPUT = Node("output")


@dataclass(frozen=True)
class TransNASMacro(Space):
    """Four to six modules of residual blocks; each may double the channels and halve the pixels.

    Genes are the modules: 1 plain, 2 more channels, 3 stride, 4 both, and zeros at the end up to
    six. The channels are doubled one to three times and the resolution is halved one to four
    times. An edit changes, adds or removes a module.

    In the graph each module is a node ("basic", "basic_c2", "basic_s2", "basic_c2_s2"); it stands
    for two residual blocks of two 3x3 convolutions, whose parameters and multiply-adds (on images
    of 256 pixels, without normalisation) it knows.

    Reference: Duan et al., TransNAS-Bench-101, CVPR 2021, section 3. The bounds are those that
    give the published networks, all 3,256 and no other.

    >>> TransNASMacro().parse("64-1234-basic").genes
    (1, 2, 3, 4, 0, 0)
    """

    name: str = "transnas_macro"

    modules: ClassVar[tuple[str, ...]] = ("plain", "wider", "strided", "wider and strided")
    """What the genes 1 to 4 stand for."""
    published_features: ClassVar[str] = "foretell.encodings.graf.published:transnas_macro"

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """None or one of four modules, at each of six positions."""
        return (1 + len(self.modules),) * _LONGEST

    @property
    def size(self) -> int:
        """3,256."""
        return len(_codes())

    def enumerate(self) -> Iterator[Arch]:
        """Every architecture: those of four modules, then of five and of six."""
        return (self._arch(code) for code in _codes())

    def sample(self, rng: Generator) -> Arch:
        """One architecture, uniformly."""
        return self._arch(_codes()[int(rng.integers(len(_codes())))])

    def neighbors(self, arch: Arch) -> list[Arch]:
        """One module changed, removed or added anywhere."""
        old = _code(self.check(arch))
        positions = range(len(old))
        codes = [
            (*old[:i], m, *old[i + 1 :]) for i in positions for m in (1, 2, 3, 4) if m != old[i]
        ]
        codes += [(*old[:i], *old[i + 1 :]) for i in positions]
        codes += [(*old[:i], m, *old[i:]) for i in range(len(old) + 1) for m in (1, 2, 3, 4)]
        return [self._arch(code) for code in dict.fromkeys(codes) if _allowed(code)]

    def crossover(self, first: Arch, second: Arch, rng: Generator) -> Arch:
        """As many modules as one parent has, each from one or the other; redrawn if not allowed."""
        mine, other = _code(first), _code(second)
        while True:
            if rng.random() < 0.5:
                mine, other = other, mine
            mask = rng.random(len(mine)) < 0.5
            taken = tuple(
                other[i] if m and i < len(other) else mine[i] for i, m in enumerate(mask.tolist())
            )
            if _allowed(taken):
                return self._arch(taken)

    def check(self, arch: Arch) -> Arch:
        """The same architecture, if it is one of the 3,256.

        Raises:
            ArchError: it is not.
        """
        super().check(arch)
        if len(arch.genes) != _LONGEST or not _allowed(_code(arch)):
            raise ArchError(
                f"Expected 4 to 6 modules from 1 to 4 and zeros up to 6, of which 1 to 3 double "
                f"the channels (2, 4) and 1 to 4 have a stride (3, 4), but got {list(arch.genes)} "
                f"for the space {self.name!r}."
            )
        return arch

    def format(self, arch: Arch) -> str:
        """The official string."""
        return f"64-{''.join(map(str, _code(arch)))}-basic"

    def parse(self, text: str) -> Arch:
        """The architecture of an official string, of a tuple, of dotted genes, or of JSON.

        Tuples are those of NAS-Bench-Suite-Zero, such as "(1, 2, 3, 4)", with or without zeros at
        the end.

        Raises:
            ArchError: the text is none of them, or breaks the space's bounds.
        """
        words = text.strip().removeprefix(f"{self.name}:")
        if match := _OFFICIAL.fullmatch(words):
            return self.check(self._arch(tuple(map(int, match[1]))))
        if _TUPLE.fullmatch(words):
            return self.check(self._arch(tuple(map(int, re.findall(r"[1-4]", words)))))
        return super().parse(text)

    def graph(self, arch: Arch) -> Graph:
        """A chain of modules."""
        nodes = [_INPUT]
        for gene in _code(self.check(arch)):
            before = nodes[-1].attrs
            nodes.append(_module(gene, before["out_channels"], before["resolution"]))
        nodes.append(_OUTPUT)
        return Graph(tuple(nodes), tuple((i, i + 1) for i in range(len(nodes) - 1)))

    def edit(self, before: Arch, after: Arch) -> str:
        """Which modules were changed, added or removed, counted from 1."""
        old, new = ([self.modules[m - 1] for m in _code(a)] for a in (before, after))
        start = 0
        while start < min(len(old), len(new)) and old[start] == new[start]:
            start += 1
        while len(old) > start < len(new) and old[-1] == new[-1]:
            old.pop()
            new.pop()
        where, was, becomes = f"module {start + 1}", ", ".join(old[start:]), ", ".join(new[start:])
        if becomes:
            return f"{where}: {becomes} instead of {was}" if was else f"{where} added: {becomes}"
        return f"{where} removed: {was}" if was else ""

    def gene_name(self, index: int) -> str:
        """The module's number, counted from 1."""
        return f"module {index + 1}"

    def alive(self, archs: Sequence[Arch]) -> NDArray[np.bool_]:
        """Always: there is one path, and nothing on it is zero."""
        return np.ones(len(archs), dtype=bool)

    def _arch(self, code: _Code) -> Arch:
        return Arch(self.name, code + (0,) * (_LONGEST - len(code)))


def _code(arch: Arch) -> _Code:
    """The modules without the zeros at the end."""
    genes = arch.genes
    while genes and genes[-1] == 0:
        genes = genes[:-1]
    return genes


def _allowed(code: _Code) -> bool:
    return (
        _SHORTEST <= len(code) <= _LONGEST
        and all(1 <= m <= 4 for m in code)
        and 1 <= sum(m % 2 == 0 for m in code) <= 3
        and 1 <= sum(m > 2 for m in code) <= 4
    )


@cache
def _codes() -> tuple[_Code, ...]:
    """Every network, by length and then by its digits."""
    lengths = range(_SHORTEST, _LONGEST + 1)
    return tuple(c for n in lengths for c in product((1, 2, 3, 4), repeat=n) if _allowed(c))
