"""What the page of an evaluation says: every sentence and table row."""

from collections.abc import Sequence

import numpy as np

from foretell.report.html.format import DASH, duration, percent, signed
from foretell.studies.evaluate_proxies.result import ProxyEvaluation
from foretell.studies.evaluation.facts import TargetInfo
from foretell.types import IntArray, Json

__all__ = ["KINDS", "amount_of", "context", "headline", "order_of", "runs_of", "short_targets"]

KINDS = {"kendall": "Kendall's tau-b", "spearman": "Spearman's rho", "pearson": "Pearson's r"}
"""The coefficients by the names that people read."""
WITHIN = {
    "all": "every network, dead ones included",
    "alive": "input reaches output",
    "no unreachable op": "every operation has an effect on the output",
    "deduplicated": "the first network of each function",
}
SOURCES = {
    "table": "published in the table",
    "baseline": "free baseline, by closed form",
    "own": "computed by foretell",
}


def headline(evaluation: ProxyEvaluation) -> tuple[int, int]:
    """The population and the target that the first screen is about.

    Each function once, where the graphs are known: copies would be counted by how many there are.
    """
    names = evaluation.populations
    return (names.index("deduplicated") if "deduplicated" in names else 0), 0


def order_of(evaluation: ProxyEvaluation) -> IntArray:
    """Places of the proxies in the order of all tables: best first by the headline."""
    return evaluation.order(*headline(evaluation))


def runs_of(target: TargetInfo) -> str:
    """How many training runs a truth is the mean of.

    >>> runs_of(TargetInfo("a", "", "", False, 9, (1, 2), 5, 0.9, ""))
    'mean of 1 to 2 runs'
    """
    least, most = target.runs
    if least == most:
        return "1 run" if most == 1 else f"mean of {most} runs"
    return f"mean of {least} to {most} runs"


def amount_of(value: float, unit: str) -> str:
    """A truth as people read it.

    >>> amount_of(0.9437, "fraction"), amount_of(0.25, "nats")
    ('94.37 %', '0.25 nats')
    """
    if unit == "fraction":
        return percent(value)
    return f"{value:.4g} {unit}".strip() if np.isfinite(value) else DASH


def short_targets(evaluation: ProxyEvaluation) -> list[str]:
    """Names of the targets, without the dataset where all have the same, all different."""
    keys = [t.key for t in evaluation.targets]
    if len({t.dataset for t in evaluation.targets}) > 1:
        return keys
    return [k.partition("/")[2] or k for k in keys]


def context(evaluation: ProxyEvaluation, command: str, version: str) -> dict[str, Json]:
    """Everything that the template writes."""
    kind = KINDS[evaluation.kind]
    k, t = headline(evaluation)
    order = order_of(evaluation)
    target = evaluation.targets[t]
    return {
        "title": f"Proxies on {evaluation.benchmark}",
        "facts": " · ".join(
            p
            for p in (
                f"{evaluation.n:,} of {evaluation.total:,} networks",
                f"space {evaluation.space}" if evaluation.space else "",
                kind,
                f"seed {evaluation.seed}",
                f"own proxies on {evaluation.data}" if evaluation.data else "",
            )
            if p
        ),
        "kind": kind,
        "hero": _hero(evaluation, kind, order),
        "notes": evaluation.notes,
        "headline": f"{target.key}, {evaluation.populations[k]}, n = {evaluation.sizes[k, t]:,}",
        "intervals": evaluation.intervals,
        "orders": _orders(evaluation),
        "heats": _heats(evaluation, kind),
        "tables": [_table(evaluation, i, order) for i in range(len(evaluation.populations))],
        "targets_short": short_targets(evaluation),
        "favourites": _favourites(evaluation, k, t, order),
        "choice_text": _choice_text(evaluation, k, t),
        "regrets": _regrets(evaluation, k, order),
        "truths": _truths(evaluation),
        "between_runs": _between_runs(evaluation),
        "proxies": _proxies(evaluation, order),
        "settings": _settings(evaluation),
        "command": command,
        "version": version,
    }


def _name(evaluation: ProxyEvaluation, p: int) -> Json:
    info = evaluation.proxies[p]
    return {"name": info.name, "tag": "" if info.source == "table" else info.source}


def _best(evaluation: ProxyEvaluation, order: IntArray, sources: Sequence[str]) -> int | None:
    k, t = headline(evaluation)
    for p in order.tolist():
        if evaluation.proxies[p].source in sources and np.isfinite(evaluation.value[k, p, t]):
            return int(p)
    return None


