"""The last stages of a search: the winner is chosen, trained in full, and attacked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from foretell.arch import Arch
from foretell.data import Task
from foretell.errors import SearchError
from foretell.rng import stream_seed
from foretell.store import Store, Trial
from foretell.studies.run.costs import CostBook
from foretell.studies.run.folder import RunFolder
from foretell.studies.run.progress import OnProgress
from foretell.studies.run.threads import one_thread
from foretell.studies.search.config import SearchConfig, fingerprint

if TYPE_CHECKING:
    from torch import nn

    from foretell.training import Recipe, TrainingResult

__all__ = ["Final", "attack", "retrain", "winner"]


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
    reused: bool = False


def winner(config: SearchConfig, trials: Sequence[Trial], book: CostBook) -> Trial:
    """Best validation accuracy; of equals the lower validation loss, then fewer parameters.

    Raises:
        SearchError: every trial failed.
    """
    done = [t for t in trials if t.state == "done"]
    if not done:
        first = trials[0] if trials else None
        why = f"the first with {first.error}: {first.message}" if first else "none was asked for"
        raise SearchError(f"None of {len(trials)} trials succeeded, {why}")
    params = book([Arch(config.space, tuple(t.payload["genes"])) for t in done]).params

    def merit(pair: tuple[Trial, int]) -> tuple[float, float, int]:
        return -pair[0].value["val_accuracy"], pair[0].value["val_loss"], pair[1]

    return min(zip(done, params.tolist(), strict=True), key=merit)[0]


def retrain(
    store: Store,
    study: str,
    config: SearchConfig,
    place: RunFolder,
    task: Task,
    trials: Sequence[Trial],
    book: CostBook,
    on_progress: OnProgress,
) -> Final:
    """Train the winner in full; a finished or half-finished training is taken up again."""
    from foretell.networks import build
    from foretell.training import get_recipe, train

    best = winner(config, trials, book)
    arch = Arch(config.space, tuple(best.payload["genes"]))
    seed = stream_seed(config.seed, "final", *arch.genes)
    recipe = get_recipe("full")
    if config.final_epochs is not None:
        recipe = replace(recipe, epochs=config.final_epochs)
    if config.lr is not None:
        recipe = replace(recipe, lr=config.lr)
    key = fingerprint([list(arch.genes), repr(recipe), seed])
    checkpoints = place.path / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    reused = store.value(study, f"final {key}") is not None
    with one_thread():
        module = build(arch, book.skeleton, seed=seed)
        result = train(
            module,
            task,
            recipe,
            seed=seed,
            device=config.device,
            checkpoint=checkpoints / f"final-{key}.pt",
            on_epoch=lambda epoch: on_progress(
                "final", epoch.index + 1, recipe.epochs, f"validation {epoch.val_accuracy:.2%}"
            ),
        )
    on_progress("final", recipe.epochs, recipe.epochs)
    store.put_value(
        study,
        f"final {key}",
        {"val_accuracy": result.val_accuracy, "test_accuracy": result.test_accuracy},
    )
    return Final(key, arch, best.number, module.cpu().eval(), recipe, seed, result, reused=reused)


def attack(
    store: Store,
    study: str,
    config: SearchConfig,
    final: Final,
    task: Task,
    on_progress: OnProgress,
) -> Final:
    """Attack the winner, unless that was done before."""
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
    known = store.value(study, key)
    on_progress("attack", 0, 1)
    if known is None:
        with one_thread():
            result = evaluate(
                final.module,
                task,
                attacks=config.attacks,
                eps=eps,
                images=config.attack_images,
                seed=stream_seed(config.seed, "attack"),
                device=config.device,
            )
        known = {
            "clean": result.clean,
            "accuracy": {a: [[e, v] for e, v in row.items()] for a, row in result.accuracy.items()},
        }
        store.put_value(study, key, known)
    on_progress("attack", 1, 1)
    return replace(
        final,
        robust_clean=known["clean"],
        robustness={a: dict(row) for a, row in known["accuracy"].items()},
    )
