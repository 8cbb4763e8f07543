"""How well proxies order the trained networks of a table, beside what is known for nothing."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from msgspec.structs import replace as with_

from foretell.benchmarks import Benchmark, open_benchmark
from foretell.errors import RunFolderError
from foretell.studies._base import NO_RESOURCES, MakeExecutor, Resources, fingerprint
from foretell.studies.evaluate_proxies.config import ProxiesConfig
from foretell.studies.evaluate_proxies.plan import Frame, Plan, make_plan
from foretell.studies.evaluate_proxies.recompute import Recompute
from foretell.studies.evaluate_proxies.result import ProxyEvaluation
from foretell.studies.evaluate_proxies.timing import Times, measure
from foretell.studies.evaluation.facts import ProxyInfo, TargetInfo
from foretell.studies.evaluation.scoring import score_all, stored_scores
from foretell.studies.run.damaged import refuses_damage
from foretell.studies.run.paths import absolute
from foretell.studies.run.progress import OnProgress, Tracker, silent
from foretell.studies.run.session import Session, open_session, reading, stored_settings
from foretell.studies.run.values import pack, unpack

__all__ = [
    "CONFIG",
    "ProxiesConfig",
    "ProxyEvaluation",
    "ProxyInfo",
    "Recompute",
    "TargetInfo",
    "evaluate",
    "evaluate_proxies",
    "read",
    "run",
]

CONFIG = ProxiesConfig
"""The settings of this kind of study."""
_FRAME, _RESULT, _TIMES = "frame", "result", "times"


def evaluate_proxies(
    benchmark: Benchmark,
    *,
    targets: Sequence[str] | None = None,
    proxies: Sequence[str] | None = None,
    populations: Sequence[str] | None = None,
    kind: str = "kendall",
    samples: int = 200,
    level: float = 0.95,
    seed: int = 0,
    n: int | None = None,
    recompute: Recompute | None = None,
    time: int = 0,
    on_progress: OnProgress = silent,
) -> ProxyEvaluation:
    """Correlate every proxy with every truth of a table, on every population.

    Args:
        benchmark: the table.
        targets: keys of its metrics, or patterns such as "cifar10/*"; by default every metric of
            validation or test images that is better when higher.
        proxies: names or keys of its proxies, of the free baselines, or with ``recompute`` of
            proxies of this library; by default all of them.
        populations: "all", "alive", "no unreachable op", "deduplicated", "top K"; by default all
            that the space allows, and the top 100.
        kind: "kendall", "spearman" or "pearson".
        samples: resamples of the bootstrap, shared by all correlations of a population; 0 for none.
        level: the share between the ends of the intervals.
        seed: of the resamples, of the sample of architectures and of recomputed proxies.
        n: look at so many architectures, drawn at random; by default at all.
        recompute: compute own proxies for them, too.
        time: measure each proxy, alone, on so many of the networks, where the table has no times.
        on_progress: told how many networks are scored, and how many proxies timed.

    Returns:
        Correlations with intervals, what choosing by each proxy gives, and what was left out.

    Raises:
        UnknownNameError: no such target, proxy or kind.
        UsageError: an option has a value that cannot be used here.
        BenchmarkError: the table has no truth.
    """
    config = ProxiesConfig(
        targets=tuple(targets or ()),
        proxies=tuple(proxies or ()),
        populations=tuple(populations or ()),
        metric=kind,
        bootstrap=samples,
        level=level,
        seed=seed,
        n=n,
        time=time,
        preset=None if recompute is None else recompute.preset,
        batch_size=64 if recompute is None else recompute.batch_size,
    )
    plan = make_plan(benchmark, config, None if recompute is None else recompute.data)
    return _evaluate(plan, config, Tracker(on_progress))


def evaluate(
    config: ProxiesConfig,
    *,
    resources: Resources = NO_RESOURCES,
    executor: MakeExecutor | None = None,
    on_progress: OnProgress = silent,
) -> ProxyEvaluation:
    """The same from settings, without a folder.

    Args:
        config: what to look at.
        resources: a table or images in memory.
        executor: what computes own proxies; by default as many processes as ``config.workers``
            says.
        on_progress: told how many networks are scored, and how many proxies timed.

    Raises:
        ForetellError: see ``evaluate_proxies``.
    """
    benchmark = resources.benchmark or open_benchmark(config.benchmark)
    plan = make_plan(benchmark, config, resources.task or config.data or None)
    return _evaluate(plan, config, Tracker(on_progress), executor=executor)


def run(
    config: ProxiesConfig,
    out: Path | str,
    *,
    resources: Resources = NO_RESOURCES,
    executor: MakeExecutor | None = None,
    on_progress: OnProgress = silent,
) -> ProxyEvaluation:
    """Evaluate proxies in a folder; own proxies of every finished network are kept.

    Args:
        config: what to look at.
        out: the run folder.
        resources: a table or images in memory.
        executor: what computes own proxies; by default as many processes as ``config.workers``
            says.
        on_progress: told how many networks are scored, and how many proxies timed.

    Raises:
        UnknownNameError: no such benchmark, target, proxy or kind.
        UsageError: an option has a value that cannot be used here.
        BenchmarkError: the table has no truth.
        RunFolderError: the folder cannot be made or written, is in use, or holds own proxies of
            other settings.
    """
    config = with_(config, benchmark=absolute(config.benchmark))
    with open_session(config, out, on_progress) as session:
        benchmark = resources.benchmark or open_benchmark(config.benchmark)
        plan = make_plan(benchmark, config, resources.task or config.data or None)
        texts = "\n".join(benchmark.texts).encode()
        identity = {
            "table": benchmark.name,
            "networks of the table": hashlib.blake2b(texts, digest_size=8).hexdigest(),
        }
        if plan.scorer is not None:
            identity["data fingerprint"] = plan.fingerprint
        session.claim(identity)
        found = _in_session(plan, config, session, executor)
        session.write_tables(found.tables())
        return found


@refuses_damage
def read(out: Path | str) -> ProxyEvaluation:
    """The evaluation in a folder, with own proxies of the networks that were scored so far.

    Raises:
        RunFolderError: the folder holds none.
    """
    kind = CONFIG.KIND
    with reading(out, kind) as store:
        stored, frame_of, times = (store.value(kind, k) for k in (_RESULT, _FRAME, _TIMES))
        if frame_of is None:
            raise RunFolderError(f"{str(out)!r} holds an evaluation that has not begun: resume it.")
        if stored is not None and stored["key"] == frame_of["key"]:
            return unpack(stored["found"], ProxyEvaluation)
        frame = unpack(frame_of["frame"], Frame)
        scored = stored_scores(store, kind, frame.keys, frame.own) if frame.own else None
    config = CONFIG.from_json(stored_settings(out))
    known = unpack(times["times"], Times) if times is not None and config.time else None
    return frame.evaluation(config, scored, known, config.command(Path(out).resolve()))


def _in_session(
    plan: Plan, config: ProxiesConfig, session: Session, executor: MakeExecutor | None
) -> ProxyEvaluation:
    """The stored evaluation if it is the same, else a new one, stored."""
    key, command = plan.frame.key(config), config.command(session.folder.path)
    session.put(_FRAME, {"key": key, "frame": pack(plan.frame)})
    stored = session.value(_RESULT)
    if stored is not None and stored["key"] == key:
        return replace(unpack(stored["found"], ProxyEvaluation), command=command)
    found = _evaluate(plan, config, session.tell, session=session, executor=executor)
    found = replace(found, command=command)
    complete = not any("could not be scored" in note for note in found.notes)
    session.put(_RESULT, {"key": key if complete else "", "found": pack(found)})
    return found


def _evaluate(
    plan: Plan,
    config: ProxiesConfig,
    tell: Tracker,
    *,
    session: Session | None = None,
    executor: MakeExecutor | None = None,
) -> ProxyEvaluation:
    """Compute what takes time, then correlate."""
    scored = times = None
    if plan.scorer is not None:
        scored = score_all(
            plan.scorer,
            plan.archs,
            tell,
            session=session,
            executor=executor,
            workers=config.workers,
        )
    if config.time and plan.space is not None:
        times = _times(plan, config, tell, session)
    return plan.frame.evaluation(config, scored, times)


def _times(plan: Plan, config: ProxiesConfig, tell: Tracker, session: Session | None) -> Times:
    """The times; in a folder they are measured once."""
    assert plan.space is not None
    assert plan.skeleton is not None
    names = tuple(dict.fromkeys((*(c.proxy for c in plan.frame.columns), *plan.frame.own)))
    size = config.batch_size if plan.scorer is not None else 64
    key = fingerprint([names, config.time, config.n, size, config.seed])
    stored = None if session is None else session.value(_TIMES)
    if stored is not None and stored["key"] == key:
        return unpack(stored["times"], Times)
    found = measure(
        names,
        plan.space,
        plan.archs,
        plan.skeleton,
        tell,
        networks=config.time,
        batch_size=size,
        seed=config.seed,
    )
    if session is not None:
        session.put(_TIMES, {"key": key, "times": pack(found)})
    return found
