"""Find, train, attack and export the best network under a budget."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from foretell.cli._app import FilePath, document, examples

if TYPE_CHECKING:
    from foretell.api import SearchResult

__all__ = ["search_command"]


def _list(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


@click.command(
    epilog=examples(
        "foretell search --max-params 100k --workers 2 --out runs/digits",
        "foretell search --data folder:photos --image-size 24 --max-flops 2M --out runs/photos",
        "foretell search --objective accuracy,latency@torch --prefer knee --out runs/fast",
    ),
)
@click.option("--space", default="nb201", show_default=True, help="Name, or my_space.py:space.")
@click.option(
    "--data", default="digits", show_default=True,
    help="digits, folder:PATH, npz:PATH, cifar10:PATH, cifar100:PATH or synthetic:3x32x32.",
)  # fmt: skip
@click.option(
    "--skip-broken", is_flag=True, help="Leave out images that cannot be decoded, and list them."
)
@click.option(
    "--out", type=FilePath(), default=Path("runs/search"), show_default=True,
    help="Run folder; a search that is in there goes on.",
)  # fmt: skip
@click.option("--max-params", metavar="N", help="Most parameters, such as 300k.")
@click.option("--max-flops", metavar="N", help="Most multiply-adds of one image, such as 5M.")
@click.option("--max-memory", metavar="N", help="Most activation memory, such as 64KiB.")
@click.option(
    "--objective", default="accuracy", show_default=True, metavar="A,B,...",
    help="What to optimise, such as accuracy,latency@onnxruntime; see foretell list quantities.",
)  # fmt: skip
@click.option(
    "--prefer", default="knee", show_default=True, metavar="knee|OBJECTIVE",
    help="Which point of the front of several objectives wins.",
)  # fmt: skip
@click.option(
    "--constraint", multiple=True, metavar="TEXT",
    help='Such as "10k<=params<=90%ref", "latency@torch<=4ms" or "pgd@8>=60%".',
)  # fmt: skip
@click.option("--reference", metavar="ARCH", help="Architecture that shares (%ref) refer to.")
@click.option("--searcher", default="robot", show_default=True, help="Name, or mine.py:Mine.")
@click.option("--proxies", metavar="A,B,...", help="Proxies that score the pool.")
@click.option("--pool", default=300, show_default=True, help="Networks scored untrained.")
@click.option("--trials", default=16, show_default=True, help="Networks trained briefly.")
@click.option("--round", "round_", default=2, show_default=True, help="Trials asked for at once.")
@click.option("--epochs", type=int, help="Length of a trial's training.")
@click.option("--final-epochs", type=int, help="Length of the winner's training.")
@click.option("--lr", type=float, help="Learning rate.")
@click.option(
    "--baselines", default=0, show_default=True, metavar="N",
    help="Random networks, and the biggest, trained to say what the search won.",
)  # fmt: skip
@click.option(
    "--attacks", default="fgsm,pgd", show_default=True, help="On the winner; '' for none."
)
@click.option("--no-onnx", is_flag=True, help="Export no ONNX model.")
@click.option(
    "--preset", metavar="NAME|CxN|auto",
    help="Skeleton of the space: small, 12x1 (channels x cells), or auto: by the limits.",
)  # fmt: skip
@click.option("--image-size", type=int, help="Resize images to this many pixels.")
@click.option("--seed", default=0, show_default=True, help="Everything random follows from it.")
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
@click.option("--workers", default=0, show_default=True, help="Processes; 0 trains in this one.")
@click.option("--timeout", type=float, help="Seconds after which a network is given up.")
@click.option("--memory-limit", metavar="N", help="Most memory of a worker, such as 4GiB.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quiet", is_flag=True, help="No progress bars.")
def search_command(
    space: str,
    data: str,
    skip_broken: bool,
    out: Path,
    max_params: str | None,
    max_flops: str | None,
    max_memory: str | None,
    objective: str,
    prefer: str,
    constraint: tuple[str, ...],
    reference: str | None,
    searcher: str,
    proxies: str | None,
    pool: int,
    trials: int,
    round_: int,
    epochs: int | None,
    final_epochs: int | None,
    lr: float | None,
    baselines: int,
    attacks: str,
    no_onnx: bool,
    preset: str | None,
    image_size: int | None,
    seed: int,
    device: str,
    workers: int,
    timeout: float | None,
    memory_limit: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Find, train, attack and export the best network under a budget.

    Draws a pool of architectures, drops what breaks a constraint, scores the rest untrained, trains
    the most promising ones briefly and the winner in full, attacks it, and writes a run folder with
    report.html, best/ (weights, train.py, ONNX), trials.csv and study.db. The same command again
    resumes.
    """
    from foretell.api import find
    from foretell.cli._progress import progress
    from foretell.data import skipping_broken
    from foretell.studies import DEFAULT_PROXIES, SearchConfig

    limits = {"params": max_params, "flops": max_flops, "memory": max_memory}
    config = SearchConfig(
        space=space,
        data=skipping_broken(data) if skip_broken else data,
        image_size=image_size,
        preset=preset,
        objectives=_list(objective),
        prefer=prefer,
        constraints=(*(f"{k}<={v}" for k, v in limits.items() if v is not None), *constraint),
        reference=reference,
        searcher=searcher,
        proxies=_list(proxies) or DEFAULT_PROXIES,
        pool=pool,
        trials=trials,
        round=round_,
        epochs=epochs,
        final_epochs=final_epochs,
        lr=lr,
        baselines=baselines,
        attacks=_list(attacks),
        onnx=not no_onnx,
        seed=seed,
        device=device,
        workers=workers,
        timeout=timeout,
        memory_limit=memory_limit,
    )
    with progress(quiet or as_json) as tell:
        result = find(config, out, on_progress=tell)
    if as_json:
        document(_numbers(result))
    else:
        from rich.console import Console

        from foretell.report import summary

        Console().print(summary(result))
        click.echo(f"Results are in {result.folder}: open report.html first.")
        for line in result.left_out:
            click.echo(f"Left out: {line}")


def _numbers(result: "SearchResult") -> dict[str, object]:
    winner, resumed = result.winner, result.resumed
    if winner is None:  # not after a run: it ends with a winner or an error
        return {"folder": result.folder}
    tables = {
        name: [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
        for name, table in result.tables().items()
        if name != "trials"
    }
    row = next(r for r in result.trials if r.number == winner.number)
    return {
        "arch": winner.arch,
        "test_accuracy": winner.test_accuracy,
        "val_accuracy": winner.val_accuracy,
        "params": int(winner.params),
        "flops": int(winner.flops),
        "memory": int(winner.memory),
        "values": dict(row.values),
        "robustness": {a: {str(e): v for e, v in r.items()} for a, r in winner.robustness.items()},
        **tables,
        "trials": len(result.trials),
        "failed": sum(r.state not in ("done", "infeasible") for r in result.trials),
        "infeasible": sum(r.state == "infeasible" for r in result.trials),
        "reused_trials": resumed.trials if resumed else 0,
        "reused_scores": resumed.scores if resumed else 0,
        "folder": result.folder,
        "files": list(result.files),
        "left_out": list(result.left_out),
        "notes": list(result.notes),
    }
