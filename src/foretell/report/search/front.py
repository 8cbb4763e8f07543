"""Several objectives: their values, and the trials that no other beats in all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from foretell.report._base import Block, Cell, Chart, Column, Grid, Line, Section, Table
from foretell.report.html.charts import Figure, axis, figure, scatter, wrap
from foretell.report.html.format import inline, many, quantity
from foretell.report.search.data import ConstraintRow, ObjectiveRow, RunData, TrialRow
from foretell.report.search.plots import BROKEN, Window, objective_axis, star, window
from foretell.report.search.tables import (
    main_objective,
    outcome_of,
    star_number,
    value_of,
    violation_of,
)
from foretell.types import Array, Json

__all__ = [
    "FrontInfo",
    "arch_cell",
    "columns_of",
    "front",
    "front_info",
    "front_plot",
    "lines_plot",
]

_DOT = {"size": 8, "color": "@dot", "line": {"width": 1, "color": "@muted"}}
_BEST = {"size": 10, "color": "@accent", "line": {"width": 1, "color": "@card"}}


@dataclass(frozen=True)
class FrontInfo:
    """Trials with a value of some objective, in the order in which they ran.

    What broke a limit before it was trained has no value of those that need a training.

    Args:
        objectives: the main one first.
        trials: the rows, (n,).
        values: of the objectives, (n, k); NaN where nothing was measured.
        front: which of them no feasible trial beats in every objective, (n,).
        feasible: which keep every limit, (n,).
        winner: place of the winner; None if it is not among them.
        without: trials that failed, or ended without a value of some objective.
        limits: on the objectives.
        broken: how each breaks a limit, in words, (n,); empty if it does not.
    """

    objectives: tuple[ObjectiveRow, ...]
    trials: tuple[TrialRow, ...]
    values: Array
    front: NDArray[np.bool_]
    feasible: NDArray[np.bool_]
    winner: int | None
    without: int
    limits: tuple[ConstraintRow, ...]
    broken: tuple[str, ...]

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Which trials have a value of every objective, (n,)."""
        return np.asarray(np.isfinite(self.values).all(axis=1))


def front_info(run: RunData) -> FrontInfo:
    """The values of all objectives, and the front."""
    main = main_objective(run)
    others = [o for o in run.objectives if o.name != main.name]
    objectives = (main, *others)
    ordered = sorted(run.trials, key=lambda t: t.number)
    table = np.array(
        [[value_of(t, o.name) for o in objectives] for t in ordered], dtype=np.float64
    ).reshape(len(ordered), len(objectives))
    ended = np.array([outcome_of(t) in ("done", "infeasible") for t in ordered], dtype=bool)
    keep = ended & np.isfinite(table).any(axis=1)
    trials = tuple(t for t, k in zip(ordered, keep, strict=True) if k)
    number = run.winner.number if run.winner else None
    places = [i for i, t in enumerate(trials) if t.number == number]
    names = {o.name for o in objectives}
    return FrontInfo(
        objectives=objectives,
        trials=trials,
        values=table[keep],
        front=np.array([t.on_front for t in trials], dtype=bool),
        feasible=np.array([outcome_of(t) == "done" for t in trials], dtype=bool),
        winner=places[0] if places else None,
        without=sum(
            outcome_of(t) != "infeasible" and not row.all()
            for t, row in zip(ordered, np.isfinite(table), strict=True)
        ),
        limits=tuple(c for c in run.constraints if c.name in names),
        broken=tuple(violation_of(run, t) for t in trials),
    )


def front(run: RunData) -> Section | tuple[Section, ...]:
    """The front; no section where the search had one objective."""
    if len(run.objectives) < 2:
        return ()
    info = front_info(run)
    blocks: list[Block] = []
    if len(info.objectives) > 2:
        blocks.append(_lines(info))
        pairs = tuple(_pair(info, k) for k in range(1, len(info.objectives)))
        blocks += [Grid(pairs[i : i + 2], "two") for i in range(0, len(pairs), 2)]
    else:
        blocks.append(_pair(info, 1))
    if info.trials:
        blocks.append(_table(run, info))
    return Section(
        "front",
        "The front of all objectives",
        _lead(run, info),
        tuple(blocks),
        link="Front",
    )


