"""The registry of representations, and the one call that puts several side by side."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias, cast

from foretell.arch import Arch
from foretell.encodings._base import FeatureTable, Inputs
from foretell.encodings.adjacency import adjacency
from foretell.encodings.graf.own import graf
from foretell.encodings.onehot import categorical, onehot
from foretell.encodings.paths import path_encoding
from foretell.encodings.scores import cost_features, score_features
from foretell.encodings.unrolled import unrolled
from foretell.encodings.wl import wl
from foretell.errors import ArchError, UsageError
from foretell.graph import Graph
from foretell.registry import Registry, resolve
from foretell.spaces import CostTable, Space
from foretell.types import Array

__all__ = ["Known", "Representation", "represent", "representations"]


@dataclass(frozen=True)
class Known:
    """What is known of n architectures before any is trained.

    Args:
        space: theirs.
        archs: the architectures, labelled ones and others together.
        costs: of their networks, if they were counted.
        scores: name of a proxy -> (n,), if they were scored.
        graphs: of their networks, if they were traced; ``graf`` then takes them instead of the
            space's own.
    """

    space: Space
    archs: Sequence[Arch]
    costs: CostTable | None = None
    scores: Mapping[str, Array] = field(default_factory=lambda: MappingProxyType({}))
    graphs: Sequence[Graph] | None = None


Representation: TypeAlias = Callable[[Known], FeatureTable]
"""What is known of n architectures -> a table with n rows."""

Published: TypeAlias = Callable[[Space, Sequence[Arch]], FeatureTable]
"""GRAF's own columns of some architectures."""

representations: Registry[Representation] = Registry("representation")

_MOST = 1000
"""Columns of one table, where there is no end of them: those that most architectures have."""


def represent(text: str, known: Known) -> Inputs:
    """Several representations side by side.

    Args:
        text: names with "+" between, such as "graf+scores+onehot".
        known: what is known of the architectures.

    Raises:
        UnknownNameError: no such representation.
        UsageError: it needs scores or costs that are not there, or a name stands twice.
        ArchError: it does not work on this space.
    """
    names = [name.strip() for name in text.split("+")]
    if len(set(names)) != len(names):
        raise UsageError(f"{text!r} names a representation twice.")
    entries = [representations.entry(name) for name in names]
    tables = {entry.name: entry.load()(known) for entry in entries}
    return Inputs(tables, frozenset(e.name for e in entries if e.facts.get("identity")))


@representations.add("graf")
def _graf(known: Known) -> FeatureTable:
    """What paths through the contracted graph go through; for any space."""
    return graf(_graphs(known) if known.graphs is None else known.graphs)


@representations.add("graf_compat", reference="Kadlecova et al., ICML 2024")
def _graf_compat(known: Known) -> FeatureTable:
    """GRAF's own columns and values."""
    if not known.space.published_features:
        raise ArchError(
            f"'graf_compat' knows no columns for {known.space.name!r}: use 'graf' instead."
        )
    published = cast(Published, resolve(known.space.published_features))
    return published(known.space, known.archs)


@representations.add("scores")
def _scores(known: Known) -> FeatureTable:
    """Proxies, as normal quantiles over all architectures at hand."""
    if not known.scores:
        raise UsageError("The representation 'scores' needs scores: compute some, or leave it out.")
    return score_features(known.scores)


@representations.add("costs")
def _costs(known: Known) -> FeatureTable:
    """Logarithms of parameters, multiply-adds and memory."""
    if known.costs is None:
        raise UsageError("The representation 'costs' needs costs: count them, or leave it out.")
    return cost_features(known.costs)


@representations.add("onehot", identity=True)
def _onehot(known: Known) -> FeatureTable:
    """A column for each choice of each gene."""
    return onehot(known.space, known.archs)


@representations.add("categorical", identity=True)
def _categorical(known: Known) -> FeatureTable:
    """The genes as they are."""
    return categorical(known.space, known.archs)


@representations.add(
    "adjacency",
    identity=True,
    reference="White et al., A Study on Encodings for NAS, NeurIPS 2020, section 3",
)
def _adjacency(known: Known) -> FeatureTable:
    """Which nodes are joined, and the operation of each."""
    return adjacency(known.space, known.archs)


@representations.add("path", identity=True, reference="White et al., BANANAS, AAAI 2021, section 4")
def _path(known: Known) -> FeatureTable:
    """A column for each sequence of operations from input to output."""
    return path_encoding(_graphs(known), most=_MOST)


@representations.add(
    "truncated_path",
    identity=True,
    reference="White et al., A Study on Encodings for NAS, NeurIPS 2020, section 3",
)
def _truncated_path(known: Known) -> FeatureTable:
    """The 40 sequences of operations that most architectures have."""
    return path_encoding(_graphs(known), most=40)


@representations.add("unrolled", identity=True)
def _unrolled(known: Known) -> FeatureTable:
    """How often each expression occurs in the output, written out from the input."""
    return unrolled(_graphs(known), _MOST)


@representations.add("wl", identity=True, reference="Ru et al., NAS-BOWL, ICLR 2021")
def _wl(known: Known) -> FeatureTable:
    """Weisfeiler-Lehman labels of up to two rounds."""
    return wl(_graphs(known), rounds=2, most=_MOST)


def _graphs(known: Known) -> list[Graph]:
    return [known.space.graph(a) for a in known.archs]
