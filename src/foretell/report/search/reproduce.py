"""What repeats the run, and where its time went."""

import math

from foretell.report._base import Block, Code, Grid, Pair, Pairs, Section, Shares
from foretell.report.html.format import duration, plain, shape
from foretell.report.search.data import RunData

__all__ = ["reproduce"]


def reproduce(run: RunData) -> Section:
    """The command, the settings, the versions and the time of every stage."""
    stages = {k: v for k, v in run.stages.items() if math.isfinite(v) and v > 0}
    blocks: list[Block] = [Code(run.command)]
    if stages:
        total = duration(math.fsum(stages.values()))
        texts = tuple(f"{k} {duration(v)}" for k, v in stages.items())
        blocks.append(Shares(f"Where the {total} went", tuple(stages.values()), texts))
    settings = Pairs(
        tuple(Pair(k, plain(v)) for k, v in run.settings.items()),
        title="Settings",
        empty="No settings were recorded.",
    )
    blocks.append(Grid((settings, _environment(run)), "two"))
    return Section(
        "reproduce",
        "Run it again",
        "The same command in the same folder resumes; in a new folder it repeats the run. Same "
        "seed, same result, on one machine and thread count.",
        tuple(blocks),
        link="Reproduce",
    )


def _environment(run: RunData) -> Pairs:
    task = run.task
    rows = (
        {}
        if task is None
        else {
            "data": ", ".join(dict.fromkeys(filter(None, (task.name, task.source)))),
            "images": f"{task.train:,} train, {task.val:,} validation, {task.test:,} test",
            "image shape": shape(task.input_shape),
            "classes": f"{task.classes}: {', '.join(task.class_names)}"
            if task.class_names
            else f"{task.classes}",
        }
    )
    rows["device"] = plain(run.device)
    pairs = [*rows.items(), *((k, plain(v)) for k, v in run.versions.items())]
    return Pairs(
        tuple(Pair(k, v) for k, v in pairs),
        title="Data, device and versions" if task else "Device and versions",
    )
