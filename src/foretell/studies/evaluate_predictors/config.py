"""What an evaluation of predictors is asked to compare."""

import shlex
from typing import ClassVar

from foretell.errors import UsageError
from foretell.studies._base import StudyConfig
from foretell.studies.run.workers import check_workers

__all__ = ["DEFAULT", "SPLITS", "PredictorsConfig"]

SPLITS = ("own", "sklearn")
"""Ways to draw train and test sets: this library's, or scikit-learn's as published."""
DEFAULT = ("gp", "random_forest", "bayes_linear")
"""Predictors that are evaluated where none is named."""


class PredictorsConfig(StudyConfig, frozen=True, kw_only=True):
    """What to compare.

    Args:
        benchmark: name or file of the table.
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
        workers: processes that fit; 0 fits in this one.
        timeout: seconds that one fit may take; needs a worker.
    """

    KIND: ClassVar[str] = "evaluate_predictors"
    MAY_CHANGE: ClassVar[tuple[str, ...]] = (
        "benchmark", "predictors", "encodings", "pairs", "targets", "sizes", "seeds", "confidence",
        "baselines", "workers", "timeout",
    )  # fmt: skip

    benchmark: str = ""
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
    workers: int = 0
    timeout: float | None = None

    def command(self, out: object) -> str:
        """The command line of these settings, defaults left out.

        Args:
            out: the run folder.
        """
        words = ["foretell", "evaluate", "predictors", self.benchmark]
        for option, several in (
            ("--predictor", self.predictors), ("--encoding", self.encodings),
            ("--pair", self.pairs), ("--target", self.targets), ("--proxy", self.proxies),
        ):  # fmt: skip
            for value in several:
                words += [option, value]
        usual = PredictorsConfig()
        if self.sizes != usual.sizes:
            words += ["--sizes", ",".join(map(str, self.sizes))]
        if self.seeds != usual.seeds:
            words += ["--seeds", _ranges(self.seeds)]
        for name in ("test", "split", "population", "order", "n", "level"):
            if (value := getattr(self, name)) != getattr(usual, name):
                words += [f"--{name}", str(value)]
        if not self.baselines:
            words.append("--no-baselines")
        if self.workers != 1:  # the command's default
            words += ["--workers", str(self.workers)]
        if self.timeout is not None:
            words += ["--timeout", f"{self.timeout:g}"]
        return shlex.join([*words, "--out", str(out)])

    def check(self) -> None:
        """Refuse what cannot be, before anything is read.

        Raises:
            UsageError: an option has a value that cannot be used.
        """
        if not self.sizes or min(self.sizes) < 2 or not self.seeds or min(self.seeds) < 0:
            raise UsageError(
                f"Expected train sizes of 2 or more and seeds of 0 or more, but got "
                f"{list(self.sizes)} and {list(self.seeds)}."
            )
        if len(set(self.seeds)) != len(self.seeds):
            raise UsageError(f"A seed stands twice in {list(self.seeds)}.")
        if self.test is not None and self.test < 2:
            raise UsageError(f"Expected 2 or more architectures to test on, but got {self.test}.")
        if self.split not in SPLITS:
            raise UsageError(
                f"Expected a split out of {', '.join(SPLITS)}, but got {self.split!r}."
            )
        if not 0 <= self.level < 1 or not 0 < self.confidence < 1:
            raise UsageError(
                f"Expected a level in [0, 1) and a confidence in (0, 1), but got {self.level} and "
                f"{self.confidence}."
            )
        if self.encodings and not self.predictors:
            raise UsageError(
                "Encodings are for predictors: name one of these as well, or give a pair."
            )
        check_workers(self.workers, self.timeout)


def _ranges(seeds: tuple[int, ...]) -> str:
    """Seeds as the command line reads them, where a number alone says how many there are."""
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][1] + 1:
            parts[-1][1] = seed
        else:
            parts.append([seed, seed])
    words = [f"{a}-{b}" if a != b else str(a) for a, b in parts]
    return ",".join(words) if len(words) > 1 or "-" in words[0] else f"{words[0]}-{words[0]}"
