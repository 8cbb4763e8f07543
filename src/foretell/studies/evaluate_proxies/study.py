"""How well proxies order the trained networks of a table, beside what is known for nothing."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from foretell.arch import Arch
from foretell.benchmarks import Benchmark
from foretell.errors import UnknownNameError, UsageError
from foretell.metrics import ranks
from foretell.metrics.correlation import kind_of
from foretell.rng import stream
from foretell.spaces import Space, get_space, spaces
from foretell.studies.evaluate_proxies.compute import compute
from foretell.studies.evaluate_proxies.recompute import Recompute, own_columns
from foretell.studies.evaluate_proxies.result import ProxyEvaluation
from foretell.studies.evaluate_proxies.timing import timed
from foretell.studies.evaluation.facts import ProxyInfo, TargetInfo
from foretell.studies.evaluation.populations import make_populations
from foretell.studies.evaluation.targets import (
    FREE,
    Column,
    baselines,
    published,
    read_targets,
    skeleton_of,
)
from foretell.types import Array, IntArray

__all__ = ["ProxyEvaluation", "ProxyInfo", "Recompute", "TargetInfo", "evaluate_proxies"]


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
    on_done: Callable[[int, int], None] | None = None,
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
        on_done: told how many networks are scored, of how many.

    Returns:
        Correlations with intervals, what choosing by each proxy gives, and what was left out.

    Raises:
        UnknownNameError: no such target, proxy or kind.
        UsageError: an option has a value that cannot be used here.
        BenchmarkError: the table has no truth.
    """
    kind_of(kind)
    total = len(benchmark.texts)
    if samples < 0 or not 0 < level < 1 or time < 0:
        raise UsageError(
            f"Expected samples >= 0, a level in (0, 1) and networks to time >= 0, but got "
            f"{samples}, {level} and {time}."
        )
    if n is not None and not 2 <= n <= total:
        raise UsageError(f"Expected 2 to {total} architectures, as the table has, but got {n}.")
    rows = np.arange(total)
    if n is not None:
        rows = np.sort(stream(seed, "networks").permutation(total)[:n])
    truths = read_targets(benchmark, rows, targets)
    space, archs, notes = _architectures(benchmark, rows)
    skeleton = skeleton_of(benchmark, space) if space is not None else None
    free, costs = baselines(benchmark, rows, space, archs, skeleton)
    sets = make_populations(len(rows), space, archs, costs, populations)
    registered = _registered() if recompute is not None else ()
    columns = _columns(benchmark, rows, proxies, free, registered)
    data = ""
    if recompute is not None:
        if space is None:
            raise UsageError(
                f"Proxies of {benchmark.name!r} cannot be recomputed: its architectures belong to "
                f"no space that is known here."
            )
        own, data, said = own_columns(
            space,
            archs,
            recompute,
            [r for r in registered if proxies is None or r in proxies],
            seed,
            on_done,
        )
        columns += own
        notes += said
    if time and space is not None and skeleton is not None:
        size = recompute.batch_size if recompute is not None else 64
        columns, said_of_time = timed(
            columns, space, archs, skeleton, networks=time, batch_size=size, seed=seed
        )
        notes.append(said_of_time)
    if not columns:
        raise UsageError(
            f"There is no proxy to evaluate: {benchmark.name!r} holds none, and its networks' "
            f"sizes are not known."
        )
    datasets = tuple(dict.fromkeys(t.info.dataset for t in truths))
    notes += _gaps(columns, datasets)
    arrays = compute(truths, columns, sets, kind=kind, samples=samples, level=level, seed=seed)
    found = np.where([[t.info.turned for t in truths]], -arrays.found, arrays.found)
    return ProxyEvaluation(
        benchmark=benchmark.name,
        space=space.name if space is not None else "",
        n=len(rows),
        total=total,
        kind=kind,
        samples=samples,
        level=level,
        seed=seed,
        intervals=_intervals(kind, samples, level, len(rows)),
        skeleton=(
            f"{'x'.join(map(str, skeleton.input_shape))}, {skeleton.channels} channels, "
            f"{skeleton.cells} cells"
        )
        if costs is not None and skeleton is not None
        else "",
        data=data,
        targets=tuple(t.info for t in truths),
        proxies=tuple(c.info(datasets) for c in columns),
        populations=sets.names,
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
        texts=tuple(benchmark.texts[i] for i in rows.tolist()),
        notes=tuple(notes),
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
