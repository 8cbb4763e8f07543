"""How well proxies order the trained networks of a table, beside what is known for nothing."""

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foretell.arch import Arch
from foretell.benchmarks import Benchmark, open_benchmark
from foretell.errors import RunFolderError, UnknownNameError, UsageError
from foretell.metrics import ranks
from foretell.rng import stream
from foretell.spaces import CostTable, Skeleton, Space, get_space, spaces
from foretell.studies._base import NO_RESOURCES, MakeExecutor, Resources, fingerprint
from foretell.studies.evaluate_proxies.compute import compute
from foretell.studies.evaluate_proxies.config import ProxiesConfig
from foretell.studies.evaluate_proxies.recompute import Own, Recompute, prepare_own
from foretell.studies.evaluate_proxies.result import ProxyEvaluation
from foretell.studies.evaluate_proxies.timing import Times, measure
from foretell.studies.evaluation.facts import ProxyInfo, TargetInfo
from foretell.studies.evaluation.populations import Populations, make_populations
from foretell.studies.evaluation.scoring import score_all
from foretell.studies.evaluation.targets import (
    FREE,
    Column,
    Target,
    baselines,
    published,
    read_targets,
    skeleton_of,
)
from foretell.studies.run.progress import OnProgress, Tracker, silent
from foretell.studies.run.session import Session, open_session, reading
from foretell.studies.run.values import pack, unpack
from foretell.types import Array, IntArray

if TYPE_CHECKING:
    from foretell.data import Task

__all__ = [
    "CONFIG",
    "ProxiesConfig",
    "ProxyEvaluation",
    "ProxyInfo",
    "Recompute",
    "TargetInfo",
    "evaluate",
    "evaluate_proxies",
    "read",
    "run",
]

CONFIG = ProxiesConfig
_RESULT, _TIMES = "result", "times"


@dataclass(frozen=True)
class _Plan:
    """A table, ready to be evaluated."""

    benchmark: Benchmark
    rows: IntArray
    truths: list[Target]
    space: Space | None
    archs: list[Arch]
    skeleton: Skeleton | None
    costs: CostTable | None
    sets: Populations
    columns: list[Column]
    own: Own | None
    notes: list[str]

    def key(self, config: ProxiesConfig) -> str:
        """Stands for everything that the result follows from."""
        digest = hashlib.blake2b(digest_size=8)
        for array in (
            self.rows,
            *(t.values for t in self.truths),
            *(v for c in self.columns for v in c.values.values()),
        ):
            digest.update(np.ascontiguousarray(array).data)
        settings = {**config.to_json(), "benchmark": "", "workers": 0}
        return fingerprint([digest.hexdigest(), settings])


def evaluate_proxies(
    benchmark: Benchmark,
    *,
    targets: Sequence[str] | None = None,
    proxies: Sequence[str] | None = None,
    populations: Sequence[str] | None = None,
    kind: str = "kendall",
    samples: int = 200,
    level: float = 0.95,
    seed: int = 0,
    n: int | None = None,
    recompute: Recompute | None = None,
    time: int = 0,
    on_progress: OnProgress = silent,
) -> ProxyEvaluation:
    """Correlate every proxy with every truth of a table, on every population.

    Args:
        benchmark: the table.
        targets: keys of its metrics, or patterns such as "cifar10/*"; by default every metric of
            validation or test images that is better when higher.
        proxies: names or keys of its proxies, of the free baselines, or with ``recompute`` of
            proxies of this library; by default all of them.
        populations: "all", "alive", "no unreachable op", "deduplicated", "top K"; by default all
            that the space allows, and the top 100.
        kind: "kendall", "spearman" or "pearson".
        samples: resamples of the bootstrap, shared by all correlations of a population; 0 for none.
        level: the share between the ends of the intervals.
        seed: of the resamples, of the sample of architectures and of recomputed proxies.
        n: look at so many architectures, drawn at random; by default at all.
        recompute: compute own proxies for them, too.
        time: measure each proxy, alone, on so many of the networks, where the table has no times.
        on_progress: told how many networks are scored, and how many proxies timed.

    Returns:
        Correlations with intervals, what choosing by each proxy gives, and what was left out.

    Raises:
        UnknownNameError: no such target, proxy or kind.
        UsageError: an option has a value that cannot be used here.
        BenchmarkError: the table has no truth.
    """
    config = ProxiesConfig(
        targets=tuple(targets or ()),
        proxies=tuple(proxies or ()),
        populations=tuple(populations or ()),
        metric=kind,
        bootstrap=samples,
        level=level,
        seed=seed,
        n=n,
        time=time,
        preset=None if recompute is None else recompute.preset,
        batch_size=64 if recompute is None else recompute.batch_size,
    )
    plan = _plan(benchmark, config, None if recompute is None else recompute.data)
    return _evaluate(plan, config, Tracker(on_progress))


