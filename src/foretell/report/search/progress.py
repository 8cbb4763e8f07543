"""How the search went, and whether what it expected came true."""

import math

from foretell.report._base import Chart, Grid, Pair, Pairs, Section
from foretell.report.html.format import duration, inline, many, quantity, signed
from foretell.report.search import plots, tables
from foretell.report.search.data import RunData
from foretell.studies.search.cautions import LEAST

__all__ = ["prediction", "progress"]


def progress(run: RunData) -> Section:
    """Best so far, by trials and by seconds."""
    info, hero = tables.progress_info(run), tables.hero_info(run)
    lead = f"{many(hero.trained, 'network')} {'was' if hero.trained == 1 else 'were'} {info.verb}"
    lead += f", {hero.failed:,} failed." if hero.failed else "."
    lead += f" {many(hero.infeasible, 'trial')} broke a limit." if hero.infeasible else ""
    lead += f" {many(hero.pruned, 'trial')} ended early." if hero.pruned else ""
    lead += (
        " The accuracy on the validation images is what the search compares; the best of many is a "
        "little lucky, which is why the winner is tested on other images."
        if run.task is not None
        else ""
    )
    trials = seconds = ""
    training = " after the search's short training" if run.task is not None else ""
    if info.winner is not None:
        best = info.trials[info.winner]
        trials = (
            f"{'The winner' if run.winner else 'The best'} is trial {best.number:,}, with "
            f"{quantity(tables.value_of(best, info.objective.name), info.objective.unit)}"
            f"{training}."
        )
        when, end = duration(float(info.seconds[info.winner])), duration(float(info.seconds[-1]))
        seconds = f"The winner was there after {when} of {end}."
    elif info.trials:
        kept = hero.infeasible and not hero.failed
        trials = "No trial kept every limit." if kept else "No trial ended well."
        seconds = f"The trials took {duration(float(info.seconds[-1]))} in all."
    if len(info.trials) == 1:
        trials += " With one trial there is no progress to see."
    empty = "Nothing was trained."
    label = inline(info.objective.label)
    what = f" {label}" if len(run.objectives) > 1 else ""
    drawn = [plots.progress_plot(info, by) if info.trials else None for by in ("trials", "seconds")]
    charts = (
        Chart("progress-trials", f"Best{what} so far, by trials", trials, drawn[0], empty),
        Chart("progress-seconds", f"Best{what} so far, by time", seconds, drawn[1], empty),
    )
    return Section("search", "How the search went", lead, (Grid(charts, "two"),), link="Search")


def prediction(run: RunData) -> Section | tuple[Section, ...]:
    """Predicted against trained accuracy."""
    info = tables.prediction_info(run)
    if run.task is None and not info.n:
        return ()
    lead = "Before a network is trained, the search predicts how good it will be."
    text, numbers = "", None
    if 2 <= info.n < LEAST:
        text = (
            f"With n = {info.n} networks Kendall's tau-b says nothing: {LEAST} or more are needed."
        )
    elif info.n >= LEAST and math.isfinite(info.tau):
        text = (
            f"Kendall's tau-b {signed(info.tau)}, n = {info.n} trained networks, seed {run.seed}."
        )
        if info.scale:
            text += " On the dotted line both are equal."
        numbers = _numbers(info)
        lead += (
            " These networks were picked because they were promising, so the order among them is "
            "harder to foretell than the order of networks drawn at random."
        )
        if len(run.objectives) > 1:
            lead += (
                " With several objectives it predicts one number of all of them, so the agreement "
                "with one is less."
            )
    elif info.n == 1:
        text = "With one network there is no order to compare."
    elif info.n:
        text = (
            f"One side is the same for all n = {info.n} networks, so there is no order to compare."
        )
    if info.without:
        verb = "is" if info.without == 1 else "are"
        text += f" {many(info.without, 'network')} had no prediction and {verb} left out."
    chart = Chart(
        "predicted-trained",
        "Predicted against trained accuracy"
        if info.objective.name == "accuracy"
        else f"Predicted against measured {inline(info.objective.label)}",
        text.strip(),
        plots.prediction_plot(info, tables.star_number(run)) if info.n else None,
        "The searcher made no prediction for any trained network."
        if run.trials
        else "Nothing was trained.",
    )
    blocks = (chart,) if numbers is None else (chart, numbers)
    return Section(
        "prediction",
        "Did the prediction hold?",
        lead,
        (Grid(blocks, "wide-narrow"),),
        link="Prediction",
    )


def _numbers(info: tables.PredictionInfo) -> Pairs:
    return Pairs(
        (
            Pair("Kendall's tau-b", signed(info.tau, 3), "n"),
            Pair("Spearman's rho", signed(info.rho, 3), "n"),
            Pair("trained networks", f"{info.n:,}", "n"),
            Pair("chance level", f"±{info.noise:.2f}", "n"),
        ),
        title="In numbers",
        note="A random order of as many networks stays within the chance level in 95 % of cases, "
        "so only a tau-b beyond it says that the prediction knew something.",
    )
