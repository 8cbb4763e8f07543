"""`foretell evaluate`: how good predictions are, judged by a table of trained networks."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from foretell.studies.evaluate_proxies import ProxyEvaluation

__all__ = ["evaluate_command"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def evaluate_command() -> None:
    """Judge predictions by a table of trained networks."""


@evaluate_command.command("proxies")
@click.argument("bench", metavar="BENCH")
@click.option(
    "--target", "targets", multiple=True, metavar="KEY",
    help="Truth to compare with, or a pattern such as 'cifar10/*' "
    "[default: validation and test accuracies].",
)  # fmt: skip
@click.option("--proxy", "proxies", multiple=True, metavar="NAME", help="Of the table [all].")
@click.option(
    "--population", "populations", multiple=True, metavar="NAME",
    help="all, alive, 'no unreachable op', deduplicated, 'top 100' [default: all of them].",
)  # fmt: skip
@click.option(
    "--metric", default="kendall", show_default=True, help="kendall, spearman or pearson."
)
@click.option("--bootstrap", default=200, show_default=True, help="Resamples; 0 for none.")
@click.option("--n", type=int, help="Look at this many networks, drawn at random [default: all].")
@click.option("--recompute", is_flag=True, help="Compute own proxies for them beside the table's.")
@click.option("--data", help="Images for --recompute, such as cifar10:PATH or digits.")
@click.option("--preset", help="Skeleton for --recompute, such as small.")
@click.option("--batch-size", default=64, show_default=True, help="Images in each of two batches.")
@click.option("--time", default=0, help="Time each proxy, alone, on this many networks.")
@click.option("--seed", default=0, show_default=True, help="Of resamples, sample and weights.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for report.html and CSVs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def proxies_command(
    bench: str,
    targets: tuple[str, ...],
    proxies: tuple[str, ...],
    populations: tuple[str, ...],
    metric: str,
    bootstrap: int,
    n: int | None,
    recompute: bool,
    data: str | None,
    preset: str | None,
    batch_size: int,
    time: int,
    seed: int,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Correlate the proxies of BENCH, a table's name or file, with what training gave.

    Every dataset, every population, beside the free baselines: parameters, multiply-adds, and what
    is live of them.
    """
    from foretell.benchmarks import open_benchmark
    from foretell.cli._progress import progress
    from foretell.errors import UsageError
    from foretell.studies.evaluate_proxies import Recompute, evaluate_proxies

    if recompute != (data is not None):
        raise UsageError(
            "--recompute needs images: add --data cifar10:PATH, or --data digits."
            if recompute
            else "--data is for --recompute: add that, or leave --data out."
        )
    wish = None
    if data is not None:
        wish = Recompute(data, preset=preset, batch_size=batch_size, folder=out)
    with progress(quiet or as_json or wish is None) as tell:
        found = evaluate_proxies(
            open_benchmark(bench),
            targets=targets or None,
            proxies=proxies or None,
            populations=populations or None,
            kind=metric,
            samples=bootstrap,
            seed=seed,
            n=n,
            recompute=wish,
            time=time,
            on_done=lambda done, total: tell("score", done, total),
        )
    _write(found, out, _command(bench))
    if as_json:
        click.echo(_json(found))
        return
    from rich.console import Console

    from foretell.report.evaluation_terminal import evaluation_summary

    console = Console()
    console.print(evaluation_summary(found, console.width))


def _write(found: "ProxyEvaluation", out: Path | None, command: str) -> None:
    if out is None:
        return
    from foretell.report.evaluation import write_evaluation

    files, left_out = write_evaluation(found, out, command)
    click.echo(f"Wrote {', '.join(f.name for f in files)} to {out}.", err=True)
    for sentence in left_out:
        click.echo(f"Without report.html: {sentence}", err=True)


def _command(bench: str) -> str:
    """The command line as it was typed, with the options that were given."""
    import shlex

    context = click.get_current_context()
    words = ["foretell", "evaluate", "proxies", bench]
    for option in context.command.params:
        name = option.name or ""
        given = context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE
        if not isinstance(option, click.Option) or not given:
            continue
        value = context.params[name]
        for one in value if isinstance(value, tuple) else (value,):
            words += [option.opts[0]] if option.is_flag else [option.opts[0], str(one)]
    return shlex.join(words)


def _json(found: "ProxyEvaluation") -> str:
    import json

    from foretell.tables import plain

    def rows(columns: object) -> list[dict[str, object]]:
        assert isinstance(columns, dict)
        lines = zip(*columns.values(), strict=True)
        return [dict(zip(columns, map(plain, line), strict=True)) for line in lines]

    names = ("benchmark", "space", "n", "total", "kind", "samples", "level", "seed", "intervals",
             "skeleton", "data", "populations", "notes")  # fmt: skip
    return json.dumps(
        {
            **{name: getattr(found, name) for name in names},
            "correlations": rows(found.correlations()),
            "choices": rows(found.favourites()),
        }
    )
