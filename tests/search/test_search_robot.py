"""Both RoBoTs: their processes against scikit-learn, their choices against plain loops."""

import numpy as np
import pytest
from scipy import stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern

from foretell.errors import SearchError
from foretell.gaussian.kernels import matern52
from foretell.gaussian.regression import fit_gaussian_process
from foretell.rng import stream
from foretell.search import Problem, PublishedRobotSearch, RobotSearch
from foretell.search._normalise import NORMALISATIONS, normal_scores
from foretell.spaces import get_space


def problem_of(space, worth, *, n=200, seed=0, feasible=None):
    rng = np.random.default_rng(seed)
    every = tuple(space.enumerate())
    pool = tuple(every[i] for i in rng.permutation(len(every))[:n])
    scores = {
        "rough": worth(pool) + 0.1 * rng.standard_normal(n),
        "power": np.exp(60 * worth(pool) + rng.standard_normal(n)),
        "against": -worth(pool) + 0.2 * rng.standard_normal(n),
    }
    options = {"feasible": feasible} if feasible else {}
    return Problem(space, pool, scores, **options)


def run(search, worth, trials):
    asked = []
    for _ in range(trials):
        asked += search.ask()
        search.tell(asked[-1:], worth(asked[-1:]))
    return asked


# --- the parts ---------------------------------------------------------------------------------


def test_the_kernel_is_that_of_scikit_learn():
    points = np.random.default_rng(0).normal(size=(20, 3))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    for scale in (0.1, 1.0, 7.0):
        expected = Matern(length_scale=scale, nu=2.5)(points)
        assert matern52(distance, scale) == pytest.approx(expected)


@pytest.mark.parametrize("n", [2, 5, 30])
def test_the_process_is_that_of_scikit_learn(n):
    rng = np.random.default_rng(n)
    x = rng.uniform(-1, 1, (n, 4))
    y = 3 + np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2]
    theirs = GaussianProcessRegressor(
        Matern(nu=2.5), alpha=1e-6, normalize_y=True, n_restarts_optimizer=10, random_state=0
    ).fit(x, y)
    mine = fit_gaussian_process(x, y)
    fixed = GaussianProcessRegressor(
        Matern(mine.length_scale, nu=2.5), alpha=1e-6, normalize_y=True, optimizer=None
    ).fit(x, y)
    assert fixed.log_marginal_likelihood_value_ >= theirs.log_marginal_likelihood_value_ - 1e-4
    query = rng.uniform(-1, 1, (40, 4))
    mean, std = mine.predict(query)
    expected_mean, expected_std = fixed.predict(query, return_std=True)
    assert mean == pytest.approx(expected_mean, rel=1e-6, abs=1e-6)
    assert std == pytest.approx(expected_std, rel=1e-3, abs=1e-4)


def test_the_upper_bound_and_its_gradient():
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (12, 3))
    model = fit_gaussian_process(x, x[:, 0] ** 2 - x[:, 1])
    for point in rng.uniform(-1, 1, (10, 3)):
        value, gradient = model.upper_bound(point, 2.0)
        mean, std = model.predict(point[None])
        assert value == pytest.approx(mean[0] + 2 * std[0], rel=1e-6)
        steps = 1e-6 * np.eye(3)
        numeric = [
            (model.upper_bound(point + s, 2.0)[0] - model.upper_bound(point - s, 2.0)[0]) / 2e-6
            for s in steps
        ]
        assert gradient == pytest.approx(numeric, rel=1e-4, abs=1e-6)


def test_processes_of_one_or_equal_values():
    for y in (np.array([0.7]), np.full(4, 0.7)):
        x = np.random.default_rng(0).uniform(-1, 1, (len(y), 2))
        mean, std = fit_gaussian_process(x, y).predict(np.zeros((3, 2)))
        assert mean == pytest.approx(np.full(3, 0.7))
        assert np.isfinite(std).all()
    twice = np.zeros((3, 2))
    mean, _ = fit_gaussian_process(twice, np.array([1.0, 2.0, 3.0])).predict(twice[:1])
    assert mean == pytest.approx([2.0])


