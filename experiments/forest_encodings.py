"""Every encoding of NAS-Bench-201: how long it takes, and what a model learns from it alone.

    OMP_NUM_THREADS=1 python experiments/forest_encodings.py

CPU seconds for 10,000 distinct cells (least of three runs, with the graphs), the number of columns,
and Kendall's tau of two predictors that learned CIFAR-10 validation accuracy from ``--size`` of the
9,445 networks of NAS-Bench-Suite-Zero, on all others, mean and standard deviation over the seeds.
Needs duckdb, scikit-learn and the validation data (nb201.parquet).
"""

import argparse
import os
import time
from pathlib import Path

import duckdb
import numpy as np
from sklearn.model_selection import train_test_split

from foretell.encodings import EncodingContext, encode, encodings
from foretell.metrics import kendall
from foretell.predictors import predictors
from foretell.spaces import get_space

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("FORETELL_VALIDATION_DATA") or ROOT.parent / "shared" / "data")
MODELS = ("gp", "random_forest")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=128, help="networks to learn from")
    parser.add_argument("--seeds", type=int, nargs=2, default=[100, 105], help="from, to")
    options = parser.parse_args()
    space = get_space("nb201")
    every = list(space.enumerate())
    cells = [every[i] for i in np.random.default_rng(0).permutation(len(every))[:10_000]]
    column = "val_acc_cifar10_nbsz"
    rows = duckdb.sql(
        f"SELECT arch, {column}::double FROM '{DATA / 'nb201.parquet'}' "
        "WHERE suite_row IS NOT NULL ORDER BY suite_row"
    ).fetchall()
    archs, y = [space.parse(row[0]) for row in rows], np.array([row[1] for row in rows])
    skeleton = space.skeleton()
    timed = EncodingContext(space, cells, space.costs(cells, skeleton))
    learned = EncodingContext(space, archs, space.costs(archs, skeleton))
    print(f"| name | columns | CPU-s | {' | '.join(MODELS)} |")
    print("|---|---|---|" + "---|" * len(MODELS))
    for name in encodings.names():
        if name == "scores":
            continue
        seconds = []
        for _ in range(3):
            start = time.process_time()
            table = encode(name, timed).tables[name]
            seconds.append(time.process_time() - start)
        words = [name, str(len(table.names)), f"{min(seconds):.2f}"]
        encoded = encode(name, learned)
        for model in MODELS:
            taus = []
            for seed in range(*options.seeds):
                train, test = train_test_split(
                    np.arange(len(y)), train_size=options.size, random_state=seed
                )
                fitted = predictors[model]().fit(encoded.take(train), y[train])
                taus.append(float(kendall(fitted.predict(encoded.take(test)).mean, y[test])))
            words.append(f"{np.mean(taus):.3f}±{np.std(taus):.3f}")
        print("| " + " | ".join(words) + " |", flush=True)


if __name__ == "__main__":
    main()
