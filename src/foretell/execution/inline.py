"""Claims run one after the other in this process."""

from collections.abc import Generator, Iterable

from foretell.execution._base import Claim, Executor, Function, callable_of, run_claim
from foretell.store import Result

__all__ = ["InlineExecutor"]


class InlineExecutor(Executor):
    """Runs claims here, one after the other; without a time limit, and a crash is everybody's.

    Args:
        function: payload -> value; a callable, ``module:function`` or ``file.py:function``.

    Raises:
        PluginError: the text leads nowhere, or to something that cannot be called.

    >>> [r.value for r in InlineExecutor(len).map([Claim(0, "ab"), Claim(1, "abc")])]
    [2, 3]
    """

    def __init__(self, function: Function) -> None:
        """Find the function."""
        self.function = function
        self._call = callable_of(function)

    def map(
        self, claims: Iterable[Claim], *, ordered: bool = True
    ) -> Generator[Result, None, None]:
        """One result for each claim, in their order, which is that of completion, too."""
        for claim in claims:
            yield run_claim(self._call, claim)
