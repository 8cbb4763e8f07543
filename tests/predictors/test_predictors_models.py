"""Each model against an independent reference."""

from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau, multivariate_normal, norm

from foretell.encodings import Encodings, EncodingTable
from foretell.errors import PredictorError, UsageError
from foretell.gaussian.kernels import matern52
from foretell.metrics import coverage
from foretell.predictors import (
    Auto,
    BayesianLinear,
    Conformal,
    GaussianProcess,
    Prediction,
    Predictor,
    RandomForest,
    folds,
    held_out,
)
from foretell.predictors.auto import _Continued
from foretell.predictors.gp.evidence import exact_loss, likeliest, minimised
from foretell.predictors.gp.groups import Prior
from foretell.predictors.shared.targets import NormalTarget, UnitTarget


def table(x):
    return Encodings({"x": EncodingTable(tuple(f"c{i}" for i in range(x.shape[1])), x)})


# --- targets --------------------------------------------------------------------------------------


@given(st.lists(st.floats(-5, 5).map(lambda v: round(v, 3)), min_size=2, max_size=30))
def test_targets_go_there_and_back(values):
    y = np.array(values)
    target = NormalTarget.of(y)
    z = target.transform(y)
    np.testing.assert_allclose(target.inverse_transform(z), y, atol=1e-9)
    order = np.argsort(y, kind="stable")
    assert (np.diff(z[order]) >= -1e-12).all()
    beyond = target.inverse_transform(np.array([z.min() - 1, z.max() + 1]))
    assert beyond[0] <= y.min()
    assert beyond[1] >= y.max()


def test_targets_go_on_as_steeply_as_over_the_last_unit_of_quantiles_for_four_of_them():
    """Against straight lines through SciPy's quantiles."""
    y = np.random.default_rng(3).gamma(2.0, size=40)
    values = np.sort(y)
    z = norm.ppf((np.arange(40) + 0.5) / 40)
    low = np.interp(z[0] + 1, z, values) - values[0]
    high = values[-1] - np.interp(z[-1] - 1, z, values)
    target = NormalTarget.of(y)
    beyond = np.array([0.0, 0.5, 1.0, 2.0, 3.9, 4.0, 4.1, 9.0])
    slope = np.array([0.0, 0.5, 1.0, 2.0, 3.9, 4.0, 4.0, 4.0])
    np.testing.assert_allclose(
        target.inverse_transform(z[0] - beyond), values[0] - slope * low, atol=1e-12
    )
    np.testing.assert_allclose(
        target.inverse_transform(z[-1] + beyond), values[-1] + slope * high, atol=1e-12
    )
    far = values[-1] + high * beyond
    np.testing.assert_allclose(target.transform(far), z[-1] + slope, atol=1e-12)
    far = values[0] - low * beyond
    np.testing.assert_allclose(target.transform(far), z[0] - slope, atol=1e-12)


def test_a_spread_is_half_of_what_lies_between():
    target = NormalTarget(np.array([0.0, 1.0, 3.0]), np.array([-1.0, 0.0, 1.0]))
    np.testing.assert_allclose(
        target.inverse_std(np.array([0.0]), np.array([0.5])), [(2.0 - 0.5) / 2]
    )


@pytest.mark.parametrize("normal", [False, True])
def test_targets_of_mean_0_and_variance_1(normal):
    y = np.random.default_rng(0).gamma(2.0, size=50)
    target = UnitTarget.of(y, normal)
    t = target.transform(y)
    assert t.mean() == pytest.approx(0, abs=1e-12)
    assert t.std() == pytest.approx(1)
    found = target.prediction(t, np.full(50, 0.1))
    np.testing.assert_allclose(found.mean, y, atol=1e-9)
    assert (found.std > 0).all()
    assert target.prediction(t).std is None
    same = UnitTarget.of(np.full(5, 0.3), normal)
    np.testing.assert_allclose(same.prediction(np.zeros(5)).mean, 0.3)


# --- Gaussian process -----------------------------------------------------------------------------


