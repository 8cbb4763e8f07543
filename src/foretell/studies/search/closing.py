"""The last steps of a search, as its processes run them: train the winner, attack it, export it.

A claim names the step and the architecture; the trained weights go from one to the next by the
checkpoint of the training.
"""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from foretell.arch import Arch
from foretell.data import Task
from foretell.errors import CheckpointError, ExportWarning
from foretell.rng import stream_seed
from foretell.spaces import Skeleton
from foretell.studies.run.inside import part_teller
from foretell.studies.run.values import pack
from foretell.studies.search.config import SearchConfig
from foretell.types import Json

if TYPE_CHECKING:
    from torch import nn

    from foretell.training import Recipe, TrainingResult

__all__ = ["Closing", "full_recipe"]


def full_recipe(config: SearchConfig) -> "Recipe":
    """How the winner of a search is trained."""
    from foretell.training import get_recipe

    recipe = get_recipe("full")
    if config.final_epochs is not None:
        recipe = replace(recipe, epochs=config.final_epochs)
    return recipe if config.lr is None else replace(recipe, lr=config.lr)


@dataclass(frozen=True)
class Closing:
    """What the steps work on.

    Args:
        config: the settings.
        arch: the winner.
        skeleton: what surrounds its genes.
        task: the images.
        checkpoint: the file of its training.
    """

    config: SearchConfig
    arch: Arch
    skeleton: Skeleton
    task: Task
    checkpoint: Path

    def run(self, payload: Json) -> Json:
        """One step: "retrain", "attack" or "export"."""
        step = getattr(self, payload["close"])
        return step(payload)

    @property
    def seed(self) -> int:
        """Of weights and batches."""
        return stream_seed(self.config.seed, "final", *self.arch.genes)

    def retrain(self, payload: Json) -> Json:
        """Train in full; a half-finished training is taken up again."""
        return pack(self._trained(tell=True)[1])

    def attack(self, payload: Json) -> Json:
        """Accuracy under attack, and what is doubtful about it."""
        from foretell.robustness import evaluate

        config = self.config
        module, _ = self._trained(test=False)
        result = evaluate(
            module,
            self.task,
            attacks=config.attacks,
            eps=[float(e) for e in config.eps],
            images=config.attack_images,
            seed=stream_seed(config.seed, "attack"),
            device=config.device,
            warn=False,
        )
        return {
            "issues": [issue.sentence for issue in result.worst()],
            "clean": result.clean,
            "accuracy": {a: [[e, v] for e, v in row.items()] for a, row in result.accuracy.items()},
        }

    def export(self, payload: Json) -> Json:
        """Write the folder; problems, and what its check elsewhere compares outputs with."""
        from foretell.export import expected_outputs, export_best

        module, result = self._trained()
        module = module.cpu().eval()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ExportWarning)
            export_best(
                payload["folder"],
                module,
                arch=self.arch,
                skeleton=self.skeleton,
                task=self.task,
                recipe=full_recipe(self.config),
                seed=self.seed,
                result=result,
                onnx=None if payload["onnx"] else False,
            )
        problems = [str(w.message) for w in caught if issubclass(w.category, ExportWarning)]
        for other in (w for w in caught if not issubclass(w.category, ExportWarning)):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
        return {"problems": problems, "expected": expected_outputs(module, self.task)}

    def _trained(
        self, *, tell: bool = False, test: bool = True
    ) -> "tuple[nn.Module, TrainingResult]":
        """The network after its training; what the checkpoint does not hold is done here.

        A damaged checkpoint holds nothing.
        """
        try:
            return self._train(tell, test)
        except CheckpointError:
            self.checkpoint.unlink(missing_ok=True)
            return self._train(tell, test)

    def _train(self, tell: bool, test: bool) -> "tuple[nn.Module, TrainingResult]":
        from foretell.networks import build
        from foretell.training import train

        told = part_teller() if tell else lambda part, words: None
        recipe = full_recipe(self.config)
        module = build(self.arch, self.skeleton, seed=self.seed)
        result = train(
            module,
            self.task,
            recipe,
            seed=self.seed,
            device=self.config.device,
            checkpoint=self.checkpoint,
            test=test,
            on_epoch=lambda epoch: told(
                (epoch.index + 1) / recipe.epochs, f"validation {epoch.val_accuracy:.2%}"
            ),
        )
        return module, result
