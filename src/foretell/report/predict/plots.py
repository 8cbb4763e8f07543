"""Figures of a prediction, as the plain JSON that plotly.js draws."""

from collections.abc import Sequence
from html import escape

import numpy as np

from foretell.metrics import coverage, normal_interval
from foretell.predictors.explain import Contributions, Importance
from foretell.report.html.charts import SYMBOLS, Figure, axis, figure, names_axis, scatter, wrap
from foretell.report.html.format import signed
from foretell.report.predict.units import Unit
from foretell.studies.predict.explain import Explained, Explanation
from foretell.studies.predict.study import Ranking
from foretell.types import Array, IntArray, Json

__all__ = [
    "FAMILIES",
    "best_plot",
    "calibration_plot",
    "families_plot",
    "importance_plot",
    "measured_plot",
    "pool_plot",
    "reasons_plot",
    "strip_plot",
]

FAMILIES = 12
"""Families that a chart shows."""
_BEST, _MOST = 30, 2000
_LEVELS = np.arange(1, 20) / 20
_DOT = {"size": 8, "color": "@accent", "opacity": 0.8, "line": {"width": 1, "color": "@card"}}


def _ticks(unit: Unit) -> Figure:
    return {"ticksuffix": unit.of_value.strip() and " %", "nticks": 7}


def _bars(low: Array, mid: Array, high: Array, color: str, side: str) -> Figure:
    if not np.isfinite(low).all():
        return {}
    return {
        f"error_{side}": {
            "type": "data", "symmetric": False, "array": high - mid, "arrayminus": mid - low,
            "width": 0, "thickness": 1.5, "color": color,
        }
    }  # fmt: skip


def best_plot(ranking: Ranking, unit: Unit) -> Figure:
    """The best of the ranking with intervals, beside the best that was measured."""
    n = min(_BEST, len(ranking.archs))
    mean, low, high = (unit.factor * v[:n] for v in (ranking.mean, ranking.low, ranking.high))
    space = ranking.fitted.context.space
    text = [
        f"<b>{i}: {unit.value(m)}</b>{_interval(unit, a, b)}<br>{wrap(space.format(arch))}"
        for i, (m, a, b, arch) in enumerate(
            zip(ranking.mean[:n], ranking.low[:n], ranking.high[:n], ranking.archs, strict=False), 1
        )
    ]
    data = [
        scatter(
            np.arange(1, n + 1), mean, "predicted", marker=_DOT, text=text,
            **_bars(low, mean, high, "@accent", "y"),
        )
    ]  # fmt: skip
    values = unit.factor * ranking.learned.values
    top = float(values.max() if ranking.config.higher_is_better else values.min())
    line = {"dash": "dot", "width": 1.5, "color": "@warm"}
    data.append(
        scatter([0.5, n + 0.5], [top, top], "best measured", mode="lines", line=line,
                hoverinfo="skip")
    )  # fmt: skip
    return figure(
        data,
        axis("Place in the ranking", range=[0.3, n + 0.7], nticks=8),
        axis(_title(ranking, "Predicted"), **_ticks(unit)),
    )


def pool_plot(ranking: Ranking, unit: Unit) -> Figure:
    """Every ranked architecture, with a band of intervals."""
    n = len(ranking.archs)
    rows = np.unique(np.linspace(0, n - 1, min(n, _MOST)).astype(np.int64))
    mean, low, high = (unit.factor * v[rows] for v in (ranking.mean, ranking.low, ranking.high))
    data = []
    if np.isfinite(low).all():
        line = {"width": 1, "color": "@faint"}
        x: list[float | None] = []
        y: list[float | None] = []
        for i, a, b in zip((rows + 1).tolist(), low.tolist(), high.tolist(), strict=True):
            x += [i, i, None]
            y += [a, b, None]
        name = f"{100 * ranking.level:g} % interval"
        data.append(scatter(x, y, name, mode="lines", line=line, hoverinfo="skip"))
    space = ranking.fitted.context.space
    text = [
        f"<b>{i + 1}: {unit.value(float(ranking.mean[i]))}</b><br>"
        f"{wrap(space.format(ranking.archs[i]))}"
        for i in rows.tolist()
    ]
    marker = {"size": 5.5, "color": "@accent"}
    data.append(scatter(rows + 1, mean, "predicted", marker=marker, text=text))
    return figure(
        data,
        axis("Place in the ranking", range=[1 - 0.02 * n, 1.02 * n], nticks=6),
        axis(_title(ranking, "Predicted"), range=_window(mean), **_ticks(unit)),
    )


