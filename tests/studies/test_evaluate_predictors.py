"""The evaluation of predictors against scikit-learn, scipy and plain loops, on small tables."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as with_
from scipy import stats
from sklearn import metrics as sklearn_metrics
from sklearn.model_selection import train_test_split

from foretell.benchmarks import Metric, TableData, from_data
from foretell.benchmarks.importers import read_benchmark
from foretell.encodings import EncodingContext, encode
from foretell.errors import RunFolderError, StoreError, UnknownNameError, UsageError
from foretell.metrics import unreachable
from foretell.predictors import BayesianLinear, Conformal, LightGBM
from foretell.spaces import get_space
from foretell.studies._base import Resources
from foretell.studies.evaluate_predictors.study import (
    FitFailure,
    Method,
    PredictorsConfig,
    Spread,
    evaluate_predictors,
    read,
    run,
    split_rows,
)
from foretell.studies.run.folder import RunFolder
from foretell.studies.run.session import reading

N = 150
SPACE = get_space("nb201")
QUICK = PredictorsConfig(
    pairs=("bayes_linear:graf+onehot",), targets=("test_accuracy",), sizes=(20,), seeds=(100, 101)
)
PLUGIN = """
import time
from foretell.errors import NonFiniteLossError
from foretell.predictors import Prediction, Predictor

class Constant(Predictor):
    def _fit(self, encodings, y):
        self.mean_ = y.mean()

    def _predict(self, encodings):
        return Prediction(self.mean_ + 0.0 * encodings.matrix()[:, 0])

class Picky(Constant):
    def _fit(self, encodings, y):
        if len(y) > 20:
            raise NonFiniteLossError(3, float("nan"))
        super()._fit(encodings, y)

class Slow(Constant):
    def _fit(self, encodings, y):
        if len(y) > 8:
            time.sleep(60)
        super()._fit(encodings, y)
