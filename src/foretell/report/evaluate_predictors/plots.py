"""Figures of an evaluation of predictors, as the plain JSON that plotly.js draws."""

import math
from html import escape

import numpy as np

from foretell.report.evaluate_predictors.names import Names, names, seconds, tau
from foretell.report.html.charts import DASHES, SERIES, SYMBOLS, Figure, axis, figure, scatter
from foretell.studies.evaluate_predictors.study import PredictorEvaluation
from foretell.types import Json

__all__ = ["BANDS", "curve_plot", "time_plot"]

BANDS = 4
"""So many methods have a band: more would hide one another."""


def curve_plot(found: PredictorEvaluation, target: int) -> Figure:
    """Kendall by train size: a line for each method, the best few with the band of the interval.

    Args:
        found: the figures.
        target: its place.
    """
    named = names(found)
    bands, lines = [], []
    learned = [m for m in found.by_mean(target, -1) if not found.methods[m].baseline]
    for m in range(len(found.methods)):
        spreads = [found.spread("kendall", target, m, s) for s in range(len(found.sizes))]
        places = [s for s, v in enumerate(spreads) if math.isfinite(v.mean)]
        if not places:
            continue
        x = [found.sizes[s] for s in places]
        text = [
            f"<b>{_name(named, m)}</b><br>Kendall {tau(spreads[s].mean)}"
            + (
                f", from {tau(spreads[s].low)} to {tau(spreads[s].high)}"
                if math.isfinite(spreads[s].low)
                else ""
            )
            + f"<br>learned from {found.sizes[s]:,}, {spreads[s].seeds} seeds"
            for s in places
        ]
        lines.append(_line(found, m, x, [spreads[s].mean for s in places], text))
        wide = [s for s in places if math.isfinite(spreads[s].low)]
        if wide and m in learned[:BANDS]:
            around = [found.sizes[s] for s in (*wide, *reversed(wide))]
            ends = [spreads[s].low for s in wide] + [spreads[s].high for s in reversed(wide)]
            bands.append(
                scatter(
                    around, ends, "", mode="lines", line={"width": 0}, fill="toself",
                    fillcolor=_look(found, m)[0], opacity=0.13, hoverinfo="skip",
                    showlegend=False,
                )
            )  # fmt: skip
    return figure(
        [*bands, *lines],
        axis(
            "Networks to learn from", type="log", tickvals=list(found.sizes),
            ticktext=[f"{n:,}" for n in found.sizes],
        ),
        axis("Kendall's tau-b", nticks=8),
        height=430,
    )  # fmt: skip


def time_plot(found: PredictorEvaluation, target: int) -> Figure:
    """Kendall against the seconds of a fit, a point for each train size, joined.

    Args:
        found: the figures.
        target: its place.
    """
    named = names(found)
    data = []
    for m, method in enumerate(found.methods):
        if method.baseline:
            continue
        spent = [found.spread("fit_seconds", target, m, s).mean for s in range(len(found.sizes))]
        good = [found.spread("kendall", target, m, s).mean for s in range(len(found.sizes))]
        places = [s for s in range(len(spent)) if math.isfinite(good[s]) and spent[s] > 0]
        if not places:
            continue
        text = [
            f"<b>{_name(named, m)}</b><br>Kendall {tau(good[s])}<br>{seconds(spent[s])} CPU "
            f"seconds to learn from {found.sizes[s]:,}"
            for s in places
        ]
        data.append(_line(found, m, [spent[s] for s in places], [good[s] for s in places], text))
    lines: list[Json] = []
    notes: list[Json] = []
    last = len(found.sizes) - 1
    free = [
        (found.spread("kendall", target, m, last).mean, _name(named, m))
        for m, method in enumerate(found.methods)
        if method.baseline
    ]
    free = [pair for pair in free if math.isfinite(pair[0])]
    if free:
        value, name = max(free)
        lines.append(
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value,
             "line": {"dash": "dot", "width": 1.5, "color": "@muted"}}
        )  # fmt: skip
        notes.append(
            {"xref": "paper", "x": 1, "y": value, "text": name, "showarrow": False,
             "xanchor": "right", "yanchor": "bottom", "font": {"color": "@muted"}}
        )  # fmt: skip
    return figure(
        data,
        axis("CPU seconds of a fit", type="log", **_ticks([x for t in data for x in t["x"]])),
        axis("Kendall's tau-b", nticks=8),
        height=430,
        shapes=lines,
        annotations=notes,
    )


def _ticks(values: list[float]) -> Figure:
    """Places on a logarithmic axis of seconds: 1, and 3 where there is room for it."""
    if not values:
        return {}
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    steps = (1, 3) if high - low <= 3 else (1,)
    places = [float(f"{k}e{e}") for e in range(low, high + 1) for k in steps]
    return {"tickvals": places, "ticktext": [f"{v:g}" for v in places]}


def _name(named: Names, method: int) -> str:
    return escape(named.full[method], quote=False)


def _look(found: PredictorEvaluation, method: int) -> tuple[str, str, str]:
    """Colour, dash and symbol; what learns no model is muted."""
    free = [m.baseline for m in found.methods]
    place = sum(f == free[method] for f in free[:method])
    if free[method]:
        return SERIES[-1], DASHES[1 + place % (len(DASHES) - 1)], SYMBOLS[place % len(SYMBOLS)]
    colors = SERIES[:-1]
    lap = place // len(colors)
    return colors[place % len(colors)], DASHES[lap % len(DASHES)], SYMBOLS[place % len(SYMBOLS)]


def _line(
    found: PredictorEvaluation, method: int, x: Json, y: list[float], text: list[str]
) -> Figure:
    color, dash, symbol = _look(found, method)
    free = found.methods[method].baseline
    return scatter(
        x,
        np.array(y),
        _name(names(found), method),
        mode="lines+markers",
        line={"width": 1.5 if free else 2.5, "color": color, "dash": dash},
        marker={"size": 6 if free else 8, "color": color, "symbol": symbol},
        text=text,
    )
