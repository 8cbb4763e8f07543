"""Charts of a search: each is made from a table of ``foretell.report.search.tables``."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.report.html.charts import (
    DASHES,
    SERIES,
    SYMBOLS,
    Figure,
    axis,
    figure,
    names_axis,
    scale,
    scatter,
    wrap,
)
from foretell.report.html.format import amount, duration, percent, quantity, signed
from foretell.report.search.data import CurveRow, ObjectiveRow, TrialRow
from foretell.report.search.tables import (
    ACCURACY,
    CorrelationInfo,
    CurveInfo,
    ParetoInfo,
    PredictionInfo,
    ProgressInfo,
    RobustnessRow,
    outcome_of,
    value_of,
)
from foretell.types import Array

__all__ = [
    "COST_TITLES",
    "Window",
    "correlation_plot",
    "curves_plot",
    "heat_map",
    "loss_plot",
    "objective_axis",
    "pareto_plot",
    "prediction_plot",
    "progress_plot",
    "robustness_plot",
    "star",
    "tip",
    "window",
]

COST_TITLES = {
    "params": "Parameters",
    "flops": "Multiply-adds of one image",
    "memory": "Peak activation memory of one image (bytes)",
}
"""Cost -> title of its axis."""


def tip(trial: TrialRow, objective: ObjectiveRow, *extra: str) -> str:
    """What a trial says when it is pointed at."""
    value, known = value_of(trial, objective.name), outcome_of(trial) in ("done", "infeasible")
    shown = escape(quantity(value, objective.unit), quote=False)
    name = "validation" if objective.name == "accuracy" else escape(objective.label, quote=False)
    facts = [f"<b>{shown}</b> {name}"] if known else []
    facts += extra
    costs = [
        f"{amount(v)} {name}"
        for v, name in ((trial.params, "params"), (trial.flops, "multiply-adds"))
        if math.isfinite(v) or objective.name == "accuracy"
    ]
    taken = [duration(trial.seconds)] if math.isfinite(trial.seconds) else []
    return "<br>".join(
        [f"Trial {trial.number}", *facts, ", ".join(costs + taken), wrap(trial.arch)]
    )


def star(x: float, y: float, text: str) -> Figure:
    """The winner's mark."""
    marker = {
        "symbol": "star",
        "size": 17,
        "color": "@warm",
        "line": {"width": 1, "color": "@card"},
    }
    return scatter([x], [y], "winner", marker=marker, text=[text])


@dataclass(frozen=True)
class Window:
    """The drawn part of an axis: values far worse than the rest would flatten all others.

    Args:
        low: lower end.
        high: upper end.
        floor: the worst value that is drawn to scale.
        edge: where those beyond it are drawn.
        sign: 1 where higher is better, else -1.
    """

    low: float
    high: float
    floor: float
    edge: float
    sign: float = 1.0

    def beyond(self, values: Array) -> NDArray[np.bool_]:
        """Which values are worse than the worst that is drawn to scale."""
        return np.asarray(self.sign * values < self.sign * self.floor)

    def place(self, values: Array) -> Array:
        """Where values are drawn."""
        return np.where(self.beyond(values), self.edge, values)


def window(values: Array, direction: str = "max", *, all_of: bool = False) -> Window:
    """What to draw of values.

    Args:
        values: NaN is passed over.
        direction: "max" or "min": which is better.
        all_of: whether every value is drawn to scale.
    """
    sign = 1.0 if direction == "max" else -1.0
    gains = sign * values[np.isfinite(values)]
    floor = float(gains.min()) if len(gains) else 0.0
    if len(gains) >= 5 and not all_of:
        low, high = np.quantile(gains, [0.25, 1.0])
        # an accuracy that differs by less than 0.1 % is the same
        least = 1e-3 if np.abs(gains).max() <= 1.0 and np.abs(gains).min() >= 0.05 else 1e-12
        floor = float(gains[gains >= low - 3 * max(high - low, least)].min())
    top = float(gains.max()) if len(gains) else 1.0
    least = 0.002 if not len(gains) or 0.05 <= abs(top) <= 1.0 else 1e-3 * abs(top) or 1.0
    pad = max(0.09 * (top - floor), least)
    low, high = floor - 1.6 * pad, top + pad
    ends = sorted((sign * low, sign * high))
    return Window(ends[0], ends[1], sign * floor, sign * (low + 0.3 * (floor - low)), sign)


