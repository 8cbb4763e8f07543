"""The registry of encodings, and ``encode``, which joins several."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias, cast

from foretell.arch import Arch
from foretell.curves import Curves
from foretell.encodings._base import Encodings, EncodingTable
from foretell.encodings.adjacency import adjacency
from foretell.encodings.curve import curve_encoding
from foretell.encodings.graf.own import graf
from foretell.encodings.onehot import categorical, onehot
from foretell.encodings.paths import path_encoding
from foretell.encodings.scores import cost_encoding, score_encoding
from foretell.encodings.unrolled import unrolled
from foretell.encodings.wl import wl
from foretell.errors import ArchError, UsageError
from foretell.graph import Graph
from foretell.registry import Registry, resolve
from foretell.spaces import CostTable, Space
from foretell.types import Array

__all__ = ["Encoding", "EncodingContext", "encode", "encodings"]


@dataclass(frozen=True)
class EncodingContext:
    """What encodings are computed from: n architectures, and what is known before training.

    Args:
        space: theirs.
        archs: labelled and unlabelled ones together.
        costs: of their networks, if they were counted.
        scores: name of a proxy -> (n,), if they were scored.
        graphs: of their networks, if they were traced; ``graf`` then takes them instead of the
            space's own.
        curves: partial learning curves, if they were trained for some epochs.
    """

    space: Space
    archs: Sequence[Arch]
    costs: CostTable | None = None
    scores: Mapping[str, Array] = field(default_factory=lambda: MappingProxyType({}))
    graphs: Sequence[Graph] | None = None
    curves: Curves | None = None


Encoding: TypeAlias = Callable[[EncodingContext], EncodingTable]
"""From the context of n architectures to a table with n rows."""

Published: TypeAlias = Callable[[Space, Sequence[Arch]], EncodingTable]
"""GRAF's own columns of some architectures."""

encodings: Registry[Encoding] = Registry("encoding")
"""Encodings by name; the fact ``identity`` marks those that only identify an architecture."""

_MOST = 1000
"""Maximum number of columns of an encoding without a fixed number of them."""


def encode(text: str, context: EncodingContext) -> Encodings:
    """Encode architectures, by one or several encodings side by side.

    Args:
        text: names with "+" between, such as "graf+scores+onehot".
        context: the architectures, and what is known of them.

    Raises:
        UnknownNameError: no such encoding.
        UsageError: it needs scores, costs or curves that are not there, or a name stands twice.
        ArchError: it does not work on this space.
    """
    names = [name.strip() for name in text.split("+")]
    if len(set(names)) != len(names):
        raise UsageError(f"{text!r} names an encoding twice.")
    entries = [encodings.entry(name) for name in names]
    tables = {entry.name: entry.load()(context) for entry in entries}
    return Encodings(tables, frozenset(e.name for e in entries if e.facts.get("identity")))


@encodings.add("graf")
def _graf(context: EncodingContext) -> EncodingTable:
    """Graph features of the paths of the contracted graph; for any space."""
    return graf(_graphs(context) if context.graphs is None else context.graphs)


@encodings.add("graf_compat", reference="Kadlecova et al., ICML 2024")
def _graf_compat(context: EncodingContext) -> EncodingTable:
    """GRAF features as its authors compute them."""
    if not context.space.published_features:
        raise ArchError(
            f"'graf_compat' knows no columns for {context.space.name!r}: use 'graf' instead."
        )
    published = cast(Published, resolve(context.space.published_features))
    return published(context.space, context.archs)


@encodings.add("scores")
def _scores(context: EncodingContext) -> EncodingTable:
    """Proxy scores, as normal quantiles over all given architectures."""
    if not context.scores:
        raise UsageError("The encoding 'scores' needs scores: compute some, or leave it out.")
    return score_encoding(context.scores)


@encodings.add("curve", reference="Baker et al., ICLR 2018 workshop")
def _curve(context: EncodingContext) -> EncodingTable:
    """Partial learning curves as normal quantiles: values at epochs, mean and spread of changes."""
    if context.curves is None:
        raise UsageError("The encoding 'curve' needs learning curves: give some, or leave it out.")
    if len(context.curves) != len(context.archs):
        raise UsageError(
            f"Expected curves of {len(context.archs)} architectures, but got {len(context.curves)}."
        )
    return curve_encoding(context.curves)


@encodings.add("costs")
def _costs(context: EncodingContext) -> EncodingTable:
    """Logarithms of parameters, multiply-adds and memory."""
    if context.costs is None:
        raise UsageError("The encoding 'costs' needs costs: count them, or leave it out.")
    return cost_encoding(context.costs)


@encodings.add("onehot", identity=True)
def _onehot(context: EncodingContext) -> EncodingTable:
    """One-hot genes."""
    return onehot(context.space, context.archs)


@encodings.add("categorical", identity=True)
def _categorical(context: EncodingContext) -> EncodingTable:
    """Genes as integers."""
    return categorical(context.space, context.archs)


@encodings.add(
    "adjacency",
    identity=True,
    reference="White et al., A Study on Encodings for NAS, NeurIPS 2020, section 3",
)
def _adjacency(context: EncodingContext) -> EncodingTable:
    """Adjacency matrix, and one-hot operations of the nodes."""
    return adjacency(context.space, context.archs)


@encodings.add("path", identity=True, reference="White et al., BANANAS, AAAI 2021, section 4")
def _path(context: EncodingContext) -> EncodingTable:
    """Which sequences of operations lead from input to output."""
    return path_encoding(_graphs(context), most=_MOST)


@encodings.add(
    "truncated_path",
    identity=True,
    reference="White et al., A Study on Encodings for NAS, NeurIPS 2020, section 3",
)
def _truncated_path(context: EncodingContext) -> EncodingTable:
    """The 40 most frequent sequences of operations."""
    return path_encoding(_graphs(context), most=40)


@encodings.add("unrolled", identity=True)
def _unrolled(context: EncodingContext) -> EncodingTable:
    """How often each expression occurs in the unrolled output."""
    return unrolled(_graphs(context), _MOST)


@encodings.add("wl", identity=True, reference="Ru et al., NAS-BOWL, ICLR 2021")
def _wl(context: EncodingContext) -> EncodingTable:
    """Counts of Weisfeiler-Lehman labels of up to two rounds."""
    return wl(_graphs(context), rounds=2, most=_MOST)


def _graphs(context: EncodingContext) -> list[Graph]:
    return [context.space.graph(a) for a in context.archs]