def test_gp_equals_scikit_learns_at_the_same_parameters():
    kernels = pytest.importorskip("sklearn.gaussian_process.kernels")
    from sklearn.gaussian_process import GaussianProcessRegressor

    rng = np.random.default_rng(0)
    x, new = rng.standard_normal((40, 3)), rng.standard_normal((15, 3))
    y = np.sin(x[:, 0]) + x[:, 1] ** 2
    both = table(np.concatenate([x, new]))
    fit, ask = both.take(np.arange(40)), both.take(np.arange(40, 55))
    model = GaussianProcess(normal_target=False).fit(fit, y)
    found = model.predict(ask)
    variance, scale, noise = np.exp(model.theta_)
    group = model.groups_[0]
    kernel = kernels.ConstantKernel(variance, "fixed") * kernels.Matern(
        scale, "fixed", nu=2.5
    ) + kernels.WhiteKernel(noise + 1e-8, "fixed")
    unit = np.sqrt(group.typical)
    reference = GaussianProcessRegressor(kernel, alpha=0.0)
    reference.fit(fit.scaled() / unit, (y - y.mean()) / y.std())
    mean, std = reference.predict(ask.scaled() / unit, return_std=True)
    np.testing.assert_allclose(found.mean, y.mean() + y.std() * mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.std, y.std() * std, rtol=1e-4)


def test_gp_likelihood_is_highest_where_it_says():
    """No step from the parameters it found raises likelihood times prior."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((30, 2))
    square = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    t = np.tanh(x[:, 0])
    t = (t - t.mean()) / t.std()
    theta, _ = likeliest([np.sqrt(square)], t)
    middle = np.array([np.log(0.5), np.log(2.0), np.log(0.1)])
    width = np.array([1.5, 1.0, 1.5])

    def posterior(at):
        covariance = np.exp(at[0]) * matern52(np.sqrt(square), np.exp(at[1])) + np.exp(
            at[2]
        ) * np.eye(30)
        prior = -0.5 * (((at - middle) / width) ** 2).sum()
        return multivariate_normal(np.zeros(30), covariance + 1e-8 * np.eye(30)).logpdf(t) + prior

    best = posterior(theta)
    for i in range(3):
        for step in (-0.1, 0.1):
            assert posterior(theta + step * np.eye(3)[i]) < best + 1e-3


def test_gp_search_that_starts_on_a_part_ends_where_one_on_all_does():
    """Beyond 400 architectures the search starts on 200, whatever the order of the rows."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((450, 2))
    distance = np.sqrt(((x[:, None] - x[None]) ** 2).sum(axis=2))
    t = np.tanh(x[:, 0]) + 0.3 * rng.standard_normal(450)
    t = (t - t.mean()) / t.std()
    theta, loss = likeliest([distance], t)
    _, whole = minimised(exact_loss([distance], t), Prior.of(1))
    assert loss == pytest.approx(whole, abs=0.05)
    order = rng.permutation(450)
    moved, _ = likeliest([distance[np.ix_(order, order)]], t[order])
    np.testing.assert_allclose(moved, theta, atol=1e-3)


def test_gp_refuses_a_covariance_that_is_none():
    with pytest.raises(PredictorError, match="not positive definite"):
        exact_loss([], np.array([1.0, -1.0]), [-3 * np.eye(2)])(np.zeros(2))


def test_gp_learns_from_identities_what_descriptions_do_not_say(cells):
    encodings, y = cells
    fit, ask = encodings.take(np.arange(150)), encodings.take(np.arange(150, 400))
    described = frozenset({"graf", "costs"})
    less = GaussianProcess().fit(fit.only(described), y[:150]).predict(ask.only(described))
    more = GaussianProcess().fit(fit, y[:150]).predict(ask)
    assert np.abs(more.mean - y[150:]).mean() < 0.8 * np.abs(less.mean - y[150:]).mean()


# --- linear ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d"), [(60, 4), (12, 30)])
def test_bayes_linear_equals_scikit_learns(n, d):
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(n)
    x = rng.standard_normal((n + 10, d))
    y = x[:, 0] - 0.5 * x[:, 1] + 0.3 * rng.standard_normal(n + 10)
    both = table(x)
    fit, ask = both.take(np.arange(n)), both.take(np.arange(n, n + 10))
    found = BayesianLinear(normal_target=False).fit(fit, y[:n]).predict(ask)
    tiny = {"alpha_1": 0, "alpha_2": 0, "lambda_1": 0, "lambda_2": 0}
    reference = linear_model.BayesianRidge(max_iter=500, tol=1e-9, **tiny)
    reference.fit(fit.scaled(), y[:n])
    mean, std = reference.predict(ask.scaled(), return_std=True)
    np.testing.assert_allclose(found.mean, mean, rtol=0.02, atol=0.02)
    np.testing.assert_allclose(found.std, std, rtol=0.05)


# --- trees ----------------------------------------------------------------------------------------


