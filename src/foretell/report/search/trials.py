"""Every trial, and what failed."""

import math

from foretell.report._base import Cell, Column, Line, Note, Section, Table
from foretell.report.html.format import DASH, amount, duration, inline, many, percent, quantity
from foretell.report.search import tables
from foretell.report.search.data import ObjectiveRow, RunData, TrialRow
from foretell.report.search.front import arch_cell, columns_of

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
    objective, others = tables.main_objective(run), columns_of(run)
    ordered = sorted(run.trials, key=lambda t: _order(t, objective))
    hidden = max(0, len(ordered) - MOST_ROWS)
    shown = ordered[:MOST_ROWS]
    plain = objective.name == "accuracy"
    columns = (
        Column("Trial", "n"), Column("Validation" if plain else objective.label, "n"),
        *(Column(o.label, "n") for o in others), Column("Predicted", "n"),
        Column("Params", "n"), Column("Multiply-adds", "n"), Column("Time", "n"),
        Column("Architecture", "arch"),
    )  # fmt: skip
    after = " after the search's short training" if run.task is not None else ""
    lead = (
        f"{'The ten best of ' if len(ordered) > 10 else ''}{many(len(ordered), 'trial')}, by "
        f"{inline(objective.label)}{after}."
    )
    if any(tables.outcome_of(t) == "infeasible" for t in run.trials):
        lead += " Trials outside the limits come after those within."
    more = f" ({hidden} more are in trials.csv)" if hidden else ""
    rows = tuple(
        _row(t, objective, others, scale, t.number == star, tables.violation_of(run, t))
        for t in shown
    )
    keep = [i for i in range(len(columns)) if not _unused(columns[i].head, rows, i, run)]
    table = Table(
        "Best trials",
        tuple(columns[i] for i in keep),
        tuple(tuple(row[i] for i in keep) for row in rows),
        starred=frozenset(i for i, t in enumerate(shown) if t.number == star),
        fold=10,
        rest=f"The other {len(shown) - 10}{more}",
        tight=False,
    )
    return Section("trials", "All trials", lead, (table,))


def _unused(head: str, rows: tuple[Line, ...], column: int, run: RunData) -> bool:
    """Whether a user's own evaluation leaves a column empty."""
    optional = head in ("Predicted", "Params", "Multiply-adds")
    return run.task is None and optional and all(row[column] == DASH for row in rows)


_PLACES = {"done": 0, "infeasible": 1, "pruned": 2, "failed": 3}


def _order(trial: TrialRow, objective: ObjectiveRow) -> tuple[int, float, int]:
    value = tables.value_of(trial, objective.name)
    end = tables.outcome_of(trial)
    place = _PLACES[end if math.isfinite(value) or end != "done" else "failed"]
    known = place < 2 and math.isfinite(value)
    sign = -1.0 if objective.direction == "max" else 1.0
    return (place, sign * value if known else 0.0, trial.number)


def _row(
    trial: TrialRow,
    objective: ObjectiveRow,
    others: tuple[ObjectiveRow, ...],
    scale: bool,
    star: bool,
    broken: str,
) -> Line:
    predicted = f"{trial.predicted:.4g}" if math.isfinite(trial.predicted) else DASH
    value, end = tables.value_of(trial, objective.name), tables.outcome_of(trial)
    shown: Cell | str = quantity(value, objective.unit)
    if end in ("failed", "pruned"):
        shown = Cell(trial.state.replace("_", " "), bad=end == "failed")
    elif end == "infeasible":
        shown = quantity(value, objective.unit) if math.isfinite(value) else "not measured"
    return (
        str(trial.number),
        shown,
        *(quantity(tables.value_of(trial, o.name), o.unit) for o in others),
        percent(trial.predicted) if scale else predicted,
        amount(trial.params),
        amount(trial.flops),
        duration(trial.seconds),
        arch_cell(trial.arch, broken, star),
    )
