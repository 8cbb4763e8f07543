"""CPU seconds of what a search asks of a whole space: costs, liveness, graphs and hashes.

    python benchmarks/spaces.py

Medians of five calls, one thread.
"""

import statistics
import time
from collections.abc import Callable

from foretell.spaces import NB201, SizeSpace


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def main() -> None:
    cells, sizes = NB201(), SizeSpace()
    archs, nets = list(cells.enumerate()), list(sizes.enumerate())
    rows = {
        f"{len(archs):,} nb201 costs and liveness": lambda: cells.costs(archs, cells.skeleton()),
        f"{len(archs):,} nb201 liveness alone": lambda: cells.alive(archs),
        f"{len(nets):,} size costs": lambda: sizes.costs(nets, sizes.skeleton()),
        f"{len(archs):,} nb201 graphs and hashes": lambda: [cells.graph(a).hash() for a in archs],
    }
    for name, work in rows.items():
        print(f"{seconds(work):8.3f} CPU-s  {name}")


if __name__ == "__main__":
    main()
