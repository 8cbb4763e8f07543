"""Searchers on small pools of published tables: five search spaces, ten tasks.

From each table, pools of some networks are drawn, one per seed, with all published proxies; printed
is the geometric mean over seeds of the answer's rank in its pool after some numbers of trials.
Accuracies of nasbench301 are a surrogate's.

    OMP_NUM_THREADS=1 python experiments/search_tables.py --seeds 20

Needs duckdb and the validation data.
"""

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from numpy.random import Generator

from foretell.arch import Arch
from foretell.graph import Graph
from foretell.rng import stream
from foretell.search import Problem, PublishedRobotSearch, Searcher, searchers
from foretell.spaces import Space
from foretell.types import Array

PROXIES = (
    "epe_nas", "fisher", "flops", "grad_norm", "grasp", "jacov", "l2_norm", "nwot", "params",
    "plain", "snip", "synflow", "zen",
)  # fmt: skip
KINDS = ("random", "robot-published", "robot")


@dataclass(frozen=True)
class Rows(Space):
    """The rows of a table: all that these searchers need of a space."""

    def sample(self, rng: Generator) -> Arch:
        """Never asked for."""
        raise NotImplementedError

    def neighbors(self, arch: Arch) -> list[Arch]:
        """Never asked for."""
        raise NotImplementedError

    def graph(self, arch: Arch) -> Graph:
        """Never asked for."""
        raise NotImplementedError


def tables(folder: Path) -> Iterator[tuple[str, Array, dict[str, Array]]]:
    """Name, (n,) validation accuracies and proxy -> (n,) scores."""

    def read(name: str, source: str, truth: str, prefix: str, suffix: str, where: str):
        path = f"'{folder / source}'"
        with duckdb.connect() as base:
            columns = {r[0] for r in base.sql(f"describe select * from {path}").fetchall()}
            present = [p for p in PROXIES if f"{prefix}{p}{suffix}" in columns]
            wanted = ", ".join(f"{prefix}{p}{suffix} as p_{p}" for p in present)
            rows = base.sql(f"select {truth} as truth, {wanted} from {path} where {where}")
            found = {
                k: np.ma.filled(np.ma.asarray(v, dtype=float), np.nan)
                for k, v in rows.fetchnumpy().items()
            }
        known = {p: found[f"p_{p}"] for p in present}
        known = {p: v for p, v in known.items() if np.isfinite(v).mean() > 0.5}
        return name, found["truth"], known

    for data in ("cifar10", "cifar100"):
        yield read(
            f"NAS-Bench-201 {data}, 12 epochs", "nb201.parquet", f"valid12_acc_{data}", "zcs_",
            f"_{data}", f"zcs_params_{data} is not null",
        )  # fmt: skip
    for kind in ("micro", "macro"):
        for task in ("class_object", "class_scene", "jigsaw"):
            yield read(
                f"TransNAS-Bench-101 {kind} {task}", f"transbench101_{kind}.parquet",
                "val_accuracy", "", "", f"dataset = '{task}' and params is not null",
            )  # fmt: skip
    yield read(
        "NAS-Bench-301", "nasbench301.parquet", "val_accuracy", "", "",
        "params is not null and jacov is not null and val_accuracy is not null",
    )  # fmt: skip
    yield read(
        "NAS-Bench-101", "nb101_partial.parquet", "val_acc_nbsz", "nbsz_", "",
        "nbsz_jacov is not null and nbsz_params is not null",
    )  # fmt: skip


def ranks_after(search: Searcher, truth: Array, budgets: list[int]) -> list[int]:
    """Rank of the best trial in the pool after each budget."""
    found: list[int] = []
    for trial in range(1, max(budgets) + 1):
        archs = search.ask(1)
        search.tell(archs, truth[[a.genes[0] for a in archs]])
        if trial in budgets and search.best is not None:
            found.append(1 + int((truth > search.best[1]).sum()))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--pool", type=int, default=300)
    parser.add_argument("--budgets", type=int, nargs="+", default=[5, 10, 16, 30])
    parser.add_argument("--data", type=Path, default=None)
    args = parser.parse_args()
    named = os.environ.get("FORETELL_VALIDATION_DATA")
    default = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    head = " / ".join(map(str, args.budgets))
    print(f"geometric mean rank in pools of {args.pool} after {head} trials, {args.seeds} seeds")
    print(f"| table | {' | '.join(KINDS)} |\n|---{'|---' * len(KINDS)}|")
    for name, truth, scores in tables(args.data or default):
        cells: list[str] = []
        for kind in KINDS:
            found: list[list[int]] = []
            for seed in range(args.seeds):
                rows = np.sort(stream(seed, "pool").permutation(len(truth))[: args.pool])
                pool = tuple(Arch("rows", (i,)) for i in range(len(rows)))
                problem = Problem(Rows("rows"), pool, {p: v[rows] for p, v in scores.items()})
                if kind == "robot-published":
                    found.append([
                        ranks_after(
                            PublishedRobotSearch(problem, stream(seed, "search"), explore=budget),
                            truth[rows], [budget],
                        )[0]
                        for budget in args.budgets
                    ])  # fmt: skip
                else:
                    search = searchers[kind](problem, stream(seed, "search"))
                    found.append(ranks_after(search, truth[rows], args.budgets))
            cells.append(" / ".join(f"{r:.1f}" for r in np.exp(np.log(found).mean(axis=0))))
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
