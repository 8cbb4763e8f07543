"""The runs: what is asked for, how it goes on after a stop, what comes out."""

from foretell.studies.run.costs import CostBook
from foretell.studies.run.folder import RunFolder
from foretell.studies.run.progress import OnProgress, silent
from foretell.studies.run.threads import one_thread
from foretell.studies.search.config import DEFAULT_PROXIES, SearchConfig
from foretell.studies.search.pool import Pool
from foretell.studies.search.study import (
    STUDY,
    SearchOutcome,
    run_search,
    serve,
    stored_config,
)
from foretell.studies.search.trial import run_trial, use_task
from foretell.studies.search.winner import Final

__all__ = [
    "DEFAULT_PROXIES",
    "STUDY",
    "CostBook",
    "Final",
    "OnProgress",
    "Pool",
    "RunFolder",
    "SearchConfig",
    "SearchOutcome",
    "one_thread",
    "run_search",
    "run_trial",
    "serve",
    "silent",
    "stored_config",
    "use_task",
]
