"""The sections of an evaluation of proxies."""

from collections.abc import Sequence

import numpy as np

from foretell import __version__
from foretell.report._base import (
    Block,
    Cell,
    Chart,
    Code,
    Column,
    Folded,
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
from foretell.report.evaluate_proxies.plots import heat_plot, order_plot
from foretell.report.html.format import DASH, duration, percent, signed
from foretell.studies.evaluate_proxies.result import ProxyEvaluation
from foretell.studies.evaluation.facts import TargetInfo
from foretell.types import IntArray

__all__ = [
    "KINDS",
    "amount_of",
    "choice",
    "head",
    "headline",
    "order",
    "order_of",
    "proxies",
    "reproduce",
    "runs_of",
    "short_targets",
    "targets",
    "truth",
]

KINDS = {"kendall": "Kendall's tau-b", "spearman": "Spearman's rho", "pearson": "Pearson's r"}
"""The coefficients by the names that people read."""
WITHIN = {
    "all": "every network, dead ones included",
    "alive": "input reaches output",
    "no unreachable op": "every operation has an effect on the output",
    "deduplicated": "the first network of each function",
}
SOURCES = {
    "table": "published in the table",
    "baseline": "free baseline, by closed form",
    "own": "computed by foretell",
}


def headline(evaluation: ProxyEvaluation) -> tuple[int, int]:
    """The population and the target that the first screen is about.

    Each function once, where the graphs are known: copies would be counted by how many there are.
    """
    names = evaluation.populations
    return (names.index("deduplicated") if "deduplicated" in names else 0), 0


def order_of(evaluation: ProxyEvaluation) -> IntArray:
    """Places of the proxies in the order of all tables: best first by the headline."""
    return evaluation.order(*headline(evaluation))


def runs_of(target: TargetInfo) -> str:
    """How many training runs a truth is the mean of.

    >>> runs_of(TargetInfo("a", "", "", False, 9, (1, 2), 5, 0.9, ""))
    'mean of 1 to 2 runs'
    """
    least, most = target.runs
    if least == most:
        return "1 run" if most == 1 else f"mean of {most} runs"
    return f"mean of {least} to {most} runs"


def amount_of(value: float, unit: str) -> str:
    """A truth as people read it.

    >>> amount_of(0.9437, "fraction"), amount_of(0.25, "nats")
    ('94.37 %', '0.25 nats')
    """
    if unit == "fraction":
        return percent(value)
    return f"{value:.4g} {unit}".strip() if np.isfinite(value) else DASH


def short_targets(evaluation: ProxyEvaluation) -> list[str]:
    """Names of the targets, without the dataset where all have the same, all different."""
    keys = [t.key for t in evaluation.targets]
    if len({t.dataset for t in evaluation.targets}) > 1:
        return keys
    return [k.partition("/")[2] or k for k in keys]


def head(evaluation: ProxyEvaluation) -> Head:
    """Title, facts and the first screen."""
    facts = (
        f"{evaluation.n:,} of {evaluation.total:,} networks",
        f"space {evaluation.space}" if evaluation.space else "",
        KINDS[evaluation.kind],
        f"seed {evaluation.seed}",
        f"own proxies on {evaluation.data}" if evaluation.data else "",
    )
    return Head(
        title=f"Proxies on {evaluation.benchmark}",
        facts=" · ".join(filter(None, facts)),
        hero=_hero(evaluation, KINDS[evaluation.kind], order_of(evaluation)),
        notes=tuple(Note(n, "note") for n in evaluation.notes),
        version=__version__,
    )


def _name(evaluation: ProxyEvaluation, p: int) -> Cell:
    info = evaluation.proxies[p]
    return Cell(info.name, tag="" if info.source == "table" else info.source)


def _best(evaluation: ProxyEvaluation, order: IntArray, sources: Sequence[str]) -> int | None:
    k, t = headline(evaluation)
    for p in order.tolist():
        if evaluation.proxies[p].source in sources and np.isfinite(evaluation.value[k, p, t]):
            return int(p)
    return None


def _spread(evaluation: ProxyEvaluation, k: int, p: int, t: int) -> str:
    low, high = float(evaluation.low[k, p, t]), float(evaluation.high[k, p, t])
    if not np.isfinite(low):
        return ""
    return f"{100 * evaluation.level:g} % interval {signed(low, 3)} to {signed(high, 3)}"


def _hero(evaluation: ProxyEvaluation, kind: str, order: IntArray) -> Hero:
    k, t = headline(evaluation)
    target, population = evaluation.targets[t], evaluation.populations[k]
    scored, free = (
        _best(evaluation, order, ("table", "own")),
        _best(evaluation, order, ("baseline",)),
    )
    first = scored if scored is not None else free

    def best(p: int | None, what: str) -> Tile:
        if p is None:
            return Tile(what, DASH, "none was evaluated")
        value = signed(float(evaluation.value[k, p, t]), 3)
        return Tile(what, value, f"{evaluation.proxies[p].name}, n = {evaluation.pairs[k, p, t]:,}")

    between_runs = float(evaluation.between_runs[k, t])
    tiles = (
        best(free, "Best free baseline"),
        Tile(
            "One run with another",
            signed(between_runs, 3),
            f"n = {evaluation.between_runs_pairs[k, t]:,} networks trained twice"
            if np.isfinite(between_runs)
            else "no network was trained twice",
        ),
        Tile(
            "Best network",
            amount_of(target.optimum, target.unit),
            f"of {target.known:,}, {runs_of(target)}",
        ),
        _chosen(evaluation, k, t, first),
        Tile("Proxies", f"{len(evaluation.proxies):,}", _many_sources(evaluation)),
        Tile(
            "Targets",
            f"{len(evaluation.targets):,}",
            f"on {len(evaluation.populations)} populations",
        ),
    )
    return Hero(
        what=f"{kind} of the best proxy with {target.key}"
        if scored is not None
        else f"{kind} of the best baseline with {target.key}",
        number=signed(float(evaluation.value[k, first, t]), 3) if first is not None else DASH,
        range=""
        if first is None
        else f"{evaluation.proxies[first].name} on {population}, "
        f"n = {evaluation.pairs[k, first, t]:,}; {_spread(evaluation, k, first, t)}".rstrip("; "),
        tiles=tiles,
    )


def _chosen(evaluation: ProxyEvaluation, k: int, t: int, p: int | None) -> Tile:
    found = float(evaluation.found[k, p, t]) if p is not None else float("nan")
    unit = evaluation.targets[t].unit
    detail = "nothing was ranked"
    if p is not None and np.isfinite(found):
        detail = f"the favourite of {evaluation.proxies[p].name}, rank {evaluation.rank[k, p, t]:,}"
    return Tile("First choice of the best", amount_of(found, unit), detail)


def _many_sources(evaluation: ProxyEvaluation) -> str:
    counts = [
        (sum(p.source == source for p in evaluation.proxies), word)
        for source, word in (("table", "published"), ("own", "own"), ("baseline", "free"))
    ]
    return ", ".join(f"{n} {word}" for n, word in counts if n)


def order(evaluation: ProxyEvaluation) -> Section:
    """Agreement with the first target of each dataset."""
    kind, places = KINDS[evaluation.kind], order_of(evaluation)
    first: dict[str, int] = {}
    for t, target in enumerate(evaluation.targets):
        first.setdefault(target.dataset, t)
    charts = tuple(
        Chart(
            f"order-{t}",
            f"Agreement with {evaluation.targets[t].key}",
            _order_text(evaluation, t),
            order_plot(evaluation, t, places, kind),
        )
        for t in first.values()
    )
    return Section(
        "order",
        "Do the proxies know the order?",
        f"{kind} between what a proxy says before training and what training gives. A proxy earns "
        "its time only if it beats the free baselines, and a correlation on all networks says "
        f"little about the good ones: look at each population. {evaluation.intervals}",
        charts,
        link="Order",
    )


def _order_text(evaluation: ProxyEvaluation, t: int) -> str:
    target = evaluation.targets[t]
    text = f"Truth: {runs_of(target)}"
    text += f", {target.epochs:,} epochs" if target.epochs else ""
    text += "; lower is better, so its sign was changed" if target.turned else ""
    sizes = "; ".join(
        f"{name}: n = {evaluation.sizes[k, t]:,}" for k, name in enumerate(evaluation.populations)
    )
    return f"{text}. ◆ marks free baselines. {sizes}."


def targets(evaluation: ProxyEvaluation) -> Section:
    """Agreement with every target, a heat map and a table for each population."""
    k, t = headline(evaluation)
    blocks: list[Block] = []
    for i in range(len(evaluation.populations)):
        chart, table = _heat(evaluation, i), _table(evaluation, i)
        blocks += [chart, table] if not i else [Folded(chart.title, (chart, table))]
    return Section(
        "targets",
        "Every target, every population",
        f"All in the same order, by {evaluation.targets[t].key}, {evaluation.populations[k]}, "
        f"n = {evaluation.sizes[k, t]:,}.",
        tuple(blocks),
        link="Every target",
    )


def _heat(evaluation: ProxyEvaluation, k: int) -> Chart:
    kind, name = KINDS[evaluation.kind], evaluation.populations[k]
    low, high = int(evaluation.sizes[k].min()), int(evaluation.sizes[k].max())
    n = f"n = {low:,}" if low == high else f"n = {low:,} to {high:,}"
    about = f" ({WITHIN[name]})" if name in WITHIN else " by each target"
    return Chart(
        f"heat-{k}",
        f"Population: {name}",
        f"{kind}, {n}{about}, seed {evaluation.seed}. ◆ marks free baselines, blue agrees, orange "
        "contradicts, a dash was not computed.",
        heat_plot(evaluation, k, order_of(evaluation), short_targets(evaluation), kind),
    )


def _table(evaluation: ProxyEvaluation, k: int) -> Folded:
    rows: tuple[Line, ...] = tuple(
        (_name(evaluation, p), *(_cell(evaluation, k, p, t) for t in _all_targets(evaluation)))
        for p in order_of(evaluation).tolist()
    )
    name = evaluation.populations[k]
    label = f"{KINDS[evaluation.kind]}, population {name}"
    table = Table(label, _columns(evaluation), rows)
    return Folded(f"{name}, as a table with intervals and n", (table,))


def _cell(evaluation: ProxyEvaluation, k: int, p: int, t: int) -> Cell:
    low, high = float(evaluation.low[k, p, t]), float(evaluation.high[k, p, t])
    between = (f"{signed(low)} to {signed(high)}",) if np.isfinite(low) else ()
    value = signed(float(evaluation.value[k, p, t]), 3)
    return Cell(value, below=(*between, f"n {evaluation.pairs[k, p, t]:,}"))


def _all_targets(evaluation: ProxyEvaluation) -> range:
    return range(len(evaluation.targets))


def _columns(evaluation: ProxyEvaluation) -> tuple[Column, ...]:
    names = short_targets(evaluation)
    return (Column("Proxy", "key", header=True), *(Column(name, "n") for name in names))


def choice(evaluation: ProxyEvaluation) -> Section:
    """What is found by training only what a proxy ranks first."""
    k, t = headline(evaluation)
    blocks: list[Block] = [_choices(evaluation, k, t)]
    if len(evaluation.targets) > 1:
        rows: tuple[Line, ...] = tuple(
            (
                _name(evaluation, p),
                *(
                    amount_of(float(evaluation.regret[k, p, i]), evaluation.targets[i].unit)
                    for i in _all_targets(evaluation)
                ),
            )
            for p in order_of(evaluation).tolist()
        )
        label = "What is lost by the first choice, on every target"
        lost = Table(label, _columns(evaluation), rows)
        blocks.append(Folded("What is lost, on every target", (lost,)))
    return Section(
        "choice",
        "What does its first choice give?",
        _choice_text(evaluation, k, t),
        tuple(blocks),
        link="First choice",
    )


def _choices(evaluation: ProxyEvaluation, k: int, t: int) -> Block:
    unit = evaluation.targets[t].unit
    places = [p for p in order_of(evaluation).tolist() if evaluation.favourite[k, p, t] >= 0]
    places.sort(key=lambda p: float(evaluation.regret[k, p, t]))
    if not places:
        return Note("No proxy ranked any network of this population.", "empty")
    rows: tuple[Line, ...] = tuple(
        (
            _name(evaluation, p),
            amount_of(float(evaluation.found[k, p, t]), unit),
            amount_of(float(evaluation.regret[k, p, t]), unit),
            f"{evaluation.rank[k, p, t]:,}",
            f"{evaluation.ties[k, p, t]:,}",
            evaluation.texts[int(evaluation.favourite[k, p, t])],
        )
        for p in places
    )
    columns = (
        Column("Proxy", "key", header=True), Column("Found", "n"), Column("Lost", "n"),
        Column("Rank", "n"), Column("Ties", "n"), Column("Architecture", "arch"),
    )  # fmt: skip
    return Table("First choice of each proxy", columns, rows)


def _choice_text(evaluation: ProxyEvaluation, k: int, t: int) -> str:
    target = evaluation.targets[t]
    return (
        f"What is found by training only the network that a proxy ranks first, of the "
        f"{evaluation.sizes[k, t]:,} of the population {evaluation.populations[k]}: its "
        f"{target.key}, how much better the best one is, and how many places up that is. Where a "
        f"proxy ranks several networks first, this is their mean, and the first of them is named."
    )


def truth(evaluation: ProxyEvaluation) -> Section:
    """The targets, and how well one training run agrees with another."""
    columns = (
        Column("Target", "key", header=True), Column("Runs", "key"), Column("Epochs", "n"),
        Column("Networks", "n"), Column("Best", "n"), Column("Best architecture", "arch"),
    )  # fmt: skip
    rows: tuple[Line, ...] = tuple(
        (
            t.key,
            runs_of(t),
            f"{t.epochs:,}" if t.epochs else DASH,
            f"{t.known:,}",
            amount_of(t.optimum, t.unit),
            t.best,
        )
        for t in evaluation.targets
    )
    return Section(
        "truth",
        "What they are compared with",
        "Truth is measured, too: two trainings of the same network differ, and how well one run "
        "foretells another says how much of the order is noise. A proxy that knew each network's "
        "mean over many runs would agree with one run somewhat better than another run does (by "
        "Pearson's r, as the square root), and nothing can agree much better.",
        (Table("Targets", columns, rows, title="Targets"), _between_runs(evaluation)),
        link="The truth",
    )


def _between_runs(evaluation: ProxyEvaluation) -> Block:
    known = [
        t for t in _all_targets(evaluation) if np.isfinite(evaluation.between_runs[:, t]).any()
    ]
    if not known:
        return Note(
            "No network of the table was trained twice, so nothing is known about the noise of "
            "the truth.",
            "empty",
        )
    places = range(len(evaluation.populations))
    rows: tuple[Line, ...] = tuple(
        (
            evaluation.targets[t].key,
            *(
                Cell(
                    signed(float(evaluation.between_runs[k, t]), 3),
                    below=(f"n {evaluation.between_runs_pairs[k, t]:,}",),
                )
                for k in places
            ),
        )
        for t in known
    )
    columns = (
        Column("Target", "key", header=True), *(Column(p, "n") for p in evaluation.populations)
    )  # fmt: skip
    title = f"{KINDS[evaluation.kind]} of one run with another"
    return Table("One run with another", columns, rows, title=title)


def proxies(evaluation: ProxyEvaluation) -> Section:
    """The proxies, where their scores are from and what they took."""
    columns = (
        Column("Proxy", "key", header=True), Column("Where from"), Column("Computed for"),
        Column("NaN", "n"), Column("Time for one network", "n"),
    )  # fmt: skip
    rows: tuple[Line, ...] = tuple(
        (
            _name(evaluation, p),
            SOURCES[info.source],
            ", ".join(d for d in info.datasets if d) or "any",
            ", ".join(
                f"{m:,}" + (f" ({d})" if len(info.missing) > 1 else "")
                for d, m in info.missing.items()
            )
            or DASH,
            duration(info.seconds),
        )
        for p in order_of(evaluation).tolist()
        for info in (evaluation.proxies[p],)
    )
    return Section(
        "proxies",
        "The proxies",
        "Higher should mean better, as each paper states; no sign was changed after looking. A "
        "network without a value is left out of that proxy's correlation, never replaced by a "
        "number.",
        (Table("Proxies", columns, rows),),
    )


def reproduce(evaluation: ProxyEvaluation, command: str = "") -> Section:
    """What repeats the evaluation."""
    code = (Code(command),) if command else ()
    return Section(
        "reproduce",
        "Run it again",
        "Same seed, same numbers. The tables are beside this page as correlations.csv, "
        "choices.csv, targets.csv and proxies.csv.",
        (*code, _settings(evaluation)),
        link="Reproduce",
    )


def _settings(evaluation: ProxyEvaluation) -> Pairs:
    rows = {
        "Table": evaluation.benchmark,
        "Networks": f"{evaluation.n:,} of {evaluation.total:,}",
        "Space": evaluation.space or DASH,
        "Closed-form costs for": evaluation.skeleton or DASH,
        "Own proxies on": evaluation.data or DASH,
        "Coefficient": KINDS[evaluation.kind],
        "Intervals": evaluation.intervals,
        "Seed": str(evaluation.seed),
    }
    return Pairs(tuple(Pair(k, v) for k, v in rows.items()), title="Settings")
