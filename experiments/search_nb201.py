"""Searchers on NAS-Bench-201, CIFAR-10, with published accuracies and proxy scores.

The answer of a search is the trained network of best validation accuracy. Printed are, after some
numbers of trials, its mean test accuracy and, in brackets, its median rank among all 15,625
networks; then CPU seconds a run. On the pool of all 9,445 networks the seed does not matter to
"robot".

    OMP_NUM_THREADS=1 python experiments/search_nb201.py --seeds 20

Needs duckdb and the validation data (nb201.parquet).
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np

from foretell.rng import stream
from foretell.search import Problem, PublishedRobotSearch, Searcher, searchers
from foretell.spaces import get_space
from foretell.types import Array

ALL = (
    "epe_nas", "fisher", "flops", "grad_norm", "grasp", "jacov", "l2_norm", "nwot", "params",
    "plain", "snip", "synflow", "zen",
)  # fmt: skip
SIX = ("grad_norm", "snip", "grasp", "fisher", "synflow", "jacov")
OBJECTIVES = {"12-epoch": "valid12_acc_cifar10", "200-epoch val": "val_acc_cifar10_nbsz"}
Make = Callable[[Problem, np.random.Generator, int], Searcher]


def published(normalise: str) -> Make:
    return lambda problem, rng, budget: PublishedRobotSearch(
        problem, rng, explore=budget, normalise=normalise
    )


def registered(name: str) -> Make:
    return lambda problem, rng, budget: searchers[name](problem, rng)


MAKERS: dict[str, Make] = {
    "random": registered("random"),
    "local": registered("local"),
    "evolution": registered("evolution"),
    "robot-published": published("min-max"),
    "robot-published, ranks": published("rank"),
    "robot": registered("robot"),
}
PER_BUDGET = ("robot-published", "robot-published, ranks")
"""Whose exploration depends on the budget: a run for each."""


def load(folder: Path) -> dict[str, Array]:
    """Column -> (9,445,) values, and "all" -> test accuracies of the 15,625."""
    source = f"'{folder / 'nb201.parquet'}'"
    with duckdb.connect() as base:
        wanted = [f"zcs_{p}_cifar10" for p in ALL] + [*OBJECTIVES.values(), "test_acc_cifar10"]
        rows = base.sql(
            f"select arch, {', '.join(wanted)} from {source} "
            "where zcs_params_cifar10 is not null order by suite_row"
        ).fetchnumpy()
        every = base.sql(f"select test_acc_cifar10 from {source}").fetchnumpy()
    table = {k: np.ma.filled(np.ma.asarray(rows[k], dtype=float), np.nan) for k in wanted}
    return {"arch": rows["arch"], "all": every["test_acc_cifar10"], **table}


def search(searcher: Searcher, truth: dict[object, float], budgets: list[int]) -> list[object]:
    """The best architecture after each budget, one trial at a time."""
    found: list[object] = []
    for trial in range(1, max(budgets) + 1):
        archs = searcher.ask(1)
        if archs:
            searcher.tell(archs, [truth[a] for a in archs])
        if trial in budgets and searcher.best is not None:
            found.append(searcher.best[0])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budgets", type=int, nargs="+", default=[10, 20, 30, 50, 100])
    parser.add_argument("--pool", type=int, nargs="+", default=[9445, 300], help="pool sizes")
    parser.add_argument("--only", nargs="+", default=list(MAKERS), choices=list(MAKERS))
    parser.add_argument("--proxies", nargs="+", default=["six", "all"], choices=["six", "all"])
    parser.add_argument("--data", type=Path, default=None)
    args = parser.parse_args()
    named = os.environ.get("FORETELL_VALIDATION_DATA")
    default = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    table = load(args.data or default)
    space = get_space("nb201")
    archs = [space.parse(t) for t in table["arch"]]
    test = dict(zip(archs, table["test_acc_cifar10"], strict=True))
    for size in args.pool:
        for objective, column in OBJECTIVES.items():
            truth = dict(zip(archs, table[column], strict=True))
            for proxies in args.proxies:
                names = SIX if proxies == "six" else ALL
                print(f"\npool {size:,}, objective {objective}, {proxies} proxies")
                head = " | ".join(map(str, args.budgets))
                print(f"| searcher | {head} | CPU s a run |")
                print("|---" * (len(args.budgets) + 2) + "|")
                for name in args.only:
                    found: list[list[float]] = []
                    clock = time.process_time()
                    for seed in range(args.seeds):
                        chosen = stream(seed, "pool").permutation(len(archs))[:size]
                        chosen = np.sort(chosen)
                        problem = Problem(
                            space,
                            tuple(archs[i] for i in chosen),
                            {p: table[f"zcs_{p}_cifar10"][chosen] for p in names},
                        )
                        runs = [[b] for b in args.budgets] if name in PER_BUDGET else [args.budgets]
                        answers: list[float] = []
                        for budgets in runs:
                            make = MAKERS[name](problem, stream(seed, "search"), max(budgets))
                            answers += [float(test[a]) for a in search(make, truth, budgets)]
                        found.append(answers)
                    seconds = (time.process_time() - clock) / args.seeds
                    accuracy = np.array(found)
                    rank = 1 + (table["all"][None, None] > accuracy[..., None]).sum(axis=2)
                    cells = [
                        f"{a:.2f} ({r:g})"
                        for a, r in zip(accuracy.mean(0), np.median(rank, axis=0), strict=True)
                    ]
                    print(f"| {name} | {' | '.join(cells)} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
