"""An evaluation of proxies in a few tables for a terminal."""

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from foretell.report.evaluation_plots import label
from foretell.report.evaluation_words import KINDS, amount_of, headline, order_of, runs_of
from foretell.report.texts import DASH, signed
from foretell.studies.evaluate_proxies import ProxyEvaluation

__all__ = ["evaluation_summary"]


def evaluation_summary(evaluation: ProxyEvaluation) -> RenderableType:
    """What to print when an evaluation has ended.

    Args:
        evaluation: what was found.

    Returns:
        Something that a rich console prints; texts from outside are never read as markup.
    """
    facts = [f"{evaluation.n:,} of {evaluation.total:,} networks"]
    facts += [f"space {evaluation.space}"] if evaluation.space else []
    facts += [f"own proxies on {evaluation.data}"] if evaluation.data else []
    head = Text(f"Proxies on {evaluation.benchmark}: ", style="bold")
    head.append(f"{', '.join(facts)}, seed {evaluation.seed}", style="not bold")
    parts: list[RenderableType] = [head, _order(evaluation)]
    if len(evaluation.targets) > 1:
        parts += [Text(), _targets(evaluation)]
    if evaluation.intervals:
        parts += [Text(), Text(evaluation.intervals, style="dim")]
    parts += [Text(note, style="yellow") for note in evaluation.notes]
    return Group(*parts)


def _order(evaluation: ProxyEvaluation) -> RenderableType:
    """Every proxy with the first target, a column for each population, and its first choice."""
    k, t = headline(evaluation)
    target = evaluation.targets[t]
    epochs = f", {target.epochs:,} epochs" if target.epochs else ""
    title = (
        f"{KINDS[evaluation.kind]} with {target.key} ({runs_of(target)}{epochs}), half the width "
        f"of its interval; ◆ marks free baselines. First choice: on {evaluation.populations[k]}, "
        f"where the best has {amount_of(_optimum(evaluation, k, t), target.unit)}."
    )
    table = Table(
        title=Text(title), title_justify="left", title_style="", box=None, pad_edge=False,
        padding=(0, 2, 0, 0),
    )  # fmt: skip
    table.add_column("proxy", no_wrap=True)
    for i, name in enumerate(evaluation.populations):
        words = name.replace(" ", "\n") if len(name) > 12 else name
        table.add_column(
            Text(f"{words}\nn={evaluation.sizes[i, t]:,}", justify="right"),
            justify="right",
            no_wrap=True,
            vertical="bottom",
        )
    table.add_column(Text("first\nchoice", justify="right"), justify="right", no_wrap=True)
    table.add_column("NaN", justify="right", no_wrap=True)
    for p in order_of(evaluation).tolist():
        info = evaluation.proxies[p]
        missing = info.missing.get(target.dataset, evaluation.n)
        table.add_row(
            Text(label(evaluation, p), style="yellow" if info.source == "baseline" else ""),
            *(_cell(evaluation, i, p, t) for i in range(len(evaluation.populations))),
            amount_of(float(evaluation.found[k, p, t]), target.unit),
            f"{missing:,}" if missing else "",
        )
    return table


def _optimum(evaluation: ProxyEvaluation, k: int, t: int) -> float:
    """Best truth of a population: what was found by any proxy, and what it lost."""
    sign = -1.0 if evaluation.targets[t].turned else 1.0
    best = evaluation.found[k, :, t] + sign * evaluation.regret[k, :, t]
    return float(best[np.isfinite(best)][0]) if np.isfinite(best).any() else float("nan")


def _cell(evaluation: ProxyEvaluation, k: int, p: int, t: int) -> str:
    value = float(evaluation.value[k, p, t])
    half = float(evaluation.high[k, p, t] - evaluation.low[k, p, t]) / 2
    text = signed(value).replace("0.", ".") if np.isfinite(value) else DASH
    return f"{text} ±{half:.2f}".replace("0.", ".") if np.isfinite(half) else text


def _targets(evaluation: ProxyEvaluation) -> RenderableType:
    """The best proxy and the best baseline of every target, on the headline's population."""
    k, _ = headline(evaluation)
    table = Table(
        title=Text(f"Best of each target, on {evaluation.populations[k]}"),
        title_justify="left", title_style="", box=None, pad_edge=False, padding=(0, 2, 0, 0),
    )  # fmt: skip
    table.add_column("target", overflow="fold")
    for name in ("n", "best proxy", "", "best baseline", "", "two runs"):
        table.add_column(name, justify="right" if name in ("n", "two runs") else "left")
    free = np.array([p.source == "baseline" for p in evaluation.proxies])
    for t, target in enumerate(evaluation.targets):
        cells: list[str] = []
        for mask in (~free, free):
            values = np.where(mask, evaluation.value[k, :, t], np.nan)
            known = np.isfinite(values).any()
            best = int(np.nanargmax(values)) if known else 0
            cells += (
                [evaluation.proxies[best].name, signed(float(values[best]))]
                if known
                else [
                    DASH,
                    "",
                ]
            )
        table.add_row(
            Text(target.key), f"{evaluation.sizes[k, t]:,}", *cells,
            signed(float(evaluation.ceiling[k, t])),
        )  # fmt: skip
    return table
