"""What the proxies knew, beside the free baselines."""

import math

import numpy as np

from foretell.report._base import Block, Cell, Chart, Column, Folded, Grid, Pairs, Section, Table
from foretell.report.html.format import signed
from foretell.report.search import plots, tables
from foretell.report.search.data import RunData
from foretell.studies.search.cautions import LEAST

__all__ = ["proxies"]

_NOTHING = "No proxy was scored in this run."


def proxies(run: RunData) -> Section | tuple[Section, ...]:
    """Agreement of every proxy with trained accuracy, and among proxies."""
    info = tables.correlation_info(run)
    if run.task is None and not info.names:
        return ()
    batch = f" on {run.proxy_batch}" if run.proxy_batch else ""
    lead = (
        f"A proxy scores a network without training it{batch}. It earns its time only if it "
        "beats the free baselines: params, live_params (without dead operations) and "
        "sum_log_params (sum over layers of the log of their size)."
    )
    if info.names and info.absent:
        lead += f" Not scored in this run: {', '.join(info.absent)}."
    blocks: list[Block] = [Grid((_order(info), _numbers(info)), "two"), _heat(run, info)]
    if info.names:
        blocks.append(Folded("The heat map as a table", (_matrix(info),)))
    return Section("proxies", "What the proxies knew", lead, tuple(blocks), link="Proxies")


def _order(info: tables.CorrelationInfo) -> Chart:
    title, known = "Agreement with trained accuracy", np.isfinite(info.accuracy).any()
    if not known:
        few = "At least two trained networks with a score are needed to compare an order."
        return Chart("tau", title, empty=few if info.names else _NOTHING)
    if info.accuracy_n.max() < LEAST:
        few = (
            f"Kendall's tau-b over {info.accuracy_n.max():,} trained networks says nothing: "
            f"{LEAST} or more are needed."
        )
        return Chart("tau", title, empty=few)
    text = (
        f"Kendall's tau-b over n = {info.accuracy_n.max():,} trained networks (chosen by the "
        f"search, seed {info.seed}). Best: {info.names[0]} with "
        f"{signed(float(info.accuracy[0]))}. Inside the grey band (±{info.noise:.2f}) it may be "
        f"chance."
    )
    return Chart("tau", title, text, plots.correlation_plot(info))


def _numbers(info: tables.CorrelationInfo) -> Block:
    if not info.names:
        return Pairs((), title="In numbers", empty=_NOTHING)
    columns = (
        Column("Proxy", header=True), Column("Tau-b", "n"), Column("n", "n"),
        Column("Scored", "n"), Column("NaN", "n"), Column(""),
    )  # fmt: skip
    rows = tuple(
        (
            name,
            signed(float(info.accuracy[i]) if info.accuracy_n[i] >= LEAST else math.nan, 3),
            f"{info.accuracy_n[i]:,}",
            f"{info.pool - info.missing[i]:,}",
            f"{info.missing[i]:,}",
            Cell("", tag="baseline") if info.baseline[i] else "",
        )
        for i, name in enumerate(info.names)
    )
    return Table("Table of proxies", columns, rows, title="In numbers", note=_missing(info))


def _missing(info: tables.CorrelationInfo) -> str:
    missing = [(int(n), name) for name, n in zip(info.names, info.missing, strict=True) if n]
    if not missing:
        return f"Every proxy scored all {info.pool:,} networks of the pool: no NaN."
    worst = sorted(missing, key=lambda pair: (-pair[0], pair[1]))
    counts = ", ".join(f"{name} {n:,}" for n, name in worst)
    return f"Without a score (NaN) of {info.pool:,} networks: {counts}. They are left out pairwise."


def _heat(run: RunData, info: tables.CorrelationInfo) -> Chart:
    title = "Agreement among proxies"
    if len(info.names) < 2:
        empty = "One proxy alone has nothing to be compared with." if info.names else _NOTHING
        return Chart("heat", title, empty=empty)
    text = (
        f"Kendall's tau-b over the pool: n = {info.pool:,} networks, {info.population}, seed "
        f"{info.seed}{', ' + run.proxy_batch if run.proxy_batch else ''}. ◆ marks free baselines, "
        "blue agrees, orange contradicts."
    )
    drawn = plots.heat_map(info) if np.isfinite(info.matrix).any() else None
    alone = "One proxy alone has nothing to be compared with."
    return Chart("heat", title, text, drawn, alone)


def _matrix(info: tables.CorrelationInfo) -> Table:
    columns = (Column("", header=True), *(Column(name, "n") for name in info.names))
    rows = tuple(
        (name, *(signed(float(v), 3) for v in info.matrix[i])) for i, name in enumerate(info.names)
    )
    return Table("Kendall's tau-b among proxies", columns, rows, tight=False)
