"""What a run's processes do: one function for every kind of claim, so that one pool serves all."""

from foretell.execution import Executor, InlineExecutor, PoolExecutor
from foretell.studies.search.config import SearchConfig
from foretell.studies.search.pool import score_chunk
from foretell.studies.search.trial import run_trial
from foretell.types import Json

__all__ = ["make_executor", "run_job"]


def run_job(payload: Json) -> Json:
    """Score a chunk of the pool, or train a trial."""
    return score_chunk(payload) if "score" in payload else run_trial(payload)


def make_executor(config: SearchConfig) -> Executor:
    """This process, or as many others as the settings say; they start with their first claim."""
    if config.workers:
        return PoolExecutor(run_job, config.workers, timeout=config.timeout)
    return InlineExecutor(run_job)
