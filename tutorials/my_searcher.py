"""A searcher of your own, in one file.

    foretell search --searcher tutorials/my_searcher.py:GreedyNeighbors --trials 4

A searcher is asked for architectures and told what they turned out to be worth. It never trains
anything itself, so that a table, this machine and a cluster look the same to it.
"""

from collections.abc import Sequence

from foretell.arch import Arch
from foretell.search import Searcher, searcher
from foretell.types import Array


@searcher("greedy_neighbors", reference="this tutorial")
class GreedyNeighbors(Searcher):
    """Neighbors of the best network so far; uniform draws when there are none."""

    def _ask(self, n: int) -> list[Arch]:
        if self.best is None:
            return self.draw(n)
        near = self.open(self.problem.space.neighbors(self.best[0]))
        order = self.rng.permutation(len(near))[:n]
        return [near[i] for i in order]

    def _tell(self, archs: Sequence[Arch], values: Array) -> None:
        """Nothing to learn beyond what ``self.best`` remembers."""
