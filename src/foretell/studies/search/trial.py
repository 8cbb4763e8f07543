"""One trial: build an architecture's network, train it briefly, say how good it became.

It runs in this process or in a worker's; all it is given is JSON, so that any host can do it.
"""

from dataclasses import asdict, replace
from functools import lru_cache

from msgspec.structs import replace as replace_config

from foretell.arch import Arch
from foretell.data import Task, load_task
from foretell.errors import UsageError
from foretell.rng import stream_seed
from foretell.spaces import Skeleton, get_space
from foretell.studies.run.threads import one_thread
from foretell.studies.search.config import SearchConfig
from foretell.types import Json

__all__ = ["payload_of", "run_trial", "skeleton_of", "task_of", "use_task"]


@lru_cache(maxsize=4)
def _load(spec: str, seed: int, image_size: int | None) -> Task:
    return load_task(spec, seed=seed, image_size=image_size)


_IN_MEMORY: dict[str, Task] = {}


def use_task(config: SearchConfig, task: Task) -> SearchConfig:
    """The same search on images that are in memory already.

    Raises:
        UsageError: worker processes were asked for; they could not see the images.
    """
    if config.workers:
        raise UsageError(
            "Images in memory are seen by this process only: take workers=0, or save them and "
            "name the file as npz:PATH."
        )
    spec = f"memory:{task.fingerprint}"
    _IN_MEMORY[spec] = task
    return replace_config(config, data=spec)


def task_of(config: SearchConfig) -> Task:
    """The images of a search, read once per process."""
    if config.data in _IN_MEMORY:
        return _IN_MEMORY[config.data]
    return _load(config.data, config.seed, config.image_size)


def skeleton_of(config: SearchConfig, task: Task) -> Skeleton:
    """The fixed part of every network of a search."""
    return get_space(config.space).skeleton(task.input_shape, task.classes, config.preset)


def payload_of(config: SearchConfig, arch: Arch, predicted: float) -> Json:
    """All that a worker needs to train one architecture."""
    return {
        "genes": list(arch.genes),
        "config": config.identity(),
        "predicted": None if predicted != predicted else predicted,
    }


def run_trial(payload: Json) -> Json:
    """Train one architecture briefly.

    Args:
        payload: what ``payload_of`` made.

    Returns:
        val_accuracy in [0, 1], val_loss in nats, seconds, epochs, and the curves per epoch.

    Raises:
        ForetellError: the network cannot be built or its training failed.
    """
    from foretell.networks import build
    from foretell.training import get_recipe, train

    config = SearchConfig.from_json(payload["config"])
    task = task_of(config)
    arch = Arch(config.space, tuple(payload["genes"]))
    seed = stream_seed(config.seed, "trial", *arch.genes)
    recipe = get_recipe("short")
    if config.epochs is not None:
        recipe = replace(recipe, epochs=config.epochs)
    if config.lr is not None:
        recipe = replace(recipe, lr=config.lr)
    with one_thread():
        module = build(arch, skeleton_of(config, task), seed=seed)
        result = train(module, task, recipe, seed=seed, device=config.device)
    return {
        "val_accuracy": result.val_accuracy,
        "val_loss": result.curves.val_loss[-1],
        "seconds": result.seconds,
        "epochs": result.epochs,
        "curves": asdict(result.curves),
    }