BROKEN = {
    "size": 8,
    "color": "@card",
    "symbol": "circle",
    "line": {"width": 1.5, "color": "@dot"},
}
"""The mark of what breaks a limit."""
PERCENT_TICKS = {"tickformat": ".1%", "nticks": 7}


def objective_axis(objective: ObjectiveRow, values: Array, name: str = "") -> tuple[Figure, float]:
    """An axis of an objective, and by what values are multiplied.

    Args:
        objective: what is drawn.
        values: all that are drawn, for the unit.
        name: of the axis; the objective's label if empty.
    """
    drawn = scale(values, objective.unit)
    return axis(drawn.title(name or objective.label), **drawn.ticks), drawn.factor


def _pick(values: Iterable[Any], keep: NDArray[np.bool_]) -> list[Any]:
    return [v for v, k in zip(values, keep, strict=True) if k]


def progress_plot(info: ProgressInfo, by: str = "trials") -> Figure:
    """Best value so far.

    Args:
        info: the search.
        by: "trials" or "seconds".
    """
    x = info.number.astype(np.float64) if by == "trials" else info.seconds
    done, outside = np.isfinite(info.accuracy), _ended(info.trials, "infeasible")
    failed = ~done & ~outside
    seen = window(info.accuracy, info.objective.direction)
    upright, factor = objective_axis(info.objective, info.accuracy)
    below = done & seen.beyond(info.accuracy)
    old = np.array([t.resumed for t in info.trials], dtype=bool).reshape(len(x))
    tips = [
        tip(t, info.objective, *([f"breaks a limit: {wrap(why)}"] if why else []))
        for t, why in zip(info.trials, info.broken, strict=True)
    ]
    dot = {"size": 8, "color": "@dot", "line": {"width": 1, "color": "@muted"}}
    hollow = {"size": 8, "color": "@card", "line": {"width": 1.5, "color": "@muted"}}
    data = []
    for mask, name, marker in (
        (done & ~below & ~old, info.verb, dot),
        (done & ~below & old, f"{info.verb} in an earlier call", hollow),
    ):
        if mask.any():
            text = _pick(tips, mask)
            data.append(
                scatter(x[mask], factor * info.accuracy[mask], name, marker=marker, text=text)
            )
    if below.any():
        marker = {"size": 9, "color": "@muted", "symbol": "triangle-down"}
        if info.objective.direction == "min":
            marker["symbol"] = "triangle-up"
        where = np.full(below.sum(), factor * seen.edge)
        name = "below the axis" if info.objective.direction == "max" else "above the axis"
        data.append(scatter(x[below], where, name, marker=marker, text=_pick(tips, below)))
    if outside.any():
        measured = np.array([value_of(t, info.objective.name) for t in info.trials])
        where = np.where(np.isfinite(measured), seen.place(measured), seen.edge)
        inset = 0.03 * (seen.high - seen.low)  # a mark on the edge is seen whole
        where = factor * np.clip(where, seen.low + inset, seen.high - inset)
        text = _pick(tips, outside)
        data.append(scatter(x[outside], where[outside], "breaks a limit", marker=BROKEN, text=text))
    if failed.any():
        marker = {
            "size": 9,
            "color": "@bad",
            "symbol": "x-thin",
            "line": {"width": 2.2, "color": "@bad"},
        }
        text = [
            tip(
                t,
                info.objective,
                f"<b>{escape(t.error or t.state, quote=False)}</b>",
                wrap(t.message),
            )
            for t in _pick(info.trials, failed)
        ]
        where = np.full(failed.sum(), factor * seen.edge)
        data.append(scatter(x[failed], where, "failed", marker=marker, text=text))
    inside = (info.best >= seen.low) & (info.best <= seen.high)
    shown = factor * np.where(inside, info.best, np.nan)
    line = {"shape": "hv", "width": 2.5, "color": "@accent"}
    data.append(scatter(x, shown, "best so far", mode="lines", line=line, hoverinfo="skip"))
    if info.winner is not None:
        data.append(star(x[info.winner], factor * info.accuracy[info.winner], tips[info.winner]))
    title = "Trial" if by == "trials" else "Seconds of work"
    return figure(
        data,
        axis(title, rangemode="normal" if by == "trials" else "tozero", nticks=8),
        {**upright, "range": [factor * seen.low, factor * seen.high]},
    )


