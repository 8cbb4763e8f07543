"""Judge proxies and predictors by a table of trained networks."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from foretell.cli._app import FilePath, document, examples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from foretell.studies.evaluate_predictors.study import PredictorEvaluation
    from foretell.studies.evaluate_proxies.study import ProxyEvaluation

__all__ = ["evaluate_command"]

_NUMBER = re.compile(r"[1-9]\d{0,9}")
_MOST = 10_000


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "foretell evaluate proxies digits-nb201",
        "foretell evaluate predictors digits-nb201",
    ),
)
def evaluate_command() -> None:
    """Judge predictions by a table of trained networks."""


@evaluate_command.command(
    "proxies",
    epilog=examples(
        "foretell evaluate proxies digits-nb201 --out runs/evaluation",
        "foretell evaluate proxies digits-nb201 --population alive --proxy nwot --proxy zico",
        "foretell evaluate proxies digits-nb201 --recompute --data digits --n 100",
    ),
)
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
@click.option("--level", default=0.95, show_default=True, help="Of the intervals.")
@click.option("--n", type=int, help="Look at this many networks, drawn at random [default: all].")
@click.option("--recompute", is_flag=True, help="Compute own proxies for them beside the table's.")
@click.option("--data", help="Images for --recompute, such as cifar10:PATH or digits.")
@click.option(
    "--skip-broken", is_flag=True, help="Leave out images that cannot be decoded, and list them."
)
@click.option("--preset", help="Skeleton for --recompute, such as small.")
@click.option("--batch-size", default=64, show_default=True, help="Images in each of two batches.")
@click.option("--time", default=0, help="Time each proxy, alone, on this many networks.")
@click.option("--seed", default=0, show_default=True, help="Of resamples, sample and weights.")
@click.option(
    "--workers", default=0, show_default=True, help="Processes for --recompute; 0 scores here."
)
@click.option(
    "--out", type=FilePath(),
    help="Run folder for report.html and CSVs; what was stopped there goes on.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def proxies_command(
    bench: str,
    targets: tuple[str, ...],
    proxies: tuple[str, ...],
    populations: tuple[str, ...],
    metric: str,
    bootstrap: int,
    level: float,
    n: int | None,
    recompute: bool,
    data: str | None,
    skip_broken: bool,
    preset: str | None,
    batch_size: int,
    time: int,
    seed: int,
    workers: int,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Correlate the proxies of BENCH, a table's name or file, with what training gave.

    Every dataset, every population, beside the free baselines: parameters, multiply-adds, and what
    is live of them.
    """
    from foretell.cli._progress import progress
    from foretell.cli._study import run_in_folder
    from foretell.data import skipping_broken
    from foretell.errors import UsageError
    from foretell.studies.evaluate_proxies.study import ProxiesConfig, evaluate

    if recompute != (data is not None):
        raise UsageError(
            "--recompute needs images: add --data cifar10:PATH, or --data digits."
            if recompute
            else "--data is for --recompute: add that, or leave --data out."
        )
    config = ProxiesConfig(
        benchmark=bench,
        targets=targets,
        proxies=proxies,
        populations=populations,
        metric=metric,
        bootstrap=bootstrap,
        level=level,
        n=n,
        data=skipping_broken(data) if data and skip_broken else data or "",
        preset=preset,
        batch_size=batch_size,
        time=time,
        seed=seed,
        workers=workers,
    )
    with progress(quiet or as_json or not (recompute or time)) as tell:
        if out is None:
            found = evaluate(config, on_progress=tell)
        else:
            found = run_in_folder(config, out, tell)
    if as_json:
        document(_json(found))
        return
    from rich.console import Console

    from foretell.report.evaluate_proxies.terminal import evaluation_summary

    console = Console()
    console.print(evaluation_summary(found, console.width))


def _json(found: "ProxyEvaluation") -> dict[str, object]:
    names = ("benchmark", "space", "n", "total", "kind", "samples", "level", "seed", "intervals",
             "skeleton", "data", "populations", "notes")  # fmt: skip
    return {
        **{name: getattr(found, name) for name in names},
        "correlations": _rows(found.correlations()),
        "choices": _rows(found.favourites()),
    }


def _rows(columns: "Mapping[str, Sequence[object]]") -> list[dict[str, object]]:
    from foretell.tables import plain

    lines = zip(*columns.values(), strict=True)
    return [dict(zip(columns, map(plain, line), strict=True)) for line in lines]


