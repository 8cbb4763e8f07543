"""The sections of a prediction."""

import math

import numpy as np
from markupsafe import Markup

from foretell import __version__
from foretell.metrics import bootstrap, coverage, mae, r2
from foretell.predictors.explain import Importance
from foretell.report._base import (
    Block,
    Card,
    Cell,
    Chart,
    Code,
    Column,
    Drawing,
    Folded,
    Grid,
    Head,
    Hero,
    Line,
    Note,
    Pair,
    Pairs,
    Section,
    Table,
    Tile,
)
from foretell.report.html.format import DASH, amount, duration, plain, signed
from foretell.report.html.layout import place
from foretell.report.html.svg import graph_svg
from foretell.report.predict import plots
from foretell.report.predict.terminal import REFITTED, edit_note
from foretell.report.predict.units import Unit, short, unit_of
from foretell.studies.predict.explain import Explained, Explanation
from foretell.studies.predict.study import Ranking
from foretell.types import IntArray

__all__ = ["Predicted", "best", "chosen", "head", "ranking", "reproduce", "trust", "why"]

Predicted = tuple[Ranking, Explanation]
"""What was predicted, and why."""

_ROWS = 50
"""Rows of the ranking on the page; all of them are in predictions.csv."""
_WIDE = 480
"""Pixels of a drawing that needs the whole width of the page."""
_MEANINGS = {
    "paths": "how many paths lead from input to output",
    "direct": "edges that lead straight from input to output",
    "fan_out": "how many operations read the input",
    "fan_in": "how many operations the output sums up",
    "joins": "operations and sums that take in more than one value",
    "edges": "edges of the contracted graph",
    "ops": "how many operations there are, in all and along paths",
    "weighted": "how many operations have weights, in all and along paths",
    "reach": "how far the operations along a path see",
    "halvings": "how often a path halves the resolution",
    "flops": "multiply-adds, in all and along paths",
    "params": "parameters, in all and along paths",
    "conv": "convolutions with a kernel above 1, in all, along paths, and where they stand",
    "pointwise": "convolutions with a kernel of 1, in all, along paths, and where they stand",
    "separable": "separable convolutions, in all, along paths, and where they stand",
    "pool": "poolings, in all, along paths, and where they stand",
    "attention": "attentions, in all, along paths, and where they stand",
    "linear": "dense layers, in all, along paths, and where they stand",
    "other": "other operations, in all, along paths, and where they stand",
}
"""Families inside ``graf``."""


def head(data: Predicted) -> Head:
    """Title, facts and the first screen."""
    ranking, explanation = data
    target = ranking.config.target or "values"
    facts = (
        f"learned from {ranking.measured:,} measured architectures",
        f"{len(ranking.archs):,} ranked",
        f"{ranking.predictor} on {ranking.encodings}",
        f"seed {ranking.config.seed}",
    )
    return Head(
        title=f"Prediction of {target} on {explanation.space.name}",
        facts=" · ".join(facts),
        hero=_hero(ranking, unit_of(ranking), target),
        notes=_notes(ranking, explanation),
        version=__version__,
    )


def _hero(ranking: Ranking, unit: Unit, target: str) -> Hero:
    learned = ranking.learned
    best = learned.values.max() if ranking.config.higher_is_better else learned.values.min()
    found = unit.between(float(ranking.low[0]), float(ranking.high[0]))
    tiles: list[Tile] = []

    def tile(name: str, value: str, detail: str) -> None:
        tiles.append(Tile(name, value, detail))

    tile("Kendall's tau, held out", signed(ranking.held_out.value, 3), _spread(ranking))
    tile(
        "Of parameters alone",
        signed(ranking.baseline.value, 3),
        "what needs no predictor; one that is not better is worth nothing"
        if math.isfinite(ranking.baseline.value)
        else "not known: there are none to count, or all have as many",
    )
    tile(
        "Best measured",
        unit.value(float(best)),
        f"of {ranking.measured:,} architectures that were trained",
    )
    tile(
        "Typical error",
        unit.size(float(mae(learned.mean, learned.values))),
        f"mean on held-out architectures; R2 {signed(float(r2(learned.mean, learned.values)))}",
    )
    if ranking.level:
        tile(
            f"{_level(ranking)} intervals",
            unit.size(float(np.median(ranking.high - ranking.low))),
            "wide, for half of the ranking or more",
        )
    return Hero(
        what=f"Best predicted {short(target, 30)}",
        number=unit.value(float(ranking.mean[0])),
        range=f"{_level(ranking)} interval {found}" if found else "without an interval",
        tiles=tuple(tiles),
    )


