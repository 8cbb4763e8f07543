"""Whole runs: learning, repeatability, resuming, failures."""

import math
import pickle
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from foretell import Arch, get_space, load_task
from foretell.errors import (
    CheckpointError,
    ModuleRaisedError,
    NetworkError,
    NonFiniteLossError,
    NoParametersError,
    UnknownNameError,
)
from foretell.networks import build
from foretell.training import RECIPES, Recipe, get_recipe, train

RECIPE = Recipe(epochs=3, batch_size=32)


def weights(module):
    return {k: v.clone() for k, v in module.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def timeless(result):
    return replace(result, seconds=0.0)


def test_it_learns_and_reports(make, task):
    seen = []
    network = make(drop=0.0)
    whole = load_task("synthetic:1x8x8x4")
    recipe = replace(RECIPE, epochs=8, flip=False)
    result = train(network, whole, recipe, seed=0, on_epoch=seen.append)
    assert result.val_accuracy > 0.9
    assert result.test_accuracy > 0.9
    assert result.epochs == len(seen) == 8
    assert result.curves.train_loss == tuple(e.train_loss for e in seen)
    assert result.curves.val_loss == tuple(e.val_loss for e in seen)
    assert result.curves.val_accuracy == tuple(e.val_accuracy for e in seen)
    assert [e.index for e in seen] == list(range(8))
    assert result.curves.train_loss[-1] < result.curves.train_loss[0]
    assert result.val_accuracy == result.curves.val_accuracy[-1]
    assert result.seconds == pytest.approx(sum(e.seconds for e in seen))
    assert all(p.grad is None for p in network.parameters())


def test_one_seed_one_result_and_the_callers_random_state_is_left_alone(make, task):
    runs = []
    for state in (1, 2):
        network = make()
        torch.manual_seed(state)
        before = torch.get_rng_state()
        result = train(network, task, RECIPE, seed=4)
        assert torch.equal(torch.get_rng_state(), before)
        runs.append((timeless(result), weights(network)))
    assert runs[0][0] == runs[1][0]
    assert same(runs[0][1], runs[1][1])
    other = make()
    assert timeless(train(other, task, RECIPE, seed=5)) != runs[0][0]


@pytest.mark.parametrize("channels_last", [None, False, True])
@pytest.mark.parametrize("stop", [0, 1, 2])
def test_a_resumed_run_equals_an_uninterrupted_one(make, task, tmp_path, stop, channels_last):
    recipe = replace(RECIPE, channels_last=channels_last)
    whole = make()
    expected = train(whole, task, recipe, seed=0)

    def interrupt(epoch):
        if epoch.index == stop:
            raise KeyboardInterrupt

    path = tmp_path / "deep" / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        train(make(), task, recipe, seed=0, checkpoint=path, on_epoch=interrupt)
    seen = []
    network = make(seed=9)
    torch.manual_seed(123)
    result = train(network, task, recipe, seed=0, checkpoint=path, on_epoch=seen.append)
    assert [e.index for e in seen] == list(range(stop + 1, 3))
    assert timeless(result) == timeless(expected)
    assert same(weights(network), weights(whole))
    assert list(path.parent.iterdir()) == [path]


def test_a_finished_checkpoint_gives_its_result_without_training(make, task, tmp_path):
    path = tmp_path / "run.pt"
    first = train(make(), task, RECIPE, seed=0, checkpoint=path)
    seen = []
    network = make(seed=9)
    again = train(network, task, RECIPE, seed=0, checkpoint=path, on_epoch=seen.append)
    assert again == first
    assert not seen


def test_checkpoints_of_other_runs_are_refused(make, task, tmp_path):
    path = tmp_path / "run.pt"
    train(make(), task, RECIPE, seed=0, checkpoint=path)
    content = path.read_bytes()
    other_task = load_task("synthetic:1x8x8x4?limit=100")
    for arguments, words in (
        ((make(), task, replace(RECIPE, lr=0.3), 0), "another recipe"),
        ((make(), task, RECIPE, 1), "another seed"),
        ((make(), other_task, RECIPE, 0), "another task"),
        ((make(width=4), task, RECIPE, 0), "another network"),
    ):
        module, data, recipe, seed = arguments
        with pytest.raises(CheckpointError, match=f"{words}: delete it to start anew"):
            train(module, data, recipe, seed=seed, checkpoint=path)
    assert path.read_bytes() == content
    for garbage in (b"", b"garbage", content[:-100], pickle.dumps({"format": 1})):
        path.write_bytes(garbage)
        with pytest.raises(CheckpointError, match="is no checkpoint"):
            train(make(), task, RECIPE, seed=0, checkpoint=path)
    torch.save({"format": 99, "key": {}}, path)
    with pytest.raises(CheckpointError, match="of another"):
        train(make(), task, RECIPE, seed=0, checkpoint=path)


class Diverging(nn.Module):
    """Gives NaN from some training step on."""

    def __init__(self, inner: nn.Module, steps: int, value: float):
        super().__init__()
        self.inner, self.left, self.value = inner, steps, value

    def forward(self, x):
        y = self.inner(x)
        if self.training:
            self.left -= 1
        return y * self.value if self.left < 0 else y


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_run(make, task, value):
    seen = []
    steps = math.ceil(len(task.train) / 32)
    network = Diverging(make(), steps + 1, value)
    with pytest.raises(NonFiniteLossError, match=r"in epoch 2: lower the learning rate") as caught:
        train(network, task, RECIPE, seed=0, on_epoch=seen.append)
    assert caught.value.epoch == 1
    assert len(seen) == 1
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.epoch, str(again)) == (1, str(caught.value))


