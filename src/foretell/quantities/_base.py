"""Quantities: what can be measured of a network, and so be an objective or bounded."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from foretell.arch import Arch
from foretell.errors import PluginError, QuantityError, UnknownNameError, UsageError
from foretell.registry import Registry, resolve
from foretell.spaces import Skeleton, Space
from foretell.types import Direction

if TYPE_CHECKING:
    from torch import nn

    from foretell.data import Task
    from foretell.training import TrainingResult

__all__ = [
    "UNITS",
    "Measure",
    "Quantity",
    "Stage",
    "Subject",
    "get_quantity",
    "quantities",
    "register",
]

UNITS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "count": {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12},
        "bytes": {
            "": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "b": 1.0, "kb": 1e3, "mb": 1e6,
            "gb": 1e9, "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30,
        },
        "s": {"us": 1e-6, "ms": 1e-3, "s": 1.0},
        "fraction": {"": 1.0, "%": 0.01},
    }
)  # fmt: skip
"""Unit -> suffix, in lower case -> factor. Other units take plain numbers and k, M, G, T."""


class Stage(IntEnum):
    """How much must be done before a quantity can be measured; cheap stages come first."""

    GRAPH = 0
    """Nothing: a closed form, or the network on the meta device. Known for the whole pool."""
    BUILT = 1
    """The network is built; done only for architectures that a searcher asks for."""
    TRAINED = 2
    """The network is trained."""
    ATTACKED = 3
    """The trained network is attacked, on images of the validation part."""


@dataclass(frozen=True)
class Subject:
    """What a quantity is measured on.

    Args:
        arch: the architecture.
        space: its search space.
        seed: of whatever is random in the measurement.
        skeleton: the fixed part of the network; None where a user evaluates architectures.
        module: the network, from the stage BUILT on; trained from TRAINED on; in eval mode.
        task: the images, from the stage TRAINED on; choices look at its validation part.
        training: what training gave, from the stage TRAINED on.
        device: torch device of the training.
        images: how many images an attack takes.
        reference: CPU seconds that the reference network of a latency took when the search began;
            NaN before. Latencies are given at that speed of the machine, so that they compare.
    """

    arch: Arch
    space: Space
    seed: int = 0
    skeleton: Skeleton | None = None
    module: "nn.Module | None" = None
    task: "Task | None" = None
    training: "TrainingResult | None" = None
    device: str = "cpu"
    images: int = 500
    reference: float = math.nan


Measure: TypeAlias = Callable[..., "float | Mapping[str, float]"]
"""``measure(subject) -> value``, or ``measure(subject, argument)`` where the name has an argument.