def _level(ranking: Ranking) -> str:
    return f"{100 * ranking.level:g} %"


def _spread(ranking: Ranking) -> str:
    rng = np.random.default_rng(ranking.config.seed)
    found = bootstrap(ranking.learned.mean, ranking.learned.values, rng, samples=500)
    if not math.isfinite(found.low):
        return "each measured one predicted without it"
    return f"95 % interval {signed(found.low)} to {signed(found.high)}"


def _notes(ranking: Ranking, explanation: Explanation) -> tuple[Note, ...]:
    notes = []
    own, base = ranking.held_out.value, ranking.baseline.value
    if not (math.isfinite(own) and own > abs(base if math.isfinite(base) else 0.0)):
        notes.append(
            "The predictor does not beat the number of parameters on held-out architectures: do "
            "not trust this ranking. More measured architectures, or proxies in the scores, may "
            "help."
        )
    if explanation.refitted:
        notes.append(REFITTED)
    notes += [f"Left out: {sentence}" for sentence in explanation.left_out]
    return tuple(Note(n, "warn") for n in notes)


def ranking(data: Predicted) -> Section:
    """The ranked architectures."""
    found, unit = data[0], unit_of(data[0])
    charts = (
        Chart(
            "best", "The best", "Beside the best that was measured.", plots.best_plot(found, unit)
        ),
        Chart("pool", "All of them", "From the best to the last.", plots.pool_plot(found, unit)),
    )
    return Section(
        "ranking",
        "The ranking",
        _ranking_text(found),
        (Grid(charts, "two"), _ranking_table(found, unit)),
        link="Ranking",
    )


def _ranking_text(found: Ranking) -> str:
    if not found.level:
        return "No intervals were asked for."
    if found.config.higher_is_better:
        overlap = int((found.high >= found.low[0]).sum()) - 1
    else:
        overlap = int((found.low <= found.high[0]).sum()) - 1
    return (
        f"Each line is the interval that holds {_level(found)} of such values, if the measured "
        "architectures are a random sample. "
    ) + (
        f"The intervals of {overlap:,} others reach that of the best: train several before you "
        "settle."
        if overlap
        else "No other interval reaches that of the best."
    )


def _ranking_table(found: Ranking, unit: Unit) -> Table:
    known = found.fitted.context
    rows = {arch: i for i, arch in enumerate(known.archs)}
    lines = []
    for i, arch in enumerate(found.archs[:_ROWS]):
        between = unit.between(float(found.low[i]), float(found.high[i])) or DASH
        line = [f"{i + 1:,}", unit.value(float(found.mean[i]))]
        line += [between] if found.level else []
        if known.costs is not None:
            line.append(amount(float(known.costs.params[rows[arch]])))
            line.append(amount(float(known.costs.flops[rows[arch]])))
        lines.append((*line, known.space.format(arch)))
    heads = ["Place", "Predicted", *([f"{_level(found)} interval"] if found.level else [])]
    heads += ["Params", "Multiply-adds"] if known.costs is not None else []
    hidden = max(0, len(found.archs) - _ROWS)
    return Table(
        "The ranking",
        (*(Column(h, "n") for h in heads), Column("Architecture", "arch")),
        tuple(lines),
        note=f"{hidden:,} more are in predictions.csv." if hidden else "",
        starred=frozenset({0}),
        fold=10,
        rest=f"The next {len(lines) - 10}",
    )