def test_a_network_that_is_not_finite_in_evaluation_has_no_accuracy(make, task):
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = make()

        def forward(self, x):
            y = self.inner(x)
            return y if self.training else y * math.nan

    seen = []
    with pytest.raises(NonFiniteLossError) as caught:
        train(Broken(), task, RECIPE, seed=0, on_epoch=seen.append)
    assert caught.value.epoch == 2
    assert [math.isnan(e.val_accuracy) for e in seen] == [True] * 3
    assert all(math.isfinite(e.train_loss) for e in seen)


def test_a_learning_rate_that_is_too_high_ends_the_run(task):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Linear(64, 4))
    with pytest.raises(NonFiniteLossError):
        train(network, task, Recipe(epochs=20, lr=1e12, clip=None, batch_size=8), seed=0)


def test_use_val_trains_on_it_and_validates_on_nothing(make, task):
    result = train(make(), task, replace(RECIPE, use_val=True), seed=0)
    assert math.isnan(result.val_accuracy)
    assert all(map(math.isnan, result.curves.val_loss + result.curves.val_accuracy))
    assert 0 <= result.test_accuracy <= 1
    counts = []

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = make()

        def forward(self, x):
            if self.training:
                counts.append(len(x))
            return self.inner(x)

    train(Counting(), task, replace(RECIPE, epochs=1, use_val=True, batch_size=2), seed=0)
    assert sum(counts) == len(task.train) + len(task.val)


def test_the_test_part_changes_nothing_but_the_test_accuracy(make, task):
    scrambled = replace(task, test=replace(task.test, labels=(task.test.labels + 1) % 4))
    first, second = make(), make()
    one = train(first, task, RECIPE, seed=0)
    two = train(second, scrambled, RECIPE, seed=0)
    assert one.curves == two.curves
    assert same(weights(first), weights(second))
    assert one.test_accuracy != two.test_accuracy


def test_crop_and_flip_come_from_the_task_unless_the_recipe_says_otherwise(make, task):
    results = {
        (flip, crop): train(
            make(), task, replace(RECIPE, epochs=1, flip=flip, crop=crop), seed=0
        ).curves
        for flip in (None, False, True)
        for crop in (None, 0, 1)
    }
    assert results[None, None] == results[True, 1] == results[None, 1] == results[True, None]
    assert len(set(results.values())) == 4


def test_label_smoothing_raises_the_training_loss_only(make, task):
    recipe = replace(RECIPE, epochs=1, lr=1e-12)
    plain = train(make(drop=0.0), task, replace(recipe, label_smoothing=0.0), seed=0)
    smooth = train(make(drop=0.0), task, replace(recipe, label_smoothing=0.5), seed=0)
    assert smooth.curves.val_loss == pytest.approx(plain.curves.val_loss, abs=1e-5)
    assert smooth.curves.train_loss[0] != pytest.approx(plain.curves.train_loss[0], abs=1e-4)


