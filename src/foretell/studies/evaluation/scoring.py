"""Proxies of architectures as claims of an executor, one architecture each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from foretell.arch import Arch
from foretell.errors import ProxyError
from foretell.execution import Claim
from foretell.spaces import Skeleton, Space, name_of
from foretell.store import Result, Store
from foretell.studies._base import MakeExecutor
from foretell.studies.run.progress import Tracker
from foretell.studies.run.rounds import Rounds
from foretell.studies.run.session import Session
from foretell.studies.run.workers import executor_for
from foretell.types import Array, Json

if TYPE_CHECKING:
    from foretell.data import Task
    from foretell.proxies import Batches

__all__ = ["Scored", "Scorer", "key_of", "make_scorer", "score_all", "stored_scores"]


@dataclass(frozen=True)
class Scorer:
    """Scores one architecture; called with its genes, as executors do.

    Args:
        space: name of the architectures' space.
        names: of the proxies.
        batches: images and labels that they look at.
        skeleton: what surrounds the genes.
        seed: of weights and noise.
        in_memory: the space itself where its name leads nowhere; every process has to know it.
    """

    space: str
    names: tuple[str, ...]
    batches: "Batches"
    skeleton: Skeleton
    seed: int
    in_memory: Space | None = None

    def __call__(self, payload: Json) -> Json:
        """The values, NaN where a proxy has none, and the seconds that they took.

        Raises:
            ProxyError: the network cannot be built or run.
        """
        from foretell.proxies import score

        if self.in_memory is not None:
            name_of(self.in_memory)
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
    keys = [key_of(arch) for arch in archs]
    payloads = [{"genes": list(arch.genes)} for arch in archs]
    found: dict[str, Result] = {}
    if session is not None:
        found = _results(session.store, session.kind)
    count = sum(key in found and found[key].ok for key in keys)
    work = len(keys) - count
    wanted = set(keys)
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
            found[key] = result
            count += key in wanted
            tell("score", count, len(keys))
    return _scored(keys, scorer.names, found)


def stored_scores(store: Store, kind: str, keys: Sequence[str], names: Sequence[str]) -> Scored:
    """The scores that are in a store.

    Args:
        store: of a run.
        kind: of its study.
        keys: see ``key_of``.
        names: of the proxies.
    """
    return _scored(keys, names, _results(store, kind))


def key_of(arch: Arch) -> str:
    """Names the trial that scores an architecture."""
    return f"score {arch}"


def _results(store: Store, kind: str) -> dict[str, Result]:
    return {
        t.key: Result(t.id, t.state, t.value, t.error, t.message)
        for t in store.trials(kind)
        if t.state.final
    }


def _scored(keys: Sequence[str], names: Sequence[str], found: Mapping[str, Result]) -> Scored:
    values, seconds = np.full((len(keys), len(names)), np.nan), np.full(len(keys), np.nan)
    failures = {}
    for i, key in enumerate(keys):
        if (result := found.get(key)) is None:
            continue
        if result.ok:
            values[i], seconds[i] = result.value["values"], result.value["seconds"]
        else:
            own = result.error == ProxyError.__name__
            failures[i] = result.message if own else f"{result.error}: {result.message}"
    return Scored(values, seconds, failures)
