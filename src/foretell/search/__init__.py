"""Searchers by ask and tell, constraints and pools; no torch."""

from foretell.search._base import Problem, Searcher, get_searcher, searcher, searchers
from foretell.search.constraints import (
    COST_NAMES,
    Constraint,
    Feasibility,
    combine,
    feasible_mask,
)
from foretell.search.evolution import EvolutionSearch
from foretell.search.local import LocalSearch
from foretell.search.objectives import Objective, chebyshev, draw_weights, preferred
from foretell.search.pool import Feasible, any_arch, draw_pool
from foretell.search.random import RandomSearch
from foretell.search.robot import RobotSearch
from foretell.search.robot_published import PublishedRobotSearch

__all__ = [
    "COST_NAMES",
    "Constraint",
    "EvolutionSearch",
    "Feasibility",
    "Feasible",
    "LocalSearch",
    "Objective",
    "Problem",
    "PublishedRobotSearch",
    "RandomSearch",
    "RobotSearch",
    "Searcher",
    "any_arch",
    "chebyshev",
    "combine",
    "draw_pool",
    "draw_weights",
    "feasible_mask",
    "get_searcher",
    "preferred",
    "searcher",
    "searchers",
]
