"""Training a classifier on images that fit into memory.

This file needs nothing but torch: it is copied beside an exported ``train.py``.

The whole data set is a few tensors on the device. Each epoch is shuffled and augmented in large
chunks, of which batches are slices, so that little Python runs per step. All randomness comes from
one generator on the CPU, and from a forked copy of PyTorch's own for layers such as dropout: the
caller's random state is not changed, and the result is determined by the seed.
"""

import io
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "Curves",
    "DivergenceError",
    "Epoch",
    "OtherRunError",
    "Part",
    "Recipe",
    "TensorTask",
    "TrainingResult",
    "evaluate",
    "fit",
    "load_tensor_task",
    "task_to_bytes",
]

CHUNK_BYTES = 32 * 2**20
"""Size of a chunk of augmented images."""
EVALUATION_BATCH = 512
FORMAT = 1
"""Version of the checkpoint format."""


class DivergenceError(ArithmeticError):
    """The loss became infinite or not a number.

    Args:
        epoch: counted from 0.
        loss: its value.
    """

    def __init__(self, epoch: int, loss: float) -> None:
        """Store the values."""
        super().__init__(f"the training loss became {loss} in epoch {epoch + 1}")
        self.epoch, self.loss = epoch, loss


class OtherRunError(ValueError):
    """A checkpoint cannot be read, or belongs to another run."""


@dataclass(frozen=True)
class Recipe:
    """How to train: SGD with Nesterov momentum, linear warm-up, then cosine to zero.

    Args:
        epochs: passes over the training images.
        batch_size: images in a step; a last batch of at most half that size is dropped.
        lr: peak learning rate.
        momentum: of SGD.
        nesterov: whether the momentum is Nesterov's.
        weight_decay: on weights of two or more dimensions; not on biases and BatchNorm.
        label_smoothing: probability mass spread over all classes.
        warmup: share of all steps with a linearly increasing learning rate.
        clip: maximum norm of the gradient; None for no clipping.
        flip: whether to mirror at random; by default as in the task.
        crop: pixels of padding for random crops; by default as in the task.
        use_val: train on the validation images too, as for a final network; the validation curves
            are then NaN.
        channels_last: memory format of images and weights during training, which is faster on CPUs;
            by default used where the module supports it.

    Raises:
        ValueError: a number is out of range.
    """

    epochs: int = 10
    batch_size: int = 64
    lr: float = 0.2
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    warmup: float = 0.1
    clip: float | None = 5.0
    flip: bool | None = None
    crop: int | None = None
    use_val: bool = False
    channels_last: bool | None = None

    def __post_init__(self) -> None:
        """Validate the values."""
        rules = {
            "epochs": self.epochs >= 1,
            "batch_size": self.batch_size >= 2,
            "lr": self.lr > 0 and math.isfinite(self.lr),
            "momentum": 0 <= self.momentum < 1,
            "nesterov": not self.nesterov or self.momentum > 0,
            "weight_decay": self.weight_decay >= 0 and math.isfinite(self.weight_decay),
            "label_smoothing": 0 <= self.label_smoothing < 1,
            "warmup": 0 <= self.warmup < 1,
            "clip": self.clip is None or self.clip > 0,
            "crop": self.crop is None or self.crop >= 0,
        }
        for name, good in rules.items():
            if not good:
                raise ValueError(
                    f"A recipe cannot have {name}={getattr(self, name)!r}: see its documentation."
                )