def trust(data: Predicted) -> Section:
    """Held-out predictions against what was measured, and what the intervals hold."""
    found, unit = data[0], unit_of(data[0])
    charts = [
        Chart(
            "measured",
            "Predicted against measured",
            "Held-out predictions; on the dotted line both are equal.",
            plots.measured_plot(found, unit),
        )
    ]
    calibration = plots.calibration_plot(found)
    if calibration is not None:
        charts.append(
            Chart(
                "calibration",
                "Does it know how unsure it is?",
                "How much the predictor's own uncertainty holds, level by level: below the dotted "
                "line it is too sure of itself, above it too careful. The intervals of this page "
                "are corrected for that.",
                calibration,
            )
        )
    numbers: list[Block] = [_trust_numbers(found, unit)]
    numbers += [_thirds(found, unit)] if found.level else []
    return Section(
        "trust",
        "Can it be trusted?",
        "Every measured architecture was predicted by a model that had not seen it. The order of "
        "those predictions is what the order of the ranking is worth, as far as the measured "
        "architectures are like the ranked ones.",
        (
            Grid(tuple(charts), "two" if len(charts) > 1 else ""),
            Grid(tuple(numbers), "two" if len(numbers) > 1 else ""),
        ),
    )


def _trust_numbers(found: Ranking, unit: Unit) -> Pairs:
    learned = found.learned
    pairs = {
        "Kendall's tau-b": signed(found.held_out.value, 3),
        "of parameters alone": signed(found.baseline.value, 3),
        "R2": signed(float(r2(learned.mean, learned.values)), 3),
        "mean error": unit.size(float(mae(learned.mean, learned.values))),
        "measured architectures": f"{found.measured:,}",
    }
    return Pairs(
        tuple(Pair(k, v, "n") for k, v in pairs.items()),
        title="In numbers",
        note="Parameters alone are the baseline that costs nothing: a predictor has to beat them.",
    )


def _thirds(found: Ranking, unit: Unit) -> Table:
    order = np.argsort(found.learned.mean, kind="stable")
    names = ("lowest third", "middle third", "highest third")
    parts = zip(names, np.array_split(order, 3), strict=True)
    return Table(
        "Intervals by predicted value",
        (
            Column("Predicted", "key", header=True), Column("n", "n"), Column("Inside", "n"),
            Column("Median width", "n"),
        ),
        tuple(_third(name, rows, found, unit) for name, rows in parts if len(rows)),
        title=f"What the {_level(found)} intervals hold",
        text=f"Together they hold {_level(found)} by construction; a part of them may hold less.",
    )  # fmt: skip


def _third(name: str, rows: IntArray, ranking: Ranking, unit: Unit) -> tuple[str, ...]:
    learned = ranking.learned
    low, high, truth = learned.low[rows], learned.high[rows], learned.values[rows]
    finite = np.isfinite(low) & np.isfinite(high)
    wide = float(np.median((high - low)[finite])) if finite.any() else math.nan
    inside = f"{float(coverage(low, high, truth)):.0%}"
    return (name, f"{len(rows):,}", inside, unit.size(wide))


def best(data: Predicted) -> Section:
    """The best ones, what their predictions rest on, and what would change them."""
    several = len(data[1].explained) > 1
    blocks: list[Block] = []
    for i, found in enumerate(data[1].explained):
        blocks += _explained(data, found, i, several)
    return Section(
        "best-ones",
        "The best ones, and what would change them"
        if several
        else "The best, and what would change it",
        "Every architecture one edit away, shown to the same predictor. A predicted change is no "
        "promise: the smaller it is beside the interval, the less it means.",
        tuple(blocks),
        link="The best",
    )


def _explained(data: Predicted, found: Explained, index: int, several: bool) -> list[Block]:
    ranking, explanation = data
    unit = unit_of(ranking)
    number = ranking.archs.index(found.arch) + 1 if found.arch in ranking.archs else None
    name = "The best" if number == 1 else f"Number {number:,}" if number else "Asked for"
    graph = explanation.space.graph(found.arch)
    placed = place(graph)
    drawing = Drawing(
        name,
        Markup(graph_svg(graph, f"{name}: {explanation.space.format(found.arch)}")),
        "Drawing of the architecture",
        skips=any(n.kind == "skip" and n.live for n in placed.nodes),
        dead=placed.dead > 0,
    )
    blocks: list[Block] = [Card((drawing, _facts(ranking, explanation, found, unit)))]
    shares = explanation.contributions
    if shares is not None:
        text = (
            "What each family of columns adds, the largest first; the dotted lines are the average "
            "and the prediction."
        )
        steps = plots.reasons_plot(found, shares, unit)
        blocks.append(Chart(f"reasons-{index}", "From the average to its prediction", text, steps))
    side = len(blocks) > 1 and placed.width <= _WIDE
    title = f"{name}, predicted {unit.value(found.mean)}"
    return [
        *([Note(title, "head")] if several else []),
        Grid(tuple(blocks), "side" if side else ""),
        _edits(ranking, found, unit),
    ]