def _lead(run: RunData, info: FrontInfo) -> str:
    names = [f"{o.label} ({'higher' if o.direction == 'max' else 'lower'} is better)" for o in
             info.objectives]  # fmt: skip
    text = f"The search was after {len(names)} objectives: {', '.join(names)}."
    count, complete = int(info.front.sum()), int(info.complete.sum())
    if count:
        text += (
            f" {many(count, 'trial')} of {complete:,} {'is' if count == 1 else 'are'} beaten by no "
            "other in all of them: the front."
        )
    else:
        text += " No trial keeps every limit and has a value of every objective."
    if info.winner is not None and run.preferred == "knee":
        text += (
            " The winner is its knee: the trial where giving up a little of one objective no "
            "longer wins much of another."
        )
    elif info.winner is not None and run.preferred:
        label = next((o.label for o in info.objectives if o.name == run.preferred), run.preferred)
        text += f" The winner is the one of the front with the best {inline(label)}."
    outside = int((~info.feasible).sum())
    if outside:
        text += f" {many(outside, 'trial')} broke a limit and cannot win."
        early = int((~info.complete & ~info.feasible).sum())
        text += f" {early:,} of them did so before being trained." if early else ""
    if info.without:
        verb = "has" if info.without == 1 else "have"
        text += f" {many(info.without, 'trial')} {verb} no value of some objective."
    loose = [inline(o.label) for o in info.objectives if not o.reproducible]
    if loose:
        text += (
            f" Measured once on this machine, and not the same when measured again: "
            f"{', '.join(loose)}."
        )
    return text


def _pair(info: FrontInfo, other: int) -> Chart:
    first, second = info.objectives[0], info.objectives[other]
    known = np.isfinite(info.values[:, [0, other]]).all(axis=1).any()
    text = "The line joins the front." if len(info.objectives) == 2 else "Filled is the front."
    better = [
        ("up" if first.direction == "max" else "down"),
        ("right" if second.direction == "max" else "left"),
    ]
    text += f" Better is {better[0]} and {better[1]}."
    if not info.feasible.all():
        text += " Hollow is what breaks a limit."
    return Chart(
        f"front-{other}",
        f"{first.label} and {inline(second.label)}",
        text if known else "",
        front_plot(info, other) if known else None,
        "No trial has a value of both.",
    )


def _lines(info: FrontInfo) -> Chart:
    return Chart(
        "front-lines",
        "All objectives at once",
        "A line for each trial; up is better on every axis. Blue is the front, orange the winner, "
        "dotted what breaks a limit.",
        lines_plot(info) if info.complete.any() else None,
        "No trial has a value of every objective.",
    )


def columns_of(run: RunData) -> tuple[ObjectiveRow, ...]:
    """The objectives beside the main one, which tables of trials show in columns of their own.

    Parameters and multiply-adds have a column anyway.
    """
    main = main_objective(run).name
    return tuple(o for o in run.objectives if o.name not in (main, "params", "flops"))


def _table(run: RunData, info: FrontInfo) -> Table:
    main, winner = info.objectives[0], star_number(run)
    sign = 1.0 if main.direction == "max" else -1.0
    gains = np.nan_to_num(sign * info.values[:, 0], nan=-np.inf)
    order = sorted(
        range(len(info.trials)),
        key=lambda i: (not info.front[i], not info.feasible[i], -gains[i], info.trials[i].number),
    )
    rows: list[Line] = []
    for i in order:
        trial = info.trials[i]
        line: list[Cell | str] = [str(trial.number)]
        line += [
            quantity(float(v), o.unit) for v, o in zip(info.values[i], info.objectives, strict=True)
        ]
        rows.append((*line, arch_cell(trial.arch, info.broken[i], trial.number == winner)))
    columns = [Column("Trial", "n"), *(Column(_head(o), "n") for o in info.objectives)]
    first = int(info.front.sum()) or 10
    return Table(
        "Values of all objectives",
        (*columns, Column("Architecture", "arch")),
        tuple(rows),
        title="Values of all objectives",
        text=f"The front, by {inline(main.label)}." if info.front.any() else "",
        starred=frozenset(k for k, i in enumerate(order) if info.trials[i].number == winner),
        fold=first,
        rest=f"The other {many(len(rows) - first, 'trial')}",
        tight=False,
    )


