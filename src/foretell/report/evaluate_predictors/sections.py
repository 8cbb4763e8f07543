"""The sections of an evaluation of predictors."""

import math
from dataclasses import replace

import numpy as np

from foretell import __version__
from foretell.report._base import (
    Block,
    Cell,
    Chart,
    Code,
    Column,
    Folded,
    Grid,
    Head,
    Hero,
    Line,
    Note,
    Pair,
    Pairs,
    Section,
    Table,
    Tile,
)
from foretell.report.evaluate_predictors.names import facts, names, notes, seconds, spread_text, tau
from foretell.report.evaluate_predictors.plots import BANDS, curve_plot, time_plot
from foretell.report.html.format import DASH, duration
from foretell.studies.evaluate_predictors.study import PredictorEvaluation

__all__ = ["failures", "head", "ranks", "reproduce", "targets"]

HEADS = (
    ("kendall", "Kendall"), ("spearman", "Spearman"), ("pearson", "Pearson"), ("r2", "R²"),
    ("mae", "MAE"), ("rmse", "RMSE"), ("sparse_kendall_2", "Kendall, to 0.01"),
    ("sparse_kendall_1", "to 0.1"), ("precision_at_10", "Top 10 found"),
    ("regret_at_10", "Lost by top 10"), ("coverage", "Covered"), ("width", "Width"),
    ("fit_seconds", "Fit, s"), ("query_seconds", "1,000 queries, s"),
)  # fmt: skip
"""Columns of the full tables, by the names of the figures."""


def head(found: PredictorEvaluation) -> Head:
    """Title, facts and the first screen."""
    return Head(
        title=f"Predictors on {found.benchmark}",
        facts=facts(found),
        hero=_hero(found, len(found.sizes) - 1),
        notes=tuple(Note(n, "note") for n in notes(found)),
        version=__version__,
    )


def _name(found: PredictorEvaluation, method: int) -> Cell:
    m = found.methods[method]
    shown = names(found).encodings and m.encodings
    return Cell(
        m.predictor, below=(m.encodings,) if shown else (), tag="no model" if m.baseline else ""
    )


def _hero(found: PredictorEvaluation, last: int) -> Hero:
    target, best = found.targets[0], found.best(0, last)
    spread = found.spread("kendall", 0, best, last)
    free = [m for m in found.by_mean(0, last) if found.methods[m].baseline]
    inside = [m for m in found.by_mean(0, last) if not found.methods[m].baseline]
    first, size = (inside or [best])[0], found.sizes[last]

    fit = found.spread("fit_seconds", 0, first, last).mean
    query = found.spread("query_seconds", 0, first, last).mean
    smallest = found.spread("kendall", 0, first, 0)
    tiles = (
        Tile(
            "Without a model",
            tau(found.spread("kendall", 0, free[0], last).mean) if free else DASH,
            found.methods[free[0]].predictor if free else "no baseline was asked for",
        ),
        Tile(f"From {found.sizes[0]:,}", tau(smallest.mean), found.methods[first].predictor),
        Tile("Its fit", duration(fit), f"CPU time, from {size:,} networks"),
        Tile("Its queries", duration(query), "CPU time for 1,000 networks"),
        Tile("Fits", f"{found.fits:,}", f"{len(found.failures):,} failed, {found.reused:,} reused"),
        Tile("Methods", f"{len(found.methods):,}", f"{len(found.targets):,} targets"),
    )
    between = f", {found.confidence:.0%} interval {tau(spread.low)} to {tau(spread.high)}"
    return Hero(
        what=f"Kendall's tau-b of the best method with {target.key}, from {size:,} networks",
        number=tau(spread.mean),
        range=found.methods[best].name + (between if math.isfinite(spread.low) else ""),
        tiles=tiles,
    )


def targets(found: PredictorEvaluation) -> tuple[Section, ...]:
    """A section for each target: curves, times and a table for each train size."""
    return tuple(_target(found, t) for t in range(len(found.targets)))


def _target(found: PredictorEvaluation, target: int) -> Section:
    info, tests = found.targets[target], found.tests[target]
    turned = " Lower is better, so its sign was turned for the order." if info.turned else ""
    many = sum(not m.baseline for m in found.methods) > BANDS
    bands = f"bands, of the {BANDS} best," if many else "bands"
    charts = (
        Chart(
            f"curve-{target}",
            "Learning curves",
            "Kendall's tau-b on networks that were not learned from, by how many were.",
            curve_plot(found, target),
        ),
        Chart(
            f"time-{target}",
            "What a fit takes",
            "The same against the CPU seconds of a fit; each point is a train size. The dotted "
            "line is the best without a model.",
            time_plot(found, target),
        ),
    )
    last = len(found.sizes) - 1
    others = [_table(found, target, s) for s in range(last - 1, -1, -1)]
    blocks: tuple[Block, ...] = (
        Grid(charts, "two"),
        _table(found, target, last),
        *(Folded(t.title, (replace(t, title=""),)) for t in others),
    )
    return Section(
        f"target-{target}",
        info.key,
        f"{info.known:,} networks with a value; {int(tests.min()):,} to {int(tests.max()):,} are "
        f"predicted.{turned} All methods learn from the same networks and are tested on the same "
        f'others; {bands} and ± in "behind the best" are {found.confidence:.0%} t intervals of the '
        "mean over seeds, ± below a figure is the standard deviation. ◆ marks what learns no "
        "model.",
        blocks,
    )


