"""Predicted against true changes by one edit, on NAS-Bench-201.

    OMP_NUM_THREADS=1 python experiments/edits.py

128 of the 15,625 cells are measured, 1,000 others ranked; the 24 edits of the three best and of
three from the middle of the ranking are predicted. Truth is the mean test accuracy on CIFAR-10 over
the published runs. Kendall's tau of predicted and true changes, the share of edits whose sign is
right among those that change the truth by more than 0.2 points, the share of edited cells whose
truth lies inside their 90 % interval, and the true change by the edit that is predicted best beside
the best there is; means over seeds 100 to 109. Beside them, the change of live
parameters as the prediction, and the guess that every edit is for the worse. Needs duckdb and the
validation data (nb201.parquet).
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np

from foretell.arch import Arch
from foretell.metrics import kendall
from foretell.spaces import get_space
from foretell.studies.predict.explain import explain_ranking
from foretell.studies.predict.study import PredictConfig, predict_values

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("FORETELL_VALIDATION_DATA") or ROOT.parent / "shared" / "data")
LEAST = 0.002


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--predictor", default="auto")
    parser.add_argument("--n", type=int, default=128)
    parser.add_argument("--seeds", type=int, nargs=2, default=[100, 110], help="from, to")
    options = parser.parse_args()
    space = get_space("nb201")
    rows = duckdb.sql(
        f"SELECT arch, test_acc_cifar10 / 100 FROM '{DATA / 'nb201.parquet'}'"
    ).fetchall()
    archs = [space.parse(text) for text, _ in rows]
    truth = dict(zip(archs, (value for _, value in rows), strict=True))
    live = dict(zip(archs, space.costs(archs, space.skeleton()).live_params.tolist(), strict=True))
    found: dict[str, list[Sequence[float]]] = {"the three best": [], "three of the middle": []}
    for seed in range(*options.seeds):
        order = np.random.default_rng(seed).permutation(len(archs))
        learn = [archs[i] for i in order[: options.n]]
        pool = [archs[i] for i in order[options.n : options.n + 1000]]
        config = PredictConfig(options.predictor, bounds=(0, 1), seed=seed)
        ranking = predict_values(space, learn, [truth[a] for a in learn], pool, config)
        groups = (ranking.archs[:3], ranking.archs[499:502])
        why = explain_ranking(ranking, [a for group in groups for a in group], repeats=1)
        for k, it in enumerate(why.explained):
            name = list(found)[k // 3]
            real = np.array([truth[e.arch] - truth[it.arch] for e in it.edits])
            told = np.array([e.change for e in it.edits])
            size = np.array([live[e.arch] - live[it.arch] for e in it.edits], dtype=float)
            large = np.abs(real) > LEAST
            inside = [e.low <= truth[e.arch] <= e.high for e in it.edits]
            found[name].append(
                (
                    float(kendall(told, real)),
                    float(kendall(size, real)),
                    float(np.mean(np.sign(told[large]) == np.sign(real[large]))),
                    float(np.mean(real[large] < 0)),
                    float(np.mean(inside)),
                    gain(it.arch, it.edits[0].arch, truth),
                    float(100 * real.max()),
                )
            )
    print("| edits of | tau | tau of live params | sign right | all worse | inside |"
          " best told gives | best there is |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for name, values in found.items():
        means = np.mean(values, axis=0)
        cells = [f"{m:.3f}" for m in means[:5]] + [f"{m:+.2f} points" for m in means[5:]]
        print(f"| {name} | " + " | ".join(cells) + " |")


def gain(before: Arch, after: Arch, truth: dict[Arch, float]) -> float:
    """True change in points."""
    return 100 * (truth[after] - truth[before])


if __name__ == "__main__":
    main()
