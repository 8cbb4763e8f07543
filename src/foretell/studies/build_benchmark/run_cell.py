"""One run of an embedded benchmark: a cell trained from one seed, attacked, and scored."""

import math
import time
from functools import lru_cache
from itertools import pairwise

import numpy as np

from foretell.arch import Arch
from foretell.data import Split, Task, make_task, stratified_sample
from foretell.data.digits import read_digits
from foretell.errors import NonFiniteLossError
from foretell.rng import stream, stream_seed
from foretell.studies.build_benchmark.config import BuildConfig
from foretell.studies.run.inside import part_teller
from foretell.studies.run.threads import one_thread
from foretell.types import Json

__all__ = ["digits_task", "run_cell"]


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


def run_cell(payload: Json) -> Json:
    """Train, attack and, for the first seed, score one cell; here or in a worker process.

    The initial weights follow from the seed and the cell as they do in ``foretell.proxies.score``,
    so that the proxies of the first seed look at the very weights that are trained.

    Args:
        payload: "genes", "run" (0 for the first seed) and "settings".

    Returns:
        Per epoch train_loss, val_loss, test_loss (nats), val_right, test_right (images) and
        seconds (of this process's CPU time, training and validation up to there); after the last,
        clean and attack -> images that stay right, one for each eps; "scores" of the first seed;
        "failure", empty or a sentence: a run that diverged keeps the epochs before.
    """
    import torch

    from foretell.networks import build
    from foretell.robustness import evaluate as attacked
    from foretell.training import Recipe, tensor_task, train
    from foretell.training.loop import Epoch, evaluate

    settings = BuildConfig.from_json(payload["settings"])
    arch = Arch("nb201", tuple(payload["genes"]))
    run_seed = settings.seed + payload["run"]
    task = digits_task(settings.seed)
    tensors = tensor_task(task)
    recipe = Recipe(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        lr=settings.lr,
        channels_last=True,
    )
    found: dict[str, list[float]] = {
        name: [] for name in ("train_loss", "val_loss", "test_loss", "val_right", "test_right")
    }
    ticks: list[tuple[float, float]] = []

    def on_epoch(epoch: Epoch) -> None:
        stop = time.process_time()
        loss, accuracy = evaluate(module, tensors.test, tensors, torch.channels_last)
        values = (
            epoch.train_loss,
            epoch.val_loss,
            loss,
            epoch.val_accuracy * len(task.val),
            accuracy * len(task.test),
        )
        for column, value in zip(found.values(), values, strict=True):
            column.append(value)
        tell(
            (epoch.index + 1) / (recipe.epochs + 1),
            f"epoch {epoch.index + 1} of {recipe.epochs}, validation {epoch.val_accuracy:.2%}",
        )
        ticks.append((stop, time.process_time()))

    tell = part_teller()
    record: dict[str, Json] = {"failure": ""}
    with one_thread():
        module = build(arch, settings.skeleton, seed=stream_seed(run_seed, arch))
        ticks.append((0.0, time.process_time()))
        try:
            train(
                module, task, recipe, seed=stream_seed(run_seed, "order", arch), on_epoch=on_epoch
            )
        except NonFiniteLossError as error:
            record["failure"] = f"{type(error).__name__}: {error}"
        else:
            robust = attacked(
                module,
                task,
                attacks=settings.attacks,
                eps=settings.eps,
                images=settings.attacked,
                seed=settings.seed,
            )
            record["clean"] = round(robust.clean * robust.images)
            for name, kept in robust.accuracy.items():
                record[name] = [round(kept[e] * robust.images) for e in settings.eps]
        if payload["run"] == 0:
            record["scores"] = _scores(arch, settings, task)
    tell(1.0, "")
    spent = np.cumsum([after[0] - before[1] for before, after in pairwise(ticks)])
    for name, column in found.items():
        record[name] = [_number(v, whole=name.endswith("right")) for v in column]
    record["seconds"] = [round(float(s), 4) for s in spent]
    return record


def _scores(arch: Arch, settings: BuildConfig, task: Task) -> dict[str, float | None]:
    """Every registered proxy that can be computed; None where it has no value."""
    from foretell.proxies import make_batches, proxies, score

    batches = make_batches(task, batch_size=settings.score_batch, count=2, seed=settings.seed)
    names = proxies.names()
    done = score([arch], names, batches, skeleton=settings.skeleton, seed=settings.seed)
    return {name: _number(done.values[0, i]) for i, name in enumerate(names)}


def _number(value: float, *, whole: bool = False) -> float | None:
    """A number that JSON can write; None where it is not finite."""
    if not math.isfinite(value):
        return None
    return round(value) if whole else float(value)
