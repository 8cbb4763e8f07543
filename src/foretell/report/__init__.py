"""The report of a search run: one HTML file that needs nothing but a browser."""

from foretell.report.search.data import (
    BASELINES,
    ConstraintRow,
    CurveRow,
    ObjectiveRow,
    PoolTable,
    ResumeRow,
    RunData,
    TaskRow,
    TrialRow,
    Winner,
)
from foretell.report.search.page import figures, render, write
from foretell.report.search.terminal import summary

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
    "figures",
    "render",
    "summary",
    "write",
]
