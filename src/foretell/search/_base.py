"""The contract of a searcher: it is asked for architectures and told their values."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, TypeVar, final

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from foretell.arch import Arch
from foretell.errors import ForetellError, SearchError
from foretell.registry import Registry
from foretell.search.objectives import chebyshev, draw_weights
from foretell.search.pool import Feasible, any_arch, draw_pool
from foretell.spaces import Space
from foretell.types import Array

__all__ = ["Problem", "Searcher", "get_searcher", "searcher", "searchers"]

searchers: Registry[type["Searcher"]] = Registry("searcher")
"""Every searcher by name; facts: ``needs_pool``, ``needs_scores``."""

S = TypeVar("S", bound="type[Searcher]")


def searcher(name: str, *, reference: str = "") -> Callable[[S], S]:
    """A decorator that registers a searcher with the facts that its class declares.

    Args:
        name: the name users type.
        reference: paper and section.

    Raises:
        DuplicateNameError: the name is taken.
    """

    def register(cls: S) -> S:
        searchers.add(
            name,
            reference=reference,
            needs_pool=cls.needs_pool,
            needs_scores=cls.needs_scores,
        )(cls)
        return cls

    return register


def get_searcher(name: str) -> "type[Searcher]":
    """The searcher's class.

    Args:
        name: a registered name, or ``file.py:attribute``.

    Raises:
        UnknownNameError: no such searcher.
        PluginError: a text with a colon leads nowhere.
        SearchError: it leads to something that is no searcher.
    """
    found = searchers.entry(name).load()
    if not (isinstance(found, type) and issubclass(found, Searcher)):
        raise SearchError(
            f"{name!r} is no searcher: name a class that derives from foretell.Searcher."
        )
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise SearchError(
            f"{name!r} is no complete searcher: the class has to define {', '.join(missing)}."
        )
    return found


@dataclass(frozen=True)
class Problem:
    """Where to search.

    Args:
        space: the search space.
        pool: the architectures to choose from; empty for the whole space.
        scores: proxy -> (n,) scores aligned to the pool; NaN where unknown.
        feasible: which architectures may be trained; it must always give the same answer.

    Raises:
        SearchError: a score is not aligned to the pool, or the pool repeats an architecture.
    """

    space: Space
    pool: tuple[Arch, ...] = ()
    scores: Mapping[str, Array] = field(default_factory=lambda: MappingProxyType({}))
    feasible: Feasible = any_arch

    def __post_init__(self) -> None:
        """Check that scores and pool fit together."""
        for name, values in self.scores.items():
            if np.shape(values) != (len(self.pool),):
                raise SearchError(
                    f"Expected {len(self.pool)} scores {name!r}, one per architecture of the "
                    f"pool, but got the shape {np.shape(values)}."
                )
        if len(set(self.pool)) != len(self.pool):
            raise SearchError("The pool holds an architecture twice: deduplicate it first.")


class Searcher(ABC):
    """Chooses architectures; never evaluates one.

    A subclass implements ``_ask`` and, where it learns, ``_tell``; both may be short, because the
    public methods refuse what is wrong: repeats and infeasible architectures that ``_ask`` proposes
    are dropped, and a short answer is filled up with uniform draws. All randomness comes from
    ``self.rng``, so that the same seed and the same tells give the same asks; a stopped search is
    resumed by asking and telling again.

    Args:
        problem: where to search.
        rng: the searcher's own stream of randomness.

    Raises:
        SearchError: the problem lacks a pool or scores that the searcher needs.
    """

    needs_pool: ClassVar[bool] = False
    needs_scores: ClassVar[bool] = False

    def __init__(self, problem: Problem, rng: Generator) -> None:
        """Store the problem; feasibility of a pool is asked once."""
        self.problem, self.rng = problem, rng
        self._asked: dict[Arch, None] = {}
        self._values: dict[Arch, float] = {}
        self._gains: dict[Arch, Array] = {}
        self._infeasible: dict[Arch, None] = {}
        self._places: dict[Arch, int] = {}
        name = type(self).__name__
        if self.needs_pool and not problem.pool:
            raise SearchError(f"{name} chooses from a pool, but the problem has none.")
        if self.needs_scores and not problem.scores:
            raise SearchError(
                f"{name} weighs the scores of proxies, but the problem has none: name at least "
                f"one proxy, or take another searcher."
            )
        if problem.pool:
            mask = _mask(problem.feasible, problem.pool)
            self._places = {a: i for i, a in enumerate(problem.pool) if mask[i]}

    @final
    def ask(self, n: int = 1) -> list[Arch]:
        """Up to n architectures to evaluate, none of which was asked or told before.

        Args:
            n: how many, >= 1.

        Returns:
            Distinct feasible architectures of the pool (of the space without one); fewer than n,
            possibly none, when there are no more.

        Raises:
            NoFeasibleArchError: no draw from the space was ever feasible.
            SearchError: n < 1, or the searcher's own code raised.
        """
        if n < 1:
            raise SearchError(f"Expected to be asked for at least 1 architecture, but got {n}.")
        with self._own_code("proposing architectures"):
            asked = list(self._ask(n))
            for arch in asked:
                self.problem.space.check(arch)
        archs = self.open(asked)[:n]
        if len(archs) < n:
            archs += self.draw(n - len(archs), seen=archs)
        self._asked.update(dict.fromkeys(archs))
        return archs

    @final
    def tell(
        self,
        archs: Sequence[Arch],
        values: ArrayLike,
        *,
        feasible: Sequence[bool] | None = None,
    ) -> None:
        """What the architectures turned out to be worth.

        Architectures that were never asked for may be told too, such as those of an earlier study.
        Several objectives become one value by ``chebyshev``, over all that was told and with
        weights drawn anew each time from the searcher's stream: ``values`` and ``best`` follow.

        Args:
            archs: n distinct architectures.
            values: (n,), or (n, k) for k objectives; higher is better, NaN for a failed trial.
            feasible: (n,) whether they keep the constraints that were known after asking only; by
                default all do. The value of one that does not counts as NaN.

        Raises:
            ArchError: an architecture is not of the space.
            SearchError: the lengths differ, a value is infinite, or was told before.
        """
        array = np.asarray(values, dtype=np.float64)
        if array.ndim not in (1, 2) or len(array) != len(archs) or array.shape[1:] == (0,):
            raise SearchError(f"Expected {len(archs)} values, but got the shape {array.shape}.")
        if np.isinf(array).any():
            raise SearchError("A value is infinite: tell NaN for a failed trial.")
        gains = array.reshape(len(archs), -1 if len(archs) else 1).copy()
        if self._gains and len(gains) and gains.shape[1] != (k := self._objectives):
            raise SearchError(f"Expected values of {k} objectives, but got {gains.shape[1]}.")
        allowed = np.ones(len(archs), dtype=bool) if feasible is None else np.asarray(feasible)
        if allowed.shape != (len(archs),):
            raise SearchError(
                f"Expected feasibility of {len(archs)} architectures, but got the shape "
                f"{allowed.shape}."
            )
        gains[~allowed.astype(bool)] = np.nan
        new: dict[Arch, Array] = {}
        for arch, gain in zip(archs, gains, strict=True):
            if self.problem.space.check(arch) in self._values or arch in new:
                raise SearchError(f"The value of {arch} was told before: tell each trial once.")
            new[arch] = gain
        if not new:
            return
        self._gains |= new
        self._infeasible |= {a: None for a, ok in zip(archs, allowed, strict=True) if not ok}
        self._asked.update(dict.fromkeys(new))
        if gains.shape[1] == 1:
            self._values |= {a: float(gain[0]) for a, gain in new.items()}
        else:
            self._scalarise()
        with self._own_code("learning from values"):
            self._tell(list(new), np.array([self._values[a] for a in new]))

    @property
    def _objectives(self) -> int:
        """How many objectives were told; 1 before any."""
        return len(next(iter(self._gains.values()), np.zeros(1)))

    def _scalarise(self) -> None:
        """One value for each architecture told, of several objectives."""
        table = np.stack(list(self._gains.values()))
        value = chebyshev(table, draw_weights(table.shape[1], self.rng))
        self._values = dict(zip(self._gains, value.tolist(), strict=True))

    @final
    def predict(self, archs: Sequence[Arch]) -> Array:
        """What the searcher expects of architectures, (n,); NaN where it has no opinion.

        The scale is the searcher's own: the order is what it means.
        """
        if not len(archs):
            return np.zeros(0)
        with self._own_code("predicting"):
            values = np.asarray(self._predict(archs), dtype=np.float64)
        if values.shape != (len(archs),):
            raise SearchError(
                f"{type(self).__name__} predicted values of the shape {values.shape} for "
                f"{len(archs)} architectures: one number for each is expected."
            )
        return values

    @contextmanager
    def _own_code(self, doing: str) -> Iterator[None]:
        """Name the searcher where its own hook raises."""
        try:
            yield
        except ForetellError:
            raise
        except Exception as error:
            raise SearchError(
                f"The searcher {type(self).__name__} raised {type(error).__name__} in "
                f"{doing}: {error}. Mend it, or take another."
            ) from error

    @property
    def best(self) -> tuple[Arch, float] | None:
        """The best architecture told and its value, the first of equals; None without one."""
        told = [(a, v) for a, v in self._values.items() if not math.isnan(v)]
        return max(told, key=lambda pair: pair[1], default=None)

    @property
    def values(self) -> Mapping[Arch, float]:
        """Every value told, in order; NaN for failed and infeasible trials."""
        return MappingProxyType(self._values)

    @property
    def infeasible(self) -> tuple[Arch, ...]:
        """Those that were told to break a constraint."""
        return tuple(self._infeasible)

    @property
    def pending(self) -> tuple[Arch, ...]:
        """Asked for and not told yet, in order of asking."""
        return tuple(a for a in self._asked if a not in self._values)

    def open(self, archs: Iterable[Arch]) -> list[Arch]:
        """Those that may be asked for: distinct, new, in the pool if there is one, feasible."""
        new = [a for a in dict.fromkeys(archs) if a not in self._asked]
        if self.problem.pool:
            return [a for a in new if a in self._places]
        if not new:
            return []
        mask = _mask(self.problem.feasible, new)
        return [a for a, ok in zip(new, mask, strict=True) if ok]

    def draw(self, n: int, *, seen: Sequence[Arch] = ()) -> list[Arch]:
        """Up to n uniformly drawn architectures that may be asked for, none of ``seen``.

        Raises:
            NoFeasibleArchError: no draw from the space was ever feasible.
        """
        left = {*self._asked, *seen}
        if not self.problem.pool:
            space, feasible = self.problem.space, self.problem.feasible
            known = tuple(a for a in dict.fromkeys((*self._asked, *seen)))
            why = getattr(feasible, "excluded", None)
            return list(draw_pool(space, n, self.rng, feasible, excluded=why, seen=known))
        free = [a for a in self._places if a not in left]
        if not free:
            return []
        order = self.rng.permutation(len(free))[:n]
        return [free[i] for i in order]

    @abstractmethod
    def _ask(self, n: int) -> list[Arch]:
        """Up to n proposals, best first."""

    def _tell(self, archs: Sequence[Arch], values: Array) -> None:
        """Learn from new values; ``self.values`` already holds them."""
        return

    def _predict(self, archs: Sequence[Arch]) -> Array:
        """What the searcher expects, (n,); NaN by default."""
        return np.full(len(archs), np.nan)


def _mask(feasible: Feasible, archs: Sequence[Arch]) -> NDArray[np.bool_]:
    mask = np.asarray(feasible(archs), dtype=bool)
    if mask.shape != (len(archs),):
        raise SearchError(
            f"Expected feasibility of {len(archs)} architectures, but got the shape {mask.shape}."
        )
    return mask
