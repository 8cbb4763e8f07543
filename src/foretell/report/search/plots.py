"""Charts of a search: each is made from a table of ``foretell.report.search.tables``."""

import math
from collections.abc import Iterable, Sequence
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
    scatter,
    wrap,
)
from foretell.report.html.format import amount, duration, percent, signed
from foretell.report.search.data import CurveRow, TrialRow
from foretell.report.search.tables import (
    CorrelationInfo,
    CurveInfo,
    ParetoInfo,
    PredictionInfo,
    ProgressInfo,
    RobustnessRow,
)
from foretell.types import Array

__all__ = [
    "COST_TITLES",
    "correlation_plot",
    "curves_plot",
    "heat_map",
    "loss_plot",
    "pareto_plot",
    "prediction_plot",
    "progress_plot",
    "robustness_plot",
]

COST_TITLES = {
    "params": "Parameters",
    "flops": "Multiply-adds of one image",
    "memory": "Peak activation memory of one image (bytes)",
}


def _tip(trial: TrialRow, *extra: str) -> str:
    """What a trial says when it is pointed at."""
    facts = [f"<b>{percent(trial.val_accuracy)}</b> validation"] if trial.state == "done" else []
    facts += extra
    costs = [f"{amount(trial.params)} params", f"{amount(trial.flops)} multiply-adds"]
    taken = [duration(trial.seconds)] if math.isfinite(trial.seconds) else []
    return "<br>".join(
        [f"Trial {trial.number}", *facts, ", ".join(costs + taken), wrap(trial.arch)]
    )


def _star(x: float, y: float, text: str) -> Figure:
    marker = {
        "symbol": "star",
        "size": 17,
        "color": "@warm",
        "line": {"width": 1, "color": "@card"},
    }
    return scatter([x], [y], "winner", marker=marker, text=[text])


def _floor(values: Array) -> float:
    """The lowest value that is drawn to scale: an outlier far below would flatten all others."""
    good = values[np.isfinite(values)]
    if len(good) < 5:
        return float(good.min()) if len(good) else 0.0
    low, high = np.quantile(good, [0.25, 1.0])
    return float(good[good >= low - 3 * max(high - low, 1e-3)].min())


def _range(values: Array, floor: float) -> list[float]:
    """The drawn interval: from a little below the floor to a little above the best."""
    good = values[np.isfinite(values)]
    top = float(good.max()) if len(good) else 1.0
    pad = max(0.09 * (top - floor), 0.002)
    return [floor - 1.6 * pad, top + pad]


PERCENT_TICKS = {"tickformat": ".1%", "nticks": 7}


def _pick(values: Iterable[Any], keep: NDArray[np.bool_]) -> list[Any]:
    return [v for v, k in zip(values, keep, strict=True) if k]


def progress_plot(info: ProgressInfo, by: str = "trials") -> Figure:
    """Best validation accuracy so far.

    Args:
        info: the search.
        by: "trials" or "seconds".
    """
    x = info.number.astype(np.float64) if by == "trials" else info.seconds
    done = np.isfinite(info.accuracy)
    floor = _floor(info.accuracy)
    low, high = _range(info.accuracy, floor)
    edge = low + 0.3 * (floor - low)
    below = done & (info.accuracy < floor)
    old = np.array([t.resumed for t in info.trials], dtype=bool).reshape(len(x))
    tips = [_tip(t) for t in info.trials]
    dot = {"size": 8, "color": "@dot", "line": {"width": 1, "color": "@muted"}}
    hollow = {"size": 8, "color": "@card", "line": {"width": 1.5, "color": "@muted"}}
    data = []
    for mask, name, marker in (
        (done & ~below & ~old, "trained", dot),
        (done & ~below & old, "trained in an earlier call", hollow),
    ):
        if mask.any():
            text = _pick(tips, mask)
            data.append(scatter(x[mask], info.accuracy[mask], name, marker=marker, text=text))
    if below.any():
        marker = {"size": 9, "color": "@muted", "symbol": "triangle-down"}
        where = np.full(below.sum(), edge)
        data.append(
            scatter(x[below], where, "below the axis", marker=marker, text=_pick(tips, below))
        )
    if (~done).any():
        marker = {
            "size": 9,
            "color": "@bad",
            "symbol": "x-thin",
            "line": {"width": 2.2, "color": "@bad"},
        }
        text = [
            _tip(t, f"<b>{escape(t.error or t.state, quote=False)}</b>", wrap(t.message))
            for t in _pick(info.trials, ~done)
        ]
        where = np.full((~done).sum(), edge)
        data.append(scatter(x[~done], where, "failed", marker=marker, text=text))
    shown = np.where(info.best >= low, info.best, np.nan)
    line = {"shape": "hv", "width": 2.5, "color": "@accent"}
    data.append(scatter(x, shown, "best so far", mode="lines", line=line, hoverinfo="skip"))
    if info.winner is not None:
        data.append(_star(x[info.winner], info.accuracy[info.winner], tips[info.winner]))
    title = "Trial" if by == "trials" else "Seconds of work"
    return figure(
        data,
        axis(title, rangemode="normal" if by == "trials" else "tozero", nticks=8),
        axis("Validation accuracy", range=[low, high], **PERCENT_TICKS),
    )


def prediction_plot(info: PredictionInfo, winner: int | None) -> Figure:
    """What the searcher expected against what training gave.

    Args:
        info: the pairs.
        winner: number of the winner's trial.
    """
    tips = [
        _tip(t, f"predicted {percent(p) if info.scale else f'{p:.4g}'}")
        for t, p in zip(info.trials, info.predicted, strict=True)
    ]
    low, high = _range(info.accuracy, float(info.accuracy.min()))
    data = []
    if info.scale:
        ends = [float(info.predicted.min()), float(info.predicted.max())]
        line = {"dash": "dot", "width": 1.5, "color": "@muted"}
        data.append(
            scatter(ends, ends, "prediction = truth", mode="lines", line=line, hoverinfo="skip")
        )
    marker = {"size": 9, "color": "@accent", "opacity": 0.8, "line": {"width": 1, "color": "@card"}}
    data.append(scatter(info.predicted, info.accuracy, "trained", marker=marker, text=tips))
    for i, trial in enumerate(info.trials):
        if trial.number == winner:
            data.append(_star(info.predicted[i], info.accuracy[i], tips[i]))
    ticks = PERCENT_TICKS if info.scale else {"nticks": 7}
    return figure(
        data,
        axis("Predicted accuracy" if info.scale else "Predicted value", **ticks),
        axis("Trained accuracy", range=[low, high], **PERCENT_TICKS),
    )


def pareto_plot(info: ParetoInfo) -> Figure:
    """Accuracy against a cost; the front is joined by steps."""
    floor = _floor(info.accuracy)
    low, high = _range(info.accuracy, floor)
    height = np.maximum(info.accuracy, low + 0.3 * (floor - low))
    tips = [_tip(t) for t in info.trials]
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
        data.append(_star(info.costs[i], height[i], tips[i]))
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
        axis("Validation accuracy", range=[low, high], **PERCENT_TICKS),
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
             "fillcolor": "@band", "line": {"width": 0}, "layer": "below the axis"}
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
        tip = _tip(trial)
        x += [*range(1, len(curve.val_accuracy) + 1), None]
        y += [*(float(v) for v in curve.val_accuracy), None]
        text += [tip] * (len(curve.val_accuracy) + 1)
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
