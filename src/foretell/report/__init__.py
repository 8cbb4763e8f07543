"""The report of a search run: one HTML file that needs nothing but a browser."""

from foretell.report._data import (
    BASELINES,
    ConstraintRow,
    CurveRow,
    PoolTable,
    ResumeRow,
    RunData,
    TaskRow,
    TrialRow,
    Winner,
)
from foretell.report.page import figures, render, write
from foretell.report.terminal import summary

__all__ = [
    "BASELINES",
    "ConstraintRow",
    "CurveRow",
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
