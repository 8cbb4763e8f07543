"""The store of a run: studies, trials with leases, bulk scores and values in one SQLite file."""

from foretell.store._base import Result, ScoreTable, State, Study, Trial
from foretell.store._owner import is_dead, is_here, owner_name
from foretell.store._store import FORMAT, Store

__all__ = [
    "FORMAT",
    "Result",
    "ScoreTable",
    "State",
    "Store",
    "Study",
    "Trial",
    "is_dead",
    "is_here",
    "owner_name",
]
