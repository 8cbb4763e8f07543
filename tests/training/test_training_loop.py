"""The parts of the loop, each against independent arithmetic."""

import ast
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from foretell.training import Part, Recipe, TensorTask, loop, tensor_task
from foretell.training.loop import _SGD, _Batches, evaluate, normalise, schedule


def test_the_file_needs_only_torch_and_the_standard_library():
    tree = ast.parse(Path(loop.__file__).read_text())
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {a.name.partition(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add((node.module or "").partition(".")[0])
    assert modules - set(sys.stdlib_module_names) == {"torch"}


# --- optimiser ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
@pytest.mark.parametrize("clip", [None, 0.01, 100.0])
def test_steps_equal_those_of_torch(make, momentum, nesterov, weight_decay, clip):
    recipe = Recipe(momentum=momentum, nesterov=nesterov, weight_decay=weight_decay, clip=clip)
    mine, theirs = make(drop=0.0), make(drop=0.0)
    own = _SGD(mine, recipe)
    groups = [
        {"params": [p for p in theirs.parameters() if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in theirs.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    reference = torch.optim.SGD(groups, lr=1.0, momentum=momentum, nesterov=nesterov)
    generator = torch.Generator().manual_seed(0)
    for rate in (0.1, 0.02, 0.3):
        x = torch.rand(8, 1, 8, 8, generator=generator)
        y = torch.randint(0, 4, (8,), generator=generator)
        for network in (mine, theirs):
            F.cross_entropy(network(x), y).backward()
        own.step(rate)
        if clip is not None:
            nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        for group in reference.param_groups:
            group["lr"] = rate
        reference.step()
        reference.zero_grad()
        for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)
            assert a.grad is None


def test_weights_without_gradient_stay():
    network = nn.ModuleDict({"used": nn.Linear(3, 2), "dead": nn.Linear(3, 2)})
    network["used"].bias.requires_grad_(False)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    optimizer = _SGD(network, Recipe(weight_decay=0.1))
    optimizer.step(1.0)
    network["used"](torch.ones(4, 3)).sum().backward()
    optimizer.step(1.0)
    changed = {k for k, v in network.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"used.weight"}


def test_momenta_of_another_network_are_refused():
    optimizer = _SGD(nn.Linear(3, 2), Recipe())
    with pytest.raises(ValueError, match="shapes"):
        optimizer.load([torch.zeros(3, 2), torch.zeros(2)])


@given(st.floats(0, 0.999), st.floats(0, 0.9))
def test_schedule(progress, warmup):
    rate = schedule(progress, Recipe(warmup=warmup))
    if progress < warmup:
        assert rate == max(progress / warmup, 1e-3)
    else:
        angle = math.pi * (progress - warmup) / (1 - warmup)
        assert rate == pytest.approx((1 + math.cos(angle)) / 2)
    assert 0 <= rate <= 1


def test_the_schedule_reaches_its_height_after_the_warm_up():
    recipe = Recipe(warmup=0.25)
    assert schedule(0.25, recipe) == 1
    assert schedule(0.125, recipe) == 0.5
    assert schedule(0.625, recipe) == pytest.approx(0.5)


# --- batches --------------------------------------------------------------------------------------


def batches(n=23, crop=0, flip=False, size=5, shape=(2, 4, 6), dtype=torch.float32):
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(1, 256, (n, *shape), generator=generator, dtype=torch.uint8)
    if dtype != torch.uint8:
        images = images.to(dtype) / 255
    made = _Batches(
        F.pad(images, (crop,) * 4), torch.arange(n), (0.0,) * 2, (1.0,) * 2, flip, crop, size
    )
    return images, made


def epoch(made, seed=0):
    pairs = list(made.epoch(torch.Generator().manual_seed(seed)))
    return pairs, torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs])


@pytest.mark.parametrize(
    ("n", "size", "sizes"),
    [
        (23, 5, [5, 5, 5, 5, 3]),
        (22, 5, [5, 5, 5, 5]),
        (20, 5, [5, 5, 5, 5]),
        (7, 2, [2, 2, 2]),
        (4, 4, [4]),
    ],
)
def test_each_image_once_and_no_small_last_batch(n, size, sizes):
    images, made = batches(n, size=size)
    pairs, x, y = epoch(made)
    assert [len(b) for _, b in pairs] == sizes
    assert made.count == len(sizes)
    assert len(set(y.tolist())) == sum(sizes)
    torch.testing.assert_close(x, images[y])


def test_order_depends_on_the_generator_alone():
    _, made = batches(crop=1, flip=True)
    torch.manual_seed(1)
    _, x, y = epoch(made, 5)
    torch.manual_seed(2)
    _, x2, y2 = epoch(made, 5)
    assert torch.equal(x, x2)
    assert torch.equal(y, y2)
    assert not torch.equal(y, epoch(made, 6)[2])


@pytest.mark.parametrize("crop", [0, 1, 2])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_augmented_images_are_shifted_and_mirrored_ones(crop, flip, dtype):
    images, made = batches(600, crop, flip, size=50, dtype=dtype)
    _, x, y = epoch(made)
    h, w = images.shape[2:]
    scale = 255 if dtype == torch.uint8 else 1
    padded = F.pad(images, (crop,) * 4).float()[y] / scale
    shifted = [
        whole[:, :, dy : dy + h, dx : dx + w]
        for whole in (padded, padded.flip(3))[: 1 + flip]
        for dy in range(2 * crop + 1)
        for dx in range(2 * crop + 1)
    ]
    same = torch.stack([torch.isclose(x, s, atol=1e-6).flatten(1).all(1) for s in shifted])
    assert (same.sum(0) == 1).all()
    seen = same.sum(1)
    ways = (2 * crop + 1) ** 2 * (1 + flip)
    assert len(seen) == ways
    assert seen.min() > 0
    assert seen.max() <= 600 / ways + 5 * math.sqrt(600 / ways)


def test_chunks_do_not_change_what_comes_out(monkeypatch):
    _, made = batches(crop=1, flip=True)
    _, x, y = epoch(made)
    monkeypatch.setattr(loop, "CHUNK_BYTES", 1)
    _, x2, y2 = epoch(made)
    assert torch.equal(x, x2)
    assert torch.equal(y, y2)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_normalise(dtype):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (4, 3, 5, 5)).astype(np.uint8)
    if dtype == np.float32:
        pixels = (pixels / 255).astype(np.float32)
    mean, std = (0.2, 0.4, 0.6), (0.1, 0.2, 0.3)
    got = normalise(torch.from_numpy(pixels), mean, std)
    scale = 255 if dtype == np.uint8 else 1
    wanted = (pixels / scale - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    assert got.dtype == torch.float32


# --- evaluation -----------------------------------------------------------------------------------


def test_evaluate_equals_one_pass_over_everything(make, task, monkeypatch):
    tensors = tensor_task(task)
    network = make().train()
    network.body[1].eval()
    modes = [m.training for m in network.modules()]
    stats = network.body[1].running_mean.clone()
    got = evaluate(network, tensors.train, tensors)
    assert [m.training for m in network.modules()] == modes
    assert torch.equal(network.body[1].running_mean, stats)
    monkeypatch.setattr(loop, "EVALUATION_BATCH", 7)
    pieces = evaluate(network, tensors.train, tensors)
    network.eval()
    with torch.no_grad():
        logits = network(normalise(tensors.train.images, tensors.mean, tensors.std))
    loss = F.cross_entropy(logits, tensors.train.labels).item()
    accuracy = (logits.argmax(1) == tensors.train.labels).double().mean().item()
    for found in (got, pieces):
        assert found[0] == pytest.approx(loss, rel=1e-5)
        assert found[1] == accuracy


def test_modes_come_back_after_an_error(make, task):
    tensors = tensor_task(task)
    network = make().train()
    broken = TensorTask(**{**vars(tensors), "val": Part(torch.zeros(2, 3, 8, 8), torch.zeros(2))})
    with pytest.raises(RuntimeError):
        evaluate(network, broken.val, broken)
    assert all(m.training for m in network.modules())


# --- recipes and files ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"batch_size": 1},
        {"lr": 0.0},
        {"lr": math.nan},
        {"lr": math.inf},
        {"momentum": 1.0},
        {"momentum": 0.0},
        {"weight_decay": -1.0},
        {"weight_decay": math.inf},
        {"label_smoothing": 1.0},
        {"warmup": 1.0},
        {"clip": 0.0},
        {"crop": -1},
    ],
)
def test_impossible_recipes(change):
    named = "nesterov" if change == {"momentum": 0.0} else next(iter(change))
    with pytest.raises(ValueError, match=named):
        Recipe(**change)


