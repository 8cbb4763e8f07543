"""The runs: what is asked for, how it goes on after a stop, what comes out."""

from foretell.studies._base import Resources, Result, Study, StudyConfig, study_of
from foretell.studies.run.costs import CostBook
from foretell.studies.run.folder import RunFolder
from foretell.studies.run.progress import OnProgress, Progress, Tracker, silent
from foretell.studies.run.session import kind_in, stored_settings
from foretell.studies.run.threads import one_thread
from foretell.studies.search.config import DEFAULT_PROXIES, SearchConfig
from foretell.studies.search.pool import Pool
from foretell.studies.search.result import SearchResult
from foretell.studies.search.study import STUDY, SearchOutcome, serve, stored_config
from foretell.studies.search.winner import Final

__all__ = [
    "DEFAULT_PROXIES",
    "STUDY",
    "CostBook",
    "Final",
    "OnProgress",
    "Pool",
    "Progress",
    "Resources",
    "Result",
    "RunFolder",
    "SearchConfig",
    "SearchOutcome",
    "SearchResult",
    "Study",
    "StudyConfig",
    "Tracker",
    "kind_in",
    "one_thread",
    "serve",
    "silent",
    "stored_config",
    "stored_settings",
    "study_of",
]