class Viewing(nn.Module):
    """Uses view(), which tensors in channels-last format do not allow."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.head = nn.Linear(4 * 36, 4)

    def forward(self, x):
        y = self.conv(x)
        return self.head(y.view(y.shape[0], -1))


@pytest.mark.parametrize("channels_last", [None, False, True])
def test_memory_format(make, task, channels_last):
    recipe = replace(RECIPE, channels_last=channels_last)
    formats = []

    class Watching(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = make(channels=1)

        def forward(self, x):
            conv = self.inner.body[3].weight
            formats.append(conv.is_contiguous(memory_format=torch.channels_last))
            return self.inner(x)

    network = Watching()
    result = train(network, task, recipe, seed=0)
    assert formats[-1] is (channels_last is not False)
    assert all(p.is_contiguous() for p in network.parameters())
    reference = train(make(), task, replace(RECIPE, channels_last=False), seed=0)
    assert result.curves.train_loss == pytest.approx(reference.curves.train_loss, abs=1e-3)


def test_a_module_that_views_trains_contiguously(task):
    torch.manual_seed(0)
    network = Viewing()
    result = train(network, task, RECIPE, seed=0)
    assert result.epochs == 3
    assert all(p.is_contiguous() for p in network.parameters())
    with pytest.raises(RuntimeError, match="view"):
        train(Viewing(), task, replace(RECIPE, channels_last=True), seed=0)


def test_modules_that_cannot_work(make, task):
    with pytest.raises(NoParametersError, match="Training needs weights"):
        train(nn.Flatten(), task, RECIPE, seed=0)
    with pytest.raises(ModuleRaisedError, match=r"Tiny raised RuntimeError .* \(1, 8, 8\)"):
        train(make(channels=3), task, RECIPE, seed=0)
    with pytest.raises(NetworkError, match=r"shape \(2, 4\) .* but got \(2, 7\)"):
        train(make(classes=7), task, RECIPE, seed=0)

    class Tuple(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = make()

        def forward(self, x):
            return (self.inner(x),)

    with pytest.raises(NetworkError, match="but got tuple"):
        train(Tuple(), task, RECIPE, seed=0)


def test_presets():
    assert set(RECIPES) == {"short", "full"}
    assert get_recipe("short").epochs < get_recipe("full").epochs
    with pytest.raises(UnknownNameError, match="recipe 'long'"):
        get_recipe("long")


def test_training_does_not_load_torchs_compiler():
    code = (
        "import sys, torch; from foretell import load_task; from foretell.training import *;"
        "t = load_task('synthetic:1x4x4x2?limit=20');"
        "m = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2));"
        "train(m, t, Recipe(epochs=1), seed=0);"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_learns_and_repeats(make, task, tmp_path):
    results = []
    for checkpoint in (None, tmp_path / "run.pt"):
        network = make()
        results.append(
            timeless(train(network, task, RECIPE, seed=0, device="cuda", checkpoint=checkpoint))
        )
        assert next(network.parameters()).is_cuda
    assert results[0] == results[1]


@pytest.mark.slow
def test_the_full_recipe_passes_98_percent_on_digits():
    task = load_task("digits")
    space = get_space("nb201")
    skeleton = space.skeleton(task.input_shape, task.classes)
    network = build(Arch("nb201", (2, 0, 0, 3, 0, 0)), skeleton, seed=0)
    assert sum(p.numel() for p in network.parameters()) < 100_000
    result = train(network, task, get_recipe("full"), seed=0)
    assert result.val_accuracy > 0.98
    assert result.test_accuracy > 0.98


def test_the_test_part_is_left_alone_where_that_is_asked_for(tmp_path):
    task = load_task("synthetic:1x8x8x3", seed=0)
    results = []
    for test in (True, False):
        skeleton = get_space("nb201").skeleton(task.input_shape, task.classes)
        module = build(Arch("nb201", (3, 1, 2, 0, 3, 1)), skeleton, seed=0)
        results.append(train(module, task, Recipe(epochs=2), seed=0, test=test))
    seen, unseen = results
    assert 0 <= seen.test_accuracy <= 1
    assert math.isnan(unseen.test_accuracy)
    assert seen.curves == unseen.curves
