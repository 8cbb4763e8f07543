"""What an evaluation of proxies is asked to look at."""

import shlex
from typing import ClassVar

from foretell.errors import UsageError
from foretell.metrics.correlation import kind_of
from foretell.studies._base import StudyConfig
from foretell.studies.run.workers import check_workers

__all__ = ["ProxiesConfig"]


class ProxiesConfig(StudyConfig, frozen=True, kw_only=True):
    """What to correlate, and which proxies to compute for it.

    Args:
        benchmark: name or file of the table.
        targets: keys of its metrics, or patterns such as "cifar10/*"; by default every metric of
            validation or test images that is better when higher.
        proxies: names or keys of its proxies, of the free baselines, or with ``data`` of proxies
            of this library; by default all of them.
        populations: "all", "alive", "no unreachable op", "deduplicated", "top K"; by default all
            that the space allows, and the top 100.
        metric: "kendall", "spearman" or "pearson".
        bootstrap: resamples of the bootstrap, shared by all correlations of a population; 0 for
            none.
        level: the share between the ends of the intervals.
        n: look at so many architectures, drawn at random; by default at all.
        data: images to compute own proxies on, such as "cifar10:PATH"; empty for none.
        preset: skeleton of the space for own proxies; by default the one for images of that size.
        batch_size: images in each of two batches.
        time: measure each proxy, alone, on so many of the networks, where the table has no times.
        seed: of the resamples, of the sample of architectures and of own proxies.
        workers: processes that compute own proxies; 0 computes them in this one.
    """

    KIND: ClassVar[str] = "evaluate_proxies"
    MAY_CHANGE: ClassVar[tuple[str, ...]] = (
        "benchmark", "targets", "populations", "metric", "bootstrap", "level", "n", "time",
        "workers",
    )  # fmt: skip

    benchmark: str = ""
    targets: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    populations: tuple[str, ...] = ()
    metric: str = "kendall"
    bootstrap: int = 200
    level: float = 0.95
    n: int | None = None
    data: str = ""
    preset: str | None = None
    batch_size: int = 64
    time: int = 0
    seed: int = 0
    workers: int = 0

    def command(self, out: object) -> str:
        """The command line of these settings, defaults left out.

        Args:
            out: the run folder.
        """
        usual = ProxiesConfig()
        words = ["foretell", "evaluate", "proxies", self.benchmark]
        for option, several in (
            ("--target", self.targets), ("--proxy", self.proxies),
            ("--population", self.populations),
        ):  # fmt: skip
            for value in several:
                words += [option, value]
        for name in ("metric", "bootstrap", "level", "n"):
            if (value := getattr(self, name)) != getattr(usual, name):
                words += [f"--{name}", str(value)]
        if self.data:
            words += ["--recompute", "--data", self.data]
        for name in ("preset", "batch_size", "time", "seed", "workers"):
            if (value := getattr(self, name)) != getattr(usual, name):
                words += [f"--{name.replace('_', '-')}", str(value)]
        return shlex.join([*words, "--out", str(out)])

    def check(self) -> None:
        """Refuse what cannot be, before anything is read.

        Raises:
            UnknownNameError: no such correlation.
            UsageError: an option has a value that cannot be used.
        """
        kind_of(self.metric)
        if self.bootstrap < 0 or not 0 < self.level < 1 or self.time < 0:
            raise UsageError(
                f"Expected samples >= 0, a level in (0, 1) and networks to time >= 0, but got "
                f"{self.bootstrap}, {self.level} and {self.time}."
            )
        check_workers(self.workers)