def evaluate(
    config: ProxiesConfig,
    *,
    resources: Resources = NO_RESOURCES,
    executor: MakeExecutor | None = None,
    on_progress: OnProgress = silent,
) -> ProxyEvaluation:
    """The same from settings, without a folder.

    Args:
        config: what to look at.
        resources: a table or images in memory.
        executor: what computes own proxies; by default as many processes as ``config.workers``
            says.
        on_progress: told how many networks are scored, and how many proxies timed.

    Raises:
        ForetellError: see ``evaluate_proxies``.
    """
    benchmark = resources.benchmark or open_benchmark(config.benchmark)
    plan = _plan(benchmark, config, resources.task or config.data or None)
    return _evaluate(plan, config, Tracker(on_progress), executor=executor)


def run(
    config: ProxiesConfig,
    out: Path | str,
    *,
    resources: Resources = NO_RESOURCES,
    executor: MakeExecutor | None = None,
    on_progress: OnProgress = silent,
) -> ProxyEvaluation:
    """Evaluate proxies in a folder; own proxies of every finished network are kept.

    Args:
        config: what to look at.
        out: the run folder.
        resources: a table or images in memory.
        executor: what computes own proxies; by default as many processes as ``config.workers``
            says.
        on_progress: told how many networks are scored, and how many proxies timed.

    Raises:
        UnknownNameError: no such benchmark, target, proxy or kind.
        UsageError: an option has a value that cannot be used here.
        BenchmarkError: the table has no truth.
        RunFolderError: the folder cannot be made or written, is in use, or holds own proxies of
            other settings.
    """
    with open_session(config, out, on_progress) as session:
        benchmark = resources.benchmark or open_benchmark(config.benchmark)
        plan = _plan(benchmark, config, resources.task or config.data or None)
        texts = "\n".join(benchmark.texts).encode()
        identity = {
            "table": benchmark.name,
            "networks of the table": hashlib.blake2b(texts, digest_size=8).hexdigest(),
        }
        if plan.own is not None:
            identity["data fingerprint"] = plan.own.fingerprint
        session.claim(identity)
        found = _in_session(plan, config, session, executor)
        session.write_tables(found.tables())
        return found


def read(out: Path | str) -> ProxyEvaluation:
    """The evaluation in a folder; while own proxies are computed, the one without them.

    Raises:
        RunFolderError: the folder holds none.
    """
    with reading(out, CONFIG.KIND) as store:
        stored = store.value(CONFIG.KIND, _RESULT)
    if stored is None:
        raise RunFolderError(
            f"{str(out)!r} holds an evaluation that has found nothing yet: wait for it, or go on "
            f"with foretell resume {out}."
        )
    return unpack(stored["found"], ProxyEvaluation)


def _in_session(
    plan: _Plan, config: ProxiesConfig, session: Session, executor: MakeExecutor | None
) -> ProxyEvaluation:
    """The stored evaluation if it is the same, else a new one, stored."""
    key, command = plan.key(config), config.command(session.folder.path)
    stored = session.value(_RESULT)
    if stored is not None and stored["key"] == key:
        return replace(unpack(stored["found"], ProxyEvaluation), command=command)
    if plan.columns and (plan.own is not None or config.time):
        waits = "Own proxies and times are not among these figures yet: they are being computed."
        first = _concluded(replace(plan, own=None, notes=[*plan.notes, waits]), config)
        first = replace(first, command=command)
        session.put(_RESULT, {"key": "", "found": pack(first)})
    found = _evaluate(plan, config, session.tell, session=session, executor=executor)
    found = replace(found, command=command)
    complete = not any("could not be scored" in note for note in found.notes)
    session.put(_RESULT, {"key": key if complete else "", "found": pack(found)})
    return found


