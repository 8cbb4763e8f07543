"""CPU seconds of every metric on many pairs, one thread.

OMP_NUM_THREADS=1 python experiments/metrics.py --pairs 1000000
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from foretell.metrics import (
    bootstrap_of,
    calibration_error,
    coverage,
    cross,
    kendall,
    mae,
    ndcg,
    normal_interval,
    pearson,
    precision_at_k,
    r2,
    rmse,
    sharpness,
    sparse_kendall,
    spearman,
    top_k_regret,
    weighted_kendall,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=1_000_000)
    n = parser.parse_args().pairs
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.5, 0.95, size=n)
    predicted = np.round(truth + rng.normal(0, 0.1, size=n), 3)
    std = rng.uniform(0.05, 0.15, size=n)
    low, high = normal_interval(predicted, std)
    generator = np.random.default_rng(1)
    jobs: dict[str, Callable[[], object]] = {
        "kendall": lambda: kendall(predicted, truth),
        "spearman": lambda: spearman(predicted, truth),
        "pearson": lambda: pearson(predicted, truth),
        "weighted_kendall": lambda: weighted_kendall(predicted, truth),
        "weighted_kendall, products": lambda: weighted_kendall(predicted, truth, additive=False),
        "sparse_kendall": lambda: sparse_kendall(predicted, truth),
        "precision_at_k, k = 100": lambda: precision_at_k(predicted, truth, 100),
        "top_k_regret, k = 100": lambda: top_k_regret(predicted, truth, 100),
        "ndcg": lambda: ndcg(predicted, truth),
        "r2": lambda: r2(predicted, truth),
        "rmse": lambda: rmse(predicted, truth),
        "mae": lambda: mae(predicted, truth),
        "coverage": lambda: coverage(low, high, truth),
        "sharpness": lambda: sharpness(low, high),
        "calibration_error, 9 levels": lambda: calibration_error(predicted, std, truth),
        "cross kendall, 200 resamples": lambda: cross(
            predicted[None], truth[None], samples=200, rng=generator
        ),
        "cross spearman, 20 resamples": lambda: cross(
            predicted[None], truth[None], "spearman", samples=20, rng=generator
        ),
        "bootstrap_of rmse, 20 resamples": lambda: bootstrap_of(
            rmse, (predicted, truth), generator, samples=20
        ),
    }
    print(f"| {n:,} pairs | CPU seconds |\n|---|---|")
    for name, job in jobs.items():
        start = time.process_time()
        job()
        print(f"| {name} | {time.process_time() - start:.2f} |", flush=True)


if __name__ == "__main__":
    main()