"""


def make(space="nb201", n=N, seed=2):
    """Cells with a noisy accuracy in per cent, a loss, a latency and two proxies with gaps."""
    rng = np.random.default_rng(seed)
    place = get_space(space)
    archs = list(dict.fromkeys(place.sample(rng) for _ in range(20 * n)))[:n]
    good = np.array([len(place.graph(a).canonical().nodes) for a in archs])
    good = stats.rankdata(good) / n + 0.2 * rng.normal(size=n)
    accuracy = 80 + 5 * good[:, None, None] + 0.2 * rng.normal(size=(n, 2, 1))
    accuracy[: n // 2, 1] = np.nan
    accuracy[7] = np.nan
    nwot = good + 0.3 * rng.normal(size=n)
    nwot[[3, 4]] = np.nan
    row = rng.permutation(n).astype(np.float64)
    row[:30] = np.nan
    columns = {
        Metric("test_accuracy", "a", "fraction", True, split="test", seeds=(0, 1), scale=0.01): (
            accuracy
        ),
        Metric("val_loss", "b", "nats", False, split="val"): -good,
        Metric("latency_chip", "a", "ms", False, kind="cost"): good + rng.random(n),
        Metric("nwot", "a", kind="proxy", higher_is_better=True): nwot,
        Metric("zen", "a", kind="proxy", higher_is_better=True): rng.normal(size=n),
        Metric("nwot", "b", kind="proxy", higher_is_better=True): good + rng.normal(size=n),
        Metric("row", kind="cost"): row,
        Metric("params", unit="count", kind="cost"): np.round(1e6 * (1 + good - good.min())),
    }
    return from_data(
        TableData(
            "small",
            [place.format(a) for a in archs],
            {m.key: m for m in columns},
            {m.key: np.reshape(v, (n, -1, 1)) for m, v in columns.items()},
            space,
            np.array([a.genes for a in archs]),
        )
    )


@pytest.fixture(scope="module")
def table():
    return make()


@pytest.fixture(scope="module")
def found(table):
    """Two targets, three methods and three baselines, two sizes, three seeds."""
    return evaluate_predictors(
        table,
        PredictorsConfig(
            predictors=("bayes_linear", "lightgbm"),
            encodings=("graf+scores",),
            pairs=("bayes_linear:onehot",),
            targets=("a/test_accuracy", "val_loss"),
            sizes=(40, 20),
            seeds=(100, 101, 103),
            level=0.9,
        ),
    )


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "plugin.py"
    path.write_text(PLUGIN)
    return lambda name: f"{path}:{name}:onehot"


def run_in(folder, table, config=QUICK, **more):
    return run(config, folder, resources=Resources(benchmark=table), **more)


def known_of(table, key="a/test_accuracy"):
    truth = table.query(None, key, missing="nan")
    return np.flatnonzero(~np.isnan(truth)), truth


def encodings_of(table, text, dataset="a"):
    scores = {
        m.name: table.query(None, k, missing="nan")
        for k, m in table.metrics.items()
        if m.kind == "proxy" and m.dataset == dataset
    }
    archs = table.archs()
    return encode(text, EncodingContext(SPACE, archs, SPACE.costs(archs, SPACE.skeleton()), scores))


def at(found, metric, target, method, size, seed):
    return float(
        found.of(metric)[
            [t.key for t in found.targets].index(target),
            [m.name for m in found.methods].index(method),
            found.sizes.index(size),
            found.seeds.index(seed),
        ]
    )


class TestSplits:
    @given(st.integers(2, 60), st.integers(0, 2**31 - 1), st.integers(0, 40))
    def test_sklearn_is_train_test_split(self, size, seed, test):
        n = size + max(test, 1) + 5
        ours = split_rows(n, size, test or None, seed, "sklearn")
        theirs = train_test_split(
            np.arange(n), train_size=size, test_size=test or None, random_state=seed
        )
        for mine, other in zip(ours, theirs, strict=True):
            assert np.array_equal(mine, other)

    @given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 1000), st.integers(0, 30))
    def test_own_train_sets_are_nested_and_disjoint_from_the_tests(self, one, two, seed, test):
        n = 100
        small, large = sorted((one, two))
        fit, ask = split_rows(n, small, test or None, seed, "own")
        more, other = split_rows(n, large, test or None, seed, "own")
        assert set(fit) <= set(more)
        assert not set(more) & set(other)
        assert len(fit) == small == len(set(fit.tolist()))
        if test:
            assert np.array_equal(ask, other)
            assert len(ask) == test
        else:
            assert sorted([*fit, *ask]) == list(range(n))

    def test_own_splits_differ_between_seeds(self):
        first, second = (split_rows(50, 10, None, seed, "own")[0].tolist() for seed in (0, 1))
        assert first != second
        assert first == split_rows(50, 10, None, 0, "own")[0].tolist()

    def test_sklearn_counts_rows_in_the_order_asked_for(self, table):
        config = with_(QUICK, split="sklearn", order="row")
        found = evaluate_predictors(table, config)
        by = table.query(None, "row", missing="nan")
        rows = [int(i) for i in np.argsort(by) if np.isfinite(by[i])]
        assert (found.n, found.order) == (120, "row")
        truth = table.query(None, "a/test_accuracy", missing="nan")
        rows = np.array([i for i in rows if np.isfinite(truth[i])])
        fit, ask = train_test_split(rows, train_size=20, random_state=101)
        archs = [a for a, v in zip(table.archs(), by, strict=True) if np.isfinite(v)]
        place = {a: i for i, a in enumerate(archs)}
        where = {int(i): place[table.archs()[i]] for i in rows}
        encodings = encode("graf+onehot", EncodingContext(SPACE, archs))
        seen, unseen = (encodings.take(np.array([where[int(i)] for i in p])) for p in (fit, ask))
        mean = BayesianLinear().fit(seen, truth[fit]).predict(unseen).mean
        tau = stats.kendalltau(mean, truth[ask]).statistic
        method = "bayes_linear, graf+onehot"
        assert at(found, "kendall", "a/test_accuracy", method, 20, 101) == pytest.approx(tau)


class TestFigures:
    @pytest.mark.parametrize("size", [20, 40])
    def test_a_predictor_against_scipy_and_scikit_learn(self, table, found, size):
        rows, truth = known_of(table)
        encodings = encodings_of(table, "graf+scores")
        fit, ask = (rows[p] for p in split_rows(len(rows), size, None, 101, "own"))
        y, t = truth[fit], truth[ask]
        model = LightGBM(seed=101).fit(encodings.take(fit), y)
        p = model.predict(encodings.take(ask)).mean
        within = Conformal(lambda: LightGBM(seed=101), level=0.9, seed=101)
        within = within.fit(encodings.take(fit), y).predict(encodings.take(ask))
        top = set(np.argsort(-t)[:10]) & set(np.argsort(-p)[:10])
        wanted = {
            "kendall": stats.kendalltau(p, t).statistic,
            "spearman": stats.spearmanr(p, t).statistic,
            "pearson": stats.pearsonr(p, t).statistic,
            "r2": sklearn_metrics.r2_score(t, p),
            "mae": sklearn_metrics.mean_absolute_error(t, p),
            "rmse": sklearn_metrics.root_mean_squared_error(t, p),
            "sparse_kendall_2": stats.kendalltau(np.round(100 * p, 2), t).statistic,
            "sparse_kendall_1": stats.kendalltau(np.round(100 * p, 1), t).statistic,
            "precision_at_10": len(top) / 10,
            "regret_at_10": t.max() - t[np.argsort(-p)[:10]].max(),
            "coverage": np.mean((within.low <= t) & (t <= within.high)),
            "width": np.mean(within.high - within.low),
        }
        got = {
            name: at(found, name, "a/test_accuracy", "lightgbm, graf+scores", size, 101)
            for name in wanted
        }
        assert got == pytest.approx(wanted)
        assert set(wanted) | {"fit_seconds", "query_seconds"} == set(found.metrics)

    def test_times_are_of_every_fit(self, found):
        learns = [not m.baseline for m in found.methods]
        for name in ("fit_seconds", "query_seconds"):
            assert (found.of(name)[:, learns] > 0).all()
        assert (found.of("query_seconds")[:, [not v for v in learns]] == 0).all()

    def test_what_is_better_when_lower_is_turned(self, table, found):
        rows, truth = known_of(table, "b/val_loss")
        encodings = encodings_of(table, "onehot", "b")
        fit, ask = (rows[p] for p in split_rows(len(rows), 40, None, 100, "own"))
        model = BayesianLinear().fit(encodings.take(fit), -truth[fit])
        p, t = model.predict(encodings.take(ask)).mean, -truth[ask]
        method = ("b/val_loss", "bayes_linear, onehot", 40, 100)
        assert at(found, "kendall", *method) == pytest.approx(stats.kendalltau(p, t).statistic)
        assert at(found, "rmse", *method) == pytest.approx(np.sqrt(np.mean((p - t) ** 2)))
        rounded = stats.kendalltau(np.round(p, 1), t).statistic  # read as it is, not in per cent
        assert at(found, "sparse_kendall_1", *method) == pytest.approx(rounded)
        top = t.max() - t[np.argsort(-p)[:10]].max()
        assert at(found, "regret_at_10", *method) == pytest.approx(top)

    def test_sizes_learn_no_model_and_have_no_unit(self, table, found):
        rows, truth = known_of(table)
        _, ask = split_rows(len(rows), 20, None, 103, "own")
        archs = [table.archs()[i] for i in rows[ask]]
        costs = SPACE.costs(archs, SPACE.skeleton())
        for name in ("params", "flops"):
            tau = stats.kendalltau(getattr(costs, name), truth[rows[ask]]).statistic
            assert at(found, "kendall", "a/test_accuracy", name, 20, 103) == pytest.approx(tau)
            assert np.isnan(at(found, "mae", "a/test_accuracy", name, 20, 103))

    @pytest.mark.parametrize(("target", "dataset"), [("a/test_accuracy", "a"), ("b/val_loss", "b")])
    def test_the_best_proxy_is_chosen_on_the_train_set(self, table, found, target, dataset):
        rows, truth = known_of(table, target)
        truth = -truth if target == "b/val_loss" else truth
        fit, ask = (rows[p] for p in split_rows(len(rows), 40, None, 103, "own"))
        costs = SPACE.costs(table.archs(), SPACE.skeleton())
        columns = [
            table.query(None, k, missing="nan")
            for k, m in table.metrics.items()
            if m.kind == "proxy" and m.dataset == dataset
        ]
        columns += [costs.params, costs.live_params, costs.sum_log_params, costs.flops]
        columns = [np.where(np.isnan(c), np.nanmedian(c), c) for c in columns]
        chosen = max(columns, key=lambda c: stats.kendalltau(c[fit], truth[fit]).statistic)
        tau = stats.kendalltau(chosen[ask], truth[ask]).statistic
        assert at(found, "kendall", target, "best proxy", 40, 103) == pytest.approx(tau)

    def test_a_constant_prediction_is_undefined_and_no_failure(self, table, plugin):
        found = evaluate_predictors(table, with_(QUICK, pairs=(plugin("Constant"),)))
        assert found.failures == ()
        assert np.isnan(found.of("kendall")[0, 0]).all()
        assert np.isfinite(found.of("mae")[0, 0]).all()
        assert found.best(0, 0) != 0
        assert found.spread("kendall", 0, 0, 0) == pytest.approx(
            Spread(np.nan, np.nan, np.nan, np.nan, 0), nan_ok=True
        ) or np.isnan(found.spread("kendall", 0, 0, 0).mean)

    def test_small_train_sets_have_no_intervals(self, table):
        config = with_(QUICK, sizes=(8, 9), seeds=(100,), level=0.9)
        found = evaluate_predictors(table, config)
        assert np.isnan(found.of("coverage")[0, 0, 0, 0])
        assert np.isfinite(found.of("coverage")[0, 0, 1, 0])
        assert np.isfinite(found.of("kendall")[0, 0]).all()

    def test_a_number_of_tests(self, table):
        found = evaluate_predictors(table, with_(QUICK, test=30, sizes=(20, 60)))
        assert found.tests.tolist() == [[30, 30]]
        tau = found.of("kendall")[0, [m.name for m in found.methods].index("params")]
        assert np.array_equal(tau[0], tau[1])  # the same networks for every train size


class TestWhatIsDrawnFrom:
    def test_rows_without_truth_are_left_out_and_counted(self, found):
        assert found.targets[0].known == N - 1
        assert found.tests.tolist() == [[N - 21, N - 41], [N - 20, N - 40]]
        assert any("149 of 150" in note for note in found.notes)
        assert any("1 of 2 proxies on a have no value for up to 2 of 150" in n for n in found.notes)

    @pytest.mark.parametrize("population", ["alive", "no unreachable op", "deduplicated"])
    def test_populations(self, table, population):
        graphs = [SPACE.graph(a) for a in table.archs()]
        first = {}
        for i, graph in enumerate(graphs):
            first.setdefault((graph.hash(), int(SPACE.costs([table.archs()[i]],
                             SPACE.skeleton()).flops[0])), i)  # fmt: skip
        counts = {
            "alive": sum(g.alive for g in graphs),
            "no unreachable op": sum(not unreachable(g) for g in graphs),
            "deduplicated": len(first),
        }
        found = evaluate_predictors(table, with_(QUICK, population=population, seeds=(100,)))
        assert found.n == counts[population]
        assert found.n <= found.total == N

    def test_a_sample(self, table):
        found = evaluate_predictors(table, with_(QUICK, n=60))
        assert (found.n, found.total) == (60, N)
        assert found.tests[0, 0] in (39, 40)

    def test_a_latency_can_be_a_target_and_a_pattern_brings_no_sizes(self, table):
        found = evaluate_predictors(table, with_(QUICK, targets=("a/*",), seeds=(100,)))
        assert [t.key for t in found.targets] == ["a/test_accuracy", "a/latency_chip"]
        assert found.targets[1].turned

    def test_defaults_run_as_they_are(self, table):
        found = evaluate_predictors(table, PredictorsConfig(sizes=(20,), seeds=(100,)))
        assert [t.key for t in found.targets] == ["a/test_accuracy"]
        usual = "graf+costs+scores+onehot"
        assert found.methods == (
            *(Method(p, usual) for p in ("gp", "random_forest", "bayes_linear")),
            *(Method(p) for p in ("params", "flops", "best proxy")),
        )
        assert found.proxies == ("nwot", "zen")
        assert set(found.encoding_seconds) == {usual}

    def test_some_proxies(self, table):
        config = with_(QUICK, pairs=("bayes_linear:scores",), proxies=("zen",), seeds=(100,))
        found = evaluate_predictors(table, config)
        rows, truth = known_of(table)
        fit, ask = (rows[p] for p in split_rows(len(rows), 20, None, 100, "own"))
        zen = table.query(None, "a/zen")
        tau = stats.kendalltau(zen[ask], truth[ask]).statistic
        sign = np.sign(np.polyfit(zen[fit], truth[fit], 1)[0])
        got = at(found, "kendall", "a/test_accuracy", "bayes_linear, scores", 20, 100)
        assert got == pytest.approx(sign * tau)

    def test_without_baselines_and_each_method_once(self, table):
        config = with_(
            QUICK,
            predictors=("bayes_linear",),
            encodings=("graf+onehot", "onehot"),
            baselines=False,
            seeds=(100,),
        )
        found = evaluate_predictors(table, config)
        assert [m.name for m in found.methods] == [
            "bayes_linear, graf+onehot",
            "bayes_linear, onehot",
        ]

    def test_costs_of_the_table_where_there_is_no_closed_form(self):
        table = make("nb101", n=60)
        assert get_space("nb101").costs(table.archs(), get_space("nb101").skeleton()) is None
        config = with_(QUICK, pairs=("bayes_linear:costs",), seeds=(100,))
        found = evaluate_predictors(table, config)
        assert any("Costs are the table's params" in note for note in found.notes)
        names = [m.name for m in found.methods]
        assert names == ["bayes_linear, costs", "params", "best proxy"]
        rows, truth = known_of(table)
        fit, ask = (rows[p] for p in split_rows(len(rows), 20, None, 100, "own"))
        params = table.query(None, "params")
        sign = np.sign(np.polyfit(np.log(params[fit]), truth[fit], 1)[0])
        tau = stats.kendalltau(params[ask], truth[ask]).statistic
        assert found.of("kendall")[0, 1, 0, 0] == pytest.approx(tau)
        assert found.of("kendall")[0, 0, 0, 0] == pytest.approx(sign * tau, abs=0.2)


class TestResume:
    def test_a_stopped_run_goes_on_and_loses_nothing(self, table, tmp_path):
        config = with_(QUICK, sizes=(20, 30), seeds=(100, 101, 102))

        def stop(progress):
            assert (progress.stage, progress.total) == ("fit", 24)
            if progress.done == 7:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_in(tmp_path, table, config, on_progress=stop)
        seen = []
        found = run_in(tmp_path, table, config, on_progress=seen.append)
        assert found.reused == 7
        assert (seen[0].stage, seen[0].done, seen[0].total) == ("fit", 7, 24)
        assert (seen[-1].stage, seen[-1].done, seen[-1].total) == ("fit", 24, 24)
        whole = evaluate_predictors(table, config)
        still = [m for m in found.metrics if not m.endswith("_seconds")]
        for metric in still:
            assert np.array_equal(found.of(metric), whole.of(metric), equal_nan=True)
        again = run_in(tmp_path, table, config)
        assert again.reused == again.fits == 24
        assert np.array_equal(again.values, found.values, equal_nan=True)

    def test_a_larger_grid_goes_on_from_a_smaller_one(self, table, tmp_path):
        run_in(tmp_path, table)
        more = with_(
            QUICK,
            pairs=(*QUICK.pairs, "bayes_linear:onehot"),
            targets=("test_accuracy", "val_loss"),
            sizes=(20, 30),
            seeds=(100, 101, 102),
        )
        found = run_in(tmp_path, table, more)
        assert (found.reused, found.fits) == (8, 60)
        smaller = run_in(tmp_path, table)
        assert smaller.reused == smaller.fits == 8

    def test_a_fit_that_was_being_made_is_made_again(self, table, tmp_path):
        run_in(tmp_path, table)
        with sqlite3.connect(tmp_path / "study.db") as db:
            db.execute(
                "UPDATE trials SET state = 'running', value = NULL, lease_until = 0 "
                "WHERE number = 3"
            )
        found = run_in(tmp_path, table)
        assert found.reused == found.fits - 1
        assert np.isfinite(found.of("kendall")).all()

    @pytest.mark.parametrize(
        "other",
        [
            {"test": 40},
            {"split": "sklearn"},
            {"population": "alive"},
            {"level": 0.5},
            {"proxies": ("zen",)},
            {"order": "row"},
        ],
    )
    def test_fits_of_other_settings_are_refused(self, table, tmp_path, other):
        run_in(tmp_path, table)
        (name,) = other
        with pytest.raises(RunFolderError, match=f"with {name} .* choose another folder"):
            run_in(tmp_path, table, with_(QUICK, **other))

    def test_fits_on_another_table_are_refused(self, table, tmp_path):
        run_in(tmp_path, table)
        with pytest.raises(RunFolderError, match="networks of the table"):
            run_in(tmp_path, make(seed=3))

    def test_a_damaged_file_is_refused(self, table, tmp_path):
        (tmp_path / "study.db").write_text("not json\n")
        with pytest.raises(StoreError, match=r"study\.db"):
            run_in(tmp_path, table)

    def test_a_folder_in_use_or_that_is_a_file_is_refused(self, table, tmp_path):
        with (
            RunFolder(tmp_path).lock(),
            pytest.raises(RunFolderError, match="Another run is going on"),
        ):
            run_in(tmp_path, table)
        (tmp_path / "file").write_text("")
        with pytest.raises(RunFolderError, match="is a file"):
            run_in(tmp_path / "file", table)

    def test_what_is_there_can_be_read_at_any_time(self, table, tmp_path):
        def stop(progress):
            half = read(tmp_path)
            assert np.isfinite(half.of("kendall")).sum() == progress.done
            if progress.done == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_in(tmp_path, table, on_progress=stop)
        assert len(read(tmp_path).each()["seed"]) == 3
        found = run_in(tmp_path, table)
        assert repr(read(tmp_path).tables()) == repr(found.tables())


class TestFailures:
    def test_they_are_counted_and_never_a_number(self, table, plugin, tmp_path):
        config = with_(QUICK, pairs=(*QUICK.pairs, plugin("Picky")), sizes=(20, 30))
        found = run_in(tmp_path, table, config)
        assert len(found.failures) == 2
        first = found.failures[0]
        assert replace(first, message="") == FitFailure(
            "a/test_accuracy", 1, 30, 100, "not_finite", "NonFiniteLossError", ""
        )
        assert "epoch 4" in first.message
        assert np.isnan(found.values[:, 0, 1, 1]).all()
        assert found.failed(0, 1, 1) == 2
        assert found.failed(0, 1, 0) == found.failed(0, 0, 1) == 0
        assert found.ranks()[0, 1, 1] == len(found.methods)
        assert len(found.each()["seed"]) == found.fits - 2
        again = run_in(tmp_path, table, config)
        assert again.reused == found.fits - 2  # failures are tried again
        assert len(again.failures) == 2

    def test_the_wrong_inputs_fail_the_fit_and_say_so(self, table):
        config = with_(QUICK, pairs=("lightgbm:onehot", "auto:onehot"), sizes=(4,), seeds=(100,))
        found = evaluate_predictors(table, config)
        errors = {found.methods[f.method].predictor: f.error for f in found.failures}
        assert errors == {"auto": "PredictorError"}

    def test_workers_give_the_same_and_end_what_takes_too_long(self, table, plugin):
        config = with_(QUICK, pairs=(*QUICK.pairs, plugin("Slow")), seeds=(100,))
        found = evaluate_predictors(table, with_(config, workers=1, timeout=3.0))
        assert [(f.method, f.state, f.error) for f in found.failures] == [
            (1, "timed_out", "TimeoutError")
        ]
        here = evaluate_predictors(table, with_(QUICK, seeds=(100,)))
        kendall = found.of("kendall")[0, [0, 2, 3, 4]]
        assert np.array_equal(kendall, here.of("kendall")[0])

    def test_nothing_left_to_do_starts_no_worker(self, table, tmp_path, monkeypatch):
        run_in(tmp_path, table)
        monkeypatch.setattr("foretell.studies.run.workers.PoolExecutor", None)
        found = run_in(tmp_path, table, with_(QUICK, workers=2))
        assert found.reused == found.fits


class TestComparisons:
    def test_spreads_are_t_intervals(self):
        values = np.array([0.5, np.nan, 0.7, 0.65, 0.4])
        spread = Spread.of(values, 0.9)
        known = values[~np.isnan(values)]
        low, high = stats.t.interval(0.9, 3, known.mean(), stats.sem(known))
        got = (spread.mean, spread.std, spread.low, spread.high, spread.seeds)
        assert got == pytest.approx((known.mean(), known.std(ddof=1), low, high, 4))
        one = Spread.of(np.array([0.5, np.nan]), 0.9)
        assert (one.mean, one.seeds) == (0.5, 1)
        assert np.isnan([one.std, one.low, one.high]).all()
        none = Spread.of(np.array([np.nan]), 0.9)
        assert none.seeds == 0
        assert np.isnan(none.mean)

    def test_differences_are_paired(self, found):
        tau = found.of("kendall")
        for t, s in np.ndindex(2, 2):
            best = int(np.argmax(tau[t, :, s].mean(axis=1)))
            assert found.best(t, s) == best
            for m in range(len(found.methods)):
                less = tau[t, best, s] - tau[t, m, s]
                behind, won = found.behind(t, m, s)
                assert behind.mean == pytest.approx(less.mean())
                half = stats.t.ppf(0.975, 2) * less.std(ddof=1) / np.sqrt(3)
                assert behind.high - behind.low == pytest.approx(2 * half)
                assert won == np.mean(np.where(less == 0, 0.5, less < 0))

    def test_ranks_are_those_of_scipy(self, found):
        tau = found.of("kendall")
        wanted = stats.rankdata(-tau, axis=1).mean(axis=-1)
        assert found.ranks() == pytest.approx(wanted)

    def test_one_with_failures_is_not_the_best_while_another_has_none(self, found):
        values = found.values.copy()
        kendall = found.metrics.index("kendall")
        values[kendall, 0, 0, 0] = [0.99, np.nan, 0.99]
        some = replace(found, values=values)
        assert some.best(0, 0) != 0
        behind, won = some.behind(0, 0, 0)
        assert behind.seeds == 2
        assert (behind.mean < 0, won) == (True, 1.0)
        nothing = replace(found, values=np.full_like(values, np.nan))
        assert nothing.best(0, 0) == 0
        assert np.isnan(nothing.behind(0, 0, 0)[1])

    def test_tables_hold_every_cell_and_every_fit(self, found):
        cells, each = found.cells(), found.each()
        assert {len(v) for v in cells.values()} == {2 * 2 * 6}
        assert {len(v) for v in each.values()} == {2 * 2 * 6 * 3} == {found.fits}
        for i in range(24):
            same = [
                k
                for k, (t, p, x, n) in enumerate(
                    zip(each["target"], each["predictor"], each["encodings"], each["train_size"],
                        strict=True)
                )
                if (t, p, x, n)
                == tuple(cells[c][i] for c in ("target", "predictor", "encodings", "train_size"))
            ]  # fmt: skip
            taus = [each["kendall"][k] for k in same]
            assert cells["kendall"][i] == pytest.approx(np.mean(taus))
            assert cells["kendall_std"][i] == pytest.approx(np.std(taus, ddof=1))
        means = np.array(cells["kendall"]).reshape(4, 6)
        assert (np.diff(means) <= 0).all()  # the best first
        json.dumps(cells)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sizes": ()}, "train sizes of 2"),
        ({"sizes": (1, 20)}, "train sizes of 2"),
        ({"seeds": ()}, "seeds of 0"),
        ({"seeds": (-1,)}, "seeds of 0"),
        ({"seeds": (3, 3)}, "stands twice"),
        ({"test": 1}, "2 or more architectures to test on"),
        ({"split": "random"}, "own, sklearn"),
        ({"level": 1.0}, "level in"),
        ({"confidence": 1.0}, "confidence in"),
        ({"encodings": ("graf",)}, "Encodings are for predictors"),
        ({"pairs": ("gp",)}, "PREDICTOR:ENCODING"),
        ({"pairs": ("gp:",)}, "PREDICTOR:ENCODING"),
        ({"population": "top 100"}, "deduplicated"),
        ({"n": 1}, "2 to 150"),
        ({"n": 151}, "2 to 150"),
        ({"sizes": (148,)}, "too few to learn from 148"),
        ({"sizes": (120,), "test": 40}, "too few to learn from 120 and predict 40"),
    ],
)
def test_what_cannot_be_is_refused(table, change, words):
    with pytest.raises(UsageError, match=words):
        evaluate_predictors(table, with_(QUICK, **change))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pairs": ("gpp:onehot",)}, "gp"),
        ({"pairs": ("gp:grafs",)}, "graf"),
        ({"targets": ("accuracy",)}, "test_accuracy"),
        ({"targets": ("params",)}, "target"),
        ({"proxies": ("nwott",)}, "nwot"),
        ({"order": "rows"}, "row"),
    ],
)
def test_unknown_names_are_refused(table, change, words):
    with pytest.raises(UnknownNameError, match=words):
        evaluate_predictors(table, with_(QUICK, **change))


def test_workers_and_timeouts_are_checked(table):
    with pytest.raises(UsageError, match="0 workers or more"):
        evaluate_predictors(table, with_(QUICK, workers=-1))
    with pytest.raises(UsageError, match="needs a process"):
        evaluate_predictors(table, with_(QUICK, timeout=5.0))


def test_a_table_without_a_space_is_refused():
    metric = Metric("test_accuracy", "a", "fraction", True)
    data = TableData("plain", ["x", "y"], {metric.key: metric}, {metric.key: np.ones((2, 1, 1))})
    with pytest.raises(UsageError, match="no space"):
        evaluate_predictors(from_data(data), QUICK)


def test_the_example_of_the_page_runs(capsys):
    page = Path(__file__).resolve().parents[2] / "docs" / "evaluate-predictors.md"
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(block, page.name, "exec"), {})
    shape, best = capsys.readouterr().out.splitlines()
    assert shape == "(1, 5, 2, 3)"
    assert best


def test_the_page_names_every_option():
    from foretell.cli.evaluate import predictors_command

    page = Path(__file__).resolve().parents[2] / "docs" / "evaluate-predictors.md"
    text = page.read_text(encoding="utf-8")
    for option in predictors_command.params:
        name = option.opts[0]
        assert name in text or name in ("bench", "--quiet"), name


def test_a_killed_process_loses_nothing_that_was_finished(tmp_path):
    argv = [
        *("evaluate", "predictors", "digits-nb201", "--pair", "bayes_linear:onehot", "--n", "80"),
        *("--target", "val_loss", "--sizes", "10", "--seeds", "400", "--out", str(tmp_path)),
    ]
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "foretell"), *argv], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def finished():
        try:
            with reading(tmp_path, "evaluate_predictors") as store:
                return store.counts("evaluate_predictors").get("done", 0)
        except RunFolderError:
            return 0

    end = time.monotonic() + 60
    while finished() <= 5:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = finished()
    config = PredictorsConfig(
        benchmark="digits-nb201", pairs=("bayes_linear:onehot",), targets=("val_loss",),
        sizes=(10,), n=80, seeds=tuple(range(3)),
    )  # fmt: skip
    found = run(config, tmp_path)
    assert found.reused == min(kept, found.fits)
    assert np.isfinite(found.of("kendall")).all()
    assert kept <= finished() <= max(kept, found.fits) + 1


def test_published_splits_of_nb201(validation_data):
    """The imported table, sorted by ``suite_row``, is split as published studies split it."""
    duckdb = pytest.importorskip("duckdb")
    path = validation_data / "nb201.parquet"
    rows = duckdb.sql(
        f"SELECT arch, val_acc_cifar10_nbsz FROM '{path}' WHERE suite_row IS NOT NULL "
        "ORDER BY suite_row"
    ).fetchall()
    archs = [SPACE.parse(text) for text, _ in rows]
    truth = np.array([value for _, value in rows]) / 100
    encodings = encode("onehot", EncodingContext(SPACE, archs))
    fit, ask = train_test_split(np.arange(len(rows)), train_size=64, random_state=103)
    p = BayesianLinear().fit(encodings.take(fit), truth[fit]).predict(encodings.take(ask)).mean
    table = from_data(read_benchmark("parquet", path))
    config = PredictorsConfig(
        pairs=("bayes_linear:onehot",), targets=("cifar10/val_accuracy_nbsz",), sizes=(64,),
        seeds=(103,), split="sklearn", order="suite_row",
    )  # fmt: skip
    found = evaluate_predictors(table, config)
    assert (found.n, found.total) == (9445, 15625)
    tau = stats.kendalltau(p, truth[ask]).statistic
    assert found.of("kendall")[0, 0, 0, 0] == pytest.approx(tau, abs=1e-6)
    assert found.of("mae")[0, 0, 0, 0] == pytest.approx(np.abs(p - truth[ask]).mean(), rel=1e-5)