def _plan(benchmark: Benchmark, config: ProxiesConfig, data: "str | Task | None") -> _Plan:
    """Everything that can be known before anything takes time.

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
    own = None
    if data is not None:
        if space is None:
            raise UsageError(
                f"Proxies of {benchmark.name!r} cannot be recomputed: its architectures belong to "
                f"no space that is known here."
            )
        from foretell.data import load_task

        task = load_task(data, seed=config.seed) if isinstance(data, str) else data
        names = [r for r in registered if wanted is None or r in wanted]
        wish = Recompute(data, config.preset, config.batch_size)
        own = prepare_own(space, task, names, wish, config.seed)
    if not columns and (own is None or not own.scorer.names):
        raise UsageError(
            f"There is no proxy to evaluate: {benchmark.name!r} holds none, and its networks' "
            f"sizes are not known."
        )
    return _Plan(benchmark, rows, truths, space, archs, skeleton, costs, sets, columns, own, notes)


def _evaluate(
    plan: _Plan,
    config: ProxiesConfig,
    tell: Tracker,
    *,
    session: Session | None = None,
    executor: MakeExecutor | None = None,
) -> ProxyEvaluation:
    """Compute what takes time, then correlate."""
    columns, notes = list(plan.columns), list(plan.notes)
    if plan.own is not None and plan.space is not None:
        scored = score_all(
            plan.own.scorer,
            plan.archs,
            tell,
            session=session,
            executor=executor,
            workers=config.workers,
        )
        own, said = plan.own.columns(plan.space, plan.archs, scored)
        columns, notes = columns + own, notes + said
    if config.time and plan.space is not None and plan.skeleton is not None:
        names = list(dict.fromkeys(c.proxy for c in columns))
        times = _times(plan, plan.space, plan.skeleton, names, config, tell, session)
        columns, notes = times.given_to(columns), [*notes, times.note]
    return _concluded(replace(plan, columns=columns, notes=notes), config)


def _times(
    plan: _Plan,
    space: Space,
    skeleton: Skeleton,
    names: list[str],
    config: ProxiesConfig,
    tell: Tracker,
    session: Session | None,
) -> Times:
    """The times; in a folder they are measured once."""
    size = config.batch_size if plan.own is not None else 64
    key = fingerprint([names, config.time, config.n, size, config.seed])
    stored = None if session is None else session.value(_TIMES)
    if stored is not None and stored["key"] == key:
        return unpack(stored["times"], Times)
    found = measure(
        names,
        space,
        plan.archs,
        skeleton,
        tell,
        networks=config.time,
        batch_size=size,
        seed=config.seed,
    )
    if session is not None:
        session.put(_TIMES, {"key": key, "times": pack(found)})
    return found


def _concluded(plan: _Plan, config: ProxiesConfig) -> ProxyEvaluation:
    """The evaluation of the columns that are there."""
    truths, columns, costs, skeleton = plan.truths, plan.columns, plan.costs, plan.skeleton
    datasets = tuple(dict.fromkeys(t.info.dataset for t in truths))
    arrays = compute(
        truths,
        columns,
        plan.sets,
        kind=config.metric,
        samples=config.bootstrap,
        level=config.level,
        seed=config.seed,
    )
    found = np.where([[t.info.turned for t in truths]], -arrays.found, arrays.found)
    return ProxyEvaluation(
        benchmark=plan.benchmark.name,
        space=plan.space.name if plan.space is not None else "",
        n=len(plan.rows),
        total=len(plan.benchmark.texts),
        kind=config.metric,
        samples=config.bootstrap,
        level=config.level,
        seed=config.seed,
        intervals=_intervals(config.metric, config.bootstrap, config.level, len(plan.rows)),
        skeleton=(
            f"{'x'.join(map(str, skeleton.input_shape))}, {skeleton.channels} channels, "
            f"{skeleton.cells} cells"
        )
        if costs is not None and skeleton is not None
        else "",
        data=plan.own.data if plan.own is not None else "",
        targets=tuple(t.info for t in truths),
        proxies=tuple(c.info(datasets) for c in columns),
        populations=plan.sets.names,
        sizes=arrays.sizes,
        value=arrays.value,
        low=arrays.low,
        high=arrays.high,
        pairs=arrays.pairs,
        between_runs=arrays.between_runs,
        between_runs_pairs=arrays.between_runs_pairs,
        favourite=arrays.favourite,
        ties=arrays.ties,
        found=found,
        regret=arrays.regret,
        rank=arrays.rank,
        texts=tuple(plan.benchmark.texts[i] for i in plan.rows.tolist()),
        notes=(*plan.notes, *_gaps(columns, datasets)),
    )


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


def _intervals(kind: str, samples: int, level: float, n: int) -> str:
    if not samples:
        return "No intervals were computed."
    words = (
        f"{100 * level:g} % intervals by the percentile bootstrap over networks, {samples} "
        f"resamples shared by all proxies and targets of a population"
    )
    if kind == "kendall":
        words += ", first-order terms"
    return words + "."
