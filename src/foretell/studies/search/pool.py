"""The pool of a search: drawn once, dropped by closed form, scored in shared passes."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.errors import ForetellError, NetworkError, NoFeasibleArchError, ProxyError
from foretell.execution import Claim, Executor
from foretell.quantities import Stage
from foretell.rng import stream
from foretell.search import Feasibility, draw_pool
from foretell.studies.run.costs import CostBook
from foretell.studies.run.session import Session
from foretell.studies.search.config import SearchConfig
from foretell.studies.search.goals import Goals
from foretell.types import Array

__all__ = ["CHUNK", "Pool", "draw", "feasibility_of", "score_pool"]

CHUNK = 10
"""Networks scored between two writes to the store."""


@dataclass(frozen=True)
class Pool:
    """What a search chooses from.

    Args:
        archs: distinct, alive, feasible.
        scores: proxy -> (n,) values, NaN where a proxy failed; empty if the searcher needs none.
        drawn: how many architectures were drawn to fill it.
        excluded: what excluded how many of the drawn ones.
        failures: index -> why its scoring failed.
        reused: how many were scored by an earlier call.
        seconds: what scoring took, all calls together.
    """

    archs: tuple[Arch, ...]
    scores: Mapping[str, Array] = field(default_factory=lambda: MappingProxyType({}))
    drawn: int = 0
    excluded: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    failures: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    reused: int = 0
    seconds: float = 0.0


class _Watched:
    """Feasibility that counts what it was asked."""

    def __init__(self, inner: Feasibility) -> None:
        self.inner, self.drawn = inner, 0
        self.excluded: dict[str, int] = {}

    def __call__(self, archs: Sequence[Arch]) -> NDArray[np.bool_]:
        self.drawn += len(archs)
        for name, count in self.inner.excluded(archs).items():
            self.excluded[name] = self.excluded.get(name, 0) + count
        return self.inner(archs)


def feasibility_of(goals: Goals, book: CostBook, reference: Arch | None) -> Feasibility:
    """What pools and searchers ask: the constraints that are known without building.

    Args:
        goals: objectives and constraints.
        book: the costs of the space.
        reference: the architecture that shares refer to.

    Raises:
        ConstraintError: bounds contradict, or a share has no reference.
    """
    known = {q.name: q for q in goals.at(Stage.GRAPH)}

    def values(name: str, archs: Sequence[Arch]) -> Array:
        return np.array([book.value(known[name], arch) for arch in archs])

    of_reference = None
    if reference is not None:
        of_reference = {name: values(name, [reference]) for name in known}
    return Feasibility(goals.early, book, reference=of_reference, value=values)


def draw(session: Session, config: SearchConfig, book: CostBook, feasible: Feasibility) -> Pool:
    """The pool of the stored run, or a new one.

    Args:
        session: remembers it.
        config: its size and seed.
        book: the costs of the space.
        feasible: the constraints.

    Raises:
        NoFeasibleArchError: nothing that was drawn meets the constraints.
        NetworkError: nothing that was drawn can be built.
    """
    space = book.space
    known = session.value(_KEY)
    if known is None:
        watched = _Watched(feasible)
        try:
            archs = draw_pool(
                space,
                config.pool,
                stream(config.seed, "pool"),
                watched,
                dedup=lambda arch: space.graph(arch).hash(),
                excluded=feasible.excluded,
            )
        except NoFeasibleArchError as error:
            raise _reason(book, error) from error
        costs = book(archs)
        known = {
            "genes": [list(a.genes) for a in archs],
            "texts": [space.format(a) for a in archs],
            "costs": {name: getattr(costs, name).tolist() for name in COSTS},
            "drawn": watched.drawn,
            "excluded": watched.excluded,
        }
        session.put(_KEY, known)
    return Pool(
        tuple(Arch(space.name, tuple(g)) for g in known["genes"]),
        drawn=known["drawn"],
        excluded=known["excluded"],
    )


def _reason(book: CostBook, error: NoFeasibleArchError) -> ForetellError:
    """The error to tell: where networks cannot be built, that is why none is feasible."""
    if not book.failures:
        return error
    arch, why = next(iter(book.failures.items()))
    return NetworkError(
        f"{len(book.failures)} of the networks that were drawn cannot be built and no other is "
        f"feasible, the first {book.space.format(arch)}: {why}"
    )


def score_pool(session: Session, pool: Pool, executor: Executor) -> Pool:
    """The pool with its scores; those in the store are not computed again.

    Args:
        session: keeps scores, a chunk at a time, and is told how many there are.
        pool: what to score.
        executor: runs a ``Job`` on each chunk.

    Raises:
        ForetellError: a proxy is unknown, or cannot be computed on these data.
    """
    start = time.perf_counter()
    store, study, on_progress = session.store, session.kind, session.tell
    stored = store.scores(study, _KIND)
    failures: dict[str, str] = store.value(study, _FAILED) or {}
    known = set(stored.keys)
    todo = [a for a in pool.archs if str(a) not in known]
    reused = len(pool.archs) - len(todo)
    chunks = [todo[at : at + CHUNK] for at in range(0, len(todo), CHUNK)]
    claims = (Claim(i, {"score": [list(a.genes) for a in chunk]}) for i, chunk in enumerate(chunks))
    count = reused
    on_progress("score", count, len(pool.archs))
    for result in executor.map(claims) if chunks else ():
        if not result.ok:
            raise ProxyError(f"Scoring the pool failed with {result.error}: {result.message}")
        chunk = chunks[int(result.id)]
        for place, why in result.value["failures"].items():
            failures[str(chunk[int(place)])] = why
        if result.value["failures"]:
            store.put_value(study, _FAILED, failures)
        keys = [str(a) for a in chunk]
        store.put_scores(study, _KIND, keys, result.value["names"], result.value["values"])
        count += len(chunk)
        on_progress("score", count, len(pool.archs))
    if chunks:
        stored = store.scores(study, _KIND)  # as rounded by the store: a resumed run sees the same
    spent = (store.value(study, _SECONDS) or 0.0) + (time.perf_counter() - start if chunks else 0.0)
    store.put_value(study, _SECONDS, spent)
    places = {key: i for i, key in enumerate(stored.keys)}
    values = stored.values[[places[str(a)] for a in pool.archs]]
    position = {str(a): i for i, a in enumerate(pool.archs)}
    return Pool(
        pool.archs,
        MappingProxyType({n: values[:, i] for i, n in enumerate(stored.names)}),
        pool.drawn,
        pool.excluded,
        {position[key]: why for key, why in failures.items() if key in position},
        reused,
        spent,
    )


_KEY, _KIND, _FAILED, _SECONDS = "pool", "proxies", "pool failures", "pool seconds"
COSTS = ("params", "live_params", "flops", "memory", "sum_log_params", "alive")
"""Fields of ``CostTable`` that are stored."""
