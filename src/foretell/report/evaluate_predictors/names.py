"""What is said of an evaluation of predictors: names, numbers as texts, sentences."""

import math
from dataclasses import dataclass

from foretell.report.html.format import DASH, signed
from foretell.studies.evaluate_predictors.study import FitFailure, PredictorEvaluation, Spread

__all__ = ["Names", "facts", "names", "notes", "seconds", "spread_text", "tau"]


@dataclass(frozen=True)
class Names:
    """What methods are called.

    Args:
        short: the predictor's name, with a diamond for what learns no model.
        full: the same with the encodings, where these differ between methods; all different.
        encodings: whether they do.
    """

    short: tuple[str, ...]
    full: tuple[str, ...]
    encodings: bool


def names(found: PredictorEvaluation) -> Names:
    """Names of all methods, as short as they can be."""
    differ = len({m.encodings for m in found.methods if m.encodings}) > 1
    short = tuple(f"{m.predictor} ◆" if m.baseline else m.predictor for m in found.methods)
    full = tuple(
        f"{name}, {m.encodings}" if differ and m.encodings else name
        for name, m in zip(short, found.methods, strict=True)
    )
    return Names(short, full, differ)


def facts(found: PredictorEvaluation) -> str:
    """One line on what was drawn from, and how."""
    seeds = found.seeds
    many = f"{len(seeds)} seeds" if len(seeds) > 1 else "1 seed"
    span = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else str(seeds[0])
    ordered = f" by {found.order}" if found.order else ""
    split = f"scikit-learn's splits of the rows{ordered}" if found.split == "sklearn" else "splits"
    tests = sorted(set(found.tests.ravel().tolist()))
    many_tests = f"{tests[0]:,}" if len(tests) == 1 else f"{tests[0]:,} to {tests[-1]:,}"
    return (
        f"{found.n:,} of {found.total:,} networks ({found.population}), space {found.space}, "
        f"{many} ({span}) of {split}, tested on {many_tests} others"
    )


def notes(found: PredictorEvaluation) -> list[str]:
    """What a reader must know: gaps of the table, failures, what was taken over."""
    said = list(found.notes)
    if found.level and any(math.ceil((n + 1) * found.level) > n for n in found.sizes):
        said.append(
            f"{found.level:.0%} intervals need {math.ceil(found.level / (1 - found.level) - 1e-9)} "
            f"networks to learn from: smaller train sets have none."
        )
    alike: dict[tuple[int, str, str], list[FitFailure]] = {}
    for failure in found.failures:
        alike.setdefault((failure.method, failure.state, failure.error), []).append(failure)
    for (method, state, error), failures in alike.items():
        first, name = failures[0], found.methods[method].name
        said.append(
            f"{len(failures)} of {found.fits:,} fits: {name} {state.replace('_', ' ')} ({error}), "
            f"first for {first.target}, n={first.size:,}, seed {first.seed}: {first.message}"
        )
    if found.reused:
        said.append(f"{found.reused:,} of {found.fits:,} fits were made by an earlier call.")
    return said


def tau(value: float, digits: int = 3) -> str:
    """A coefficient or a share without its leading zero.

    >>> tau(0.614), tau(-0.2), tau(1.0), tau(float("nan"))
    ('.614', '−.200', '1.000', '–')
    """
    text = signed(value, digits)
    return text.replace("0.", ".", 1) if text.lstrip("−").startswith("0.") else text


def spread_text(spread: Spread) -> str:
    """A mean and half its interval.

    >>> spread_text(Spread(0.6, 0.01, 0.58, 0.62, 5))
    '.600 ±.020'
    """
    half = (spread.high - spread.low) / 2
    return f"{tau(spread.mean)} ±{tau(half)}" if math.isfinite(half) else tau(spread.mean)


def seconds(value: float) -> str:
    """Seconds with two digits.

    >>> seconds(0.00412), seconds(12.3), seconds(0.0), seconds(float("nan"))
    ('0.0041', '12', '0', '–')
    """
    if not math.isfinite(value):
        return DASH
    if value < 5e-5:
        return "0"
    return f"{value:.0f}" if value >= 9.95 else f"{value:.2g}"
