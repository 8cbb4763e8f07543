"""The Gaussian process on graphs against scikit-learn's kernel ridge and dense formulas."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from foretell.encodings import EncodingContext, Encodings, EncodingTable, encode
from foretell.errors import PredictorError
from foretell.metrics import kendall
from foretell.predictors import GraphGaussianProcess
from foretell.spaces import get_space

NAMES = ("wl0_a", "wl0_b", "wl1_a>b", "wl1_b>a", "wl1_a+b>b", "wl2_x", "wl2_y")


def table(n, seed=0, decide="wl1"):
    """Counts of seven labels, and values that those of one round decide."""
    rng = np.random.default_rng(seed)
    counts = 1 + rng.poisson(1.5, (n, len(NAMES)))
    mine = np.array([name.startswith(decide) for name in NAMES])
    y = counts[:, mine] @ np.arange(1.0, mine.sum() + 1) / (1 + counts.sum(axis=1))
    return Encodings({"wl": EncodingTable(NAMES, counts)}, frozenset({"wl"})), y


def cosines(counts):
    length = np.linalg.norm(counts, axis=1)
    return counts @ counts.T / np.outer(length, length)


@pytest.mark.parametrize("rounds", [0, 1, 2])
def test_it_equals_kernel_ridge_on_cosines(rounds):
    ridge = pytest.importorskip("sklearn.kernel_ridge")
    encodings, y = table(60)
    fit, ask = encodings.take(np.arange(45)), encodings.take(np.arange(45, 60))
    model = GraphGaussianProcess(rounds, normal_target=False).fit(fit, y[:45])
    found = model.predict(ask)
    kept = [int(name[2]) <= rounds for name in NAMES]
    alike = cosines(encodings.tables["wl"].values[:, kept].astype(float))
    variance, noise = np.exp(model.theta_)
    t = (y[:45] - y[:45].mean()) / y[:45].std()
    reference = ridge.KernelRidge(alpha=(noise + 1e-8) / variance, kernel="precomputed")
    mean = reference.fit(alike[:45, :45], t).predict(alike[45:, :45])
    np.testing.assert_allclose(found.mean, y[:45].mean() + y[:45].std() * mean, rtol=1e-6)
    square = variance * alike[:45, :45] + (noise + 1e-8) * np.eye(45)
    cross = variance * alike[45:, :45]
    left = variance - np.sum(cross * np.linalg.solve(square, cross.T).T, axis=1) + noise
    np.testing.assert_allclose(found.std, y[:45].std() * np.sqrt(left), rtol=1e-6)


@pytest.mark.parametrize("decide", ["wl0", "wl1", "wl2"])
def test_the_rounds_are_those_of_the_highest_evidence(decide):
    encodings, y = table(150, decide=decide)
    chosen = GraphGaussianProcess().fit(encodings, y)
    t = chosen.target_.transform(y)

    def evidence(rounds):
        model = GraphGaussianProcess(rounds).fit(encodings, y)
        variance, noise = np.exp(model.theta_)
        kept = [int(name[2]) <= rounds for name in NAMES]
        alike = cosines(encodings.tables["wl"].values[:, kept].astype(float))
        normal = multivariate_normal(np.zeros(150), variance * alike + noise * np.eye(150))
        away = (model.theta_ - np.log([0.5, 0.1])) / 1.5
        return normal.logpdf(t) - 0.5 * away @ away

    assert chosen.rounds_ == max(range(3), key=evidence)
    assert chosen.rounds_ >= int(decide[2])


def test_it_learns_from_graphs_and_cannot_tell_equal_ones_apart():
    """Cells whose canonical graphs are equal get one value."""
    space = get_space("nb201")
    rng = np.random.default_rng(0)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(260)))
    context = EncodingContext(space, archs, space.costs(archs, space.skeleton((3, 32, 32), 10)))
    encodings = encode("wl", context)
    y = np.log10(context.costs.live_params + 1.0)
    learn, rest = np.arange(120), np.arange(120, len(archs))
    model = GraphGaussianProcess().fit(encodings.take(learn), y[learn])
    assert float(kendall(model.predict(encodings.take(rest)).mean, y[rest])) > 0.75
    mean = model.predict(encodings).mean
    of_graph = {}
    for arch, value in zip(archs, mean, strict=True):
        of_graph.setdefault(space.graph(arch).canonical().hash(), []).append(value)
    assert max(len(v) for v in of_graph.values()) > 1
    for values in of_graph.values():
        np.testing.assert_allclose(values, values[0], rtol=1e-9)


def test_other_tables_add_their_kernels():
    encodings, y = table(120)
    x = np.random.default_rng(4).standard_normal((120, 2))
    both = Encodings({**encodings.tables, "x": EncodingTable(("a", "b"), x)}, encodings.identity)
    y = y + 0.3 * np.sin(2 * x[:, 0])
    learn, rest = np.arange(80), np.arange(80, 120)
    missed = []
    for seen in (encodings, both):
        model = GraphGaussianProcess().fit(seen.take(learn), y[learn])
        missed.append(np.abs(model.predict(seen.take(rest)).mean - y[rest]).mean())
    assert len(model.theta_) == 4
    assert missed[1] < 0.7 * missed[0]


@pytest.mark.parametrize("normal_target", [False, True])
def test_predictions_follow_an_affine_change_of_the_values_and_not_the_order_of_rows(
    normal_target,
):
    encodings, y = table(60)
    first = GraphGaussianProcess(normal_target=normal_target).fit(encodings, y).predict(encodings)
    moved = GraphGaussianProcess(normal_target=normal_target).fit(encodings, 3 - 7 * y)
    np.testing.assert_allclose(moved.predict(encodings).mean, 3 - 7 * first.mean, atol=1e-4)
    order = np.random.default_rng(2).permutation(60)
    again = GraphGaussianProcess(normal_target=normal_target).fit(encodings.take(order), y[order])
    np.testing.assert_allclose(again.predict(encodings).mean, first.mean, atol=1e-4)


def test_architectures_without_a_label_are_allowed():
    counts = np.array([[0, 0], [1, 0], [0, 2], [1, 1], [3, 1]])
    encodings = Encodings({"wl": EncodingTable(("wl0_a", "wl1_b"), counts)})
    found = GraphGaussianProcess().fit(encodings, np.arange(5.0)).predict(encodings)
    assert np.isfinite(found.mean).all()
    assert np.isfinite(found.std).all()


def test_what_it_needs_is_said():
    encodings, y = table(20)
    other = Encodings({"x": EncodingTable(("a",), np.arange(20.0)[:, None])})
    with pytest.raises(PredictorError, match="--encoding wl"):
        GraphGaussianProcess().fit(other, y)
    with pytest.raises(PredictorError, match="rounds 0 to 2, but 3"):
        GraphGaussianProcess(3).fit(encodings, y)
    odd = Encodings({"wl": EncodingTable(("conv",), np.arange(20.0)[:, None])})
    with pytest.raises(PredictorError, match="columns of 'wl' such as"):
        GraphGaussianProcess().fit(odd, y)
