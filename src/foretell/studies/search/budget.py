"""What a budget leaves to choose from, and the skeleton that makes the most of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.errors import ConstraintError, ForetellError, NoFeasibleArchError
from foretell.graph import IDENTITY, ZERO
from foretell.quantities import Quantity, get_quantity
from foretell.rng import stream
from foretell.search import COST_NAMES
from foretell.spaces import CostTable, Skeleton, Space
from foretell.studies.run.costs import CostBook
from foretell.studies.search.goals import Goals
from foretell.studies.search.pool import feasibility_of
from foretell.types import Shape3

__all__ = ["AUTO", "Choice", "choose_skeleton", "explaining", "live_weights", "narrow", "reachable"]

AUTO = "auto"
"""The preset that stands for a choice by the budget."""
CHANNELS = (4, 6, 8, 12, 16, 24, 32, 48, 64)
CELLS = (1, 2, 3, 4, 5)
SHARE = 0.5
"""A skeleton is too large where fewer of its networks than this share are feasible."""
_SAMPLE = 512
_WHOLE = 20_000
"""Spaces up to this size are looked at as a whole."""


@dataclass(frozen=True)
class Choice:
    """The fixed part of the networks, and why it is that.

    Args:
        skeleton: channels and cells among them.
        preset: its name, or such as "12x1"; None where the space leaves nothing open.
        why: one sentence.
        by_budget: whether the limits decided it.
    """

    skeleton: Skeleton
    preset: str | None
    why: str
    by_budget: bool = False


def choose_skeleton(
    space: Space,
    goals: Goals,
    *,
    input_shape: Shape3,
    classes: int,
    preset: str | None,
    reference: Arch | None,
    seed: int,
) -> Choice:
    """The skeleton of a search.

    A preset that is named is taken. Without one, image size decides; but where its feasible
    networks all cost the same or none has a live weight in its searched part, and with "auto"
    always, the limits do: of the skeletons in which at least half of the sampled networks with live
    weights are feasible, the one whose feasible networks have the most multiply-adds on average.

    Args:
        space: whose networks.
        goals: the limits among them; only those that are known without building count.
        input_shape: of one image.
        classes: number of outputs.
        preset: as asked for.
        reference: the architecture that shares refer to.
        seed: of the sample.

    Raises:
        UnknownNameError: no such preset.
        NoFeasibleArchError: no skeleton has a feasible network; the smallest costs are named.

    Reference:
        Lin et al., MCUNet, NeurIPS 2020, section 3.1 (the space whose feasible networks have more
        multiply-adds). Differs: their mean instead of the distribution, and a least share.
    """
    usual = space.skeleton(input_shape, classes, None if preset == AUTO else preset)
    name = preset if preset not in (None, AUTO) else _name(space, usual)
    if preset not in (None, AUTO):
        return Choice(usual, name, f"{_words(space, usual)}, as asked for")
    by_size = f"{_words(space, usual)}, by image size"
    if not space.presets:
        return Choice(usual, None, "the space leaves no channels and cells open")
    if not goals.early:
        end = "; no limit is known before networks are built" if preset == AUTO else ""
        return Choice(usual, name, by_size + end)
    if space.costs([], usual) is None:
        end = "; costs without a closed form choose no skeleton" if preset == AUTO else ""
        return Choice(usual, name, by_size + end)
    problem = "" if preset == AUTO else _nothing_to_choose(space, usual, goals, reference)
    if preset == AUTO:
        return _by_budget(space, usual, goals, reference, seed)
    if not problem:
        return Choice(usual, name, by_size)
    try:
        choice = _by_budget(space, usual, goals, reference, seed)
    except NoFeasibleArchError:  # drawing the pool says so, with the reason
        return Choice(usual, name, by_size)
    return replace(choice, why=f"not {by_size}: there {problem}; but {choice.why}")


def _by_budget(
    space: Space, usual: Skeleton, goals: Goals, reference: Arch | None, seed: int
) -> Choice:
    """The skeleton that the limits ask for.

    Raises:
        NoFeasibleArchError: none has a feasible network.
    """
    archs = _with_weights(space, seed)
    best: tuple[float, float, Skeleton] | None = None
    fallback: tuple[float, float, Skeleton] | None = None
    for channels, cells in product(CHANNELS, CELLS):
        skeleton = Skeleton(usual.input_shape, usual.classes, channels, cells)
        book = CostBook(space, skeleton)
        mask = feasibility_of(goals, book, reference)(archs)
        if not mask.any():
            continue
        work = float(book([a for a, ok in zip(archs, mask, strict=True) if ok]).flops.mean())
        share = float(mask.mean())
        if share >= SHARE and (best is None or work > best[0]):
            best = work, share, skeleton
        if fallback is None or (share, work) > (fallback[1], fallback[0]):
            fallback = work, share, skeleton
    chosen = best or fallback
    if chosen is None:
        raise NoFeasibleArchError(
            f"No skeleton of {space.name!r} from {CHANNELS[0]}x{CELLS[0]} to "
            f"{CHANNELS[-1]}x{CELLS[-1]} (channels x cells) has a network with live weights that "
            f"keeps the limits. {_smallest_skeleton(space, usual, goals)}"
        )
    work, share, skeleton = chosen
    rule = (
        f"of {len(CHANNELS) * len(CELLS)} skeletons its feasible networks have the most "
        f"multiply-adds ({_short(work)} on average), where at least {SHARE:.0%} of the networks "
        f"with live convolutions are feasible (here {share:.0%})"
    )
    if best is None:
        rule = f"in no skeleton do {SHARE:.0%} of the networks keep the limits, in this {share:.0%}"
    return Choice(
        skeleton,
        f"{skeleton.channels}x{skeleton.cells}",
        f"{_words(space, skeleton)}, by the budget: {rule}",
        True,
    )


def narrow(
    space: Space, skeleton: Skeleton, goals: Goals, archs: Sequence[Arch], costs: CostTable,
    reference: Arch | None, seed: int,
) -> str:  # fmt: skip
    """What a reader must be told of a pool that leaves nothing to choose from; empty if it does.

    Args:
        space: whose networks.
        skeleton: what surrounds them.
        goals: the limits among them.
        archs: the pool.
        costs: of the pool.
        reference: the architecture that shares refer to.
        seed: of the sample that other skeletons are judged by.
    """
    problem = _problem(space, archs, costs)
    if not problem:
        return ""
    text = f"{problem[:1].upper()}{problem[1:]}"
    if not space.presets or not goals.early or space.costs([], skeleton) is None:
        return f"{text}: proxies that count size cannot tell them apart."
    try:
        choice = _by_budget(space, skeleton, goals, reference, seed)
    except ForetellError:
        return f"{text}: loosen the limits."
    return f"{text}. Take --preset {choice.preset}, which --preset auto chooses: {choice.why}."


def reachable(book: CostBook, archs: Sequence[Arch], goals: Goals) -> str:
    """The smallest value of each cost among architectures, each by itself, as a sentence.

    Args:
        book: the costs of the space.
        archs: those that were drawn.
        goals: whose limits could not be kept.
    """
    table = book(archs)
    alive = np.asarray(table.alive, dtype=bool)
    if not alive.any():
        return "None of them leads from input to output."
    low, high = [], []
    for name in dict.fromkeys(("params", "flops", "memory", *(c.name for c in goals.early))):
        quantity = get_quantity(name)
        if name in COST_NAMES:
            values = np.asarray(table.limited(name), dtype=float)
        else:
            values = np.array([book.value(quantity, a) for a in archs])
        values = values[alive & np.isfinite(values)]
        if not len(values):
            continue
        low.append(f"{name} {_shown(quantity, float(values.min()))}")
        if any(c.name == name and c.min is not None for c in goals.early):
            high.append(f"{name} {_shown(quantity, float(values.max()))}")
    text = f"The smallest values among them, each by itself: {', '.join(low)}"
    return text + (f"; the largest: {', '.join(high)}." if high else ".")


@contextmanager
def explaining(book: CostBook, goals: Goals, reference: Arch | None, seed: int) -> Iterator[None]:
    """Add the smallest reachable costs to an error that nothing is feasible.

    Args:
        book: the costs of the space.
        goals: whose limits could not be kept.
        reference: the architecture that shares refer to.
        seed: of the sample that other skeletons are judged by.

    Raises:
        NoFeasibleArchError: the same with more words.
    """
    try:
        yield
    except NoFeasibleArchError as error:
        raise _explain(error, book, goals, reference, seed) from error


def _explain(
    error: NoFeasibleArchError, book: CostBook, goals: Goals, reference: Arch | None, seed: int
) -> NoFeasibleArchError:
    space, skeleton = book.space, book.skeleton
    archs = book.archs
    text = f"{error} {reachable(book, archs, goals)}" if archs else str(error)
    if space.presets and space.costs([], skeleton) is not None:
        try:
            choice = _by_budget(space, skeleton, goals, reference, seed)
            text += f" With --preset {choice.preset} there are feasible networks."
        except NoFeasibleArchError:
            text += f" {_smallest_skeleton(space, skeleton, goals)}"
        except ConstraintError:
            pass
    return NoFeasibleArchError(text)


def live_weights(space: Space, archs: Sequence[Arch]) -> NDArray[np.bool_] | None:
    """Which architectures have a live operation with weights in their searched part, (n,).

    None where the space's graphs do not say which operations have weights.
    """
    flags = list(_live_weights(space, archs))
    return None if None in flags else np.array(flags, dtype=bool)


def _live_weights(space: Space, archs: Sequence[Arch]) -> Iterator[bool | None]:
    for arch in archs:
        graph = space.graph(arch) if space.graph_describes_network else None
        inner = graph.nodes[1:-1] if graph is not None else ()
        said = any("weights" in n.attrs for n in inner) or all(
            n.op in ZERO | IDENTITY for n in inner
        )
        if graph is None or not said:
            yield None
        else:
            pairs = zip(graph.nodes, graph.live, strict=True)
            yield any(on and bool(n.attrs.get("weights")) for n, on in pairs)


def _problem(space: Space, archs: Sequence[Arch], costs: CostTable) -> str:
    """Why feasible networks leave nothing to choose from; empty if they do not."""
    if len(archs) < 2:
        return ""
    if not any(on is None or on for on in _live_weights(space, archs)):
        return f"none of {len(archs):,} feasible networks has a live convolution in its cells"
    rows = np.stack([costs.live_params, costs.flops, costs.memory])
    if (rows == rows[:, :1]).all():
        return (
            f"all {len(archs):,} feasible networks cost the same "
            f"({costs.live_params[0]:,} parameters, {costs.flops[0]:,} multiply-adds)"
        )
    return ""


def _nothing_to_choose(
    space: Space, skeleton: Skeleton, goals: Goals, reference: Arch | None
) -> str:
    """The same, before a pool is drawn; for spaces that can be looked at as a whole."""
    archs = _every(space)
    if not archs:
        return ""
    book = CostBook(space, skeleton)
    mask = feasibility_of(goals, book, reference)(archs)
    feasible = [a for a, ok in zip(archs, mask, strict=True) if ok]
    if not feasible:
        return "no network is feasible"
    return _problem(space, feasible, book(feasible))


def _every(space: Space) -> tuple[Arch, ...]:
    """Every architecture of a small space; none of a large one."""
    return tuple(space.enumerate()) if space.size is not None and space.size <= _WHOLE else ()


def _with_weights(space: Space, seed: int) -> tuple[Arch, ...]:
    """A sample of architectures with live weights in their searched part."""
    rng = stream(seed, "skeleton")
    archs = tuple(dict.fromkeys(space.sample(rng) for _ in range(_SAMPLE)))
    mask = live_weights(space, archs)
    if mask is None or not mask.any():
        mask = space.alive(archs)
    return tuple(a for a, ok in zip(archs, mask, strict=True) if ok) or archs


def _smallest_skeleton(space: Space, usual: Skeleton, goals: Goals) -> str:
    small = Skeleton(usual.input_shape, usual.classes, CHANNELS[0], CELLS[0])
    archs = _every(space) or _with_weights(space, 0)
    return f"With --preset {CHANNELS[0]}x{CELLS[0]}: " + _lower_first(
        reachable(CostBook(space, small), archs, goals)
    )


def _shown(quantity: Quantity, value: float) -> str:
    if quantity.unit in ("count", "bytes"):
        return f"{value:,.0f}" + " bytes" * (quantity.unit == "bytes")
    return quantity.format(float(f"{value:.4g}"))


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _name(space: Space, skeleton: Skeleton) -> str | None:
    pair = (skeleton.channels, skeleton.cells)
    return next((name for name, p in space.presets.items() if p == pair), None)


def _words(space: Space, skeleton: Skeleton) -> str:
    name = _name(space, skeleton)
    shown = f"{name!r}, " if name else ""
    cells = f"{skeleton.cells} cell{'s' * (skeleton.cells != 1)} a stage"
    return f"{shown}{skeleton.channels} channels and {cells}"


def _short(count: float) -> str:
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{suffix}"
    return f"{count:.0f}"
