"""How well predictors learn a table of trained networks: encodings, train sizes, targets, seeds."""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from foretell.benchmarks import Benchmark
from foretell.errors import UsageError
from foretell.execution import Claim, Executor, InlineExecutor, PoolExecutor
from foretell.predictors import predictors
from foretell.studies.evaluate_predictors.fit import BEST_PROXY, METRICS, Fit, Material, split_rows
from foretell.studies.evaluate_predictors.prepare import Prepared, prepare
from foretell.studies.evaluate_predictors.result import (
    FitFailure,
    Method,
    PredictorEvaluation,
    Spread,
)
from foretell.studies.run.folder import RunFolder
from foretell.studies.run.journal import Records
from foretell.types import Json

__all__ = [
    "FitFailure",
    "Method",
    "PredictorEvaluation",
    "PredictorsConfig",
    "Spread",
    "evaluate_predictors",
    "split_rows",
]

SPLITS = ("own", "sklearn")
DEFAULT = ("gp", "random_forest", "bayes_linear")


@dataclass(frozen=True)
class PredictorsConfig:
    """What to compare.

    Args:
        predictors: names; each is combined with each of ``encodings``. Without these and ``pairs``:
            gp, random_forest and bayes_linear.
        encodings: names with "+" between; by default graf, costs, the table's scores, and
            onehot where genes can be told apart.
        pairs: further ones as "PREDICTOR:ENCODING", such as "gp:graf+onehot".
        targets: keys of metrics or patterns; by default the first accuracy that is not of the
            training images.
        proxies: of the table, for ``scores`` and the best proxy; by default all.
        sizes: of the train sets.
        seeds: of splits and models.
        test: how many architectures to predict; None for all that were not learned from.
        split: see ``split_rows``.
        population: "all", "alive", "no unreachable op" or "deduplicated".
        order: metric by which the table is sorted before it is split; architectures without a
            value are left out.
        n: look at so many architectures, drawn at random; by default at all.
        level: share of values that conformal intervals should hold; 0 for none.
        confidence: of the t intervals over seeds.
        baselines: whether to add params, flops and the best single proxy, which learn no model.
    """

    predictors: tuple[str, ...] = ()
    encodings: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    sizes: tuple[int, ...] = (32, 128)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    test: int | None = None
    split: str = "own"
    population: str = "all"
    order: str = ""
    n: int | None = None
    level: float = 0.0
    confidence: float = 0.95
    baselines: bool = True


