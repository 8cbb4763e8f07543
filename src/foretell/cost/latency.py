"""Latency of a built network on this machine's CPU, measured between runs of a reference network.

One measurement at a time: all processes of a user share a lock. Between runs of the network,
a small reference network runs, so that a drift of the machine can be seen and divided out.
"""

import functools
import gc
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from foretell.cost._lock import measuring
from foretell.cost.counting import _copy
from foretell.cost.runtime import runtimes
from foretell.errors import ForetellError, ModuleRaisedError, UsageError
from foretell.types import Shape3

__all__ = ["Latency", "measure_latency", "reference_network"]

REFERENCE_SHAPE: Shape3 = (3, 32, 32)
"""What the default reference network takes, one image at a time."""
LEAST_RUNS = 5
"""Timed runs of any network, however slow."""
LEAST_WARMUP = 2
"""Runs of any network before the timed ones, however slow."""
BLOCK_SECONDS = 0.002
"""Runs of the network in a row last about so long, before the reference has its turn."""
MOST_IN_BLOCK = 20
SPREAD_LIMIT = 0.1
DRIFT_LIMIT = 0.25
WAITING_LIMIT = 0.25


@dataclass(frozen=True)
class Latency:
    """How long one network takes; all times in seconds for one run on one batch.

    Args:
        median: of the wall-clock time of the runs.
        spread: median absolute deviation from the median, of the same runs.
        minimum: the shortest run.
        p90: nine of ten runs took no longer.
        runs: how many were timed.
        cpu_seconds: CPU time of the process; median over blocks of runs.
        reference: median of the reference network, which ran in turn with this one.
        relative: median over rounds of this network's time over the reference's in the same
            round. With one thread it compares CPU times, so that waiting for a busy CPU does not
            count; with several, medians of wall-clock times.
        drift: of the reference's medians in the rounds, the distance from the 10 % to the 90 %
            quantile as a share of their median: how far the machine's speed wandered.
        noisy: spread > 10 % of the median, or drift > 25 %, or median > 125 % of the CPU time,
            which means that the process was kept from the CPU.
        runtime: what ran it.
        threads: how many it could use.
        batch: images in a run.
    """

    median: float
    spread: float
    minimum: float
    p90: float
    runs: int
    cpu_seconds: float
    reference: float
    relative: float
    drift: float
    noisy: bool
    runtime: str
    threads: int
    batch: int

    def at(self, reference: float) -> float:
        """Seconds for one run while the machine runs the reference network in ``reference``.

        Measurements at different times compare better at one such speed than by their medians.

        Args:
            reference: seconds, such as the ``reference`` of the first measurement of a search.
        """
        return self.relative * reference


def measure_latency(
    module: nn.Module,
    input_shape: Shape3,
    *,
    runtime: str = "torch",
    reference: nn.Module | None = None,
    batch: int = 1,
    warmup: int = 10,
    runs: int = 1000,
    budget_seconds: float = 0.3,
    threads: int = 1,
    seed: int = 0,
    wait_seconds: float = 600.0,
) -> Latency:
    """Measure how long a network takes on this machine's CPU.

    A copy in evaluation mode is measured, without gradients; the module itself is never run,
    changed or moved. Rounds go on until ``runs`` runs or ``budget_seconds`` are reached. A slow
    network has 2 runs before the timed ones and 5 timed ones all the same. Not counted in the
    budget: the copy, the export to ONNX, and the wait for other measurements.

    Args:
        module: takes (batch, channels, height, width), float32 or of its weights' precision.
        input_shape: channels, height, width.
        runtime: a name in the registry ``foretell.cost.runtimes``: "torch", "onnxruntime".
        reference: runs in turn with the module, on images of the same shape; by default
            ``reference_network()`` on one image of 3 x 32 x 32.
        batch: images in a run.
        warmup: runs of each network that are not timed; fewer where they take a quarter of the
            budget.
        runs: the most runs that are timed.
        budget_seconds: for all runs of both networks.
        threads: for one run.
        seed: of the images, which are normally distributed.
        wait_seconds: the longest wait for other measurements on this machine.

    Raises:
        UnknownNameError: no such runtime; it carries the nearest names.
        UsageError: a number is out of range.
        MissingExtraError: the runtime's package is not installed.
        NetworkError: the module cannot be copied.
        ModuleRaisedError: it raised on such images; the cause is chained.
        ExportError: it cannot be exported for the runtime, or gives other outputs there.
        MeasurementLockError: another measurement did not end in time.
    """
    make = runtimes[runtime]
    for name, value in {"batch": batch, "runs": runs, "threads": threads}.items():
        if value < 1:
            raise UsageError(f"{name}={value} is out of range: give at least 1.")
    if warmup < 0:
        raise UsageError(f"warmup={warmup} is out of range: give at least 0.")
    if not 0 < budget_seconds < math.inf or not wait_seconds >= 0:
        raise UsageError(
            f"budget_seconds={budget_seconds} and wait_seconds={wait_seconds}: give a positive "
            f"budget and no negative wait."
        )
    with torch.random.fork_rng([]), _threads(threads):
        run = _runner(make, module, input_shape, batch, threads, seed)
        if reference is None:
            run_reference = _default_reference(runtime, threads, os.getpid())
        else:
            run_reference = _runner(make, reference, input_shape, batch, threads, seed)
        with (
            _module_errors(module, input_shape, batch),
            measuring(wait_seconds),
            _no_collection(),
            torch.inference_mode(),
        ):
            rounds = _interleave(
                run, run_reference, warmup=warmup, runs=runs, budget=budget_seconds
            )
    return _summary(rounds, runtime=runtime, threads=threads, batch=batch)


