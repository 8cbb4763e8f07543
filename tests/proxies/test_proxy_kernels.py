"""The compiled kernels and the operation that uses them, against PyTorch's own operations."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foretell.arch import Arch
from foretell.networks import build
from foretell.proxies import Batches, Needs, collect, make_plan, needs_of, proxies
from foretell.proxies.cell_pass import _fuse
from foretell.proxies.cell_pass._fuse import Merge, can_merge, flat
from foretell.proxies.cell_pass._ops import Norm, Relu, Sum
from foretell.proxies.cell_pass.lower import lower
from foretell.proxies.shared.codes import agreement
from foretell.spaces import Skeleton

pytest.importorskip("numba")
from foretell.proxies.cell_pass import numba_kernels as _kernels

CHANNELS = st.sampled_from([1, 3, 8, 16, 20])
SHAPES = st.tuples(st.integers(2, 5), CHANNELS, st.integers(1, 7), st.integers(1, 7))


def images(shape, seed, count=1, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(count)]
    return [x.to(dtype).contiguous(memory_format=torch.channels_last) for x in drawn]


def rows(x):
    return _fuse._rows(x)


def over(values, like):
    """(c,) as (1, c, 1, 1)."""
    return torch.from_numpy(np.asarray(values)).reshape(1, -1, 1, 1).to(like.dtype)


@settings(max_examples=30, deadline=None)
@given(SHAPES, st.integers(0, 99), st.sampled_from([0.0, -3.0, 1000.0]))
def test_moments(shape, seed, offset):
    (z,) = images(shape, seed)
    z += offset
    mean, inverse = np.zeros(shape[1]), np.zeros(shape[1])
    _kernels.moments(rows(z), 1e-5, mean, inverse)
    variance, expected = torch.var_mean(z, (0, 2, 3), correction=0)
    np.testing.assert_allclose(mean, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(inverse, (variance + 1e-5).rsqrt(), rtol=1e-9)


def test_moments_of_many_rows_in_float32():
    """Far from zero, where sums of squares would lose everything."""
    (z,) = images((64, 16, 32, 32), 0, dtype=torch.float32)
    z += 300
    mean, inverse = np.zeros(16, np.float32), np.zeros(16, np.float32)
    _kernels.moments(rows(z), 1e-5, mean, inverse)
    variance, expected = torch.var_mean(z.double(), (0, 2, 3), correction=0)
    np.testing.assert_allclose(mean, expected, rtol=1e-6)
    np.testing.assert_allclose(inverse, (variance + 1e-5).rsqrt(), rtol=1e-5)


@settings(max_examples=40, deadline=None)
@given(SHAPES, st.integers(0, 99), st.integers(1, 3), st.booleans(), st.booleans(), st.booleans())
def test_merge(shape, seed, count, with_total, with_relu, with_active):
    z = images(shape, seed, 3)
    rng = np.random.default_rng(seed)
    mean, inverse, weight, bias = rng.standard_normal((4, 3, shape[1]))
    expected = sum(
        (z[k] - over(mean[k], z[k])) * over(inverse[k] * weight[k], z[k]) + over(bias[k], z[k])
        for k in range(count)
    )
    total, relu = (torch.full_like(z[0], 7.0) for _ in range(2))
    active = np.full(rows(z[0]).shape, 7, np.uint8)
    _kernels.merge(
        count, *map(rows, z), mean, inverse, weight, bias,
        with_total, rows(total), with_relu, rows(relu), with_active, active,
    )  # fmt: skip
    untouched = torch.full_like(total, 7.0)
    torch.testing.assert_close(total, expected if with_total else untouched)
    torch.testing.assert_close(relu, expected.relu() if with_relu else untouched)
    signs = rows(expected) > 0 if with_active else 7
    np.testing.assert_array_equal(active, np.broadcast_to(signs, active.shape))


def test_merge_may_write_into_a_term():
    z = images((2, 16, 4, 4), 1, 3)
    ones, zeros = np.ones((3, 16)), np.zeros((3, 16))
    expected = (z[0] + z[1] + z[2]).relu()
    _kernels.merge(
        3, *map(rows, z), zeros, ones, ones, zeros,
        False, rows(z[0]), True, rows(z[0]), False, np.empty((1, 1), np.uint8),
    )  # fmt: skip
    torch.testing.assert_close(z[0], expected)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_stay(value):
    z = images((2, 16, 4, 4), 1, 3, torch.float32)
    z[0][1, 3, 2, 1] = value
    ones, zeros = np.ones((3, 16), np.float32), np.zeros((3, 16), np.float32)
    out = torch.empty_like(z[0])
    _kernels.merge(
        1, *map(rows, z), zeros, ones, ones, zeros,
        False, rows(out), True, rows(out), False, np.empty((1, 1), np.uint8),
    )  # fmt: skip
    torch.testing.assert_close(out, z[0].relu(), equal_nan=True)
    mean, inverse = np.zeros(16, np.float32), np.zeros(16, np.float32)
    _kernels.moments(rows(z[0]), 1e-5, mean, inverse)
    assert not np.isfinite(mean[3])
    assert np.isfinite(np.delete(mean, 3)).all()
    total, along = np.zeros(16), np.zeros((3, 16))
    by = np.ones(3, np.float32)
    g = rows(z[0])
    others = [rows(x) for x in images((2, 16, 4, 4), 2, 6, torch.float32)]
    _kernels.gather(
        g, np.float32(1), 0, *others[:2], by, np.empty((1, 1), np.uint8), 0, *others[:3], by,
        1, *others[3:], zeros, total, along,
    )  # fmt: skip
    assert not np.isfinite(total[3])
    assert np.isfinite(np.delete(total, 3)).all()


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.integers(0, 99), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_gather(shape, seed, masked, plain, count):
    if not masked and not plain:
        return
    y, *x = images(shape, seed, 10)
    m, p, z = x[:3], x[3:6], x[6:]
    rng = np.random.default_rng(seed)
    m_by, p_by = rng.standard_normal((2, 3))
    mean = rng.standard_normal((3, shape[1]))
    g = sum((m[k] * m_by[k] for k in range(masked)), torch.zeros_like(y)) * (y > 0)
    g = g + sum((p[k] * p_by[k] for k in range(plain)), torch.zeros_like(y))
    first, first_by = (m[0], m_by[0]) if masked else (p[0], p_by[0])
    rest = (p, p_by) if masked else ([*p[1:], p[0]], np.roll(p_by, -1))
    active = (rows(y) > 0).astype(np.uint8)
    total, along = np.zeros(shape[1]), np.zeros((3, shape[1]))
    _kernels.gather(
        rows(first), first_by, masked, rows(m[1]), rows(m[2]), np.roll(m_by, -1), active,
        plain if masked else plain - 1, *map(rows, rest[0]), rest[1],
        count, *map(rows, z), mean, total, along,
    )  # fmt: skip
    torch.testing.assert_close(first, g)
    if count:
        np.testing.assert_allclose(total, g.sum((0, 2, 3)), atol=1e-9)
    for k in range(count):
        expected = (g * (z[k] - over(mean[k], z[k]))).sum((0, 2, 3))
        np.testing.assert_allclose(along[k], expected, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(SHAPES, st.integers(0, 99), st.integers(1, 3), st.booleans(), st.booleans())
def test_spread_is_the_backward_of_batch_normalisation(shape, seed, count, with_dots, in_place):
    g, *z = images(shape, seed, 4)
    n, c = shape[:2]
    if n * shape[2] * shape[3] < 4:  # variances of next to nothing
        return
    rng = np.random.default_rng(seed)
    mean, inverse, along = np.zeros((3, c)), np.zeros((3, c)), np.zeros((3, c))
    weight = rng.standard_normal((3, c))
    expected = []
    for k in range(count):
        leaf = z[k].clone().requires_grad_()
        w = torch.from_numpy(weight[k])
        y = torch.nn.functional.batch_norm(leaf, None, None, w, None, True, 0.0, 1e-3)
        expected.append(torch.autograd.grad(y, leaf, g)[0])
        _kernels.moments(rows(z[k]), 1e-3, mean[k], inverse[k])
        along[k] = (g * (z[k] - over(mean[k], z[k]))).sum((0, 2, 3))
    products = [(z[k] * expected[k]).sum((2, 3)) for k in range(count)]
    out = z if in_place else [torch.empty_like(g) for _ in range(3)]
    dots = np.zeros((3, n, rows(g).shape[1]) if with_dots else (3, 1, 1))
    _kernels.spread(
        count, rows(g), *map(rows, z), mean, inverse, weight,
        g.sum((0, 2, 3)).numpy(), along, *map(rows, out), with_dots, dots,
    )  # fmt: skip
    for k in range(count):
        torch.testing.assert_close(out[k], expected[k], rtol=1e-7, atol=1e-9)
        if with_dots:
            found = dots[k].reshape(n, -1, c).sum(1)
            np.testing.assert_allclose(found, products[k], rtol=1e-7, atol=1e-8)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 300), st.integers(0, 99))
def test_agreements(n, units, seed):
    active = np.random.default_rng(seed).integers(0, 2, (n, units)).astype(np.uint8)
    expected = agreement(torch.from_numpy(active).float())
    assert torch.equal(_fuse._agreement(active), expected)


def network(genes, size=8, channels=16):
    return build(Arch("nb201", genes), Skeleton((3, size, size), 5, channels, 1), seed=1)


@pytest.mark.parametrize("genes", [(3, 3, 3, 3, 3, 3), (3, 1, 2, 4, 0, 3), (1, 4, 1, 2, 4, 1)])
def test_nothing_is_left_between_convolutions(genes):
    program = lower(network(genes))
    left = [op for op in program.ops if isinstance(op, Norm | Sum)]
    assert not left
    parts = flat(program.ops)
    assert len({op.out for op in parts}) == len(parts)
    made = {0}
    for op in parts:  # in an order in which they can run
        assert made.issuperset(op.reads)
        made.add(op.out)
    for op in program.ops:
        if isinstance(op, Merge):
            assert not any(v in other.reads for v in op.inner for other in program.ops)
    alone = [op for op in program.ops if isinstance(op, Relu)]
    readers = {v for op in program.ops if isinstance(op, Merge) for v in (op.total,)}
    assert not any(op.src in readers for op in alone)


def test_who_uses_the_kernels(monkeypatch):
    x = torch.zeros(64, 3, 32, 32)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(_fuse.THREADS)
        assert can_merge(x)
        assert can_merge(x.double())
        assert not can_merge(x.half())
        assert not can_merge(x[:16])
        assert not can_merge(x.to("meta"))
        torch.set_num_threads(_fuse.THREADS + 1)
        assert not can_merge(x)
        torch.set_num_threads(1)
        monkeypatch.setattr(_fuse, "_installed", lambda: False)
        assert not can_merge(x)
    finally:
        torch.set_num_threads(threads)


def test_single_precision_is_kept(monkeypatch):
    """Batches of 32x32 images, where the kernels run by themselves, against float64 throughout.

    PyTorch's channels-last normalisation sums tens of thousands of values in single precision and
    is ten to a thousand times further off.
    """
    net = network((3, 3, 1, 3, 2, 3), size=32)
    generator = torch.Generator().manual_seed(0)
    draws = [torch.randn((32, 3, 32, 32), generator=generator) for _ in range(2)]
    labels = tuple(torch.randint(5, (32,), generator=generator) for _ in range(2))
    exact = Batches(tuple(x.double() for x in draws), labels)
    names = ["grad_norm", "snip", "fisher", "jacov", "nwot", "l2_norm", "epe_nas", "grasp", "plain"]
    needs = Needs.NONE
    for name in names:
        needs |= needs_of(proxies.entry(name))
    plan = make_plan(needs, 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert can_merge(draws[0])
        found = collect(net, Batches(tuple(draws), labels), plan, seed=3)
        monkeypatch.setattr(_fuse, "THREADS", 0)
        expected = collect(net.double(), exact, plan, seed=3, fast=False)
    finally:
        torch.set_num_threads(threads)
    for name in names:
        value = float(proxies[name](expected))
        assert float(proxies[name](found)) == pytest.approx(value, rel=1e-5), name


def test_compiles_where_nothing_can_be_kept(monkeypatch):
    real = _kernels.numba.njit

    def njit(*args, cache=False, **options):
        if cache:
            raise RuntimeError("no locator available")
        return real(*args, **options)

    monkeypatch.setattr(_kernels.numba, "njit", njit)
    assert _kernels._compiled(lambda x: x + 1)(2) == 3


def test_no_version_finds_what_another_has_kept():
    names = {getattr(_kernels, name).py_func.__qualname__ for name in _kernels.__all__}
    assert names == {f"{name}_{_kernels._VERSION}" for name in _kernels.__all__}
