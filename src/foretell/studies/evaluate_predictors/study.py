"""How well predictors learn a table of trained networks: encodings, train sizes, targets, seeds."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from msgspec.structs import replace as with_

from foretell.benchmarks import Benchmark, open_benchmark
from foretell.errors import RunFolderError, UsageError
from foretell.execution import Claim, Executor
from foretell.predictors import predictors
from foretell.store import State, Store
from foretell.studies._base import NO_RESOURCES, MakeExecutor, Resources
from foretell.studies.evaluate_predictors.config import DEFAULT, PredictorsConfig
from foretell.studies.evaluate_predictors.fit import BEST_PROXY, METRICS, Fit, Material, split_rows
from foretell.studies.evaluate_predictors.prepare import Prepared, prepare
from foretell.studies.evaluate_predictors.result import (
    FitFailure,
    Method,
    PredictorEvaluation,
    Spread,
)
from foretell.studies.run.damaged import refuses_damage
from foretell.studies.run.paths import absolute
from foretell.studies.run.progress import OnProgress, Tracker, silent
from foretell.studies.run.rounds import Rounds
from foretell.studies.run.session import Session, open_session, reading
from foretell.studies.run.values import pack, unpack
from foretell.studies.run.workers import executor_for
from foretell.types import Json

__all__ = [
    "CONFIG",
    "FitFailure",
    "Method",
    "PredictorEvaluation",
    "PredictorsConfig",
    "Spread",
    "evaluate_predictors",
    "read",
    "run",
    "split_rows",
]

CONFIG = PredictorsConfig
"""The settings of this kind of study."""
_FRAME = "frame"


@dataclass(frozen=True)
class _Grid:
    """What is to be done, and the evaluation without its figures."""

    material: Material
    frame: PredictorEvaluation
    fits: tuple[Fit, ...]
    identity: Mapping[str, Json]


def evaluate_predictors(
    benchmark: Benchmark,
    config: PredictorsConfig | None = None,
    *,
    executor: MakeExecutor | None = None,
    on_progress: OnProgress = silent,
) -> PredictorEvaluation:
    """Fit every predictor on every train set, and compare what it predicts with the truth.

    All methods get the same splits. A fit that fails is counted with its error and has no figures.

    Args:
        benchmark: the table.
        config: what to compare.
        executor: what runs the fits; by default as many processes as ``config.workers`` says.
        on_progress: told how many fits are made.

    Returns:
        Every figure of every fit.

    Raises:
        UsageError: an option has a value that cannot be used here.
        UnknownNameError: no such predictor, encoding, target or proxy.
    """
    config = config or PredictorsConfig()
    grid = _grid(benchmark, config)
    tell = Tracker(on_progress)
    done: dict[str, Json] = {}
    failures: list[FitFailure] = []
    tell("fit", 0, len(grid.fits))
    claims = (Claim(i, asdict(fit)) for i, fit in enumerate(grid.fits))
    with _executor(grid, config, executor, len(grid.fits)) as runs:
        for count, result in enumerate(runs.map(claims, ordered=False), 1):
            fit = grid.fits[int(result.id)]
            if result.ok:
                done[fit.key] = result.value
            else:
                state = (str(result.state), result.error, result.message)
                failures.append(_failure(grid.frame, fit, *state))
            tell("fit", count, len(grid.fits))
    return _filled(grid.frame, done, failures)


def run(
    config: PredictorsConfig,
    out: Path | str,
    *,
    resources: Resources = NO_RESOURCES,
    executor: MakeExecutor | None = None,
    on_progress: OnProgress = silent,
) -> PredictorEvaluation:
    """Evaluate predictors in a folder; every finished fit is kept.

    A stopped run, or a larger grid on the same table, goes on from what is there. Fits that failed
    are made again.

    Args:
        config: what to compare.
        out: the run folder.
        resources: a table in memory.
        executor: what runs the fits; by default as many processes as ``config.workers`` says.
        on_progress: told how many fits are made.

    Raises:
        UsageError: an option has a value that cannot be used here.
        UnknownNameError: no such benchmark, predictor, encoding, target or proxy.
        RunFolderError: the folder cannot be made or written, is in use, or holds fits on other
            networks, proxies or splits.
    """
    config = with_(config, benchmark=absolute(config.benchmark))
    with open_session(config, out, on_progress) as session:
        benchmark = resources.benchmark or open_benchmark(config.benchmark)
        grid = _grid(benchmark, config, config.command(session.folder.path))
        session.claim(grid.identity)
        session.put(_FRAME, pack(grid.frame))
        reused = _run_fits(session, grid, config, executor)
        found = replace(_stored(session.store, session.kind, grid.frame), reused=reused)
        session.write_tables(found.tables())
        return found


@refuses_damage
def read(out: Path | str) -> PredictorEvaluation:
    """The evaluation in a folder, with the figures of the fits that were made so far.

    Raises:
        RunFolderError: the folder holds none.
    """
    with reading(out, CONFIG.KIND) as store:
        frame = store.value(CONFIG.KIND, _FRAME)
        if frame is None:
            raise RunFolderError(f"{str(out)!r} holds an evaluation that has not begun: resume it.")
        return _stored(store, CONFIG.KIND, unpack(frame, PredictorEvaluation))


def _wanted(config: PredictorsConfig) -> list[Method]:
    """Predictors and encodings as they were asked for; no encodings stand for the usual ones.

    Raises:
        UsageError: a pair has no colon.
    """
    names = config.predictors or (() if config.pairs else DEFAULT)
    grid = [Method(p, text) for text in (config.encodings or ("",)) for p in names]
    for pair in config.pairs:
        predictor, colon, text = pair.rpartition(":")
        if not colon or not predictor or not text:
            raise UsageError(
                f"Expected PREDICTOR:ENCODING, such as gp:graf+onehot, but got {pair!r}."
            )
        grid.append(Method(predictor, text))
    return list(dict.fromkeys(grid))


def _methods(
    wanted: Sequence[Method], prepared: Prepared, config: PredictorsConfig
) -> tuple[Method, ...]:
    """All methods: those asked for, with their encodings, and the baselines."""
    made = dict.fromkeys(Method(m.predictor, m.encodings or prepared.usual) for m in wanted)
    if config.baselines:
        made |= dict.fromkeys(Method(name) for name in prepared.baselines)
        if prepared.proxies:
            made[Method(BEST_PROXY)] = None
    return tuple(made)


def _check_sizes(prepared: Prepared, sizes: Sequence[int], test: int | None) -> None:
    """Whether every target has enough architectures.

    Raises:
        UsageError: one has too few.
    """
    for key, rows in prepared.material.rows.items():
        if sizes[-1] + (test or 2) > len(rows):
            raise UsageError(
                f"{len(rows):,} networks with {key} are too few to learn from {sizes[-1]:,} and "
                f"predict {test or 2:,} others: ask for fewer."
            )


def _grid(benchmark: Benchmark, config: PredictorsConfig, command: str = "") -> _Grid:
    """Everything that can be known before the first fit.

    Raises:
        UsageError: an option has a value that cannot be used here.
        UnknownNameError: no such predictor, encoding, target or proxy.
    """
    config.check()
    wanted = _wanted(config)
    for method in wanted:
        predictors.entry(method.predictor).load()
    prepared = prepare(
        benchmark,
        [m.encodings for m in wanted],
        targets=config.targets or None,
        proxies=config.proxies or None,
        population=config.population,
        order=config.order,
        n=config.n,
        test=config.test,
        split=config.split,
        level=config.level,
        seed=0,
    )
    methods = _methods(wanted, prepared, config)
    sizes = tuple(sorted(set(config.sizes)))
    _check_sizes(prepared, sizes, config.test)
    shape = (len(prepared.targets), len(methods), len(sizes), len(config.seeds))
    rows = [len(prepared.material.rows[t.info.key]) for t in prepared.targets]
    tests = [[config.test or n - size for size in sizes] for n in rows]
    texts = hashlib.blake2b("\n".join(prepared.texts).encode(), digest_size=8).hexdigest()
    frame = PredictorEvaluation(
        benchmark=benchmark.name,
        space=prepared.space,
        n=len(prepared.texts),
        total=len(benchmark.texts),
        population=config.population,
        order=config.order,
        split=config.split,
        test=config.test,
        level=config.level,
        confidence=config.confidence,
        targets=tuple(t.info for t in prepared.targets),
        methods=methods,
        sizes=sizes,
        seeds=config.seeds,
        metrics=METRICS,
        values=np.full((len(METRICS), *shape), np.nan),
        tests=np.array(tests, dtype=np.int64).reshape(shape[0], shape[2]),
        proxies=prepared.proxies,
        encoding_seconds=prepared.encoding_seconds,
        failures=(),
        reused=0,
        fits=int(np.prod(shape)),
        notes=prepared.notes,
        command=command,
    )
    fits = tuple(
        Fit(target.info.key, m.predictor, m.encodings, size, seed)
        for seed in config.seeds
        for size in sizes
        for target in prepared.targets
        for m in methods
    )
    identity = {
        "table": benchmark.name,
        "networks of the table": texts,
        "proxies of the table": list(prepared.proxies),
    }
    return _Grid(prepared.material, frame, fits, identity)


def _executor(
    grid: _Grid, config: PredictorsConfig, make: MakeExecutor | None, work: int
) -> Executor:
    if make is not None and work:
        return make(grid.material)
    return executor_for(grid.material, config.workers, work, timeout=config.timeout)


def _run_fits(
    session: Session, grid: _Grid, config: PredictorsConfig, make: MakeExecutor | None
) -> int:
    """Make the fits that are not there, and return how many were."""
    keys = {fit.key for fit in grid.fits}
    there = {t.key for t in session.store.trials(session.kind, State.done)}
    reused = count = len(keys & there)
    session.tell("fit", count, len(grid.fits))
    with _executor(grid, config, make, len(keys) - count) as executor:
        rounds = Rounds(session.store, session.kind, executor)
        for trial, _ in rounds.each([(fit.key, asdict(fit)) for fit in grid.fits]):
            count += trial.key in keys
            session.tell("fit", count, len(grid.fits))
    return reused


def _stored(store: Store, kind: str, frame: PredictorEvaluation) -> PredictorEvaluation:
    """The frame with the figures and failures that are in a store."""
    done: dict[str, Json] = {}
    failures = []
    for trial in store.trials(kind):
        fit = Fit(**trial.payload)
        if trial.state is State.done:
            done[trial.key] = trial.value
        elif trial.state.final and _place(frame, fit) is not None:
            failures.append(_failure(frame, fit, str(trial.state), trial.error, trial.message))
    return _filled(frame, done, failures)


def _place(frame: PredictorEvaluation, fit: Fit) -> int | None:
    """Place of a fit's method, if the fit is one of this evaluation's."""
    method = Method(fit.predictor, fit.encodings)
    targets = {t.key for t in frame.targets}
    if method in frame.methods and fit.target in targets and fit.size in frame.sizes:
        return frame.methods.index(method) if fit.seed in frame.seeds else None
    return None


def _failure(
    frame: PredictorEvaluation, fit: Fit, state: str, error: str, message: str
) -> FitFailure:
    place = frame.methods.index(Method(fit.predictor, fit.encodings))
    return FitFailure(fit.target, place, fit.size, fit.seed, state, error, message)


def _filled(
    frame: PredictorEvaluation, done: Mapping[str, Json], failures: Sequence[FitFailure]
) -> PredictorEvaluation:
    """The figures of all fits in one array."""
    values = np.full_like(frame.values, np.nan)
    for t, m, s, k in np.ndindex(values.shape[1:]):
        method = frame.methods[m]
        fit = Fit(
            frame.targets[t].key, method.predictor, method.encodings, frame.sizes[s], frame.seeds[k]
        )
        if (found := done.get(fit.key)) is not None:
            row = [found[name] for name in METRICS]
            values[:, t, m, s, k] = [np.nan if v is None else v for v in row]
    order = {seed: i for i, seed in enumerate(frame.seeds)}
    keys = {t.key: i for i, t in enumerate(frame.targets)}
    return replace(
        frame,
        values=values,
        failures=tuple(
            sorted(failures, key=lambda f: (order[f.seed], f.size, keys[f.target], f.method))
        ),
    )