@dataclass(frozen=True)
class Part:
    """Images and labels as tensors.

    Args:
        images: (n, c, h, w), uint8 or float32 in [0, 1].
        labels: (n,) int64.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)


@dataclass(frozen=True)
class TensorTask:
    """A task as tensors.

    Args:
        train: for training the weights.
        val: for model selection.
        test: for the reported results only.
        mean: of each channel in [0, 1].
        std: of each channel.
        flip: whether mirroring keeps the label.
        crop: pixels of padding for random crops.
        fingerprint: hash of the content.
    """

    train: Part
    val: Part
    test: Part
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool = False
    crop: int = 0
    fingerprint: str = ""


@dataclass(frozen=True)
class Epoch:
    """Metrics of one epoch.

    Args:
        index: counted from 0.
        train_loss: mean over the epoch's steps, label smoothing included, nats.
        val_loss: without smoothing, nats; NaN without validation images.
        val_accuracy: in [0, 1]; NaN likewise.
        seconds: of this epoch.
    """

    index: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Curves:
    """Metrics of all epochs; see ``Epoch``."""

    train_loss: tuple[float, ...] = ()
    val_loss: tuple[float, ...] = ()
    val_accuracy: tuple[float, ...] = ()

    def add(self, epoch: Epoch) -> "Curves":
        """The curves with one more epoch."""
        return Curves(
            (*self.train_loss, epoch.train_loss),
            (*self.val_loss, epoch.val_loss),
            (*self.val_accuracy, epoch.val_accuracy),
        )


@dataclass(frozen=True)
class TrainingResult:
    """The result of a run.

    Args:
        curves: per epoch.
        val_accuracy: after the last epoch, in [0, 1]; NaN without validation images.
        test_accuracy: after the last epoch; for reports only, never for selection.
        seconds: of training and validation, over all resumptions.
        epochs: number of epochs run.
    """

    curves: Curves
    val_accuracy: float
    test_accuracy: float
    seconds: float
    epochs: int


@dataclass
class _Run:
    """The state of a run, as stored in a checkpoint."""

    module: nn.Module
    optimizer: "_SGD"
    generator: torch.Generator
    epoch: int = 0
    seconds: float = 0.0
    curves: Curves = field(default_factory=Curves)


def fit(
    module: nn.Module,
    task: TensorTask,
    recipe: Recipe,
    *,
    seed: int,
    device: str | torch.device = "cpu",
    on_epoch: Callable[[Epoch], None] | None = None,
    checkpoint: str | Path | None = None,
    test: bool = True,
) -> TrainingResult:
    """Train a module in place.

    Args:
        module: maps normalised images (n, c, h, w) to logits (n, classes); it stays on ``device``.
        task: the data.
        recipe: how to train.
        seed: of batch order, augmentation and dropout.
        device: where to train.
        on_epoch: called after each epoch; an exception ends the run.
        checkpoint: a file written after each epoch; if it exists, training resumes from it, with
            the same result, bit for bit, as an uninterrupted run.
        test: whether to look at the test part after the last epoch; where not, its accuracy is NaN.

    Raises:
        DivergenceError: the loss became infinite or not a number, in training, or on the
            validation images after the last epoch.
        OtherRunError: the checkpoint is of another run.
    """
    device = torch.device(device)
    module.to(device)
    parts = (task.train, task.val) if recipe.use_val else (task.train,)
    images = torch.cat([p.images for p in parts]) if len(parts) > 1 else task.train.images
    labels = torch.cat([p.labels for p in parts]).to(device)
    crop = task.crop if recipe.crop is None else recipe.crop
    batches = _Batches(
        images=F.pad(images, (crop, crop, crop, crop)).to(device),
        labels=labels,
        mean=task.mean,
        std=task.std,
        flip=task.flip if recipe.flip is None else recipe.flip,
        crop=crop,
        size=min(recipe.batch_size, len(labels)),
    )
    with _forked(device, seed), _deterministic(device), _format(module, task, recipe) as layout:
        run = _Run(module, _SGD(module, recipe), torch.Generator().manual_seed(seed))
        key = _key(recipe, task, seed)
        if checkpoint is not None:
            _load(run, Path(checkpoint), key, device)
        while run.epoch < recipe.epochs:
            start = time.perf_counter()
            train_loss = _train_epoch(run, batches, recipe, layout)
            val_loss = val_accuracy = math.nan
            if not recipe.use_val:
                val_loss, val_accuracy = evaluate(module, task.val, task, layout)
            epoch = Epoch(
                run.epoch, train_loss, val_loss, val_accuracy, time.perf_counter() - start
            )
            run.curves = run.curves.add(epoch)
            run.seconds += epoch.seconds
            run.epoch += 1
            if checkpoint is not None:
                _save(run, Path(checkpoint), key, device)
            if on_epoch is not None:
                on_epoch(epoch)
        if not recipe.use_val and math.isnan(run.curves.val_accuracy[-1]):
            raise DivergenceError(run.epoch - 1, run.curves.val_loss[-1])
        test_accuracy = evaluate(module, task.test, task, layout)[1] if test else math.nan
    curves = run.curves
    return TrainingResult(
        curves, curves.val_accuracy[-1], test_accuracy, run.seconds, len(curves.train_loss)
    )


@torch.inference_mode()
def evaluate(
    module: nn.Module,
    part: Part,
    task: TensorTask,
    layout: torch.memory_format = torch.contiguous_format,
) -> tuple[float, float]:
    """Mean cross-entropy (nats) and accuracy in [0, 1], with the module in evaluation mode.

    The accuracy is NaN if the loss is not finite. The mode of each submodule is restored.
    """
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    loss = _zero(device)
    right = torch.zeros((), dtype=torch.int64, device=device)
    with eval_mode(module):
        for start in range(0, len(part), EVALUATION_BATCH):
            stop = start + EVALUATION_BATCH
            x = normalise(part.images[start:stop].to(device), task.mean, task.std)
            x = x.contiguous(memory_format=layout)
            y = part.labels[start:stop].to(device)
            logits = module(x)
            loss += F.cross_entropy(logits, y, reduction="sum")
            right += (logits.argmax(1) == y).sum()
    mean = loss.item() / len(part)
    return mean, right.item() / len(part) if math.isfinite(mean) else math.nan


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """The module in evaluation mode; the mode of each submodule is restored."""
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for m, training in modes:
            m.training = training


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Images, uint8 or floats in [0, 1], as float32, normalised by mean and std."""
    scale = 255.0 if images.dtype == torch.uint8 else 1.0
    shift = torch.tensor(mean, dtype=torch.float64).mul(scale).float().view(-1, 1, 1)
    factor = torch.tensor(std, dtype=torch.float64).mul(scale).reciprocal().float().view(-1, 1, 1)
    return (images.float() - shift.to(images.device)) * factor.to(images.device)


