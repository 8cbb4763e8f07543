"""How long each proxy takes for one network of a table, alone."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from foretell.arch import Arch
from foretell.rng import stream
from foretell.spaces import Skeleton, Space
from foretell.studies.evaluation.facts import BASELINE
from foretell.studies.evaluation.targets import Column
from foretell.studies.run.threads import one_thread

__all__ = ["timed"]


def timed(
    columns: Sequence[Column],
    space: Space,
    archs: Sequence[Arch],
    skeleton: Skeleton,
    *,
    networks: int,
    batch_size: int,
    seed: int,
) -> tuple[list[Column], str]:
    """The columns with times where the table has none, and how they were measured.

    Args:
        columns: what is evaluated; those that this library cannot compute stay as they are.
        space: of the architectures.
        archs: the architectures.
        skeleton: the fixed part of their networks.
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
    with one_thread():
        if chosen:  # the first pass of a process pays for more than itself
            score(chosen[:1], ["grad_norm"], batches, skeleton=skeleton, seed=seed)
        for name in dict.fromkeys(c.proxy for c in columns):
            if chosen and name in proxies:
                seconds = []
                for arch in chosen:
                    start = time.process_time()
                    score([arch], [name], batches, skeleton=skeleton, seed=seed)
                    seconds.append(time.process_time() - start)
                found[name] = float(np.median(seconds))
    kept = [
        c
        if np.isfinite(c.seconds)
        else replace(c, seconds=closed if c.source == BASELINE else found.get(c.proxy, np.nan))
        for c in columns
    ]
    return kept, (
        f"CPU time: each proxy alone, median of {len(chosen)} networks, 2 batches of {batch_size} "
        f"images of {shape}, one thread; baselines by closed form for all networks at once."
    )
