"""CPU seconds of what a search asks of a whole space: costs, liveness, graphs and hashes.

    python experiments/spaces.py
    python experiments/spaces.py --hashes

Medians of five calls, one thread. The second form counts the graph hashes of all NAS-Bench-101
cells, in about two minutes.
"""

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Callable

import numpy as np

from foretell.encodings import graf
from foretell.spaces import NB101, NB201, Darts, SizeSpace
from foretell.spaces.dag.cells import all_keys


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hashes", action="store_true")
    if parser.parse_args().hashes:
        counts = Counter(NB101().graph(arch).hash() for arch in NB101().enumerate())
        shared = [n for n in counts.values() if n > 1]
        print(
            f"{counts.total():,} cells of nb101 have {len(counts):,} graph hashes; {len(shared):,} "
            f"of these stand for {sum(shared):,} cells"
        )
        return
    rng, dags, pairs = np.random.default_rng(0), NB101(), Darts()
    some = [dags.sample(rng) for _ in range(1000)]
    genotypes = [pairs.sample(rng) for _ in range(1000)]
    cells, sizes = NB201(), SizeSpace()
    archs, nets = list(cells.enumerate()), list(sizes.enumerate())
    rows = {
        f"{len(archs):,} nb201 costs and liveness": lambda: cells.costs(archs, cells.skeleton()),
        f"{len(archs):,} nb201 liveness alone": lambda: cells.alive(archs),
        f"{len(nets):,} size costs": lambda: sizes.costs(nets, sizes.skeleton()),
        f"{len(archs):,} nb201 graphs and hashes": lambda: [cells.graph(a).hash() for a in archs],
        "all nb101 cells enumerated": lambda: all_keys.__wrapped__(),
    }
    for space, few in ((dags, some), (pairs, genotypes)):
        texts = [space.format(a) for a in few]
        rows |= {
            f"1,000 {space.name} drawn": lambda s=space: [s.sample(rng) for _ in range(1000)],
            f"1,000 {space.name} parsed": lambda s=space, t=texts: [s.parse(x) for x in t],
            f"1,000 {space.name} mutated": lambda s=space, f=few: [s.mutate(a, rng) for a in f],
            f"1,000 {space.name} graphs and hashes": lambda s=space, f=few: [
                s.graph(a).hash() for a in f
            ],
            f"1,000 {space.name} graf of new graphs": lambda s=space, f=few: graf(
                [s.graph(a) for a in f]
            ),
        }
    for name, work in rows.items():
        print(f"{seconds(work):8.3f} CPU-s  {name}")


if __name__ == "__main__":
    main()
