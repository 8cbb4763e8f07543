"""An evaluation of predictors in a few tables for a terminal."""

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from foretell.report.evaluate_predictors.names import facts, names, notes, seconds, spread_text, tau
from foretell.report.html.format import DASH
from foretell.studies.evaluate_predictors.study import PredictorEvaluation

__all__ = ["predictors_summary"]


def predictors_summary(found: PredictorEvaluation) -> RenderableType:
    """What to print when an evaluation has ended.

    Args:
        found: the figures.

    Returns:
        Something that a rich console prints; texts from outside are never read as markup.
    """
    head = Text(f"Predictors on {found.benchmark}: ", style="bold")
    head.append(facts(found), style="not bold")
    parts: list[RenderableType] = [head, Text(_about(found))]
    for target in range(len(found.targets)):
        parts += [Text(), *_curve(found, target), Text(), *_last(found, target)]
    parts += [Text(), *(Text(note, style="yellow") for note in notes(found))]
    return Group(*parts)


def _about(found: PredictorEvaluation) -> str:
    encodings = _letters(found)
    each = ", ".join(f"{letter} {text}" for text, letter in encodings.items())
    words = f"Encodings: {each if len(encodings) > 1 else ''.join(encodings) or 'none'}"
    return (
        f"{words}. ◆ marks what learns no model. ± is half the {found.confidence:.0%} t interval "
        f"of the mean over seeds; all methods get the same splits."
    )


def _letters(found: PredictorEvaluation) -> dict[str, str]:
    """Encodings and what stands for them in the tables."""
    texts = dict.fromkeys(m.encodings for m in found.methods if m.encodings)
    return {text: chr(ord("A") + i) for i, text in enumerate(texts)}


def _table(heads: list[str]) -> Table:
    """A table with columns for the method's name and numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("predictor", no_wrap=True)
    for head in heads:
        table.add_column(Text(head, justify="right"), justify="right", no_wrap=True)
    return table


def _row(table: Table, found: PredictorEvaluation, method: int, cells: list[str]) -> None:
    letters, encodings = _letters(found), found.methods[method].encodings
    name = names(found).short[method] + (
        f" {letters[encodings]}" if encodings and len(letters) > 1 else ""
    )
    style = "yellow" if found.methods[method].baseline else ""
    table.add_row(Text(name, style=style), *map(Text, cells))


def _curve(found: PredictorEvaluation, target: int) -> list[RenderableType]:
    """Kendall of every method by train size."""
    table = _table([f"n={size:,}" for size in found.sizes])
    for method in found.by_mean(target, len(found.sizes) - 1):
        cells = [
            spread_text(found.spread("kendall", target, method, s)) for s in range(len(found.sizes))
        ]
        _row(table, found, method, cells)
    return [Text(f"Kendall's tau-b with {found.targets[target].key}, by train size"), table]


def _last(found: PredictorEvaluation, target: int) -> list[RenderableType]:
    """What else there is to know of every method, at the largest train size."""
    last = len(found.sizes) - 1
    heads = ["behind", "won", "rank", "fit s", "1,000 s"]
    cover = bool(found.level) and bool(np.isfinite(found.of("coverage")).any())
    heads += ["cover"] if cover else []
    heads += ["failed"] if found.failures else []
    table = _table(heads)
    rank = found.ranks()
    best = found.best(target, last)
    for method in found.by_mean(target, last):
        behind, won = found.behind(target, method, last)
        cells = [
            DASH if method == best else spread_text(behind),
            DASH if method == best or np.isnan(won) else f"{won:.0%}",
            f"{rank[target, method, last]:.1f}",
            seconds(found.spread("fit_seconds", target, method, last).mean),
            seconds(found.spread("query_seconds", target, method, last).mean),
        ]
        if cover:
            cells.append(tau(found.spread("coverage", target, method, last).mean))
        if found.failures:
            cells.append(str(found.failed(target, method, last)))
        _row(table, found, method, cells)
    return [
        Text(f"From {found.sizes[last]:,}: behind the best, seeds won from it, rank, CPU seconds"),
        table,
    ]
