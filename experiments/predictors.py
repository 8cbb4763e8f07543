"""Predictors on NAS-Bench-201, on the splits of published studies.

    OMP_NUM_THREADS=1 python experiments/predictors.py --sizes 32 128 --targets cifar10 fgsm
    OMP_NUM_THREADS=1 python experiments/predictors.py --encoding onehot graf+onehot

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
from typing import TypeAlias

import duckdb
import numpy as np
from sklearn.model_selection import train_test_split

from foretell.encodings import EncodingContext, Encodings, encode
from foretell.metrics import coverage, kendall
from foretell.predictors import (
    Auto,
    Conformal,
    GaussianProcess,
    Predictor,
    RandomForest,
    predictors,
)
from foretell.spaces import get_space
from foretell.types import Array

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
Make: TypeAlias = Callable[[], Predictor]
MODELS: dict[str, tuple[str, Make]] = {
    "authors' random forest, graf_compat+scores": (
        "graf_compat+scores",
        lambda: RandomForest(trees=100, max_features=1.0),
    ),
    "random forest, graf+scores+onehot": ("graf+scores+onehot", RandomForest),
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
    parser.add_argument(
        "--encoding", nargs="+", help="every registered predictor on these instead, a row for each"
    )
    without = [n for n in predictors.names() if predictors.entry(n).facts.get("needs") != "curve"]
    parser.add_argument("--only", nargs="+", default=without, help="not every one")
    parser.add_argument("--seeds", type=int, nargs=2, default=[42, 52], help="from, to")
    parser.add_argument("--all", action="store_true", help="all 15,625 networks, without proxies")
    options = parser.parse_args()
    context, targets = read(options.all)
    seeds = range(*options.seeds)
    if options.encoding:
        by_predictor(context, targets, options, seeds)
        return
    encodings = {text: encode(text, context) for text in {MODELS[m][0] for m in options.models}}
    print("| target | n | " + " | ".join(options.models) + " |")
    print("|---|---|" + "---|" * len(options.models))
    for target in options.targets:
        for n in options.sizes:
            measure = inside if options.intervals else quality
            cells = [
                measure(MODELS[name][1], encodings[MODELS[name][0]], targets[target], n, seeds)
                for name in options.models
            ]
            print(f"| {target} | {n} | " + " | ".join(cells) + " |", flush=True)


def by_predictor(
    context: EncodingContext, targets: dict[str, Array], options: argparse.Namespace, seeds: range
) -> None:
    """A row for each predictor, a column for each encoding and number of networks."""
    heads = [f"{text}, {n}" for text in options.encoding for n in options.sizes]
    encodings = {text: encode(text, context) for text in options.encoding}
    for target in options.targets:
        print(f"| {target} | " + " | ".join(heads) + " |\n|---|" + "---|" * len(heads))
        for name in options.only:
            needs = predictors.entry(name).facts.get("needs", "")
            cells = []
            for text in options.encoding:
                seen = encodings[text] if not needs else encode(f"{needs}+{text}", context)
                for n in options.sizes:
                    cells.append(quality(predictors[name], seen, targets[target], n, seeds))
            print(f"| `{name}` | " + " | ".join(cells) + " |", flush=True)


def read(everything: bool = False) -> tuple[EncodingContext, dict[str, Array]]:
    """Networks with their proxies, and their values by target; all networks without proxies."""
    columns = [f"zcs_{p}_cifar10" for p in PROXIES]
    wanted = ", ".join(f'"{c}"' for c in (*columns, *TARGETS.values()))
    rows = duckdb.sql(
        f"SELECT arch, {wanted} FROM '{DATA / 'nb201.parquet'}' "
        f"{'' if everything else 'WHERE suite_row IS NOT NULL'} ORDER BY suite_row, arch"
    ).fetchall()
    space = get_space("nb201")
    archs = [space.parse(row[0]) for row in rows]
    numbers = np.array([row[1:] for row in rows], dtype=np.float64)
    numbers[numbers == -1e8] = np.nan
    scores = dict(zip(PROXIES, numbers.T[: len(PROXIES)], strict=True))
    targets = dict(zip(TARGETS, numbers.T[len(PROXIES) :], strict=True))
    return EncodingContext(space, archs, scores={} if everything else scores), targets


def quality(make: Make, encodings: Encodings, y: Array, n: int, seeds: range) -> str:
    """Kendall's tau on what was not learned from, and CPU seconds of a fit."""
    taus, seconds = [], []
    for seed in seeds:
        fit, test = train_test_split(np.arange(len(y)), train_size=n, random_state=seed)
        start = time.process_time()
        model = make().fit(encodings.take(fit), y[fit])
        seconds.append(time.process_time() - start)
        mean = model.predict(encodings.take(test)).mean
        taus.append(float(kendall(mean, y[test])))
    return f"{np.mean(taus):.3f}±{np.std(taus):.3f} ({np.mean(seconds):.2f} s)"


def inside(make: Make, encodings: Encodings, y: Array, n: int, seeds: range) -> str:
    """Share of values inside 90 % intervals."""
    shares = []
    for seed in seeds:
        fit, test = train_test_split(np.arange(len(y)), train_size=n, random_state=seed)
        conformal = Conformal(make).fit(encodings.take(fit), y[fit])
        found = conformal.predict(encodings.take(test))
        shares.append(float(coverage(found.low, found.high, y[test])))
    return f"{np.mean(shares):.3f}±{np.std(shares):.3f}"


if __name__ == "__main__":
    main()
