"""What a reader of a search must be warned of, in words."""

import math

from scipy.special import bdtrc

from foretell.studies.search.result import SearchResult, TaskRow, TrialRow, Winner

__all__ = ["LEAST", "cautions"]

LEAST = 5
"""Networks below which Kendall's tau says nothing: of four, one order in 24 is right by chance."""
_LEVEL = 0.05
_Z = 1.96


def cautions(result: SearchResult) -> tuple[str, ...]:
    """Sentences on a winner at chance level, too few networks to compare, and the biggest network.

    Args:
        result: what a search has found so far.
    """
    found = (_chance(result.winner, result.task), _few(result), _biggest(result))
    return tuple(text for text in found if text)


def _chance(winner: Winner | None, task: TaskRow | None) -> str:
    """Whether the test accuracy may be that of always naming the most frequent class."""
    if winner is None or task is None or not math.isfinite(winner.test_accuracy):
        return ""
    share = task.most_frequent if math.isfinite(task.most_frequent) else 1 / task.classes
    right = round(winner.test_accuracy * task.test)
    if right and bdtrc(right - 1, task.test, share) < _LEVEL:
        return ""
    return (
        f"The winner is at chance level: {winner.test_accuracy:.2%} of {task.test:,} test images, "
        f"where always naming the most frequent class gives {share:.2%}. Nothing shows that it has "
        f"learned: train longer (--final-epochs), change the learning rate (--lr), or look at the "
        f"labels."
    )


def _few(result: SearchResult) -> str:
    """Whether an order of predictions is compared with that of very few results."""
    done = [t for t in result.trials if t.state == "done" and math.isfinite(t.predicted)]
    if result.task is None or not 0 < len(done) < LEAST:
        return ""
    which = "1 trained network" if len(done) == 1 else f"{len(done)} trained networks"
    return (
        f"Only {which} can be compared with what was predicted: Kendall's tau from fewer than "
        f"{LEAST} says nothing. Train more (--trials)."
    )


def _biggest(result: SearchResult) -> str:
    """Whether size alone would have chosen as well."""
    winner = next(
        (t for t in result.trials if result.winner and t.number == result.winner.number), None
    )
    done = [t for t in result.trials if t.feasible and math.isfinite(_size(t))]
    first = result.objectives[0].name if result.objectives else "accuracy"
    if (
        winner is None
        or winner not in done
        or len(done) < 2
        or first != "accuracy"
        or len(result.objectives) > 1
        or result.task is None
    ):
        return ""
    biggest = max(done, key=lambda t: (_size(t), t.val_accuracy))
    if _size(winner) >= _size(biggest):
        if len({_size(t) for t in done}) == 1:
            return ""
        return (
            f"The winner is the biggest of {len(done)} trained networks ({_size(winner):,.0f} "
            f"parameters): size alone would have chosen it, too."
        )
    gain = winner.val_accuracy - biggest.val_accuracy
    images = max(result.task.val, 1)
    spread = sum(p * (1 - p) / images for p in (winner.val_accuracy, biggest.val_accuracy))
    if not gain <= _Z * math.sqrt(spread):
        return ""
    return (
        f"The winner is no better than the biggest network that was trained: "
        f"{winner.val_accuracy:.2%} with {_size(winner):,.0f} parameters, "
        f"{biggest.val_accuracy:.2%} with {_size(biggest):,.0f}, a difference that {images:,} "
        f"validation images cannot tell from none. It is smaller, though."
    )


def _size(trial: TrialRow) -> float:
    return trial.params
