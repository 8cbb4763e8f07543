"""The same run in a few lines for a terminal."""

import math

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from foretell.report.html.format import amount, duration, inline, percent, quantity, signed, size
from foretell.report.search import tables
from foretell.report.search.data import RunData
from foretell.report.search.front import columns_of
from foretell.studies.search.cautions import LEAST

__all__ = ["summary"]


def summary(run: RunData) -> RenderableType:
    """What to print when a search has ended.

    Args:
        run: what happened.

    Returns:
        Something that a rich console prints; texts from outside are never read as markup.
    """
    parts: list[RenderableType] = [_winner(run), _facts(run)]
    failures = tables.failure_info(run)
    if failures:
        counts = ", ".join(f"{r.count} × {r.error} ({r.stage})" for r in failures)
        parts.append(
            Text(f"Failed: {counts}. The most frequent: {_first(failures[0])}", style="yellow")
        )
    parts += [Text(note, style="yellow") for note in run.notes]
    title = Text(run.title, style="bold")
    return Panel(Group(*parts), title=title, title_align="left", border_style="dim", padding=(0, 2))


def _first(row: tables.FailureRow) -> str:
    return f"{row.message} ({row.arch})" if row.arch else row.message


def _winner(run: RunData) -> RenderableType:
    winner, hero = run.winner, tables.hero_info(run)
    if winner is None:
        return Text(f"No winner: {tables.why_no_winner(run)}.", style="bold yellow")
    line = Text()
    if run.task is None:
        objective = tables.main_objective(run)
        trial = next((t for t in run.trials if t.number == winner.number), None)
        value = tables.value_of(trial, objective.name) if trial else math.nan
        line.append(quantity(value, objective.unit), style="bold green")
        line.append(f" {inline(objective.label)}\n")
        line.append(winner.arch, style="cyan")
        return line
    line.append(percent(hero.test_accuracy), style="bold green")
    line.append(" test accuracy")
    if math.isfinite(hero.low):
        line.append(
            f" (95 % interval {percent(hero.low, 1)} to {percent(hero.high, 1)}", style="dim"
        )
        line.append(f", {run.task.test:,} images)", style="dim")
    line.append("\n")
    line.append(winner.arch, style="cyan")
    return line


def _facts(run: RunData) -> RenderableType:
    hero, winner = tables.hero_info(run), run.winner
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()

    def row(name: str, *facts: str) -> None:
        if text := ", ".join(f for f in facts if f):
            table.add_row(name, Text(text))

    if winner is not None:
        limits = ", ".join(tables.limit_text(run, c) for c in run.constraints)
        if run.task is not None or math.isfinite(winner.params):
            row(
                "cost",
                f"{amount(winner.params)} params",
                f"{amount(winner.flops)} multiply-adds",
                f"{size(winner.memory)} activations",
            )
        trial = next((t for t in run.trials if t.number == winner.number), None)
        if trial is not None:
            for o in columns_of(run):
                row(inline(o.label), quantity(tables.value_of(trial, o.name), o.unit))
        front = sum(t.on_front for t in run.trials)
        if len(run.objectives) > 1:
            row("front", f"{front:,} of {hero.trained:,} trials", f"winner: {run.preferred}")
        row("limits", limits)
        if run.task is not None:
            row("validation", percent(winner.val_accuracy))
        row("won", tables.won_sentence(run))
    for attack in tables.robustness_info(run):
        pairs = zip(attack.eps, attack.accuracy, strict=True)
        row(attack.attack, *(f"{percent(float(a), 1)} at {e:g}/255" for e, a in pairs if e))
    of = f" of {hero.budget:,}" if hero.budget is not None else ""
    row(
        tables.verb_of(run),
        f"{hero.trained:,}{of} networks",
        f"{hero.failed:,} failed" if hero.failed else "",
        f"{hero.infeasible:,} outside the limits" if hero.infeasible else "",
        f"{hero.pruned:,} ended early" if hero.pruned else "",
        f"{hero.drawn:,} drawn" if hero.drawn else "",
        f"{hero.scored:,} scored" if hero.scored else "",
    )
    prediction = tables.prediction_info(run)
    if 0 < prediction.n < LEAST:
        row("prediction", f"not to be judged from {prediction.n} (n < {LEAST})")
    elif math.isfinite(prediction.tau):
        row("prediction", f"Kendall's tau-b {signed(prediction.tau)} (n = {prediction.n})")
    stages = [f"{k} {duration(v)}" for k, v in run.stages.items() if math.isfinite(v)]
    row("time", f"{duration(hero.seconds)}{' (' + ', '.join(stages) + ')' if stages else ''}")
    if run.resumed is not None:
        saved = run.resumed.seconds
        row(
            "resumed",
            f"{run.resumed.trials:,} trials and {run.resumed.scores:,} scores reused",
            f"{duration(saved)} saved" if math.isfinite(saved) else "",
        )
    return table