def test_normalisations():
    values = np.array([1e49, np.nan, -1.0, 3.0, 3.0])
    rank, minmax = NORMALISATIONS["rank"](values), NORMALISATIONS["min-max"](values)
    assert rank == pytest.approx([0.5, 0, -0.5, 0, 0])
    assert minmax == pytest.approx([1, 0, 0, 0, 0])
    expected = stats.norm.ppf([3.5 / 4, np.nan, 0.5 / 4, 0.5, 0.5])
    assert normal_scores(values) == pytest.approx(np.nan_to_num(expected))
    infinite = np.array([np.inf, 1.0, 2.0, -np.inf])
    assert NORMALISATIONS["min-max"](infinite) == pytest.approx([0, 0, 1, 0])
    assert np.argsort(normal_scores(infinite)).tolist() == [3, 1, 2, 0]
    for scale in NORMALISATIONS.values():
        for nothing in (np.full(4, np.nan), np.full(4, 0.1), np.array([1.0, np.nan])):
            assert not scale(nothing).any()


# --- robot -------------------------------------------------------------------------------------


def posterior(problem, places, values):
    """Mean and standard deviation over the pool by scikit-learn, in standard units."""
    columns = np.array([normal_scores(v) for v in problem.scores.values()]).T
    z = (columns - columns.mean(0)) / columns.std(0)
    m = z.shape[1]
    prior = 0.5 * z.sum(1) / z.sum(1).std()
    kernel = (
        ConstantKernel(1.0)
        + ConstantKernel(0.3 / m) * DotProduct(sigma_0=1e-9)
        + Matern(length_scale=np.sqrt(m), nu=2.5)
    )
    model = GaussianProcessRegressor(kernel, alpha=0.2, optimizer=None)
    target = (values - values.mean()) / values.std()
    model.fit(z[places], target - prior[places])
    mean, std = model.predict(z, return_std=True)
    return mean + prior, std


def test_robot_takes_the_highest_bound_of_its_process(space, worth):
    problem = problem_of(space, worth)
    search = RobotSearch(problem, np.random.default_rng(0), kappa=1.5)
    asked = run(search, worth, 6)
    for _ in range(6):
        places = [problem.pool.index(a) for a in asked]
        mean, std = posterior(problem, places, worth(asked))
        unit = worth(asked).std()
        expected = search.predict(problem.pool)
        assert expected == pytest.approx(worth(asked).mean() + unit * mean, rel=1e-8)
        bound = mean + 1.5 * std
        bound[places] = -np.inf
        asked += search.ask()
        assert asked[-1] == problem.pool[int(np.argmax(bound))]
        search.tell(asked[-1:], worth(asked[-1:]))


def test_robot_starts_with_the_favourite_of_the_plain_sum(space, worth):
    """With equal spreads of the bound out of the way."""
    problem = problem_of(space, worth)
    columns = np.array([normal_scores(v) for v in problem.scores.values()])
    total = (columns / columns.std(1, keepdims=True)).sum(0)
    search = RobotSearch(problem, np.random.default_rng(0), kappa=0.0)
    assert search.ask()[0] == problem.pool[int(np.argmax(total))]
    assert np.isnan(search.predict(problem.pool)).all()


def test_robot_does_not_depend_on_scale_or_seed(space, worth):
    problem = problem_of(space, worth)
    changed = {k: np.exp(v / np.abs(v).max()) * 1e6 for k, v in problem.scores.items()}
    other = Problem(space, problem.pool, changed)
    first = run(RobotSearch(problem, np.random.default_rng(0)), worth, 15)
    assert first == run(RobotSearch(other, np.random.default_rng(9)), worth, 15)
    scaled = run(RobotSearch(problem, np.random.default_rng(0)), lambda a: 5 - 3e4 * -worth(a), 15)
    assert first == scaled


