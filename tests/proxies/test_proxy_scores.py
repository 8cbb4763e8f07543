"""Scoring many: order, failures, dead networks, memory, batches."""

import gc
import os
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from foretell.arch import Arch
from foretell.data import load_task
from foretell.errors import ProxyError, TooFewBatchesError, UsageError
from foretell.proxies import Batches, make_batches, score
from foretell.proxies.cell_pass import heap
from foretell.spaces import Skeleton, get_space

SKELETON = Skeleton((3, 8, 8), 4, 4, 1)
DEAD = Arch("nb201", (0, 0, 0, 0, 0, 0))
LIVE = Arch("nb201", (3, 1, 2, 4, 1, 3))


@pytest.fixture(scope="module")
def batches():
    generator = torch.Generator().manual_seed(0)
    images = tuple(torch.randn((8, 3, 8, 8), generator=generator) for _ in range(2))
    return Batches(images, (torch.arange(8) % 4, torch.arange(8) % 4))


def test_a_failure_costs_its_own_row(batches):
    def broken():
        raise OSError("no such weights")

    items = [LIVE, nn.Flatten(), DEAD, broken, lambda: "net", nn.Conv2d(1, 1, 1), LIVE]
    done = []
    names = ["params", "grad_norm", "synflow"]
    scores = score(items, names, batches, skeleton=SKELETON, on_done=done.append)
    assert done == list(range(7))
    assert scores.alive.tolist() == [True, True, False, True, True, True, True]
    assert np.isfinite(scores.values[[0, 6]]).all()
    assert np.isnan(scores.values[1:6]).all()
    assert sorted(scores.failures) == [1, 3, 4, 5]
    assert scores.failures[1].startswith("NoParametersError")
    assert "no such weights" in scores.failures[3]
    assert scores.failures[5].startswith("ModuleRaisedError")
    assert np.array_equal(scores.values[0], scores.values[6])
    assert (scores.seconds >= 0).all()
    assert np.array_equal(scores.column("grad_norm"), scores.values[:, 1], equal_nan=True)
    with pytest.raises(UsageError, match="No column"):
        scores.column("zico")


def test_a_value_that_is_not_finite_becomes_nan_with_a_reason(batches):
    class Exploding(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(192, 4)

        def forward(self, x):
            return self.head(x.flatten(1) * 1e30) ** 2

    scores = score([Exploding()], ["grad_norm", "params"], batches)
    assert np.isnan(scores.values[0, 0])
    assert scores.values[0, 1] == 193 * 4 - 0
    assert "nan" in scores.reasons[0, "grad_norm"] or "inf" in scores.reasons[0, "grad_norm"]


def test_costs_are_the_closed_form(batches):
    space = get_space("nb201")
    archs = [LIVE, Arch("nb201", (2, 0, 3, 1, 3, 4))]
    names = ["params", "live_params", "flops", "sum_log_params"]
    table = space.costs(archs, SKELETON)
    scores = score(archs, names, batches, skeleton=SKELETON)
    expected = np.stack([table.params, table.live_params, table.flops, table.sum_log_params], 1)
    assert np.array_equal(scores.values, expected)


def test_costs_of_a_module_are_those_of_its_architecture(batches):
    from foretell.networks import build

    arch = Arch("nb201", (2, 0, 3, 1, 3, 4))
    names = ["params", "live_params", "flops", "sum_log_params"]
    closed = score([arch], names, batches, skeleton=SKELETON).values
    assert score([build(arch, SKELETON, seed=0)], names, batches).values == pytest.approx(closed)


def test_isomorphic_cells_have_equal_free_baselines(batches):
    """Node 1 and node 2 exchanged: the same function."""
    pair = [Arch("nb201", (3, 2, 0, 1, 3, 2)), Arch("nb201", (2, 3, 0, 1, 2, 3))]
    names = ["live_params", "flops", "sum_log_params"]
    first, second = score(pair, names, batches, skeleton=SKELETON).values
    assert np.array_equal(first, second)


def test_seeds(batches):
    names = ["grad_norm", "zen", "nwot", "synflow"]
    a, b = (score([LIVE], names, batches, skeleton=SKELETON, seed=s).values for s in (0, 1))
    assert (a != b).all()


def test_usage(batches):
    with pytest.raises(UsageError, match="skeleton"):
        score([LIVE], ["nwot"], batches)
    one = Batches(batches.images[:1], batches.labels[:1])
    with pytest.raises(TooFewBatchesError):
        score([LIVE], ["zico"], one, skeleton=SKELETON)
    assert len(score([], ["nwot"], batches)) == 0


def test_memory_does_not_grow_with_the_pool(batches):
    space, rng = get_space("nb201"), np.random.default_rng(0)
    archs = [a for a in (space.sample(rng) for _ in range(14)) if space.alive([a])[0]]
    alive = weakref.WeakSet()
    tensors = []

    def count(_):
        tensors.append(sum(type(o) is torch.Tensor for o in gc.get_objects()))

    def make(arch):
        from foretell.networks import build

        alive.add(module := build(arch, SKELETON, seed=0))
        assert len(alive) <= 2
        return module

    gc.collect()
    names = ["grasp", "fisher", "jacov", "nwot", "synflow", "zen", "zico"]
    score(archs, names, batches, skeleton=SKELETON, on_done=count)
    assert max(tensors[6:]) <= max(tensors[:6]) + 5
    score([lambda a=a: make(a) for a in archs[:8]], ["grad_norm"], batches)


def test_batches_are_drawn_from_the_training_images():
    task = load_task("synthetic:3x8x8x4")
    first = make_batches(task, batch_size=16, count=2, seed=0)
    again = make_batches(task, batch_size=16, count=2, seed=0)
    other = make_batches(task, batch_size=16, count=2, seed=1)
    assert len(first) == 2
    assert first.input_shape == (3, 8, 8)
    assert all(torch.equal(a, b) for a, b in zip(first.images, again.images, strict=True))
    assert not torch.equal(first.images[0], other.images[0])
    assert not torch.equal(first.images[0], first.images[1])
    assert first.images[0].dtype == torch.float32
    everything = make_batches(task, batch_size=10**6, count=2, seed=0)
    assert len(everything.images[1]) == len(task.train.labels)
    assert everything.images[0].mean((0, 2, 3)).abs().max() < 1e-3
    assert (everything.images[0].std((0, 2, 3)) - 1).abs().max() < 1e-2


def test_batches_refuse():
    task = load_task("synthetic:3x8x8x4")
    with pytest.raises(UsageError):
        make_batches(task, batch_size=1)
    with pytest.raises(UsageError):
        make_batches(task, count=0)
    with pytest.raises(ProxyError, match="at least two images"):
        Batches((torch.zeros(3, 1, 2, 2),), (torch.zeros(2, dtype=torch.int64),))
    with pytest.raises(ProxyError):
        Batches((), ())


def test_freed_memory_is_kept_and_given_back():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    if not hasattr(os, "sysconf") or heap._glibc() is None:
        pytest.skip("not glibc")
    size = 256 << 20
    with heap.kept_heap():
        before = resident()
        with heap.kept_heap():
            block = torch.ones(size // 4)
            del block
        assert resident() - before > size / 2
    assert resident() - before < size / 2


def test_other_c_libraries_are_left_alone(monkeypatch):
    def absent(name):
        raise OSError(name)

    monkeypatch.setattr(heap.ctypes, "CDLL", absent)
    with heap.kept_heap():
        assert heap._glibc() is None
