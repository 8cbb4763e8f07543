"""What an optimisation of a user's own evaluation is asked to do."""

from typing import ClassVar

from foretell.errors import UsageError
from foretell.execution import check_timeout
from foretell.studies._base import StudyConfig
from foretell.types import Shape3

__all__ = ["ASK_TELL", "OptimizeConfig"]

ASK_TELL = "ask and tell"
"""In place of an evaluation's name where the user owns the loop."""


class OptimizeConfig(StudyConfig, frozen=True, kw_only=True):
    """The settings of one optimisation.

    Args:
        space: registered name or ``file.py:attribute``; of a space in memory its name.
        evaluate: ``file.py:function`` or ``module:function``; of a function in memory its name.
        version: of the evaluation; results of another version are not taken for those of this one.
        objectives: names of values that the evaluation returns, or of costs; "max:NAME" or
            "min:NAME" where the direction is not the usual one.
        prefer: which point of the front of several objectives wins: "knee" or an objective's name.
        constraints: such as "params<=60k" or, of a value that the evaluation returns, "energy<=3".
        reference: the architecture that shares (%ref) of costs refer to.
        searcher: registered name or ``file.py:attribute``; one that needs no scores.
        pool: for a searcher that needs a pool, how many architectures it holds.
        trials: how many architectures are evaluated.
        round: how many are asked for at once; they may run in parallel.
        prune: whether a trial ends early whose report is worse than the median of five or more
            finished trials at that step; with one objective only.
        input_shape: that costs are computed for.
        classes: that costs are computed for.
        seed: everything random follows from it.
        workers: processes; 0 evaluates in this one.
        timeout: seconds after which a trial is given up; None waits.
    """

    KIND: ClassVar[str] = "optimize"
    MAY_CHANGE: ClassVar[tuple[str, ...]] = ("trials", "prefer", "workers", "timeout")

    space: str = "nb201"
    evaluate: str = ""
    version: str = ""
    objectives: tuple[str, ...] = ("value",)
    prefer: str = "knee"
    constraints: tuple[str, ...] = ()
    reference: str | None = None
    searcher: str = "evolution"
    pool: int = 1000
    trials: int = 50
    round: int = 1
    prune: bool = True
    input_shape: Shape3 = (3, 32, 32)
    classes: int = 10
    seed: int = 0
    workers: int = 0
    timeout: float | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that nothing can run with.

        Raises:
            UsageError: a setting is out of range; it is named.
        """
        for name, least in (("trials", 1), ("round", 1), ("pool", 1), ("workers", 0), ("seed", 0)):
            if (value := getattr(self, name)) < least:
                raise UsageError(f"{name} must be at least {least}, but is {value}.")
        check_timeout(self.timeout, self.workers)
        if not self.objectives:
            raise UsageError("objectives must name at least one value that evaluate returns.")

    def command(self, out: object) -> str:
        """The call of these settings, defaults left out.

        Args:
            out: the run folder.
        """
        plain = OptimizeConfig()
        own = self.evaluate == ASK_TELL
        function = self.evaluate.rpartition(":")[2] or "evaluate"
        words = [repr(self.space)] if own else [function, repr(self.space)]
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name not in ("space", "evaluate") and value != getattr(plain, name):
                words.append(f"{name}={value!r}")
        call = "create_study" if own else "optimize"
        return f"foretell.{call}({', '.join(words)}, out={str(out)!r})"
