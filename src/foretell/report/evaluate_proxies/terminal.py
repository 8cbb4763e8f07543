"""An evaluation of proxies in a few tables for a terminal."""

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from foretell.report.evaluate_proxies.plots import label
from foretell.report.evaluate_proxies.sections import (
    KINDS,
    amount_of,
    headline,
    order_of,
    runs_of,
    short_targets,
)
from foretell.report.html.format import DASH, signed
from foretell.studies.evaluate_proxies.result import ProxyEvaluation

__all__ = ["evaluation_summary"]


def evaluation_summary(evaluation: ProxyEvaluation, width: int = 80) -> RenderableType:
    """What to print when an evaluation has ended.

    Args:
        evaluation: what was found.
        width: of the terminal in characters.

    Returns:
        Something that a rich console prints; texts from outside are never read as markup.
    """
    facts = [f"{evaluation.n:,} of {evaluation.total:,} networks"]
    facts += [f"space {evaluation.space}"] if evaluation.space else []
    facts += [f"own proxies on {evaluation.data}"] if evaluation.data else []
    head = Text(f"Proxies on {evaluation.benchmark}: ", style="bold")
    head.append(f"{', '.join(facts)}, seed {evaluation.seed}", style="not bold")
    parts: list[RenderableType] = [head, Text(_about(evaluation)), Text()]
    if width >= _WIDE:
        parts.append(_order(evaluation, populations=True, choice=True))
    else:
        parts += [_order(evaluation, populations=True, choice=False), Text()]
        parts.append(_order(evaluation, populations=False, choice=True))
    if len(evaluation.targets) > 1:
        parts += [Text(), _targets(evaluation)]
    parts += [Text(), Text(evaluation.intervals, style="dim")]
    parts += [Text(note, style="yellow") for note in evaluation.notes]
    return Group(*parts)


def _about(evaluation: ProxyEvaluation) -> str:
    k, t = headline(evaluation)
    target = evaluation.targets[t]
    epochs = f", {target.epochs:,} epochs" if target.epochs else ""
    best = amount_of(_optimum(evaluation, k, t), target.unit)
    return (
        f"{KINDS[evaluation.kind]} with {target.key} ({runs_of(target)}{epochs})"
        + (" ± half its interval" if evaluation.samples else "")
        + f"; ◆ marks free baselines. First choice: on {evaluation.populations[k]}, n = "
        f"{evaluation.sizes[k, t]:,}, where the best has {best}."
    )


def _order(evaluation: ProxyEvaluation, *, populations: bool, choice: bool) -> Table:
    """Every proxy with the first target: on each population, and what its first choice gives."""
    k, t = headline(evaluation)
    target = evaluation.targets[t]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))

    def column(head: str) -> None:
        table.add_column(
            Text(head, justify="right"), justify="right", no_wrap=True, vertical="bottom"
        )

    table.add_column("proxy", no_wrap=True, vertical="bottom")
    for i, name in enumerate(evaluation.populations if populations else ()):
        column(f"{_HEADS.get(name, name)}\nn={evaluation.sizes[i, t]:,}")
    for head in ("first\nchoice", "lost", "rank", "ties", "NaN") if choice else ():
        column(head)
    for p in order_of(evaluation).tolist():
        info = evaluation.proxies[p]
        cells = [Text(label(evaluation, p), style="yellow" if info.source == "baseline" else "")]
        if populations:
            cells += [Text(_cell(evaluation, i, p, t)) for i in range(len(evaluation.populations))]
        if choice:
            missing = info.missing.get(target.dataset, evaluation.n)
            chosen = evaluation.favourite[k, p, t] >= 0
            cells += [
                Text(amount_of(float(evaluation.found[k, p, t]), target.unit)),
                Text(amount_of(float(evaluation.regret[k, p, t]), target.unit)),
                Text(f"{evaluation.rank[k, p, t]:,}" if chosen else DASH),
                Text(f"{evaluation.ties[k, p, t]:,}" if chosen else DASH),
                Text(f"{missing:,}"),
            ]
        table.add_row(*cells)
    return table


_WIDE = 116
"""Characters from which on everything about a proxy stands in one line."""
_HEADS = {"no unreachable op": "no un-\nreachable\nop", "deduplicated": "dedupli-\ncated"}


def _optimum(evaluation: ProxyEvaluation, k: int, t: int) -> float:
    """Best truth of a population: what was found by any proxy, and what it lost."""
    sign = -1.0 if evaluation.targets[t].turned else 1.0
    best = evaluation.found[k, :, t] + sign * evaluation.regret[k, :, t]
    return float(best[np.isfinite(best)][0]) if np.isfinite(best).any() else float("nan")


def _cell(evaluation: ProxyEvaluation, k: int, p: int, t: int) -> str:
    value = float(evaluation.value[k, p, t])
    half = float(evaluation.high[k, p, t] - evaluation.low[k, p, t]) / 2
    return f"{_short(value)} ±{half:.2f}".replace("0.", ".") if np.isfinite(half) else _short(value)


def _targets(evaluation: ProxyEvaluation) -> Table:
    """The best proxy and the best baseline of every target, on the headline's population."""
    k, _ = headline(evaluation)
    table = Table(
        title=Text(f"Best of each target, on {evaluation.populations[k]}"),
        title_justify="left", title_style="", box=None, pad_edge=False, padding=(0, 2, 0, 0),
    )  # fmt: skip
    table.add_column("target", no_wrap=True)
    for name in ("n", "best proxy", "", "baseline", "", "2 runs"):
        right = name in ("n", "2 runs", "")
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    free = np.array([p.source == "baseline" for p in evaluation.proxies])
    for t, name in enumerate(short_targets(evaluation)):
        cells: list[str] = []
        for mask in (~free, free):
            values = np.where(mask, evaluation.value[k, :, t], np.nan)
            if np.isfinite(values).any():
                best = int(np.nanargmax(values))
                cells += [evaluation.proxies[best].name, _short(float(values[best]))]
            else:
                cells += [DASH, ""]
        between_runs = _short(float(evaluation.between_runs[k, t]))
        size = f"{evaluation.sizes[k, t]:,}"
        table.add_row(*(Text(c) for c in (name, size, *cells, between_runs)))
    return table


def _short(value: float) -> str:
    return signed(value).replace("0.", ".")
