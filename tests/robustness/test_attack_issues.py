"""Networks that attacks cannot see, and networks that are no classifiers: what evaluate says."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from foretell.data import load_task
from foretell.errors import AttackWarning, ModuleRaisedError, NetworkError, NonFiniteLogitsError
from foretell.robustness import Normalised, evaluate, fgsm, pgd
from foretell.robustness._checks import finite_logits
from foretell.robustness.linf import hardness


class Then(nn.Module):
    """A network and what is done with it."""

    def __init__(self, net, forward):
        super().__init__()
        self.net, self.then = net, forward

    def forward(self, x):
        return self.then(self.net, x)


@pytest.fixture(scope="module")
def task():
    return load_task("synthetic:1x8x8x4?limit=320")


@pytest.fixture(scope="module")
def net(task):
    """Least squares on normalised pixels; its accuracy falls under attack."""
    x = (task.train.images.reshape(len(task.train), -1) / 255 - task.mean) / task.std
    solution = np.linalg.solve(
        x.T @ x + 50 * np.eye(64), x.T @ (np.eye(4)[task.train.labels] - 0.25)
    )
    head = nn.Linear(64, 4)
    head.weight.data = torch.from_numpy(20 * solution.T).float()
    head.bias.data.zero_()
    return nn.Sequential(nn.Flatten(), head)


def kinds(result):
    return {issue.kind for issue in result.issues}


def quiet(module, task, **options):
    return evaluate(module, task, warn=False, **{"eps": (16,), "images": 80, **options})


def test_an_ordinary_network_raises_no_issue(task, net):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluate(net, task, eps=(1, 4, 16, 64), images=80)
    assert result.issues == ()
    assert result.accuracy["pgd"][16] < result.clean - 0.2


def test_logits_so_large_that_the_loss_vanishes(task, net):
    plain = quiet(net, task)
    result = quiet(Then(net, lambda n, x: 1000 * n(x)), task)
    assert result.clean == plain.clean
    assert (
        result.accuracy["fgsm"][16] > plain.accuracy["fgsm"][16] + 0.2
    )  # the number that misleads
    zero = next(i for i in result.issues if i.kind == "zero_gradient")
    model = Normalised(net, task.mean.tolist(), task.std.tolist())
    x = torch.from_numpy(task.test.images).float() / 255
    y = torch.from_numpy(task.test.labels)
    logits = 1000 * model(x).detach().double()
    right = logits.argmax(1) == y
    # the softmax of single precision is exactly one-hot
    certain = torch.softmax(logits.float(), 1)[right].max(1).values == 1
    tiny = torch.softmax(logits.float(), 1)[right].sort(1).values[:, -2] == 0
    assert zero.share == (certain & tiny).double().mean().item() > 0.5
    assert f"{int((certain & tiny).sum())} of {int(right.sum())}" in zero.sentence
    assert (zero.attack, zero.eps) == ("", 0)


@pytest.mark.parametrize(
    "forward",
    [
        lambda n, x: n((4 * x).round() / 4),
        lambda n, x: n((x > 0).to(x)),
        lambda n, x: n(x.detach()),
        lambda n, x: torch.from_numpy(n(x).detach().numpy()),
    ],
    ids=["rounding", "threshold", "detached", "numpy"],
)
def test_steps_without_a_derivative(task, net, forward):
    with pytest.warns(AttackWarning, match="exactly zero for"):
        result = evaluate(Then(net, forward), task, eps=(16,), images=80)
    issues = {i.kind: i for i in result.issues if i.attack in ("", "fgsm")}
    assert issues["zero_gradient"].share == 1
    assert issues["loss_flat"].share == 1
    assert issues["loss_flat"].eps == 16
    assert result.accuracy["fgsm"][16] == result.clean


def test_attacks_weaker_than_noise_or_fgsm_are_named(task, net, monkeypatch):
    def idle(model, images, labels, eps, generator):
        return images

    from foretell.robustness import attacks

    monkeypatch.setitem(attacks._entries, "pgd", replace(attacks.entry("pgd"), target=idle))
    result = quiet(net, task, attacks=("pgd",), eps=(48,))
    assert {"weaker_than_fgsm", "weaker_than_noise", "loss_flat"} <= kinds(result)
    by = {i.kind: i for i in result.issues}
    exact = quiet(net, task, attacks=("fgsm",), eps=(48,)).accuracy["fgsm"][48]
    n = round(result.clean * 80)
    assert by["weaker_than_fgsm"].share == pytest.approx((result.clean - exact) * 80 / n)
    assert "fgsm only" in by["weaker_than_fgsm"].sentence


def test_nan_gradients_leave_images_in_their_range(task, net):
    module = Then(net, lambda n, x: n(x) + 0 * torch.sqrt(x - x).sum((1, 2, 3))[:, None])
    result = quiet(module, task)
    assert {i.kind: i.share for i in result.issues}["nan_gradient"] == 1
    assert result.accuracy["fgsm"][16] == result.clean
    x, y = torch.rand(3, 1, 8, 8), torch.tensor([0, 1, 2])
    half = Then(net, lambda n, x: n(x) + 0 * torch.sqrt(x[:, :, :4] - x[:, :, :4]).sum())
    for attack in (fgsm, pgd):
        changed = attack(half, x, y, 8, torch.Generator().manual_seed(0))
        assert changed.isfinite().all()
        assert 0 <= changed.min() <= changed.max() <= 1
    changed = fgsm(half, x, y, 8)
    assert torch.equal(changed[:, :, :4], x[:, :, :4])
    assert not torch.equal(changed[:, :, 4:], x[:, :, 4:])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_outputs_that_name_no_class_are_an_error(task, net, bad):
    for forward in (
        lambda n, x: n(x) * bad,
        lambda n, x: torch.where(torch.arange(len(x))[:, None] == 3, bad, n(x)),
    ):
        module = Then(net, forward).train()
        with pytest.raises(NonFiniteLogitsError, match=r"NaN or infinite for \d+ of 80 images"):
            quiet(module, task)
        assert module.training
    masked = Then(net, lambda n, x: F.pad(n(x), (0, 2), value=-torch.inf))
    assert quiet(masked, task, eps=()).clean == quiet(net, task, eps=()).clean
    assert torch.equal(
        finite_logits(torch.tensor([[-torch.inf, 0.0]])).argmax(1), torch.tensor([1])
    )


def test_outputs_that_an_attack_breaks_count_as_wrong(task, net):
    def forward(n, x):
        return n(x).masked_fill(x.flatten(1).abs().amax(1)[:, None] > 2.2, torch.nan)

    bounded = replace(task, test=replace(task.test, images=(task.test.images // 4 + 90)))
    result = quiet(Then(net, forward), bounded, eps=(100,))
    broken = [i for i in result.issues if i.kind == "nan_logits"]
    assert broken
    for issue in broken:
        left = result.accuracy[issue.attack][100]
        assert left <= result.clean * (1 - issue.share) + 1e-9


def test_a_random_network_is_said_to_be_one(task, net):
    module = Then(net, lambda n, x: n(F.dropout(x, 0.5)))
    torch.manual_seed(7)
    first = quiet(module, task)
    torch.manual_seed(8)
    assert first == replace(quiet(module, task), seconds=first.seconds)  # draws follow the seed
    issue = next(i for i in first.issues if i.kind == "stochastic")
    assert issue.share == 1
    assert "two forwards differ" in issue.sentence


def test_double_and_half_precision(task, net):
    plain = quiet(net, task)
    import copy

    double = quiet(copy.deepcopy(net).double(), task)
    assert double.clean == plain.clean
    assert abs(double.accuracy["pgd"][16] - plain.accuracy["pgd"][16]) < 0.05
    assert double.issues == ()
    half = quiet(copy.deepcopy(net).bfloat16(), task)
    assert abs(half.clean - plain.clean) < 0.1
    assert half.accuracy["pgd"][16] < half.clean - 0.1


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        (lambda n, x: {"logits": n(x)}, "but got a dict"),
        (lambda n, x: (n(x), x), "but got a tuple"),
        (lambda n, x: n(x)[:, :3], r"float32 of shape \(80, 3\)"),
        (lambda n, x: n(x)[:5], r"\(5, 4\)"),
        (lambda n, x: n(x).argmax(1), "int64 of shape"),
        (lambda n, x: n(x)[None], r"\(1, 80, 4\)"),
        (lambda n, x: None, "a NoneType"),
    ],
)
def test_outputs_that_are_no_logits(task, net, forward, words):
    with pytest.raises(NetworkError, match=words):
        quiet(Then(net, forward), task)


def test_what_a_network_raises_is_typed_and_chained(task, net):
    class NoBackward(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            raise KeyError("no derivative")

    with pytest.raises(ModuleRaisedError, match="KeyError while it was attacked") as caught:
        quiet(Then(net, lambda n, x: n(NoBackward.apply(x))), task)
    assert isinstance(caught.value.__cause__, KeyError)


def test_inference_mode_changes_nothing(task, net):
    plain = quiet(net, task)
    with torch.inference_mode():
        inside = quiet(net, task)
        made = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
        made.load_state_dict(net.state_dict())
        of_it = quiet(made, task)
    outside = quiet(made, task)
    assert inside.accuracy == plain.accuracy == of_it.accuracy == outside.accuracy
    with torch.no_grad():
        assert quiet(net, task).accuracy == plain.accuracy


def test_hardness_orders_as_the_cross_entropy_and_does_not_vanish():
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(40, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 6, (40,), generator=generator)
    loss = F.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(F.softplus(hardness(logits, labels)), loss)
    sure = torch.tensor([[100.0, 0.0], [200.0, 0.0]])
    assert (F.cross_entropy(sure, torch.tensor([0, 0]), reduction="none") == 0).all()
    assert hardness(sure, torch.tensor([0, 0])).tolist() == [-100, -200]


def test_one_issue_of_each_kind_is_the_worst(task, net):
    result = quiet(Then(net, lambda n, x: 1000 * n(x)), task, eps=(1, 64))
    worst = {i.kind: i.share for i in result.worst()}
    assert len(worst) == len(result.worst())
    for issue in result.issues:
        assert issue.share <= worst[issue.kind]


def test_quantities_carry_what_was_noticed(task, net):
    from foretell.quantities import get_quantity

    def subject(module):
        from foretell.arch import Arch
        from foretell.quantities import Subject
        from foretell.spaces import get_space

        space = get_space("nb201")
        return Subject(Arch("nb201", (3,) * 6), space, module=module, task=task, images=60)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, plain = get_quantity("pgd@16").value(subject(net))
        _, blind = get_quantity("pgd@16").value(subject(Then(net, lambda n, x: n(x.detach()))))
    assert set(plain) == {"clean", "images"}
    assert blind["issue zero_gradient"] == 1