@dataclass(frozen=True)
class _Batches:
    """Augmented batches; ``images`` are padded by ``crop`` pixels of black on each side."""

    images: Tensor
    labels: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool
    crop: int
    size: int

    @property
    def count(self) -> int:
        """Steps in an epoch."""
        whole, rest = divmod(len(self.labels), self.size)
        return whole + (rest * 2 > self.size)

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, in random order."""
        device, n = self.images.device, len(self.labels)
        order = torch.randperm(n, generator=generator)[: self.count * self.size]
        dy, dx = torch.randint(0, 2 * self.crop + 1, (2, n), generator=generator)
        mirror = torch.randint(0, 2, (n,), generator=generator)
        order, dy, dx, mirror = (t.to(device) for t in (order, dy, dx, mirror))
        per_image = 4 * self.images[0].numel()
        chunk = self.size * max(1, CHUNK_BYTES // (per_image * self.size))
        for start in range(0, len(order), chunk):
            index = order[start : start + chunk]
            x = self._augmented(index, dy[index], dx[index], mirror[index])
            y = self.labels[index]
            for s in range(0, len(index), self.size):
                yield x[s : s + self.size], y[s : s + self.size]

    def _augmented(self, index: Tensor, dy: Tensor, dx: Tensor, mirror: Tensor) -> Tensor:
        if not self.crop and not self.flip:
            x = self.images[index]
        else:
            c, h, w = self.images.shape[1:]
            h, w = h - 2 * self.crop, w - 2 * self.crop
            device = self.images.device
            rows = torch.arange(h, device=device) + dy[:, None]
            columns = torch.arange(w, device=device).expand(len(index), w)
            if self.flip:
                columns = torch.where(mirror[:, None] == 1, w - 1 - columns, columns)
            columns = columns + dx[:, None]
            channels = torch.arange(c, device=device)
            x = self.images[
                index[:, None, None, None],
                channels[:, None, None],
                rows[:, None, :, None],
                columns[:, None, None, :],
            ]
        return normalise(x, self.mean, self.std)


def _train_epoch(
    run: _Run, batches: _Batches, recipe: Recipe, layout: torch.memory_format
) -> float:
    """Train for one epoch; the mean loss of its steps."""
    run.module.train()
    total = _zero(batches.labels.device)
    steps = batches.count
    check = 1 if total.device.type == "cpu" else 50  # looking waits for the device
    for step, (x, y) in enumerate(batches.epoch(run.generator)):
        rate = recipe.lr * schedule((run.epoch * steps + step) / (recipe.epochs * steps), recipe)
        logits = run.module(x.contiguous(memory_format=layout))
        loss = F.cross_entropy(logits, y, label_smoothing=recipe.label_smoothing)
        total += loss.detach()
        if (step + 1) % check == 0 or step + 1 == steps:
            _check_finite(total, run.epoch)
        loss.backward()  # type: ignore[no-untyped-call]
        run.optimizer.step(rate)
    return total.item() / steps


def schedule(progress: float, recipe: Recipe) -> float:
    """Learning rate as a share of its peak: linear warm-up, then cosine decay to zero.

    Args:
        progress: share of all steps that are done, in [0, 1).
        recipe: gives ``warmup``.
    """
    if progress < recipe.warmup:
        return max(progress / recipe.warmup, 1e-3)
    return 0.5 + 0.5 * math.cos(math.pi * (progress - recipe.warmup) / (1 - recipe.warmup))


def _zero(device: torch.device) -> Tensor:
    """Data type in which losses are summed; Apple's GPUs have no float64."""
    dtype = torch.float32 if device.type == "mps" else torch.float64
    return torch.zeros((), dtype=dtype, device=device)


