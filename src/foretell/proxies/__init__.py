"""Zero-cost proxies: what untrained networks tell, collected by one shared pass each.

The catalogue is light: what needs torch is imported when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING

from foretell.proxies._base import (
    Collected,
    Costs,
    Proxy,
    SynflowLayer,
    ZenStats,
    needs_of,
)
from foretell.proxies.catalogue import proxies
from foretell.proxies.needs import Collector, Needs, Step, collectors

if TYPE_CHECKING:
    from foretell.proxies.autograd_pass.network import Pass
    from foretell.proxies.autograd_pass.run import collect
    from foretell.proxies.scores import Item, Scores, score
    from foretell.proxies.shared.batches import Batches, make_batches
    from foretell.proxies.shared.plan import Plan, make_plan

__all__ = [
    "Batches",
    "Collected",
    "Collector",
    "Costs",
    "Item",
    "Needs",
    "Pass",
    "Plan",
    "Proxy",
    "Scores",
    "Step",
    "SynflowLayer",
    "ZenStats",
    "collect",
    "collectors",
    "make_batches",
    "make_plan",
    "needs_of",
    "proxies",
    "score",
]

_LATE = {
    "Batches": "shared.batches",
    "Item": "scores",
    "Pass": "autograd_pass.network",
    "Plan": "shared.plan",
    "Scores": "scores",
    "collect": "autograd_pass.run",
    "make_batches": "shared.batches",
    "make_plan": "shared.plan",
    "score": "scores",
}
"""Name -> the module of this package that has it, and loads torch."""


def __getattr__(name: str) -> object:
    if name in _LATE:
        return getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
