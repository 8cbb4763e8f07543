"""How fast the store and the executors are: python experiments/store.py.

Prints the time to write and read scores, the time per trial of claim and finish, and what one claim
costs in an executor, each as the median and the best of several runs in a fresh folder.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from foretell.execution import Claim, InlineExecutor, PoolExecutor, drain
from foretell.store import Result, State, Store


def echo(payload: object) -> object:
    """The function that costs nothing."""
    return payload


def timed(action: Callable[[], object]) -> float:
    """Seconds that the action takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def both(action: Callable[[], object]) -> tuple[float, float]:
    """Seconds that the action takes, and those this process computes for it."""
    begin = time.process_time()
    return timed(action), time.process_time() - begin


def scores(folder: Path, rows: int, names: int, *, exact: bool) -> tuple[float, ...]:
    """Seconds to write, with those of computing, the same to read, bytes of the file."""
    path = folder / "scores.db"
    values = np.random.default_rng(0).normal(size=(rows, names))
    keys = [f"nb201:{i % 5}.3.0.1.2.{i}" for i in range(rows)]
    columns = [f"proxy{i}" for i in range(names)]
    with Store(path) as store:
        store.put_study("s", {})
        write = both(lambda: store.put_scores("s", "p", keys, columns, values, exact=exact))
    with Store(path) as store:
        read = both(lambda: store.scores("s", "p"))
    size = path.stat().st_size
    path.unlink()
    return *write, *read, size


def trials(folder: Path, count: int, **options: str) -> float:
    """Milliseconds for one claim and one finish."""
    path = folder / "trials.db"
    value = {"val_accuracy": [0.1] * 12, "test_accuracy": 0.98, "seconds": 1.25}
    with Store(path, **options) as store:  # type: ignore[arg-type]
        store.put_study("s", {})
        store.add_trials("s", [(f"k{i}", {"genes": [0, 1, 2, 3, 4, i]}) for i in range(count)])

        def run() -> None:
            while found := store.claim("s", "me"):
                store.finish(found[0], Result(found[0].id, State.done, value))

        seconds = timed(run)
    path.unlink()
    return seconds / count * 1000


def drained(folder: Path, count: int) -> float:
    """Milliseconds for one trial through ``drain`` and an inline executor."""
    path = folder / "drain.db"
    with Store(path) as store:
        store.put_study("s", {})
        store.add_trials("s", [(f"k{i}", i) for i in range(count)])
        seconds = timed(lambda: sum(1 for _ in drain(store, "s", InlineExecutor(echo))))
    path.unlink()
    return seconds / count * 1000


def pooled(workers: int, count: int) -> tuple[float, float]:
    """Seconds until a pool's first result, and milliseconds for each claim after it."""
    with PoolExecutor(echo, workers) as pool:
        first = timed(lambda: list(pool.map(Claim(i, i) for i in range(workers))))
        rest = timed(lambda: sum(1 for _ in pool.map(Claim(i, i) for i in range(count))))
    return first, rest / count * 1000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--names", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write; by default a temporary folder")
    options = parser.parse_args()
    repeats = range(options.repeats)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        for exact in (False, True):
            runs = [scores(folder, options.rows, options.names, exact=exact) for _ in repeats]
            write, write_cpu, read, read_cpu, size = zip(*runs, strict=True)
            kind = "float64" if exact else "float32"
            print(f"{options.rows:,} x {options.names} scores as {kind}, {size[0] / 1e6:.0f} MB:")
            print(f"  write {shown(write, 's')}, CPU {statistics.median(write_cpu):.2f} s")
            print(f"  read {shown(read, 's')}, CPU {statistics.median(read_cpu):.2f} s")
        print("claim + finish of one trial:")
        for label, arguments, count in (
            ("WAL, survives kill -9 (default)", {}, 2000),
            ("WAL, survives a power cut", {"durability": "power"}, 200),
            ("rollback journal, for network disks", {"journal": "delete"}, 100),
        ):
            print(
                f"  {label}: {shown([trials(folder, count, **arguments) for _ in repeats], 'ms')}"
            )
        print(f"drain, inline, each trial: {shown([drained(folder, 2000) for _ in repeats], 'ms')}")
        first, each = zip(*(pooled(2, 1000) for _ in repeats), strict=True)
        print(
            f"pool of 2 workers: first result after {shown(first, 's')}, then {shown(each, 'ms')}"
        )


def shown(values: Sequence[float], unit: str) -> str:
    """Median and best of several runs."""
    return f"{statistics.median(values):.2f} {unit} (best {min(values):.2f})"


if __name__ == "__main__":
    main()
