"""Sequential execution in this process."""

from collections.abc import Generator, Iterable

from foretell.execution._base import Claim, Executor, Function, callable_of, run_claim
from foretell.store import Result

__all__ = ["InlineExecutor"]


class InlineExecutor(Executor):
    """Runs claims sequentially in this process; no time limit, no isolation from crashes.

    Args:
        function: payload -> value; a callable, ``module:function`` or ``file.py:function``.

    Raises:
        PluginError: the text cannot be imported, or is not callable.

    >>> [r.value for r in InlineExecutor(len).map([Claim(0, "ab"), Claim(1, "abc")])]
    [2, 3]
    """

    isolated = False

    def __init__(self, function: Function) -> None:
        """Resolve the function."""
        self.function = function
        self._call = callable_of(function)

    def map(
        self, claims: Iterable[Claim], *, ordered: bool = True
    ) -> Generator[Result, None, None]:
        """One result for each claim, in their order."""
        for claim in claims:
            yield run_claim(self._call, claim)
