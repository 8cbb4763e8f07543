"""One call of a user's evaluation, here or in a worker process."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from foretell.arch import Arch
from foretell.errors import QuantityError, TrialPrunedError, UsageError
from foretell.registry import resolve
from foretell.spaces import Space, get_space, name_of
from foretell.studies._base import Resources
from foretell.studies.optimize.config import ASK_TELL, OptimizeConfig
from foretell.studies.run.inside import Told, part_teller
from foretell.studies.search.goals import Goals
from foretell.types import Json

__all__ = ["Evaluation", "LiveTrial", "function_of", "goals_of", "space_of", "values_from"]


def space_of(config: OptimizeConfig, resources: Resources) -> Space:
    """The space; one in memory is made known to this process."""
    return get_space(config.space if resources.space is None else name_of(resources.space))


def goals_of(config: OptimizeConfig, space: Space) -> Goals:
    """Objectives and constraints; a user measures whatever is no cost of the space."""
    skeleton = space.skeleton(config.input_shape, config.classes)
    costs = bool(space.network) or space.costs([], skeleton) is not None
    return Goals.of(config, anything=True, costs=costs)


@dataclass
class LiveTrial:
    """A trial while it runs: what an evaluation may report to, and ask about itself.

    Args:
        arch: the architecture.
        space: its space.
        number: of the trial; with several at once, in the order of asking.
        seed: for whatever is random in the evaluation.
        better: "max" or "min": which reports are better.
        medians: step -> median of what finished trials had reported best by then.
        told: called with the share that is done, and words.
    """

    arch: Arch
    space: Space
    number: int = 0
    seed: int = 0
    better: str = "max"
    medians: Mapping[int, float] = field(default_factory=dict)
    told: Told = field(default=lambda part, words: None, repr=False)
    reports: dict[int, float] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, Json]:
        """What the architecture chooses, by name, where its space has names."""
        named = getattr(self.space, "values", None)
        return named(self.arch) if callable(named) else {}

    def report(self, step: int, value: float, *, of: int | None = None) -> None:
        """Say how good the trial is so far, such as after each epoch.

        Args:
            step: from 0 on; the same steps in every trial.
            value: of the first objective.
            of: how many steps there will be, where that is known: progress then counts them.

        Raises:
            TrialPrunedError: it is worse than the median of other trials at this step; let it pass.
            UsageError: the step or the value is no finite number.
        """
        if not math.isfinite(value) or int(step) != step or step < 0:
            raise UsageError(f"Expected a step >= 0 and a finite value, but got {step}, {value}.")
        self.reports[int(step)] = float(value)
        share = min(1.0, (int(step) + 1) / of) if of else 0.0
        self.told(share, f"trial {self.number}: {value:.4g} at step {int(step)}")
        median = self.medians.get(int(step))
        if median is None:
            return
        pick = max if self.better == "max" else min
        best = pick(v for s, v in self.reports.items() if s <= step)
        if best != median and pick(best, median) == median:
            raise TrialPrunedError(
                f"Pruned at step {step}: its best report {best:.6g} is worse than the median "
                f"{median:.6g} of other trials there.",
                {"values": {}, "violation": "", "reports": _pairs(self.reports), "curves": None},
            )


@dataclass(frozen=True)
class Evaluation:
    """What the executor calls with each payload.

    Args:
        config: the settings.
        resources: the function and the space, where they are in memory.
    """

    config: OptimizeConfig
    resources: Resources

    def __call__(self, payload: Json) -> Json:
        """Evaluate one architecture.

        Raises:
            QuantityError: a cost that was asked for is not known, or a value is missing.
        """
        if why := payload.get("unmeasured"):
            raise QuantityError(*why)
        space = space_of(self.config, self.resources)
        goals = goals_of(self.config, space).with_reference(payload.get("reference", {}))
        arch = Arch(space.name, tuple(payload["genes"]))
        objective = goals.objectives[0]
        trial = LiveTrial(
            arch, space, payload["number"], payload["seed"], objective.direction,
            {int(step): value for step, value in payload.get("medians", [])}, part_teller(),
        )  # fmt: skip
        function = function_of(self.config, self.resources)
        result = function(arch, trial) if _takes_trial(function) else function(arch)
        values = {**payload["measured"], **values_from(result, goals, payload["measured"])}
        return {
            "values": values,
            "violation": goals.violation(values),
            "reports": _pairs(trial.reports),
            "curves": None,
        }


def values_from(result: object, goals: Goals, measured: Mapping[str, float]) -> dict[str, float]:
    """What an evaluation returned, by name.

    Args:
        result: a number, or a mapping of names and numbers.
        goals: objectives and constraints, all of which must have a value.
        measured: what is known already.

    Raises:
        QuantityError: a value is missing, or no finite number.
    """
    missing = [name for name in goals.known if name not in measured]
    if not isinstance(result, Mapping):
        if len(missing) != 1:
            raise QuantityError(
                " and ".join(missing) or "the evaluation",
                f"evaluate returned {result!r}; return a mapping with these names",
            )
        result = {missing[0]: result}
    values: dict[str, float] = {}
    for name, value in result.items():
        try:
            values[str(name)] = float(cast(Any, value))
        except (TypeError, ValueError) as error:
            raise QuantityError(str(name), f"evaluate gave {value!r}, no number") from error
        if not math.isfinite(values[str(name)]):
            raise QuantityError(str(name), f"evaluate gave {value}")
    for name in missing:
        if name not in values:
            raise QuantityError(name, f"evaluate gave only {', '.join(values) or 'nothing'}")
    return values


def function_of(config: OptimizeConfig, resources: Resources) -> Callable[..., object]:
    """The user's function.

    Raises:
        UsageError: it was in memory of another process, or is none.
        PluginError: its name leads nowhere.
    """
    if resources.evaluate is not None:
        return resources.evaluate
    if config.evaluate == ASK_TELL:
        raise UsageError(
            "Architectures of this study are asked for and told by a loop of your own: open it "
            "with foretell.create_study(...)."
        )
    if ":" not in config.evaluate or config.evaluate.startswith("memory:"):
        raise UsageError(
            f"The function {config.evaluate!r} of this optimisation was in memory: call "
            f"foretell.optimize(...) with it again, or name it as file.py:function."
        )
    found = resolve(config.evaluate)
    if not callable(found):
        raise UsageError(f"{config.evaluate!r} is a {type(found).__name__}, not a function.")
    return cast(Callable[..., object], found)


def _takes_trial(function: Callable[..., object]) -> bool:
    """Whether a function takes the trial as a second argument."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    places = [
        p for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]  # fmt: skip
    return len(places) > 1 or any(p.kind == p.VAR_POSITIONAL for p in parameters)


def _pairs(reports: Mapping[int, float]) -> list[list[float]]:
    return [[step, value] for step, value in sorted(reports.items())]
