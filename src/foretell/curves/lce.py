"""Learning-curve extrapolation: ensembles of parametric families."""

from collections.abc import Mapping, Sequence

import numpy as np

from foretell.curves._base import CurvePredictor, curve_predictors, same_epochs
from foretell.curves.extrapolation import extrapolate, mixture
from foretell.curves.families import FAMILIES
from foretell.errors import CurveError, UnknownNameError
from foretell.types import Array, IntArray

__all__ = ["LCE", "LCEM"]

_Result = tuple[Array, Array | None, Mapping[int, str]]
_DOMHAN = (
    "Domhan et al., Speeding up Automatic Hyperparameter Optimization of Deep Neural Networks by "
    "Extrapolation of Learning Curves, IJCAI 2015, section 3"
)
_BELOW_ONE = 1 - 1e-6


@curve_predictors.add(
    "lce", metric="val_accuracy", unit="fraction", std=True, alone=True, reference=_DOMHAN
)
class LCE(CurvePredictor):
    """Ensemble of parametric curves, extrapolated to the final epoch; a fraction with std.

    Each family is y(x) = c - a g(x), or a g(x), with noise; the curve at the final epoch lies in
    [0, 1]. Within a family the posterior weighs the shapes; between families the weights are equal,
    because evidence trusts residuals to be independent between epochs, which they are not.

    An architecture's prediction is independent of the others. From one epoch on; a prediction from
    one or two is mostly prior, and orders like the last value. The standard deviation knows nothing
    of schedules: where the learning rate falls to 0 at the end, accuracies rise above it.

    Args:
        families: names of ``FAMILIES``; unknown ones raise UnknownNameError on ``predict``, none at
            all raises CurveError.

    Reference: Domhan et al., IJCAI 2015, section 3.

    Differs from automl/NASLib@3da089f: the same kind of posterior is integrated (coefficients and
    noise in closed form, shapes by quadrature) where there Markov chains sample it, so that nothing
    has to converge, results repeat and 200 curves take a fraction of a second; three families
    instead of eleven; no made-up accuracy where a fit fails.
    """

    extrapolates = True

    def __init__(self, families: Sequence[str] = ("pow3", "loglog_linear", "ilog2")) -> None:
        """Store the options."""
        self.families = families

    def _predict(self, values: Array, epochs: IntArray, final_epoch: int) -> _Result:
        for name in self.families:
            if name not in FAMILIES:
                raise UnknownNameError("family of curves", name, (), FAMILIES)
        if not self.families:
            raise CurveError(f"Expected one or more families of {', '.join(FAMILIES)}.")
        mean, std = np.empty(len(values)), np.empty(len(values))
        for rows, columns in same_epochs(values):
            given, t = values[np.ix_(rows, columns)], epochs[columns].astype(np.float64)
            lower = self._lower(given)
            parts = [
                extrapolate(given, t, final_epoch, FAMILIES[name], lower) for name in self.families
            ]
            mean[rows], std[rows] = mixture(parts, self._weights(parts))
        return mean, std, {}

    def _lower(self, values: Array) -> Array:
        """Lower bound of each curve at the final epoch, (n,)."""
        return np.zeros(len(values))

    def _weights(self, parts: Sequence[tuple[Array, Array, Array]]) -> Array:
        """Logarithms of the families' weights, (k, n)."""
        return np.zeros((len(parts), len(parts[0][0])))


_TIMES = {"hill3": 2, "weibull": 3}
"""How often a family is among the eleven of Domhan et al., in other parameters."""


@curve_predictors.add(
    "lce_m", metric="val_accuracy", unit="fraction", std=True, alone=True, reference=_DOMHAN
)
class LCEM(LCE):
    """LCE-m: the eleven families with a monotone prior; a fraction with std.

    The curve at the final epoch is at least the last measured value and at most 1, and families are
    weighed by their evidence.

    Args:
        families: names of ``FAMILIES``, as for ``LCE``.

    Reference: Domhan et al., IJCAI 2015, section 3; White et al., NeurIPS 2021, appendix.

    Differs from automl/NASLib@3448add: integrated, not sampled by 50 walkers; families that are the
    same in other parameters are one, with their number as prior weight; ``loglog_linear`` and
    ``vap`` have a free factor; monotone between the last measured and the final epoch only.
    """

    def __init__(self, families: Sequence[str] = tuple(FAMILIES)) -> None:
        """Store the options."""
        super().__init__(families)

    def _lower(self, values: Array) -> Array:
        return np.minimum(values[:, -1], _BELOW_ONE)

    def _weights(self, parts: Sequence[tuple[Array, Array, Array]]) -> Array:
        times = np.log([_TIMES.get(name, 1) for name in self.families])
        return np.stack([evidence for _, _, evidence in parts]) + times[:, None]
