"""Score architectures or any nn.Module by zero-cost proxies, untrained."""

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import click

from foretell.cli._app import FilePath, document, examples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foretell.studies.score.explain import Explained, ScoreExplanation
    from foretell.studies.score.run import ScoreRun

__all__ = ["score_command"]


@click.command(
    epilog=examples(
        "foretell score --sample 5 --proxies params,synflow,nwot,zico --sort nwot",
        "foretell score tutorials/my_net.py:small tutorials/my_net.py:wide --out scores.csv",
        "foretell score tutorials/my_net.py:small --space tutorials/my_space.py:space --explain",
    ),
)
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@click.option("--space", default="nb201", show_default=True, help="Name, or my_space.py:space.")
@click.option(
    "--arch", default="arch", show_default=True, help="Column of the architectures in tables."
)
@click.option("--skip-unknown", is_flag=True, help="Leave out entries that name no architecture.")
@click.option("--sample", type=int, help="Also score this many random architectures.")
@click.option(
    "--data", default="digits", show_default=True,
    help="digits, folder:PATH, npz:PATH, cifar10:PATH, cifar100:PATH or synthetic:3x32x32.",
)  # fmt: skip
@click.option(
    "--skip-broken", is_flag=True, help="Leave out images that cannot be decoded, and list them."
)
@click.option("--proxies", metavar="A,B,...", help="Names [default: all].")
@click.option("--preset", help="Skeleton of the space, such as small.")
@click.option("--image-size", type=int, help="Resize images to this many pixels.")
@click.option("--batch-size", default=64, show_default=True, help="Images in each of two batches.")
@click.option("--seed", default=0, show_default=True, help="Of weights, batches and noise.")
@click.option("--workers", default=1, show_default=True, help="Processes that score.")
@click.option("--timeout", type=float, help="Seconds after which a network is given up.")
@click.option("--sort", metavar="PROXY", help="Best first by this proxy.")
@click.option(
    "--explain",
    is_flag=True,
    help="Say what the scores mean: places among other networks, size, a verdict.",
)
@click.option(
    "--pool", default=50, show_default=True,
    help="Networks drawn from the space to compare with, for --explain.",
)  # fmt: skip
@click.option("--out", type=FilePath(), help="Table as .csv, .json or .parquet.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.option("--quiet", is_flag=True, help="No progress bars.")
@click.pass_context
def score_command(
    ctx: click.Context,
    items: tuple[str, ...],
    space: str,
    arch: str,
    skip_unknown: bool,
    sample: int | None,
    data: str,
    skip_broken: bool,
    proxies: str | None,
    preset: str | None,
    image_size: int | None,
    batch_size: int,
    seed: int,
    workers: int,
    timeout: float | None,
    sort: str | None,
    explain: bool,
    pool: int,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Score ITEMs untrained by zero-cost proxies.

    An ITEM is an architecture's text (a benchmark's official string, or JSON), a file with one per
    line (.txt, .json, or .csv and .parquet with a column arch), or my_net.py:function for any
    nn.Module.
    """
    from foretell.api import explain_scores, score
    from foretell.cli._items import gather
    from foretell.cli._progress import progress
    from foretell.cli._tables import show
    from foretell.data import skipping_broken
    from foretell.errors import NetworkError, UnknownNameError, UsageError
    from foretell.tables import check_table_path, write_table

    if out is not None:
        check_table_path(out)
    if batch_size < 2:
        raise UsageError(f"--batch-size must be at least 2, but is {batch_size}.")
    if workers < 1:
        raise UsageError(f"--workers must be at least 1, but is {workers}.")
    if explain and pool < 5:
        raise UsageError(f"--pool must be at least 5 networks to compare with, but is {pool}.")
    wanted = gather(items, space, sample, seed, arch, skip_unknown)
    names = None
    if proxies:
        names = list(dict.fromkeys(p.strip() for p in proxies.split(",") if p.strip()))
        if not names:
            raise UsageError(
                f"--proxies {proxies!r} names none: give names, or leave it out for all."
            )
    own_space = ctx.get_parameter_source("space") is not click.core.ParameterSource.DEFAULT
    explained = None
    with progress(quiet or as_json) as tell:
        run = score(
            wanted,
            names,
            space=space,
            data=skipping_broken(data) if skip_broken else data,
            image_size=image_size,
            preset=preset,
            batch_size=batch_size,
            seed=seed,
            workers=workers,
            timeout=timeout,
            on_progress=tell,
        )
        if sort is not None and sort not in run.scores.names:
            raise UnknownNameError("column to sort by", sort, [], run.scores.names)
        if explain:
            family = space if own_space else None
            explained = explain_scores(run, family=family, pool=pool, on_progress=tell)
    columns = run.columns()
    order = list(range(len(run.labels))) if sort is None else _order(columns[sort])
    table = {**columns, **(explained.columns() if explained else {})}
    if out is not None:
        write_table(out, _take(table, order))
        click.echo(f"Wrote {len(run.labels)} rows to {out}.", err=True)
    if as_json:
        _document(columns, explained, order)
    elif out is None and explained is not None:
        _show_explained(_title(run), [explained.networks[i] for i in order])
    elif out is None:
        show(_take(columns, order), False, title=_title(run))
    if failures := run.scores.failures:
        first = min(failures)
        raise NetworkError(
            f"{len(failures)} of {len(run.labels)} networks could not be scored, the first "
            f"{run.labels[first]!r}: {failures[first]}"
        )


def _order(values: "Sequence[object]") -> list[int]:
    """Indices, the highest value first and missing ones last."""

    def merit(i: int) -> float:
        value = values[i]
        return -value if isinstance(value, float) and value == value else float("inf")

    return sorted(range(len(values)), key=merit)


def _take(columns: "dict[str, Sequence[object]]", order: list[int]) -> "dict[str, list[object]]":
    return {key: [values[i] for i in order] for key, values in columns.items()}


def _document(
    columns: "dict[str, Sequence[object]]", explained: "ScoreExplanation | None", order: list[int]
) -> None:
    """One array, an object for each network."""
    from dataclasses import asdict

    from foretell.tables import plain

    rows: list[dict[str, object]] = []
    for i in order:
        row = {name: plain(values[i]) for name, values in columns.items()}
        if explained is not None:
            row["explanation"] = asdict(explained.networks[i])
        rows.append(row)
    document(rows)


def _show_explained(title: str, networks: "Sequence[Explained]") -> None:
    """A table for each network: its scores and their places, then the size, then the sentence."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.print(title, highlight=False)
    for row in networks:
        console.print()
        console.print(Text(row.label, style="bold"), soft_wrap=True)
        if row.reference:
            console.print(f"Places are among {row.reference}.", highlight=False)
        trained = any(isfinite(s.with_accuracy) for s in row.scores)
        table = Table(box=None, pad_edge=False)
        table.add_column("score", no_wrap=True)
        for name in ("value", "better", "place", "tau with size", *(["with accuracy"] * trained)):
            table.add_column(name, justify="right", no_wrap=True)
        for s in sorted(row.scores, key=lambda s: s.size):
            cells = [
                f"{s.name} (size)" if s.size else s.name,
                f"{s.value:.4g}" if isfinite(s.value) else "-",
                s.direction.split()[0],
                f"{s.percentile:.0%}" if isfinite(s.percentile) else "-",
                f"{s.with_params:+.2f}" if isfinite(s.with_params) else "-",
            ]
            if trained:
                cells.append(f"{s.with_accuracy:+.2f}" if isfinite(s.with_accuracy) else "-")
            table.add_row(*map(Text, cells))
        console.print(table)
        for reason in dict.fromkeys(
            s.reason for s in row.scores if s.reason not in ("", row.reason)
        ):
            about = ", ".join(s.name for s in row.scores if s.reason == reason)
            console.print(Text(f"{about}: {reason}", style="dim"))
        if found := row.expected:
            console.print(
                f"Expected accuracy {found.accuracy:.1%} ({found.level:.0%} interval "
                f"{found.low:.1%} to {found.high:.1%}); held-out predictions agree with trained "
                f"accuracies at Kendall's tau {found.kendall:.2f}.",
                highlight=False,
            )
            if isfinite(found.measured):
                console.print(f"The table measured {found.measured:.1%}.", highlight=False)
        elif row.not_expected and not row.reason:
            console.print(Text(row.not_expected, style="dim"))
        console.print(Text(row.verdict, style="green"))


def _title(run: "ScoreRun") -> str:
    return (
        f"{len(run.labels)} untrained networks, {run.task.name} "
        f"{'x'.join(map(str, run.task.input_shape))}, 2 batches of up to {run.batch_size}, "
        f"seed {run.seed}"
    )
