"""The result of a search, as its page shows it."""

from foretell.studies.search.result import (
    BASELINES,
    BaselineRow,
    BaselineTable,
    ConstraintRow,
    CurveRow,
    ObjectiveRow,
    PoolTable,
    ResumeRow,
    SearchResult,
    TaskRow,
    TrialRow,
    Winner,
    WonRow,
)

__all__ = [
    "BASELINES",
    "BaselineRow",
    "BaselineTable",
    "ConstraintRow",
    "CurveRow",
    "ObjectiveRow",
    "PoolTable",
    "ResumeRow",
    "RunData",
    "TaskRow",
    "TrialRow",
    "Winner",
    "WonRow",
]

RunData = SearchResult
"""What the sections of the page read."""
