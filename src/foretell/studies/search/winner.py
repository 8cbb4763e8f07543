"""The last stages of a search: the winner is chosen, trained in full, and attacked."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from foretell.arch import Arch
from foretell.data import Task
from foretell.errors import SearchError
from foretell.rng import stream_seed
from foretell.search import preferred
from foretell.store import Trial
from foretell.studies._base import fingerprint
from foretell.studies.run.costs import CostBook
from foretell.studies.run.session import Session
from foretell.studies.run.threads import one_thread
from foretell.studies.search.config import SearchConfig
from foretell.studies.search.goals import Goals

if TYPE_CHECKING:
    from torch import nn

    from foretell.training import Recipe, TrainingResult

__all__ = ["Final", "attack", "choose", "retrain"]


@dataclass(frozen=True)
class Final:
    """The winner, trained in full.

    Args:
        key: stands for architecture, recipe and seed.
        arch: the architecture.
        trial: the number of the trial that found it.
        module: the trained network, on the CPU and in eval mode.
        recipe: how it was trained.
        seed: of its weights and batches.
        result: curves, validation and test accuracy, seconds.
        robustness: attack -> eps in 1/255 -> accuracy in [0, 1].
        robust_clean: accuracy on the attacked images before the attack.
        robust_issues: why accuracy under attack may be far too high, in sentences.
        reused: whether an earlier call had trained it already.
    """

    key: str
    arch: Arch
    trial: int
    module: "nn.Module"
    recipe: "Recipe"
    seed: int
    result: "TrainingResult"
    robustness: Mapping[str, Mapping[float, float]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    robust_clean: float = float("nan")
    robust_issues: tuple[str, ...] = ()
    reused: bool = False


def choose(goals: Goals, trials: Sequence[Trial]) -> Trial:
    """The winner: of one objective the best, of several the preferred point of the front.

    Of equals the lower validation loss wins, then fewer parameters, then the earlier trial.

    Args:
        goals: objectives and how to choose.
        trials: finished ones.

    Raises:
        SearchError: every trial failed, or none keeps the constraints; the sentence says why.
    """
    done = [t for t in trials if t.state == "done"]
    if not done:
        first = trials[0] if trials else None
        why = f"the first with {first.error}: {first.message}" if first else "none was asked for"
        raise SearchError(f"None of {len(trials)} trials succeeded, {why}")
    feasible = [t for t in done if not t.value["violation"]]
    if not feasible:
        raise SearchError(
            f"None of {len(done)} trials keeps the constraints, so there is no winner; the first "
            f"breaks {done[0].value['violation']}. Loosen it, or ask for more trials."
        )

    def merit(trial: Trial) -> tuple[float, float, int]:
        costs, values = trial.payload.get("costs", {}), trial.value["values"]
        return values.get("loss", np.inf), costs.get("params", np.inf), trial.number

    ordered = sorted(feasible, key=merit)
    gains = goals.gains([t.value["values"] for t in ordered])
    if len(goals.objectives) == 1:
        return ordered[int(np.nanargmax(gains[:, 0]))]
    return ordered[preferred(gains, [o.name for o in goals.objectives], goals.prefer)]


def retrain(
    session: Session, config: SearchConfig, best: Trial, book: CostBook, task: Task
) -> Final:
    """Train the winner in full; a finished or half-finished training is taken up again."""
    from foretell.networks import build
    from foretell.training import get_recipe, train

    arch = Arch(book.space.name, tuple(best.payload["genes"]))
    seed = stream_seed(config.seed, "final", *arch.genes)
    recipe = get_recipe("full")
    if config.final_epochs is not None:
        recipe = replace(recipe, epochs=config.final_epochs)
    if config.lr is not None:
        recipe = replace(recipe, lr=config.lr)
    key = fingerprint([list(arch.genes), repr(recipe), seed])
    checkpoints = session.folder.path / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    reused = session.value(f"final {key}") is not None
    with one_thread():
        module = build(arch, book.skeleton, seed=seed)
        result = train(
            module,
            task,
            recipe,
            seed=seed,
            device=config.device,
            checkpoint=checkpoints / f"final-{key}.pt",
            on_epoch=lambda epoch: session.tell(
                "final", epoch.index + 1, recipe.epochs, f"validation {epoch.val_accuracy:.2%}"
            ),
        )
    session.tell("final", recipe.epochs, recipe.epochs)
    session.put(
        f"final {key}",
        {
            "val_accuracy": result.val_accuracy,
            "test_accuracy": result.test_accuracy,
            "seconds": result.seconds,
            "curves": asdict(result.curves),
        },
    )
    return Final(key, arch, best.number, module.cpu().eval(), recipe, seed, result, reused=reused)


def attack(session: Session, config: SearchConfig, final: Final, task: Task) -> Final:
    """Attack the winner on images of the test part, unless that was done before."""
    if not config.attacks:
        return final
    from foretell.robustness import evaluate

    eps = [float(e) for e in config.eps]
    key = "attack " + fingerprint(
        [
            list(final.arch.genes),
            repr(final.recipe),
            list(config.attacks),
            eps,
            config.attack_images,
        ]
    )
    stored = session.value(key)
    session.tell("attack", 0, 1)
    if stored is None:
        with one_thread():
            result = evaluate(
                final.module,
                task,
                attacks=config.attacks,
                eps=eps,
                images=config.attack_images,
                seed=stream_seed(config.seed, "attack"),
                device=config.device,
                warn=False,
            )
        stored = {
            "issues": [issue.sentence for issue in result.worst()],
            "clean": result.clean,
            "accuracy": {a: [[e, v] for e, v in row.items()] for a, row in result.accuracy.items()},
        }
        session.put(key, stored)
    session.tell("attack", 1, 1)
    return replace(
        final,
        robust_clean=stored["clean"],
        robust_issues=tuple(stored.get("issues", ())),
        robustness={a: dict(row) for a, row in stored["accuracy"].items()},
    )
