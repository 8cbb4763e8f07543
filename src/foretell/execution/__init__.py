"""Running claims: inline, in a copy, in a pool of processes, or by workers that share a store."""

from foretell.execution._base import Claim, Executor, Function, check_timeout
from foretell.execution._memory import check_limit
from foretell.execution.forked import ForkedExecutor, can_fork
from foretell.execution.inline import InlineExecutor
from foretell.execution.pool import PoolExecutor
from foretell.execution.worker import WorkReport, drain, work
from foretell.store import Result, State

__all__ = [
    "Claim",
    "Executor",
    "ForkedExecutor",
    "Function",
    "InlineExecutor",
    "PoolExecutor",
    "Result",
    "State",
    "WorkReport",
    "can_fork",
    "check_limit",
    "check_timeout",
    "drain",
    "work",
]
