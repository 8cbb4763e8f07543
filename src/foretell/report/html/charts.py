"""Charts as the plain JSON that plotly.js draws, in the house look.

A chart is made from a table and computes nothing but positions on paper. A colour is the name of
one in the style sheet, such as ``@accent``, and looked up by the page, so that one chart serves a
light and a dark page. Every text that comes from outside is escaped, since plotly reads some tags.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape, unescape

import numpy as np
from numpy.typing import NDArray

from foretell.types import Json

__all__ = [
    "DASHES",
    "SERIES",
    "SYMBOLS",
    "Figure",
    "Scale",
    "axis",
    "figure",
    "jsonable",
    "names_axis",
    "scale",
    "scatter",
    "wrap",
]

Figure = dict[str, Json]
"""A figure as plotly.js reads it: data and layout."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross")
"""Marker symbols of the series, in their order."""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
"""Line styles of the series, in their order."""
SERIES = ("@accent", "@warm", "@third", "@fourth", "@muted")
"""Colors of the series, in their order: names that the page's script resolves by theme."""


def jsonable(value: Json) -> Json:
    """The same with lists for arrays, None for what is not finite, and seven digits.

    >>> jsonable({"x": np.array([1.0, np.nan]), "y": (2, float("inf"))})
    {'x': [1.0, None], 'y': [2, None]}
    """
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if isinstance(value, np.generic):
        return jsonable(value.item())
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value


def wrap(text: str, width: int = 38) -> str:
    """A long text in lines, escaped, broken where an architecture's text has a joint."""
    pieces = re.findall(r"[^+,;:\s|]+[+,;:\s|]*|[+,;:\s|]+", text)
    lines = [""]
    for piece in pieces:
        while len(piece) > width:
            lines += [piece[:width], ""]
            piece = piece[width:]
        if len(lines[-1]) + len(piece) > width and lines[-1]:
            lines.append("")
        lines[-1] += piece
    return "<br>".join(escape(line, quote=False) for line in lines if line)


def names_axis(names: Sequence[str], marks: Sequence[bool] | None = None) -> Figure:
    """An axis of names: long ones are shortened on the axis, and whole where they are pointed at.

    Args:
        names: escaped, all different.
        marks: which of them get a diamond.
    """
    short = []
    for i, name in enumerate(names):
        text = unescape(name)
        text = text if len(text) <= 20 else f"{text[:19]}…"
        short.append(escape(text, quote=False) + (" ◆" if marks is not None and marks[i] else ""))
    return {"type": "category", "tickvals": list(names), "ticktext": short}


def axis(title: str, **settings: Json) -> Figure:
    """An axis in the house look; settings are plotly's."""
    return {
        "title": {"text": title, "standoff": 14},
        "automargin": True,
        "zeroline": False,
        "gridcolor": "@grid",
        "linecolor": "@line",
        "tickcolor": "@line",
        **settings,
    }


@dataclass(frozen=True)
class Scale:
    """How a quantity is drawn.

    Args:
        factor: by which its values are multiplied.
        suffix: the unit of the axis; empty where its ticks say it.
        ticks: settings of the axis.
    """

    factor: float = 1.0
    suffix: str = ""
    ticks: Figure = field(default_factory=dict)

    def title(self, label: str) -> str:
        """What stands at the axis, escaped."""
        text = f"{label} ({self.suffix})" if self.suffix else label
        return escape(text, quote=False)


_STEPS = {
    "s": ((60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "bytes": ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "bytes")),
}


def scale(values: Sequence[float] | NDArray[np.float64], unit: str) -> Scale:
    """The scale on which values of a unit are read at once.

    Args:
        values: what is drawn; NaN is passed over.
        unit: "fraction", "s", "bytes", "count", or any other text.

    >>> scale([0.0012, 0.0031], "s")
    Scale(factor=1000.0, suffix='ms', ticks={'nticks': 7})
    """
    if unit == "fraction":
        return Scale(ticks={"tickformat": ".1%", "nticks": 7})
    if unit == "count":
        return Scale(ticks={"tickformat": "~s", "nticks": 7})
    steps = _STEPS.get(unit)
    if steps is None:
        return Scale(suffix=unit, ticks={"nticks": 7})
    top = max((abs(float(v)) for v in values if math.isfinite(v)), default=0.0)
    size, name = next((step for step in steps if top >= step[0]), steps[-1])
    return Scale(float(f"{1 / size:.12g}"), name, {"nticks": 7})


def figure(data: Sequence[Figure], x: Figure, y: Figure, **layout: Json) -> Figure:
    """Traces and their two axes in the house look; layout is plotly's."""
    named = sum(bool(t.get("name")) and t.get("showlegend", True) for t in data)
    base: Figure = {
        "xaxis": x,
        "yaxis": y,
        "height": 380,
        "margin": {"l": 8, "r": 14, "t": 10, "b": 0},
        "showlegend": named > 1,
        "hovermode": "closest",
    }
    return {"data": list(data), "layout": {**base, **layout}}


def scatter(x: Json, y: Json, name: str, **settings: Json) -> Figure:
    """A trace of points; settings are plotly's."""
    base: Figure = {"type": "scatter", "x": x, "y": y, "name": name, "mode": "markers"}
    if "text" in settings:
        base["hovertemplate"] = "%{text}<extra></extra>"
    return {**base, **settings}
