"""Kernels against closed forms and differences."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from foretell.gaussian.kernels import matern52, matern52_slope, squared_distances


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


def test_long_arrays_are_computed_as_short_ones():
    distance = np.random.default_rng(0).uniform(0, 5, (150, 301))
    value, slope = matern52_slope(distance, 0.7)
    s = np.sqrt(5) / 0.7 * distance
    np.testing.assert_allclose(value, (1 + s + s**2 / 3) * np.exp(-s), rtol=1e-12)
    np.testing.assert_allclose(slope, s**2 * (1 + s) / 3 * np.exp(-s), rtol=1e-12)
    np.testing.assert_array_equal(matern52(distance, 0.7), value)
    np.testing.assert_array_equal(matern52(distance.T, 0.7), value.T)
    assert matern52(np.array(1.0), 0.7).shape == ()
    assert matern52(np.empty((0, 3)), 0.7).shape == (0, 3)
