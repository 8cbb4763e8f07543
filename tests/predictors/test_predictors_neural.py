"""Stacked networks against networks trained one by one, and what is made of them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from foretell.encodings import Encodings, EncodingTable
from foretell.errors import PredictorError
from foretell.metrics import coverage, kendall, normal_interval
from foretell.predictors import BANANAS, BOHAMIANN, DNGO, MLP, BayesianLinear
from foretell.predictors.dngo import LinearHead
from foretell.predictors.neural._base import to_targets
from foretell.predictors.neural.bananas import _parts
from foretell.predictors.neural.losses import LOSSES, RANK_LOSSES
from foretell.predictors.neural.networks import Batches, Networks, Recipe, Shape, train
from foretell.predictors.neural.sghmc import sample
from foretell.rng import stream

QUICK = {"hidden": (8,), "steps": 20}
MAKERS = {
    "mlp": lambda seed=0, **o: MLP(**{**QUICK, **o}, seed=seed),
    "bananas": lambda seed=0, **o: BANANAS(**{**QUICK, **o}, seed=seed),
    "dngo": lambda seed=0, **o: DNGO(**{**QUICK, **o}, seed=seed),
    "bohamiann": lambda seed=0, **o: BOHAMIANN(
        **{**QUICK, "burn_in": 20, "keep": 10, **o}, seed=seed
    ),
}


@pytest.fixture
def make(name):
    return MAKERS[name]


each_predictor = pytest.mark.parametrize("name", MAKERS)


def data(n=50, d=5, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    return x, np.tanh(x[:, 0]) + 0.5 * x[:, 1]


def table(x):
    return Encodings({"x": EncodingTable(tuple(f"c{i}" for i in range(x.shape[1])), x)})


# --- stacked networks -----------------------------------------------------------------------------


def modules(shape, parameters):
    """The same networks as torch modules in double precision, one by one."""
    found = []
    for row in torch.tensor(parameters, dtype=torch.float64):
        layers, at = [], 0
        for a, b in zip(shape.widths, shape.widths[1:], strict=False):
            layer = torch.nn.Linear(a, b, dtype=torch.float64)
            layer.weight.data = row[at : at + a * b].view(a, b).T.clone()
            layer.bias.data = row[at + a * b : at + a * b + b].clone()
            at += a * b + b
            layers += [layer, torch.nn.SiLU()]
        found.append(torch.nn.Sequential(*layers[:-1]))
    return found


@pytest.mark.parametrize("hidden", [(6,), (7, 4), (5, 3, 2)])
def test_stacked_outputs_are_those_of_modules(hidden):
    shape = Shape((3, *hidden, 1))
    parameters = shape.first([np.random.default_rng(i) for i in range(4)])
    parameters += 0.1 * np.random.default_rng(9).standard_normal(parameters.shape)
    x = np.random.default_rng(8).standard_normal((4, 11, 3))
    single = modules(shape, parameters)
    with torch.no_grad():
        wanted = [m(torch.tensor(v))[:, 0].numpy() for m, v in zip(single, x, strict=True)]
        inner = [m[:-1](torch.tensor(v)).numpy() for m, v in zip(single, x, strict=True)]
        shared = [m(torch.tensor(x[0]))[:, 0].numpy() for m in single]
    networks = Networks(shape, parameters)
    np.testing.assert_allclose(networks(x), wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(networks(x[0]), shared, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(networks.features(x), inner, rtol=1e-12, atol=1e-12)
    stacked = shape.outputs(torch.tensor(parameters), torch.tensor(x)).numpy()
    np.testing.assert_allclose(stacked, wanted, rtol=1e-12, atol=1e-12)


def test_first_weights_keep_the_variance():
    shape = Shape((40, 60, 1))
    (row,) = shape.first([np.random.default_rng(0)])
    assert row[:2400].std() == pytest.approx(1 / np.sqrt(40), rel=0.05)
    assert (row[2400:2460] == 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_training_is_that_of_torch(loss):
    """Full batches, AdamW and a cosine, all from torch, in single precision."""
    x, t = data()
    recipe = Recipe((6, 4), steps=15, lr=0.02, decay=0.3, loss=loss)
    networks = train(x[None], t[None], recipe, [np.random.default_rng(3)])
    (module,) = modules(networks.shape, networks.shape.first([np.random.default_rng(3)]))
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.02, weight_decay=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 15)
    for _ in range(15):
        optimizer.zero_grad()
        LOSSES[loss](module(torch.tensor(x)).T, torch.tensor(t[None])).sum().backward()
        optimizer.step()
        schedule.step()
    wanted, found = module(torch.tensor(x)).detach().numpy()[:, 0], networks(x)[0]
    if loss in RANK_LOSSES:  # the last bias moves by rounding alone
        wanted, found = wanted - wanted.mean(), found - found.mean()
    np.testing.assert_allclose(found, wanted, atol=2e-3)


@pytest.mark.parametrize("batch", [16, 128])
def test_members_are_what_they_are_alone(batch):
    x, t = data()
    recipe = Recipe((6, 4), steps=15, batch=batch)
    xs, ts = np.stack([x, x[::-1], x + 1]), np.stack([t, t[::-1], -t])
    together = train(xs, ts, recipe, [stream(0, i) for i in range(3)])
    for i in range(3):
        alone = train(xs[i : i + 1], ts[i : i + 1], recipe, [stream(0, i)])
        np.testing.assert_allclose(alone(x)[0], together(x)[i], atol=1e-3)


@given(st.integers(1, 30), st.integers(1, 12))
def test_batches_draw_without_replacement(n, size):
    x = np.arange(2.0 * n).reshape(2, n, 1)
    batches = Batches(x, x[:, :, 0], size, [np.random.default_rng(i) for i in range(2)])
    for _ in range(2):
        drawn = []
        for _ in range(max(n // size, 1)):
            inputs, wanted = batches.draw()
            assert inputs.shape == (2, min(size, n), 1)
            np.testing.assert_array_equal(inputs[:, :, 0], wanted)
            drawn.append(wanted.numpy())
        rows = np.concatenate(drawn, axis=1)
        for i in range(2):
            assert len(set(rows[i])) == rows.shape[1]
            assert set(rows[i]) <= set(x[i, :, 0])


# --- every predictor ------------------------------------------------------------------------------


@each_predictor
def test_the_callers_random_state_stays(make):
    x, y = data()
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    make().fit(table(x), y).predict(table(x))
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])


@each_predictor
def test_the_seed_decides(make):
    encodings, y = table(data(200)[0]), data(200)[1]
    first, again, other = (make(s).fit(encodings, y).predict(encodings).mean for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-6


@each_predictor
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_raw_values_may_have_any_unit(make, shift):
    x, y = data()
    encodings = table(x)
    plain = make(normal_target=False).fit(encodings, y).predict(encodings)
    moved = make(normal_target=False).fit(encodings, shift + 8 * y).predict(encodings)
    np.testing.assert_allclose(moved.mean, shift + 8 * plain.mean, atol=0.02)
    if plain.std is not None:
        np.testing.assert_allclose(moved.std, 8 * plain.std, rtol=0.01)


@each_predictor
def test_raw_values_that_are_all_equal(make):
    x, y = data()
    found = make(normal_target=False).fit(table(x), np.full_like(y, 0.25)).predict(table(x))
    np.testing.assert_allclose(found.mean, 0.25)


@each_predictor
def test_few_architectures_are_enough(make):
    x, y = data(5)
    for n in (make().min_train_size, 5):
        found = make().fit(table(x).take(np.arange(n)), y[:n]).predict(table(x))
        assert np.isfinite(found.mean).all()
        assert found.std is None or np.isfinite(found.std).all()


@each_predictor
def test_more_steps_learn_more(make):
    x, y = data(120)
    fit, ask = table(x).take(np.arange(60)), table(x).take(np.arange(60, 120))
    few, more = (
        make(steps=s, hidden=(16, 16)).fit(fit, y[:60]).predict(ask).mean for s in (10, 150)
    )
    assert float(kendall(more, y[60:])) > max(float(kendall(few, y[60:])), 0.75)


@each_predictor
@pytest.mark.parametrize("option", [{"hidden": ()}, {"hidden": (4, 0)}, {"steps": 0}])
def test_options_that_make_no_network_are_refused(make, option):
    x, y = data()
    with pytest.raises(PredictorError, match=next(iter(option))):
        make(**option).fit(table(x), y)


@pytest.mark.parametrize("loss", ["mse", "mae", "pairwise", "listmle"])
@pytest.mark.parametrize("name", ["mlp", "bananas"])
@pytest.mark.parametrize("normal", [True, False])
def test_every_loss_predicts_in_the_unit_of_the_values(cells, make, loss, normal):
    encodings, y = cells
    fit, ask = encodings.take(np.arange(100)), encodings.take(np.arange(100, 400))
    model = make(loss=loss, hidden=(32,), steps=100, normal_target=normal)
    found = model.fit(fit, y[:100]).predict(ask)
    assert float(kendall(found.mean, y[100:])) > 0.6
    assert np.abs(found.mean - y[100:]).mean() < 0.5 * y.std()


@pytest.mark.parametrize("make", [BANANAS, DNGO, BOHAMIANN])
def test_uncertainties_are_of_the_size_of_the_errors(cells, make):
    encodings, y = cells
    fit, ask = encodings.take(np.arange(100)), encodings.take(np.arange(100, 400))
    found = make().fit(fit, y[:100]).predict(ask)
    low, high = normal_interval(found.mean, found.std, 0.9)
    assert 0.8 < float(coverage(low, high, y[100:])) < 0.99


# --- scores to values -----------------------------------------------------------------------------


def test_scores_become_targets_by_least_squares():
    x, t = data()
    recipe = Recipe((6,), steps=60, loss="listmle")
    networks = train(x[None], t[None], recipe, [np.random.default_rng(0)])
    slope, offset = to_targets(networks, x[None], t[None], "listmle")
    wanted = np.polyfit(networks(x)[0], t, 1)
    np.testing.assert_allclose([slope[0, 0], offset[0, 0]], wanted, rtol=1e-9)
    slope, offset = to_targets(networks, x[None], -t[None], "pairwise")
    assert slope[0, 0] == 0
    assert offset[0, 0] == pytest.approx(-t.mean())
    slope, offset = to_targets(networks, x[None], t[None], "mae")
    assert (slope[0, 0], offset[0, 0]) == (1, 0)


# --- ensembles ------------------------------------------------------------------------------------


@given(st.integers(2, 60), st.integers(2, 12))
def test_every_row_is_left_out_by_some_network(n, count):
    seen, unseen = _parts(np.random.default_rng(n).permutation(n), count)
    assert set(unseen.ravel()) == set(range(n))
    for a, b in zip(seen, unseen, strict=True):
        assert sorted([*a, *b]) == list(range(n))


def test_bananas_is_the_mean_of_its_networks():
    x, y = data(40)
    encodings = table(x)
    model = BANANAS(members=3, normal_target=False, **QUICK).fit(encodings, y)
    t = (y - y.mean()) / y.std()
    scaled = encodings.scaled() * np.sqrt(5)
    seen, unseen = _parts(stream(0, "parts").permutation(40), 3)
    each, errors = [], []
    for i in range(3):
        rows = seen[i]
        recipe = Recipe((8,), 20, loss="mae")
        network = train(scaled[None, rows], t[None, rows], recipe, [stream(0, "network", i)])
        each.append(network(scaled)[0])
        errors.append((each[-1][unseen[i]] - t[unseen[i]]) ** 2)
    found = model.predict(encodings)
    np.testing.assert_allclose(found.mean, y.mean() + y.std() * np.mean(each, axis=0), atol=1e-3)
    wanted = y.std() * np.sqrt(np.var(each, axis=0) + np.mean(errors))
    np.testing.assert_allclose(found.std, wanted, rtol=1e-2)


def test_one_network_is_no_ensemble():
    x, y = data()
    with pytest.raises(PredictorError, match="members of 2"):
        BANANAS(members=1).fit(table(x), y)


# --- Bayesian heads and samples -------------------------------------------------------------------


def test_the_head_is_bayesian_linear_regression():
    x, t = data(30, 8)
    new = data(20, 8, seed=1)[0]
    model = BayesianLinear(normal_target=False).fit(table(x), t)
    mean, std = LinearHead(x, t, model.alpha_, model.beta_).predict(new)
    same_scales = Encodings(table(new).tables, scales=table(x).scales)
    wanted = model.predict(same_scales)
    np.testing.assert_allclose(mean, wanted.mean, rtol=1e-5)
    np.testing.assert_allclose(std, wanted.std, rtol=1e-5)


def test_the_head_is_a_gaussian_process_of_a_linear_kernel():
    x, t = data(30, 8)
    new = data(20, 8, seed=1)[0]
    mean, std = LinearHead(x, t, alpha=0.7, beta=9.0).predict(new)
    a, b = ((v - x.mean(axis=0)) / x.std(axis=0) / np.sqrt(8) for v in (x, new))
    covariance = a @ a.T / 0.7 + np.eye(30) / 9.0
    cross = b @ a.T / 0.7
    np.testing.assert_allclose(mean, t.mean() + cross @ np.linalg.solve(covariance, t - t.mean()))
    own = (b * b).sum(axis=1) / 0.7 + 1 / 9.0
    explained = (cross * np.linalg.solve(covariance, cross.T).T).sum(axis=1)
    np.testing.assert_allclose(std, np.sqrt(own - explained))


def test_dngo_takes_its_precisions_from_what_the_networks_have_not_seen(cells):
    """On features that have seen the values, the noise of highest evidence is far too small."""
    encodings, y = cells
    fit = encodings.take(np.arange(100))
    model = DNGO(normal_target=False).fit(fit, y[:100])
    features = model.network_.features(model._inputs(fit))[0]
    naive = BayesianLinear(normal_target=False).fit(
        table(features), (y[:100] - y[:100].mean()) / y[:100].std()
    )
    assert 1 / naive.beta_ < 0.1 * model.head_.noise


def test_samples_are_those_of_a_normal_distribution():
    """Means, deviations and quantiles, for scales far apart."""
    middle, spread = torch.tensor([3.0, -1.0, 0.0]), torch.tensor([3.0, 1.0, 0.1])
    first = middle + spread * torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    draws = sample(
        lambda p: (((p - middle) / spread) ** 2).sum(dim=1) / 2,
        first,
        burn_in=200,
        steps=400,
        keep=50,
        step_size=0.1,
        friction=0.05,
        noise=torch.Generator().manual_seed(1),
    )
    found = list(draws)
    assert [f.shape for f in found] == [(400, 3)] * 8
    z = (np.concatenate(found) - middle.numpy()) / spread.numpy()
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.08)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=0.08)
    np.testing.assert_allclose(np.quantile(z, 0.9, axis=0), norm.ppf(0.9) * np.ones(3), atol=0.1)


def test_bohamiann_averages_its_samples():
    x, y = data(40)
    encodings = table(x)
    model = BOHAMIANN((8,), chains=3, burn_in=20, steps=40, keep=10, normal_target=False)
    found = model.fit(encodings, y).predict(encodings)
    each = model.networks_(encodings.scaled() * np.sqrt(5))
    assert each.shape == (3 * 4, 40)
    np.testing.assert_allclose(found.mean, y.mean() + y.std() * each.mean(axis=0))
    wanted = y.std() * np.sqrt(each.var(axis=0) + model.noise_)
    np.testing.assert_allclose(found.std, wanted)


def test_samples_disagree_far_away():
    x, y = data(40)
    encodings = Encodings(table(4 * x).tables, scales=table(x).scales)
    model = BOHAMIANN(normal_target=False).fit(table(x), y)
    near, far = model.predict(table(x)).std, model.predict(encodings).std
    assert far.mean() > 2 * near.mean()


def test_the_noise_is_found():
    """Values with noise of a known size."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 3))
    y = x[:, 0] + 0.5 * rng.standard_normal(300)
    model = BOHAMIANN(normal_target=False).fit(table(x), y)
    assert y.std() * np.sqrt(model.noise_) == pytest.approx(0.5, rel=0.15)


@pytest.mark.parametrize(
    "option",
    [{"chains": 0}, {"burn_in": 0}, {"keep": 0}, {"keep": 30}, {"prior": 0.0}, {"step_size": -1.0}],
)
def test_chains_without_samples_are_refused(option):
    x, y = data()
    with pytest.raises(PredictorError, match="Expected"):
        MAKERS["bohamiann"](**option).fit(table(x), y)


def test_networks_that_are_not_finite_are_refused():
    shape = Shape((2, 3, 1))
    parameters = shape.first([np.random.default_rng(i) for i in range(3)])
    parameters[1, 4] = np.nan
    with pytest.raises(PredictorError, match="1 of 3 networks have parameters that are not finite"):
        Networks(shape, parameters)
    x, y = data()
    with pytest.raises(PredictorError, match="not finite after training"):
        BOHAMIANN(step_size=1e20).fit(table(x), y)