def _check_finite(total: Tensor, epoch: int) -> None:
    value = total.item()
    if not math.isfinite(value):
        raise DivergenceError(epoch, value)


class _SGD:
    """SGD with momentum and clipping, as ``torch.optim.SGD`` and ``clip_grad_norm_`` do it.

    torch's own optimiser loads its compiler on first use, which takes seconds.
    """

    def __init__(self, module: nn.Module, recipe: Recipe) -> None:
        """Start with momentum zero and without gradients."""
        self.recipe = recipe
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.momenta = [torch.zeros_like(p) for p in self.parameters]
        self._clear()

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Update each weight that has a gradient, and clear the gradients."""
        recipe = self.recipe
        moving = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        if not moving:
            return
        weights: list[Tensor] = [self.parameters[i] for i in moving]
        momenta = [self.momenta[i] for i in moving]
        gradients = [w.grad for w in weights if w.grad is not None]
        if recipe.clip is not None:
            norm = torch.stack(torch._foreach_norm(gradients)).norm()
            torch._foreach_mul_(gradients, (recipe.clip / (norm + 1e-6)).clamp(max=1.0))
        if recipe.weight_decay:
            pairs = [(g, w) for g, w in zip(gradients, weights, strict=True) if w.ndim > 1]
            if pairs:
                decayed, sources = zip(*pairs, strict=True)
                torch._foreach_add_(decayed, sources, alpha=recipe.weight_decay)
        if recipe.momentum:
            torch._foreach_mul_(momenta, recipe.momentum)
            torch._foreach_add_(momenta, gradients)
            if recipe.nesterov:
                torch._foreach_add_(gradients, momenta, alpha=recipe.momentum)
            else:
                gradients = momenta
        torch._foreach_add_(weights, gradients, alpha=-rate)
        self._clear()

    def state(self) -> list[Tensor]:
        """The momenta."""
        return self.momenta

    def load(self, momenta: list[Tensor]) -> None:
        """Load the momenta of a checkpoint.

        Raises:
            ValueError: they are of another network.
        """
        if [m.shape for m in momenta] != [p.shape for p in self.parameters]:
            raise ValueError("other shapes")
        for mine, other in zip(self.momenta, momenta, strict=True):
            mine.copy_(other)

    def _clear(self) -> None:
        for p in self.parameters:
            p.grad = None


@contextmanager
def _format(module: nn.Module, task: TensorTask, recipe: Recipe) -> Iterator[torch.memory_format]:
    """The memory format for training; the weights are made contiguous again afterwards."""
    if recipe.channels_last is False:
        yield torch.contiguous_format
        return
    _to_format(module, torch.channels_last)
    layout = torch.channels_last
    try:
        if recipe.channels_last is None:
            try:
                evaluate(module, Part(task.val.images[:2], task.val.labels[:2]), task, layout)
            except RuntimeError:  # such as view() of a tensor in this format
                layout = torch.contiguous_format
                _to_format(module, layout)
        yield layout
    finally:
        _to_format(module, torch.contiguous_format)


def _to_format(module: nn.Module, layout: torch.memory_format) -> None:
    module.to(memory_format=layout)  # type: ignore[call-overload]


@contextmanager
def _forked(device: torch.device, seed: int) -> Iterator[None]:
    """PyTorch's generators with a seed; their state is restored."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


