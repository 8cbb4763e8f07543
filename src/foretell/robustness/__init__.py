"""How much accuracy a network keeps under attack.

The catalogue of attacks is light: what needs torch is imported when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING

from foretell.robustness.catalogue import attacks

if TYPE_CHECKING:
    from foretell.robustness._checks import AttackIssue
    from foretell.robustness._evaluate import RobustnessResult, evaluate
    from foretell.robustness.linf import Attack, Normalised, fgsm, pgd

__all__ = [
    "Attack",
    "AttackIssue",
    "Normalised",
    "RobustnessResult",
    "attacks",
    "evaluate",
    "fgsm",
    "pgd",
]

_LATE = {
    "Attack": "linf",
    "AttackIssue": "_checks",
    "Normalised": "linf",
    "RobustnessResult": "_evaluate",
    "evaluate": "_evaluate",
    "fgsm": "linf",
    "pgd": "linf",
}
"""Name -> the module of this package that has it, and loads torch."""


def __getattr__(name: str) -> object:
    if name in _LATE:
        return getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
