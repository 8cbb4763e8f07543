"""Every trial, and what failed."""

import math

from foretell.report._base import Cell, Column, Line, Note, Section, Table
from foretell.report.html.format import DASH, amount, duration, many, percent
from foretell.report.search import tables
from foretell.report.search.data import RunData, TrialRow

__all__ = ["MOST_ROWS", "failures", "trials"]

MOST_ROWS = 300
"""Trials that the page lists; all of them are in trials.csv and in the charts."""


def failures(run: RunData) -> Section:
    """Failures by class."""
    info = tables.failure_info(run)
    if not info:
        text = "Nothing was tried, so nothing failed."
        if run.trials or run.pool.archs:
            text = (
                f"None: all of {many(len(run.trials), 'trial')} and "
                f"{many(len(run.pool.archs), 'scoring')} ended well."
            )
        return Section("failures", "Failures", blocks=(Note(text, "empty"),))
    total = sum(r.count for r in info)
    lead = (
        f"{many(total, 'failure')} of {many(len(info), 'kind')}. A failure is never counted as a "
        "number: these networks have no accuracy or score, and stay out of every average."
    )
    columns = (
        Column("Count", "n"), Column("Class", "key"), Column("Where"),
        Column("First message", "value"), Column("First architecture", "arch"),
    )  # fmt: skip
    rows = tuple(
        (
            f"{r.count}",
            Cell(r.error, bad=True),
            f"{r.stage}, {r.state}",
            r.message or DASH,
            r.arch or DASH,
        )
        for r in info
    )
    table = Table("Failures by class", columns, rows, tight=False)
    return Section("failures", "Failures", lead, (table,))


def trials(run: RunData) -> Section:
    """The trials, best first."""
    if not run.trials:
        gap = Note("Nothing was trained.", "empty")
        return Section("trials", "All trials", blocks=(gap,))
    star, scale = tables.star_number(run), tables.prediction_info(run).scale
    ordered = sorted(run.trials, key=_order)
    hidden = max(0, len(ordered) - MOST_ROWS)
    shown = ordered[:MOST_ROWS]
    columns = (
        Column("Trial", "n"), Column("Validation", "n"), Column("Predicted", "n"),
        Column("Params", "n"), Column("Multiply-adds", "n"), Column("Time", "n"),
        Column("Architecture", "arch"),
    )  # fmt: skip
    lead = (
        f"{'The ten best of ' if len(ordered) > 10 else ''}{many(len(ordered), 'trial')}, by "
        "validation accuracy after the search's short training."
    )
    more = f" ({hidden} more are in trials.csv)" if hidden else ""
    table = Table(
        "Best trials",
        columns,
        tuple(_row(t, scale, t.number == star) for t in shown),
        starred=frozenset(i for i, t in enumerate(shown) if t.number == star),
        fold=10,
        rest=f"The other {len(shown) - 10}{more}",
        tight=False,
    )
    return Section("trials", "All trials", lead, (table,))


def _order(trial: TrialRow) -> tuple[bool, float, int]:
    fine = trial.state == "done" and math.isfinite(trial.val_accuracy)
    return (not fine, -trial.val_accuracy if fine else 0.0, trial.number)


def _row(trial: TrialRow, scale: bool, star: bool) -> Line:
    predicted = f"{trial.predicted:.4g}" if math.isfinite(trial.predicted) else DASH
    failed = "" if trial.state == "done" else trial.state.replace("_", " ")
    return (
        str(trial.number),
        Cell(failed, bad=True) if failed else percent(trial.val_accuracy),
        percent(trial.predicted) if scale else predicted,
        amount(trial.params),
        amount(trial.flops),
        duration(trial.seconds),
        Cell(trial.arch, tag="winner" if star else ""),
    )