def _ended(trials: Sequence[TrialRow], end: str) -> NDArray[np.bool_]:
    return np.array([outcome_of(t) == end for t in trials], dtype=bool).reshape(len(trials))


def prediction_plot(info: PredictionInfo, winner: int | None) -> Figure:
    """What the searcher expected against what training gave.

    Args:
        info: the pairs.
        winner: number of the winner's trial.
    """
    tips = [
        tip(t, info.objective, f"predicted {percent(p) if info.scale else f'{p:.4g}'}")
        for t, p in zip(info.trials, info.predicted, strict=True)
    ]
    seen = window(info.accuracy, info.objective.direction, all_of=True)
    plain = info.objective.name == "accuracy"
    name = "Trained accuracy" if plain else info.objective.label
    upright, factor = objective_axis(info.objective, info.accuracy, name)
    data = []
    if info.scale:
        ends = [float(info.predicted.min()), float(info.predicted.max())]
        line = {"dash": "dot", "width": 1.5, "color": "@muted"}
        data.append(
            scatter(ends, ends, "prediction = truth", mode="lines", line=line, hoverinfo="skip")
        )
    marker = {"size": 9, "color": "@accent", "opacity": 0.8, "line": {"width": 1, "color": "@card"}}
    data.append(
        scatter(info.predicted, factor * info.accuracy, "trained", marker=marker, text=tips)
    )
    for i, trial in enumerate(info.trials):
        if trial.number == winner:
            data.append(star(info.predicted[i], factor * info.accuracy[i], tips[i]))
    ticks = PERCENT_TICKS if info.scale else {"nticks": 7}
    return figure(
        data,
        axis("Predicted accuracy" if info.scale and plain else "Predicted value", **ticks),
        {**upright, "range": [factor * seen.low, factor * seen.high]},
    )


def pareto_plot(info: ParetoInfo) -> Figure:
    """The objective against a cost; the front is joined by steps."""
    seen = window(info.accuracy, info.objective.direction)
    upright, factor = objective_axis(info.objective, info.accuracy)
    height = factor * seen.place(info.accuracy)
    tips = [tip(t, info.objective) for t in info.trials]
    rest = ~info.front
    log = bool(
        len(info.costs) and info.costs.min() > 0 and info.costs.max() > 20 * info.costs.min()
    )
    data = []
    if rest.any():
        marker = {"size": 8, "color": "@dot", "line": {"width": 1, "color": "@muted"}}
        data.append(
            scatter(
                info.costs[rest], height[rest], "trained", marker=marker, text=_pick(tips, rest)
            )
        )
    order = np.flatnonzero(info.front)[np.argsort(info.costs[info.front], kind="stable")]
    data.append(
        scatter(
            info.costs[order],
            height[order],
            "not beaten in both",
            mode="lines+markers",
            line={"shape": "hv", "width": 2, "color": "@accent"},
            marker={"size": 10, "color": "@accent", "line": {"width": 1, "color": "@card"}},
            text=[tips[i] for i in order],
        )
    )
    if info.winner is not None:
        i = info.winner
        data.append(star(info.costs[i], height[i], tips[i]))
    shapes, notes = [], []
    if info.limit is not None and len(info.costs) and info.limit <= 2 * info.costs.max():
        line = {"dash": "dash", "width": 1.5, "color": "@bad"}
        at = math.log10(info.limit) if log else info.limit
        shapes.append(
            {"type": "line", "x0": info.limit, "x1": info.limit, "yref": "paper", "y0": 0, "y1": 1,
             "line": line}
        )  # fmt: skip
        notes.append(
            {"x": at, "y": 0, "yref": "paper", "text": f"limit {amount(info.limit)}", "xanchor":
             "right", "yanchor": "bottom", "showarrow": False, "font": {"color": "@bad"}}
        )  # fmt: skip
    ticks: Figure = {"type": "log", "dtick": "D2"} if log else {"nticks": 6, "rangemode": "tozero"}
    return figure(
        data,
        axis(COST_TITLES[info.cost], tickformat="~s", **ticks),
        {**upright, "range": [factor * seen.low, factor * seen.high]},
        shapes=shapes,
        annotations=notes,
    )