def test_robot_in_batches_shrinks_the_bound_of_what_is_in_flight(space, worth):
    problem = problem_of(space, worth)
    singles, batch = (RobotSearch(problem, np.random.default_rng(0)) for _ in range(2))
    assert [singles.ask()[0] for _ in range(5)] == batch.ask(5)
    archs = list(singles.pending)
    for search in (singles, batch):
        search.tell(archs, worth(archs))
    assert singles.ask(4) == batch.ask(4)
    top = RobotSearch(problem, np.random.default_rng(0), kappa=0.0).ask(5)
    assert archs != top, "the five highest bounds of one model are too much alike"


def test_robot_forgets_what_failed(space, worth):
    """A failed trial leaves the process as if it had never been in flight."""
    problem = problem_of(space, worth)
    search = RobotSearch(problem, np.random.default_rng(0))
    asked = run(search, worth, 4)
    failed, flying = search.ask(2)
    search.tell([failed], [np.nan])
    places = [problem.pool.index(a) for a in asked]
    mean, _ = posterior(problem, places, worth(asked))
    _, std = posterior(problem, [*places, problem.pool.index(flying)], worth([*asked, flying]))
    bound = mean + std
    bound[[*places, problem.pool.index(failed), problem.pool.index(flying)]] = -np.inf
    assert search.ask() == [problem.pool[int(np.argmax(bound))]]


def test_robot_learns_to_distrust(space, worth):
    """Proxies that all point the wrong way are turned round."""
    problem = problem_of(space, worth, n=400)
    turned = {k: -v for k, v in problem.scores.items() if k != "against"}
    wrong = Problem(space, problem.pool, turned)
    search = RobotSearch(wrong, np.random.default_rng(0))
    run(search, worth, 40)
    best = np.sort(worth(problem.pool))[::-1]
    assert search.best[1] >= best[9]
    predicted = search.predict(problem.pool)
    assert stats.spearmanr(predicted, worth(problem.pool)).statistic > 0.6


def test_robot_keeps_to_the_feasible_and_checks_its_options(space, worth):
    def feasible(archs):
        return np.array([a.genes[0] < 2 for a in archs])

    problem = problem_of(space, worth, feasible=feasible)
    search = RobotSearch(problem, np.random.default_rng(0))
    assert all(a.genes[0] < 2 for a in run(search, worth, 20))
    stranger = next(a for a in space.enumerate() if a not in problem.pool)
    assert np.isnan(search.predict([stranger])).all()
    for wrong in (-1.0, np.nan):
        with pytest.raises(SearchError, match="kappa"):
            RobotSearch(problem, np.random.default_rng(0), kappa=wrong)


# --- robot as published ------------------------------------------------------------------------


@pytest.mark.parametrize("normalise", list(NORMALISATIONS))
def test_published_explores_then_follows_its_best_weights(space, worth, normalise):
    problem = problem_of(space, worth)
    search = PublishedRobotSearch(problem, np.random.default_rng(3), explore=6, normalise=normalise)
    asked = run(search, worth, 12)
    scale = NORMALISATIONS[normalise]
    columns = np.array([scale(v) for v in problem.scores.values()])
    first = np.random.default_rng(3).uniform(-1, 1, 3)
    assert asked[0] == problem.pool[int(np.argmax(first @ columns))]
    probes = search._probes
    assert len(probes) == 6
    favourites = [problem.pool[int(np.argmax(w @ columns))] for w, _ in probes]
    assert favourites == [a for _, a in probes]
    explored = list(dict.fromkeys(favourites))
    assert asked[: len(explored)] == explored
    values = worth(favourites)
    best = max(i for i in range(6) if values[i] == values.max())
    order = [problem.pool[i] for i in np.argsort(-(probes[best][0] @ columns), kind="stable")]
    rest = [a for a in order if a not in explored]
    assert asked[len(explored) :] == rest[: 12 - len(explored)]
    assert search.predict(problem.pool) == pytest.approx(probes[best][0] @ columns)