def _head(objective: ObjectiveRow) -> str:
    return "Validation" if objective.name == "accuracy" else objective.label


def arch_cell(arch: str, broken: str, winner: bool) -> Cell:
    """An architecture, whether it won, and how it breaks a limit."""
    below = (f"breaks a limit: {broken}",) if broken else ()
    return Cell(arch, tag="winner" if winner else "", below=below)


def _shown(value: float, objective: ObjectiveRow) -> str:
    """A value inside a chart, escaped."""
    return escape(quantity(float(value), objective.unit), quote=False)


def _tips(info: FrontInfo) -> list[str]:
    tips = []
    for trial, row, broken in zip(info.trials, info.values, info.broken, strict=True):
        lines = [f"Trial {trial.number}"]
        lines += [
            f"<b>{_shown(v, o)}</b> {escape(inline(o.label), quote=False)}"
            for v, o in zip(row, info.objectives, strict=True)
            if np.isfinite(v)
        ]
        if broken:
            lines.append(f"breaks a limit: {wrap(broken)}")
        tips.append("<br>".join([*lines, wrap(trial.arch)]))
    return tips


def front_plot(info: FrontInfo, other: int) -> Figure:
    """The main objective against another one.

    Args:
        info: the values.
        other: place of the other objective.
    """
    first, second = info.objectives[0], info.objectives[other]
    seen = [_seen(info.values[:, k], info.front, o) for k, o in ((other, second), (0, first))]
    across, wide = objective_axis(second, info.values[:, other])
    upright, high = objective_axis(first, info.values[:, 0])
    # what was not measured, since a limit was broken first, is drawn at the worse edge
    x, y = (
        factor * np.clip(np.where(np.isfinite(v), v, part.edge), part.low, part.high)
        for factor, v, part in (
            (wide, info.values[:, other], seen[0]), (high, info.values[:, 0], seen[1])
        )
    )  # fmt: skip
    tips, data = _tips(info), []
    for mask, name, marker in (
        (~info.feasible, "breaks a limit", BROKEN),
        (info.feasible & ~info.front & info.complete, "trained", _DOT),
    ):
        if mask.any():
            text = [t for t, k in zip(tips, mask, strict=True) if k]
            data.append(scatter(x[mask], y[mask], name, marker=marker, text=text))
    order = np.flatnonzero(info.front)[np.argsort(x[info.front], kind="stable")]
    joined = len(info.objectives) == 2
    shape = "hv" if second.direction == "min" else "vh"
    line = {"line": {"shape": shape, "width": 2, "color": "@accent"}} if joined else {}
    if len(order):
        data.append(
            scatter(
                x[order], y[order], "front",
                mode="lines+markers" if joined else "markers",
                marker=_BEST, text=[tips[i] for i in order], **line,
            )
        )  # fmt: skip
    if info.winner is not None:
        i = info.winner
        data.append(star(x[i], y[i], tips[i]))
    shapes, notes = _limits(info, (second, first), seen, (wide, high))
    return figure(
        data,
        {**across, "range": [wide * seen[0].low, wide * seen[0].high]},
        {**upright, "range": [high * seen[1].low, high * seen[1].high]},
        height=440 if joined else 380,
        shapes=shapes,
        annotations=notes,
    )


def _seen(values: Array, front: NDArray[np.bool_], objective: ObjectiveRow) -> Window:
    """The drawn part of an axis: the whole front, and what is not far from the rest."""
    near = window(values, objective.direction)
    every = window(values[front], objective.direction, all_of=True) if front.any() else near
    return Window(min(near.low, every.low), max(near.high, every.high), near.floor, near.edge)


