"""How fast a table of trained networks is: python experiments/tables.py.

Makes a table of the size of NATS-Bench's topology space (15,625 cells) with 80 metrics, without
and with whole curves, and prints the time to open it, to ask for all cells by `Arch` and by
official text, first and again, as wall and CPU milliseconds: medians of several runs.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from foretell.benchmarks import Metric, Table, TableData, write_table
from foretell.spaces import get_space


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU milliseconds that the action takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def told(what: str, runs: list[tuple[float, float]]) -> None:
    """One line: medians, and the slowest run."""
    wall, cpu = (statistics.median(values) for values in zip(*runs, strict=True))
    print(f"  {what:<34} wall {wall:7.2f} ms  CPU {cpu:7.2f} ms  worst {max(runs)[0]:7.2f} ms")


def made(curves: int) -> TableData:
    """Eighty metrics, so many of them with 3 seeds and 200 epochs."""
    space = get_space("nb201")
    archs = list(space.enumerate())
    rng = np.random.default_rng(0)
    metrics, values = {}, {}
    for i in range(80):
        whole = i < curves
        metric = Metric(
            f"m{i}",
            "cifar10",
            seeds=(777, 888, 999) if whole else (0,),
            epochs=tuple(range(1, 201)) if whole else (0,),
        )
        shape = (len(archs), len(metric.seeds), len(metric.epochs))
        metrics[metric.key] = metric
        values[metric.key] = rng.random(shape, dtype=np.float32)
    texts = [space.format(a) for a in archs]
    return TableData("made", texts, metrics, values, "nb201", np.array([a.genes for a in archs]))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    for curves in (0, 6):
        data = made(curves)
        with tempfile.TemporaryDirectory() as folder:
            path = write_table(data, Path(folder) / "made.foretell")
            print(f"{curves} of 80 metrics with curves, {path.stat().st_size / 1e6:.0f} MB")
            archs = list(get_space("nb201").enumerate())
            mixed = [archs[i] for i in np.random.default_rng(1).permutation(len(archs))]
            texts = list(data.texts)
            first: dict[str, list[tuple[float, float]]] = {}
            again: dict[str, list[tuple[float, float]]] = {}
            for _ in range(repeats):
                first.setdefault("open", []).append(timed(lambda p=path: Table.open(p)))
                for what, asked in (("Arch", archs), ("Arch, any order", mixed), ("text", texts)):
                    table = Table.open(path)
                    for runs in (first, again):
                        name = f"query 15,625, by {what}"
                        runs.setdefault(name, []).append(
                            timed(lambda t=table, a=asked: t.query(a, "cifar10/m0"))
                        )
                again.setdefault("query all rows", []).append(
                    timed(lambda t=table: t.query(None, "cifar10/m0"))
                )
                again.setdefault("verify", []).append(timed(table.verify))
            for what, runs in first.items():
                told(what if what == "open" else f"{what}, first", runs)
            for what, runs in again.items():
                told(what, runs)


if __name__ == "__main__":
    main()
