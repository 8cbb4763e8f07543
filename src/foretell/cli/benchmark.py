"""List, import, download and build tables of trained networks."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from foretell.cli._app import FilePath, document, examples

if TYPE_CHECKING:
    from foretell.spaces.rows import Duplicates
    from foretell.types import Json

__all__ = ["benchmark_command"]


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "foretell benchmark list",
        "foretell benchmark info digits-nb201",
    ),
)
def benchmark_command() -> None:
    """Tables of trained networks: the truth that predictions are judged by."""


@benchmark_command.command(
    "list",
    epilog=examples(
        "foretell benchmark list",
        "foretell benchmark list --json",
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def list_benchmarks(as_json: bool) -> None:
    """List the benchmarks that are here, and those that can be had."""
    from foretell.benchmarks import benchmarks, imported
    from foretell.cli._benchmarks import known_of, lay_out

    rows = [known_of(n) for n in (*benchmarks, *(n for n in imported() if n not in benchmarks))]
    if as_json:
        document(rows)
        return
    columns = ("name", "here", "architectures", "space", "summary")
    lay_out(columns, [[row[c] for c in columns] for row in rows])
    click.echo("\n'foretell benchmark info NAME' says what a table holds, and how to get it.")


@benchmark_command.command(
    epilog=examples(
        "foretell benchmark info digits-nb201",
    ),
)
@click.argument("name", metavar="NAME|FILE")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(name: str, as_json: bool) -> None:
    """Say what a benchmark holds, or how to get it.

    All of its file is read, so that a damaged one is found.
    """
    from foretell.benchmarks import benchmarks, imported, open_benchmark
    from foretell.cli._benchmarks import cell, contents_of, known_of, lay_out

    known: dict[str, Json] = {"name": name, "here": True, "file": name}
    if name in (*benchmarks, *imported()):
        known = known_of(name)
    if known["here"]:
        known.update(contents_of(open_benchmark(name)))
    if as_json:
        document(known)
        return
    metrics, links = known.pop("metrics", []), known.pop("links", [])
    facts = known.pop("facts", {})
    for key, value in {**known, **facts}.items():
        if value not in ("", None):
            click.echo(f"{key:<14} {cell(value)}")
    if metrics:
        click.echo()
        lay_out(
            ("metric", "unit", "seeds", "epochs", "measured", "min", "max"),
            [[v for k, v in m.items() if k != "kind"] for m in metrics],
        )
    for link in links:
        click.echo(f"\n{link['file']}  {link['about']}\n  {link['url']}")


@benchmark_command.command(
    epilog=examples(
        'foretell benchmark query digits-nb201 digits/test_accuracy "|skip_connect~0|'
        '+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_1x1~1|nor_conv_1x1~2|"',
    ),
)
@click.argument("name", metavar="NAME|FILE")
@click.argument("metric")
@click.argument("archs", nargs=-1, required=True, metavar="ARCH...")
@click.option("--epoch", type=int, help="After so many epochs [default: the last].")
@click.option("--seed", type=int, help="Of one run [default: the mean over all].")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def query(
    name: str,
    metric: str,
    archs: tuple[str, ...],
    epoch: int | None,
    seed: int | None,
    as_json: bool,
) -> None:
    """Look up a METRIC of architectures.

    An ARCH is any text that the table's space reads, such as the benchmark's official string.
    """
    from foretell.benchmarks import open_benchmark
    from foretell.cli._tables import show

    opened = open_benchmark(name)
    values = opened.query(archs, metric, epoch=epoch, seed=seed)
    unit = opened.metric(metric).unit
    show(
        {"arch": archs, metric: values.tolist()},
        as_json,
        title=f"{opened.name}: {metric}{f' in {unit}' if unit else ''}",
    )


@benchmark_command.command(
    "import",
    epilog=examples(
        "foretell benchmark import nats-tss NATS-tss-v1_0-3ffb9-simple --name tss",
        "foretell benchmark import csv measured.csv --space nb201 --arch arch",
    ),
)
@click.argument("format_name", metavar="FORMAT")
@click.argument("source", type=FilePath())
@click.option("--name", help="What to call the table [default: the format's own name].")
@click.option("--out", type=FilePath(), help="File to write [default: NAME.foretell at home].")
@click.option("--arch", help="For csv and parquet: the column that names the networks.")
@click.option("--space", help="For csv, parquet and transnas: the space of the names.")
@click.option(
    "--duplicates", type=click.Choice(["mean", "first", "refuse"]),
    help="For csv and parquet: what to do with several rows about one network [default: refuse].",
)  # fmt: skip
@click.option(
    "--skip-unknown", is_flag=True,
    help="For csv and parquet: leave out rows that name no architecture of --space.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def import_table(
    format_name: str,
    source: Path,
    name: str | None,
    out: Path | None,
    arch: str | None,
    space: str | None,
    duplicates: str | None,
    skip_unknown: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Keep an official file or folder as a table.

    FORMAT is a name such as nats-tss, nb101 or csv: 'foretell list importers' gives all, and which
    file or folder SOURCE should be. Nothing in it is run.
    """
    from foretell.benchmarks import import_benchmark
    from foretell.cli._progress import progress
    from foretell.studies.run.progress import Tracker

    with progress(quiet or as_json) as tell:
        track = Tracker(tell)
        path = import_benchmark(
            format_name,
            source,
            name=name,
            out=out,
            arch=arch,
            space=space,
            duplicates=cast("Duplicates | None", duplicates),
            skip_unknown=skip_unknown,
            progress=lambda done, total: track("read", done, max(done, total)),
        )
    _wrote(path, as_json)