def test_random_forest_is_scikit_learns(cells):
    ensemble = pytest.importorskip("sklearn.ensemble")
    encodings, y = cells
    fit, ask = encodings.take(np.arange(60)), encodings.take(np.arange(60, 120))
    published = RandomForest(trees=100, max_features=1.0)
    reference = ensemble.RandomForestRegressor(random_state=42).fit(fit.matrix(), y[:60])
    found = published.fit(fit, y[:60]).predict(ask)
    np.testing.assert_allclose(found.mean, reference.predict(ask.matrix()), rtol=1e-6)
    reference.set_params(n_estimators=80, max_features=1 / 3).fit(fit.matrix(), y[:60])
    found = RandomForest().fit(fit, y[:60]).predict(ask)
    np.testing.assert_allclose(found.mean, reference.predict(ask.matrix()), rtol=1e-6)
    reference.set_params(min_samples_leaf=3, bootstrap=False).fit(fit.matrix(), y[:60])
    found = RandomForest(min_samples_leaf=3, bootstrap=False).fit(fit, y[:60]).predict(ask)
    np.testing.assert_allclose(found.mean, reference.predict(ask.matrix()), rtol=1e-6)


# --- folds and intervals --------------------------------------------------------------------------


@given(st.integers(2, 40), st.integers(2, 12))
def test_every_row_is_held_out_once(n, count):
    seen = []
    for fit, out in folds(n, count, np.random.default_rng(n)):
        assert not set(fit) & set(out)
        assert len(fit) + len(out) == n
        seen += out.tolist()
    assert sorted(seen) == list(range(n))


class Mean(Predictor):
    """Predicts the mean of what it saw."""

    def _fit(self, encodings, y):
        self.mean_ = y.mean()

    def _predict(self, encodings):
        return Prediction(np.full(len(encodings), self.mean_))


def test_held_out_models_have_not_seen_their_fold():
    x, y = table(np.zeros((10, 1))), np.arange(10.0)
    found = held_out(Mean, x, y, 10, np.random.default_rng(0))
    np.testing.assert_allclose(found.mean, [(45 - v) / 9 for v in y])
    assert found.std is None


@pytest.mark.parametrize("make", [Mean, lambda: BayesianLinear()])
def test_intervals_cover_what_they_say(make):
    """Over 60 draws of 60 labelled and 200 others, noise of unequal size."""
    inside = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((260, 3))
        y = x @ [1.0, -1.0, 0.5] + rng.standard_t(3, 260)
        both = table(x)
        model = Conformal(make, level=0.8, seed=seed).fit(both.take(np.arange(60)), y[:60])
        found = model.predict(both.take(np.arange(60, 260)))
        assert found.level == 0.8
        inside.append(float(coverage(found.low, found.high, y[60:])))
    assert np.mean(inside) == pytest.approx(0.8, abs=0.025)


class Nearest(Predictor):
    """The value of the nearest labelled row; as uncertain as that is far."""

    def _fit(self, inputs, y):
        self.x_, self.y_ = inputs.matrix()[:, 0], y

    def _predict(self, inputs):
        distance = np.abs(inputs.matrix()[:, :1] - self.x_)
        near = distance.argmin(axis=1)
        return Prediction(self.y_[near], distance.min(axis=1))


@pytest.mark.parametrize("n", [10, 14])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("make", [Mean, Nearest])
def test_interval_widths_are_order_statistics_of_the_errors_in_ten_folds(make, level, n):
    """Against Lei et al. (2018): the ceil((n + 1) level)-th smallest error is the half width."""
    rng = np.random.default_rng(n)
    x, y = rng.standard_normal((n + 5, 1)), rng.gamma(1.0, size=n)
    both = table(x)
    fit, ask = both.take(np.arange(n)), both.take(np.arange(n, n + 5))
    mean, std = np.empty(n), np.ones(n)
    for kept, out in folds(n, 10, np.random.default_rng(3)):
        found = make().fit(fit.take(kept), y[kept]).predict(fit.take(out))
        mean[out] = found.mean
        std[out] = 1.0 if found.std is None else found.std
    floor = 0.0 if make is Mean else np.median(std) / 10
    errors = np.abs(y - mean) / np.maximum(std, floor)
    model = Conformal(make, level=level, seed=3).fit(fit, y)
    inside = model.held_out()
    for i in range(n):  # n - 1 others, and so the ceil(n level)-th smallest of their errors
        others = np.sort(np.delete(errors, i))
        half = others[int(np.ceil(n * level)) - 1] * max(std[i], floor)
        assert inside.low[i] == pytest.approx(mean[i] - half)
        assert inside.high[i] == pytest.approx(mean[i] + half)
    found, point = model.predict(ask), make().fit(fit, y).predict(ask)
    half = np.sort(errors)[int(np.ceil((n + 1) * level)) - 1]
    half = half * (np.ones(5) if make is Mean else np.maximum(point.std, floor))
    np.testing.assert_allclose(found.mean, point.mean)
    np.testing.assert_allclose(found.low, point.mean - half)
    np.testing.assert_allclose(found.high, point.mean + half)


