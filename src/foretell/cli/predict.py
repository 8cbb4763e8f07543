"""Rank architectures by what training would give, from some that were trained."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from foretell.cli._app import FilePath, document, examples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from foretell.spaces import Space
    from foretell.spaces.rows import Duplicates
    from foretell.studies.predict.explain import Explanation
    from foretell.studies.predict.study import Ranking

__all__ = ["predict_command"]


@click.command(
    epilog=examples(
        "foretell predict measured.csv --sample 2000 --top 20",
        "foretell predict measured.csv --proxies nwot,synflow --data digits --out ranking.csv",
        "foretell predict measured.csv --explain 3 --report runs/prediction",
    ),
)
@click.argument("measured", type=FilePath())
@click.option(
    "--value", "column", metavar="COLUMN", help="What was measured [default: the only one]."
)
@click.option("--arch", default="arch", show_default=True, help="Column of the architectures.")
@click.option(
    "--duplicates", type=click.Choice(["mean", "first", "refuse"]), default="refuse",
    show_default=True, help="What to do with several rows about one architecture.",
)  # fmt: skip
@click.option("--skip-unknown", is_flag=True, help="Leave out rows that name no architecture.")
@click.option("--lower-is-better", is_flag=True, help="Such as for a latency or an error.")
@click.option("--space", default="nb201", show_default=True, help="Name, or my_space.py:space.")
@click.option("--pool", type=FilePath(), help="File of architectures to rank.")
@click.option("--sample", type=int, help="Rank this many random architectures [default: 1000].")
@click.option("--predictor", default="auto", show_default=True, help="A name.")
@click.option("--encoding", default="", metavar="A+B+...", help="Encodings [default: chosen].")
@click.option(
    "--proxies", metavar="A,B,...", help="Compute these for the encoding scores; needs --data."
)
@click.option("--data", help="Images for --proxies, such as digits or cifar10:PATH.")
@click.option(
    "--skip-broken", is_flag=True, help="Leave out images that cannot be decoded, and list them."
)
@click.option("--preset", help="Skeleton of the space, such as small.")
@click.option("--level", default=0.9, show_default=True, help="Of the intervals; 0 for none.")
@click.option("--bounds", metavar="LOW,HIGH", help="No value lies beyond, such as 0,1 or 0,inf.")
@click.option("--seed", default=0, show_default=True, help="Of sample, folds and models.")
@click.option("--top", default=10, show_default=True, help="Rows to print.")
@click.option("--out", type=FilePath(), help="Table as .csv, .json or .parquet.")
@click.option(
    "--explain", is_flag=False, flag_value=1, type=int, metavar="[N]",
    help="Say why the N best are predicted so, and what would change it [1].",
)  # fmt: skip
@click.option(
    "--report", type=FilePath(), metavar="FOLDER",
    help="Run folder for report.html, predictions.csv and what explains them.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quiet", is_flag=True, help="No progress bars.")
def predict_command(
    measured: Path,
    column: str | None,
    arch: str,
    duplicates: str,
    skip_unknown: bool,
    lower_is_better: bool,
    space: str,
    pool: Path | None,
    sample: int | None,
    predictor: str,
    encoding: str,
    proxies: str | None,
    data: str | None,
    skip_broken: bool,
    preset: str | None,
    level: float,
    bounds: str | None,
    seed: int,
    top: int,
    out: Path | None,
    explain: int | None,
    report: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Rank architectures by what training them would give.

    MEASURED is a .csv, .json or .parquet with a column arch and a column of values.
    """
    from foretell import api
    from foretell.cli._progress import progress
    from foretell.cli._study import run_in_folder
    from foretell.data import skipping_broken
    from foretell.errors import UsageError
    from foretell.spaces import get_space
    from foretell.studies.predict.study import PredictConfig
    from foretell.tables import check_table_path, write_table

    if out is not None:
        check_table_path(out)
    if pool is not None and sample is not None:
        raise UsageError("--pool and --sample exclude each other: give one of them.")
    if sample is not None and sample < 1:
        raise UsageError(f"--sample must be at least 1, but is {sample}.")
    if not 0 <= level < 1:
        raise UsageError(f"--level must be from 0 to below 1, but is {level}.")
    if explain is not None and explain < 1:
        raise UsageError(f"--explain must be at least 1, but is {explain}.")
    if data is not None and skip_broken:
        data = skipping_broken(data)
    where = get_space(space)
    config = PredictConfig(
        predictor=predictor,
        encodings=encoding,
        proxies=tuple(p.strip() for p in (proxies or "").split(",") if p.strip()),
        level=level,
        higher_is_better=not lower_is_better,
        seed=seed,
        bounds=_bounds(bounds),
        measured=str(measured),
        column=column or "",
        arch=arch,
        duplicates=cast("Duplicates", duplicates),
        skip_unknown=skip_unknown,
        space=space,
        pool="" if pool is None else str(pool),
        sample=sample or 1000,
        data=data or "",
        preset=preset,
        explain=explain or 1,
    )
    slow = config.proxies or explain or report or not where.graph_describes_network
    why = None
    with progress(quiet or as_json or not slow) as tell:
        if report is not None:
            predicted = run_in_folder(config, report, tell)
            found, why = predicted.ranking, predicted.explanation
            assert found is not None  # after a run
        else:
            found = api.predict(
                measured,
                space=where,
                pool=config.sample if pool is None else pool,
                config=config,
                column=column,
                data=data,
                preset=preset,
                on_progress=tell,
            )
            if explain is not None:
                why = api.explain(found, explain, on_progress=tell)
    table = _columns(found, where)
    if out is not None:
        write_table(out, table)
        click.echo(f"Wrote {len(found.archs)} rows to {out}.", err=True)
    _show(found, why if explain else None, table, top, as_json)


