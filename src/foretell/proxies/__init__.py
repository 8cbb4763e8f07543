"""Zero-cost proxies: what untrained networks tell, collected by one shared pass each."""

from foretell.proxies import (  # noqa: F401  (they register)
    activations,
    counts,
    gradients,
    grasp,
    jacobian,
    synflow,
    zen,
    zico,
)
from foretell.proxies._base import (
    Collected,
    Costs,
    Needs,
    Proxy,
    SynflowLayer,
    ZenStats,
    needs_of,
    proxies,
)
from foretell.proxies.autograd_pass.run import collect
from foretell.proxies.scores import Item, Scores, score
from foretell.proxies.shared.batches import Batches, make_batches
from foretell.proxies.shared.plan import Plan, make_plan

__all__ = [
    "Batches",
    "Collected",
    "Costs",
    "Item",
    "Needs",
    "Plan",
    "Proxy",
    "Scores",
    "SynflowLayer",
    "ZenStats",
    "collect",
    "make_batches",
    "make_plan",
    "needs_of",
    "proxies",
    "score",
]
