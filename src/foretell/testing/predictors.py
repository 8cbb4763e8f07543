"""What every predictor has to keep to.

A plug-in's test file::

    import pytest
    from foretell.testing.predictors import PredictorContract

    class TestMine(PredictorContract):
        @pytest.fixture
        def predictor(self):
            return "my_predictor.py:MyPredictor"
"""

import pickle
from typing import ClassVar

import numpy as np
import pytest

from foretell.encodings import EncodingContext, Encodings, encode
from foretell.errors import PredictorError
from foretell.metrics import kendall
from foretell.predictors import Predictor, predictors
from foretell.spaces import get_space
from foretell.types import Array

__all__ = ["PredictorContract"]

Split = tuple[Encodings, Array, Encodings, Array]


class PredictorContract:
    """The suite; a subclass gives the fixture ``predictor``, a name or a ``file.py:Class``."""

    encoding: ClassVar[str] = "onehot"
    """What the predictor is given."""
    least_kendall: ClassVar[float] = 0.3
    """Least rank correlation on an easy problem, 80 labelled architectures and 80 others."""

    @pytest.fixture
    def predictor(self) -> str:
        """The predictor to look at.

        Raises:
            NotImplementedError: the subclass does not give it.
        """
        raise NotImplementedError("give the fixture `predictor` in your subclass")

    def make(self, predictor: str) -> Predictor:
        """An unfitted predictor with its default options."""
        return predictors[predictor]()

    @pytest.fixture
    def split(self) -> Split:
        """Encodings and values of 80 labelled architectures, and of 80 others."""
        space = get_space("nb201")
        rng = np.random.default_rng(0)
        archs = list(dict.fromkeys(space.sample(rng) for _ in range(200)))[:160]
        worth = np.array([0.0, 0.3, 0.6, 1.0, 0.4])
        y = np.array([worth[list(a.genes)].sum() for a in archs])
        encoded = encode(self.encoding, EncodingContext(space, archs))
        fit, ask = np.arange(80), np.arange(80, 160)
        return encoded.take(fit), y[fit], encoded.take(ask), y[ask]

    def test_it_learns(self, predictor: str, split: Split) -> None:
        """Finite means in the right order; standard deviations that are not negative."""
        fit, y, ask, truth = split
        found = self.make(predictor).fit(fit, y).predict(ask)
        assert found.mean.shape == truth.shape
        assert float(kendall(found.mean, truth)) > self.least_kendall
        if found.std is not None:
            assert found.std.shape == truth.shape
            assert (found.std >= 0).all()

    def test_it_repeats_and_survives_a_pickle(self, predictor: str, split: Split) -> None:
        """Bit for bit."""
        fit, y, ask, _ = split
        model = self.make(predictor).fit(fit, y)
        first = model.predict(ask).mean
        assert np.array_equal(first, self.make(predictor).fit(fit, y).predict(ask).mean)
        assert np.array_equal(first, pickle.loads(pickle.dumps(model)).predict(ask).mean)

    def test_rows_alone_as_together(self, predictor: str, split: Split) -> None:
        """A prediction does not depend on what else is predicted."""
        fit, y, ask, _ = split
        model = self.make(predictor).fit(fit, y)
        together = model.predict(ask).mean
        for i in (0, 7):
            alone = model.predict(ask.take(np.array([i]))).mean
            np.testing.assert_allclose(alone, together[i : i + 1], rtol=1e-9)

    def test_equal_values(self, predictor: str, split: Split) -> None:
        """Nothing to learn but the value."""
        fit, y, ask, _ = split
        found = self.make(predictor).fit(fit, np.full_like(y, 0.25)).predict(ask)
        np.testing.assert_allclose(found.mean, 0.25, atol=1e-6)

    def test_what_cannot_be_learned_is_refused(self, predictor: str, split: Split) -> None:
        """Other lengths, values that are not finite, and predictions before a fit."""
        fit, y, ask, _ = split
        with pytest.raises(PredictorError, match="one value for each"):
            self.make(predictor).fit(fit, y[1:])
        with pytest.raises(PredictorError, match="not finite"):
            self.make(predictor).fit(fit, np.where(np.arange(len(y)) == 3, np.nan, y))
        with pytest.raises(PredictorError, match="not fitted"):
            self.make(predictor).predict(ask)
