"""Proxies of architectures as claims of an executor, one architecture each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from foretell.arch import Arch
from foretell.errors import ProxyError
from foretell.execution import Claim
from foretell.spaces import Skeleton
from foretell.store import State
from foretell.studies._base import MakeExecutor
from foretell.studies.run.progress import Tracker
from foretell.studies.run.rounds import Rounds
from foretell.studies.run.session import Session
from foretell.studies.run.workers import executor_for
from foretell.types import Array, Json

if TYPE_CHECKING:
    from foretell.data import Task
    from foretell.proxies import Batches

__all__ = ["Scored", "Scorer", "make_scorer", "score_all"]


@dataclass(frozen=True)
class Scorer:
    """Scores one architecture; called with its text form and genes, as executors do.

    Args:
        space: name of the architectures' space.
        names: of the proxies.
        batches: images and labels that they look at.
        skeleton: what surrounds the genes.
        seed: of weights and noise.
    """

    space: str
    names: tuple[str, ...]
    batches: "Batches"
    skeleton: Skeleton
    seed: int

    def __call__(self, payload: Json) -> Json:
        """The values, NaN where a proxy has none, and the seconds that they took.

        Raises:
            ProxyError: the network cannot be built or run.
        """
        from foretell.proxies import score

        arch = Arch(self.space, tuple(payload["genes"]))
        done = score([arch], self.names, self.batches, skeleton=self.skeleton, seed=self.seed)
        if done.failures:
            raise ProxyError(done.failures[0])
        return {"values": done.values[0].tolist(), "seconds": float(done.seconds[0])}


@dataclass(frozen=True)
class Scored:
    """What came of scoring n architectures by p proxies.

    Args:
        values: (n, p); NaN where a proxy has no value.
        seconds: (n,) for all proxies; NaN where scoring failed.
        failures: place of an architecture -> why it could not be scored.
    """

    values: Array
    seconds: Array
    failures: Mapping[int, str]


def make_scorer(
    space: str,
    names: Sequence[str],
    task: "Task",
    skeleton: Skeleton,
    *,
    batch_size: int = 64,
    seed: int = 0,
) -> Scorer:
    """A scorer on two batches of a task's training images.

    Raises:
        UnknownNameError: no such proxy.
        UsageError: the batches are too small.
        ProxyError: a proxy cannot be computed on them.
    """
    from foretell.proxies import make_batches, score

    batches = make_batches(task, batch_size=batch_size, count=2, seed=seed)
    score([], names, batches, skeleton=skeleton, seed=seed)  # refuses what no network could give
    return Scorer(space, tuple(names), batches, skeleton, seed)


def score_all(
    scorer: Scorer,
    archs: Sequence[Arch],
    tell: Tracker,
    *,
    session: Session | None = None,
    executor: MakeExecutor | None = None,
    workers: int = 0,
) -> Scored:
    """Score architectures; a network that fails costs its own row and nothing else.

    Args:
        scorer: scores one.
        archs: all different.
        tell: told how many are scored.
        session: where scores are kept, so that none is computed twice; None for nowhere.
        executor: what runs the claims; by default ``workers`` processes.
        workers: 0 scores in this process.
    """
    keys = [f"score {arch}" for arch in archs]
    payloads = [{"genes": list(arch.genes)} for arch in archs]
    found: dict[str, Json] = {}
    failures: dict[int, str] = {}
    if session is not None:
        there = session.store.trials(session.kind, State.done)
        found = {t.key: t.value for t in there}
    wanted = set(keys)
    count = sum(key in found for key in keys)
    work = len(keys) - count
    tell("score", count, len(keys))
    make = executor if executor is not None and work else None
    with make(scorer) if make else executor_for(scorer, workers, work) as runs:
        if session is None:
            claims = (Claim(i, payload) for i, payload in enumerate(payloads))
            results = ((keys[int(r.id)], r) for r in runs.map(claims, ordered=False))
        else:
            rounds = Rounds(session.store, session.kind, runs)
            each = rounds.each(list(zip(keys, payloads, strict=True)))
            results = ((trial.key, result) for trial, result in each)
        for key, result in results:
            if key not in wanted:
                continue
            if result.ok:
                found[key] = result.value
            else:
                own = result.error == "ProxyError"
                why = result.message if own else f"{result.error}: {result.message}"
                failures[keys.index(key)] = why
            count += 1
            tell("score", count, len(keys))
    values = np.full((len(archs), len(scorer.names)), np.nan)
    seconds = np.full(len(archs), np.nan)
    for i, key in enumerate(keys):
        if key in found:
            values[i], seconds[i] = found[key]["values"], found[key]["seconds"]
    return Scored(values, seconds, dict(sorted(failures.items())))