def evaluate_predictors(
    benchmark: Benchmark,
    config: PredictorsConfig | None = None,
    *,
    out: Path | str | None = None,
    workers: int = 0,
    timeout: float | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> PredictorEvaluation:
    """Fit every predictor on every train set, and compare what it predicts with the truth.

    All methods get the same splits. A fit that fails is counted with its error and has no figures.

    Args:
        benchmark: the table.
        config: what to compare.
        out: folder in which every finished fit is kept, so that a stopped run, or a larger grid on
            the same table, goes on from there; None for nowhere.
        workers: processes that fit; 0 fits here.
        timeout: seconds that one fit may take; needs a worker.
        on_progress: told stage, done and total.

    Returns:
        Every figure of every fit.

    Raises:
        UsageError: an option has a value that cannot be used here.
        UnknownNameError: no such predictor, encoding, target or proxy.
        RunFolderError: the folder cannot be made or written, or another run uses it.
    """
    config = config or PredictorsConfig()
    _check(config, workers, timeout)
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
    fits = [
        (Fit(target.info.key, m.predictor, m.encodings, size, seed), place)
        for seed in config.seeds
        for size in sizes
        for target in prepared.targets
        for place, m in enumerate(methods)
    ]
    with contextlib.ExitStack() as stack:
        kept = None
        if out is not None:
            folder = RunFolder(out)
            stack.enter_context(folder.lock())
            kept = _records(folder.path / "fits.jsonl", _identity(benchmark, prepared, config))
        done = dict(kept.done) if kept is not None else {}
        reused = sum(fit.key in done for fit, _ in fits)
        todo = [(fit, place) for fit, place in fits if fit.key not in done]
        executor = stack.enter_context(_executor(prepared.material, workers, timeout, len(todo)))
        failures = []
        claims = (Claim(i, asdict(fit)) for i, (fit, _) in enumerate(todo))
        tell = on_progress or (lambda stage, made, total: None)
        tell("fit", reused, len(fits))
        for count, result in enumerate(executor.map(claims, ordered=False), 1):
            fit, place = todo[int(result.id)]
            if result.ok:
                done[fit.key] = result.value
                if kept is not None:
                    kept.add(fit.key, result.value)
            else:
                failures.append(
                    FitFailure(
                        fit.target, place, fit.size, fit.seed,
                        str(result.state), result.error, result.message,
                    )
                )  # fmt: skip
            tell("fit", reused + count, len(fits))
    return _together(benchmark, config, prepared, methods, sizes, done, failures, reused)


def _check(config: PredictorsConfig, workers: int, timeout: float | None) -> None:
    """Refuse what cannot be, before anything is read.

    Raises:
        UsageError: an option has a value that cannot be used.
    """
    if not config.sizes or min(config.sizes) < 2 or not config.seeds or min(config.seeds) < 0:
        raise UsageError(
            f"Expected train sizes of 2 or more and seeds of 0 or more, but got "
            f"{list(config.sizes)} and {list(config.seeds)}."
        )
    if len(set(config.seeds)) != len(config.seeds):
        raise UsageError(f"A seed stands twice in {list(config.seeds)}.")
    if config.test is not None and config.test < 2:
        raise UsageError(f"Expected 2 or more architectures to test on, but got {config.test}.")
    if config.split not in SPLITS:
        raise UsageError(f"Expected a split out of {', '.join(SPLITS)}, but got {config.split!r}.")
    if not 0 <= config.level < 1 or not 0 < config.confidence < 1:
        raise UsageError(
            f"Expected a level in [0, 1) and a confidence in (0, 1), but got {config.level} and "
            f"{config.confidence}."
        )
    if config.encodings and not config.predictors:
        raise UsageError("Encodings are for predictors: name one of these as well, or give a pair.")
    if workers < 0:
        raise UsageError(f"Expected 0 workers or more, but got {workers}.")
    if timeout is not None and not workers:
        raise UsageError("A time limit needs a process to end: ask for 1 worker or more with it.")


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


def _identity(benchmark: Benchmark, prepared: Prepared, config: PredictorsConfig) -> Json:
    """What fits must share to be of the same evaluation; the grid may differ."""
    texts = hashlib.blake2b("\n".join(prepared.texts).encode(), digest_size=8).hexdigest()
    return {
        "table": benchmark.name,
        "networks": texts,
        "test": config.test,
        "split": config.split,
        "level": config.level,
        "proxies": list(prepared.proxies),
    }


def _records(path: Path, identity: Json) -> Records:
    try:
        return Records(path, identity)
    except UsageError as error:
        raise UsageError(
            f"{str(path)!r} holds fits on other networks, proxies or splits, or is damaged: give "
            f"the settings of before to go on, or another folder."
        ) from error


def _executor(material: Material, workers: int, timeout: float | None, work: int) -> Executor:
    if not workers or not work:
        return InlineExecutor(material)
    return PoolExecutor(material, min(workers, work), timeout)


def _together(
    benchmark: Benchmark,
    config: PredictorsConfig,
    prepared: Prepared,
    methods: tuple[Method, ...],
    sizes: tuple[int, ...],
    done: dict[str, Json],
    failures: Sequence[FitFailure],
    reused: int,
) -> PredictorEvaluation:
    """The figures of all fits in one array."""
    shape = (len(prepared.targets), len(methods), len(sizes), len(config.seeds))
    values = np.full((len(METRICS), *shape), np.nan)
    tests = np.zeros((shape[0], shape[2]), dtype=np.int64)
    for t, m, s, k in np.ndindex(shape):
        key = prepared.targets[t].info.key
        tests[t, s] = config.test or len(prepared.material.rows[key]) - sizes[s]
        fit = Fit(key, methods[m].predictor, methods[m].encodings, sizes[s], config.seeds[k])
        if (found := done.get(fit.key)) is not None:
            row = [found[name] for name in METRICS]
            values[:, t, m, s, k] = [np.nan if v is None else v for v in row]
    return PredictorEvaluation(
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
        values=values,
        tests=tests,
        proxies=prepared.proxies,
        encoding_seconds=prepared.encoding_seconds,
        failures=tuple(failures),
        reused=reused,
        fits=int(np.prod(shape)),
        notes=prepared.notes,
    )
