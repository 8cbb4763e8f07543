"""Running claims: inline, in a pool of processes, or by workers that share a store."""

from foretell.execution._base import Claim, Executor, Function
from foretell.execution.inline import InlineExecutor
from foretell.execution.pool import PoolExecutor
from foretell.execution.worker import WorkReport, drain, work
from foretell.store import Result, State

__all__ = [
    "Claim",
    "Executor",
    "Function",
    "InlineExecutor",
    "PoolExecutor",
    "Result",
    "State",
    "WorkReport",
    "drain",
    "work",
]