@contextmanager
def _deterministic(device: torch.device) -> Iterator[None]:
    """Convolutions on CUDA by deterministic algorithms."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        yield


def _key(recipe: Recipe, task: TensorTask, seed: int) -> dict[str, Any]:
    """The key of a run, which its checkpoint must match."""
    return {"recipe": asdict(recipe), "task": task.fingerprint, "seed": seed}


def _save(run: _Run, path: Path, key: dict[str, Any], device: torch.device) -> None:
    state = {
        "format": FORMAT,
        "key": key,
        "module": run.module.state_dict(),
        "momenta": run.optimizer.state(),
        "generator": run.generator.get_state(),
        "random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "epoch": run.epoch,
        "seconds": run.seconds,
        "curves": asdict(run.curves),
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically({path: buffer.getvalue()})


def write_atomically(files: dict[Path, bytes]) -> None:
    """Write files atomically: each is either the old or the new one at any moment.

    None is replaced before all are written, so that a full disk leaves every old file.
    """
    partial = {path: path.with_name(f"{path.name}.{os.getpid()}.part") for path in files}
    try:
        for path, content in files.items():
            with partial[path].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path, written in partial.items():
            written.replace(path)
    finally:
        for written in partial.values():
            written.unlink(missing_ok=True)


def _load(run: _Run, path: Path, key: dict[str, Any], device: torch.device) -> None:
    if not path.exists():
        return
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        saved = (state["format"], state["key"])
    except Exception as error:
        raise OtherRunError(f"{path} is no checkpoint ({type(error).__name__})") from error
    if saved != (FORMAT, key):
        changed = [k for k in key if saved[1].get(k) != key[k]] or ["format"]
        raise OtherRunError(f"{path} is the checkpoint of another {' and '.join(changed)}")
    try:
        run.module.load_state_dict(state["module"])
        run.optimizer.load(state["momenta"])
    except (RuntimeError, ValueError) as error:
        raise OtherRunError(f"{path} is the checkpoint of another network") from error
    run.generator.set_state(state["generator"].cpu())
    torch.set_rng_state(state["random"].cpu())
    if state["cuda_random"] is not None:
        torch.cuda.set_rng_state(state["cuda_random"].cpu(), device)
    run.epoch, run.seconds = state["epoch"], state["seconds"]
    run.curves = Curves(**{k: tuple(v) for k, v in state["curves"].items()})


def task_to_bytes(task: TensorTask) -> bytes:
    """The content of a file that ``load_tensor_task`` reads with torch alone."""
    content = {
        name: {"images": part.images, "labels": part.labels}
        for name, part in (("train", task.train), ("val", task.val), ("test", task.test))
    }
    facts = {k: getattr(task, k) for k in ("mean", "std", "flip", "crop", "fingerprint")}
    buffer = io.BytesIO()
    torch.save({**content, **facts}, buffer)
    return buffer.getvalue()


def load_tensor_task(path: str | Path) -> TensorTask:
    """The task in a file with the content that ``task_to_bytes`` gave."""
    content = torch.load(path, weights_only=True)
    for name in ("train", "val", "test"):
        content[name] = Part(**content[name])
    return TensorTask(**content)
