"""The images that an embedded benchmark is trained on."""

from functools import lru_cache

from foretell.data import Split, Task, load_task, make_task, stratified_sample
from foretell.data.digits import read_digits
from foretell.rng import stream
from foretell.studies.build_benchmark.config import BuildConfig

__all__ = ["digits_task", "task_of"]


def task_of(config: BuildConfig) -> Task:
    """The images of a benchmark: the digits in parts of its own, or what its data source gives."""
    if config.data == "digits":
        return digits_task(config.seed)
    return _loaded(config.data, config.seed)


@lru_cache(maxsize=2)
def digits_task(seed: int = 0) -> Task:
    """The embedded digits in larger parts to measure on: 718 / 539 / 540 images.

    Each class has its share in each part. A run is told apart from another by multiples of 1/540,
    not of 1/359, and fewer training images set the cells further apart.
    """
    images, labels = read_digits()
    whole = Split(images, labels)
    test, rest = stratified_sample(labels, round(0.3 * len(labels)) + 1, stream(seed, "test"))
    val, train = stratified_sample(
        labels[rest], round(0.3 * len(labels)), stream(seed, "validation")
    )
    return make_task(
        "digits",
        whole.take(rest[train]),
        whole.take(rest[val]),
        whole.take(test),
        seed=seed,
    )


@lru_cache(maxsize=2)
def _loaded(data: str, seed: int) -> Task:
    return load_task(data, seed=seed)
