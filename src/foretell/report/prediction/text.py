"""What the page of a prediction says: every sentence and table row."""

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from foretell.metrics import bootstrap, coverage, mae, r2
from foretell.report.html.format import DASH, amount, duration, plain, signed
from foretell.report.html.layout import place
from foretell.report.html.svg import graph_svg
from foretell.report.prediction.terminal import REFITTED, edit_note
from foretell.report.prediction.units import Unit, short, unit_of
from foretell.studies.predict.explain import Explained, Explanation
from foretell.studies.predict.study import Ranking
from foretell.types import IntArray, Json

__all__ = ["context"]

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


def context(
    ranking: Ranking, explanation: Explanation, command: str, version: str
) -> dict[str, Json]:
    """Everything that the template writes."""
    unit = unit_of(ranking)
    space = explanation.space
    target = ranking.config.target or "values"
    return {
        "title": f"Prediction of {target} on {space.name}",
        "facts": " · ".join(
            (
                f"learned from {ranking.measured:,} measured architectures",
                f"{len(ranking.archs):,} ranked",
                f"{ranking.predictor} on {ranking.encodings}",
                f"seed {ranking.config.seed}",
            )
        ),
        "target": target,
        "hero": _hero(ranking, unit, target),
        "notes": _notes(ranking, explanation),
        "ranked": _ranked(ranking, unit),
        "has_costs": ranking.fitted.context.costs is not None,
        "hidden": max(0, len(ranking.archs) - _ROWS),
        "level": _level(ranking) if ranking.level else "",
        **_trust(ranking, unit),
        "chosen": [
            {
                "name": c.name,
                "weight": f"{c.weight:.0%}",
                "share": f"{100 * c.weight:.1f}",
                "kendall": signed(c.kendall, 3),
                "seconds": duration(c.seconds),
            }
            for c in sorted(ranking.candidates, key=lambda c: -c.weight)
        ],
        "predictor": ranking.predictor,
        **_families(ranking, explanation, unit),
        "explained": [
            _explained(found, i, ranking, explanation, unit)
            for i, found in enumerate(explanation.explained)
        ],
        "settings": _settings(ranking),
        "command": command,
        "version": version,
    }


def _hero(ranking: Ranking, unit: Unit, target: str) -> dict[str, Json]:
    learned = ranking.learned
    best = learned.values.max() if ranking.config.higher_is_better else learned.values.min()
    found = unit.between(float(ranking.low[0]), float(ranking.high[0]))
    tiles: list[Json] = []

    def tile(name: str, value: str, detail: str) -> None:
        tiles.append({"name": name, "value": value, "detail": detail})

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
    return {
        "what": f"Best predicted {short(target, 30)}",
        "number": unit.value(float(ranking.mean[0])),
        "range": f"{_level(ranking)} interval {found}" if found else "without an interval",
        "tiles": tiles,
    }


def _level(ranking: Ranking) -> str:
    return f"{100 * ranking.level:g} %"


def _spread(ranking: Ranking) -> str:
    rng = np.random.default_rng(ranking.config.seed)
    found = bootstrap(ranking.learned.mean, ranking.learned.values, rng, samples=500)
    if not math.isfinite(found.low):
        return "each measured one predicted without it"
    return f"95 % interval {signed(found.low)} to {signed(found.high)}"


def _notes(ranking: Ranking, explanation: Explanation) -> list[Json]:
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
    return notes + [f"Left out: {sentence}" for sentence in explanation.left_out]


def _ranked(ranking: Ranking, unit: Unit) -> list[Json]:
    space, costs = ranking.fitted.context.space, ranking.fitted.context.costs
    rows = {arch: i for i, arch in enumerate(ranking.fitted.context.archs)}
    found = []
    for i, arch in enumerate(ranking.archs[:_ROWS]):
        row = rows[arch]
        found.append(
            {
                "place": f"{i + 1:,}",
                "value": unit.value(float(ranking.mean[i])),
                "between": unit.between(float(ranking.low[i]), float(ranking.high[i])) or DASH,
                "params": DASH if costs is None else amount(float(costs.params[row])),
                "flops": DASH if costs is None else amount(float(costs.flops[row])),
                "arch": space.format(arch),
            }
        )
    return found


def _trust(ranking: Ranking, unit: Unit) -> dict[str, Json]:
    learned = ranking.learned
    pairs = [
        ("Kendall's tau-b", signed(ranking.held_out.value, 3)),
        ("of parameters alone", signed(ranking.baseline.value, 3)),
        ("R2", signed(float(r2(learned.mean, learned.values)), 3)),
        ("mean error", unit.size(float(mae(learned.mean, learned.values)))),
        ("measured architectures", f"{ranking.measured:,}"),
    ]
    thirds = []
    if ranking.level:
        order = np.argsort(learned.mean, kind="stable")
        names = ("lowest third", "middle third", "highest third")
        for name, rows in zip(names, np.array_split(order, 3), strict=True):
            if len(rows):
                thirds.append(_third(name, rows, ranking, unit))
    overlap = int((ranking.high >= ranking.low[0]).sum())
    if not ranking.config.higher_is_better:
        overlap = int((ranking.low <= ranking.high[0]).sum())
    return {
        "trust_pairs": pairs,
        "thirds": thirds,
        "overlap": overlap - 1 if ranking.level else None,
    }


