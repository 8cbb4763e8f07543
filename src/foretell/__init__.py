"""foretell: know how good a neural network will be before you train it.

Importing this package loads neither torch nor anything heavy; names are resolved on first use.
"""

import importlib

__version__ = "0.1.0"

_LAZY = {
    "Arch": "foretell.arch",
    "ForetellError": "foretell.errors",
    "Graph": "foretell.graph",
    "Quantity": "foretell.quantities",
    "Skeleton": "foretell.spaces",
    "Space": "foretell.spaces",
    "get_space": "foretell.spaces",
    "Searcher": "foretell.search",
    "Task": "foretell.data",
    "TrialPrunedError": "foretell.errors",
    "load_task": "foretell.data",
    "SearchConfig": "foretell.studies",
    "PredictConfig": "foretell.studies.predict.study",
    "explain": "foretell.api",
    "explain_scores": "foretell.api",
    "create_study": "foretell.api",
    "find": "foretell.api",
    "optimize": "foretell.api",
    "predict": "foretell.api",
    "score": "foretell.api",
}

__all__ = ["__version__", *_LAZY]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'foretell' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