@benchmark_command.command(
    epilog=examples(
        "foretell benchmark download nb101",
        "foretell benchmark download nb101 --to tables",
    ),
)
@click.argument("name")
@click.option("--to", "folder", type=FilePath(), help="Folder to put the file in.")
@click.option("--file", help="Which of its files [default: the first that info lists].")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def download(name: str, folder: Path | None, file: str | None, as_json: bool, quiet: bool) -> None:
    """Download the official file of NAME.

    A stopped download goes on where it was. The file is verified where its publisher gives a check
    sum. Some hosts need a browser: then it says which address to open and what to run next.
    """
    from foretell.benchmarks import download_benchmark
    from foretell.cli._progress import progress
    from foretell.studies.run.progress import Tracker

    def megabytes(done: int, total: int) -> None:
        track("download (MB)", done // 10**6, max(done, total) // 10**6)

    with progress(quiet or as_json) as tell:
        track = Tracker(tell)
        path = download_benchmark(name, folder, file=file, progress=megabytes)
    if as_json:
        document({"file": str(path)})
        return
    click.echo(f"{path}\nNow run: foretell benchmark import {name} {path}")


@benchmark_command.command(
    epilog=examples(
        "foretell benchmark build digits-nb201 --cells 8 --epochs 2 --out small.foretell",
        "foretell benchmark build clutter-nb201 --workers 2",
    ),
)
@click.argument("name", metavar="NAME")
@click.option("--cells", type=int, help="How many to train [default: those of the table].")
@click.option("--epochs", type=int, help="Length of each training [default: that of the table].")
@click.option("--workers", default=1, show_default=True, help="Processes.")
@click.option("--out", type=FilePath(), help="File to write [default: NAME.foretell].")
@click.option("--work", type=FilePath(), help="Run folder [default: OUT.runs].")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def build(
    name: str,
    cells: int | None,
    epochs: int | None,
    workers: int,
    out: Path | None,
    work: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train an embedded benchmark again: digits-nb201 or clutter-nb201.

    The same command goes on where it stopped, and makes the same numbers, seconds apart.
    """
    from msgspec.structs import replace

    from foretell.cli._progress import progress
    from foretell.cli._study import run_in_folder
    from foretell.studies.build_benchmark.config import plan_of

    plan = plan_of(name)
    config = replace(
        plan,
        cells=plan.cells if cells is None else cells,
        epochs=plan.epochs if epochs is None else epochs,
        file=plan.file if out is None else str(out),
        workers=workers,
    )
    path = Path(config.file)
    with progress(quiet or as_json) as tell:
        run_in_folder(config, work or path.with_suffix(".runs"), tell)
    _wrote(path, as_json)


def _wrote(path: Path, as_json: bool) -> None:
    """Say what was written, after reading it back."""
    from foretell.benchmarks import Table, table_path

    table = Table.open(path)
    if as_json:
        facts = {"file": str(path), "name": table.name, "architectures": len(table)}
        document({**facts, "metrics": list(table.metrics)})
        return
    click.echo(
        f"{path}: {len(table):,} architectures, {len(table.metrics)} metrics, "
        f"{path.stat().st_size / 1e6:.1f} MB.\nLook at it: foretell benchmark info "
        f"{table.name if path == table_path(table.name) else path}"
    )
