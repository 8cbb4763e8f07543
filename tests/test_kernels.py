"""Kernels against closed forms and differences."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from foretell.kernels import matern52, matern52_slope, squared_distances


def test_distances_are_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((7, 3)), rng.standard_normal((5, 3))
    np.testing.assert_allclose(squared_distances(a, b), cdist(a, b, "sqeuclidean"), atol=1e-12)
    assert (squared_distances(a, a) >= 0).all()


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_the_slope_is_the_derivative_by_the_log_of_the_scale(scale):
    distance = np.linspace(0, 5, 11)
    value, slope = matern52_slope(distance, scale)
    np.testing.assert_array_equal(value, matern52(distance, scale))
    step = 1e-5
    up, down = (matern52(distance, scale * np.exp(d)) for d in (step, -step))
    np.testing.assert_allclose(slope, (up - down) / (2 * step), atol=1e-9)
