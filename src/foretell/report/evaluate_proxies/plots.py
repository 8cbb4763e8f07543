"""Figures of an evaluation of proxies, as the plain JSON that plotly.js draws."""

from html import escape

import numpy as np

from foretell.report.html.charts import SERIES, SYMBOLS, Figure, axis, figure, names_axis, scatter
from foretell.report.html.format import signed
from foretell.studies.evaluate_proxies.result import ProxyEvaluation
from foretell.types import IntArray, Json

__all__ = ["heat_plot", "label", "order_plot"]

ROW = 34
"""Pixels of a proxy with all its populations."""


def label(evaluation: ProxyEvaluation, proxy: int) -> str:
    """Name of a proxy on an axis; a diamond marks free baselines."""
    info = evaluation.proxies[proxy]
    return f"{info.name} ◆" if info.source == "baseline" else info.name


def order_plot(evaluation: ProxyEvaluation, target: int, order: IntArray, kind: str) -> Figure:
    """Coefficients of every proxy with one target, with intervals, a symbol for each population.

    Args:
        evaluation: what was found.
        target: its place.
        order: places of the proxies, best first.
        kind: the coefficient's name.
    """
    known = [int(p) for p in order if np.isfinite(evaluation.value[:, p, target]).any()]
    count = len(evaluation.populations)
    data = []
    for k, population in enumerate(evaluation.populations):
        rows = [i for i, p in enumerate(known) if np.isfinite(evaluation.value[k, p, target])]
        if not rows:
            continue
        which = [known[i] for i in rows]
        value = evaluation.value[k, which, target]
        low, high = evaluation.low[k, which, target], evaluation.high[k, which, target]
        color = SERIES[k % len(SERIES)]
        text = [
            f"<b>{escape(label(evaluation, p), quote=False)}</b><br>{kind} {signed(v, 3)}"
            + (f", from {signed(a, 3)} to {signed(b, 3)}" if np.isfinite(a) else "")
            + f"<br>{escape(population)}, n = {evaluation.pairs[k, p, target]:,}"
            for p, v, a, b in zip(which, value, low, high, strict=True)
        ]
        shift = 0.6 * (k / (count - 1) - 0.5) if count > 1 else 0.0
        data.append(
            scatter(
                value,
                [i + shift for i in rows],
                escape(population, quote=False),
                marker={"size": 8, "color": color, "symbol": SYMBOLS[k % len(SYMBOLS)]},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": np.nan_to_num(high - value),
                    "arrayminus": np.nan_to_num(value - low),
                    "width": 0,
                    "thickness": 1.5,
                    "color": color,
                },
                text=text,
            )
        )
    ticks = list(range(len(known)))
    names = [escape(label(evaluation, p), quote=False) for p in known]
    lines: list[Json] = [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": i - 0.5, "y1": i - 0.5,
         "line": {"width": 1, "color": "@grid"}, "layer": "below"}
        for i in ticks
    ]  # fmt: skip
    return figure(
        data,
        axis(kind, zeroline=True, zerolinecolor="@muted", nticks=10, tickangle=0),
        axis(
            "",
            tickvals=ticks,
            ticktext=names,
            showgrid=False,
            range=[len(known) - 0.5, -0.5],
        ),
        height=max(240, 90 + ROW * len(known)),
        shapes=lines,
        meta={"rows": len(known)},
    )


def heat_plot(
    evaluation: ProxyEvaluation, population: int, order: IntArray, columns: list[str], kind: str
) -> Figure:
    """Coefficients of every proxy with every target, on one population.

    Args:
        evaluation: what was found.
        population: its place.
        order: places of the proxies, best first.
        columns: names of the targets on the axis.
        kind: the coefficient's name.
    """
    rows = [int(p) for p in order]
    values = evaluation.value[population][rows]
    names = [escape(evaluation.proxies[p].name, quote=False) for p in rows]
    marks = [evaluation.proxies[p].source == "baseline" for p in rows]
    targets = [escape(c, quote=False) for c in columns]
    tips = [
        [
            f"<b>{name}</b> and <b>{escape(info.key, quote=False)}</b><br>{kind} "
            f"{signed(float(values[i, t]), 3)}"
            + _between(evaluation, population, rows[i], t)
            + f"<br>n = {evaluation.pairs[population, rows[i], t]:,}"
            for t, info in enumerate(evaluation.targets)
        ]
        for i, name in enumerate(names)
    ]
    trace: Figure = {
        "type": "heatmap",
        "z": values,
        "x": targets,
        "y": names,
        "zmin": -1,
        "zmax": 1,
        "colorscale": [[0, "@neg"], [0.5, "@mid"], [1, "@pos"]],
        "xgap": 1,
        "ygap": 1,
        "text": [[signed(float(v)).replace("0.", ".") for v in row] for row in values],
        "texttemplate": "%{text}",
        "textfont": {"size": 12 if len(targets) <= 20 else 11},
        "customdata": tips,
        "hovertemplate": "%{customdata}<extra></extra>",
        "showscale": False,
    }
    plain: Figure = {"showgrid": False, "ticks": ""}
    return figure(
        [trace],
        axis(
            "",
            type="category",
            tickvals=targets,
            ticktext=[t if len(t) <= 36 else f"{t[:35]}…" for t in columns],
            tickangle=-90 if len(targets) > 5 else 0,
            **plain,
        ),
        axis("", **names_axis(names, marks), **plain, autorange="reversed"),
        height=max(240, 110 + 26 * len(names) + 5 * max(map(len, columns), default=0)),
    )


def _between(evaluation: ProxyEvaluation, k: int, p: int, t: int) -> str:
    low, high = float(evaluation.low[k, p, t]), float(evaluation.high[k, p, t])
    return f", from {signed(low, 3)} to {signed(high, 3)}" if np.isfinite(low) else ""
