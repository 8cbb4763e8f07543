"""The winner: its drawing, its costs, its files, its curves, and what it won over others."""

import math

from markupsafe import Markup

from foretell.report._base import (
    Card,
    Cell,
    Chart,
    Column,
    Drawing,
    Files,
    Grid,
    Line,
    Note,
    Pair,
    Pairs,
    Section,
    Table,
)
from foretell.report.html.format import DASH, amount, duration, inline, many, quantity, size
from foretell.report.html.layout import place
from foretell.report.html.svg import graph_svg
from foretell.report.search import plots, tables
from foretell.report.search.data import BaselineRow, ObjectiveRow, RunData, Winner, WonRow
from foretell.report.search.front import columns_of

__all__ = ["baselines", "winner"]


def winner(run: RunData) -> Section:
    """The network that the run recommends."""
    if run.winner is None:
        why = tables.why_no_winner(run)
        gap = Note(f"There is no winner, because {why}.", "empty")
        return Section("winner", "The winner", blocks=(gap,), link="Winner")
    drawing = _drawing(run.winner)
    # a user's own evaluation has no epochs
    known = run.task is not None or tables.curve_info(run).epochs
    curves = (Grid((_curves(run), _loss(run)), "two"),) if known else ()
    what = Pairs(_facts(run, run.winner), title="What it is")
    files = Files(
        "Files beside this report" if run.winner.files else "",
        run.winner.files,
        run.winner.not_exported,
    )
    return Section(
        "winner",
        "The winner",
        _lead(run, run.winner),
        (
            Grid((drawing, Card((what, files))), "side"),
            *curves,
        ),
        link="Winner",
    )


def _facts(run: RunData, found: Winner) -> tuple[Pair, ...]:
    pairs = [Pair("Architecture", found.arch, "arch")]
    if found.number is not None:
        pairs.append(Pair("Found in trial", str(found.number)))
    trial = next((t for t in run.trials if t.number == found.number), None)
    if trial is not None:
        main = tables.main_objective(run)
        if run.task is None:
            pairs.append(Pair(main.label, quantity(tables.value_of(trial, main.name), main.unit)))
        pairs += [
            Pair(o.label, quantity(tables.value_of(trial, o.name), o.unit)) for o in columns_of(run)
        ]
    costs = [
        Pair("Parameters", _exact(found.params)),
        Pair("Multiply-adds", _exact(found.flops)),
        Pair("Peak activations", size(found.memory)),
        Pair("Final training", duration(found.seconds)),
    ]
    pairs += [p for p in costs if run.task is not None or p.value != DASH]
    return (*pairs, *(Pair("Limit", tables.limit_text(run, c), "arch") for c in run.constraints))


def _exact(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else DASH


def _lead(run: RunData, found: Winner) -> str:
    trained = tables.hero_info(run).trained
    objective = tables.main_objective(run)
    name = inline(objective.label)
    if run.task is None:
        chosen, end = many(trained, "trial"), "."
    else:
        chosen, end = many(trained, "trained network"), ", then trained once more in full."
    how = f"by {name}"
    if len(run.objectives) > 1 and run.preferred:
        by = next((o.label for o in run.objectives if o.name == run.preferred), run.preferred)
        by = inline(by)
        how = "as the knee of the front" if run.preferred == "knee" else f"from the front by {by}"
    text = f"Chosen from {chosen} {how}{end}"
    dead = place(found.graph).dead if found.graph is not None else 0
    if dead:
        text += (
            f" {many(dead, 'operation')} of it {'has' if dead == 1 else 'have'} no effect on the "
            f"output."
        )
    return text


def _drawing(found: Winner) -> Drawing:
    label, empty = "Drawing of the network", "This space has no graph to draw."
    if found.graph is None:
        return Drawing(found.graph_title, None, label, empty=empty)
    placed = place(found.graph)
    return Drawing(
        found.graph_title,
        Markup(graph_svg(found.graph, found.graph_title)),
        label,
        skips=any(n.kind == "skip" and n.live for n in placed.nodes),
        dead=placed.dead > 0,
    )


def _curves(run: RunData) -> Chart:
    info = tables.curve_info(run)
    faint = f"{many(len(info.trials), 'short training')} of the search" if info.trials else ""
    strong = "the winner's final one" if info.winner else ""
    text = "Validation accuracy by epoch: " + " and ".join(p for p in (faint, strong) if p) + "."
    return Chart(
        "curves",
        "Learning curves",
        text if info.epochs else "",
        plots.curves_plot(info) if info.epochs else None,
        "No learning curve was recorded.",
    )


def _loss(run: RunData) -> Chart:
    found = tables.curve_info(run).winner
    known = found is not None and (len(found.train_loss) or len(found.val_loss))
    return Chart(
        "loss",
        "Loss of the winner",
        "Training and validation loss in the final training." if found is not None else "",
        plots.loss_plot(found) if found is not None and known else None,
        "No loss was recorded for the winner.",
    )


_ROLES = {"winner": "winner again", "random": "random", "biggest": "biggest"}


def baselines(run: RunData) -> Section | tuple[Section, ...]:
    """What the search won over random networks and over the biggest."""
    if run.baselines is None or run.winner is None:
        return ()
    objective = tables.main_objective(run)
    lead = (
        f"Each was trained by the short recipe of the trials from random numbers that no trial "
        f"used, and {inline(objective.label)} measured as in a trial."
    )
    if objective.name == "accuracy":
        lead += (
            " The winner was chosen on the same validation images, so what it won may be a little "
            "too high."
        )
    notes = tuple(Note(_gain(won, objective.unit), "note") for won in run.baselines.won)
    rows = run.baselines.rows
    table = Table(
        "Networks that the winner was compared with",
        (
            Column("Network"), Column(objective.label, "n"), Column("Params", "n"),
            Column("Multiply-adds", "n"), Column("Architecture", "arch"),
        ),
        tuple(_baseline(row, objective) for row in rows),
        starred=frozenset(i for i, row in enumerate(rows) if row.role == "winner"),
        tight=False,
    )  # fmt: skip
    return Section("won", "What the search won", lead, (*notes, table), link="Won")


def _gain(won: WonRow, unit: str) -> str:
    if not math.isfinite(won.mean):
        return won.text
    return f"Won {tables.won_text(won, unit)} {tables.over_text(won)}. {won.text}"


def _baseline(row: BaselineRow, objective: ObjectiveRow) -> Line:
    shown: Cell | str = quantity(row.value, objective.unit)
    if shown == DASH:
        shown = Cell(row.state.replace("_", " "), bad=row.state != "infeasible")
    return (
        _ROLES[row.role],
        shown,
        amount(row.params),
        amount(row.flops),
        Cell(row.arch, below=(row.message,) if row.message else ()),
    )
