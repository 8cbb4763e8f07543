"""The main job: draw, score, search, train, retrain the winner, attack and export it.

Every stage writes what it finished to the store before it says so; a second call on the same folder
therefore goes on where the first one ended, however it ended.
"""

import hashlib
import os
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from foretell import __version__
from foretell.arch import Arch
from foretell.data import Task
from foretell.errors import UsageError
from foretell.execution import can_fork, work
from foretell.rng import stream
from foretell.search import Problem, Searcher, get_searcher
from foretell.spaces import Skeleton, Space
from foretell.store import Trial
from foretell.studies._base import NO_RESOURCES, MakeExecutor, Resources
from foretell.studies.run.costs import CostBook
from foretell.studies.run.folder import RunFolder
from foretell.studies.run.progress import OnProgress, silent
from foretell.studies.run.session import Session, open_session, reading, stored_settings
from foretell.studies.run.threads import one_thread
from foretell.studies.run.trust import check_trusted
from foretell.studies.run.workers import COUNTING, TORCH
from foretell.studies.search.baselines import train_baselines
from foretell.studies.search.budget import Choice, choose_skeleton, explaining, narrow
from foretell.studies.search.config import SearchConfig
from foretell.studies.search.goals import Goals
from foretell.studies.search.loop import Loop
from foretell.studies.search.pool import Pool, draw, feasibility_of, score_pool
from foretell.studies.search.read import NOTES, read, store_about, store_winner
from foretell.studies.search.result import SearchResult
from foretell.studies.search.trial import Job, open_executor, space_of, task_of
from foretell.studies.search.winner import PASSED, Ending, Final, choose
from foretell.types import Array

__all__ = ["CONFIG", "STUDY", "SearchOutcome", "read", "run", "serve", "stored_config"]

CONFIG = SearchConfig
"""The settings of this kind of study."""
STUDY = SearchConfig.KIND
"""The name of the study in a run folder's store."""
_EXPORTED, _SKELETON = "exported", "skeleton"
_NO_ONNX = "model.onnx needs the extra onnx: pip install 'foretell[onnx]'"


