"""Accuracy against what a network costs by closed form."""

from foretell.report._base import Chart, Grid, Section
from foretell.report.html.format import inline, many
from foretell.report.search import plots, tables
from foretell.report.search.data import RunData

__all__ = ["costs"]


def costs(run: RunData) -> Section | tuple[Section, ...]:
    """Accuracy against parameters and against multiply-adds."""
    if run.task is None and not any(tables.pareto_info(run, c).trials for c in ("params", "flops")):
        return ()
    limits = ", ".join(tables.limit_text(run, c) for c in run.constraints)
    lead = (
        f"What a smaller network would cost in {_name(run)}. The line joins the networks that no "
        "other beats, the star is the winner"
    )
    outside = tables.hero_info(run).infeasible
    if outside:
        lead += f". {many(outside, 'network')} outside the limits {limits} "
        lead += f"{'is' if outside == 1 else 'are'} left out."
    else:
        lead += f". All networks keep the limit {limits}." if limits else "; no limit was set."
    name = _name(run)
    title = name[:1].upper() + name[1:]
    charts = (
        _chart(run, "params", "parameters", "No trained network has a known number of parameters."),
        _chart(run, "flops", "multiply-adds", "No trained network has known multiply-adds."),
    )
    return Section(
        "pareto",
        f"{title} against cost",
        lead,
        (Grid(charts, "two"),),
        link=f"{title} and cost",
    )


def _name(run: RunData) -> str:
    """The objective inside a sentence."""
    objective = tables.main_objective(run)
    return "accuracy" if objective.name == "accuracy" else inline(objective.label)


def _chart(run: RunData, cost: tables.Cost, name: str, empty: str) -> Chart:
    info = tables.pareto_info(run, cost)
    front = int(info.front.sum())
    text = (
        f"{front:,} of {many(len(info.trials), 'network')} {'is' if front == 1 else 'are'} beaten "
        f"by no other in both {_name(run)} and {name}."
    )
    return Chart(
        f"pareto-{cost}",
        f"{_name(run)[:1].upper()}{_name(run)[1:]} and {name}",
        text if info.trials else "",
        plots.pareto_plot(info) if info.trials else None,
        empty,
    )
