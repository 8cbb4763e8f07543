"""The pool of a search: drawn once, dropped by closed form, scored in shared passes."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.errors import ForetellError, NetworkError, NoFeasibleArchError, ProxyError
from foretell.execution import Executor
from foretell.quantities import Stage
from foretell.rng import stream
from foretell.search import Feasibility, draw_pool
from foretell.spaces import CostTable
from foretell.studies.run.costs import CostBook, lost_row, may_retry
from foretell.studies.run.faults.groups import run_groups
from foretell.studies.run.session import Session
from foretell.studies.search.config import SearchConfig
from foretell.studies.search.goals import Goals
from foretell.types import Array, Json

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
        lost: those of them that ended their process: they are not run again.
        reused: how many were scored by an earlier call.
        seconds: what scoring took, all calls together.
    """

    archs: tuple[Arch, ...]
    scores: Mapping[str, Array] = field(default_factory=lambda: MappingProxyType({}))
    drawn: int = 0
    excluded: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    failures: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    lost: frozenset[int] = frozenset()
    reused: int = 0
    seconds: float = 0.0

    @property
    def usable(self) -> "Pool":
        """The same without those that ended their process."""
        rows = [i for i in range(len(self.archs)) if i not in self.lost]
        if len(rows) == len(self.archs):
            return self
        scores = {name: values[rows] for name, values in self.scores.items()}
        return replace(
            self, archs=tuple(self.archs[i] for i in rows), scores=MappingProxyType(scores)
        )


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
        return book.values(known[name], archs)

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
            "costs": {name: getattr(costs, name).tolist() for name in CostTable.names()},
            "drawn": watched.drawn,
            "excluded": _but_failed(watched.excluded, len(book.failures)),
        }
        session.put(_KEY, known)
    else:
        archs = tuple(Arch(space.name, tuple(g)) for g in known["genes"])
        if set(CostTable.names()) <= known["costs"].keys():
            book.enter(archs, known["costs"])
    return Pool(
        archs,
        drawn=known["drawn"],
        excluded=known["excluded"],
    )


def _but_failed(excluded: Mapping[str, int], failed: int) -> dict[str, int]:
    """What excluded how many: a network whose costs could not be counted is not dead."""
    counts = {**excluded, "alive": max(0, excluded.get("alive", 0) - failed)}
    return {name: count for name, count in counts.items() if count or name in excluded} | (
        {"failed": failed} if failed else {}
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


def score_pool(session: Session, pool: Pool, executor: Executor, proxies: Sequence[str]) -> Pool:
    """The pool with its scores; those in the store are not computed again.

    Args:
        session: keeps scores, a chunk at a time, and is told how many there are.
        pool: what to score.
        executor: runs a ``Job`` on each chunk.
        proxies: names of the proxies.

    Raises:
        ProxyError: every network ended its process, or took too long.
        ForetellError: a proxy is unknown, or cannot be computed on these data.
    """
    start = time.perf_counter()
    store, study, on_progress = session.store, session.kind, session.tell
    stored = store.scores(study, _KIND)
    failures: dict[str, str] = store.value(study, _FAILED) or {}
    lost: dict[str, list[Json]] = store.value(study, _LOST) or {}
    again = {key for key, row in lost.items() if may_retry(row, session)}
    for key in again:
        del lost[key], failures[key]
    known = set(stored.keys) - again
    todo = [a for a in pool.archs if str(a) not in known]
    reused = count = len(pool.archs) - len(todo)
    on_progress("score", count, len(pool.archs))
    for chunk, result in run_groups(
        executor,
        todo,
        CHUNK,
        lambda chunk: {"score": [list(a.genes) for a in chunk]},
        watch=session.interrupted,
        key=lambda arch: f"score {arch}",
    ):
        keys = [str(a) for a in chunk]
        names, values = list(proxies), [[math.nan] * len(proxies)]
        if result.ok:
            names, values = result.value["names"], result.value["values"]
            failed = {keys[int(i)]: why for i, why in result.value["failures"].items()}
        else:
            failed = {keys[0]: f"{result.error}: {result.message}"}
            lost[keys[0]] = lost_row(result, session)
            store.put_value(study, _LOST, lost)
        failures |= failed
        if failed:
            store.put_value(study, _FAILED, failures)
        store.put_scores(study, _KIND, keys, names, values, exact=True)
        count += len(chunk)
        on_progress("score", count, len(pool.archs))
    if pool.archs and len(lost) == len(pool.archs):
        first = lost[str(pool.archs[0])]
        raise ProxyError(
            f"None of {len(pool.archs)} networks can be scored; the first failed with {first[0]}: "
            f"{first[1]}"
        )
    if todo:
        stored = store.scores(study, _KIND)
    spent = (store.value(study, _SECONDS) or 0.0) + (time.perf_counter() - start if todo else 0.0)
    store.put_value(study, _SECONDS, spent)
    places = {key: i for i, key in enumerate(stored.keys)}
    table = stored.values[[places[str(a)] for a in pool.archs]]
    position = {str(a): i for i, a in enumerate(pool.archs)}
    return replace(
        pool,
        scores=MappingProxyType({n: table[:, i] for i, n in enumerate(stored.names)}),
        failures={position[key]: why for key, why in failures.items() if key in position},
        lost=frozenset(position[key] for key in lost if key in position),
        reused=reused,
        seconds=spent,
    )


_KEY, _KIND, _SECONDS = "pool", "proxies", "pool seconds"
_FAILED, _LOST = "pool failures", "pool losses"