def test_published_bound_is_maximised(space, worth):
    """No better weights than the next ones are found by many more draws."""
    problem = problem_of(space, worth)
    search = PublishedRobotSearch(problem, np.random.default_rng(1), explore=8)
    run(search, worth, 5)
    judged = search._judged()
    model = fit_gaussian_process(np.array([w for w, _ in judged]), np.array([v for _, v in judged]))
    weights = search._next_weights()
    mean, std = model.predict(np.random.default_rng(2).uniform(-1, 1, (100_000, 3)))
    assert model.upper_bound(weights, 2.576)[0] >= (mean + 2.576 * std).max() - 1e-9
    assert (np.abs(weights) <= 1).all()


def test_published_repeats_cost_no_trial(space, worth):
    """One proxy has two favourites, so exploration asks for two at most."""
    pool = tuple(space.enumerate())[:100]
    problem = Problem(space, pool, {"index": np.arange(100.0)})
    search = PublishedRobotSearch(problem, np.random.default_rng(0), explore=15)
    asked = run(search, worth, 10)
    assert len(search._probes) == 15
    assert {pool[0], pool[-1]} & set(asked[:2])
    top = [pool[-1 - i] for i in range(10)]
    assert set(top[:8]) <= set(asked) or set(pool[:8]) <= set(asked)


def test_published_in_batches_and_with_failures(space, worth):
    problem = problem_of(space, worth)
    search = PublishedRobotSearch(problem, np.random.default_rng(0), explore=10)
    first = search.ask(4)
    assert len(set(first)) == 4
    search.tell(first[:2], worth(first[:2]))
    second = search.ask(3)
    assert not set(first) & set(second)
    search.tell([*first[2:], *second], np.full(5, np.nan))
    assert search.best[0] in first[:2]
    assert len(search.ask(3)) == 3


@pytest.mark.parametrize("wrong", [{"explore": 0}, {"normalise": "log"}])
def test_published_checks_its_options(space, worth, wrong):
    with pytest.raises(SearchError, match="explore"):
        PublishedRobotSearch(problem_of(space, worth), np.random.default_rng(0), **wrong)


# --- on published accuracies -------------------------------------------------------------------

SIX = ("grad_norm", "snip", "grasp", "fisher", "synflow", "jacov")


@pytest.fixture(scope="module")
def nb201(validation_data):
    """The 9,445 networks with published scores: problem, validation and test accuracies."""
    import duckdb

    names = [f"zcs_{p}_cifar10" for p in SIX]
    rows = duckdb.sql(
        f"select arch, valid12_acc_cifar10 as val, test_acc_cifar10 as test, {', '.join(names)} "
        f"from '{validation_data / 'nb201.parquet'}' where zcs_snip_cifar10 is not null "
        "order by suite_row"
    ).fetchnumpy()
    space = get_space("nb201")
    pool = tuple(space.parse(t) for t in rows["arch"])
    scores = {p: rows[n].astype(float) for p, n in zip(SIX, names, strict=True)}
    values = dict(zip(pool, rows["val"].tolist(), strict=True))
    return Problem(space, pool, scores), values, dict(zip(pool, rows["test"].tolist(), strict=True))


def test_robot_finds_the_published_optimum_in_thirty_trials(nb201):
    problem, values, test = nb201
    search = RobotSearch(problem, np.random.default_rng(0))
    run(search, lambda archs: np.array([values[a] for a in archs]), 30)
    assert test[search.best[0]] == pytest.approx(94.37, abs=0.005)


def test_published_reaches_the_authors_answer(nb201):
    """Median over seeds of the answer after 30 queries: the optimum, 94.37."""
    problem, values, test = nb201
    found = []
    for seed in range(3):
        search = PublishedRobotSearch(problem, stream(seed, "search"), explore=30)
        run(search, lambda archs: np.array([values[a] for a in archs]), 30)
        found.append(test[search.best[0]])
    assert np.median(found) == pytest.approx(94.37, abs=0.005)
