"""Scoring many networks with many proxies, one shared pass each."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from foretell.arch import Arch
from foretell.errors import (
    DeadNetworkError,
    ForetellError,
    ModuleRaisedError,
    ProxyError,
    UsageError,
)
from foretell.execution import Claim, Executor, ForkedExecutor, PoolExecutor, can_fork
from foretell.networks import build
from foretell.proxies._base import Collected, Costs, Proxy, needs_of, proxies
from foretell.proxies.autograd_pass.run import collect
from foretell.proxies.cell_pass.heap import kept_heap
from foretell.proxies.needs import Needs
from foretell.proxies.shared.batches import Batches
from foretell.proxies.shared.plan import make_plan
from foretell.rng import stream_seed
from foretell.spaces import Skeleton, get_space
from foretell.types import Array

__all__ = ["Item", "Scores", "score"]

Item: TypeAlias = Arch | nn.Module | Callable[[], nn.Module]
"""An architecture, a module with the weights it has, or a function that builds a module."""


_CHUNK = 20
"""Networks that a worker takes at once, at most."""


@dataclass(frozen=True)
class Scores:
    """Values of p proxies on n networks.

    Args:
        names: of the proxies, as asked for.
        values: (n, p) float64; NaN where the network is dead or failed, or the proxy has no value.
        alive: whether input reaches output, (n,); True for a network that failed.
        seconds: wall time of each network, (n,).
        failures: index of a network -> why it could not be scored at all.
        reasons: (index, proxy) -> why that one value is missing.
        unseen: (n,) share of the parameters on a path to the output, vectors such as biases apart,
            that proxies of single layers do not see; NaN where no pass ran.
    """

    names: tuple[str, ...]
    values: Array
    alive: NDArray[np.bool_]
    seconds: Array
    failures: Mapping[int, str] = field(default_factory=dict)
    reasons: Mapping[tuple[int, str], str] = field(default_factory=dict)
    unseen: Array = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        """Without shares, there are none to tell."""
        if len(self.unseen) != len(self.values):
            object.__setattr__(self, "unseen", np.full(len(self.values), math.nan))

    def __len__(self) -> int:
        """How many networks there are."""
        return len(self.values)

    def column(self, name: str) -> Array:
        """The values of one proxy, (n,).

        Raises:
            UsageError: that proxy was not asked for.
        """
        if name not in self.names:
            raise UsageError(f"No column {name!r}: the scores are {', '.join(self.names)}.")
        values: Array = self.values[:, self.names.index(name)]
        return values


def score(
    items: Sequence[Item],
    names: Sequence[str],
    batches: Batches,
    *,
    skeleton: Skeleton | None = None,
    seed: int = 0,
    workers: int = 1,
    timeout: float | None = None,
    on_done: Callable[[int], None] | None = None,
) -> Scores:
    """Score networks; a network that fails costs its own row and nothing else.

    The weights of an architecture follow from ``seed`` and the architecture alone, so that its
    scores depend neither on the other items nor on their order. One network is held at a time.
    Workers are processes of one thread; values are those of this process if torch has one thread
    here, and more threads add up sums in another order.

    Args:
        items: architectures, modules, or functions that build a module.
        names: of proxies: registered, or ``file.py:function``.
        batches: images and labels.
        skeleton: the fixed part of an architecture's network.
        seed: of initial weights and noise.
        workers: processes that score; 1 scores here. Modules and functions are pickled.
        timeout: seconds that one network may take, start-up apart; 1 worker then is a copy of this
            process, where the system can make one, else a process of its own.
        on_done: called with the index of each item when it is done.

    Raises:
        UnknownNameError: no such proxy.
        PluginError: a ``file.py:function`` cannot be imported.
        ProxyError: a proxy does not say what it needs.
        TooFewBatchesError: a proxy needs more batches.
        UsageError: an architecture came without a skeleton, or ``workers`` is below 1.
    """
    if workers < 1:
        raise UsageError(f"Expected workers >= 1, but got {workers}.")
    requested = [(name, *_load(name)) for name in names]
    needs = Needs.NONE
    for _, _, need in requested:
        needs |= need
    make_plan(needs, len(batches))
    if timeout is not None or (workers > 1 and len(items) > 1):
        _before_pass(items, skeleton, costs=False)
        job = _Job(tuple(names), batches, skeleton, seed)
        return _score_by(workers, timeout, job, items, on_done or (lambda _: None))
    alive, costs = _before_pass(items, skeleton, costs=Needs.COSTS in needs)
    values = np.full((len(items), len(requested)), math.nan)
    seconds, unseen = np.zeros(len(items)), np.full(len(items), math.nan)
    failures: dict[int, str] = {}
    reasons: dict[tuple[int, str], str] = {}
    with kept_heap():
        for i, item in enumerate(items):
            start = time.perf_counter()
            if alive[i]:
                try:
                    collected = _collect(item, needs, batches, skeleton, seed, costs.get(i))
                    unseen[i] = collected.unseen
                    for j, (name, proxy, _) in enumerate(requested):
                        values[i, j], reason = _value(proxy, collected)
                        if reason:
                            reasons[i, name] = reason
                except DeadNetworkError:
                    alive[i] = False
                except Exception as error:  # a network's failure is its own
                    failures[i] = f"{type(error).__name__}: {error}"
            seconds[i] = time.perf_counter() - start
            if on_done is not None:
                on_done(i)
    return Scores(tuple(names), values, alive, seconds, failures, reasons, unseen)


@dataclass(frozen=True)
class _Job:
    """What a worker scores networks with: sent to it once."""

    names: tuple[str, ...]
    batches: Batches
    skeleton: Skeleton | None
    seed: int

    def __call__(self, items: Sequence[Item]) -> Scores:
        """Scores of some of the networks."""
        return score(items, self.names, self.batches, skeleton=self.skeleton, seed=self.seed)


@dataclass(frozen=True)
class _Held:
    """The same in a copy of this process, which has the networks already."""

    job: _Job
    items: Sequence[Item]

    def __call__(self, rows: Sequence[int]) -> Scores:
        """Scores of the networks with these indices, by one thread as in every worker."""
        torch.set_num_threads(1)
        return self.job([self.items[i] for i in rows])


def _score_by(
    workers: int,
    timeout: float | None,
    job: _Job,
    items: Sequence[Item],
    on_done: Callable[[int], None],
) -> Scores:
    """The same in other processes; what a network does to its process is a failure of its own."""
    n = len(items)
    size = min(_CHUNK, max(1, n // (4 * workers))) if timeout is None else 1
    copied = workers == 1 and can_fork()
    pool: Executor
    if copied:
        pool = ForkedExecutor(_Held(job, items), timeout)
    else:
        pool = PoolExecutor(job, max(1, min(workers, n)), timeout)

    def claim(rows: range) -> Claim:
        return Claim(rows.start, list(rows) if copied else [items[i] for i in rows])

    parts: dict[int, Scores] = {}
    lost: list[int] = []
    failures: dict[int, str] = {}
    with pool:
        for result in pool.map(claim(range(i, min(i + size, n))) for i in range(0, n, size)):
            start = int(result.id)
            rows = range(start, min(start + size, n))
            if result.ok:
                parts[start] = result.value
                for i in rows:
                    on_done(i)
            elif len(rows) == 1:
                failures[start] = f"{result.error}: {result.message}"
                on_done(start)
            else:
                lost += rows
        for result in pool.map(claim(range(i, i + 1)) for i in lost):
            start = int(result.id)
            if result.ok:
                parts[start] = result.value
            else:
                failures[start] = f"{result.error}: {result.message}"
            on_done(start)
    return _joined(job.names, n, parts, failures)


def _joined(
    names: tuple[str, ...], n: int, parts: Mapping[int, Scores], failures: dict[int, str]
) -> Scores:
    """Scores by the index of their first network as one; a row without scores failed."""
    values = np.full((n, len(names)), math.nan)
    alive, seconds, unseen = np.ones(n, dtype=bool), np.zeros(n), np.full(n, math.nan)
    reasons: dict[tuple[int, str], str] = {}
    for start, part in parts.items():
        rows = slice(start, start + len(part))
        values[rows], alive[rows], seconds[rows] = part.values, part.alive, part.seconds
        unseen[rows] = part.unseen
        failures |= {start + i: why for i, why in part.failures.items()}
        reasons |= {(start + i, name): why for (i, name), why in part.reasons.items()}
    return Scores(names, values, alive, seconds, dict(sorted(failures.items())), reasons, unseen)


def _load(name: str) -> tuple[Proxy, Needs]:
    entry = proxies.entry(name)
    return entry.load(), needs_of(entry)


def _before_pass(
    items: Sequence[Item], skeleton: Skeleton | None, *, costs: bool
) -> tuple[NDArray[np.bool_], dict[int, Costs]]:
    """Liveness and closed-form costs of the architectures, before any pass."""
    alive = np.ones(len(items), dtype=bool)
    cost_of: dict[int, Costs] = {}
    rows: dict[str, list[tuple[int, Arch]]] = {}
    for i, item in enumerate(items):
        if isinstance(item, Arch):
            rows.setdefault(item.space, []).append((i, item))
    if rows and skeleton is None:
        raise UsageError("Scoring architectures needs a skeleton: pass space.skeleton(...).")
    for name, members in rows.items():
        space = get_space(name)
        archs = [space.check(a) for _, a in members]
        index = [i for i, _ in members]
        alive[index] = space.alive(archs)
        table = space.costs(archs, skeleton) if costs and skeleton is not None else None
        if table is not None:
            for row, i in enumerate(index):
                cost_of[i] = Costs(
                    int(table.params[row]),
                    int(table.live_params[row]),
                    int(table.flops[row]),
                    float(table.sum_log_params[row]),
                )
    return alive, cost_of


def _collect(
    item: Item,
    needs: Needs,
    batches: Batches,
    skeleton: Skeleton | None,
    seed: int,
    costs: Costs | None,
) -> Collected:
    plan = make_plan(needs, len(batches), closed_form=costs is not None)
    own = stream_seed(seed, item if isinstance(item, Arch) else "module")
    if costs is not None and plan.forwards == 0:
        return Collected({"costs": costs})
    if isinstance(item, Arch):
        assert skeleton is not None
        module = build(item, skeleton, seed=own)
    elif isinstance(item, nn.Module):
        module = item
    else:
        module = _call(item)
    return collect(module, batches, plan, seed=own, costs=costs)


def _call(builder: Callable[[], nn.Module]) -> nn.Module:
    try:
        module = builder()
    except ForetellError:
        raise
    except Exception as error:
        raise ModuleRaisedError(
            f"Building the module raised {type(error).__name__}: {error}"
        ) from error
    if not isinstance(module, nn.Module):
        raise ModuleRaisedError(
            f"Expected a function that returns a torch.nn.Module, but got {type(module).__name__}."
        )
    return module


def _value(proxy: Proxy, collected: Collected) -> tuple[float, str]:
    """The proxy's value, or NaN and the reason."""
    try:
        value = float(proxy(collected))
    except ProxyError as error:
        return math.nan, str(error)
    except Exception as error:  # a proxy from outside: its failure is its own
        return math.nan, f"The proxy raised {type(error).__name__}: {error}"
    if not math.isfinite(value):
        return math.nan, f"The value is {value}."
    return value, ""
