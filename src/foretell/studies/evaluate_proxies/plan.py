"""What an evaluation of proxies works on: truths, proxies and populations of a table."""

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from foretell.arch import Arch
from foretell.benchmarks import Benchmark
from foretell.errors import UnknownNameError, UsageError
from foretell.metrics import ranks
from foretell.rng import stream
from foretell.spaces import Skeleton, Space, get_space, spaces
from foretell.studies._base import fingerprint
from foretell.studies.evaluate_proxies.compute import compute
from foretell.studies.evaluate_proxies.config import ProxiesConfig
from foretell.studies.evaluate_proxies.recompute import own_columns
from foretell.studies.evaluate_proxies.result import ProxyEvaluation
from foretell.studies.evaluate_proxies.timing import Times
from foretell.studies.evaluation.populations import Populations, make_populations
from foretell.studies.evaluation.scoring import Scored, Scorer, key_of, make_scorer
from foretell.studies.evaluation.targets import (
    FREE,
    Column,
    Target,
    baselines,
    published,
    read_targets,
    skeleton_of,
)
from foretell.types import Array, IntArray

if TYPE_CHECKING:
    from foretell.data import Task

__all__ = ["Frame", "Plan", "make_plan"]


@dataclass(frozen=True)
class Frame:
    """A table, read and ordered, that own proxies are added to.

    Args:
        benchmark: name of the table.
        total: architectures in it.
        space: of the architectures; empty if it is not known here.
        skeleton: what closed-form costs are computed for; empty if there are none.
        data: what own proxies are computed on; empty if there are none.
        texts: of the architectures that are looked at.
        truths: the targets.
        columns: the table's proxies and the baselines.
        sets: the populations.
        own: names of own proxies.
        keys: of the trials that compute them, one for each architecture.
        notes: what could not be done, and why.
    """

    benchmark: str
    total: int
    space: str
    skeleton: str
    data: str
    texts: tuple[str, ...]
    truths: tuple[Target, ...]
    columns: tuple[Column, ...]
    sets: Populations
    own: tuple[str, ...]
    keys: tuple[str, ...]
    notes: tuple[str, ...]

    def key(self, config: ProxiesConfig) -> str:
        """Stands for everything that the result follows from."""
        digest = hashlib.blake2b("\n".join(self.texts).encode(), digest_size=8)
        values = (v for c in self.columns for v in c.values.values())
        for array in (*(t.values for t in self.truths), *values):
            digest.update(np.ascontiguousarray(array).data)
        settings = {**config.to_json(), "benchmark": "", "workers": 0}
        return fingerprint([digest.hexdigest(), settings])

    def evaluation(
        self,
        config: ProxiesConfig,
        scored: Scored | None = None,
        times: Times | None = None,
        command: str = "",
    ) -> ProxyEvaluation:
        """Correlations, and what choosing by each proxy gives.

        Args:
            config: which correlation, with which intervals.
            scored: own proxies, so far; None without.
            times: of the proxies; None if they are not measured.
            command: what repeats it.
        """
        columns, notes = list(self.columns), list(self.notes)
        if scored is not None:
            own, said = own_columns(self.own, self.texts, scored)
            columns, notes = columns + own, notes + said
        if times is not None:
            columns, notes = times.given_to(columns), [*notes, times.note]
        datasets = tuple(dict.fromkeys(t.info.dataset for t in self.truths))
        arrays = compute(
            self.truths,
            columns,
            self.sets,
            kind=config.metric,
            samples=config.bootstrap,
            level=config.level,
            seed=config.seed,
        )
        turned = [[t.info.turned for t in self.truths]]
        return ProxyEvaluation(
            benchmark=self.benchmark,
            space=self.space,
            n=len(self.texts),
            total=self.total,
            kind=config.metric,
            samples=config.bootstrap,
            level=config.level,
            seed=config.seed,
            intervals=_intervals(config.metric, config.bootstrap, config.level),
            skeleton=self.skeleton,
            data=self.data,
            targets=tuple(t.info for t in self.truths),
            proxies=tuple(c.info(datasets) for c in columns),
            populations=self.sets.names,
            sizes=arrays.sizes,
            value=arrays.value,
            low=arrays.low,
            high=arrays.high,
            pairs=arrays.pairs,
            between_runs=arrays.between_runs,
            between_runs_pairs=arrays.between_runs_pairs,
            favourite=arrays.favourite,
            ties=arrays.ties,
            found=np.where(turned, -arrays.found, arrays.found),
            regret=arrays.regret,
            rank=arrays.rank,
            texts=self.texts,
            notes=(*notes, *_gaps(columns, datasets)),
            command=command,
        )


@dataclass(frozen=True)
class Plan:
    """What is to be computed for a frame.

    Args:
        frame: the table.
        archs: the architectures; empty without a space.
        space: theirs; None if it is not known here.
        skeleton: of the table's networks.
        scorer: computes own proxies; None without.
        fingerprint: of the images that it looks at.
    """

    frame: Frame
    archs: tuple[Arch, ...]
    space: Space | None
    skeleton: Skeleton | None
    scorer: Scorer | None
    fingerprint: str