def _spread(evaluation: ProxyEvaluation, k: int, p: int, t: int) -> str:
    low, high = float(evaluation.low[k, p, t]), float(evaluation.high[k, p, t])
    if not np.isfinite(low):
        return ""
    return f"{100 * evaluation.level:g} % interval {signed(low, 3)} to {signed(high, 3)}"


def _hero(evaluation: ProxyEvaluation, kind: str, order: IntArray) -> Json:
    k, t = headline(evaluation)
    target, population = evaluation.targets[t], evaluation.populations[k]
    scored, free = (
        _best(evaluation, order, ("table", "own")),
        _best(evaluation, order, ("baseline",)),
    )
    first = scored if scored is not None else free

    def tile(name: str, value: str, detail: str) -> Json:
        return {"name": name, "value": value, "detail": detail}

    def best(p: int | None, what: str) -> Json:
        if p is None:
            return tile(what, DASH, "none was evaluated")
        value = signed(float(evaluation.value[k, p, t]), 3)
        return tile(what, value, f"{evaluation.proxies[p].name}, n = {evaluation.pairs[k, p, t]:,}")

    between_runs = float(evaluation.between_runs[k, t])
    tiles = [
        best(free, "Best free baseline"),
        tile(
            "One run with another",
            signed(between_runs, 3),
            f"n = {evaluation.between_runs_pairs[k, t]:,} networks trained twice"
            if np.isfinite(between_runs)
            else "no network was trained twice",
        ),
        tile(
            "Best network",
            amount_of(target.optimum, target.unit),
            f"of {target.known:,}, {runs_of(target)}",
        ),
        _chosen(evaluation, k, t, first),
        tile("Proxies", f"{len(evaluation.proxies):,}", _many_sources(evaluation)),
        tile(
            "Targets",
            f"{len(evaluation.targets):,}",
            f"on {len(evaluation.populations)} populations",
        ),
    ]
    return {
        "what": f"{kind} of the best proxy with {target.key}"
        if scored is not None
        else f"{kind} of the best baseline with {target.key}",
        "number": signed(float(evaluation.value[k, first, t]), 3) if first is not None else DASH,
        "range": ""
        if first is None
        else f"{evaluation.proxies[first].name} on {population}, "
        f"n = {evaluation.pairs[k, first, t]:,}; {_spread(evaluation, k, first, t)}".rstrip("; "),
        "tiles": tiles,
    }


def _chosen(evaluation: ProxyEvaluation, k: int, t: int, p: int | None) -> Json:
    found = float(evaluation.found[k, p, t]) if p is not None else float("nan")
    unit = evaluation.targets[t].unit
    detail = "nothing was ranked"
    if p is not None and np.isfinite(found):
        detail = f"the favourite of {evaluation.proxies[p].name}, rank {evaluation.rank[k, p, t]:,}"
    return {"name": "First choice of the best", "value": amount_of(found, unit), "detail": detail}


def _many_sources(evaluation: ProxyEvaluation) -> str:
    counts = [
        (sum(p.source == source for p in evaluation.proxies), word)
        for source, word in (("table", "published"), ("own", "own"), ("baseline", "free"))
    ]
    return ", ".join(f"{n} {word}" for n, word in counts if n)


def _orders(evaluation: ProxyEvaluation) -> list[Json]:
    """One chart for the first target of each dataset."""
    first: dict[str, int] = {}
    for t, target in enumerate(evaluation.targets):
        first.setdefault(target.dataset, t)
    return [
        {
            "id": f"order-{t}",
            "target": t,
            "title": f"Agreement with {evaluation.targets[t].key}",
            "text": ", ".join(
                [
                    f"Truth: {runs_of(evaluation.targets[t])}",
                    *([f"{e:,} epochs"] if (e := evaluation.targets[t].epochs) else []),
                ]
            )
            + ("; lower is better, so its sign was changed" if evaluation.targets[t].turned else "")
            + ". ◆ marks free baselines. "
            + "; ".join(
                f"{name}: n = {evaluation.sizes[k, t]:,}"
                for k, name in enumerate(evaluation.populations)
            )
            + ".",
        }
        for t in first.values()
    ]


def _heats(evaluation: ProxyEvaluation, kind: str) -> list[Json]:
    found = []
    for k, name in enumerate(evaluation.populations):
        sizes = evaluation.sizes[k]
        low, high = int(sizes.min()), int(sizes.max())
        n = f"n = {low:,}" if low == high else f"n = {low:,} to {high:,}"
        about = f" ({WITHIN[name]})" if name in WITHIN else " by each target"
        found.append(
            {
                "id": f"heat-{k}",
                "population": k,
                "title": f"Population: {name}",
                "text": f"{kind}, {n}{about}, seed {evaluation.seed}. ◆ marks free baselines, blue "
                "agrees, orange contradicts, a dash was not computed.",
            }
        )
    return found