def measured_plot(ranking: Ranking, unit: Unit) -> Figure:
    """Held-out predictions against what was measured."""
    learned, space = ranking.learned, ranking.fitted.context.space
    x, y = unit.factor * learned.mean, unit.factor * learned.values
    low, high = unit.factor * learned.low, unit.factor * learned.high
    ends_x, ends_y = _window(x), _window(y)
    inside = (x >= ends_x[0]) & (x <= ends_x[1]) & (y >= ends_y[0]) & (y <= ends_y[1])
    text = [
        f"<b>measured {unit.value(float(v))}</b><br>predicted {unit.value(float(m))}"
        f"{_interval(unit, float(a), float(b))}<br>{wrap(space.format(arch))}"
        for arch, v, m, a, b in zip(
            learned.archs, learned.values, learned.mean, learned.low, learned.high, strict=True
        )
    ]
    both = [min(ends_x[0], ends_y[0]), max(ends_x[1], ends_y[1])]
    dotted = {"dash": "dot", "width": 1.5, "color": "@muted"}
    data = [
        scatter(both, both, "prediction = truth", mode="lines", line=dotted, hoverinfo="skip"),
        scatter(
            x[inside], y[inside], "measured", marker=_DOT,
            text=[t for t, k in zip(text, inside, strict=True) if k],
            **_bars(low[inside], x[inside], high[inside], "@faint", "x"),
        ),
    ]  # fmt: skip
    if (~inside).any():
        marker = {"size": 9, "color": "@muted", "symbol": "triangle-down"}
        edge_x, edge_y = _inner(ends_x), _inner(ends_y)
        data.append(
            scatter(
                np.clip(x[~inside], *edge_x), np.clip(y[~inside], *edge_y), "beyond the axes",
                marker=marker, text=[t for t, k in zip(text, inside, strict=True) if not k],
            )
        )  # fmt: skip
    return figure(
        data,
        axis(_title(ranking, "Predicted"), range=ends_x, **_ticks(unit)),
        axis(_title(ranking, "Measured"), range=ends_y, **_ticks(unit)),
    )


def calibration_plot(ranking: Ranking) -> Figure | None:
    """What share of measured values the predictor's own normal intervals hold, by level."""
    learned = ranking.learned
    if learned.std is None:
        return None
    mean = ranking.fitted.held_out.mean
    shares = [
        float(coverage(*normal_interval(mean, learned.std, float(level)), learned.values))
        for level in _LEVELS
    ]
    text = [
        f"<b>{share:.0%}</b> of values inside {level:.0%} intervals"
        for share, level in zip(shares, _LEVELS.tolist(), strict=True)
    ]
    dotted = {"dash": "dot", "width": 1.5, "color": "@muted"}
    line = {"width": 2.5, "color": "@accent"}
    marker = {"size": 7, "color": "@accent"}
    data = [
        scatter([0, 1], [0, 1], "as promised", mode="lines", line=dotted, hoverinfo="skip"),
        scatter(_LEVELS, shares, "the predictor's own", mode="lines+markers", line=line,
                marker=marker, text=text),
    ]  # fmt: skip
    if ranking.level:
        held = float(coverage(learned.low, learned.high, learned.values))
        star = {"size": 11, "color": "@warm", "symbol": "diamond"}
        words = f"<b>{held:.0%}</b> of values inside the {100 * ranking.level:g} % intervals"
        data.append(scatter([ranking.level], [held], "after correction", marker=star, text=[words]))
    ticks: Figure = {"tickformat": ".0%", "range": [-0.02, 1.02], "nticks": 6}
    return figure(
        data, axis("Level of the interval", **ticks), axis("Share of values inside", **ticks)
    )


