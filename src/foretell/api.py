"""The facade: one function for each thing that foretell does, for scripts and for the commands."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from foretell.arch import Arch
from foretell.data import Task, load_task
from foretell.errors import ArchError, MissingExtraError, NetworkError, UsageError
from foretell.spaces import Space, get_space, name_of
from foretell.studies import (
    CostBook,
    OnProgress,
    Resources,
    SearchConfig,
    SearchResult,
    Tracker,
    silent,
)
from foretell.studies.run.workers import within
from foretell.studies.score.run import ScoreRun, score_items
from foretell.types import Shape3

if TYPE_CHECKING:
    from torch import nn

    from foretell.studies.optimize.ask_tell import AskTellStudy
    from foretell.studies.predict.explain import Explanation
    from foretell.studies.predict.study import PredictConfig, Ranking
    from foretell.studies.score.explain import ScoreExplanation

__all__ = [
    "ScoreRun",
    "SearchResult",
    "cost",
    "create_study",
    "encode",
    "explain",
    "explain_scores",
    "find",
    "optimize",
    "predict",
    "score",
]


def find(
    config: SearchConfig,
    out: Path | str,
    *,
    space: Space | None = None,
    task: Task | None = None,
    on_progress: OnProgress = silent,
) -> SearchResult:
    """Find, train, attack and export the best network under a budget.

    Args:
        config: what to search, on what, for which objectives, under which constraints.
        out: the run folder; a search that is in there goes on.
        space: a search space in memory; then ``config.space`` is not looked up.
        task: images that are in memory already; then ``config.data`` is not read, and trials run
            in this process.
        on_progress: told how far each stage is.

    Returns:
        What was found; ``report.html``, ``trials.csv``, ``study.db``, ``log.txt`` and ``best/``
        are in the folder.

    Raises:
        ForetellError: see ``foretell.studies.search.study.run``; what was finished is kept.

    >>> import foretell
    >>> config = foretell.SearchConfig(constraints=("params<=100k",), trials=8)
    >>> result = foretell.find(config, "runs/digits")  # doctest: +SKIP
    >>> result.winner.test_accuracy > 0.98  # doctest: +SKIP
    True
    """
    from foretell.studies.search.study import run

    return _with_page(run(config, out, resources=Resources(space, task), on_progress=on_progress))


def optimize(
    evaluate: Callable[..., object] | str,
    space: Space | str = "nb201",
    *,
    out: Path | str,
    objectives: str | Sequence[str] = "value",
    constraints: Sequence[str] = (),
    trials: int = 50,
    searcher: str = "evolution",
    prefer: str = "knee",
    version: str = "",
    round: int = 1,
    prune: bool = True,
    reference: str | None = None,
    input_shape: Shape3 = (3, 32, 32),
    classes: int = 10,
    seed: int = 0,
    workers: int = 0,
    timeout: float | None = None,
    on_progress: OnProgress = silent,
) -> SearchResult:
    """Optimise your own evaluation of architectures: any function, any space, any number of goals.

    The same call in the same folder goes on where it was; what is finished is never run again.

    Args:
        evaluate: ``evaluate(arch)`` or ``evaluate(arch, trial)``; returns a number, or a mapping of
            names and numbers. ``trial.values`` holds what the architecture chooses by name,
            ``trial.report(step, value)`` may end it as pruned. Or ``file.py:function``.
        space: of the architectures; a name or a space.
        out: the run folder.
        objectives: names of what ``evaluate`` returns, or of costs such as "params"; a number has
            the name "value". Higher is better but for quantities that are known to be better when
            lower; "min:NAME" and "max:NAME" say otherwise.
        constraints: such as "params<=60k", or of what ``evaluate`` returns, "energy<=3".
        trials: how many architectures are evaluated.
        searcher: a name, or ``file.py:attribute``.
        prefer: which point of the front of several objectives wins: "knee" or an objective's name.
        version: of the evaluation; results of another version are not mixed with those of this one.
        round: how many are asked for at once; they may run in parallel.
        prune: whether reports may end a trial.
        reference: the architecture that shares (%ref) of costs refer to.
        input_shape: that costs are computed for.
        classes: that costs are computed for.
        seed: everything random follows from it.
        workers: processes; 0 evaluates in this one.
        timeout: seconds after which a trial is given up; needs a worker.
        on_progress: told how far it is.

    Returns:
        Every trial, the front and the winner; ``report.html``, ``trials.csv``, ``study.db`` and
        ``log.txt`` are in the folder.

    Raises:
        ForetellError: see ``foretell.studies.optimize.study.run``; what was finished is kept.
    """
    from foretell.studies.optimize.study import OptimizeConfig, run

    config = OptimizeConfig(
        space=space if isinstance(space, str) else space.name,
        evaluate=evaluate if isinstance(evaluate, str) else "",
        version=version,
        objectives=(objectives,) if isinstance(objectives, str) else tuple(objectives),
        prefer=prefer,
        constraints=tuple(constraints),
        reference=reference,
        searcher=searcher,
        trials=trials,
        round=round,
        prune=prune,
        input_shape=input_shape,
        classes=classes,
        seed=seed,
        workers=workers,
        timeout=timeout,
    )
    resources = Resources(
        None if isinstance(space, str) else space,
        evaluate=None if isinstance(evaluate, str) else evaluate,
    )
    return _with_page(run(config, out, resources=resources, on_progress=on_progress))


def create_study(
    space: Space | str = "nb201",
    *,
    out: Path | str,
    objectives: str | Sequence[str] = "value",
    constraints: Sequence[str] = (),
    searcher: str = "evolution",
    prefer: str = "knee",
    version: str = "",
    seed: int = 0,
) -> "AskTellStudy":
    """Open a study whose loop is your own: ``study.ask()``, ``study.tell(trial, value)``.

    Args:
        space: of the architectures; a name or a space.
        out: the run folder; a study that is in there goes on.
        objectives: as for ``optimize``.
        constraints: as for ``optimize``.
        searcher: a name, or ``file.py:attribute``.
        prefer: which point of the front of several objectives wins.
        version: of the evaluation.
        seed: everything random follows from it.

    Raises:
        ForetellError: a setting is at fault, or the folder is in use or another study's.
    """
    from foretell.studies.optimize.ask_tell import AskTellStudy
    from foretell.studies.optimize.config import ASK_TELL, OptimizeConfig

    config = OptimizeConfig(
        space=space if isinstance(space, str) else space.name,
        evaluate=ASK_TELL,
        version=version,
        objectives=(objectives,) if isinstance(objectives, str) else tuple(objectives),
        prefer=prefer,
        constraints=tuple(constraints),
        searcher=searcher,
        seed=seed,
    )
    resources = Resources(None if isinstance(space, str) else space)
    return AskTellStudy(config, out, resources=resources, on_result=_with_page)


def _with_page(result: SearchResult) -> SearchResult:
    """The same, with ``report.html`` beside it, or said why there is none."""
    from dataclasses import replace

    from foretell.report.search.page import write

    try:
        write(result, Path(result.folder) / "report.html")
    except MissingExtraError as error:
        if result.winner is not None:
            files = tuple(f for f in result.winner.files if f != "report.html")
            left_out = (*result.winner.not_exported, str(error))
            winner = replace(result.winner, files=files, not_exported=left_out)
            return replace(result, winner=winner)
    return result


def score(
    items: Sequence["Arch | str | nn.Module"],
    proxies: Sequence[str] | None = None,
    *,
    space: str | Space = "nb201",
    data: str | Task = "digits",
    image_size: int | None = None,
    preset: str | None = None,
    batch_size: int = 64,
    seed: int = 0,
    workers: int = 1,
    timeout: float | None = None,
    on_progress: OnProgress = silent,
) -> ScoreRun:
    """Score untrained networks by zero-cost proxies, in one shared pass each.

    Args:
        items: architectures, texts of architectures of the space, ``file.py:function`` or
            ``module:function`` texts that lead to any nn.Module, or modules.
        proxies: names; all registered ones by default.
        space: a name or a space; the items are its texts.
        data: a data source, or a task in memory.
        image_size: pixels to which images are resized.
        preset: skeleton preset of the space.
        batch_size: images in each of two batches.
        seed: of weights, batches and noise.
        workers: processes that score, each with one thread; 1 scores here.
        timeout: seconds that one network may take, start-up apart; 1 worker then is a copy of this
            process with one thread.
        on_progress: told how many are done.

    Raises:
        ArchError: a text is neither an architecture nor a the_space.
        ForetellError: a name or the data are at fault. A network that fails costs its own row only.
    """
    from foretell.proxies import proxies as registry

    task = data if isinstance(data, Task) else load_task(data, seed=seed, image_size=image_size)
    the_space = _space(space)
    parsed = [_arch_or_target(the_space, i) if isinstance(i, str) else i for i in items]
    skeleton = the_space.skeleton(task.input_shape, task.classes, preset)
    scores = score_items(
        parsed,
        tuple(proxies) if proxies is not None else registry.names(),
        task=task,
        skeleton=skeleton,
        batch_size=batch_size,
        seed=seed,
        workers=workers,
        timeout=timeout,
        tell=Tracker(on_progress),
    )
    labels = tuple(_label(the_space, item) for item in parsed)
    return ScoreRun(
        labels, scores, task, batch_size, seed, tuple(parsed), the_space, skeleton, preset, workers,
        timeout,
    )  # fmt: skip


def explain_scores(
    run: ScoreRun,
    *,
    family: str | Space | None = None,
    pool: int = 50,
    on_progress: OnProgress = silent,
) -> "ScoreExplanation":
    """What the scores of untrained networks mean: places among others, size, a verdict.

    Args:
        run: what ``score`` gave.
        family: a space whose networks are like the modules among the items.
        pool: how many networks are drawn from a space and scored to compare with.
        on_progress: told how far that is.

    Raises:
        ForetellError: see ``foretell.studies.score.explain``.

    >>> import foretell
    >>> run = foretell.score(["3.3.3.3.3.3"], ["nwot", "synflow"], preset="digits-nb201")
    >>> (net,) = foretell.explain_scores(run).networks  # doctest: +SKIP
    >>> net.reference  # doctest: +SKIP
    '1,598 trained networks of digits-nb201'
    """
    from foretell.studies.score.explain import explain_scores as explained

    if pool < 5:
        raise UsageError(f"pool must be at least 5 networks to compare with, but is {pool}.")
    like = None if family is None else _space(family)
    return explained(run, family=like, pool=pool, on_progress=on_progress)


def _arch_or_target(space: Space, text: str) -> Arch | str:
    """An architecture of the space, or the text itself if it leads to a function.

    Raises:
        ArchError: it is neither.
    """
    if _FILE.match(text):
        return text
    try:
        return space.parse(text)
    except ArchError:
        if _NAME.match(text):
            return text
        raise


_FILE = re.compile(r"^[^|{}]+\.py:[A-Za-z_][\w.]*$")
_ONNX = re.compile(r"\.onnx$")
_NAME = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")


def _space(space: str | Space) -> Space:
    """The space of a name, or the one that is given, made known to this process."""
    return get_space(space if isinstance(space, str) else name_of(space))


def _label(space: Space, item: "Arch | str | nn.Module") -> str:
    if isinstance(item, Arch):
        return space.format(item)
    return item if isinstance(item, str) else type(item).__name__


def cost(
    items: Sequence[Arch | str],
    *,
    space: str | Space = "nb201",
    input_shape: Shape3 = (3, 32, 32),
    classes: int = 10,
    preset: str | None = None,
    timeout: float | None = None,
) -> dict[str, list[object]]:
    """Parameters, multiply-adds and peak memory, without running anything.

    Args:
        items: as for ``score``, without modules.
        space: whose texts the items are.
        input_shape: channels, height, width of one image.
        classes: number of outputs.
        preset: skeleton preset of the space.
        timeout: seconds that the counting of one network may take.

    Returns:
        A table: arch, params, flops (multiply-adds of one image), memory (bytes).

    Raises:
        ArchError: a text is neither an architecture nor a the_space.
        NetworkError: a network cannot be built or traced.
    """
    the_space = _space(space)
    skeleton = the_space.skeleton(input_shape, classes, preset)
    book = CostBook(the_space, skeleton)
    parsed = [_arch_or_target(the_space, i) if isinstance(i, str) else i for i in items]
    labels = [_label(the_space, item) for item in parsed]
    rows = [
        (label, *counts)
        for label, counts in zip(
            labels,
            within(timeout, lambda i: _counts(parsed[i], book, input_shape, classes), labels),
            strict=True,
        )
    ]
    names = ("arch", "params", "flops", "memory")
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _counts(
    item: Arch | str, book: CostBook, input_shape: Shape3, classes: int
) -> tuple[int, int, int]:
    """Parameters, multiply-adds and memory of one item.

    Raises:
        NetworkError: its network cannot be built or traced.
    """
    if isinstance(item, Arch):
        table = book([item])
        if item in book.failures:
            raise NetworkError(book.failures[item])
        return int(table.params[0]), int(table.flops[0]), int(table.memory[0])
    from foretell.cost import count
    from foretell.networks import build_module

    module = build_module(item, input_shape=input_shape, classes=classes, seed=0)
    counted = count(module, input_shape, run_itself=True)
    return int(counted.params), int(counted.flops), int(counted.memory)


def encode(
    items: Sequence[Arch | str],
    encodings: str = "graf",
    *,
    space: str | Space = "nb201",
    input_shape: Shape3 = (3, 32, 32),
    classes: int = 10,
    data: str | Task | None = None,
    preset: str | None = None,
    timeout: float | None = None,
    on_progress: OnProgress = silent,
) -> "dict[str, Sequence[object]]":
    """What architectures, networks and ONNX files look like, as columns of numbers.

    Args:
        items: as for ``cost``, or .onnx files.
        encodings: names of encodings that need no images, with "+" between.
        space: whose texts the items are.
        input_shape: channels, height, width of one image.
        classes: number of outputs.
        data: gives shape and classes instead.
        preset: skeleton preset of the space.
        timeout: seconds that the tracing of one network may take.
        on_progress: told how many networks were traced.

    Returns:
        A table: arch, then a column for each number; with the name of its encoding and a
        dot before it where there are several.

    Raises:
        ForetellError: see ``foretell.studies.predict.describe``.
    """
    from foretell.studies.predict.describe import describe

    the_space = _space(space)
    if data is not None:
        task = load_task(data) if isinstance(data, str) else data
        input_shape, classes = task.input_shape, task.classes
    parsed = [
        _arch_or_target(the_space, item)
        if isinstance(item, str) and not _ONNX.search(item)
        else item
        for item in items
    ]
    skeleton = the_space.skeleton(input_shape, classes, preset)
    encoded = describe(
        parsed, encodings,
        space=the_space, skeleton=skeleton, timeout=timeout, on_progress=on_progress,
    )  # fmt: skip
    tables = list(encoded.tables.values())
    names = encoded.names if len(tables) > 1 else tables[0].names
    columns = dict(zip(names, encoded.matrix().T.tolist(), strict=True))
    return {"arch": [_label(the_space, item) for item in parsed], **columns}


def predict(
    measured: Path | str | Mapping[Arch, float],
    *,
    space: str | Space = "nb201",
    pool: int | Path | str | Sequence[Arch] = 1000,
    config: "PredictConfig | None" = None,
    column: str | None = None,
    data: str | Task | None = None,
    preset: str | None = None,
    on_progress: OnProgress = silent,
) -> "Ranking":
    """Rank architectures by what training them would give, from some that were trained.

    Args:
        measured: a table with a column ``arch`` and one of values, or architectures -> values.
        space: of the architectures.
        pool: how many to draw and rank, a file of them, or the architectures themselves.
        config: how; by default the predictor ``auto``.
        column: of the table.
        data: images for ``config.proxies``.
        preset: skeleton preset of the space.
        on_progress: told how far the proxies are.

    Returns:
        The best first, with intervals and held-out predictions of the measured ones.

    Raises:
        ForetellError: a file, a name or a value is at fault; see ``predict_values``.
    """
    from msgspec.structs import replace

    from foretell.studies.predict.study import PredictConfig, predict_values
    from foretell.tables import read_archs, read_values

    config = config or PredictConfig()
    the_space = _space(space)
    if isinstance(measured, Mapping):
        archs, values = list(measured), list(measured.values())
    else:
        archs, array, name = read_values(
            measured,
            the_space,
            column,
            arch=config.arch,
            duplicates=config.duplicates,
            skip_unknown=config.skip_unknown,
        )
        values = array.tolist()
        config = replace(config, target=config.target or name)
    task = load_task(data, seed=config.seed) if isinstance(data, str) else data
    skeleton = the_space.skeleton(preset=preset)
    if task is not None:
        skeleton = the_space.skeleton(task.input_shape, task.classes, preset)
    return predict_values(
        the_space,
        archs,
        values,
        read_archs(pool, the_space, arch=config.arch, skip_unknown=config.skip_unknown)
        if isinstance(pool, Path | str)
        else pool,
        config,
        skeleton=skeleton,
        task=task,
        on_progress=on_progress,
    )


def explain(
    ranking: "Ranking", archs: int | Sequence[Arch] = 1, *, on_progress: OnProgress = silent
) -> "Explanation":
    """Why architectures are predicted so, and which edits would change that.

    Args:
        ranking: what ``predict`` gave.
        archs: which, or how many of the best.
        on_progress: told how far it is.

    Raises:
        ForetellError: see ``foretell.studies.predict.explain.explain_ranking``.
    """
    from foretell.studies.predict.explain import explain_ranking

    return explain_ranking(ranking, archs, on_progress=on_progress)
