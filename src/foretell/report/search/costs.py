"""Accuracy against what a network costs by closed form."""

from foretell.report._base import Chart, Grid, Section
from foretell.report.html.format import many
from foretell.report.search import plots, tables
from foretell.report.search.data import RunData

__all__ = ["costs"]


def costs(run: RunData) -> Section:
    """Accuracy against parameters and against multiply-adds."""
    limits = ", ".join(c.text for c in run.constraints)
    lead = (
        "What a smaller network would cost in accuracy. The line joins the networks that no other "
        "beats, the star is the winner"
    )
    lead += f". All networks keep the limit {limits}." if limits else "; no limit was set."
    charts = (
        _chart(run, "params", "parameters", "No trained network has a known number of parameters."),
        _chart(run, "flops", "multiply-adds", "No trained network has known multiply-adds."),
    )
    return Section(
        "pareto",
        "Accuracy against cost",
        lead,
        (Grid(charts, "two"),),
        link="Accuracy and cost",
    )


def _chart(run: RunData, cost: tables.Cost, name: str, empty: str) -> Chart:
    info = tables.pareto_info(run, cost)
    front = int(info.front.sum())
    text = (
        f"{front:,} of {many(len(info.trials), 'network')} {'is' if front == 1 else 'are'} beaten "
        f"by no other in both accuracy and {name}."
    )
    return Chart(
        f"pareto-{cost}",
        f"Accuracy and {name}",
        text if info.trials else "",
        plots.pareto_plot(info) if info.trials else None,
        empty,
    )
