"""Accuracy of the winner under attack."""

import math

import numpy as np

from foretell.report._base import Chart, Column, Grid, Note, Section, Table
from foretell.report.html.format import DASH, many, percent
from foretell.report.search import plots, tables
from foretell.report.search.data import RunData

__all__ = ["robustness"]


def robustness(run: RunData) -> Section | tuple[Section, ...]:
    """Accuracy against the size of the attack."""
    if run.task is None:
        return ()
    info = tables.robustness_info(run)
    lead = "How much accuracy is left when an attacker changes every pixel by at most eps."
    title, link = "Under attack", "Robustness"
    if run.winner is None or not info:
        why = run.winner.robust_skipped.rstrip(".") if run.winner else ""
        empty = (
            f"The attack was skipped: {why or 'it was not asked for'}."
            if run.winner
            else "There is no winner to attack."
        )
        return Section("robustness", title, lead, (Note(empty, "empty"),), link=link)
    clean = run.winner.robust_clean
    lead += f" Measured on {many(run.winner.robust_images, 'test image')}"
    lead += f"; {percent(clean)} without an attack." if math.isfinite(clean) else "."
    chart = Chart(
        "attacks",
        "Accuracy and size of the attack",
        figure=plots.robustness_plot(info, run.task.classes),
    )
    return Section("robustness", title, lead, (Grid((chart, _table(info)), "side"),), link=link)


def _table(info: tuple[tables.RobustnessRow, ...]) -> Table:
    rows = []
    for eps in sorted({float(e) for row in info for e in row.eps}):
        values = []
        for row in info:
            hit = np.flatnonzero(row.eps == eps)
            values.append(percent(float(row.accuracy[hit[0]])) if len(hit) else DASH)
        rows.append((f"{eps:g}", *values))
    columns = (Column("eps / 255", "n", header=True), *(Column(r.attack, "n") for r in info))
    return Table("Accuracy under attack", columns, tuple(rows), title="In numbers", tight=False)