def families_plot(shares: Contributions, unit: Unit) -> Figure:
    """Mean absolute contribution of the families that add most."""
    order = shares.order()[:FAMILIES]
    names = [escape(shares.families[k], quote=False) for k in order]
    size = unit.factor * shares.size[order]
    text = [
        f"<b>{n}</b><br>{unit.size(float(shares.size[k]))} on average, up or down"
        for n, k in zip(names, order, strict=True)
    ]
    trace: Figure = {
        "type": "bar", "orientation": "h", "x": size, "y": names, "text": text,
        "textposition": "none", "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": "@accent"},
    }  # fmt: skip
    return _rows([trace], names, axis(f"Mean size{_in(unit)}", nticks=6, rangemode="tozero"))


def strip_plot(ranking: Ranking, explanation: Explanation, unit: Unit) -> Figure | None:
    """What each family adds to each prediction, coloured by the prediction."""
    shares = explanation.contributions
    if shares is None:
        return None
    first = explanation.explained[0]
    order = shares.order()[:FAMILIES]
    names = [escape(shares.families[k], quote=False) for k in order]
    n = len(shares.predicted)
    rows = np.unique(np.linspace(0, n - 1, min(n, 400)).astype(np.int64))
    place = 1 - rows / max(n - 1, 1)
    drawn = unit.factor * shares.values[np.ix_(rows, order)]
    chosen = unit.factor * first.families[order]
    low, high = np.quantile(drawn, [0.02, 0.98])
    low, high = min(float(low), *chosen.tolist()), max(float(high), *chosen.tolist())
    room = 0.05 * (high - low or 1.0)
    x, y, color, tips = [], [], [], []
    for i, k in enumerate(order.tolist()):
        values = np.clip(drawn[:, i], low - room / 2, high + room / 2)
        x += values.tolist()
        y += (i + _swarm(values)).tolist()
        color += place.tolist()
        tips += [
            f"<b>{names[i]}</b> {unit.change(float(shares.values[r, k]))}<br>number {r + 1:,}, "
            f"predicted {unit.value(float(shares.predicted[r]))}"
            for r in rows.tolist()
        ]
    marker = {
        "size": 5, "color": color, "colorscale": [[0, "@warm"], [0.5, "@dot"], [1, "@accent"]],
        "cmin": 0, "cmax": 1, "opacity": 0.85,
    }  # fmt: skip
    data = [scatter(x, y, "", marker=marker, text=tips)]
    star = {"symbol": "star", "size": 13, "color": "@ink", "line": {"width": 1, "color": "@card"}}
    data.append(
        scatter(
            chosen, list(range(len(order))), "explained above",
            marker=star,
            text=[f"<b>{n}</b> {unit.change(float(first.families[k]))}<br>the one explained above"
                  for n, k in zip(names, order.tolist(), strict=True)],
        )
    )  # fmt: skip
    ticks = list(range(len(names)))
    short = names_axis(names)["ticktext"]
    return figure(
        data,
        axis(f"Adds{_in(unit)}", zeroline=True, zerolinecolor="@muted", nticks=7,
             range=[low - room, high + room]),
        axis("", tickvals=ticks, ticktext=short, showgrid=False,
             range=[len(names) - 0.4, -0.6]),
        height=max(240, 90 + 32 * len(names)),
        meta={"rows": len(names)},
    )  # fmt: skip


def importance_plot(importance: Importance) -> Figure:
    """Drop of Kendall's tau by family, with standard deviations over permutations."""
    order = importance.order()[:FAMILIES]
    names = [escape(importance.families[k], quote=False) for k in order]
    mean, std = importance.mean[order], importance.std[order]
    text = [
        f"<b>{n}</b><br>tau drops by {signed(m, 3)} ± {signed(s, 3)}"
        for n, m, s in zip(names, mean, std, strict=True)
    ]
    trace = scatter(
        mean, names, "", text=text,
        marker={"size": 9, "color": "@accent", "symbol": SYMBOLS[0]},
        error_x={"type": "data", "array": std, "width": 0, "thickness": 2, "color": "@accent"},
    )  # fmt: skip
    across = axis("Drop of Kendall's tau", zeroline=True, zerolinecolor="@muted", nticks=6)
    return _rows([trace], names, across)


