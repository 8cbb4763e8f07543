"""How long each proxy takes for one network of a table, alone."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from foretell.arch import Arch
from foretell.rng import stream
from foretell.spaces import Skeleton, Space
from foretell.studies.evaluation.facts import BASELINE
from foretell.studies.evaluation.targets import Column
from foretell.studies.run.progress import Tracker
from foretell.studies.run.threads import one_thread

__all__ = ["Times", "measure"]


@dataclass(frozen=True)
class Times:
    """CPU seconds for one network.

    Args:
        seconds: name of a proxy -> median over networks.
        closed: of a baseline by closed form.
        note: how they were measured.
    """

    seconds: Mapping[str, float]
    closed: float
    note: str

    def given_to(self, columns: Sequence[Column]) -> list[Column]:
        """The columns with times where they have none; NaN for what is not computed here."""
        return [
            c
            if np.isfinite(c.seconds)
            else replace(
                c,
                seconds=self.closed if c.source == BASELINE else self.seconds.get(c.proxy, np.nan),
            )
            for c in columns
        ]


def measure(
    names: Sequence[str],
    space: Space,
    archs: Sequence[Arch],
    skeleton: Skeleton,
    tell: Tracker,
    *,
    networks: int,
    batch_size: int,
    seed: int,
) -> Times:
    """Measure proxies, each alone; those that this library cannot compute are left out.

    Args:
        names: of the proxies.
        space: of the architectures.
        archs: the architectures.
        skeleton: the fixed part of their networks.
        tell: told how many proxies are measured.
        networks: how many living ones to time each proxy on, drawn by the seed.
        batch_size: images in each of two batches.
        seed: of the draw.
    """
    from foretell.data import load_task
    from foretell.proxies import make_batches, proxies, score

    living = np.flatnonzero(space.alive(archs))
    drawn = stream(seed, "time").permutation(living)[:networks]
    chosen = [archs[i] for i in drawn.tolist()]
    shape = "x".join(map(str, skeleton.input_shape))
    task = load_task(f"synthetic:{shape}x{skeleton.classes}", seed=seed)
    batches = make_batches(task, batch_size=batch_size, count=2, seed=seed)
    start = time.process_time()  # what else the machine does is not the proxy's cost
    space.costs(archs, skeleton)
    closed = (time.process_time() - start) / max(len(archs), 1)
    found: dict[str, float] = {}
    unique = list(dict.fromkeys(names))
    with one_thread():
        if chosen:  # the first pass of a process pays for more than itself
            score(chosen[:1], ["grad_norm"], batches, skeleton=skeleton, seed=seed)
        for done, name in enumerate(unique):
            tell("time", done, len(unique))
            if chosen and name in proxies:
                seconds = []
                for arch in chosen:
                    start = time.process_time()
                    score([arch], [name], batches, skeleton=skeleton, seed=seed)
                    seconds.append(time.process_time() - start)
                found[name] = float(np.median(seconds))
    tell("time", len(unique), len(unique))
    return Times(
        found,
        closed,
        f"CPU time: each proxy alone, median of {len(chosen)} networks, 2 batches of {batch_size} "
        f"images of {shape}, one thread; baselines by closed form for all networks at once.",
    )
