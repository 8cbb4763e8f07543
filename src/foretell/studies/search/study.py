"""The main job: draw, score, search, train, retrain the winner and attack it.

Every stage writes what it finished to the store before it says so; a second call on the same folder
therefore goes on where the first one ended, however it ended. Searchers keep no state on disk:
they are asked and told again, which takes no time because every answer is in the store.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foretell.arch import Arch
from foretell.data import Task
from foretell.errors import RunFolderError, StudyConflictError
from foretell.execution import Executor, work
from foretell.rng import stream
from foretell.search import Constraint, Feasibility, Problem, Searcher, searchers
from foretell.spaces import Skeleton, Space, get_space
from foretell.store import Store, Trial
from foretell.studies.run.costs import CostBook
from foretell.studies.run.folder import RunFolder
from foretell.studies.run.progress import OnProgress, silent
from foretell.studies.search.config import SearchConfig
from foretell.studies.search.jobs import make_executor
from foretell.studies.search.pool import Pool, draw, score_pool
from foretell.studies.search.rounds import Rounds
from foretell.studies.search.trial import payload_of, run_trial, skeleton_of, task_of
from foretell.studies.search.winner import Final, attack, retrain
from foretell.types import Array, Json

if TYPE_CHECKING:
    pass

__all__ = ["STUDY", "Final", "SearchOutcome", "run_search", "serve", "stored_config"]

STUDY = "search"
"""The name of the one study in a run folder's store."""


@dataclass(frozen=True)
class SearchOutcome:
    """Everything a search found out.

    Args:
        config: what was asked for.
        folder: the run folder.
        space: the search space.
        task: the images.
        skeleton: the fixed part of the networks.
        pool: what was drawn and scored.
        trials: what was trained, in order, failures included.
        predicted: what the searcher expects of each of the pool at the end, NaN without opinion.
        final: the winner.
        reused_trials: how many trials an earlier call had finished.
        stages: stage -> seconds of this call.
    """

    config: SearchConfig
    folder: Path
    space: Space
    task: Task
    skeleton: Skeleton
    book: CostBook
    pool: Pool
    trials: tuple[Trial, ...]
    predicted: Array
    final: Final
    reused_trials: int
    stages: Mapping[str, float]

    def arch_of(self, trial: Trial) -> Arch:
        """The architecture of a trial."""
        return Arch(self.config.space, tuple(trial.payload["genes"]))


def run_search(
    config: SearchConfig, folder: Path | str, *, on_progress: OnProgress = silent
) -> SearchOutcome:
    """Run a search in a folder, or go on with the one that is there.

    Args:
        config: what to do.
        folder: the run folder; made if it is not there.
        on_progress: told how far each stage is.

    Raises:
        RunFolderError: the folder cannot be written, is in use, or holds another search.
        NetworkError: the space has no networks.
        NoFeasibleArchError: nothing meets the constraints.
        SearchError: every trial failed; the first failure is named.
        ForetellError: a name, the data or the store is at fault.
    """
    place = RunFolder(folder)
    with place.lock():
        clock = _Clock()
        task = task_of(config)
        space = get_space(config.space)
        space.builder()
        skeleton = skeleton_of(config, task)
        book = CostBook(space, skeleton)
        constraints = [Constraint.parse(text) for text in config.constraints]
        reference = book([space.parse(config.reference)]) if config.reference else None
        feasible = Feasibility(constraints, book, reference=reference)
        entry = searchers.entry(config.searcher)
        make = entry.load()
        clock.lap("data")
        with Store(place.store) as store, make_executor(config) as executor:
            _claim_folder(store, config, task, place)
            store.put_value(STUDY, _SETTINGS, config.to_json())
            on_progress("pool", 0, config.pool)
            pool = Pool(())
            if make.needs_pool:
                pool = draw(store, STUDY, config, book, feasible)
                on_progress("pool", len(pool.archs), len(pool.archs))
            clock.lap("pool")
            if make.needs_scores:
                pool = score_pool(store, STUDY, config, pool, executor, on_progress)
            clock.lap("score")
            problem = Problem(space, pool.archs, pool.scores, feasible)
            searcher = make(problem, stream(config.seed, "searcher"))
            trials, reused = _search(store, config, searcher, executor, on_progress)
            clock.lap("train")
            final = retrain(store, STUDY, config, place, task, trials, book, on_progress)
            clock.lap("final")
            final = attack(store, STUDY, config, final, task, on_progress)
            clock.lap("attack")
        return SearchOutcome(
            config,
            place.path,
            space,
            task,
            skeleton,
            book,
            pool,
            tuple(trials),
            searcher.predict(pool.archs) if pool.archs else np.zeros(0),
            final,
            reused,
            clock.laps,
        )


