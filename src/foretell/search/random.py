"""Random search: the baseline that every searcher must beat."""

from foretell.arch import Arch
from foretell.search._base import Searcher, searcher

__all__ = ["RandomSearch"]


@searcher("random", reference="Li and Talwalkar, UAI 2019")
class RandomSearch(Searcher):
    """Uniform draws without replacement.

    Args:
        problem: where to search.
        rng: the searcher's own stream of randomness.
    """

    def _ask(self, n: int) -> list[Arch]:
        return self.draw(n)
