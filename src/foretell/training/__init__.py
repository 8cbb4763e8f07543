"""Short and full training runs of one network."""

from foretell.training._train import RECIPES, get_recipe, outcomes, tensor_task, train
from foretell.training.loop import Curves, Epoch, Part, Recipe, TensorTask, TrainingResult

__all__ = [
    "RECIPES",
    "Curves",
    "Epoch",
    "Part",
    "Recipe",
    "TensorTask",
    "TrainingResult",
    "get_recipe",
    "outcomes",
    "tensor_task",
    "train",
]