def _facts(ranking: Ranking, explanation: Explanation, found: Explained, unit: Unit) -> Pairs:
    between = unit.between(found.low, found.high)
    pairs = [
        Pair("Architecture", explanation.space.format(found.arch), "arch"),
        Pair("Predicted", unit.value(found.mean)),
        *([Pair(f"{_level(ranking)} interval", between)] if between else []),
    ]
    costs, rows = ranking.fitted.context.costs, ranking.fitted.context.archs
    if costs is not None and found.arch in rows:
        row = list(rows).index(found.arch)
        pairs.append(Pair("Parameters", f"{int(costs.params[row]):,}"))
        pairs.append(Pair("Multiply-adds", f"{int(costs.flops[row]):,}"))
    return Pairs(tuple(pairs))


def _edits(ranking: Ranking, found: Explained, unit: Unit) -> Table:
    sign = 1 if ranking.config.higher_is_better else -1
    better = [e for e in found.edits if sign * e.change > 0 and not e.same]
    same = sum(e.same for e in found.edits)
    most = max((abs(e.change) for e in found.edits), default=0.0) or 1.0
    first = found.edits[0] if found.edits else None
    verb = "is" if len(better) == 1 else "are"
    text = f"{len(found.edits):,} edits; {len(better):,} of them {verb} predicted to be better."
    if better and first is not None and not first.same:
        text += f" The best: {first.words.replace('->', '→')}, {unit.change(first.change)}."
    if same:
        text += (
            f" {same:,} {'changes' if same == 1 else 'change'} nothing about the function, so "
            f"whatever {'it is' if same == 1 else 'they are'} predicted to change is an error."
        )
    heads = [Column("To", "n")]
    heads += [Column(f"{_level(ranking)} interval", "n")] if ranking.level else []
    rows: tuple[Line, ...] = tuple(
        (
            e.words.replace("->", "→"),
            Cell(unit.change(e.change), share=abs(e.change) / most, up=sign * e.change >= 0),
            unit.value(e.mean),
            *([unit.between(e.low, e.high) or DASH] if ranking.level else []),
            edit_note(e, unit),
        )
        for e in found.edits
    )
    return Table(
        "Edits",
        (Column("Edit", "words"), Column("Change", "change"), *heads, Column("Known")),
        rows,
        title="Edits",
        text=text,
        fold=10,
        rest=f"The other {len(rows) - 10}",
    )


def why(data: Predicted) -> Section:
    """Contributions and permutation importance of the families of columns."""
    ranking, explanation = data
    unit, blocks = unit_of(ranking), list[Block]()
    shares, drops = explanation.contributions, explanation.importance
    if shares is not None:
        text = "The predictor is made of trees, so that the contributions are exactly its own."
        low = shares.fidelity is not None and shares.fidelity.low
        words = text if shares.fidelity is None else shares.fidelity.sentence()
        blocks.append(Note(words, "warn" if low else ""))
        blocks.append(Grid(_share_charts(data, unit), "two"))
    if drops is not None:
        blocks.append(_importance(explanation))
    families = _families(explanation, unit)
    if families.rows:
        title = f"All {len(families.rows)} families, and what they mean"
        blocks.append(Folded(title, (families,)))
    return Section(
        "why",
        "What the predictions rest on",
        "Columns that say the same kind of thing form one family. A contribution says what the "
        "predictor used; the drop of Kendall's tau says what it could not do without. Where "
        "families say much the same, one may contribute much and yet be missed little.",
        tuple(blocks),
        link="Why",
    )


def _share_charts(data: Predicted, unit: Unit) -> tuple[Chart, ...]:
    ranking, explanation = data
    if explanation.contributions is None:
        return ()
    return (
        Chart(
            "families",
            "Mean size of the contributions",
            "Over all ranked architectures, up or down.",
            plots.families_plot(explanation.contributions, unit),
        ),
        Chart(
            "strip",
            "Contribution to every prediction",
            "One dot for each architecture: blue for the best of the ranking, orange for the last, "
            "a star for the one explained above; what lies beyond is drawn at the edge.",
            plots.strip_plot(ranking, explanation, unit),
        ),
    )


