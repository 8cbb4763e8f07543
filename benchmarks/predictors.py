"""Predictors on NAS-Bench-201, on the splits of published studies.

    OMP_NUM_THREADS=1 python benchmarks/predictors.py --sizes 32 128 --targets cifar10 fgsm

Rows in the order of NAS-Bench-Suite-Zero, ``train_test_split(train_size=n, random_state=seed)``
with seeds 42 to 51, tested on all other of the 9,445 networks; Kendall's tau, mean and standard
deviation over the seeds, and CPU seconds of one fit. Proxies are the 13 published ones. Choices of
the models were made on seeds from 100 on. Needs duckdb, scikit-learn and the validation data
(nb201.parquet).
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
from sklearn.model_selection import train_test_split

from foretell.features import Known, represent
from foretell.metrics import coverage, kendall
from foretell.predictors import Auto, Conformal, GaussianProcess, Predictor, RandomForest
from foretell.spaces import get_space

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("FORETELL_VALIDATION_DATA") or ROOT.parent / "shared" / "data")
PROXIES = (
    *("epe_nas", "fisher", "flops", "grad_norm", "grasp", "jacov", "l2_norm"),
    *("nwot", "params", "plain", "snip", "synflow", "zen"),
)
TARGETS = {
    "cifar10": "val_acc_cifar10_nbsz",
    "fgsm": "adv_cifar10_fgsm_eps1.0",
    "pgd": "adv_cifar10_pgd_eps1.0",
    "apgd": "adv_cifar10_aa_apgd-ce_eps1.0",
    "latency": "hw_edgegpu_latency_cifar10",
}
MODELS: dict[str, tuple[str, Callable[[], Predictor]]] = {
    "random forest, graf_compat+scores": ("graf_compat+scores", RandomForest),
    "gp, graf+scores+onehot": ("graf+scores+onehot", GaussianProcess),
    "auto, graf+scores+onehot": ("graf+scores+onehot", lambda: Auto(seconds=600)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--targets", choices=TARGETS, nargs="+", default=list(TARGETS))
    parser.add_argument("--models", choices=MODELS, nargs="+", default=list(MODELS))
    parser.add_argument(
        "--intervals", action="store_true", help="share of values inside 90 %% intervals instead"
    )
    parser.add_argument("--seeds", type=int, nargs=2, default=[42, 52], help="from, to")
    options = parser.parse_args()
    columns = [f"zcs_{p}_cifar10" for p in PROXIES]
    wanted = ", ".join(f'"{c}"' for c in (*columns, *TARGETS.values()))
    rows = duckdb.sql(
        f"SELECT arch, {wanted} FROM '{DATA / 'nb201.parquet'}' "
        "WHERE suite_row IS NOT NULL ORDER BY suite_row"
    ).fetchall()
    space = get_space("nb201")
    archs = [space.parse(row[0]) for row in rows]
    numbers = np.array([row[1:] for row in rows], dtype=np.float64)
    numbers[numbers == -1e8] = np.nan
    scores = dict(zip(PROXIES, numbers.T[: len(PROXIES)], strict=True))
    targets = dict(zip(TARGETS, numbers.T[len(PROXIES) :], strict=True))
    known = Known(space, archs, scores=scores)
    inputs = {text: represent(text, known) for text in {MODELS[m][0] for m in options.models}}
    print("| target | n | " + " | ".join(options.models) + " |")
    print("|---|---|" + "---|" * len(options.models))
    for target in options.targets:
        y = targets[target]
        for n in options.sizes:
            cells = []
            for name in options.models:
                text, make = MODELS[name]
                taus, seconds, inside = [], [], []
                for seed in range(*options.seeds):
                    fit, test = train_test_split(np.arange(len(y)), train_size=n, random_state=seed)
                    if options.intervals:
                        conformal = Conformal(make).fit(inputs[text].take(fit), y[fit])
                        found = conformal.predict(inputs[text].take(test))
                        inside.append(float(coverage(found.low, found.high, y[test])))
                        continue
                    start = time.process_time()
                    model = make().fit(inputs[text].take(fit), y[fit])
                    seconds.append(time.process_time() - start)
                    mean = model.predict(inputs[text].take(test)).mean
                    taus.append(float(kendall(mean, y[test])))
                if options.intervals:
                    cells.append(f"{np.mean(inside):.3f}±{np.std(inside):.3f}")
                    continue
                cells.append(f"{np.mean(taus):.3f}±{np.std(taus):.3f} ({np.mean(seconds):.2f} s)")
            print(f"| {target} | {n} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
