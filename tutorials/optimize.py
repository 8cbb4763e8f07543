"""Your own evaluation: networks of your own, trained by a loop of your own.

Two ways. ``foretell.optimize`` calls your function; run it twice and the second call takes what is
there. With ``foretell.create_study`` the loop is yours, too: ask for architectures, tell values.
"""

from dataclasses import replace
from pathlib import Path

import foretell
from foretell.networks import build
from foretell.studies.optimize.trial import LiveTrial
from foretell.training import get_recipe, train

space = foretell.get_space(f"{Path(__file__).parent}/my_space.py:space")
task = foretell.load_task("digits?limit=700")
skeleton = space.skeleton(task.input_shape, task.classes)
recipe = replace(get_recipe("short"), epochs=3)


def evaluate(arch: foretell.Arch, trial: LiveTrial) -> dict[str, float]:
    """Accuracy and loss after a few epochs; a trial that falls behind ends early, as pruned."""
    network = build(arch, skeleton, seed=trial.seed)
    result = train(
        network,
        task,
        recipe,
        seed=trial.seed,
        on_epoch=lambda epoch: trial.report(epoch.index, epoch.val_accuracy),
    )
    return {"accuracy": result.val_accuracy, "loss": result.curves.val_loss[-1]}


result = foretell.optimize(
    evaluate,
    space,
    constraints=("params<=12k",),  # known before anything is trained
    objectives="accuracy",
    trials=8,
    input_shape=task.input_shape,
    classes=task.classes,
    out="runs/optimize",
)
best = result.trials[result.winner.number]
print(f"{best.arch}: accuracy {best.values['accuracy']:.2%}, {best.params:,.0f} parameters")
print("states:", {t.state: [u.state for u in result.trials].count(t.state) for t in result.trials})
assert best.values["accuracy"] > 0.8
assert all(t.params <= 12_000 for t in result.trials)

with foretell.create_study(
    space, out="runs/ask_tell", objectives=("quality", "min:price"), seed=1
) as study:
    for _ in range(10):
        for trial in study.ask(2):  # those that were asked for and not told come first
            width, depth = trial.values["width"], trial.values["depth"]
            study.tell(trial, {"quality": width + 10 * depth, "price": width * depth})
    front = [t for t in study.result().trials if t.on_front]
print("front:", ", ".join(t.arch for t in front))
assert len(front) > 1
