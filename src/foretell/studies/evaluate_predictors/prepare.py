"""What an evaluation of predictors works on: rows, truths, encodings and baselines of a table."""

import difflib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foretell.arch import Arch
from foretell.benchmarks import Benchmark
from foretell.encodings import EncodingContext, Encodings, encode
from foretell.errors import UnknownNameError, UsageError
from foretell.rng import stream
from foretell.spaces import CostTable, ProductSpace, Space, get_space, spaces
from foretell.studies.evaluate_predictors.fit import Material
from foretell.studies.evaluation.populations import make_populations
from foretell.studies.evaluation.targets import (
    Column,
    Target,
    baselines,
    published,
    read_targets,
    skeleton_of,
)
from foretell.types import Array, IntArray

__all__ = ["Prepared", "prepare"]

POPULATIONS = ("all", "alive", "no unreachable op", "deduplicated")


@dataclass(frozen=True)
class Prepared:
    """A table, ready for fits.

    Args:
        material: the arrays.
        targets: what is predicted.
        texts: of the architectures.
        space: its name.
        usual: the encodings that stand for an empty text.
        baselines: names of the sizes.
        proxies: names of the proxies that make up the scores.
        encoding_seconds: names of encodings -> CPU seconds for 1,000 networks, proxies not counted.
        notes: what could not be done, and why.
    """

    material: Material
    targets: tuple[Target, ...]
    texts: tuple[str, ...]
    space: str
    usual: str
    baselines: tuple[str, ...]
    proxies: tuple[str, ...]
    encoding_seconds: Mapping[str, float]
    notes: tuple[str, ...]


def prepare(
    benchmark: Benchmark,
    encodings: Sequence[str],
    *,
    targets: Sequence[str] | None,
    proxies: Sequence[str] | None,
    population: str,
    order: str,
    n: int | None,
    test: int | None,
    split: str,
    level: float,
    seed: int,
) -> Prepared:
    """Read a table once for all fits.

    Args:
        benchmark: the table.
        encodings: names with "+" between; an empty text stands for the usual ones.
        targets: keys of metrics, or patterns; by default the first accuracy.
        proxies: names of the table's proxies for ``scores``; by default all.
        population: the architectures to draw from.
        order: metric to sort them by first; those without a value are left out.
        n: look at so many architectures, drawn at random; by default at all.
        test: see ``Material``.
        split: see ``Material``.
        level: see ``Material``.
        seed: of the draw of ``n``.

    Raises:
        UsageError: the table's space is not known, or an option has a value that cannot be used.
        UnknownNameError: no such target, proxy, encoding or metric.
    """
    if population not in POPULATIONS:
        raise UsageError(
            f"There is no population {population!r} to draw from: choose from "
            f"{', '.join(POPULATIONS)}."
        )
    if not benchmark.space or (benchmark.space not in spaces and ":" not in benchmark.space):
        raise UsageError(
            f"The architectures of {benchmark.name!r} belong to no space that is known here, so "
            f"nothing can be learned about them: import the table with its space."
        )
    space = get_space(benchmark.space)
    rows = _rows(benchmark, order, n, seed)
    archs = [space.parse(benchmark.texts[i]) for i in rows.tolist()]
    skeleton = skeleton_of(benchmark, space)
    if population != "all":
        closed = space.costs(archs, skeleton)
        keep = make_populations(len(rows), space, archs, closed, [population]).masks[population]
        rows = rows[keep]
        archs = [a for a, k in zip(archs, keep.tolist(), strict=True) if k]
    truths = read_targets(benchmark, rows, targets, costs=True)
    if targets is None:
        truths = truths[:1]
    free, closed = baselines(benchmark, rows, space, archs, skeleton)
    scores = _scores(benchmark, rows, proxies)
    notes = _missing(truths, scores, len(rows))
    costs, said = _costs(closed, free, space, archs)
    known = EncodingContext(space, archs, costs)
    usual = _usual(space, costs is not None, bool(scores))
    texts = dict.fromkeys(t or usual for t in encodings)
    datasets = {t.info.key: t.info.dataset for t in truths}
    tables: dict[tuple[str, str], Encodings] = {}
    seconds: dict[str, float] = {}
    for text in texts:
        start = time.process_time()
        made = dict(_encoded(text, known, scores, dict.fromkeys(datasets.values())))
        seconds[text] = 1000 * (time.process_time() - start) / len(made) / max(len(rows), 1)
        tables |= {(text, dataset): found for dataset, found in made.items()}
    if said and any("costs" in text.split("+") for text in texts):
        notes.append(said)
    measured = {t.info.key: np.flatnonzero(np.isfinite(t.values)) for t in truths}
    material = Material(
        truths={t.info.key: t.values[measured[t.info.key]] for t in truths},
        rows=measured,
        datasets=datasets,
        per_cent=frozenset(t.info.key for t in truths if t.info.unit == "fraction"),
        encodings=tables,
        sizes={(c.name, d): _whole(v) for c in free for d, v in c.values.items()},
        proxies={d: _candidates(d, [*scores, *free], len(rows)) for d in datasets.values()},
        test=test,
        split=split,
        level=level,
    )
    return Prepared(
        material=material,
        targets=tuple(truths),
        texts=tuple(benchmark.texts[i] for i in rows.tolist()),
        space=space.name,
        usual=usual,
        baselines=tuple(c.name for c in free if c.name in ("params", "flops")),
        proxies=tuple(c.name for c in scores),
        encoding_seconds=seconds,
        notes=tuple(notes),
    )


