"""Training on a Task, with this library's errors."""

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from foretell.data import Split, Task
from foretell.errors import (
    CheckpointError,
    ModuleRaisedError,
    NetworkError,
    NonFiniteLossError,
    UnknownNameError,
)
from foretell.networks import check_parameters
from foretell.training.loop import (
    EVALUATION_BATCH,
    DivergenceError,
    Epoch,
    OtherRunError,
    Part,
    Recipe,
    TensorTask,
    TrainingResult,
    eval_mode,
    fit,
    normalise,
)

__all__ = ["RECIPES", "get_recipe", "outcomes", "tensor_task", "train"]

RECIPES = MappingProxyType({"short": Recipe(epochs=10), "full": Recipe(epochs=40, lr=0.1)})
"""Short for the trials of a search, full for its winner; see the page on training."""


def get_recipe(name: str) -> Recipe:
    """A recipe by its name.

    Raises:
        UnknownNameError: no such recipe.
    """
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, [], RECIPES)
    return RECIPES[name]


def train(
    module: nn.Module,
    task: Task,
    recipe: Recipe,
    *,
    seed: int,
    device: str = "cpu",
    on_epoch: Callable[[Epoch], None] | None = None,
    checkpoint: str | Path | None = None,
    test: bool = True,
) -> TrainingResult:
    """Train a module in place.

    Args:
        module: maps normalised images (n, c, h, w) to logits (n, classes); it stays on ``device``.
        task: the data.
        recipe: how to train.
        seed: of batch order, augmentation and dropout. The caller's random state is not changed.
        device: where to train, such as "cpu" or "cuda".
        on_epoch: called after each epoch; an exception ends the run.
        checkpoint: a file written after each epoch; if it exists, training resumes from it, with
            the same result, bit for bit, as an uninterrupted run.
        test: whether to look at the test part after the last epoch; where not, its accuracy is NaN.

    Returns:
        Curves and accuracies. The test accuracy is for reports; select by ``val_accuracy``.

    Raises:
        NonFiniteLossError: the loss became infinite or not a number, in training, or on the
            validation images after the last epoch.
        CheckpointError: the checkpoint cannot be read, or is of another run.
        ModuleRaisedError: the module raised on two images of the task; the cause is chained.
        NetworkError: it does not give one logit for each class.
        NoParametersError: it has no trainable parameters.
    """
    check_parameters(module, "Training")
    tensors = tensor_task(task)
    _check_output(module, tensors, task)
    try:
        return fit(
            module,
            tensors,
            recipe,
            seed=seed,
            device=device,
            on_epoch=on_epoch,
            checkpoint=checkpoint,
            test=test,
        )
    except DivergenceError as error:
        raise NonFiniteLossError(error.epoch, error.loss) from error
    except OtherRunError as error:
        raise CheckpointError(f"{error}: delete it to start anew, or give another path.") from error


@torch.inference_mode()
def outcomes(module: nn.Module, task: Task) -> NDArray[np.bool_]:
    """Which validation images a trained module classifies right, (n,).

    Args:
        module: maps normalised images (n, c, h, w) to logits (n, classes).
        task: the data.
    """
    tensors, right = tensor_task(task), []
    home = next(module.parameters()).device
    with eval_mode(module):
        for start in range(0, len(tensors.val), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            images = normalise(tensors.val.images[part].to(home), tensors.mean, tensors.std)
            right.append(module(images).argmax(1).cpu() == tensors.val.labels[part])
    found: NDArray[np.bool_] = torch.cat(right).numpy()
    return found


def _check_output(module: nn.Module, tensors: TensorTask, task: Task) -> None:
    """Run two images, so that an invalid module fails early with a clear error."""
    home = next(module.parameters()).device
    images = normalise(tensors.val.images[:2], tensors.mean, tensors.std).to(home)
    try:
        with torch.random.fork_rng([]), torch.inference_mode(), eval_mode(module):
            logits = module(images)
    except Exception as error:
        raise ModuleRaisedError(
            f"The module {type(module).__name__} raised {type(error).__name__} on images of shape "
            f"{task.input_shape}: {str(error).splitlines()[0] if str(error) else 'no message'}"
        ) from error
    expected = (len(images), task.classes)
    if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != expected:
        came = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise NetworkError(
            f"Expected {type(module).__name__} to give logits of shape {expected} for "
            f"{len(images)} images and {task.classes} classes, but got {came}."
        )


def tensor_task(task: Task) -> TensorTask:
    """The same task as tensors that share its memory."""
    return TensorTask(
        _part(task.train),
        _part(task.val),
        _part(task.test),
        tuple(task.mean.tolist()),
        tuple(task.std.tolist()),
        task.flip,
        task.crop,
        task.fingerprint,
    )


def _part(split: Split) -> Part:
    return Part(torch.from_numpy(split.images), torch.from_numpy(split.labels))
