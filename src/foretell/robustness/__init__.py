"""How much accuracy a network keeps under attack."""

from foretell.robustness._evaluate import RobustnessResult, evaluate
from foretell.robustness.attacks import Attack, Normalised, attacks, fgsm, pgd

__all__ = ["Attack", "Normalised", "RobustnessResult", "attacks", "evaluate", "fgsm", "pgd"]