def _third(name: str, rows: IntArray, ranking: Ranking, unit: Unit) -> Json:
    learned = ranking.learned
    low, high, truth = learned.low[rows], learned.high[rows], learned.values[rows]
    finite = np.isfinite(low) & np.isfinite(high)
    wide = float(np.median((high - low)[finite])) if finite.any() else math.nan
    return {
        "name": name,
        "n": f"{len(rows):,}",
        "inside": f"{float(coverage(low, high, truth)):.0%}",
        "wide": unit.size(wide),
    }


def _families(ranking: Ranking, explanation: Explanation, unit: Unit) -> dict[str, Json]:
    shares, drops, whole = explanation.contributions, explanation.importance, explanation.tables
    names: Sequence[str] = ()
    if shares is not None:
        names = [shares.families[k] for k in shares.order()]
    elif drops is not None:
        names = [drops.families[k] for k in drops.order()]
    rows = []
    for name in names:
        k = None if drops is None else drops.families.index(name)
        rows.append(
            {
                "name": name,
                "meaning": _meaning(name),
                "size": DASH
                if shares is None
                else unit.size(float(shares.size[shares.families.index(name)])),
                "drop": DASH
                if drops is None or k is None
                else f"{signed(float(drops.mean[k]), 3)} ± {signed(float(drops.std[k]), 3)}",
            }
        )
    tables = []
    if whole is not None:
        tables = [
            {
                "name": whole.families[k],
                "drop": f"{signed(float(whole.mean[k]), 3)} ± {signed(float(whole.std[k]), 3)}",
            }
            for k in whole.order().tolist()
        ]
    fidelity = None if shares is None else shares.fidelity
    exact = shares is not None and fidelity is None
    return {
        "families": rows,
        "tables": tables,
        "has_shares": shares is not None,
        "has_drops": drops is not None,
        "fidelity": fidelity.sentence()
        if fidelity
        else "The predictor is made of trees, so that the contributions are exactly its own."
        if exact
        else "",
        "low_fidelity": fidelity is not None and fidelity.low,
        "drop_base": signed(drops.kendall.value, 3) if drops is not None else "",
    }


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


def _explained(
    found: Explained, index: int, ranking: Ranking, explanation: Explanation, unit: Unit
) -> dict[str, Json]:
    space = explanation.space
    graph = space.graph(found.arch)
    placed = place(graph)
    number = ranking.archs.index(found.arch) + 1 if found.arch in ranking.archs else None
    name = "The best" if number == 1 else f"Number {number:,}" if number else "Asked for"
    between = unit.between(found.low, found.high)
    pairs = [
        ("Architecture", space.format(found.arch), True),
        ("Predicted", unit.value(found.mean), False),
        *([(f"{_level(ranking)} interval", between, False)] if between else []),
    ]
    costs, rows = ranking.fitted.context.costs, ranking.fitted.context.archs
    if costs is not None and found.arch in rows:
        row = list(rows).index(found.arch)
        pairs.append(("Parameters", f"{int(costs.params[row]):,}", False))
        pairs.append(("Multiply-adds", f"{int(costs.flops[row]):,}", False))
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
    return {
        "id": f"reasons-{index}",
        "name": name,
        "title": f"{name}, predicted {unit.value(found.mean)}",
        "svg": Markup(graph_svg(graph, f"{name}: {space.format(found.arch)}")),
        "wide": placed.width > _WIDE,
        "dead": placed.dead,
        "skips": any(n.kind == "skip" and n.live for n in placed.nodes),
        "pairs": pairs,
        "edits_text": text,
        "edits": [
            {
                "words": e.words.replace("->", "→"),
                "change": unit.change(e.change),
                "size": f"{100 * abs(e.change) / most:.1f}",
                "up": sign * e.change >= 0,
                "value": unit.value(e.mean),
                "between": unit.between(e.low, e.high) or DASH,
                "note": edit_note(e, unit),
            }
            for e in found.edits
        ],
    }


def _settings(ranking: Ranking) -> list[tuple[str, str]]:
    config, fitted = ranking.config, ranking.fitted
    bounds = DASH if config.bounds is None else f"{config.bounds[0]:g} to {config.bounds[1]:g}"
    return [
        ("space", fitted.context.space.name),
        ("predictor", ranking.predictor),
        ("encodings", ranking.encodings),
        ("proxies", plain(config.proxies)),
        ("level of intervals", f"{ranking.level:g}" if ranking.level else "none"),
        ("bounds", bounds),
        ("better", "higher" if config.higher_is_better else "lower"),
        ("seed", str(config.seed)),
    ]