def correlation_plot(info: CorrelationInfo) -> Figure:
    """Kendall's tau-b of every proxy with trained accuracy, baselines marked."""
    known = np.isfinite(info.accuracy)
    data = []
    for mask, name, color, symbol in (
        (known & ~info.baseline, "proxy", "@accent", "circle"),
        (known & info.baseline, "free baseline", "@warm", "diamond"),
    ):
        if not mask.any():
            continue
        names = [escape(n, quote=False) for n in _pick(info.names, mask)]
        values = info.accuracy[mask]
        text = [
            f"<b>{n}</b><br>tau-b {signed(v, 3)} with trained accuracy<br>n = {k} trained networks"
            for n, v, k in zip(names, values, info.accuracy_n[mask], strict=True)
        ]
        data.append(
            scatter(
                values,
                names,
                name,
                marker={"size": 11, "color": color, "symbol": symbol},
                error_x={"type": "data", "symmetric": False, "array": np.zeros(len(values)),
                         "arrayminus": values, "width": 0, "thickness": 2, "color": color},
                text=text,
            )
        )  # fmt: skip
    order = [escape(n, quote=False) for n in _pick(info.names, known)]
    shapes = []
    if math.isfinite(info.noise):
        shapes.append(
            {"type": "rect", "x0": -info.noise, "x1": info.noise, "yref": "paper", "y0": 0, "y1": 1,
             "fillcolor": "@band", "line": {"width": 0}, "layer": "below"}
        )  # fmt: skip
    low = min(0.0, float(info.accuracy[known].min()), -info.noise if shapes else 0.0)
    top = max(0.0, float(info.accuracy[known].max()), info.noise if shapes else 0.0)
    return figure(
        data,
        axis("Kendall's tau-b", range=[low - 0.06, min(1.03, top + 0.08)],
              zeroline=True, zerolinecolor="@muted", nticks=8),
        axis("", **names_axis(order), categoryorder="array", categoryarray=order[::-1],
              showgrid=False, range=[-0.7, len(order) - 0.3]),
        height=max(220, 90 + 25 * len(order)),
        shapes=shapes,
    )  # fmt: skip


def heat_map(info: CorrelationInfo) -> Figure:
    """Kendall's tau-b among proxies over the pool, in the order of the table."""
    names = [escape(n, quote=False) for n in info.names]
    tips = [
        [
            f"<b>{a}</b> and <b>{b}</b><br>tau-b {signed(info.matrix[i, j], 3)}"
            f"<br>n = {info.counts[i, j]:,} networks"
            for j, b in enumerate(names)
        ]
        for i, a in enumerate(names)
    ]
    cells = [
        ["1" if i == j else signed(v) for j, v in enumerate(row)]
        for i, row in enumerate(info.matrix)
    ]
    scale = [[0, "@neg"], [0.5, "@mid"], [1, "@pos"]]
    trace: Figure = {
        "type": "heatmap",
        "z": info.matrix,
        "x": names,
        "y": names,
        "zmin": -1,
        "zmax": 1,
        "colorscale": scale,
        "xgap": 1,
        "ygap": 1,
        "text": cells,
        "texttemplate": "%{text}",
        "textfont": {"size": 12},
        "customdata": tips,
        "hovertemplate": "%{customdata}<extra></extra>",
        "showscale": False,
    }
    ticks = {**names_axis(names, info.baseline.tolist()), "showgrid": False, "ticks": ""}
    return figure(
        [trace],
        axis("", **ticks, tickangle=-90),
        axis("", **ticks, autorange="reversed"),
        height=max(260, 110 + 29 * len(names)),
    )


