"""The report of a search run: one HTML file that needs nothing but a browser."""

from foretell.report._base import Chart, Note, Page, Pair, Pairs, Section
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
    "Chart",
    "ConstraintRow",
    "CurveRow",
    "Note",
    "ObjectiveRow",
    "Page",
    "Pair",
    "Pairs",
    "PoolTable",
    "ResumeRow",
    "RunData",
    "Section",
    "TaskRow",
    "TrialRow",
    "Winner",
    "figures",
    "render",
    "summary",
    "write",
]