def test_intervals_need_enough_values():
    few = table(np.arange(8.0)[:, None])
    with pytest.raises(PredictorError, match="9 measured"):
        Conformal(Mean, level=0.9).fit(few, np.arange(8.0))
    with pytest.raises(UsageError):
        Conformal(Mean, level=1.0)
    with pytest.raises(PredictorError, match="fit first"):
        Conformal(Mean).predict(few)


# --- auto -----------------------------------------------------------------------------------------


def test_auto_is_no_worse_than_its_best_part_by_much_and_says_why(cells):
    encodings, y = cells
    fit, ask = encodings.take(np.arange(80)), encodings.take(np.arange(80, 400))
    model = Auto().fit(fit, y[:80])
    taus = {}
    for name, (tables, part) in model.models_.items():
        taus[name] = np.corrcoef(part.predict(ask.only(tables)).mean, y[80:])[0, 1]
    mine = np.corrcoef(model.predict(ask).mean, y[80:])[0, 1]
    assert mine > max(taus.values()) - 0.02
    assert sum(c.weight for c in model.candidates_) == pytest.approx(1)
    assert "gp" in model.why()
    assert all(c.name in model.why() for c in model.candidates_)
    assert model.held_out().mean.shape == (80,)


stacked = import_module(Auto.__module__)._stack
"""(name -> held-out quantiles, truth) -> weights."""


def selected(held, truth):
    """Forward selection with replacement, written out: a step of less than 0.002 tau ends it."""

    def tau(z):
        return kendalltau(z, truth).statistic

    names = list(held)
    chosen = [names[0], max(names, key=lambda name: tau(held[name]))]
    total = held[chosen[0]] + held[chosen[1]]
    for _ in range(12):
        best = max(names, key=lambda name: tau(total + held[name]))
        if tau(total + held[best]) - tau(total) < 0.002:
            break
        chosen.append(best)
        total = total + held[best]
    return {name: chosen.count(name) / len(chosen) for name in names if name in chosen}


@pytest.mark.parametrize(("n", "weight"), [(44, 2 / 3), (45, 2 / 3), (46, 1 / 2), (47, 1 / 2)])
def test_auto_adds_what_raises_tau_by_two_thousandths(n, weight):
    """Adding b a second time sorts one pair of n (n - 1) / 2, which raises tau by 4 / n (n - 1)."""
    truth = np.arange(float(n))
    first = truth.copy()
    first[:2] = [1.25, -0.25]  # together with b, -1.5 + 1 < 0; with twice b, -1.5 + 2 > 0
    found = stacked({"a": first, "b": truth}, truth)
    assert found == pytest.approx({"a": 1 - weight, "b": weight})
    assert (4 / (n * (n - 1)) >= 0.002) == (weight == 2 / 3)


@pytest.mark.parametrize("seed", range(8))
def test_auto_weighs_by_forward_selection(seed):
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal(60)
    held = {name: truth + 2 * rng.standard_normal(60) for name in "abcd"}
    assert stacked(held, truth) == pytest.approx(selected(held, truth))


def test_auto_starts_each_process_where_the_last_one_ended(cells):
    encodings, y = cells
    make = _Continued()
    first = make().fit(encodings.take(np.arange(60)), y[:60])
    again = make()
    assert first.start is None
    np.testing.assert_array_equal(again.start, first.theta_)


def test_auto_stops_when_its_time_is_spent(cells):
    encodings, y = cells
    model = Auto(seconds=0.0).fit(encodings.take(np.arange(40)), y[:40])
    assert [c.name for c in model.candidates_] == ["gp"]
    assert [c.weight for c in model.candidates_] == [1.0]


def test_auto_says_nothing_before_it_is_fitted():
    with pytest.raises(PredictorError):
        Auto().why()
    with pytest.raises(PredictorError):
        Auto().held_out()
