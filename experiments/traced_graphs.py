"""What graphs of traced networks add for a space of one's own.

    OMP_NUM_THREADS=1 python experiments/traced_graphs.py

Members of ``tutorials/my_space.py`` are trained for three epochs on digits; a Gaussian process
learns from some of them and predicts the others. Kendall's tau, mean and standard error over random
splits; without tracing, ``graf`` sees a chain of the decisions. Also CPU seconds of one graph.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from foretell import get_space, load_task
from foretell.cost import costs
from foretell.encodings import EncodingContext, encode
from foretell.metrics import kendall
from foretell.networks import build
from foretell.predictors import GaussianProcess
from foretell.tracing.archs import graphs
from foretell.training import Recipe, train

SPACE = Path(__file__).resolve().parent.parent / "tutorials" / "my_space.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--members", type=int, default=90)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 40])
    parser.add_argument("--splits", type=int, default=20)
    options = parser.parse_args()
    space, task = get_space(f"{SPACE}:space"), load_task("digits")
    skeleton = space.skeleton(task.input_shape, task.classes)
    rng = np.random.default_rng(5)
    drawn = dict.fromkeys(space.sample(rng) for _ in range(3 * options.members))
    archs = list(drawn)[: options.members]
    recipe = Recipe(epochs=3)
    networks = (build(a, skeleton, seed=0) for a in archs)
    y = np.array([train(n, task, recipe, seed=0).val_accuracy for n in networks])
    table = costs(archs, skeleton)
    start = time.process_time()
    traced = graphs(archs, skeleton)
    print(f"{(time.process_time() - start) / len(archs):.2f} CPU-s for each graph")
    print(f"parameters alone: {float(kendall(table.params, y)):.3f}")
    print("| encodings | graphs | learned from | tau |\n|---|---|---|---|")
    for text in ("graf+costs", "graf+costs+onehot"):
        for name, found in (("chain", None), ("traced", traced)):
            encodings = encode(text, EncodingContext(space, archs, table, graphs=found))
            for size in options.sizes:
                taus = []
                for split in range(options.splits):
                    order = np.random.default_rng(split).permutation(len(archs))
                    fit, test = order[:size], order[size:]
                    model = GaussianProcess().fit(encodings.take(fit), y[fit])
                    mean = model.predict(encodings.take(test)).mean
                    taus.append(float(kendall(mean, y[test])))
                error = np.std(taus) / np.sqrt(len(taus))
                print(f"| `{text}` | {name} | {size} | {np.mean(taus):.3f}±{error:.3f} |")


if __name__ == "__main__":
    main()
