"""Scoring items: architectures, modules, and texts that lead to a module."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, TypeAlias

from foretell.arch import Arch
from foretell.data import Task
from foretell.registry import short_name
from foretell.spaces import Skeleton, Space
from foretell.studies.run.progress import Tracker

if TYPE_CHECKING:
    from torch import nn

    from foretell.proxies import Scores

__all__ = ["Item", "ScoreRun", "score_items"]

Item: TypeAlias = "Arch | str | nn.Module"
"""An architecture, ``file.py:function`` or ``module:function``, or a module."""


@dataclass(frozen=True)
class ScoreRun:
    """Scores of untrained networks, with what they were computed on.

    Args:
        labels: (n,) texts, as given or as the space formats them.
        scores: values (n, p), NaN where a proxy failed or the network is dead; failures by index.
        task: the images.
        batch_size: images in a batch.
        seed: of weights, batches and noise.
        items: (n,) what was scored.
        space: of the architectures among them.
        skeleton: what surrounds their genes.
        preset: by which name the skeleton was chosen; None for the default.
        workers: processes that scored.
        timeout: seconds that one network was given; None for no limit.
    """

    labels: tuple[str, ...]
    scores: "Scores"
    task: Task
    batch_size: int
    seed: int
    items: "tuple[Item, ...]"
    space: Space
    skeleton: Skeleton
    preset: str | None = None
    workers: int = 1
    timeout: float | None = None

    def columns(self) -> dict[str, Sequence[object]]:
        """A table with a row per network: arch, alive, one column per proxy, seconds, failure.

        A network that failed is not alive: nothing is known of it but its failure. The column
        ``reasons`` says why single values are missing. Where proxies of single layers do not see
        all weights of a network, ``unseen`` says which share of them.
        """
        scores, rows = self.scores, range(len(self.labels))
        partly = bool((scores.unseen > 0).any())
        return {
            "arch": self.labels,
            "alive": [bool(scores.alive[i]) and i not in scores.failures for i in rows],
            **{short_name(name): scores.column(name).tolist() for name in scores.names},
            **({"unseen": scores.unseen.tolist()} if partly else {}),
            "seconds": scores.seconds.tolist(),
            "failure": [scores.failures.get(i, "") for i in rows],
            "reasons": [self.reasons(i) for i in rows],
        }

    def reasons(self, index: int) -> str:
        """Why values of a network are missing, "proxy: sentence" one after the other."""
        why = self.scores.reasons
        return " ".join(
            f"{short_name(name)}: {why[index, name]}"
            for name in self.scores.names
            if (index, name) in why
        )


def score_items(
    items: "Sequence[Item]",
    names: Sequence[str],
    *,
    task: Task,
    skeleton: Skeleton,
    batch_size: int,
    seed: int,
    workers: int = 1,
    timeout: float | None = None,
    tell: Tracker,
    stage: str = "score",
) -> "Scores":
    """Score items in one shared pass each; one that fails costs its own row only.

    Args:
        items: what to score.
        names: of the proxies.
        task: the images.
        skeleton: what surrounds the genes of architectures.
        batch_size: images in each of two batches.
        seed: of weights, batches and noise.
        workers: processes that score; 1 scores here.
        timeout: seconds that one network may take; see ``foretell.proxies.score``.
        tell: told how many are done.
        stage: under which name.

    Raises:
        ForetellError: a name or the data are at fault.
    """
    from foretell.networks import build_module
    from foretell.proxies import make_batches, score

    networks: list[Arch | nn.Module | Callable[[], nn.Module]] = [
        partial(build_module, item, input_shape=task.input_shape, classes=task.classes, seed=seed)
        if isinstance(item, str)
        else item
        for item in items
    ]
    batches = make_batches(task, batch_size=batch_size, count=2, seed=seed)
    tell(stage, 0, len(networks))
    done = count(1)
    return score(
        networks,
        tuple(names),
        batches,
        skeleton=skeleton,
        seed=seed,
        workers=workers,
        timeout=timeout,
        on_done=lambda _: tell(stage, next(done), len(networks)),
    )
