"""Predictors of learning curves: choice of LCE's families, and the 200 real curves.

    OMP_NUM_THREADS=1 python experiments/curves.py choose     # families and prior of LCE
    OMP_NUM_THREADS=1 python experiments/curves.py judge      # the 200 curves of NAS-Bench-201

``choose`` compares ensembles on tables that the judged one is no part of: NAS-Bench-101 (1,500
cells; accuracy after trainings of 4, 12, 36 epochs, and of 108), three networks of NATS-Bench's
size space on three data sets (90 epochs), digits-nb201 (20 epochs, mean of two seeds), and with
``--clutter FILE`` short trainings on clutter (8 epochs): JSON lines with ``setting``, ``seed`` and
``val_curve``. Spearman's correlation with the last value, mean over fidelities.

``judge`` prints, by fidelity, Spearman's correlation with the accuracy at epoch 200, the share of
values inside 90 % intervals, and CPU seconds for all 200 curves; then LcSVR and others, that learn
from 100 of the networks, on the other 100, mean of ``--splits`` splits. The file has no losses.
Needs duckdb and the validation data.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np

from foretell.benchmarks import open_benchmark
from foretell.curves import FAMILIES, LCE, Curves, curve_predictors
from foretell.encodings import EncodingContext, encode
from foretell.metrics import coverage, normal_interval, spearman
from foretell.predictors import seeded
from foretell.spaces import get_space
from foretell.types import Array, IntArray

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("FORETELL_VALIDATION_DATA") or ROOT.parent / "shared" / "data")
ENSEMBLES = (
    ("pow3",),
    ("ilog2",),
    ("loglog_linear",),
    ("pow3", "ilog2"),
    ("pow3", "loglog_linear"),
    ("pow3", "loglog_linear", "ilog2"),
    ("pow3", "loglog_linear", "weibull", "ilog2"),
    tuple(FAMILIES),
)
PROXIES = ("grad_norm", "snip", "grasp", "fisher", "jacob_cov", "plain", "synflow_bn", "synflow")
FIDELITIES = (1, 5, 10, 20, 50, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("job", choices=("choose", "judge"))
    parser.add_argument("--splits", type=int, default=100)
    parser.add_argument("--clutter", type=Path)
    options = parser.parse_args()
    if options.job == "choose":
        choose(options.clutter)
    else:
        judge(options.splits)


Table = tuple[list[Array], IntArray, Sequence[int]]


def other_tables(clutter: Path | None) -> dict[str, Table]:
    """Name -> accuracies (n, e) of one or several tables, epochs, fidelities."""
    cells = duckdb.sql(
        "SELECT val_acc_4, val_acc_12, val_acc_36, val_acc_108 "
        f"FROM '{DATA / 'nb101_partial.parquet'}' "
        "WHERE val_acc_4 + val_acc_12 + val_acc_36 + val_acc_108 IS NOT NULL ORDER BY hash"
    ).fetchall()
    chosen = np.random.default_rng(0).permutation(len(cells))[:1500]
    sizes = duckdb.sql(
        'SELECT "index", dataset, list("x-valid_acc" ORDER BY epoch) FROM '
        f"'{DATA / 'nats_sample_curves.parquet'}' WHERE space = 'sss' AND hp = '90' "
        'AND "x-valid_acc" IS NOT NULL GROUP BY ALL ORDER BY ALL'
    ).fetchall()
    digits = open_benchmark("digits-nb201").curves(None, "digits/val_accuracy")
    digits = digits[np.isfinite(digits).all(axis=1)][:400]
    tables: dict[str, Table] = {
        "NAS-Bench-101": ([np.array(cells)[chosen] / 100], np.array([4, 12, 36, 108]), (12, 36)),
        "size": ([np.array([row[2] for row in sizes]) / 100], np.arange(1, 91), (10, 20, 50)),
        "digits": ([digits], np.arange(1, 21), (3, 5, 10)),
    }
    if clutter is not None:
        runs: dict[tuple[str, int], list[list[float]]] = {}
        for line in clutter.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            runs.setdefault((record["setting"], record["seed"]), []).append(record["val_curve"])
        each = [np.array(run) for run in runs.values() if len(run) >= 12]
        tables["clutter"] = (each, np.arange(1, 9), (3, 4, 5))
    return tables


def choose(clutter: Path | None) -> None:
    tables = other_tables(clutter)
    print("| families | " + " | ".join(tables) + " | mean | 90 % hold |")
    print("|---" * (len(tables) + 3) + "|")
    for families in ENSEMBLES:
        rhos, held = [], []
        for parts, epochs, fidelities in tables.values():
            each = []
            for accuracy in parts:
                curves = Curves({"val_accuracy": accuracy}, epochs)
                for fidelity in fidelities:
                    made = LCE(families).predict(curves.until(fidelity), int(epochs[-1]))
                    each.append(float(spearman(made.mean, accuracy[:, -1])))
                    low, high = normal_interval(made.mean, made.std, 0.9)
                    held.append(float(coverage(low, high, accuracy[:, -1])))
            rhos.append(np.mean(each))
        name = "all eight" if len(families) == len(FAMILIES) else ", ".join(families)
        cells = " | ".join(f"{r:.3f}" for r in [*rhos, np.mean(rhos)])
        print(f"| {name} | {cells} | {np.mean(held):.2f} |", flush=True)


def judge(splits: int) -> None:
    columns = ", ".join(f"zcnas_{name}" for name in PROXIES)
    rows = duckdb.sql(
        f"SELECT arch, train_acc_curve, val_acc_curve, {columns} "
        f"FROM '{DATA / 'nb201_curves_200.parquet'}' ORDER BY idx"
    ).fetchall()
    train, val = (np.array([row[i] for row in rows]) / 100 for i in (1, 2))
    curves = Curves({"train_accuracy": train, "val_accuracy": val}, np.arange(1, 201))
    y = val[:, -1]
    print("| predictor | " + " | ".join(f"{f} epochs" for f in FIDELITIES) + " | CPU s |")
    print("|---" * (len(FIDELITIES) + 2) + "|")
    for name in curve_predictors.names():
        if curve_predictors[name].metric not in curves.values:
            continue
        cells, seconds = [], []
        for fidelity in FIDELITIES:
            start = time.process_time()
            made = curve_predictors[name]().predict(curves.until(fidelity), 200)
            seconds.append(time.process_time() - start)
            cells.append(f"{float(spearman(made.mean, y)):.3f}")
            if made.std is not None:
                low, high = normal_interval(made.mean, made.std, 0.9)
                cells[-1] += f" ({float(coverage(low, high, y)):.2f})"
        print(f"| {name} | " + " | ".join(cells) + f" | {max(seconds):.2f} |", flush=True)

    space = get_space("nb201")
    archs = [space.parse(row[0]) for row in rows]
    values = np.array([row[3:] for row in rows], dtype=np.float64)
    scores = dict(zip(PROXIES, values.T, strict=True))
    costs = space.costs(archs, space.skeleton())
    print(f"\n100 to learn from, {splits} splits\n")
    print("| predictor | encoding | 10 epochs | 20 | 50 | CPU s a fit |")
    print("|---" * 6 + "|")
    for name, text in (
        ("gp", "curve+scores+costs"),
        ("lc_svr", "curve+scores+costs"),
        ("lc_svr", "curve"),
    ):
        cells, spent = [], 0.0
        for fidelity in (10, 20, 50):
            known = EncodingContext(space, archs, costs, scores, curves=curves.until(fidelity))
            encoded = encode(text, known)
            rhos = []
            for seed in range(splits):
                order = np.random.default_rng(seed).permutation(200)
                fit, test = order[:100], order[100:]
                start = time.process_time()
                model = seeded(name, seed)().fit(encoded.take(fit), y[fit])
                spent += time.process_time() - start
                rhos.append(float(spearman(model.predict(encoded.take(test)).mean, y[test])))
            cells.append(f"{np.mean(rhos):.3f}±{np.std(rhos):.3f}")
        print(
            f"| {name} | {text} | " + " | ".join(cells) + f" | {spent / splits / 3:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
