"""The result of a search, as its page shows it."""

from foretell.studies.search.result import (
    BASELINES,
    ConstraintRow,
    CurveRow,
    ObjectiveRow,
    PoolTable,
    ResumeRow,
    SearchResult,
    TaskRow,
    TrialRow,
    Winner,
)

__all__ = [
    "BASELINES",
    "ConstraintRow",
    "CurveRow",
    "ObjectiveRow",
    "PoolTable",
    "ResumeRow",
    "RunData",
    "TaskRow",
    "TrialRow",
    "Winner",
]

RunData = SearchResult
"""What the sections of the page read."""
