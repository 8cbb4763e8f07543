"""The report of a build of the embedded benchmark: how far it is, and what was trained so far."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from foretell import __version__
from foretell.metrics import kendall
from foretell.report._base import (
    Cell,
    Chart,
    Code,
    Column,
    Head,
    Hero,
    Line,
    Note,
    Page,
    Pair,
    Pairs,
    Section,
    Table,
    Tile,
)
from foretell.report.html import document
from foretell.report.html.charts import Figure, axis, figure, scatter
from foretell.report.html.format import DASH, duration, percent, plain, signed
from foretell.studies.build_benchmark.result import BenchmarkBuild
from foretell.types import Array

__all__ = ["PAGE", "write"]

_ROWS = 20


def head(build: BenchmarkBuild) -> Head:
    """Title, facts and the first screen."""
    runs = build.tables()["runs"]
    config = build.config
    best = _values(runs["val_accuracy"])
    spent = _values(runs["seconds"])
    failed = sum(bool(f) for f in runs["failure"])
    twice = _two_seeds(build)
    agreement = float(kendall(twice[:, 0], twice[:, 1])) if len(twice) > 1 else math.nan
    facts = (
        f"{config.cells:,} cells of NAS-Bench-201",
        f"{config.epochs} epochs on {config.data}",
        f"seed {config.seed}",
    )
    waiting = len(build.runs) - len(build.records)
    note = Note(f"{waiting:,} runs are not finished: foretell resume goes on with them.", "note")
    return Head(
        title=f"Build of {config.benchmark}",
        facts=" · ".join(facts),
        hero=Hero(
            what="Finished runs",
            number=f"{len(build.records):,}",
            range=f"of {len(build.runs):,}",
            tiles=(
                Tile("Best validation", percent(_most(best)), "accuracy after the last epoch"),
                Tile(
                    "Between two seeds",
                    signed(agreement, 3),
                    f"Kendall's tau-b of validation accuracies, {len(twice):,} cells",
                ),
                Tile(
                    "A run takes",
                    duration(float(np.nanmedian(spent))) if np.isfinite(spent).any() else DASH,
                    "CPU time, median, without attacks and proxies",
                ),
                Tile("Diverged", f"{failed:,}", "counted, and kept up to there"),
            ),
        ),
        notes=(note,) if waiting else (),
        version=__version__,
    )


def accuracies(build: BenchmarkBuild) -> Section:
    """Clean accuracy against the accuracy under attack."""
    runs = build.tables()["runs"]
    attacks = [name for name in runs if name.endswith("_accuracy") and "_eps" in name]
    charts = []
    for name in attacks[:1]:
        x, y = _values(runs["test_accuracy"]), _values(runs[name])
        known = np.isfinite(x) & np.isfinite(y)
        words = name.removesuffix("_accuracy").replace("_eps", ", eps ")
        charts.append(
            Chart(
                "attacked",
                f"Accuracy and accuracy under {words}",
                "A point is a run; eps is in units of 1/255.",
                _points(x[known], y[known], [str(a) for a in runs["arch"]], words)
                if known.any()
                else None,
                "No run is finished.",
            )
        )
    return Section(
        "accuracies",
        "What was trained",
        f"On {build.config.attacked} attacked images of the test part, and on all of it.",
        tuple(charts),
        link="Accuracies",
    )


def best(build: BenchmarkBuild) -> Section:
    """The runs of highest validation accuracy, and those that diverged."""
    runs = build.tables()["runs"]
    values = _values(runs["val_accuracy"])
    order = np.argsort(-np.nan_to_num(values, nan=-1.0), kind="stable")[:_ROWS].tolist()
    rows: list[Line] = [
        (
            percent(float(values[i])),
            percent(float(_values(runs["test_accuracy"])[i])),
            str(runs["seed"][i]),
            duration(float(_values(runs["seconds"])[i])),
            str(runs["arch"][i]),
        )
        for i in order
    ]
    heads = [
        Column("Validation", "n"), Column("Test", "n"), Column("Seed", "n"),
        Column("CPU time", "n"), Column("Cell", "arch"),
    ]  # fmt: skip
    table = Table(
        "Runs by validation accuracy", tuple(heads), tuple(rows),
        title="Highest validation accuracy", note="All runs are in runs.csv.",
    )  # fmt: skip
    failed = [i for i, failure in enumerate(runs["failure"]) if failure]
    diverged = Table(
        "Runs that diverged",
        (Column("Cell", "arch"), Column("Seed", "n"), Column("Failure", "words")),
        tuple(
            (
                str(runs["arch"][i]),
                str(runs["seed"][i]),
                Cell(str(runs["failure"][i]), bad=True),
            )
            for i in failed
        ),
        title="Diverged",
    )
    return Section("runs", "Runs", "", (table, diverged) if failed else (table,) if rows else ())


def reproduce(build: BenchmarkBuild) -> Section:
    """What repeats the build."""
    shown = {k: v for k, v in build.config.to_json().items() if k not in ("file", "workers")}
    pairs = [Pair(k.replace("_", " "), plain(_joined(v))) for k, v in shown.items()]
    pairs.append(Pair("table", build.file or "written when every run is finished"))
    return Section(
        "reproduce",
        "Run it again",
        "Same numbers, seconds apart, for any number of workers and interruptions.",
        (Code(build.command), Pairs(tuple(pairs), title="Settings")),
        link="Reproduce",
    )


PAGE = Page(
    head,
    (accuracies, best, reproduce),
    "Accuracy is a share of images, eps is in units of 1/255, tau-b is Kendall's.",
)
"""What stands on the page, in its order."""


def write(result: BenchmarkBuild, path: Path | str) -> Path:
    """Write the page; see ``foretell.report.pages``."""
    return document.save(document.render(PAGE, result), path)


def _values(column: Sequence[object]) -> Array:
    return np.array(column, dtype=np.float64)


def _most(values: Array) -> float:
    return float(np.nanmax(values)) if np.isfinite(values).any() else math.nan


def _joined(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _two_seeds(build: BenchmarkBuild) -> Array:
    """Validation accuracies of the cells that were trained twice, (cells, 2)."""
    runs = build.tables()["runs"]
    by_cell: dict[object, list[float]] = {}
    values = _values(runs["val_accuracy"]).tolist()
    for arch, long, value in zip(runs["arch"], runs["long"], values, strict=True):
        if not long:
            by_cell.setdefault(arch, []).append(value)
    pairs = [v[:2] for v in by_cell.values() if len(v) > 1 and np.isfinite(v[:2]).all()]
    return np.array(pairs).reshape(-1, 2)


def _points(x: Array, y: Array, names: Sequence[str], attack: str) -> Figure:
    text = [
        f"{percent(float(a))}, under {escape(attack)} {percent(float(b))}<br>{escape(name)}"
        for a, b, name in zip(x, y, names, strict=False)
    ]
    return figure(
        [scatter(x, y, "runs", text=text, marker={"size": 7})],
        axis("Test accuracy", tickformat=".0%", nticks=7),
        axis("Under attack", tickformat=".0%", nticks=7),
    )
