"""FGSM and PGD against closed forms, autograd formulas and their own promises."""

import math
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from foretell.data import load_task
from foretell.errors import ModuleRaisedError, UnknownNameError, UsageError
from foretell.robustness import Normalised, attacks, evaluate, fgsm, pgd
from foretell.robustness.linf import loss_and_gradient, pgd_until_wrong


def network(seed=0, classes=4):
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(6 * 64, classes),
        )


def images(n=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 1, 8, 8, generator=generator)
    x[:, :, :2] = (x[:, :, :2] > 0.5).float()  # some pixels at the ends of the range
    return x, torch.randint(0, 4, (n,), generator=generator)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Linear(nn.Module):
    """Two classes; the difference of the logits is w x + b."""

    def __init__(self, seed=0):
        super().__init__()
        rng = np.random.default_rng(seed)
        self.w = nn.Parameter(torch.from_numpy(rng.normal(size=64)))
        self.b = nn.Parameter(torch.tensor(0.1, dtype=torch.float64))

    def forward(self, x):
        z = x.flatten(1) @ self.w + self.b
        return torch.stack([torch.zeros_like(z), z], dim=1)


def worst_margin(model, x, y, eps):
    """The smallest margin of the true class within the ball and the box: each pixel at its end."""
    w = model.w.detach().numpy()
    sign = np.where(y.numpy() == 1, 1.0, -1.0)[:, None]
    flat = x.flatten(1).numpy()
    low, high = np.clip(flat - eps / 255, 0, 1), np.clip(flat + eps / 255, 0, 1)
    worst = np.where(sign * w > 0, low, high)
    return sign[:, 0] * (worst @ w + model.b.item())


def margin(model, x, y):
    z = model(x).detach().numpy()
    return np.where(y.numpy() == 1, 1, -1) * (z[:, 1] - z[:, 0])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.floats(0.1, 300).map(lambda e: min(e, 255)))
def test_both_attacks_reach_the_worst_case_of_a_linear_model(seed, eps):
    model = Linear(seed)
    x, y = images(6, seed)
    x, y = x.double(), y % 2
    # small logits, so that the loss of a far-off image does not vanish in rounding
    model.w.data /= 30
    expected = worst_margin(model, x, y, eps)
    np.testing.assert_allclose(margin(model, fgsm(model, x, y, eps), y), expected, atol=1e-9)
    strong = pgd(model, x, y, eps, generator(), steps=40)
    np.testing.assert_allclose(margin(model, strong, y), expected, atol=1e-9)


def test_fgsm_is_its_formula():
    model = network().eval()
    x, y = images()
    for eps in (0.5, 4, 16):
        z = x.clone().requires_grad_()
        F.cross_entropy(model(z), y, reduction="sum").backward()
        expected = (x + eps / 255 * z.grad.sign()).clip(0, 1)
        assert torch.equal(fgsm(model, x, y, eps), expected)


def test_one_step_of_pgd_without_random_start_is_fgsm_or_the_image_itself():
    model = network().eval()
    x, y = images()
    got = pgd(model, x, y, 8, random_start=False, steps=1, step_size=8)
    step = fgsm(model, x, y, 8)
    worse = F.cross_entropy(model(step), y, reduction="none") > F.cross_entropy(
        model(x), y, reduction="none"
    )
    expected = torch.where(worse[:, None, None, None], step, x)
    torch.testing.assert_close(got, expected)


def test_pgd_is_its_formula():
    model = network().eval()
    x, y = images()
    eps, steps, stride = 8 / 255, 4, 3 / 255
    noise = torch.rand(x.shape, generator=generator(7))
    z = (x + (2 * noise - 1) * eps).clip(x - eps, x + eps).clip(0, 1)
    visited = [x, z]
    for _ in range(steps):
        z = z.detach().requires_grad_()
        F.cross_entropy(model(z), y, reduction="mean").backward()
        moved = z + stride * z.grad.sign()
        z = torch.max(torch.min(moved, x + eps), x - eps).clip(0, 1).detach()
        visited.append(z)
    losses = torch.stack([F.cross_entropy(model(v.detach()), y, reduction="none") for v in visited])
    best = losses.argmax(0)
    expected = torch.stack([visited[k][i] for i, k in enumerate(best)]).detach()
    got = pgd(model, x, y, 8, generator(7), steps=steps, step_size=3)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("eps", [2.0, 8.0, 40.0])
