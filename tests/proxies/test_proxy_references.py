"""Both passes against each proxy computed on its own."""

import pytest
import torch
from proxy_references import REFERENCES

from foretell.arch import Arch
from foretell.networks import build
from foretell.proxies import Batches, Needs, collect, make_plan, needs_of, proxies
from foretell.proxies.cell_pass import _fuse
from foretell.spaces import Skeleton

CELLS = [
    (3, 3, 3, 3, 3, 3),
    (1, 1, 1, 1, 1, 1),
    (3, 1, 2, 4, 0, 3),
    (4, 2, 3, 1, 2, 2),
    (2, 4, 4, 0, 3, 1),
    (3, 0, 0, 1, 2, 0),
]
ILL = ("zico", "zico_code")
"""Sums of |g| / std whose largest terms rest on differences in the last bit of float32."""


def batches(dtype=torch.float32, n=10, size=8):
    generator = torch.Generator().manual_seed(0)
    images = tuple(torch.randn((n, 3, size, size), generator=generator).to(dtype) for _ in range(2))
    return Batches(images, (torch.arange(n) % 3, (torch.arange(n) + 1) % 5))


def network(genes, space="nb201", channels=8):
    net = build(Arch(space, genes), Skeleton((3, 8, 8), 5, channels, 1), seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():  # normalisations that are not the identity
        for m in net.modules():
            if isinstance(m, torch.nn.BatchNorm2d):
                m.weight.add_(torch.rand(m.weight.shape, generator=generator))
                m.bias.add_(torch.rand(m.bias.shape, generator=generator) - 0.5)
    return net


def everything(net, data, *, fast, without=Needs.NONE):
    needs = Needs.NONE
    for name in REFERENCES:
        needs |= needs_of(proxies.entry(name))
    return collect(net, data, make_plan(needs & ~without, 2), seed=7, fast=fast)


@pytest.fixture(params=["by hand", "compiled", "any module"])
def fast(request, monkeypatch):
    """Which way: by PyTorch's operations, by compiled kernels, or over any module."""
    if request.param == "compiled":
        pytest.importorskip("numba")
        monkeypatch.setattr(_fuse, "PIXELS", 0)
        monkeypatch.setattr(_fuse, "THREADS", 1000)
    return request.param != "any module"


@pytest.mark.parametrize("genes", CELLS, ids=str)
def test_equal_in_float64(genes, fast):
    net, data = network(genes).double(), batches(torch.float64)
    found = everything(net, data, fast=fast, without=Needs.ZEN)
    for name, reference in REFERENCES.items():
        if name != "zen":
            expected = float(reference(net, data, 7))
            tight = 1e-5 if name in ILL else 1e-9
            assert float(proxies[name](found)) == pytest.approx(expected, rel=tight), name


@pytest.mark.parametrize("genes", CELLS[:4], ids=str)
def test_equal_in_float32(genes, fast):
    net, data = network(genes, channels=16), batches(n=16)
    found = everything(net, data, fast=fast)
    # grasp and plain are small differences of large sums: their error is measured against those
    scale = {
        "grasp": sum(float(g.square().sum()) for g in found.grads),
        "plain": float(proxies["snip"](found)) * 1e-2,
    }
    for name, reference in REFERENCES.items():
        if name not in ILL:
            expected = float(reference(net, data, 7))
            error = abs(float(proxies[name](found)) - expected)
            assert error <= 1e-5 * max(abs(expected), scale.get(name, 0.0)), name


@pytest.mark.parametrize("fast", ["by hand", "compiled"], indirect=True)
def test_size_space_is_run_by_hand_too(fast):
    net = build(Arch("size", (0, 2, 1, 1, 3)), Skeleton((3, 8, 8), 5), seed=1).double()
    data = batches(torch.float64)
    found = everything(net, data, fast=fast, without=Needs.ZEN)
    for name in ("grad_norm", "fisher", "grasp", "nwot", "synflow", "epe_nas"):
        expected = float(REFERENCES[name](net, data, 7))
        assert float(proxies[name](found)) == pytest.approx(expected, rel=1e-9), name


def test_the_scale_of_weights_before_a_normalisation_barely_matters():
    """Without epsilon, w'Hg of such a layer is exactly minus |g|^2."""
    net, data = network(CELLS[0]).double(), batches(torch.float64)
    for m in net.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.eps = 0.0
    for layer in net.layers:
        if hasattr(layer, "shortcut"):
            torch.nn.init.zeros_(layer.shortcut.weight)
    torch.nn.init.zeros_(net.head.weight)
    net.head.weight.data[:, 0] = 1e-9  # a head that does not bend the loss
    found = everything(net, data, fast=True, without=Needs.ZEN)
    normed = found.grads[:-1]
    shortcuts = [g for g, w in zip(normed, found.weights[:-1], strict=True) if not w.any()]
    expected = sum(float(g.square().sum()) for g in normed) - sum(
        float(g.square().sum()) for g in shortcuts
    )
    assert float(proxies["grasp"](found)) == pytest.approx(expected, rel=1e-5)