@evaluate_command.command(
    "predictors",
    epilog=examples(
        "foretell evaluate predictors digits-nb201 --out runs/predictors",
        "foretell evaluate predictors digits-nb201 --predictor gp --encoding graf --sizes 32",
    ),
)
@click.argument("bench", metavar="BENCH")
@click.option(
    "--predictor", "predictors", multiple=True, metavar="NAME",
    help="Again for more [default: gp, random_forest, bayes_linear].",
)  # fmt: skip
@click.option(
    "--encoding", "encodings", multiple=True, metavar="A+B+...",
    help="Encodings for every --predictor, again for more [default: graf, costs, the "
    "table's scores and onehot].",
)  # fmt: skip
@click.option(
    "--pair", "pairs", multiple=True, metavar="NAME:A+B",
    help="One more predictor, with an encoding of its own.",
)  # fmt: skip
@click.option(
    "--target", "targets", multiple=True, metavar="KEY",
    help="What to predict, or a pattern [default: the first accuracy].",
)  # fmt: skip
@click.option("--proxy", "proxies", multiple=True, metavar="NAME", help="In the scores [all].")
@click.option("--sizes", default="32,128", show_default=True, help="Of the train sets.")
@click.option("--seeds", default="5", show_default=True, help="How many, or 42-51, or 1,4,9.")
@click.option("--test", type=int, help="Networks to predict [default: all others].")
@click.option("--split", default="own", show_default=True, help="own, or sklearn as published.")
@click.option(
    "--population", default="all", show_default=True,
    help="alive, 'no unreachable op' or deduplicated.",
)  # fmt: skip
@click.option("--order", default="", metavar="KEY", help="Sort the table by this before the split.")
@click.option("--n", type=int, help="Draw from this many networks [default: all].")
@click.option("--level", default=0.0, help="Of conformal intervals, such as 0.9 [default: none].")
@click.option("--no-baselines", is_flag=True, help="Without params, flops and the best proxy.")
@click.option(
    "--workers", default=1, show_default=True, help="Processes of one thread each; 0 fits here."
)
@click.option("--timeout", type=float, help="Seconds that one fit may take; needs --workers.")
@click.option("--out", type=FilePath(), help="Folder for report.html and CSVs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def predictors_command(
    bench: str,
    predictors: tuple[str, ...],
    encodings: tuple[str, ...],
    pairs: tuple[str, ...],
    targets: tuple[str, ...],
    proxies: tuple[str, ...],
    sizes: str,
    seeds: str,
    test: int | None,
    split: str,
    population: str,
    order: str,
    n: int | None,
    level: float,
    no_baselines: bool,
    workers: int,
    timeout: float | None,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Learn from some networks of BENCH, a table's name or file, and predict the others.

    Every predictor with every encoding, train size, target and seed, all on the same splits. With
    --out, finished fits are kept: run it again to go on, or with more predictors, sizes or seeds.
    """
    from foretell.benchmarks import open_benchmark
    from foretell.cli._progress import progress
    from foretell.cli._study import run_in_folder
    from foretell.studies.evaluate_predictors.study import PredictorsConfig, evaluate_predictors

    config = PredictorsConfig(
        benchmark=bench,
        predictors=predictors,
        encodings=encodings,
        pairs=pairs,
        targets=targets,
        proxies=proxies,
        sizes=_numbers(sizes, "--sizes"),
        seeds=_numbers(f"0-{int(seeds) - 1}" if _NUMBER.fullmatch(seeds) else seeds, "--seeds"),
        test=test,
        split=split,
        population=population,
        order=order,
        n=n,
        level=level,
        baselines=not no_baselines,
        workers=workers,
        timeout=timeout,
    )
    with progress(quiet or as_json) as tell:
        if out is None:
            found = evaluate_predictors(open_benchmark(bench), config, on_progress=tell)
        else:
            found = run_in_folder(config, out, tell)
    if as_json:
        document(_predictors_json(found))
        return
    from rich.console import Console

    from foretell.report.evaluate_predictors.terminal import predictors_summary

    Console().print(predictors_summary(found))


def _numbers(text: str, option: str) -> tuple[int, ...]:
    """Numbers with commas between, and ranges such as 42-51 with both ends.

    Raises:
        UsageError: something else stands there.
    """
    from foretell.errors import UsageError

    found: list[int] = []
    for part in text.split(","):
        ends = re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", part.strip())
        if ends is None:
            raise UsageError(f"{option} should be numbers such as 32,128 or 42-51: {text!r}.")
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if not 0 <= last - first < _MOST:
            raise UsageError(f"{option} should rise, over {_MOST:,} numbers at most: {text!r}.")
        found += range(first, last + 1)
    return tuple(found)


def _predictors_json(found: "PredictorEvaluation") -> dict[str, object]:
    from dataclasses import asdict

    names = ("benchmark", "space", "n", "total", "population", "order", "split", "test", "level",
             "confidence", "sizes", "seeds", "proxies", "fits", "reused", "notes")  # fmt: skip
    failures = [{**asdict(f), "method": found.methods[f.method].name} for f in found.failures]
    return {
        **{name: getattr(found, name) for name in names},
        "encoding_seconds": dict(found.encoding_seconds),
        "cells": _rows(found.cells()),
        "each": _rows(found.each()),
        "failures": failures,
    }
