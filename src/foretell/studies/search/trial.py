"""What a search's processes do: count costs, score, measure a built network, run a trial.

Claims run in this process or in a worker's; a payload is JSON, and what JSON cannot hold comes with
the job, which pickle sends.
"""

import math
import pickle
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foretell.arch import Arch
from foretell.data import Task, load_task
from foretell.errors import QuantityError, UsageError
from foretell.execution import Executor
from foretell.quantities import Quantity, Stage, Subject
from foretell.rng import stream_seed
from foretell.spaces import Skeleton, Space, get_space, name_of
from foretell.studies._base import NO_RESOURCES, MakeExecutor, Resources
from foretell.studies.run.costs import counted
from foretell.studies.run.inside import part_teller
from foretell.studies.run.threads import one_thread
from foretell.studies.run.workers import executor_for
from foretell.studies.search.closing import Closing
from foretell.studies.search.config import SearchConfig
from foretell.studies.search.goals import Goals
from foretell.types import Json

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Job", "open_executor", "skeleton_of", "space_of", "task_of"]


@lru_cache(maxsize=4)
def _load(spec: str, seed: int, image_size: int | None) -> Task:
    return load_task(spec, seed=seed, image_size=image_size)


def task_of(config: SearchConfig, resources: Resources) -> Task:
    """The images of a search, read once per process."""
    if resources.task is not None:
        return resources.task
    return _load(config.data, config.seed, config.image_size)


def space_of(config: SearchConfig, resources: Resources) -> Space:
    """The space of a search; one in memory is made known to this process."""
    return get_space(config.space if resources.space is None else name_of(resources.space))


def skeleton_of(config: SearchConfig, resources: Resources) -> Skeleton:
    """The fixed part of every network of a search."""
    task = task_of(config, resources)
    space = space_of(config, resources)
    return space.skeleton(task.input_shape, task.classes, config.preset)


