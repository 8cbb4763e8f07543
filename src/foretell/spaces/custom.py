"""Custom spaces: named choices, and a function that builds a network from them."""

import json
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, cast

from foretell.arch import Arch
from foretell.errors import ArchError, ModuleRaisedError, SpaceError
from foretell.graph import Graph, Node
from foretell.spaces._base import ProductSpace
from foretell.types import Json

__all__ = ["CustomSpace"]

_PLAIN = re.compile(r"[A-Za-z0-9_.+-]+", re.ASCII)
_RESERVED = ("classes", "input_shape")


@dataclass(frozen=True, init=False, eq=False)
class CustomSpace(ProductSpace):
    """A space of independent named choices, with a builder of networks.

    Args:
        choices: name of a decision -> its possible values, each of which JSON can write.
        build: ``build(*, input_shape, classes, **choices) -> nn.Module``, or a
            ``module:function`` string that leads to it; left out for a space without networks,
            whose architectures a user evaluates in another way.
        graph: ``graph(**choices) -> Graph``, the searched part as a labelled DAG; by default a
            chain with one node per decision.
        name: replaced by the text that a user gave.

    Raises:
        SpaceError: the declaration is invalid.

    >>> space = CustomSpace({"width": (8, 16), "act": ("relu", "gelu")}, "mine:build")
    >>> space.parse("width=16,act=relu").genes
    (1, 0)
    """

    choices: Mapping[str, tuple[Json, ...]]
    """Name of a decision -> its values."""
    build: Callable[..., object] | str | None
    """The builder, or a string that leads to it; None without networks."""
    _graph: Callable[..., Graph] | None = field(repr=False)
    _words: Mapping[str, tuple[str, ...]] = field(repr=False)

    network: ClassVar[str] = "foretell.networks.custom:build"

    def __init__(
        self,
        choices: Mapping[str, Sequence[Json]],
        build: Callable[..., object] | str = "",
        *,
        graph: Callable[..., Graph] | None = None,
        name: str = "custom",
    ) -> None:
        """Check the declaration."""
        usable = callable(build) or (isinstance(build, str) and ":" in build)
        if build != "" and not usable:
            raise SpaceError(
                f"Expected a builder function, or a string such as my_space.py:build, but got "
                f"{build!r}."
            )
        if graph is not None and not callable(graph):
            raise SpaceError(f"Expected graph to be a function, but got {graph!r}.")
        values = _check_choices(choices)
        for key, value in (
            ("name", name),
            ("choices", MappingProxyType(values)),
            ("build", build if usable else None),
            ("_graph", graph),
            ("_words", {k: _words(v) for k, v in values.items()}),
        ):
            object.__setattr__(self, key, value)
        if not usable:
            object.__setattr__(self, "network", "")

    def __getstate__(self) -> dict[str, object]:
        """What pickle can send: the view of the choices as a dictionary."""
        return {**self.__dict__, "choices": dict(self.choices)}

    def __setstate__(self, state: Mapping[str, object]) -> None:
        """The same space again."""
        choices = cast(dict[str, tuple[Json, ...]], state["choices"])
        self.__dict__.update(state, choices=MappingProxyType(choices))

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Number of values of each decision."""
        return tuple(len(v) for v in self.choices.values())

    def values(self, arch: Arch) -> dict[str, Json]:
        """What an architecture chooses: name of a decision -> value.

        Raises:
            ArchError: it does not belong to this space.
        """
        self.check(arch)
        return {k: v[g] for (k, v), g in zip(self.choices.items(), arch.genes, strict=True)}

    def arch(self, **values: Json) -> Arch:
        """The architecture that chooses these values, one for each decision.

        Raises:
            ArchError: a decision is missing or unknown, or a value is not among its choices.
        """
        if set(values) != set(self.choices):
            raise ArchError(
                f"Expected one value for each of {', '.join(self.choices)}, but got "
                f"{', '.join(values) or 'none'}."
            )
        genes = []
        for name, options in self.choices.items():
            if (word := _json(values[name])) not in (words := [_json(v) for v in options]):
                raise ArchError(f"Expected {name} to be one of {', '.join(words)}, but got {word}.")
            genes.append(words.index(word))
        return Arch(self.name, tuple(genes))

    def format(self, arch: Arch) -> str:
        """Names and values, such as ``width=16,act=relu``."""
        pairs = zip(self._words.items(), arch.genes, strict=True)
        return ",".join(f"{name}={words[gene]}" for (name, words), gene in pairs)

    def parse(self, text: str) -> Arch:
        """The architecture of a text: names and values, dotted genes, or JSON.

        JSON may be an ``Arch`` or an object of names and values.

        Raises:
            ArchError: the text is none of them.
        """
        text = text.strip()
        if text.startswith("{"):
            try:
                data = json.loads(text)
            except (ValueError, RecursionError):
                data = None
            if isinstance(data, dict) and set(data) == set(self.choices):
                return self.arch(**data)
            return super().parse(text)
        if "=" not in text:
            return super().parse(text)
        rest = text.removeprefix(f"{self.name}:") + ","
        genes: dict[str, int] = {}
        while rest:
            fits = [
                (len(head), name, gene)
                for name, words in self._words.items()
                if name not in genes
                for gene, word in enumerate(words)
                if rest.startswith(head := f"{name}={word},")
            ]
            if not fits:
                break
            length, name, gene = max(fits)
            genes[name] = gene
            rest = rest[length:].lstrip()
        if rest or len(genes) < len(self.choices):
            raise ArchError(
                f"{text[:120]!r} is no architecture of {self.name!r}: expected text such as "
                f"{self.example()!r}."
            )
        return Arch(self.name, tuple(genes[k] for k in self.choices))

    @property
    def graph_describes_network(self) -> bool:
        """Whether the user gave a function for graphs."""
        return self._graph is not None

    def graph(self, arch: Arch) -> Graph:
        """What the user's function gives, or a chain with one node per decision.

        Raises:
            ModuleRaisedError: the user's function raised; the cause is chained.
            SpaceError: it gives no graph.
        """
        values = self.values(arch)
        if self._graph is None:
            ops = [f"{k}={w}" for k, w in zip(values, self.format_values(arch), strict=True)]
            nodes = (Node("input"), *(Node(op) for op in ops), Node("output"))
            return Graph(nodes, tuple((i, i + 1) for i in range(len(nodes) - 1)))
        try:
            graph: object = self._graph(**values)
        except Exception as error:
            raise ModuleRaisedError(
                f"The graph function of {self.name!r} raised {type(error).__name__} for "
                f"{self.format(arch)}: {error}"
            ) from error
        if not isinstance(graph, Graph):
            raise SpaceError(
                f"The graph function of {self.name!r} returned a {type(graph).__name__}, but a "
                f"foretell.Graph is expected."
            )
        return graph

    def format_values(self, arch: Arch) -> tuple[str, ...]:
        """The texts of the chosen values."""
        return tuple(w[g] for w, g in zip(self._words.values(), arch.genes, strict=True))


def _json(value: Json) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _words(values: Sequence[Json]) -> tuple[str, ...]:
    """A text for each value: bare words where they are clear, else JSON."""
    plain = [v if isinstance(v, str) and _PLAIN.fullmatch(v) else _json(v) for v in values]
    return tuple(plain) if len(set(plain)) == len(plain) else tuple(map(_json, values))


def _check_choices(choices: object) -> dict[str, tuple[Json, ...]]:
    if not isinstance(choices, Mapping):
        raise SpaceError(
            f"Expected choices as a mapping such as {{'width': (8, 16)}}, but got a "
            f"{type(choices).__name__}."
        )
    if not choices:
        raise SpaceError("Expected at least one decision in choices, but got none.")
    checked = {}
    for name, values in choices.items():
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise SpaceError(
                f"Expected each decision's name to be usable as an argument's name, but got "
                f"{name!r}."
            )
        if name in _RESERVED:
            raise SpaceError(
                f"A decision cannot be named {name!r}: the builder gets the task's own {name} "
                f"under that name."
            )
        if not isinstance(values, Sequence) or isinstance(values, str | bytes):
            raise SpaceError(
                f"Expected the values of {name!r} as a tuple or list, but got {values!r}."
            )
        if not values:
            raise SpaceError(f"Expected at least one value for {name!r}, but got none.")
        words = []
        for value in values:
            try:
                words.append(_json(value))
            except (TypeError, ValueError) as error:
                raise SpaceError(
                    f"Expected values of {name!r} that JSON can write (numbers, texts, booleans, "
                    f"None, lists, mappings), but got {value!r}."
                ) from error
        if len(set(words)) < len(words):
            raise SpaceError(f"Expected distinct values of {name!r}, but got {list(values)}.")
        checked[name] = tuple(values)
    return checked
