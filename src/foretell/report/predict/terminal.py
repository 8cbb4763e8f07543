"""An explanation in a few tables for a terminal."""

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from foretell.predictors.explain import Contributions, Importance
from foretell.report.html.format import signed
from foretell.report.predict.units import Unit, unit_of
from foretell.studies.predict.explain import Edit, Explained, Explanation
from foretell.studies.predict.study import Ranking

__all__ = ["explanation_summary"]

_FAMILIES, _BEST, _WORST = 6, 5, 3


def explanation_summary(ranking: Ranking, explanation: Explanation) -> RenderableType:
    """What to print after a ranking.

    Args:
        ranking: what was explained.
        explanation: why.

    Returns:
        Something that a rich console prints; texts from outside are never read as markup.
    """
    unit = unit_of(ranking)
    parts: list[RenderableType] = []
    shares = explanation.contributions
    place = {arch: i for i, arch in enumerate(ranking.archs, 1)}
    for found in explanation.explained:
        text = explanation.space.format(found.arch)
        name = f"Number {place[found.arch]}" if found.arch in place else "This one"
        parts += [Text(), Text(f"{name} is predicted {unit.value(found.mean)}", style="bold")]
        parts.append(Text(text, overflow="fold"))
        if shares is not None:
            parts.append(_families(found, shares, unit))
        parts += [Text(), Text("Edits of it", style="bold"), _edits(found, unit)]
    if explanation.importance is not None:
        parts += [Text(), Text("What the order rests on", style="bold")]
        parts.append(_importance(explanation.importance, explanation.tables))
    if shares is not None and shares.fidelity is not None:
        parts += [Text(), Text(shares.fidelity.sentence(), style="dim")]
    if explanation.refitted:
        parts.append(Text(REFITTED, style="dim"))
    parts += [Text(f"Left out: {sentence}", style="yellow") for sentence in explanation.left_out]
    return Group(*parts)


REFITTED = (
    "The encodings are normalised over all architectures at hand, so the predictor was fitted once "
    "more with the edits among them: its predictions differ a little from those of the ranking."
)


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for i, name in enumerate(names):
        table.add_column(name, justify="right" if i else "left", no_wrap=bool(i))
    return table


def _families(found: Explained, shares: Contributions, unit: Unit) -> Table:
    table = _table("family", "adds")
    order = np.argsort(-np.abs(found.families), kind="stable")
    table.add_row("average", unit.value(shares.base))
    for k in order[:_FAMILIES]:
        table.add_row(Text(shares.families[k]), unit.change(float(found.families[k])))
    others = float(found.families[order[_FAMILIES:]].sum())
    table.add_row(f"{len(order[_FAMILIES:])} others", unit.change(others))
    if shares.fidelity is not None:
        table.add_row("not explained", unit.change(found.rest))
    return table


def _edits(found: Explained, unit: Unit) -> Table:
    table = _table("edit", "changes by", "interval", "note")
    edits = found.edits
    shown = edits if len(edits) <= _BEST + _WORST else (*edits[:_BEST], *edits[-_WORST:])
    for i, edit in enumerate(shown):
        if len(shown) < len(edits) and i == _BEST:
            table.add_row(f"… {len(edits) - len(shown)} more …")
        between = unit.between(edit.low, edit.high)
        table.add_row(Text(edit.words), unit.change(edit.change), between, edit_note(edit, unit))
    return table


def edit_note(edit: Edit, unit: Unit) -> str:
    """What else is known of a neighbor."""
    known = [] if np.isnan(edit.measured) else [f"measured {unit.value(edit.measured)}"]
    return ", ".join(known + (["same function"] if edit.same else []))


def _importance(importance: Importance, tables: Importance | None) -> Table:
    table = _table("permuted", "drop of tau", "±")
    rows = [(importance, k) for k in importance.order()[:_FAMILIES].tolist()]
    if tables is not None and len(tables.families) > 1:
        rows += [(tables, k) for k in tables.order().tolist()]
    for source, k in rows:
        name = source.families[k] if source is importance else f"all of {source.families[k]}"
        mean, std = float(source.mean[k]), float(source.std[k])
        table.add_row(Text(name), signed(mean, 3), signed(std, 3))
    return table