def test_pgd_until_wrong_breaks_the_images_that_any_visited_point_breaks(eps):
    model = network().eval()
    x, _ = images(60)
    y = model(x).argmax(1)
    y[::7] = (y[::7] + 1) % 4  # wrong from the start
    noise, steps = torch.rand(x.shape, generator=generator(3)), 10
    z = (x + (2 * noise - 1) * eps / 255).clip(x - eps / 255, x + eps / 255).clip(0, 1)
    wrong = model(x).argmax(1) != y
    seen = []
    for step in range(steps + 1):
        seen.append(int(wrong.sum()))
        z = z.detach().requires_grad_()
        logits = model(z)
        wrong |= logits.argmax(1) != y
        F.cross_entropy(logits, y).backward()
        if step < steps:
            moved = z + 2.5 * eps / steps / 255 * z.grad.sign()
            z = torch.max(torch.min(moved, x + eps / 255), x - eps / 255).clip(0, 1)
    counted = []

    def counting(images):
        counted.append(len(images))
        return model(images)

    got = pgd_until_wrong(counting, x, y, eps, generator(3))
    assert torch.equal(model(got).argmax(1) != y, wrong)
    assert 9 <= int(wrong.sum()) <= 60
    assert counted[0] == 60
    assert counted[1:] == [60 - n for n in seen][: len(counted) - 1]
    assert torch.equal(got[::7], x[::7])


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(["fgsm", "pgd"]), st.floats(0, 255), st.integers(0, 99))
def test_changes_stay_in_the_ball_and_in_the_range(name, eps, seed):
    model = network(seed).eval()
    x, y = images(5, seed)
    changed = attacks[name](model, x, y, eps, generator(seed))
    assert changed.shape == x.shape
    assert not changed.requires_grad
    assert (changed - x).abs().max() <= eps / 255 + 1e-6
    assert changed.min() >= 0
    assert changed.max() <= 1
    if eps == 0:
        assert torch.equal(changed, x)


def test_pgd_never_lowers_the_loss_and_more_steps_never_help_the_network():
    model = network().eval()
    x, y = images(40)

    def loss(z):
        return F.cross_entropy(model(z), y, reduction="none").detach()

    last = loss(x)
    for steps in (1, 2, 5, 10):
        now = loss(pgd(model, x, y, 8, generator(), steps=steps, step_size=2))
        assert (now >= last - 1e-6).all()
        last = now
    assert last.mean() > loss(x).mean()
    assert loss(pgd(model, x, y, 8, generator())).mean() > loss(fgsm(model, x, y, 8)).mean() - 0.05


def test_pgd_depends_on_its_generator_alone():
    model = network().eval()
    x, y = images()
    torch.manual_seed(0)
    first = pgd(model, x, y, 8, generator(1))
    torch.manual_seed(1)
    assert torch.equal(first, pgd(model, x, y, 8, generator(1)))
    assert not torch.equal(first, pgd(model, x, y, 8, generator(2)))
    assert torch.equal(
        pgd(model, x, y, 8, random_start=False), pgd(model, x, y, 8, random_start=False)
    )


@pytest.mark.parametrize("attack", [fgsm, pgd])
@pytest.mark.parametrize("eps", [-1, 256, math.nan])
def test_eps_out_of_range(attack, eps):
    x, y = images(2)
    with pytest.raises(UsageError, match="eps from 0 to 255"):
        attack(network().eval(), x, y, eps, generator())


@pytest.mark.parametrize("options", [{"steps": 0}, {"step_size": 0.0}, {"step_size": -1.0}])
def test_pgd_options_out_of_range(options):
    x, y = images(2)
    with pytest.raises(UsageError, match="steps >= 1 and step_size > 0"):
        pgd(network().eval(), x, y, 8, generator(), **options)


def test_a_random_start_needs_a_generator():
    x, y = images(2)
    with pytest.raises(UsageError, match="needs a generator"):
        pgd(network().eval(), x, y, 8)


def test_gradients_reach_the_images_only():
    model = network().eval()
    x, y = images()
    loss, gradient = loss_and_gradient(model, x, y)
    assert loss.shape == (12,)
    assert gradient.shape == x.shape
    assert all(p.grad is None for p in model.parameters())
    assert not x.requires_grad
    with torch.no_grad():
        assert torch.equal(loss_and_gradient(model, x, y)[1], gradient)


def test_normalised():
    inner = nn.Flatten()
    x = torch.rand(3, 2, 2, 2)
    got = Normalised(inner, [0.5, 0.25], [2.0, 4.0])(x)
    expected = (x - torch.tensor([0.5, 0.25]).view(2, 1, 1)) / torch.tensor([2.0, 4.0]).view(
        2, 1, 1
    )
    torch.testing.assert_close(got, expected.flatten(1))
    assert set(Normalised(network(), [0.5], [1.0]).state_dict()) == {
        f"module.{k}" for k in network().state_dict()
    }


# --- evaluate -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def task():
    return load_task("synthetic:1x8x8x4?limit=320")


@pytest.fixture(scope="module")
def trained(task):
    """A linear model fitted by least squares, as a module that takes normalised images."""
    x = (task.train.images.reshape(len(task.train), -1) / 255 - task.mean) / task.std
    targets = np.eye(4)[task.train.labels]
    solution = np.linalg.solve(x.T @ x + 50 * np.eye(64), x.T @ (targets - 0.25))
    head = nn.Linear(64, 4)
    head.weight.data = torch.from_numpy(solution.T).float()
    head.bias.data.zero_()
    return nn.Sequential(nn.Flatten(), head)


