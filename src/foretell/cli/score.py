"""Score architectures or any nn.Module by zero-cost proxies, untrained."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from foretell.cli._app import examples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foretell.api import ScoreRun

__all__ = ["score_command"]


@click.command(
    epilog=examples(
        "foretell score --sample 5 --proxies params,synflow,nwot,zico --sort nwot",
        "foretell score tutorials/my_net.py:small tutorials/my_net.py:wide --out scores.csv",
    ),
)
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@click.option("--space", default="nb201", show_default=True, help="Name, or my_space.py:space.")
@click.option("--sample", type=int, help="Also score this many random architectures.")
@click.option(
    "--data", default="digits", show_default=True,
    help="digits, folder:PATH, npz:PATH, cifar10:PATH, cifar100:PATH or synthetic:3x32x32.",
)  # fmt: skip
@click.option("--proxies", metavar="A,B,...", help="Names [default: all].")
@click.option("--preset", help="Skeleton of the space, such as small.")
@click.option("--image-size", type=int, help="Resize images to this many pixels.")
@click.option("--batch-size", default=64, show_default=True, help="Images in each of two batches.")
@click.option("--seed", default=0, show_default=True, help="Of weights, batches and noise.")
@click.option("--workers", default=1, show_default=True, help="Processes that score.")
@click.option("--sort", metavar="PROXY", help="Best first by this proxy.")
@click.option("--out", type=click.Path(path_type=Path), help="Table as .csv, .json or .parquet.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.option("--quiet", is_flag=True, help="No progress bars.")
def score_command(
    items: tuple[str, ...],
    space: str,
    sample: int | None,
    data: str,
    proxies: str | None,
    preset: str | None,
    image_size: int | None,
    batch_size: int,
    seed: int,
    workers: int,
    sort: str | None,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Score ITEMs untrained by zero-cost proxies.

    An ITEM is an architecture's text (a benchmark's official string, or JSON), a file with one per
    line (.txt, .json, or .csv and .parquet with a column arch), or my_net.py:function for any
    nn.Module.
    """
    from foretell.api import score
    from foretell.cli._items import gather
    from foretell.cli._progress import progress
    from foretell.cli._tables import show
    from foretell.errors import NetworkError, UnknownNameError, UsageError
    from foretell.tables import check_table_path, write_table

    if out is not None:
        check_table_path(out)
    if batch_size < 2:
        raise UsageError(f"--batch-size must be at least 2, but is {batch_size}.")
    if workers < 1:
        raise UsageError(f"--workers must be at least 1, but is {workers}.")
    wanted = gather(items, space, sample, seed)
    names = [p.strip() for p in proxies.split(",") if p.strip()] if proxies else None
    with progress(quiet or as_json) as tell:
        run = score(
            wanted,
            names,
            space=space,
            data=data,
            image_size=image_size,
            preset=preset,
            batch_size=batch_size,
            seed=seed,
            workers=workers,
            on_progress=tell,
        )
    columns = run.columns()
    if sort is not None:
        if sort not in run.scores.names:
            raise UnknownNameError("column to sort by", sort, [], run.scores.names)
        columns = _sorted(columns, sort)
    if out is not None:
        write_table(out, columns)
        click.echo(f"Wrote {len(run.labels)} rows to {out}.", err=True)
    if as_json or out is None:
        show(columns, as_json, title=_title(run))
    if failures := run.scores.failures:
        first = min(failures)
        raise NetworkError(
            f"{len(failures)} of {len(run.labels)} networks could not be scored, the first "
            f"{run.labels[first]!r}: {failures[first]}"
        )


def _sorted(columns: "dict[str, Sequence[object]]", name: str) -> "dict[str, Sequence[object]]":
    def merit(i: int) -> float:
        value = columns[name][i]
        return -value if isinstance(value, float) and value == value else float("inf")

    order = sorted(range(len(columns[name])), key=merit)
    return {key: [values[i] for i in order] for key, values in columns.items()}


def _title(run: "ScoreRun") -> str:
    return (
        f"{len(run.labels)} untrained networks, {run.task.name} "
        f"{'x'.join(map(str, run.task.input_shape))}, 2 batches of up to {run.batch_size}, "
        f"seed {run.seed}"
    )