def _limits(
    info: FrontInfo,
    objectives: Sequence[ObjectiveRow],
    seen: Sequence[Window],
    factors: Sequence[float],
) -> tuple[list[Json], list[Json]]:
    """Dashed lines at the limits of both axes, where they are in sight."""
    shapes: list[Json] = []
    notes: list[Json] = []
    line = {"dash": "dash", "width": 1.5, "color": "@bad"}
    for k, (name, along) in enumerate((("x", "y"), ("y", "x"))):
        for limit in info.limits:
            for value in (limit.max, limit.min):
                if limit.name != objectives[k].name or value is None:
                    continue
                if not seen[k].low < value < seen[k].high:
                    continue
                at = factors[k] * value
                shapes.append(
                    {"type": "line", f"{name}0": at, f"{name}1": at, f"{along}ref": "paper",
                     f"{along}0": 0, f"{along}1": 1, "line": line}
                )  # fmt: skip
                ends: dict[str, Json] = (
                    {"x": at, "y": 1, "yref": "paper", "xanchor": "right", "yanchor": "top"}
                    if name == "x"
                    else {"x": 1, "y": at, "xref": "paper", "xanchor": "right", "yanchor": "top"}
                )
                text = f"limit {_shown(value, objectives[k])}"
                notes.append({**ends, "text": text, "showarrow": False, "font": {"color": "@bad"}})
    return shapes, notes


def lines_plot(info: FrontInfo) -> Figure:
    """Parallel coordinates: an axis for each objective, the better end on top.

    Args:
        info: the values.
    """
    count = len(info.objectives)
    signs = np.array([1.0 if o.direction == "max" else -1.0 for o in info.objectives])
    gains, complete = info.values * signs, info.complete
    low, high = gains[complete].min(axis=0), gains[complete].max(axis=0)
    height = np.where(high > low, (gains - low) / np.where(high > low, high - low, 1.0), 0.5)
    tips = _tips(info)
    is_winner = np.arange(len(info.trials)) == (-1 if info.winner is None else info.winner)
    kinds = (
        (~info.feasible & complete, "breaks a limit", {"width": 1, "color": "@dot", "dash": "dot"}),
        (info.feasible & ~info.front & complete, "trained", {"width": 1, "color": "@faint"}),
        (info.front & ~is_winner, "front", {"width": 2, "color": "@accent"}),
        (is_winner, "winner", {"width": 3, "color": "@warm"}),
    )
    data = []
    for mask, name, line in kinds:
        x: list[float | None] = []
        y: list[float | None] = []
        text: list[str] = []
        for i in np.flatnonzero(mask).tolist():
            x += [*range(count), None]
            y += [*height[i].tolist(), None]
            text += [tips[i]] * (count + 1)
        if x:
            marker = {"size": 5, "color": line["color"]}
            data.append(
                scatter(x, y, name, mode="lines+markers", line=line, marker=marker, text=text)
            )
    notes: list[Json] = []
    for k, objective in enumerate(info.objectives):
        best, worst = signs[k] * high[k], signs[k] * low[k]
        for value, at, anchor in ((best, 1.04, "bottom"), (worst, -0.04, "top")):
            notes.append(
                {"x": k, "y": at, "text": _shown(value, objective),
                 "showarrow": False, "yanchor": anchor,
                 "xanchor": "left" if k == 0 else "right" if k == count - 1 else "center"}
            )  # fmt: skip
    names = [
        escape(o.label, quote=False).replace("@", "<br>@").replace(" ", "<br>")
        for o in info.objectives
    ]
    lines: list[Json] = [
        {"type": "line", "x0": k, "x1": k, "y0": 0, "y1": 1, "layer": "below",
         "line": {"width": 1.5, "color": "@line"}}
        for k in range(count)
    ]  # fmt: skip
    blank: Figure = {"showgrid": False, "showline": False, "ticks": ""}
    room = 0.04 * count
    return figure(
        data,
        axis("", tickvals=list(range(count)), ticktext=names, tickangle=0,
             range=[-room, count - 1 + room], **blank),
        axis("", showticklabels=False, range=[-0.18, 1.18], **blank),
        height=420,
        annotations=notes,
        shapes=lines,
    )  # fmt: skip