@dataclass(frozen=True)
class SearchOutcome:
    """What is in memory when a search has ended.

    Args:
        config: what was asked for.
        folder: the run folder.
        space: the search space.
        task: the images.
        skeleton: the fixed part of the networks.
        book: costs of architectures.
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
        return Arch(self.space.name, tuple(trial.payload["genes"]))


@dataclass(frozen=True)
class _Checked:
    """What a search needs, found to be right before anything is written."""

    task: Task
    space: Space
    choice: Choice
    goals: Goals
    reference: Arch | None
    searcher: type[Searcher]

    @property
    def skeleton(self) -> Skeleton:
        """The fixed part of the networks."""
        return self.choice.skeleton

    @property
    def modules(self) -> tuple[str, ...]:
        """What a process imports that works on the networks."""
        closed = self.space.costs([], self.skeleton) is not None
        return TORCH if closed else TORCH + COUNTING


def run(
    config: SearchConfig,
    out: Path | str,
    *,
    resources: Resources = NO_RESOURCES,
    executor: MakeExecutor | None = None,
    on_progress: OnProgress = silent,
) -> SearchResult:
    """Run a search in a folder, or go on with the one that is there.

    Args:
        config: what to do.
        out: the run folder; made if it is not there.
        resources: a space or images in memory.
        executor: what runs the claims; by default as the settings say.
        on_progress: told how far each stage is.

    Raises:
        RunFolderError: the folder cannot be written, is in use, or holds another study.
        NetworkError: the space has no networks.
        NoFeasibleArchError: nothing meets the constraints.
        SearchError: every trial failed, none keeps the constraints, or the best of them fail when
            they are trained in full; the first is named.
        ForetellError: a name, the data or the store is at fault.
    """
    if resources.space is not None:
        config = _named(config, space_of(config, resources).name)
    if resources.task is not None:
        config = _named(config, config.space, f"memory:{resources.task.fingerprint}")
    with open_session(config, out, on_progress) as session:
        checked = _check(config, resources)
        session.lap("data")
        job = Job(_with_preset(config, checked.choice.preset), resources)
        opened = open_executor(
            job, resources, executor,
            workers=config.workers, timeout=config.timeout, memory_limit=config.memory_bytes,
            forked=can_fork(config.device), modules=checked.modules,
        )  # fmt: skip
        with opened as pool_of_workers, session.watching(pool_of_workers), ExitStack() as explained:
            book = CostBook(checked.space, checked.skeleton, executor=pool_of_workers)
            explained.enter_context(explaining(book, checked.goals, checked.reference, config.seed))
            feasible = feasibility_of(checked.goals, book, checked.reference)
            session.claim({"data fingerprint": checked.task.fingerprint} | _decided(checked.choice))
            read(session.folder.path)  # what an earlier call left must be whole
            session.put(_SKELETON, {"preset": checked.choice.preset, "why": checked.choice.why})
            session.log.write(f"skeleton: {checked.choice.why}")
            book.attach(session)
            store_about(session, checked.task, checked.space, _versions())
            session.tell("pool", 0, config.pool)
            pool = Pool(())
            if checked.searcher.needs_pool:
                pool = draw(session, config, book, feasible)
                session.tell("pool", len(pool.archs), len(pool.archs))
                _warn(session, checked, pool, book)
            session.lap("pool")
            if checked.searcher.needs_scores:
                pool = score_pool(session, pool, pool_of_workers, config.proxies)
            session.lap("score")
            usable = pool.usable
            problem = Problem(checked.space, usable.archs, usable.scores, feasible)
            searcher = checked.searcher(problem, stream(config.seed, "searcher"))
            loop = Loop(
                session, checked.goals, searcher, pool_of_workers,
                text_of=checked.space.format, book=book, reference=checked.reference,
            )  # fmt: skip
            trials, reused = loop.run(config.trials, config.round, reused_scores=pool.reused)
            session.lap("train")
            predicted = searcher.predict(pool.archs) if pool.archs else np.zeros(0)
            session.put("predicted", [None if np.isnan(v) else float(v) for v in predicted])
            ending = Ending(session, config, book, pool_of_workers)
            final, exported = _close(session, ending, loop.goals, trials, checked, onnx=config.onnx)
            session.lap("export")
            train_baselines(session, config, loop, pool_of_workers, book, feasible, pool, final)
            if config.baselines:
                session.lap("baselines")
        files, left_out, problems = exported
        store_winner(
            session, final, checked.space, len(checked.task.test), files, left_out, problems
        )
        session.put("stages", session.laps)
        outcome = SearchOutcome(
            config, session.folder.path, checked.space, checked.task, checked.skeleton,
            book, pool, tuple(trials), predicted, final, reused, session.laps,
        )  # fmt: skip
        result = replace(read(session.folder.path), outcome=outcome, state="finished")
        for name in ("baselines", "won"):  # of an earlier call that was asked for them
            (session.folder.path / f"{name}.csv").unlink(missing_ok=True)
        session.write_tables(result.tables())
        for note in result.notes:
            session.log.write(f"caution: {note}")
    return result


def stored_config(folder: Path | str) -> SearchConfig:
    """The settings of the search in a folder, as it was last called.

    Raises:
        RunFolderError: the folder holds no search.
    """
    return SearchConfig.from_json(stored_settings(folder))


def serve(folder: Path | str, *, workers: int = 0, wait: bool = False, trust: bool = False) -> int:
    """Work on the trials of the search in a folder, side by side with it.

    Args:
        folder: the run folder, which several hosts may share.
        workers: processes; 0 trains in this one.
        wait: whether to stay when everything is finished, for trials that are yet to be added.
        trust: whether the caller vouches for a folder that was not made here.

    Returns:
        How many trials were finished here.

    Raises:
        RunFolderError: the folder holds no search.
        UsageError: this host does not have the search's device.
        UntrustedError: the folder was not made here, or its code was changed.
    """
    check_trusted(folder, trust)
    config = stored_config(folder)
    _check_device(config.device)
    with reading(folder, STUDY) as store:
        stored = store.value(STUDY, _SKELETON) or {}
    job = Job(_with_preset(config, stored.get("preset")))
    forked = can_fork(config.device)
    runs = open_executor(
        job, NO_RESOURCES, None,
        workers=workers, timeout=config.timeout if workers else None,
        memory_limit=config.memory_bytes, forked=forked, modules=TORCH,
    )  # fmt: skip
    return work(RunFolder(folder).store, STUDY, runs, wait=wait).finished


def _named(config: SearchConfig, space: str, data: str = "") -> SearchConfig:
    """The settings with the names of what is in memory."""
    return SearchConfig.from_json({**config.to_json(), "space": space, "data": data or config.data})


def _with_preset(config: SearchConfig, preset: str | None) -> SearchConfig:
    """The settings with the skeleton that was chosen."""
    return (
        config if preset is None else SearchConfig.from_json({**config.to_json(), "preset": preset})
    )


def _decided(choice: Choice) -> dict[str, str | None]:
    """What a resumed run must share of a skeleton that follows from the limits."""
    return {"skeleton": choice.preset} if choice.by_budget else {}


def _warn(session: Session, checked: _Checked, pool: Pool, book: CostBook) -> None:
    """Say in log and report where the pool leaves nothing to choose from."""
    note = narrow(
        checked.space, checked.skeleton, checked.goals, pool.archs, book(pool.archs),
        checked.reference, session.config.to_json()["seed"],
    )  # fmt: skip
    session.put(NOTES, [note] if note else [])
    if note:
        session.log.write(f"pool: {note}")


def _check(config: SearchConfig, resources: Resources) -> _Checked:
    """Settings, data, device and constraints, before anything is written.

    Raises:
        ForetellError: one of them is at fault.
    """
    goals = Goals.of(config)
    make = get_searcher(config.searcher)
    _check_device(config.device)
    if config.attacks:
        from foretell.robustness import attacks

        for name in config.attacks:
            attacks.entry(name)
    if make.needs_scores:
        from foretell.proxies import proxies

        for name in config.proxies:
            proxies.entry(name)
    task = task_of(config, resources)
    space = space_of(config, resources)
    space.builder()
    reference = space.parse(config.reference) if config.reference else None
    choice = choose_skeleton(
        space, goals, input_shape=task.input_shape, classes=task.classes, preset=config.preset,
        reference=reference, seed=config.seed,
    )  # fmt: skip
    return _Checked(task, space, choice, goals, reference, make)


def _check_device(device: str) -> None:
    """Refuse a device that is not there.

    Raises:
        UsageError: torch knows no such device, or this machine has none.
    """
    if device == "cpu":
        return
    import torch

    try:
        torch.zeros(1, device=torch.device(device)).item()  # "meta" has no values
    except Exception as error:
        raise UsageError(
            f"The device {device!r} cannot be used here ({str(error).splitlines()[0]}): take "
            f"--device cpu."
        ) from error


def _close(
    session: Session,
    ending: Ending,
    goals: Goals,
    trials: Sequence[Trial],
    checked: _Checked,
    *,
    onnx: bool,
) -> tuple[Final, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]:
    """Train the winner in full, attack it and export it; where that fails, the next best.

    Returns:
        The winner; and files, what was left out and why, and what does not work elsewhere and why.

    Raises:
        SearchError: nothing can win, or the best of them failed in these steps.
    """
    passed: list[tuple[Trial, str]] = []
    while True:
        session.put(PASSED, [[t.number, t.payload["text"], why] for t, why in passed])
        best = choose(goals, trials, passed)
        done = ending.retrain(best)
        session.lap("final")
        if isinstance(done, str):
            passed.append((best, f"its training in full failed with {done}"))
        else:
            final = ending.attack(done)
            session.lap("attack")
            exported = _export(session, ending, final, checked, onnx=onnx)
            if not isinstance(exported, str):
                return final, exported
            passed.append((best, f"its export failed with {exported}"))


def _export(
    session: Session, ending: Ending, final: Final, checked: _Checked, *, onnx: bool
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]] | str:
    """Write ``best/``, unless it holds this winner.

    Returns:
        The files, what was left out and why, and what does not work elsewhere and why; or why
        nothing was written.
    """
    from foretell.export import check_folder

    folder = session.folder
    session.tell("export", 0, 1)
    key = final.key if onnx else f"{final.key} without onnx"
    stored = session.value(_EXPORTED) or {}
    if not folder.best.is_dir() or stored.get("key") != key or not _whole(folder.best, stored):
        for left in folder.path.glob(".best*"):
            shutil.rmtree(left, ignore_errors=True)
        # a name of its own: a killed run's worker may still be writing
        draft = folder.path / f".best-{os.getpid()}-{time.monotonic_ns()}"
        done = ending.export(final, draft)
        if isinstance(done, str):
            return done
        problems, expected = done
        with one_thread():
            problems += check_folder(draft, expected, arch=final.arch, skeleton=checked.skeleton)
        session.put(_EXPORTED, None)
        shutil.rmtree(folder.best, ignore_errors=True)
        draft.rename(folder.best)
        files = {str(p.relative_to(folder.best)): _digest(p) for p in _files(folder.best)}
        stored = {"key": key, "files": files, "problems": list(problems)}
        session.put(_EXPORTED, stored)
    for problem in stored["problems"]:
        session.log.write(f"export: {problem}")
    session.tell("export", 1, 1)
    why = _NO_ONNX if onnx else "model.onnx was not asked for."
    there = (folder.best / "model.onnx").is_file()
    left_out = () if there or any("ONNX" in p for p in stored["problems"]) else (why,)
    written = tuple(f"{folder.best.name}/{name}" for name in sorted(stored["files"]))
    return written, left_out, tuple(stored["problems"])


def _files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file()]


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _whole(folder: Path, stored: Mapping[str, Any]) -> bool:
    """Whether every file of an exported folder is there as it was written."""
    return all(
        (folder / name).is_file() and _digest(folder / name) == digest
        for name, digest in stored["files"].items()
    )


def _versions() -> dict[str, str]:
    found = {"foretell": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy", "scipy", "plotly"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return {**found, "started": datetime.now(UTC).isoformat("T", "seconds")}
