"""Neural predictors on NAS-Bench-201, by train size: losses, targets, encodings, uncertainties.

    OMP_NUM_THREADS=1 python experiments/neural_predictors.py --trials 12

Learned from random architectures among all 15,625, tested on 200 others; CIFAR-10 validation
accuracy after 200 epochs. Kendall's tau, mean over the trials (seeds from 100 on), CPU seconds of a
fit, and the share of values inside the 90 % intervals that the predictor's own standard deviations
make, lowest and highest over the train sizes. Needs duckdb and the validation data (nb201.parquet).
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np

from foretell.encodings import EncodingContext, encode
from foretell.metrics import coverage, kendall, normal_interval
from foretell.predictors import BANANAS, BOHAMIANN, DNGO, MLP, GaussianProcess, Predictor
from foretell.spaces import get_space

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("FORETELL_VALIDATION_DATA") or ROOT.parent / "shared" / "data")
SIZES = (24, 42, 71, 121, 205, 347, 589, 1000)
MODELS: dict[str, tuple[str, Callable[[], Predictor]]] = {
    "mlp": ("onehot", MLP),
    "mlp, mse": ("onehot", lambda: MLP("mse")),
    "mlp, pairwise": ("onehot", lambda: MLP("pairwise")),
    "mlp, listmle": ("onehot", lambda: MLP("listmle")),
    "mlp, mae, raw values": ("onehot", lambda: MLP("mae", normal_target=False)),
    "mlp, mse, raw values": ("onehot", lambda: MLP("mse", normal_target=False)),
    "mlp, listmle, raw values": ("onehot", lambda: MLP("listmle", normal_target=False)),
    "bananas": ("onehot", BANANAS),
    "bananas, path": ("path", BANANAS),
    "bananas, path, listmle": ("path", lambda: BANANAS(loss="listmle")),
    "dngo": ("onehot", DNGO),
    "bohamiann": ("onehot", BOHAMIANN),
    "gp": ("onehot", GaussianProcess),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--models", choices=MODELS, nargs="+", default=list(MODELS))
    parser.add_argument("--trials", type=int, default=12)
    options = parser.parse_args()
    rows = duckdb.sql(
        f"SELECT arch, val_acc_cifar10_nbsz FROM '{DATA / 'nb201.parquet'}' ORDER BY idx"
    ).fetchall()
    space = get_space("nb201")
    context = EncodingContext(space, [space.parse(row[0]) for row in rows])
    y = np.array([row[1] for row in rows], dtype=np.float64)
    encodings = {text: encode(text, context) for text in ("onehot", "path")}
    print("| model | " + " | ".join(str(n) for n in options.sizes) + " | fit s | 90 % hold |")
    print("|---|" + "---|" * (len(options.sizes) + 2))
    for name in options.models:
        text, make = MODELS[name]
        make().fit(encodings[text].take(np.arange(8)), y[:8])  # loads torch
        cells, seconds, inside = [], [], []
        for n in options.sizes:
            taus, spent, held = [], [], []
            for seed in range(100, 100 + options.trials):
                order = np.random.default_rng([seed, n]).permutation(len(y))
                fit, test = order[:n], order[n : n + 200]
                start = time.process_time()
                model = make().fit(encodings[text].take(fit), y[fit])
                spent.append(time.process_time() - start)
                found = model.predict(encodings[text].take(test))
                taus.append(float(kendall(found.mean, y[test])))
                if found.std is not None:
                    low, high = normal_interval(found.mean, found.std, 0.9)
                    held.append(float(coverage(low, high, y[test])))
            cells.append(f"{np.mean(taus):.3f}")
            seconds.append(np.mean(spent))
            inside.append(np.mean(held) if held else np.nan)
        shares = "" if np.isnan(inside).any() else f"{min(inside):.2f}-{max(inside):.2f}"
        print(
            f"| {name} | " + " | ".join(cells) + f" | {min(seconds):.2f}-{max(seconds):.2f} "
            f"| {shares} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