def _importance(explanation: Explanation) -> Grid:
    drops, whole = explanation.importance, explanation.tables
    if drops is None:
        return Grid(())
    chart = Chart(
        "importance",
        "Permutation importance",
        f"Drop of Kendall's tau on held-out architectures, from {signed(drops.kendall.value, 3)}, "
        "when a family's columns come from another architecture; the lines are standard deviations "
        "over permutations.",
        plots.importance_plot(drops),
    )
    pairs = (
        ()
        if whole is None
        else tuple(Pair(whole.families[k], _drop(whole, k), "n") for k in whole.order().tolist())
    )
    numbers = Pairs(
        pairs,
        title="Whole encodings",
        note="The same drop, when a whole encoding comes from another architecture.",
    )
    return Grid((chart, numbers), "wide-narrow")


def _drop(importance: Importance, k: int) -> str:
    return f"{signed(float(importance.mean[k]), 3)} ± {signed(float(importance.std[k]), 3)}"


def _families(explanation: Explanation, unit: Unit) -> Table:
    shares, drops = explanation.contributions, explanation.importance
    names: list[str] = []
    if shares is not None:
        names = [shares.families[k] for k in shares.order()]
    elif drops is not None:
        names = [drops.families[k] for k in drops.order()]
    rows: tuple[Line, ...] = tuple(
        (
            name,
            DASH if shares is None else unit.size(float(shares.size[shares.families.index(name)])),
            DASH if drops is None else _drop(drops, drops.families.index(name)),
            _meaning(name),
        )
        for name in names
    )
    columns = (
        Column("Family", "key", header=True), Column("Mean size", "n"),
        Column("Drop of tau", "n"), Column("What it says", "value"),
    )  # fmt: skip
    return Table("All families", columns, rows)


def _meaning(name: str) -> str:
    table, _, part = name.partition(": ")
    if table == "graf":
        return _MEANINGS.get(part, "")
    if table == "costs":
        return "parameters, multiply-adds and memory of the whole network"
    if table == "scores":
        return "the proxy, as a rank among all architectures at hand"
    if table in ("onehot", "categorical"):
        return "which choice this gene is"
    return ""


def chosen(data: Predicted) -> Section:
    """The models that were tried, and their shares of the prediction."""
    ranking = data[0]
    candidates = sorted(ranking.candidates, key=lambda c: -c.weight)
    if not candidates:
        text = f"{ranking.predictor} was asked for; nothing was chosen."
        return Section("chosen", "The predictor", text)
    columns = (
        Column("Model", "key", header=True), Column("Share of the prediction", "change"),
        Column("Kendall's tau, held out", "n"), Column("CPU time", "n"),
    )  # fmt: skip
    rows: tuple[Line, ...] = tuple(
        (
            c.name,
            Cell(f"{c.weight:.0%}", share=c.weight),
            signed(c.kendall, 3),
            duration(c.seconds),
        )
        for c in candidates
    )
    return Section(
        "chosen",
        "The predictor",
        f"{ranking.predictor} tried these models on the measured architectures, each predicted by "
        "a fit that had not seen it, and put together those whose sum orders them best.",
        (Table("What was tried", columns, rows),),
    )


def reproduce(data: Predicted, command: str = "") -> Section:
    """What repeats the prediction."""
    code = (Code(command),) if command else ()
    return Section(
        "reproduce",
        "Run it again",
        "Same seed, same numbers. Beside this page: predictions.csv, held_out.csv, families.csv, "
        "reasons.csv, edits.csv and config.json.",
        (*code, _settings(data[0])),
        link="Reproduce",
    )


def _settings(ranking: Ranking) -> Pairs:
    config, fitted = ranking.config, ranking.fitted
    bounds = DASH if config.bounds is None else f"{config.bounds[0]:g} to {config.bounds[1]:g}"
    rows = {
        "space": fitted.context.space.name,
        "predictor": ranking.predictor,
        "encodings": ranking.encodings,
        "proxies": plain(config.proxies),
        "level of intervals": f"{ranking.level:g}" if ranking.level else "none",
        "bounds": bounds,
        "better": "higher" if config.higher_is_better else "lower",
        "seed": str(config.seed),
    }
    return Pairs(tuple(Pair(k, v) for k, v in rows.items()), title="Settings")
