"""What every encoding has to keep to.

A plug-in's test file::

    import pytest
    from foretell.testing.encodings import EncodingContract

    class TestMine(EncodingContract):
        @pytest.fixture
        def encoding(self):
            return "my_encoding.py:my_encoding"
"""

from typing import ClassVar

import numpy as np
import pytest

from foretell.curves import Curves
from foretell.encodings import EncodingContext, EncodingTable, encode, encodings
from foretell.spaces import get_space

__all__ = ["EncodingContract"]


class EncodingContract:
    """The suite; a subclass gives the fixture ``encoding``, a name or a ``file.py:function``."""

    space: ClassVar[str] = "nb201"
    """The space whose architectures are encoded."""

    @pytest.fixture
    def encoding(self) -> str:
        """The encoding to look at.

        Raises:
            NotImplementedError: the subclass does not give it.
        """
        raise NotImplementedError("give the fixture `encoding` in your subclass")

    def context(self, *, reverse: bool = False) -> EncodingContext:
        """Thirty architectures, with the costs of their networks and three epochs of curves.

        Args:
            reverse: the same in the opposite order.
        """
        space = get_space(self.space)
        rng = np.random.default_rng(0)
        archs = list(dict.fromkeys(space.sample(rng) for _ in range(60)))[:30]
        archs = archs[::-1] if reverse else archs
        level = np.array([(1 + sum(a.genes)) / (2 + sum(a.genes)) for a in archs])
        curves = Curves({"val_accuracy": level[:, None] * [0.2, 0.5, 0.6]}, np.arange(1, 4))
        costs = space.costs(archs, space.skeleton((3, 8, 8), 4))
        return EncodingContext(space, archs, costs=costs, curves=curves)

    def table(self, encoding: str, context: EncodingContext) -> EncodingTable:
        """What the encoding gives."""
        return encodings.entry(encoding).load()(context)

    def test_a_row_for_each_architecture(self, encoding: str) -> None:
        """Finite numbers, and columns with names of their own."""
        context = self.context()
        table = self.table(encoding, context)
        assert len(table) == len(context.archs)
        assert np.isfinite(table.values.astype(np.float64)).all()
        assert len(set(table.names)) == len(table.names) > 0

    def test_it_repeats(self, encoding: str) -> None:
        """Bit for bit, and nothing global is drawn from."""
        state = np.random.get_state(legacy=False)  # noqa: NPY002
        first, again = (self.table(encoding, self.context()) for _ in range(2))
        assert repr(state) == repr(np.random.get_state(legacy=False))  # noqa: NPY002
        assert first.names == again.names
        assert np.array_equal(first.values, again.values)

    def test_rows_follow_the_order(self, encoding: str) -> None:
        """The row of an architecture does not depend on where it stands."""
        table = self.table(encoding, self.context())
        other = self.table(encoding, self.context(reverse=True))
        rows = {name: table.column(name)[::-1] for name in table.names}
        assert set(other.names) == set(table.names)
        for name in other.names:
            np.testing.assert_allclose(other.column(name), rows[name], rtol=1e-9)

    def test_it_joins_others(self, encoding: str) -> None:
        """Side by side with one-hot genes."""
        context = self.context()
        joined = encode(f"{encoding}+onehot", context)
        assert len(joined) == len(context.archs)
        assert len(joined.tables) == 2
