"""The arithmetic of single proxies on hand-made parts."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foretell.errors import ProxyError, TooFewBatchesError
from foretell.proxies import Collected, SynflowLayer, ZenStats, proxies
from foretell.proxies.cell_pass._ops import combine, dots, spatial_dots
from foretell.proxies.jacobian import correlation
from foretell.proxies.shared.codes import CodeCounter, agreement
from foretell.proxies.zico import zico_layer


def parts(labels=None, classes=10, **fields):
    return Collected(fields, classes, torch.empty(0) if labels is None else labels)


@given(st.integers(2, 6), st.integers(1, 40), st.integers(0, 2**31))
def test_agreement_is_the_count_of_equal_codes(n, units, seed):
    codes = np.random.default_rng(seed).integers(0, 2, (n, units))
    expected = (codes[:, None, :] == codes[None, :, :]).sum(2)
    assert np.array_equal(agreement(torch.tensor(codes, dtype=torch.float32)).numpy(), expected)


def test_code_counter_shares_equal_inputs_but_not_changed_ones():
    counter, x = CodeCounter(2), torch.tensor([[1.0, -1.0], [1.0, 1.0]])
    counter.add(0, x)
    counter.add(1, x)
    x.neg_()
    counter.add(2, x)
    assert counter.total([True, True, True]).tolist() == [[6, 3], [3, 6]]
    assert counter.total([True, False, False]).tolist() == [[2, 1], [1, 2]]


@given(st.integers(0, 2**31))
def test_zico_layer_against_numpy(seed):
    rng = np.random.default_rng(seed)
    for batches in (2, 3, 5):
        g = rng.normal(size=(batches, 7))
        for signed in (False, True):
            std = np.std(g if signed else np.abs(g), axis=0)
            expected = math.log(np.sum(np.mean(np.abs(g), axis=0) / std))
            assert float(zico_layer(torch.tensor(g), signed=signed)) == pytest.approx(expected)


def test_gradients_that_never_differ_have_no_zico():
    same = (torch.ones(3), torch.zeros(2, 2))
    for name in ("zico", "zico_code"):
        with pytest.raises(ProxyError, match="no spread"):
            proxies[name](parts(batch_grads=(same, same)))
    other = (torch.tensor([1.0, 1.0, 3.0]), torch.zeros(2, 2))
    assert proxies["zico"](parts(batch_grads=(same, other))) == pytest.approx(math.log(2))


def test_terms_that_cancel_have_no_sum():
    weights = (torch.tensor([3.0, 4.0]), torch.tensor([2.0]))
    exact = (torch.tensor([4.0, -3.0 + 1e-7]), torch.tensor([0.0]))
    with pytest.raises(ProxyError, match="rounding"):
        proxies["plain"](parts(weights=weights, grads=exact))
    small = (torch.tensor([4.0, -3.0]), torch.tensor([1e-3]))
    assert proxies["plain"](parts(weights=weights, grads=small)) == pytest.approx(2e-3)
    zeros = tuple(map(torch.zeros_like, weights))
    assert proxies["plain"](parts(weights=weights, grads=zeros)) == 0.0


@given(st.integers(3, 40), st.integers(1, 60), st.integers(0, 2**31))
def test_nwot_is_missing_exactly_where_the_determinant_is_zero(n, units, seed):
    codes = np.random.default_rng(seed).integers(0, 2, (n, units)).astype(float)
    kernel = codes @ codes.T + (1 - codes) @ (1 - codes).T
    collected = parts(codes=torch.tensor(kernel))
    if np.linalg.matrix_rank(kernel) < n:
        with pytest.raises(ProxyError, match="determinant"):
            proxies["nwot"](collected)
    else:
        assert proxies["nwot"](collected) == pytest.approx(np.linalg.slogdet(kernel)[1], rel=1e-9)


@pytest.mark.parametrize("difference", [0.0, math.inf, math.nan])
def test_features_that_do_not_differ_have_no_zen(difference):
    with pytest.raises(ProxyError, match="features differ by"):
        proxies["zen"](parts(zen=ZenStats(difference, torch.empty(0, dtype=torch.float64))))


def test_zico_with_two_batches_of_other_signs_counts_weights():
    g = torch.tensor([[1.0, 2.0, -3.0], [-5.0, -0.1, 7.0]])
    assert float(zico_layer(g, signed=True)) == pytest.approx(math.log(3))


def test_zico_edges():
    with pytest.raises(TooFewBatchesError):
        zico_layer(torch.ones(1, 3))
    assert float(zico_layer(torch.ones(2, 3))) == 0.0


@pytest.mark.parametrize("classes", [2, 3, 99, 100, 101, 102, 1000])
def test_epe_nas_compares_classes_where_there_are_more_than_a_hundred(classes):
    """As the authors' code: what counts is how many classes the data have, not the batch."""
    j = torch.randn(7, 20, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 2])
    groups = [np.corrcoef(j[labels == c].numpy()) for c in range(3)]
    sums = [np.sum(np.log(np.abs(corr) + 1e-5)) for corr in groups]
    if classes <= 100:
        expected = sum(abs(s) for s in sums)
    else:
        means = [s / len(corr) for s, corr in zip(sums, groups, strict=True)]
        expected = sum(abs(a - b) for a in means for b in means) / 3
    found = proxies["epe_nas"](parts(labels, classes, jacobian=j))
    assert found == pytest.approx(expected, rel=1e-5)