def stored_config(folder: Path | str) -> SearchConfig:
    """The settings of the search in a folder, as it was last called.

    Raises:
        RunFolderError: the folder holds no search.
    """
    with _open(folder) as store:
        return SearchConfig.from_json(store.value(STUDY, _SETTINGS))


def serve(folder: Path | str, *, workers: int = 0, wait: bool = False) -> int:
    """Work on the trials of the search in a folder, side by side with it.

    Args:
        folder: the run folder, which several hosts may share.
        workers: processes; 0 trains in this one.
        wait: whether to stay when everything is finished, for trials that are yet to be added.

    Returns:
        How many trials were finished here.

    Raises:
        RunFolderError: the folder holds no search.
    """
    _open(folder).close()
    return work(RunFolder(folder).store, STUDY, run_trial, workers=workers, wait=wait).finished


def _open(folder: Path | str) -> Store:
    path = Path(folder).expanduser() / "study.db"
    if not path.is_file():
        raise RunFolderError(
            f"{str(folder)!r} holds no search: start one with foretell search --out {folder}."
        )
    return Store(path)


_SETTINGS = "settings"


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[stage], self._last = now - self._last, now


def _claim_folder(store: Store, config: SearchConfig, task: Task, place: RunFolder) -> None:
    """Make the folder this search's, or see that it is already.

    Raises:
        RunFolderError: it holds a search with other settings or data; the first one is named.
    """
    mine: dict[str, Json] = {**config.identity(), "data fingerprint": task.fingerprint}
    try:
        store.put_study(STUDY, mine)
    except StudyConflictError:
        known = store.study(STUDY).config
        names = dict.fromkeys([*mine, *known])  # the fingerprint, which follows the seed, is last
        name = next(n for n in names if mine.get(n) != known.get(n))
        raise RunFolderError(
            f"{str(place.path)!r} holds a search with {name} {known.get(name)!r}, but "
            f"{mine.get(name)!r} was asked for: choose another folder with --out, or the same "
            f"settings to resume."
        ) from None


def _search(
    store: Store,
    config: SearchConfig,
    searcher: Searcher,
    executor: Executor,
    on_progress: OnProgress,
) -> tuple[list[Trial], int]:
    """Ask, train, tell, until the budget is spent or the space exhausted."""
    reused = sum(t.state.final for t in store.trials(STUDY))
    rows: list[Trial] = []
    rounds = Rounds(store, STUDY, executor)
    while len(rows) < config.trials:
        best = max((_value(t) for t in rows if t.state == "done"), default=None)
        on_progress("train", len(rows), config.trials, f"best {best:.2%}" if best else "")
        archs = searcher.ask(min(config.round, config.trials - len(rows)))
        if not archs:
            break
        expected = searcher.predict(archs)
        payloads = [
            (str(a), payload_of(config, a, float(p))) for a, p in zip(archs, expected, strict=True)
        ]
        done = rounds.run(payloads)
        searcher.tell(archs, [_value(t) for t in done])
        rows += done
    on_progress("train", len(rows), len(rows))
    return rows, min(reused, len(rows))


def _value(trial: Trial) -> float:
    """What a trial is worth to the searcher; NaN if it failed."""
    return float(trial.value["val_accuracy"]) if trial.state == "done" else float("nan")