def make_plan(benchmark: Benchmark, config: ProxiesConfig, data: "str | Task | None") -> Plan:
    """Everything that can be known before anything takes time.

    Args:
        benchmark: the table.
        config: what to look at.
        data: images for own proxies; None for none.

    Raises:
        ForetellError: see ``evaluate_proxies``.
    """
    config.check()
    total = len(benchmark.texts)
    if config.n is not None and not 2 <= config.n <= total:
        raise UsageError(
            f"Expected 2 to {total} architectures, as the table has, but got {config.n}."
        )
    rows = np.arange(total)
    if config.n is not None:
        rows = np.sort(stream(config.seed, "networks").permutation(total)[: config.n])
    truths = read_targets(benchmark, rows, config.targets or None)
    space, archs, notes = _architectures(benchmark, rows)
    skeleton = skeleton_of(benchmark, space) if space is not None else None
    free, costs = baselines(benchmark, rows, space, archs, skeleton)
    sets = make_populations(len(rows), space, archs, costs, config.populations or None)
    registered = _registered() if data is not None else ()
    wanted = config.proxies or None
    columns = _columns(benchmark, rows, wanted, free, registered)
    scorer, images, data_words = None, "", ""
    if data is not None:
        if space is None:
            raise UsageError(
                f"Proxies of {benchmark.name!r} cannot be recomputed: its architectures belong to "
                f"no space that is known here."
            )
        names = [r for r in registered if wanted is None or r in wanted]
        scorer, images, data_words = _own(space, data, names, config)
    if not columns and (scorer is None or not scorer.names):
        raise UsageError(
            f"There is no proxy to evaluate: {benchmark.name!r} holds none, and its networks' "
            f"sizes are not known."
        )
    frame = Frame(
        benchmark=benchmark.name,
        total=total,
        space=space.name if space is not None else "",
        skeleton="" if costs is None or skeleton is None else _words(skeleton),
        data=data_words,
        texts=tuple(benchmark.texts[i] for i in rows.tolist()),
        truths=tuple(truths),
        columns=tuple(columns),
        sets=sets,
        own=() if scorer is None else scorer.names,
        keys=() if scorer is None else tuple(key_of(a) for a in archs),
        notes=tuple(notes),
    )
    return Plan(frame, tuple(archs), space, skeleton, scorer, images)


def _own(
    space: Space, data: "str | Task", names: Sequence[str], config: ProxiesConfig
) -> tuple[Scorer, str, str]:
    """What computes own proxies, the images' fingerprint, and both in words."""
    from foretell.data import load_task

    task = load_task(data, seed=config.seed) if isinstance(data, str) else data
    skeleton = space.skeleton(task.input_shape, task.classes, config.preset)
    size, seed = config.batch_size, config.seed
    scorer = make_scorer(space.name, names, task, skeleton, batch_size=size, seed=seed)
    words = (
        f"{task.name} {'x'.join(map(str, task.input_shape))}, 2 batches of {size}, "
        f"{skeleton.channels} channels, {skeleton.cells} cells, seed {seed}"
    )
    return scorer, task.fingerprint, words


def _words(skeleton: Skeleton) -> str:
    shape = "x".join(map(str, skeleton.input_shape))
    return f"{shape}, {skeleton.channels} channels, {skeleton.cells} cells"


def _architectures(
    benchmark: Benchmark, rows: IntArray
) -> tuple[Space | None, list[Arch], list[str]]:
    """The space and the architectures, if they are known here."""
    if not benchmark.space or (benchmark.space not in spaces and ":" not in benchmark.space):
        return (
            None,
            [],
            [
                "The space of the table is not known here, so there are neither populations by "
                "graph nor costs by closed form."
            ],
        )
    space = get_space(benchmark.space)
    return space, [space.parse(benchmark.texts[i]) for i in rows.tolist()], []


def _registered() -> tuple[str, ...]:
    """What this library can compute and closed forms cannot."""
    from foretell.proxies import proxies

    return tuple(n for n in proxies.names() if n not in FREE)


def _columns(
    benchmark: Benchmark,
    rows: IntArray,
    wanted: Sequence[str] | None,
    free: list[Column],
    own: Sequence[str],
) -> list[Column]:
    """The table's proxies and the baselines, each under a name of its own."""
    table = {m.name for m in benchmark.metrics.values() if m.kind == "proxy"}
    keys = {k for k, m in benchmark.metrics.items() if m.kind == "proxy"}
    if wanted is None:
        mine, baseline = published(benchmark, rows, None), free
    else:
        known = {*table, *keys, *own, *(c.name for c in free)}
        if unknown := [w for w in wanted if w not in known]:
            near = difflib.get_close_matches(unknown[0], known)
            raise UnknownNameError("proxy", unknown[0], near, sorted(known))
        mine = published(benchmark, rows, [w for w in wanted if w in table or w in keys])
        baseline = [c for c in free if c.name in wanted]
    closed = {c.name: c for c in free}
    kept = []
    for column in mine:
        if column.name in closed:
            if wanted is None and all(
                _same(v, closed[column.name].of(d)) for d, v in column.values.items()
            ):
                continue  # the table says what the closed form says
            column = replace(column, name=f"{column.name} (table)")
        kept.append(column)
    return kept + baseline


def _same(values: Array, closed: Array | None) -> bool:
    """Whether both order the networks alike, but for rounding, where there is a value."""
    if closed is None:
        return False
    known = ~np.isnan(values)
    mine, theirs = (ranks(np.round(v[known], 6)) for v in (values, closed))
    return bool(known.any() and np.array_equal(mine, theirs))


def _gaps(columns: Sequence[Column], datasets: Sequence[str]) -> list[str]:
    """Which proxies have no values for which datasets of the targets."""
    lost: dict[str, list[str]] = {}
    for column in columns:
        for dataset in datasets:
            if column.of(dataset) is None:
                lost.setdefault(dataset, []).append(column.name)
    return [
        f"Not computed for {dataset or 'targets without a dataset'}: {', '.join(names)}."
        for dataset, names in lost.items()
    ]


def _intervals(kind: str, samples: int, level: float) -> str:
    if not samples:
        return "No intervals were computed."
    words = (
        f"{100 * level:g} % intervals by the percentile bootstrap over networks, {samples} "
        f"resamples shared by all proxies and targets of a population"
    )
    if kind == "kendall":
        words += ", first-order terms"
    return words + "."