def reference_network() -> nn.Module:
    """The network that is measured beside every other: two convolutions, 16 channels.

    Its weights are drawn from a seed of their own; torch's generator is left as it is.
    """
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, 10),
        ).eval()


def _runner(
    make: Callable[[nn.Module, Tensor, int], Callable[[], object]],
    module: nn.Module,
    input_shape: Shape3,
    batch: int,
    threads: int,
    seed: int,
) -> Callable[[], object]:
    """A function that runs a copy once; the copy has run already."""
    copied = _copy(module, "cpu")
    kinds = (p.dtype for p in copied.parameters() if p.is_floating_point())
    images = torch.randn((batch, *input_shape), generator=torch.Generator().manual_seed(seed)).to(
        next(kinds, torch.float32)
    )
    with _module_errors(module, input_shape, batch):
        with torch.no_grad():  # tensors of the inference mode cannot be exported
            copied(images.clone())  # what it raises is its own, not the runtime's
        return make(copied, images, threads)


@functools.lru_cache(maxsize=8)
def _default_reference(runtime: str, threads: int, pid: int) -> Callable[[], object]:
    """Made once in a process; ``pid`` keeps sessions from being used after a fork."""
    return _runner(runtimes[runtime], reference_network(), REFERENCE_SHAPE, 1, threads, 0)


@dataclass(frozen=True)
class _Round:
    """Seconds of the runs in one round: wall-clock time of each, CPU time per run."""

    walls: list[float]
    cpu: float
    reference: list[float]
    reference_cpu: float


def _interleave(
    run: Callable[[], object],
    reference: Callable[[], object],
    *,
    warmup: int,
    runs: int,
    budget: float,
) -> list[_Round]:
    start = time.perf_counter()
    block = _warm_up(run, warmup, budget / 8)
    reference_block = math.ceil(_warm_up(reference, warmup, budget / 8) / 2)
    rounds: list[_Round] = []
    left = runs
    while left > 0:
        if runs - left >= LEAST_RUNS and time.perf_counter() - start >= budget:
            break
        n = min(block, left)
        left -= n
        begin = time.process_time()
        walls = [_timed(run) for _ in range(n)]
        middle = time.process_time()
        others = [_timed(reference) for _ in range(reference_block)]
        end = time.process_time()
        rounds.append(_Round(walls, (middle - begin) / n, others, (end - middle) / reference_block))
    return rounds


def _warm_up(run: Callable[[], object], warmup: int, seconds: float) -> int:
    """Run without keeping times; returns how many runs make a block."""
    start, shortest = time.perf_counter(), math.inf
    for i in range(max(warmup, LEAST_WARMUP)):
        if i >= LEAST_WARMUP and time.perf_counter() - start > seconds:
            break
        shortest = min(shortest, _timed(run))
    return max(1, min(MOST_IN_BLOCK, round(BLOCK_SECONDS / max(shortest, 1e-9))))


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - start) * 1e-9


def _summary(rounds: Sequence[_Round], *, runtime: str, threads: int, batch: int) -> Latency:
    walls = np.concatenate([r.walls for r in rounds])
    median, cpu = float(np.median(walls)), float(np.median([r.cpu for r in rounds]))
    spread = float(np.median(np.abs(walls - median)))
    if threads == 1:
        ratios = [r.cpu / r.reference_cpu for r in rounds]
    else:
        ratios = [float(np.median(r.walls) / np.median(r.reference)) for r in rounds]
    others = np.array([np.median(r.reference) for r in rounds])
    low, middle, high = np.quantile(others, [0.1, 0.5, 0.9])
    drift = float((high - low) / middle)
    return Latency(
        median=median,
        spread=spread,
        minimum=float(walls.min()),
        p90=float(np.quantile(walls, 0.9, method="higher")),
        runs=len(walls),
        cpu_seconds=cpu,
        reference=float(np.median(np.concatenate([r.reference for r in rounds]))),
        relative=float(np.median(ratios)),
        drift=drift,
        noisy=spread > SPREAD_LIMIT * median
        or drift > DRIFT_LIMIT
        or median > (1 + WAITING_LIMIT) * cpu,
        runtime=runtime,
        threads=threads,
        batch=batch,
    )


@contextmanager
def _threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Python's garbage collector would stop a run at random."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _module_errors(module: nn.Module, input_shape: Shape3, batch: int) -> Iterator[None]:
    try:
        yield
    except ForetellError:
        raise
    except Exception as error:
        raise ModuleRaisedError(
            f"The module {type(module).__name__} raised {type(error).__name__} on images of "
            f"shape {(batch, *input_shape)}: {error}"
        ) from error