@dataclass(frozen=True)
class Job:
    """What the executor calls with each payload.

    Args:
        config: the settings.
        resources: what JSON cannot hold.
    """

    config: SearchConfig
    resources: Resources = NO_RESOURCES

    def __call__(self, payload: Json) -> Json:
        """Count costs, score a chunk, measure a built network, run a trial, or close a search."""
        if "score" in payload:
            return self._score(payload)
        if "count" in payload or "quantity" in payload:
            space = space_of(self.config, self.resources)
            with one_thread():
                return counted(space, skeleton_of(self.config, self.resources), payload)
        arch = Arch(space_of(self.config, self.resources).name, tuple(payload["genes"]))
        if "close" in payload:
            closing = Closing(
                self.config, arch, skeleton_of(self.config, self.resources),
                task_of(self.config, self.resources), Path(payload["checkpoint"]),
            )  # fmt: skip
            with one_thread():
                return closing.run(payload)
        if "measure" in payload:
            return self._measure(arch, payload["measure"], payload["reference"])
        return self._trial(arch, payload)

    def _score(self, payload: Json) -> Json:
        """Names, values (n, p) as lists, and failures by position."""
        from foretell.proxies import make_batches, score

        config, task = self.config, task_of(self.config, self.resources)
        space = space_of(config, self.resources)
        with one_thread():
            batches = make_batches(
                task,
                batch_size=min(config.score_batch, len(task.train) // 2),
                count=2,
                seed=stream_seed(config.seed, "batches"),
            )
            scores = score(
                [Arch(space.name, tuple(genes)) for genes in payload["score"]],
                config.proxies,
                batches,
                skeleton=skeleton_of(config, self.resources),
                seed=config.seed,
            )
        failures = {str(i): why for i, why in scores.failures.items()}
        return {"names": list(scores.names), "values": scores.values.tolist(), "failures": failures}

    def _subject(self, arch: Arch, **known: Any) -> Subject:
        return Subject(
            arch,
            space_of(self.config, self.resources),
            seed=stream_seed(self.config.seed, "measure", *arch.genes),
            skeleton=skeleton_of(self.config, self.resources),
            device=self.config.device,
            images=self.config.attack_images,
            **known,
        )

    def _build(self, arch: Arch, stream: str) -> "tuple[nn.Module, int]":
        from foretell.networks import build

        seed = stream_seed(self.config.seed, stream, *arch.genes)
        return build(arch, skeleton_of(self.config, self.resources), seed=seed), seed

    def _measure(self, arch: Arch, name: str, reference: float | None) -> Json:
        """Value and details of a quantity of the built network."""
        quantity = Goals.of(self.config).known[name]
        with one_thread():
            module, _ = self._build(arch, "trial")
            subject = self._subject(
                arch,
                module=module.eval(),
                reference=math.nan if reference is None else reference,
            )
            value, details = quantity.value(subject)
        return {"value": value, "details": dict(details)}

    def _trial(self, arch: Arch, payload: Json) -> Json:
        """Train one architecture briefly, and measure what was asked for.

        Constraints are checked as soon as their quantities are known: what breaks one is not
        trained, or not attacked.

        Returns:
            values by quantity, details of each, how a constraint is broken, and the curves; of a
            fresh training also which validation images were classified right, as bits in hex.
        """
        from foretell.training import get_recipe, outcomes, train

        if why := payload.get("unmeasured"):
            raise QuantityError(*why)
        goals = Goals.of(self.config).with_reference(payload.get("reference", {}))
        values: dict[str, float] = dict(payload["measured"])
        found: dict[str, Json] = {"values": values, "details": {}, "curves": None}
        found["violation"] = goals.violation(values)
        if found["violation"]:
            return found
        config, task = self.config, task_of(self.config, self.resources)
        recipe = get_recipe("short")
        if config.epochs is not None:
            recipe = replace(recipe, epochs=config.epochs)
        if config.lr is not None:
            recipe = replace(recipe, lr=config.lr)
        with one_thread():
            fresh = bool(payload.get("fresh"))
            module, seed = self._build(arch, "baseline" if fresh else "trial")
            tell = part_teller()
            result = train(
                module, task, recipe, seed=seed, device=config.device, test=False,
                on_epoch=lambda epoch: tell(
                    (epoch.index + 1) / recipe.epochs,
                    f"epoch {epoch.index + 1} of {recipe.epochs}, validation "
                    f"{epoch.val_accuracy:.2%}",
                ),
            )  # fmt: skip
            found["curves"] = asdict(result.curves)
            values["accuracy"] = result.val_accuracy
            values["loss"] = result.curves.val_loss[-1]
            values["seconds"] = result.seconds
            if fresh:
                right = outcomes(module, task)
                found["right"] = np.packbits(right).tobytes().hex()
                found["images"] = len(right)
            subject = self._subject(arch, module=module.eval(), task=task, training=result)
            for stage in (Stage.TRAINED, Stage.ATTACKED):
                for quantity in goals.at(stage):
                    if quantity.name not in values:
                        _measure_into(found, quantity, subject)
                found["violation"] = goals.violation(values)
                if found["violation"]:
                    break
        return found


def _measure_into(found: dict[str, Json], quantity: Quantity, subject: Subject) -> None:
    value, details = quantity.value(subject)
    found["values"][quantity.name] = value
    if details:
        found["details"][quantity.name] = dict(details)


def open_executor(
    job: Any,
    resources: Resources,
    make: MakeExecutor | None,
    *,
    workers: int,
    timeout: float | None,
    memory_limit: float | None = None,
    forked: bool = False,
    modules: Sequence[str] = (),
) -> Executor:
    """What runs the claims: as the caller says, else as the settings say.

    Args:
        job: what is called with each payload.
        resources: what the job takes along to worker processes.
        make: the caller's executor; None for one by the settings.
        workers: processes; 0 stands for this one.
        timeout: seconds that one claim may take.
        memory_limit: bytes that a worker may allocate; None for a share of the machine's memory.
        forked: whether 0 workers stand for one copy of this process.
        modules: imported before the first claim, outside its time.

    Raises:
        UsageError: images, a space or a function in memory cannot be sent to worker processes.
    """
    if make is not None:
        return make(job)
    if workers:
        check_sendable(resources)
    return executor_for(
        job, workers, workers,
        timeout=timeout, memory_limit=memory_limit, forked=forked, modules=modules,
    )  # fmt: skip


def check_sendable(resources: Resources) -> None:
    """Refuse what worker processes cannot get.

    Raises:
        UsageError: with what to do instead.
    """
    if resources.task is not None:
        raise UsageError(
            "Images in memory are seen by this process only: take workers=0, or save them and "
            "name the file as npz:PATH."
        )
    for what, thing in (("space", resources.space), ("function", resources.evaluate)):
        if thing is None:
            continue
        try:
            pickle.dumps(thing)
        except Exception as error:
            raise UsageError(
                f"The {what} cannot be sent to worker processes ({error}): define it at the top "
                f"of a file and name it as my_file.py:{what}, or take workers=0."
            ) from error
