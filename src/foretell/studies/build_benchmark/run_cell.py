"""One run of an embedded benchmark: a cell trained from one seed, attacked, and scored."""

import math
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from foretell.arch import Arch
from foretell.data import Task
from foretell.errors import NonFiniteLossError
from foretell.rng import stream_seed
from foretell.studies.build_benchmark.config import BuildConfig
from foretell.studies.build_benchmark.data import task_of
from foretell.studies.build_benchmark.draw import CellRun
from foretell.studies.run.inside import part_teller
from foretell.studies.run.threads import one_thread
from foretell.types import Json

if TYPE_CHECKING:
    from torch import nn

__all__ = ["payload_of", "run_cell"]


def payload_of(run: CellRun, settings: Json) -> Json:
    """What ``run_cell`` is called with.

    Args:
        run: which one.
        settings: the identity of the build's settings.
    """
    return {
        "genes": list(run.arch.genes),
        "run": run.seed,
        "epochs": run.epochs,
        "long": run.long,
        "settings": settings,
    }


def run_cell(payload: Json) -> Json:
    """Train one cell; attack it unless the run is a long one; score it in its first run.

    Where each cell has random numbers of its own, the initial weights follow from the seed and the
    cell as they do in ``foretell.proxies.score``: the proxies of the first seed look at the very
    weights that are trained. Where the cells share them, proxies look at other weights.

    Args:
        payload: of ``payload_of``.

    Returns:
        Per epoch train_loss, val_loss (nats), val_right (images) and seconds (of this process's
        CPU time, training and validation up to there); test_loss and test_right likewise, or of
        the last epoch alone; after the last, clean and attack -> images that stay right, one for
        each eps; "scores" of the first run; "failure", empty or a sentence: a run that diverged
        keeps the epochs before. "all_seconds": CPU time of everything.
    """
    import torch

    from foretell.networks import build
    from foretell.training import Recipe, tensor_task, train
    from foretell.training.loop import Epoch, evaluate

    begin = time.process_time()
    settings = BuildConfig.from_json(payload["settings"])
    arch = Arch("nb201", tuple(payload["genes"]))
    run_seed, epochs = settings.seed + payload["run"], payload["epochs"]
    task = task_of(settings)
    tensors = tensor_task(task)
    recipe = Recipe(
        epochs=epochs, batch_size=settings.batch_size, lr=settings.lr, channels_last=True
    )
    names = ("train_loss", "val_loss", "val_right", "test_loss", "test_right")
    curves: dict[str, list[float]] = {name: [] for name in names}
    ticks: list[tuple[float, float]] = []

    def on_epoch(epoch: Epoch) -> None:
        stop = time.process_time()
        curves["train_loss"].append(epoch.train_loss)
        curves["val_loss"].append(epoch.val_loss)
        curves["val_right"].append(epoch.val_accuracy * len(task.val))
        if settings.test_curve:
            test()
        tell(
            (epoch.index + 1) / (epochs + 1),
            f"epoch {epoch.index + 1} of {epochs}, validation {epoch.val_accuracy:.2%}",
        )
        ticks.append((stop, time.process_time()))

    def test() -> None:
        loss, accuracy = evaluate(module, tensors.test, tensors, torch.channels_last)
        curves["test_loss"].append(loss)
        curves["test_right"].append(accuracy * len(task.test))

    tell = part_teller()
    own = () if settings.common else (arch,)
    record: dict[str, Json] = {"failure": ""}
    with one_thread():
        module = build(arch, settings.skeleton, seed=stream_seed(run_seed, *own))
        ticks.append((0.0, time.process_time()))
        try:
            order = stream_seed(run_seed, "order", *own)
            train(module, task, recipe, seed=order, on_epoch=on_epoch, test=False)
        except NonFiniteLossError as error:
            record["failure"] = f"{type(error).__name__}: {error}"
        else:
            if not settings.test_curve:
                test()
            if not payload["long"]:
                record |= _attacked(module, task, settings)
        if payload["run"] == 0 and not payload["long"]:
            record["scores"] = _scores(arch, settings, task)
    tell(1.0, "")
    spent = np.cumsum([after[0] - before[1] for before, after in pairwise(ticks)])
    for name, column in curves.items():
        record[name] = [_number(v, whole=name.endswith("right")) for v in column]
    record["seconds"] = [round(float(s), 4) for s in spent]
    record["all_seconds"] = round(time.process_time() - begin, 2)
    return record


def _attacked(module: "nn.Module", task: Task, settings: BuildConfig) -> dict[str, Json]:
    """Numbers of attacked images that are right, without attack and under each."""
    import torch

    from foretell.robustness import evaluate

    robust = evaluate(
        module.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        task,
        attacks=settings.attacks,
        eps=settings.eps,
        images=settings.attacked,
        seed=settings.seed,
        warn=False,
    )
    right = {
        name: [round(accuracy[e] * robust.images) for e in settings.eps]
        for name, accuracy in robust.accuracy.items()
    }
    return {"clean": round(robust.clean * robust.images), **right}


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