A mapping holds the value under "value", and whatever else is worth keeping.
"""


@dataclass(frozen=True)
class Quantity:
    """One thing that can be measured.

    A quantity of one's own is one file: ``energy = Quantity("energy", "J", "min", measure=joules)``
    in ``energy.py`` is asked for as ``--objective accuracy,energy.py:energy``.

    Args:
        name: as it is shown.
        unit: "count", "bytes", "s", "fraction" (in [0, 1]), "nats", or any other text.
        direction: "max" or "min": which way is better.
        stage: what must be done before it can be measured.
        reproducible: whether the same seed gives the same value on the same machine. What is not
            is measured once, stored, and never measured again when a run is resumed.
        measure: see ``Measure``; or a ``module:function`` string, resolved on first use. Quantities
            of the stage GRAPH that are fields of ``CostTable`` need none.
        argument: what stands behind the @ of its name, such as "runtime"; empty for nothing.
        arguments: what it may be, such as ("torch", "onnxruntime"); empty for whatever ``check``
            accepts.
        check: refuses an argument by raising ``UsageError``, before anything is run.
        default: the argument where none is given; empty if one must be.
        summary: one line.
        reference: paper and section.

    Raises:
        UsageError: the direction is neither "max" nor "min".
    """

    name: str
    unit: str = ""
    direction: Direction = "max"
    stage: Stage = Stage.TRAINED
    reproducible: bool = True
    measure: Measure | str | None = None
    argument: str = ""
    arguments: tuple[str, ...] = ()
    check: Callable[[str], object] | None = None
    default: str = ""
    summary: str = ""
    reference: str = ""
    given: str = field(default="", repr=False)
    """The argument that was given; set by ``get_quantity``."""

    def __post_init__(self) -> None:
        """Refuse a direction that is none."""
        if self.direction not in ("max", "min"):
            raise UsageError(
                f"Expected the direction 'max' or 'min' for {self.name!r}, but got "
                f"{self.direction!r}."
            )

    def value(self, subject: Subject) -> tuple[float, Mapping[str, float]]:
        """Measure it.

        Returns:
            The value, and whatever else the measurement gave.

        Raises:
            QuantityError: what was returned is no finite number.
            ForetellError: the network cannot be measured.
        """
        if self.measure is None:
            raise QuantityError(self.name, "nothing measures it: give measure=")
        function: Any = resolve(self.measure) if isinstance(self.measure, str) else self.measure
        result = function(subject, self.given) if self.argument else function(subject)
        details: Mapping[str, float] = {}
        if isinstance(result, Mapping):
            if "value" not in result:
                raise QuantityError(self.name, "the mapping it returned has no entry 'value'")
            details = {str(k): self._number(v) for k, v in result.items() if k != "value"}
            result = result["value"]
        value = self._number(result)
        if not math.isfinite(value):
            raise QuantityError(self.name, f"its value is {value}")
        return value, details

    def _number(self, value: Any) -> float:
        try:
            return float(value)
        except (TypeError, ValueError) as error:
            raise QuantityError(self.name, f"it returned {value!r}, which is no number") from error

    def parse(self, text: str) -> float:
        """A number with a suffix of the unit, such as "300k", "4ms", "1.5MiB" or "60%".

        Raises:
            UsageError: it cannot be read; the message says what may stand there.
        """
        match = _NUMBER.match(text)
        units = UNITS.get(self.unit, UNITS["count"])
        if match and match[2].lower() in units:
            return float(match[1]) * units[match[2].lower()]
        shown = ", ".join(_SHOWN.get(u, u) for u in units if u)
        plain = "" if "" in units else " and cannot stand without one"
        raise UsageError(f"{text.strip()!r}: after a number, {self.name} takes {shown}{plain}")

    def format(self, value: float) -> str:
        """The shortest text that ``parse`` reads back."""
        if self.unit == "fraction":
            return f"{100 * value:.12g}%"
        if self.unit == "s":
            factor, suffix = (1e6, "us") if value < 1e-3 else (1e3, "ms") if value < 1 else (1, "s")
            return f"{value * factor:.12g}{suffix}"
        return f"{value:.12g}"


_NUMBER = re.compile(r"^\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([a-zA-Z%]*)\s*$")
_SHOWN = {
    "m": "M", "g": "G", "t": "T", "b": "B", "kb": "KB", "mb": "MB", "gb": "GB", "kib": "KiB",
    "mib": "MiB", "gib": "GiB",
}  # fmt: skip

quantities: Registry[Quantity] = Registry("quantity")
"""Every quantity by name."""


def register(quantity: Quantity) -> None:
    """Give a quantity its name; what is known about it can be listed without measuring it.

    Raises:
        DuplicateNameError: the name is taken.
    """
    quantities.register(
        quantity.name,
        quantity,
        summary=quantity.summary,
        reference=quantity.reference,
        unit=quantity.unit,
        direction=quantity.direction,
        stage=quantity.stage.name.lower(),
        argument="|".join(quantity.arguments) or quantity.argument,
        reproducible=quantity.reproducible,
    )


def get_quantity(text: str) -> Quantity:
    """The quantity that a text names; its ``name`` is the text.

    Args:
        text: ``NAME`` or ``NAME@ARGUMENT``, where NAME is registered or ``file.py:attribute``.

    Raises:
        UnknownNameError: no such quantity; it carries the nearest names.
        UsageError: an argument is missing, or is none of those it takes.
        PluginError: a text with a colon leads nowhere, or to something that is no quantity.
    """
    name, at, given = text.strip().partition("@")
    quantity = quantities[name]
    if not isinstance(quantity, Quantity):
        raise PluginError(
            f"{name!r} is a {type(quantity).__name__}, but a foretell.Quantity is expected: write "
            f"energy = Quantity('energy', 'J', 'min', measure=...) there."
        )
    if at and not quantity.argument:
        raise UsageError(f"{name} takes nothing behind an @, but got {text!r}.")
    given = given or quantity.default
    if quantity.argument and not given:
        raise UsageError(
            f"{name} needs its {quantity.argument}: write such as {_example(quantity)}."
        )
    if quantity.arguments and given and given not in quantity.arguments:
        raise UnknownNameError(
            f"{quantity.argument} of {name}", given, _near(given, quantity.arguments),
            quantity.arguments,
        )  # fmt: skip
    if quantity.check is not None and given:
        quantity.check(given)
    return replace(quantity, name=text.strip(), given=given)


def _near(text: str, known: Sequence[str]) -> list[str]:
    import difflib

    return difflib.get_close_matches(text, known, 2, 0.4)


def _example(quantity: Quantity) -> str:
    return f"{quantity.name}@{quantity.arguments[0] if quantity.arguments else 8}"