def _bounds(text: str | None) -> tuple[float, float] | None:
    from foretell.errors import UsageError

    if text is None:
        return None
    try:
        low, high = map(float, text.split(","))
    except ValueError as error:
        raise UsageError(
            f"--bounds should be two numbers such as 0,1 or 0,inf, but is {text!r}."
        ) from error
    return low, high


def _columns(found: "Ranking", space: "Space") -> "dict[str, Sequence[object]]":
    columns: dict[str, Sequence[object]] = {
        "arch": [space.format(a) for a in found.archs],
        "predicted": found.mean.tolist(),
    }
    if found.level:
        columns |= {"low": found.low.tolist(), "high": found.high.tolist()}
    return columns


def _show(
    found: "Ranking",
    why: "Explanation | None",
    table: "dict[str, Sequence[object]]",
    top: int,
    as_json: bool,
) -> None:
    from math import isnan

    from foretell.cli._tables import show
    from foretell.tables import plain

    facts = {
        "measured": found.measured,
        "predictor": found.predictor,
        "encodings": found.encodings,
        "level": found.level,
        "held_out_kendall": plain(found.held_out.value),
        "params_kendall": plain(found.baseline.value),
        "why": found.why,
    }
    if as_json:
        ranked = _rows(table)
        more = {} if why is None else {"explanation": _plain(why)}
        document({**facts, "ranking": ranked, **more})
        return
    best = {name: values[:top] for name, values in table.items()}
    title = f"The best of {len(found.archs)} by {found.predictor}, {found.encodings}"
    show(best, False, title=title)
    words = f" {found.level:.0%} intervals by cross-validation." if found.level else ""
    size = "unknown" if isnan(found.baseline.value) else f"{found.baseline.value:.3f}"
    click.echo(
        f"\nLearned from {found.measured} architectures. Kendall's tau on them, each predicted "
        f"by a model that had not seen it: {found.held_out.value:.3f}; of parameters alone: "
        f"{size}.{words}"
    )
    if found.why:
        click.echo(f"Chosen: {found.why}")
    if why is not None:
        from rich.console import Console

        from foretell.report.predict.terminal import explanation_summary

        Console().print(explanation_summary(found, why))


def _plain(why: "Explanation") -> "dict[str, object]":
    fidelity = None if why.contributions is None else why.contributions.fidelity
    return {
        "families": _rows(why.by_family()),
        "reasons": _rows(why.reasons()),
        "edits": _rows(why.edits()),
        "fidelity": None if fidelity is None else fidelity.sentence(),
        "refitted": why.refitted,
        "left_out": why.left_out,
    }


def _rows(columns: "Mapping[str, Sequence[object]]") -> "list[dict[str, object]]":
    from foretell.tables import plain

    lines = zip(*columns.values(), strict=True)
    return [dict(zip(columns, map(plain, line), strict=True)) for line in lines]
