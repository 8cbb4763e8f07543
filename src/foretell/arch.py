"""An architecture: a frozen, hashable, ordered value."""

import json
from dataclasses import dataclass

from foretell.errors import ArchError
from foretell.types import Json

__all__ = ["Arch"]


@dataclass(frozen=True, order=True, slots=True)
class Arch:
    """One point of a search space.

    Args:
        space: the space's name, or the ``module:attribute`` string that leads to it.
        genes: one choice index per decision, each >= 0.

    >>> Arch("nb201", (3, 0, 1, 1, 0, 3)).set(0, 2).genes
    (2, 0, 1, 1, 0, 3)
    """

    space: str
    genes: tuple[int, ...]

    def set(self, index: int, gene: int) -> "Arch":
        """The same architecture with one other gene."""
        genes = list(self.genes)
        genes[index] = int(gene)
        return Arch(self.space, tuple(genes))

    def to_json(self) -> str:
        """One line of JSON that ``from_json`` reads."""
        return json.dumps({"space": self.space, "genes": list(self.genes)})

    @classmethod
    def from_json(cls, text: str) -> "Arch":
        """The architecture that ``to_json`` wrote; other keys are ignored.

        Raises:
            ArchError: the text is not such JSON.
        """
        try:
            data: Json = json.loads(text)
            genes = tuple(data["genes"])
            space = data["space"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ArchError(
                'Expected an architecture as JSON, {"space": name, "genes": [..]}, but got '
                f"{text[:60]!r}."
            ) from error
        if not isinstance(space, str) or not all(
            isinstance(g, int) and not isinstance(g, bool) and g >= 0 for g in genes
        ):
            raise ArchError(
                f"Expected a space's name and genes >= 0, but got space {space!r} and genes "
                f"{list(genes)}."
            )
        return cls(space, genes)

    def __str__(self) -> str:
        """Space and genes in one word, such as ``nb201:3.0.1.1.0.3``."""
        return f"{self.space}:{'.'.join(map(str, self.genes))}"
