"""The facade: one function for each thing that foretell does, for scripts and for the commands."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from foretell.data import Task
from foretell.errors import MissingExtraError
from foretell.report import RunData
from foretell.studies import (
    OnProgress,
    RunFolder,
    SearchConfig,
    SearchOutcome,
    run_search,
    silent,
)

__all__ = ["SearchResult", "find"]


@dataclass(frozen=True)
class SearchResult:
    """What a search leaves behind.

    Args:
        outcome: everything it found out.
        run: the same as tables, as the report shows it.
        files: what was written, relative to the run folder.
        left_out: what was not written, and why.
    """

    outcome: SearchOutcome
    run: RunData
    files: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.outcome.folder


def find(
    config: SearchConfig,
    out: Path | str,
    *,
    task: Task | None = None,
    on_progress: OnProgress = silent,
) -> SearchResult:
    """Find, train, attack and export the best network under a budget.

    Args:
        config: what to search, on what, under which constraints.
        out: the run folder; a search that is in there goes on.
        task: images that are in memory already; then ``config.data`` is not read, and trials run
            in this process.
        on_progress: told how far each stage is.

    Returns:
        The outcome; ``report.html``, ``trials.csv``, ``study.db`` and ``best/`` are in the folder.

    Raises:
        ForetellError: see ``foretell.studies.run_search``; what was finished is kept.

    >>> import foretell
    >>> config = foretell.SearchConfig(constraints=("params<=100k",), trials=8)
    >>> result = foretell.find(config, "runs/digits")  # doctest: +SKIP
    >>> result.outcome.final.result.test_accuracy > 0.98  # doctest: +SKIP
    True
    """
    from foretell.export import export_best
    from foretell.report import run_data, write
    from foretell.studies import use_task

    if task is not None:
        config = use_task(config, task)
    outcome = run_search(config, out, on_progress=on_progress)
    final = outcome.final
    folder = RunFolder(outcome.folder)
    on_progress("export", 0, 1)
    written = export_best(
        folder.best,
        final.module,
        arch=final.arch,
        skeleton=outcome.skeleton,
        task=outcome.task,
        recipe=final.recipe,
        seed=final.seed,
        result=final.result,
    )
    left_out = [] if any(p.name == "model.onnx" for p in written) else [_NO_ONNX]
    files = ["trials.csv", *(str(p.relative_to(outcome.folder)) for p in written)]
    folder.write_text("trials.csv", trials_csv(outcome))
    run = run_data(
        outcome, command=config.command(out), files=tuple(files), not_exported=tuple(left_out)
    )
    try:
        write(run, outcome.folder / "report.html")
        files.insert(0, "report.html")
    except MissingExtraError as error:
        left_out.append(str(error))
    on_progress("export", 1, 1)
    return SearchResult(outcome, run, tuple(files), tuple(left_out))


_NO_ONNX = "model.onnx needs the extra onnx: pip install 'foretell[onnx]'"


def trials_csv(outcome: SearchOutcome) -> str:
    """One row per trial, with its costs and scores, as CSV text."""
    pool = {a: i for i, a in enumerate(outcome.pool.archs)}
    scores = outcome.pool.scores
    archs = [outcome.arch_of(t) for t in outcome.trials]
    costs = outcome.book(archs)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    fixed = ["number", "arch", "state", "val_accuracy", "val_loss", "epochs", "seconds"]
    fixed += ["params", "flops", "memory", "predicted", "error", "message"]
    named = [name for name in scores if name not in fixed]
    table.writerow(fixed + named)
    for i, (trial, arch) in enumerate(zip(outcome.trials, archs, strict=True)):
        value = trial.value if trial.state == "done" else {}
        row: list[object] = [trial.number, outcome.space.format(arch), str(trial.state)]
        row += [value.get(key, "") for key in ("val_accuracy", "val_loss", "epochs")]
        row += ["" if trial.seconds is None else round(trial.seconds, 3)]
        row += [int(costs.params[i]), int(costs.flops[i]), int(costs.memory[i])]
        row += [trial.payload["predicted"], trial.error, trial.message]
        row += [float(scores[name][pool[arch]]) if arch in pool else "" for name in named]
        table.writerow(row)
    return text.getvalue()