def test_plain_momentum_is_possible():
    assert Recipe(momentum=0.0, nesterov=False).momentum == 0


def test_tensor_task_shares_memory_and_survives_a_file(task, tmp_path):
    tensors = tensor_task(task)
    assert tensors.train.images.data_ptr() == task.train.images.ctypes.data
    (tmp_path / "data.pt").write_bytes(loop.task_to_bytes(tensors))
    read = loop.load_tensor_task(tmp_path / "data.pt")
    for part in ("train", "val", "test"):
        assert torch.equal(getattr(read, part).images, getattr(tensors, part).images)
        assert torch.equal(getattr(read, part).labels, getattr(tensors, part).labels)
    empty = Part(torch.zeros(0), torch.zeros(0))
    blank = {"train": empty, "val": empty, "test": empty}
    assert replace(read, **blank) == replace(tensors, **blank)


def test_atomic_writes_leave_the_old_file_or_the_new_one(tmp_path, monkeypatch):
    path, other = tmp_path / "file", tmp_path / "other"
    loop.write_atomically({path: b"old", other: b"old"})
    loop.write_atomically({path: b"new"})
    assert path.read_bytes() == b"new"
    calls = []

    def fail(_):
        calls.append(1)
        if len(calls) > 1:
            raise OSError("disk full")

    monkeypatch.setattr(loop.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        loop.write_atomically({path: b"newer", other: b"newer"})
    assert (path.read_bytes(), other.read_bytes()) == (b"new", b"old")
    assert set(tmp_path.iterdir()) == {path, other}