def _table(evaluation: ProxyEvaluation, k: int, order: IntArray) -> Json:
    return {
        "population": evaluation.populations[k],
        "lines": [
            {
                **_name(evaluation, p),
                "cells": [
                    {
                        "value": signed(float(evaluation.value[k, p, t]), 3),
                        "n": f"{evaluation.pairs[k, p, t]:,}",
                        "low": signed(float(evaluation.low[k, p, t])),
                        "high": signed(float(evaluation.high[k, p, t])),
                        "known": bool(np.isfinite(evaluation.low[k, p, t])),
                    }
                    for t in range(len(evaluation.targets))
                ],
            }
            for p in order.tolist()
        ],
    }


def _favourites(evaluation: ProxyEvaluation, k: int, t: int, order: IntArray) -> list[Json]:
    unit = evaluation.targets[t].unit
    rows = [p for p in order.tolist() if evaluation.favourite[k, p, t] >= 0]
    rows.sort(key=lambda p: float(evaluation.regret[k, p, t]))
    return [
        {
            **_name(evaluation, p),
            "value": amount_of(float(evaluation.found[k, p, t]), unit),
            "regret": amount_of(float(evaluation.regret[k, p, t]), unit),
            "rank": f"{evaluation.rank[k, p, t]:,}",
            "ties": f"{evaluation.ties[k, p, t]:,}",
            "arch": evaluation.texts[int(evaluation.favourite[k, p, t])],
        }
        for p in rows
    ]


def _choice_text(evaluation: ProxyEvaluation, k: int, t: int) -> str:
    target = evaluation.targets[t]
    return (
        f"What is found by training only the network that a proxy ranks first, of the "
        f"{evaluation.sizes[k, t]:,} of the population {evaluation.populations[k]}: its "
        f"{target.key}, how much better the best one is, and how many places up that is. Where a "
        f"proxy ranks several networks first, this is their mean, and the first of them is named."
    )


def _regrets(evaluation: ProxyEvaluation, k: int, order: IntArray) -> list[Json]:
    return [
        {
            **_name(evaluation, p),
            "cells": [
                amount_of(float(evaluation.regret[k, p, t]), evaluation.targets[t].unit)
                for t in range(len(evaluation.targets))
            ],
        }
        for p in order.tolist()
    ]


def _truths(evaluation: ProxyEvaluation) -> list[Json]:
    return [
        {
            "key": t.key,
            "runs": runs_of(t),
            "epochs": f"{t.epochs:,}" if t.epochs else DASH,
            "known": f"{t.known:,}",
            "optimum": amount_of(t.optimum, t.unit),
            "arch": t.best,
        }
        for t in evaluation.targets
    ]


def _between_runs(evaluation: ProxyEvaluation) -> list[Json]:
    return [
        {
            "key": target.key,
            "cells": [
                {
                    "value": signed(float(evaluation.between_runs[k, t]), 3),
                    "n": f"{evaluation.between_runs_pairs[k, t]:,}",
                }
                for k in range(len(evaluation.populations))
            ],
        }
        for t, target in enumerate(evaluation.targets)
        if np.isfinite(evaluation.between_runs[:, t]).any()
    ]


def _proxies(evaluation: ProxyEvaluation, order: IntArray) -> list[Json]:
    return [
        {
            **_name(evaluation, p),
            "source": SOURCES[info.source],
            "datasets": ", ".join(d for d in info.datasets if d) or "any",
            "missing": ", ".join(
                f"{m:,}" + (f" ({d})" if len(info.missing) > 1 else "")
                for d, m in info.missing.items()
            )
            or DASH,
            "seconds": duration(info.seconds),
        }
        for p in order.tolist()
        for info in (evaluation.proxies[p],)
    ]


def _settings(evaluation: ProxyEvaluation) -> list[tuple[str, str]]:
    return [
        ("Table", evaluation.benchmark),
        ("Networks", f"{evaluation.n:,} of {evaluation.total:,}"),
        ("Space", evaluation.space or DASH),
        ("Closed-form costs for", evaluation.skeleton or DASH),
        ("Own proxies on", evaluation.data or DASH),
        ("Coefficient", KINDS[evaluation.kind]),
        ("Intervals", evaluation.intervals),
        ("Seed", str(evaluation.seed)),
    ]