def test_jacov_of_uncorrelated_images_is_minus_n():
    j = torch.cat([torch.eye(4), -torch.eye(4)], 1)
    assert proxies["jacov"](parts(jacobian=j)) == pytest.approx(-4, abs=1e-3)
    assert proxies["jacov"](parts(jacobian=torch.ones(4, 8) * torch.arange(8))) < -1e4


def test_jacov_without_gradient_has_a_reason():
    with pytest.raises(ProxyError, match="no gradient"):
        correlation(torch.ones(3, 5))


def test_fisher_counts_a_channel_once_per_weight():
    fields = {"fisher": (torch.tensor([1.0, 2.0]),), "weights": (torch.zeros(2, 5, 3, 3),)}
    assert proxies["fisher"](parts(**fields)) == 3 * 45
    assert proxies["fisher_channels"](parts(**fields)) == 3


def test_synflow_is_a_log_and_leaves_the_range_with_a_reason():
    def flow(value):
        layer = SynflowLayer(torch.tensor([value], dtype=torch.float64), torch.ones(1).double())
        return parts(synflow=(layer,))

    assert proxies["synflow"](flow(1e60)) == pytest.approx(60 * math.log(10))
    with pytest.raises(ProxyError, match="range of float64"):
        proxies["synflow"](flow(math.inf))
    with pytest.raises(ProxyError, match="range of float64"):
        proxies["synflow"](flow(0.0))
    assert proxies["logsynflow"](flow(2.0)) == pytest.approx(2 * math.log(2))


def test_zen():
    stats = ZenStats(math.e, torch.tensor([math.e**2, 1.0]).double())
    assert proxies["zen"](parts(zen=stats)) == pytest.approx(2)
    with pytest.raises(ProxyError):
        proxies["zen"](parts(zen=ZenStats(0.0, torch.ones(1))))


@pytest.mark.parametrize("fmt", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(3, 4, 5, 5), (64, 16, 24, 24)])
def test_channel_and_pixel_sums(shape, fmt):
    x, y = (
        torch.randn(shape, generator=torch.Generator().manual_seed(s)).contiguous(memory_format=fmt)
        for s in (0, 1)
    )
    product = x.double() * y.double()
    assert torch.allclose(dots(x, y).double(), product.sum((0, 2, 3)), rtol=1e-4, atol=1e-3)
    assert torch.allclose(spatial_dots(x, y).double(), product.sum((2, 3)), rtol=1e-4, atol=1e-3)


@given(st.lists(st.floats(-3, 3).filter(bool), min_size=1, max_size=4))
def test_combine(coefficients):
    tensors = [torch.full((2,), float(i + 1)) for i in range(len(coefficients))]
    expected = sum(c * (i + 1) for i, c in enumerate(coefficients))
    found = combine(list(zip(coefficients, tensors, strict=True)))
    assert found.tolist() == pytest.approx([expected] * 2, abs=1e-5)
    assert [t[0].item() for t in tensors] == [i + 1 for i in range(len(tensors))]