def reasons_plot(found: Explained, shares: Contributions, unit: Unit) -> Figure:
    """From the average to a prediction, family by family."""
    order = np.argsort(-np.abs(found.families), kind="stable")
    shown, others = order[:FAMILIES], order[FAMILIES:]
    steps = [(shares.families[k], float(found.families[k])) for k in shown]
    if len(others):
        steps.append((f"{len(others)} others", float(found.families[others].sum())))
    if shares.fidelity is not None:
        steps.append(("not explained", found.rest))
    at = shares.base
    starts: list[float] = []
    for _, change in steps:
        starts.append(at)
        at += change
    names = [escape(name, quote=False) for name, _ in steps]
    text = [
        f"<b>{name}</b> {unit.change(change)}<br>from {unit.value(start)} to "
        f"{unit.value(start + change)}"
        for name, (_, change), start in zip(names, steps, starts, strict=True)
    ]
    trace: Figure = {
        "type": "bar", "orientation": "h", "y": names, "text": text, "textposition": "none",
        "x": [unit.factor * change for _, change in steps],
        "base": [unit.factor * start for start in starts],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": ["@accent" if change >= 0 else "@warm" for _, change in steps]},
    }  # fmt: skip
    lines: list[Json] = [
        {"type": "line", "x0": unit.factor * v, "x1": unit.factor * v, "yref": "paper", "y0": 0,
         "y1": 1, "line": {"dash": "dot", "width": 1.5, "color": "@muted"}, "layer": "below"}
        for v in (shares.base, found.mean)
    ]  # fmt: skip
    ends = [shares.base, at, *starts]
    room = 0.06 * (max(ends) - min(ends) or 1.0)
    across = axis(
        f"Prediction{_in(unit, value=True)}", nticks=6,
        range=[unit.factor * (min(ends) - room), unit.factor * (max(ends) + room)],
    )  # fmt: skip
    return _rows([trace], names, across, shapes=lines)


def _rows(data: Sequence[Figure], names: Sequence[str], across: Figure, **layout: Json) -> Figure:
    """A chart with a row for each name, the first on top."""
    return figure(
        data,
        across,
        axis("", **names_axis(names), categoryorder="array", categoryarray=list(names)[::-1],
             showgrid=False, range=[-0.7, len(names) - 0.3]),
        height=max(240, 90 + 32 * len(names)),
        **layout,
    )  # fmt: skip


def _in(unit: Unit, value: bool = False) -> str:
    word = (unit.of_value if value else unit.of_change).strip()
    return f" ({word})" if word else ""


def _title(ranking: Ranking, word: str) -> str:
    return f"{word} {escape(ranking.config.target, quote=False) or 'value'}"


def _interval(unit: Unit, low: float, high: float) -> str:
    found = unit.between(low, high)
    return f", {found}" if found else ""


def _window(values: Array) -> list[float]:
    """The drawn range: values far from the middle half would flatten all others."""
    low, high = np.quantile(values, [0.25, 0.75])
    reach = 4 * max(high - low, 1e-12)
    kept = values[(values >= low - reach) & (values <= high + reach)]
    pad = 0.06 * max(float(kept.max() - kept.min()), 1e-9)
    return [float(kept.min()) - pad, float(kept.max()) + pad]


def _inner(ends: Sequence[float]) -> tuple[float, float]:
    """A little inside a range, so that a mark on its edge is seen whole."""
    inset = 0.02 * (ends[1] - ends[0])
    return ends[0] + inset, ends[1] - inset


def _swarm(values: Array) -> Array:
    """Offsets that keep points of one row apart: wide where many have about the same value."""
    span = float(np.ptp(values)) or 1.0
    bins: IntArray = np.floor(60 * (values - values.min()) / span).astype(np.int64)
    offsets = np.zeros(len(values))
    most = int(np.bincount(bins).max())
    for b in np.unique(bins):
        rows = np.flatnonzero(bins == b)
        steps = (np.arange(len(rows)) + 1) // 2 * np.where(np.arange(len(rows)) % 2, 1, -1)
        offsets[rows] = steps
    return np.asarray(offsets * min(0.07, 0.76 / max(most, 1)))
