"""What `foretell benchmark list` and `info` say, and how."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foretell.benchmarks import Benchmark
    from foretell.types import Json

__all__ = ["cell", "contents_of", "known_of", "lay_out"]


def known_of(name: str) -> "dict[str, Json]":
    """What can be said of a benchmark without opening it."""
    from dataclasses import asdict

    from foretell.benchmarks import benchmarks, how_to_get, table_path

    path = table_path(name)
    if name not in benchmarks:
        return {"name": name, "here": True, "architectures": None, "space": "", "summary": "",
                "reference": "", "get": "", "links": [], "file": str(path)}  # fmt: skip
    entry = benchmarks.entry(name)
    here = path.is_file() or "space" not in entry.facts
    return {
        "name": name,
        "here": here,
        "architectures": entry.facts.get("architectures"),
        "space": entry.facts.get("space", ""),
        "summary": entry.summary,
        "reference": entry.reference,
        "get": "" if here else how_to_get(name),
        "links": [asdict(link) for link in entry.facts.get("links", ())],
        "file": str(path) if path.is_file() else "",
    }


def contents_of(opened: "Benchmark") -> "dict[str, Json]":
    """What an opened table holds; reading all of it verifies its check sums."""
    import numpy as np

    metrics = []
    for key, facts in opened.metrics.items():
        values = opened.query(None, key, missing="nan")
        known = values[~np.isnan(values)]
        metrics.append(
            {
                "metric": key,
                "unit": facts.unit,
                "kind": facts.kind,
                "seeds": len(facts.seeds),
                "epochs": facts.epochs[-1],
                "measured": len(known),
                "min": float(known.min()) if len(known) else None,
                "max": float(known.max()) if len(known) else None,
            }
        )
    return {
        "name": opened.name,
        "space": opened.space,
        "architectures": len(opened.texts),
        "facts": dict(opened.facts),
        "metrics": metrics,
    }


def lay_out(columns: "Sequence[str]", rows: "Sequence[Sequence[object]]") -> None:
    """Print columns side by side; only metrics and summaries may be broken."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column not in ("metric", "summary"))
    for row in rows:
        table.add_row(*map(cell, row))
    Console().print(table)


def cell(value: object) -> str:
    """A value as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "-"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e10 else f"{value:.4g}"
    return str(value)