def _rows(benchmark: Benchmark, order: str, n: int | None, seed: int) -> IntArray:
    """Rows of the table, in the order in which splits count them."""
    rows = np.arange(len(benchmark.texts))
    if order:
        by = benchmark.query(None, order, missing="nan")
        rows = np.argsort(by, kind="stable")[: int(np.isfinite(by).sum())]
    if n is not None:
        if not 2 <= n <= len(rows):
            raise UsageError(f"Expected 2 to {len(rows)} architectures, but got {n}.")
        rows = rows[np.sort(stream(seed, "networks").permutation(len(rows))[:n])]
    return np.asarray(rows)


def _usual(space: Space, costs: bool, proxies: bool) -> str:
    """The encodings that are used where none are named."""
    names = ["graf"] + ["costs"] * costs + ["scores"] * proxies
    return "+".join(names + ["onehot"] * isinstance(space, ProductSpace))


def _scores(benchmark: Benchmark, rows: IntArray, wanted: Sequence[str] | None) -> list[Column]:
    """The table's proxies."""
    known = {n for k, m in benchmark.metrics.items() if m.kind == "proxy" for n in (k, m.name)}
    if unknown := [w for w in wanted or () if w not in known]:
        near = difflib.get_close_matches(unknown[0], known)
        raise UnknownNameError("proxy", unknown[0], near, sorted(known))
    return published(benchmark, rows, wanted)


def _encoded(
    text: str, known: EncodingContext, scores: Sequence[Column], datasets: Mapping[str, None]
) -> Iterator[tuple[str, Encodings]]:
    """Dataset -> encodings; once for all datasets where there are no scores among them."""
    if "scores" not in [name.strip() for name in text.split("+")]:
        yield "", encode(text, known)
        return
    for dataset in datasets:
        values = {c.name: v for c in scores if (v := c.of(dataset)) is not None}
        kept = {name: v for name, v in values.items() if np.isfinite(v).any()}
        yield dataset, encode(text, EncodingContext(known.space, known.archs, known.costs, kept))


def _costs(
    closed: CostTable | None, free: Sequence[Column], space: Space, archs: Sequence[Arch]
) -> tuple[CostTable | None, str]:
    """Costs by closed form, else what the table says of them."""
    if closed is not None:
        return closed, ""
    said = {c.name: next(iter(c.values.values())) for c in free}
    said = {name: v for name, v in said.items() if np.isfinite(v).all()}
    if not said:
        return None, ""
    params = said.get("params", said.get("flops", np.zeros(0)))
    size = params.astype(np.int64)
    costs = CostTable(
        params=size,
        live_params=size,
        flops=said.get("flops", params).astype(np.int64),
        memory=np.zeros(len(size), dtype=np.int64),
        sum_log_params=np.log1p(params),
        alive=np.asarray(space.alive(archs)),
    )
    return costs, (
        f"Costs are the table's {' and '.join(said)}: the space {space.name!r} has no closed form."
    )


def _candidates(dataset: str, columns: Sequence[Column], n: int) -> Array:
    """Proxies and sizes to choose from, (k, n)."""
    found = [_whole(v) for c in columns if (v := c.of(dataset)) is not None]
    return np.stack(found) if found else np.empty((0, n))


def _whole(values: Array) -> Array:
    """The middle where there is no value, as in the encoding ``scores``."""
    known = np.isfinite(values)
    middle = float(np.median(values[known])) if known.any() else 0.0
    return np.where(known, values, middle)


def _missing(truths: Sequence[Target], scores: Sequence[Column], n: int) -> list[str]:
    """What the table does not hold."""
    notes = [
        f"{t.info.key} was measured for {t.info.known:,} of {n:,} networks: the others are left "
        f"out."
        for t in truths
        if t.info.known < n
    ]
    for dataset in dict.fromkeys(t.info.dataset for t in truths):
        lost = {c.name: int(np.isnan(v).sum()) for c in scores if (v := c.of(dataset)) is not None}
        if most := max(lost.values(), default=0):
            few = sum(count > 0 for count in lost.values())
            where = f" on {dataset}" if dataset else ""
            notes.append(
                f"{few} of {len(lost)} proxies{where} have no value for up to {most:,} of {n:,} "
                f"networks: these stand in the middle."
            )
    return notes
