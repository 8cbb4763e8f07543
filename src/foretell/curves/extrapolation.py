"""The posterior of parametric families, integrated: the value of a curve at a later epoch.

Model: y_t = theta . phi(t; s) + noise, with the shape s at the quadrature points of its prior.
Given the shape and the noise's variance, theta is Gaussian; the variance is inverse-gamma. Both are
integrated in closed form, so that a shape has an evidence and a Student t distribution of the later
value. All architectures with the same epochs share the bases: they are one matrix product.
"""

from collections.abc import Sequence

import numpy as np

from foretell.curves.families import Family
from foretell.types import Array

__all__ = ["NOISE", "extrapolate", "mixture", "truncated_t"]

NOISE = 0.01
"""Prior scale of the noise of an accuracy after an epoch."""
_SHAPE = 2.0
"""Shape of the inverse-gamma prior of the noise's variance; its scale is _SHAPE NOISE^2."""
_WIDTH = 50.0
"""Prior standard deviation of a coefficient in units of the noise: .5 at the prior's scale."""
_LEVEL, _AMPLITUDE = 0.6, 0.3
"""Prior means of the constant (or of the factor of a rising function) and of what is missing."""


def extrapolate(
    values: Array, epochs: Array, final_epoch: int, family: Family, lower: Array
) -> tuple[Array, Array, Array]:
    """The value at a later epoch under one family, the curve there within [lower, 1].

    Args:
        values: (n, t) accuracies, all measured.
        epochs: (t,)
        final_epoch: the later epoch.
        family: of curves.
        lower: (n,) the least value of the curve, without noise, at the later epoch; below 1.

    Returns:
        Mean (n,), second moment (n,) with noise, and log evidence (n,).
    """
    t = len(epochs)
    bases = family.bases(np.append(epochs, final_epoch).astype(np.float64), float(final_epoch))
    phi, last = bases[:, :-1], bases[:, -1]
    prior = np.array([_LEVEL, _AMPLITUDE]) if family.level else np.array([0.0, _LEVEL])
    precision = np.eye(2) / _WIDTH**2
    gram = np.einsum("qti,qtj->qij", phi, phi) + precision
    inverse = np.linalg.inv(gram)
    right = (values @ phi.transpose(0, 2, 1).reshape(-1, t).T).reshape(len(values), -1, 2)
    right += precision @ prior
    theta = np.einsum("qij,nqj->nqi", inverse, right)
    shape = _SHAPE + t / 2
    scale = _SHAPE * NOISE**2 + 0.5 * (
        (values**2).sum(axis=1)[:, None] + prior @ precision @ prior - (right * theta).sum(axis=2)
    )
    evidence = -0.5 * np.linalg.slogdet(gram)[1] - 2 * np.log(_WIDTH) - shape * np.log(scale)
    centre = (theta * last).sum(axis=2)
    noise_var = scale / shape
    width = np.sqrt(noise_var * np.einsum("qi,qij,qj->q", last, inverse, last))
    mass, mean, second = truncated_t(centre, width, 2 * shape, lower[:, None], 1.0)
    second += noise_var * shape / (shape - 1)
    with np.errstate(divide="ignore"):
        weight = evidence + np.log(mass) - np.log(len(phi))
    top = weight.max(axis=1, keepdims=True)
    share = np.exp(weight - top)
    total = share.sum(axis=1)
    return (
        (share * mean).sum(axis=1) / total,
        (share * second).sum(axis=1) / total,
        top[:, 0] + np.log(total),
    )


_LEAST_MASS = 1e-12


def truncated_t(
    centre: Array, width: Array, freedom: float, low: Array, high: float
) -> tuple[Array, Array, Array]:
    """Mass, mean and second moment of Student's t within an interval.

    With z = (x - centre) / width, f and F the density and distribution function of ``freedom`` v:
    the integral of z f(z) is -f(z) (v + z^2) / (v - 1), and that of z^2 f(z) is
    v ((v - 1) / (v - 2) F_(v-2)(z sqrt((v - 2) / v)) - F(z)).

    Args:
        centre: (n, q)
        width: (q,) > 0.
        freedom: degrees of freedom, > 2.
        low: (n, 1) low end.
        high: high end.

    Returns:
        (n, q) each. Where the mass is below 1e-12 it is set to that, and the mean to the nearer
        end.
    """
    from scipy.special import gammaln, stdtr

    v = freedom
    a, b = (low - centre) / width, (high - centre) / width
    log_factor = gammaln((v + 1) / 2) - gammaln(v / 2) - 0.5 * np.log(v * np.pi)

    def first(z: Array) -> Array:
        density = np.exp(log_factor - (v + 1) / 2 * np.log1p(z * z / v))
        return np.asarray(density * (v + z * z) / (v - 1))

    mass = stdtr(v, b) - stdtr(v, a)
    enough = mass > _LEAST_MASS
    safe = np.where(enough, mass, 1.0)
    squeeze = np.sqrt((v - 2) / v)
    narrower = stdtr(v - 2, b * squeeze) - stdtr(v - 2, a * squeeze)
    z1 = np.clip((first(a) - first(b)) / safe, a, b)
    z2 = np.maximum(v * ((v - 1) / (v - 2) * narrower / safe - 1), z1**2)
    end = np.clip(centre, low, high)
    mean = np.where(enough, centre + width * z1, end)
    variance = np.where(enough, width**2 * (z2 - z1**2), 0.0)
    return np.maximum(mass, _LEAST_MASS), mean, mean**2 + variance


def mixture(parts: Sequence[tuple[Array, Array, Array]], log_weights: Array) -> tuple[Array, Array]:
    """Mean and standard deviation, (n,) each, of a mixture of families.

    Args:
        parts: mean, second moment and log evidence of each of k families, (n,) each.
        log_weights: (k, n) of the families.
    """
    weight = np.exp(log_weights - log_weights.max(axis=0))
    weight /= weight.sum(axis=0)
    mean = (weight * np.stack([m for m, _, _ in parts])).sum(axis=0)
    second = (weight * np.stack([s for _, s, _ in parts])).sum(axis=0)
    return mean, np.sqrt(np.maximum(second - mean**2, 0.0))