def curves_plot(info: CurveInfo) -> Figure:
    """Validation accuracy by epoch: every trial faint, the winner's final training strong."""
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for trial, curve in info.trials:
        said = tip(trial, ACCURACY)
        x += [*range(1, len(curve.val_accuracy) + 1), None]
        y += [*(float(v) for v in curve.val_accuracy), None]
        text += [said] * (len(curve.val_accuracy) + 1)
    data = []
    if x:
        line = {"width": 1, "color": "@faint"}
        data.append(scatter(x, y, "trials of the search", mode="lines", line=line, text=text))
    if info.winner is not None:
        data.append(_final(info.winner.val_accuracy, "winner, final training", "@warm", "accuracy"))
    values = np.array([v for v in y if v is not None], dtype=np.float64)
    both = np.concatenate([values, _array(info.winner.val_accuracy if info.winner else ())])
    finite = both[np.isfinite(both)]
    low = max(0.0, float(np.quantile(finite, 0.02)) - 0.05) if len(finite) else 0.0
    high = min(1.005, float(finite.max()) + 0.02) if len(finite) else 1.0
    return figure(
        data,
        axis("Epoch", nticks=8, rangemode="tozero"),
        axis("Validation accuracy", range=[low, high], tickformat=".0%", nticks=7),
    )


def loss_plot(curve: CurveRow) -> Figure:
    """Training and validation loss of the winner by epoch."""
    data = []
    if len(curve.train_loss):
        data.append(_final(curve.train_loss, "training", "@accent", "loss"))
    if len(curve.val_loss):
        data.append({**_final(curve.val_loss, "validation", "@warm", "loss")})
    return figure(data, axis("Epoch", nticks=8, rangemode="tozero"), axis("Loss (nats)", nticks=7))


def _array(values: Sequence[float]) -> Array:
    return np.array(list(values), dtype=np.float64)


def _final(values: Sequence[float], name: str, color: str, what: str) -> Figure:
    shown = percent if what == "accuracy" else "{:.3f}".format
    text = [f"{name}<br>epoch {i}: {what} {shown(float(v))}" for i, v in enumerate(values, 1)]
    marker = {"size": 4, "color": color}
    line = {"width": 2.5, "color": color}
    epochs = list(range(1, len(values) + 1))
    return scatter(
        epochs, _array(values), name, mode="lines+markers", line=line, marker=marker, text=text
    )


def robustness_plot(rows: Sequence[RobustnessRow], classes: int) -> Figure:
    """Accuracy against the size of the attack."""
    data = []
    for k, row in enumerate(rows):
        color = SERIES[k % len(SERIES)]
        name = escape(row.attack, quote=False)
        data.append(
            scatter(
                row.eps,
                row.accuracy,
                name,
                mode="lines+markers",
                line={"width": 2.5, "color": color, "dash": DASHES[k % len(DASHES)]},
                marker={"size": 9, "color": color, "symbol": SYMBOLS[k % len(SYMBOLS)]},
                text=[
                    f"<b>{percent(a)}</b><br>{name}, eps {e:g}/255"
                    if e
                    else f"<b>{percent(a)}</b><br>no attack"
                    for e, a in zip(row.eps, row.accuracy, strict=True)
                ],
            )
        )
    guess = 1 / max(classes, 1)
    shapes = [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": guess, "y1": guess,
         "line": {"dash": "dot", "width": 1.5, "color": "@muted"}}
    ]  # fmt: skip
    notes = [
        {"xref": "paper", "x": 1, "y": guess, "text": "guessing", "showarrow": False,
         "xanchor": "right", "yanchor": "bottom", "font": {"color": "@muted"}}
    ]  # fmt: skip
    drawn = figure(
        data,
        axis("eps (in 1/255)", rangemode="tozero", nticks=9),
        axis("Accuracy", range=[0, 1.03], tickformat=".0%"),
        shapes=shapes,
        annotations=notes,
    )
    drawn["layout"]["showlegend"] = True
    return drawn