def test_evaluate_counts_what_attacks_leave(task, trained):
    result = evaluate(trained, task, images=1000)
    x = torch.from_numpy(task.test.images).float() / 255
    y = torch.from_numpy(task.test.labels)
    model = Normalised(trained, task.mean.tolist(), task.std.tolist())
    right = model(x).argmax(1) == y
    assert result.images == len(y)
    assert result.clean == right.double().mean().item() > 0.7
    for eps in (1, 2, 4, 8):
        kept = right & (model(fgsm(model, x, y, eps)).argmax(1) == y)
        assert result.accuracy["fgsm"][eps] == kept.double().mean().item()
        assert result.accuracy["pgd"][eps] <= result.clean
    assert result.accuracy["fgsm"][8] < result.clean
    assert list(result.accuracy) == ["fgsm", "pgd"]
    assert list(result.accuracy["pgd"]) == [1, 2, 4, 8]
    assert result.seconds > 0
    with pytest.raises(FrozenInstanceError):
        result.clean = 0.0  # type: ignore[misc]


def test_evaluate_repeats_and_depends_on_the_seed(task, trained):
    first = evaluate(trained, task, images=40, seed=1, eps=(4,))
    again = evaluate(trained, task, images=40, seed=1, eps=(4,))
    assert replace(first, seconds=0) == replace(again, seconds=0)
    assert first.images == 40
    others = {evaluate(trained, task, images=40, seed=s, eps=()).clean for s in range(6)}
    assert len(others) > 1


def test_batches_do_not_change_the_result_of_fgsm(task, trained, monkeypatch):
    whole = evaluate(trained, task, attacks=("fgsm",))
    monkeypatch.setattr("foretell.robustness._evaluate.BATCH", 7)
    assert evaluate(trained, task, attacks=("fgsm",)).accuracy == whole.accuracy


def test_an_order_of_eps_or_attacks_changes_no_number(task, trained):
    one = evaluate(trained, task, eps=(2, 8), attacks=("fgsm", "pgd"))
    two = evaluate(trained, task, eps=(8, 2), attacks=("pgd", "fgsm"))
    assert one.accuracy == two.accuracy
    assert evaluate(trained, task, eps=(0,)).accuracy["pgd"][0] == one.clean


def test_evaluate_leaves_the_module_as_it_was(task):
    module = network().train()
    module[1].eval()
    module[0].weight.grad = torch.ones_like(module[0].weight)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    modes = [m.training for m in module.modules()]
    torch.manual_seed(3)
    state = torch.get_rng_state()
    evaluate(module, task, images=20, eps=(1,))
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    assert [m.training for m in module.modules()] == modes
    assert torch.equal(module[0].weight.grad, torch.ones_like(module[0].weight))
    assert module[5].weight.grad is None
    assert torch.equal(torch.get_rng_state(), state)


def test_modes_come_back_after_an_error(task):
    module = nn.Sequential(nn.Flatten(), nn.Linear(3, 4)).train()
    with pytest.raises(ModuleRaisedError, match="RuntimeError while it was attacked") as caught:
        evaluate(module, task)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert all(m.training for m in module.modules())


def test_splits_and_floats(task, trained):
    val = evaluate(trained, task, split="val", eps=())
    assert val.images == len(task.val)
    floats = replace(
        task, test=replace(task.test, images=(task.test.images / 255).astype(np.float32))
    )
    assert evaluate(trained, floats).accuracy == evaluate(trained, task).accuracy


def test_a_module_that_is_always_wrong(task):
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    nn.init.zeros_(module[1].weight)
    module[1].bias.data = torch.tensor([0.0, 0.0, 0.0, 1.0])
    two = replace(task, test=task.test.take(np.flatnonzero(task.test.labels < 3)))
    result = evaluate(module, two)
    assert result.clean == 0
    assert set(result.accuracy["pgd"].values()) == {0.0}


def test_no_attack_moves_a_constant_network(task):
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(1, 4)

        def forward(self, x):
            return self.head(x.new_zeros(len(x), 1))

    result = evaluate(Constant(), task, eps=(8, 64))
    assert {a for kept in result.accuracy.values() for a in kept.values()} == {result.clean}


def test_progress_is_told(task, trained):
    seen = []
    evaluate(trained, task, eps=(1, 2), on_done=lambda name, eps: seen.append((name, eps)))
    assert seen == [("fgsm", 1), ("fgsm", 2), ("pgd", 1), ("pgd", 2)]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"attacks": ("fgms",)}, UnknownNameError, "did you mean fgsm"),
        ({"eps": (-1,)}, UsageError, "eps from 0"),
        ({"eps": (300,)}, UsageError, "eps from 0"),
        ({"images": 0}, UsageError, "images >= 1"),
        ({"split": "train"}, UsageError, "'val' or 'test'"),
    ],
)
def test_bad_options(task, trained, options, error, words):
    with pytest.raises(error, match=words):
        evaluate(trained, task, **options)


def test_every_attack_has_a_reference_and_the_summary_of_its_function():
    for entry in attacks.entries():
        assert entry.reference
        assert entry.summary == str(entry.load().__doc__).split("\n")[0]
