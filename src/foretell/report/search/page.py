"""The page of a search: what stands above, and its sections in their order."""

import math
from pathlib import Path

from foretell.report._base import Head, Hero, Note, Page, Step, Tile
from foretell.report.html import document
from foretell.report.html.format import (
    DASH,
    amount,
    duration,
    inline,
    many,
    percent,
    quantity,
    size,
)
from foretell.report.search import tables
from foretell.report.search.costs import costs
from foretell.report.search.data import RunData
from foretell.report.search.front import columns_of, front
from foretell.report.search.progress import prediction, progress
from foretell.report.search.proxies import proxies
from foretell.report.search.reproduce import reproduce
from foretell.report.search.robustness import robustness
from foretell.report.search.trials import failures, trials
from foretell.report.search.winner import baselines, winner
from foretell.types import Json

__all__ = ["PAGE", "figures", "render", "write"]


def head(run: RunData) -> Head:
    """Title, facts, the first screen and what a reader must know."""
    started = run.started.replace("T", " ").removesuffix("+00:00")
    facts = (
        f"space {run.space}",
        f"searcher {run.searcher}" if run.searcher else "",
        f"seed {run.seed}",
        run.device,
        f"{started} UTC" if run.started.endswith("+00:00") else started,
    )
    return Head(
        title=run.title,
        facts=" · ".join(filter(None, facts)),
        hero=_hero(run),
        steps=tuple(Step(r.label, r.count, r.lost) for r in tables.funnel_info(run)),
        notes=_notes(run),
        version=run.versions.get("foretell", ""),
    )


def _hero(run: RunData) -> Hero:
    info, found = tables.hero_info(run), run.winner
    if run.task is None:
        return _own_hero(run, info)
    known = math.isfinite(info.test_accuracy)
    if found is None:
        why = tables.why_no_winner(run) if run.trials else "no network was trained to the end"
        spread = f"{why[:1].upper()}{why[1:]}."
    elif not known:
        spread = "The winner was not tested."
    else:
        spread = (
            f"on {run.task.test:,} test images that the search never saw; 95 % interval "
            f"{100 * info.low:.1f} to {100 * info.high:.1f} %"
        )
    if found is not None and (won := tables.won_sentence(run)):
        spread = f"{spread.rstrip('.')}. Trained as in the search it won {won}."
    return Hero(
        what="Test accuracy of the winner" if found else "No winner",
        number=f"{100 * info.test_accuracy:.2f}" if known else DASH,
        unit="%" if known else "",
        range=spread,
        tiles=(*_costs(run), *_work(run, info)),
    )


def _own_hero(run: RunData, info: tables.HeroInfo) -> Hero:
    """The first screen where a user evaluates: the best value in place of a test accuracy."""
    objective, found = tables.main_objective(run), run.winner
    trial = next((t for t in run.trials if found and t.number == found.number), None)
    value = tables.value_of(trial, objective.name) if trial else math.nan
    number, _, unit = quantity(value, objective.unit).partition(" ")
    label = inline(objective.label)
    return Hero(
        what="No winner"
        if not found
        else f"{objective.label} of the winner"
        if len(run.objectives) > 1
        else f"Best {label}",
        number=number,
        unit=unit,
        range=f"as it was measured in trial {trial.number:,}"
        if trial
        else "No trial ended well and kept every limit.",
        tiles=(*_costs(run), *_work(run, info)),
    )


def _costs(run: RunData) -> list[Tile]:
    tiles = []
    for name, label, show in (
        ("params", "Parameters", amount),
        ("flops", "Multiply-adds", amount),
        ("memory", "Peak activations", size),
    ):
        value = float(getattr(run.winner, name)) if run.winner else math.nan
        limits = [c.max for c in run.constraints if c.name == name and c.max is not None]
        detail = "for one image" if name != "params" else "no limit was set"
        share = None
        if limits and math.isfinite(value) and min(limits) > 0:
            share = value / min(limits)
            detail = f"{100 * share:.0f} % of the limit {show(min(limits))}"
        if run.task is not None or math.isfinite(value):
            tiles.append(Tile(label, show(value), detail, share))
    trial = next((t for t in run.trials if run.winner and t.number == run.winner.number), None)
    for objective in columns_of(run):
        shown = tables.value_of(trial, objective.name) if trial else math.nan
        note = "" if objective.reproducible else ", on this machine"
        tiles.append(Tile(objective.label, quantity(shown, objective.unit), f"in the search{note}"))
    return tiles


def _work(run: RunData, info: tables.HeroInfo) -> list[Tile]:
    validation = run.winner.val_accuracy if run.winner else math.nan
    of = f" of {info.budget:,}" if info.budget is not None else ""
    trained = [f"{info.failed:,} failed"] if info.failed else []
    trained += [f"{info.infeasible:,} outside the limits"] if info.infeasible else []
    trained += [f"{info.pruned:,} ended early"] if info.pruned else []
    trained += [f"{info.reused:,} reused"] if info.reused else []
    saved = run.resumed.seconds if run.resumed else math.nan
    if math.isfinite(saved) and saved > 0:
        before = f"{duration(saved)} were done before"
        time = Tile("Time of this call", duration(info.seconds), before)
    else:
        time = Tile("Time", duration(info.seconds), run.device or "all stages")
    ended = info.trained + info.failed + info.infeasible + info.pruned
    own = (
        [
            Tile(
                "Validation accuracy",
                percent(validation),
                f"on {run.task.val:,} images" if run.winner else "",
            )
        ]
        if run.task
        else []
    )
    return [
        *own,
        Tile(
            "Networks trained" if run.task else "Trials",
            f"{info.trained:,}{of}",
            ", ".join(trained) or "none failed",
            None if not info.budget else ended / info.budget,
        ),
        time,
    ]


def _notes(run: RunData) -> tuple[Note, ...]:
    notes = []
    if run.resumed is not None:
        saved = run.resumed.seconds
        text = (
            f"This call resumed an earlier one: it reused {many(run.resumed.trials, 'trial')} and "
            f"{many(run.resumed.scores, 'score')}"
        )
        text += f", which saved {duration(saved)}." if math.isfinite(saved) else "."
        notes.append(Note(text, "note"))
    if run.state == "running":
        notes.append(Note("The search is still running: this is what it has found so far.", "warn"))
    elif run.state == "stopped":
        notes.append(Note("The search was stopped before its end; it can be resumed.", "warn"))
    return (*notes, *(Note(n, "warn") for n in run.notes))


PAGE: Page[RunData] = Page(
    head,
    (
        winner,
        baselines,
        front,
        progress,
        prediction,
        costs,
        proxies,
        robustness,
        failures,
        trials,
        reproduce,
    ),
    "Accuracy is a share of images, flops are multiply-adds, tau-b is Kendall's, eps is in units "
    "of 1/255.",
)
"""What stands on the page, in its order."""


def figures(run: RunData) -> dict[str, Json]:
    """Every chart that the run has data for, by the id of its place on the page."""
    return document.figures(PAGE, run)


def render(run: RunData) -> str:
    """The report of a run.

    Args:
        run: what happened.

    Returns:
        A complete HTML document. It holds plotly.js and its data, and its content security policy
        forbids every request.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    return document.render(PAGE, run)


def write(run: RunData, path: Path | str) -> Path:
    """Render a run into a file that is either the old or the new one, never a part.

    Args:
        run: what happened.
        path: the file, such as ``report.html``; its folder must exist.

    Returns:
        The path.

    Raises:
        MissingExtraError: plotly is not installed.
        RunFolderError: the file cannot be written.
    """
    return document.save(render(run), path)
