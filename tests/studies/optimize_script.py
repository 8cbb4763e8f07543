"""An optimisation, or a loop of asking and telling, in a process that a test may kill."""

import os
import time

import own_evaluation as own

from foretell.studies import Resources
from foretell.studies.optimize.ask_tell import AskTellStudy
from foretell.studies.optimize.config import ASK_TELL, OptimizeConfig
from foretell.studies.optimize.study import run

SEVERAL = {"objectives": ("value", "min:joules")}


def evaluate(arch, trial):
    """Slow, with reports, and a line in CALLS for each call."""
    with open(os.environ["CALLS"], "a", encoding="utf-8") as file:
        file.write(f"{arch}\n")
    trial.report(0, own.worth(arch))
    time.sleep(0.02)
    return own.worth(arch)


def optimize(folder, trials):
    """To the end."""
    return run(
        OptimizeConfig(trials=trials),
        folder,
        resources=Resources(own.space, evaluate=evaluate),
    )


def ask_tell(folder, trials, pause=0.01):
    """Until so many were told; two are asked for at once, and some fail."""
    config = OptimizeConfig(evaluate=ASK_TELL, **SEVERAL)
    with AskTellStudy(config, folder, resources=Resources(own.space)) as study:
        while len([t for t in study.result().trials if t.state != "running"]) < trials:
            for trial in study.ask(2):
                time.sleep(pause)
                if sum(trial.arch.genes) % 5 == 0:
                    study.tell(trial, error="the board is off")
                else:
                    value = own.worth(trial.arch)
                    study.tell(trial, {"value": value, "joules": 1.0 + trial.values["a"]})
        return study.result()
