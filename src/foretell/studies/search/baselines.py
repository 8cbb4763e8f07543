"""What a search won: its winner, trained anew, beside random networks and the biggest that fit.

All are trained by the recipe of the trials from random numbers that no trial used, so that the
winner has no luck of its own training on its side.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from scipy.special import stdtrit

from foretell.arch import Arch
from foretell.errors import NoFeasibleArchError
from foretell.execution import Executor
from foretell.rng import stream
from foretell.search import Feasibility, draw_pool
from foretell.store import Trial
from foretell.studies.run.costs import CostBook
from foretell.studies.run.inside import watch
from foretell.studies.run.rounds import Rounds
from foretell.studies.run.session import Session
from foretell.studies.search.config import SearchConfig
from foretell.studies.search.goals import Goals
from foretell.studies.search.loop import Loop
from foretell.studies.search.pool import Pool
from foretell.studies.search.result import NAN, BaselineRow, BaselineTable, WonRow
from foretell.studies.search.winner import Final
from foretell.types import Array, Json

__all__ = ["KEY", "STUDY", "baselines_of", "interval_of", "train_baselines"]

KEY = "baselines"
"""Name of what was chosen, in the store."""
STUDY = f"{SearchConfig.KIND}/baselines"
"""Name of their trainings, in the store."""
LEAST = 3
"""Draws from which their spread is part of the interval."""
_SPARE = 30
"""So many networks more than are needed are measured for one that keeps measured limits."""
_Z = 1.959963984540054


def train_baselines(
    session: Session,
    config: SearchConfig,
    loop: Loop,
    executor: Executor,
    book: CostBook,
    feasible: Feasibility,
    pool: Pool,
    final: Final,
) -> None:
    """Train the winner anew, random networks and the biggest; what is stored is not trained again.

    Args:
        session: the open run.
        config: how many are drawn.
        loop: has run the trials; measures what limits before training need.
        executor: runs a ``Job``.
        book: costs of architectures.
        feasible: the limits that are known without building.
        pool: what the search chose from; where that is empty, as many are drawn from the space.
        final: what the search recommends.
    """
    if not config.baselines:
        return
    winner = final.arch
    archs = pool.usable.archs or _drawn(config, book, feasible, winner)
    order = stream(config.seed, "baselines").permutation(len(archs))
    others = (archs[i] for i in order if archs[i] != winner)
    draws = _fitting(loop, others, config.baselines)
    candidates = list(dict.fromkeys((*archs, winner)))
    costs = book(candidates)
    sizes = list(zip(costs.limited("params").tolist(), costs.flops.tolist(), strict=True))
    by_size = sorted(range(len(candidates)), key=lambda i: sizes[i], reverse=True)
    biggest = _fitting(loop, (candidates[i] for i in by_size), 1)
    payloads = {str(winner): loop.payload_of(winner)} | draws | biggest
    session.store.put_study(STUDY, {})
    total = len(payloads)

    def told(done: float, words: str) -> None:
        session.tell("baselines", min(int(done), total - 1), total, words)

    def waiting(words: str) -> None:
        session.log.write(words)
        session.tell("baselines", 0, total, words)

    rounds = Rounds(session.store, STUDY, executor, session.interrupted, waiting)
    session.tell("baselines", 0, total)
    with watch(session.folder.path, told):
        rounds.run([(key, {**payload, "fresh": True}) for key, payload in payloads.items()])
    session.tell("baselines", total, total)
    at = {str(a): size for a, size in zip(candidates, sizes, strict=True)}
    first = next(iter(biggest), None)
    session.put(
        KEY,
        {
            "number": final.trial,
            "winner": str(winner),
            "draws": list(draws),
            "biggest": first,
            "equal": 0 if first is None else sizes.count(at[first]),
        },
    )


def _drawn(
    config: SearchConfig, book: CostBook, feasible: Feasibility, winner: Arch
) -> tuple[Arch, ...]:
    """A pool for searchers that have none."""
    space = book.space
    try:
        return draw_pool(
            space,
            config.pool,
            stream(config.seed, "baselines pool"),
            feasible,
            dedup=lambda arch: space.graph(arch).hash(),
            seen=(winner,),
        )
    except NoFeasibleArchError:
        return ()


def _fitting(loop: Loop, archs: Iterable[Arch], count: int) -> dict[str, dict[str, Json]]:
    """The first that keep the limits that are known before training: key -> payload."""
    taken: dict[str, dict[str, Json]] = {}
    for arch in islice(archs, count + _SPARE):
        if len(taken) == count:
            break
        payload = loop.payload_of(arch)
        if not loop.goals.violation(payload["measured"]):
            taken[str(arch)] = payload
    return taken


def baselines_of(
    chosen: Mapping[str, Json], trials: Sequence[Trial], goals: Goals, asked: int
) -> BaselineTable:
    """What the store holds of baselines, as the result tells it.

    Args:
        chosen: what ``train_baselines`` put into the store.
        trials: their trainings.
        goals: the first objective is compared.
        asked: how many random networks were asked for.
    """
    by_key = {t.key: t for t in trials}
    winner = by_key[chosen["winner"]]
    draws = [by_key[key] for key in chosen["draws"]]
    same = chosen["biggest"] == chosen["winner"]
    biggest = [] if same or chosen["biggest"] is None else [by_key[chosen["biggest"]]]
    name = goals.objectives[0].name
    rows = tuple(
        _row(role, t, name)
        for role, group in (("winner", [winner]), ("random", draws), ("biggest", biggest))
        for t in group
    )
    won = [_won("random", winner, draws, goals)]
    if len(draws) < asked and draws:
        why = f"Only {len(draws)} of {asked} could be drawn that fit and are not the winner."
        won = [_with_text(won[0], why)]
    if same:
        more = chosen["equal"] - 1
        text = "The biggest network that fits is the winner itself: nothing was won over size."
        text += f" {more:,} more {'is' if more == 1 else 'are'} equally big." if more else ""
        won.append(WonRow("biggest", 0, text=text, same=True))
    else:
        row = _won("biggest", winner, biggest, goals)
        if chosen["equal"] > 1:
            row = _with_text(row, f"It is the first drawn of {chosen['equal']:,} equally big ones.")
        won.append(row)
    return BaselineTable(rows, tuple(won))


def _with_text(row: WonRow, more: str) -> WonRow:
    return replace(row, text=f"{row.text} {more}")


def _row(role: str, trial: Trial, name: str) -> BaselineRow:
    costs = trial.payload.get("costs", {})
    done = trial.state == "done"
    return BaselineRow(
        role=role,
        arch=trial.payload["text"],
        value=_value(trial, name, role == "winner"),
        params=float(costs.get("params", NAN)),
        flops=float(costs.get("flops", NAN)),
        state="infeasible" if done and trial.value["violation"] else str(trial.state),
        message=_why(trial),
    )


def _why(trial: Trial) -> str:
    """How a training failed or broke a limit; empty if it did not."""
    if trial.state == "done":
        return str(trial.value["violation"])
    return f"{trial.error}: {trial.message}"


def _value(trial: Trial, name: str, winner: bool) -> float:
    """The objective; NaN where the training failed, or a network that is no winner broke a limit.

    The winner kept every limit in its trial, by which it was chosen.
    """
    if trial.state != "done" or (trial.value["violation"] and not winner):
        return NAN
    value = trial.value["values"].get(name)
    return NAN if value is None else float(value)


def _won(over: str, winner: Trial, others: Sequence[Trial], goals: Goals) -> WonRow:
    """What the winner gained over some networks, and what its interval holds."""
    objective = goals.objectives[0]
    name = objective.name
    mine = float(objective.gain(np.array(_value(winner, name, True))))
    what = "random networks that fit" if over == "random" else "biggest network that fits"
    if not math.isfinite(mine):
        why = _why(winner).rstrip(".") or f"{name} was not measured"
        return WonRow(over, 0, text=f"The winner's new training gave no {name} ({why}).")
    if not others:
        return WonRow(over, 0, text="No other network that fits was drawn.")
    theirs = objective.gain(np.array([_value(t, name, False) for t in others]))
    good = np.flatnonzero(np.isfinite(theirs)).tolist()
    if not len(good):
        why = _why(others[0]).rstrip(".") or f"{name} was not measured"
        text = (
            f"None of {len(others)} {what} gave a number, the first: {why}."
            if over == "random"
            else f"The {what} gave no number: {why}."
        )
        return WonRow(over, 0, text=text)
    images = None
    if name == "accuracy":
        images = _right(winner) - np.mean([_right(others[i]) for i in good], axis=0)
    differences = mine - theirs[good]
    low, high = interval_of(differences, images)
    if name == "accuracy":
        low, high = max(low, -1.0), min(high, 1.0)
    text = _holds(over, len(good), None if images is None else len(images))
    lost = len(others) - len(good)
    if lost:
        text += (
            f" {lost} of {len(others)} gave no number and {'is' if lost == 1 else 'are'} left out."
        )
    return WonRow(over, len(good), float(differences.mean()), low, high, text)


def interval_of(differences: Array, images: Array | None) -> tuple[float, float]:
    """The 95 % interval of a mean difference.

    From three draws on, their spread is part of it, by Student's t; the sampling of images is,
    where their outcomes are given. Half widths are added in squares. As the spread of the draws
    holds some of the noise of the images, the interval is rather too wide than too narrow.

    Args:
        differences: winner minus each draw, (n,).
        images: outcome of the winner minus mean outcome of the draws for each image, (m,); None
            where there are no outcomes.

    Returns:
        Lower and upper end; NaN where there is neither part.

    Reference:
        Agresti and Min, Statistics in Medicine 2005 (half an outcome is added to each of the four
        cells of a paired comparison). Differs: the centre stays the difference that was measured.
    """
    n, squares = len(differences), []
    if n >= LEAST:
        spread = float(np.std(differences, ddof=1)) / math.sqrt(n)
        squares.append((float(stdtrit(n - 1, 0.975)) * spread) ** 2)
    if images is not None:
        m = len(images) + 2
        total = float(np.sum(images))
        variance = (float(np.sum(images**2)) + 1 - total**2 / m) / m**2
        squares.append(_Z**2 * variance)
    half = math.sqrt(math.fsum(squares)) if squares else NAN
    mean = float(np.mean(differences))
    return mean - half, mean + half


def _holds(over: str, n: int, images: int | None) -> str:
    """What an interval holds and what not, in words."""
    draws = over == "random" and n >= LEAST
    parts = [f"which {n} networks are drawn and the noise of their trainings"] if draws else []
    if images is not None:
        parts.append(f"the choice of {images:,} validation images, on which all were compared")
    once = "the noise of training: each network was trained once"
    if draws:
        once = "the noise of the winner's own training: it was trained anew once"
    elif over == "random":
        once += f" (from --baselines {LEAST} on the spread of the draws is in it)"
    if not parts:
        return f"No interval: nothing measures {once}."
    out = once if images is not None else f"{once}; nor the choice of images"
    return f"The 95 % interval holds {', and '.join(parts)}. It does not hold {out}."


def _right(trial: Trial) -> Array:
    """Which validation images were classified right, 1 or 0 each, (m,)."""
    bits = np.frombuffer(bytes.fromhex(trial.value["right"]), dtype=np.uint8)
    return np.unpackbits(bits)[: trial.value["images"]].astype(float)
