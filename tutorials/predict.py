"""Train twelve members of a family of your own, predict the others, and check it honestly.

The family is ``my_space.py``: named choices and a builder. What it learns from is real training, a
few epochs each; what it is checked on are members that it has not seen.
"""

from pathlib import Path

import numpy as np

from foretell import get_space
from foretell.cost import count
from foretell.data import load_task
from foretell.metrics import coverage, kendall
from foretell.networks import build
from foretell.studies.predict.study import PredictConfig, predict_values
from foretell.training import Recipe, train

MEASURED, CHECKED = 12, 10

space = get_space(f"{Path(__file__).parent}/my_space.py:space")
task = load_task("digits?limit=400")
skeleton = space.skeleton(task.input_shape, task.classes)
rng = np.random.default_rng(0)
archs = list(dict.fromkeys(space.sample(rng) for _ in range(80)))[: MEASURED + CHECKED]

accuracy = {}
for arch in archs:
    result = train(build(arch, skeleton, seed=0), task, Recipe(epochs=2), seed=0)
    accuracy[arch] = result.val_accuracy

measured, checked = archs[:MEASURED], archs[MEASURED:]
found = predict_values(
    space,
    measured,
    [accuracy[a] for a in measured],
    checked,
    PredictConfig(proxies=("nwot", "synflow", "jacov"), bounds=(0, 1)),
    task=task,
)
truth = np.array([accuracy[a] for a in found.archs])
print(f"learned from {MEASURED} trained members, checked on {CHECKED} others; {found.encodings}")
for arch, mean, low, high, real in zip(
    found.archs[:5], found.mean, found.low, found.high, truth, strict=False
):
    print(
        f"  predicted {mean:.3f} ({low:.3f} to {high:.3f}), trained {real:.3f}: "
        f"{space.format(arch)}"
    )

params = [count(build(a, skeleton, seed=0), task.input_shape).params for a in found.archs]
print(f"Kendall's tau, prediction with accuracy: {float(kendall(found.mean, truth)):.2f}")
print(f"Kendall's tau, parameters with accuracy: {float(kendall(params, truth)):.2f}")
inside = float(coverage(found.low, found.high, truth))
print(f"{inside:.0%} lie inside their {found.level:.0%} interval")

assert np.isfinite(found.mean).all()
assert float(kendall(found.mean, truth)) > 0
