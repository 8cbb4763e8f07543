"""What the page of an evaluation of predictors says: every sentence and table row."""

import math

import numpy as np

from foretell.report.html.format import DASH, duration
from foretell.report.predictors.names import facts, names, notes, seconds, spread_text, tau
from foretell.report.predictors.plots import BANDS
from foretell.studies.evaluate_predictors.study import PredictorEvaluation
from foretell.types import Json

__all__ = ["context"]

HEADS = (
    ("kendall", "Kendall"), ("spearman", "Spearman"), ("pearson", "Pearson"), ("r2", "R²"),
    ("mae", "MAE"), ("rmse", "RMSE"), ("sparse_kendall_2", "Kendall, to 0.01"),
    ("sparse_kendall_1", "to 0.1"), ("precision_at_10", "Top 10 found"),
    ("regret_at_10", "Lost by top 10"), ("coverage", "Covered"), ("width", "Width"),
    ("fit_seconds", "Fit, s"), ("query_seconds", "1,000 queries, s"),
)  # fmt: skip
"""Columns of the full tables, by the names of the figures."""


def context(found: PredictorEvaluation, command: str, version: str) -> dict[str, Json]:
    """Everything that the template writes."""
    last = len(found.sizes) - 1
    return {
        "title": f"Predictors on {found.benchmark}",
        "facts": facts(found),
        "hero": _hero(found, last),
        "notes": notes(found),
        "confidence": f"{found.confidence:.0%}",
        "bands": f"bands, of the {BANDS} best,"
        if sum(not m.baseline for m in found.methods) > BANDS
        else "bands",
        "targets": [_target(found, t, last) for t in range(len(found.targets))],
        "sizes": [f"n = {n:,}" for n in found.sizes],
        "ranks": _ranks(found),
        "rank_cells": len(found.targets) * len(found.seeds),
        "failures": _failures(found),
        "settings": _settings(found),
        "command": command,
        "version": version,
    }


def _name(found: PredictorEvaluation, method: int) -> Json:
    m = found.methods[method]
    shown = names(found).encodings
    return {
        "name": m.predictor,
        "encodings": m.encodings if shown else "",
        "tag": "no model" if m.baseline else "",
    }


def _hero(found: PredictorEvaluation, last: int) -> Json:
    target, best = found.targets[0], found.best(0, last)
    spread = found.spread("kendall", 0, best, last)
    free = [m for m in found.by_mean(0, last) if found.methods[m].baseline]
    inside = [m for m in found.by_mean(0, last) if not found.methods[m].baseline]
    first, size = (inside or [best])[0], found.sizes[last]

    def tile(name: str, value: str, detail: str) -> Json:
        return {"name": name, "value": value, "detail": detail}

    fit = found.spread("fit_seconds", 0, first, last).mean
    query = found.spread("query_seconds", 0, first, last).mean
    smallest = found.spread("kendall", 0, first, 0)
    tiles = [
        tile(
            "Without a model",
            tau(found.spread("kendall", 0, free[0], last).mean) if free else DASH,
            found.methods[free[0]].predictor if free else "no baseline was asked for",
        ),
        tile(f"From {found.sizes[0]:,}", tau(smallest.mean), found.methods[first].predictor),
        tile("Its fit", duration(fit), f"CPU time, from {size:,} networks"),
        tile("Its queries", duration(query), "CPU time for 1,000 networks"),
        tile("Fits", f"{found.fits:,}", f"{len(found.failures):,} failed, {found.reused:,} reused"),
        tile("Methods", f"{len(found.methods):,}", f"{len(found.targets):,} targets"),
    ]
    between = f", {found.confidence:.0%} interval {tau(spread.low)} to {tau(spread.high)}"
    return {
        "what": f"Kendall's tau-b of the best method with {target.key}, from {size:,} networks",
        "number": tau(spread.mean),
        "range": found.methods[best].name + (between if math.isfinite(spread.low) else ""),
        "tiles": tiles,
    }


def _target(found: PredictorEvaluation, target: int, last: int) -> Json:
    info = found.targets[target]
    turned = " Lower is better, so its sign was turned for the order." if info.turned else ""
    tests = found.tests[target]
    return {
        "id": target,
        "key": info.key,
        "text": f"{info.known:,} networks with a value; {int(tests.min()):,} to "
        f"{int(tests.max()):,} are predicted.{turned}",
        "tables": [_table(found, target, s) for s in range(last, -1, -1)],
    }


def _table(found: PredictorEvaluation, target: int, size: int) -> Json:
    shown = [
        (metric, head)
        for metric, head in HEADS
        if np.isfinite(found.of(metric)[target, :, size]).any()
    ]
    best = found.best(target, size)
    lines = []
    for m in found.by_mean(target, size):
        behind, won = found.behind(target, m, size)
        cells = [_cell(found, metric, target, m, size) for metric, _ in shown]
        lines.append(
            {
                **_name(found, m),
                "cells": cells,
                "behind": DASH if m == best else spread_text(behind),
                "won": DASH if m == best or math.isnan(won) else f"{won:.0%}",
                "seeds": f"{found.spread('kendall', target, m, size).seeds}",
            }
        )
    return {
        "n": f"{found.sizes[size]:,}",
        "heads": [head for _, head in shown],
        "lines": lines,
    }


def _cell(found: PredictorEvaluation, metric: str, target: int, method: int, size: int) -> Json:
    spread = found.spread(metric, target, method, size)
    if metric.endswith("_seconds"):
        return {"value": seconds(spread.mean), "std": ""}
    if metric in ("mae", "rmse", "regret_at_10", "width"):
        if not math.isfinite(spread.mean):
            return {"value": DASH, "std": ""}
        share = found.targets[target].unit == "fraction"
        value = f"{100 * spread.mean:.2f} %" if share else f"{spread.mean:.3g}"
        return {"value": value, "std": ""}
    std = f"± {tau(spread.std)}" if math.isfinite(spread.std) else ""
    return {"value": tau(spread.mean), "std": std}


def _ranks(found: PredictorEvaluation) -> list[Json]:
    """Mean rank over targets and seeds by size, the best over all sizes first."""
    rank = found.ranks().mean(axis=0)
    order = np.argsort(rank.mean(axis=1), kind="stable")
    return [
        {
            **_name(found, int(m)),
            "cells": [f"{v:.1f}" for v in rank[m]],
            "mean": f"{rank[m].mean():.1f}",
        }
        for m in order
    ]


def _failures(found: PredictorEvaluation) -> list[Json]:
    return [
        {
            **_name(found, f.method),
            "where": f"{f.target}, n = {f.size:,}, seed {f.seed}",
            "state": f.state.replace("_", " "),
            "error": f.error,
            "message": f.message,
        }
        for f in found.failures
    ]


def _settings(found: PredictorEvaluation) -> list[tuple[str, str]]:
    encodings = [
        f"{text} ({seconds(s)} CPU s for 1,000 networks, proxies not counted)"
        for text, s in found.encoding_seconds.items()
    ]
    return [
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