def _table(found: PredictorEvaluation, target: int, size: int) -> Table:
    shown = [
        (metric, head)
        for metric, head in HEADS
        if np.isfinite(found.of(metric)[target, :, size]).any()
    ]
    best, rows = found.best(target, size), list[Line]()
    for m in found.by_mean(target, size):
        behind, won = found.behind(target, m, size)
        rows.append(
            (
                _name(found, m),
                DASH if m == best else spread_text(behind),
                DASH if m == best or math.isnan(won) else f"{won:.0%}",
                *(_cell(found, metric, target, m, size) for metric, _ in shown),
                f"{found.spread('kendall', target, m, size).seeds}",
            )
        )
    heads = ("Behind the best", "Seeds won", *(head for _, head in shown), "Seeds")
    columns = (Column("Predictor", "key", header=True), *(Column(head, "n") for head in heads))
    n = f"{found.sizes[size]:,}"
    label = f"{found.targets[target].key}, from {n} networks"
    return Table(label, columns, tuple(rows), title=f"From {n} networks")


def _cell(found: PredictorEvaluation, metric: str, target: int, method: int, size: int) -> Cell:
    spread = found.spread(metric, target, method, size)
    if metric.endswith("_seconds"):
        return Cell(seconds(spread.mean))
    if metric in ("mae", "rmse", "regret_at_10", "width"):
        if not math.isfinite(spread.mean):
            return Cell(DASH)
        share = found.targets[target].unit == "fraction"
        value = f"{100 * spread.mean:.2f} %" if share else f"{spread.mean:.3g}"
        return Cell(value)
    std = (f"± {tau(spread.std)}",) if math.isfinite(spread.std) else ()
    return Cell(tau(spread.mean), below=std)


def ranks(found: PredictorEvaluation) -> Section:
    """Mean rank over targets and seeds by size, the best over all sizes first."""
    rank = found.ranks().mean(axis=0)
    order = np.argsort(rank.mean(axis=1), kind="stable")
    rows: tuple[Line, ...] = tuple(
        (_name(found, int(m)), *(f"{v:.1f}" for v in rank[m]), f"{rank[m].mean():.1f}")
        for m in order
    )
    heads = (*(f"n = {n:,}" for n in found.sizes), "All sizes")
    columns = (Column("Predictor", "key", header=True), *(Column(head, "n") for head in heads))
    splits = len(found.targets) * len(found.seeds)
    return Section(
        "ranks",
        "Ranks",
        "The place of each method by Kendall's tau-b among all on the same split, 1 is best, mean "
        f"over {splits} splits (targets and seeds) of each size; what failed comes last.",
        (Table("Mean ranks", columns, rows),),
    )


def failures(found: PredictorEvaluation) -> tuple[Section, ...]:
    """Fits without figures; no section if there are none."""
    if not found.failures:
        return ()
    columns = (
        Column("Predictor", "key", header=True), Column("Fit", "key"), Column("State", "key"),
        Column("Error", "value"),
    )  # fmt: skip
    rows: tuple[Line, ...] = tuple(
        (
            _name(found, f.method),
            f"{f.target}, n = {f.size:,}, seed {f.seed}",
            f.state.replace("_", " "),
            f"{f.error}: {f.message}",
        )
        for f in found.failures
    )
    return (
        Section(
            "failures",
            "Failures",
            "These fits gave no figures and are in no mean; running the same command again tries "
            "them once more.",
            (Table("Failures", columns, rows),),
        ),
    )


def reproduce(found: PredictorEvaluation, command: str = "") -> Section:
    """What repeats the evaluation."""
    code = (Code(command),) if command else ()
    return Section(
        "reproduce",
        "Run it again",
        "The tables are beside this page as results.csv (a row for each target, size and method), "
        "fits.csv (a row for each fit) and failures.csv; study.db is what a further run goes on "
        "from.",
        (*code, _settings(found)),
        link="Reproduce",
    )


def _settings(found: PredictorEvaluation) -> Pairs:
    encodings = [
        f"{text} ({seconds(s)} CPU s for 1,000 networks, proxies not counted)"
        for text, s in found.encoding_seconds.items()
    ]
    rows = [
        ("Table", found.benchmark),
        ("Networks", f"{found.n:,} of {found.total:,} ({found.population})"),
        ("Space", found.space),
        ("Encodings", "; ".join(encodings)),
        ("Proxies in the scores", ", ".join(found.proxies) or DASH),
        ("Train sizes", ", ".join(f"{n:,}" for n in found.sizes)),
        ("Seeds", ", ".join(map(str, found.seeds))),
        ("Split", "scikit-learn's train_test_split" if found.split == "sklearn" else "own"),
        ("Sorted by", found.order or "the table"),
        ("Conformal intervals", f"{found.level:.0%}" if found.level else "none"),
    ]
    return Pairs(tuple(Pair(k, v) for k, v in rows), title="Settings")
