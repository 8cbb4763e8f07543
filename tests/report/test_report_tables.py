"""The numbers of a report against independent ones."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from foretell.report import PoolTable, TrialRow
from foretell.report.search import tables


def finite_pairs(x, y):
    keep = np.isfinite(x) & np.isfinite(y)
    return x[keep], y[keep]


class TestInterval:
    @given(st.integers(1, 2000), st.floats(0, 1))
    @settings(max_examples=60, deadline=None)
    def test_equals_scipy(self, images, share):
        right = round(share * images)
        low, high = tables.interval(right / images, images)
        theirs = stats.binomtest(right, images).proportion_ci(method="wilson")
        assert low == pytest.approx(theirs.low, abs=1e-9)
        assert high == pytest.approx(theirs.high, abs=1e-9)

    @pytest.mark.parametrize(("accuracy", "images"), [(float("nan"), 100), (0.9, 0)])
    def test_nothing_to_bound(self, accuracy, images):
        assert all(map(math.isnan, tables.interval(accuracy, images)))


class TestCorrelation:
    def test_matrix_equals_scipy(self, run):
        info = tables.correlation_info(run)
        assert set(info.names) == set(run.pool.scores)
        for i, first in enumerate(info.names):
            for j, second in enumerate(info.names):
                x, y = finite_pairs(run.pool.scores[first], run.pool.scores[second])
                theirs = stats.kendalltau(x, y, variant="b").statistic
                assert info.matrix[i, j] == pytest.approx(theirs, abs=1e-12)
                assert info.counts[i, j] == len(x)

    def test_accuracy_equals_scipy(self, run):
        info = tables.correlation_info(run)
        place = {a: i for i, a in enumerate(run.pool.archs)}
        done = [t for t in run.trials if t.state == "done"]
        accuracy = np.array([t.val_accuracy for t in done])
        for name, tau, n in zip(info.names, info.accuracy, info.accuracy_n, strict=True):
            score = np.array([run.pool.scores[name][place[t.arch]] for t in done])
            x, y = finite_pairs(score, accuracy)
            assert tau == pytest.approx(stats.kendalltau(x, y, variant="b").statistic, abs=1e-12)
            assert n == len(x)

    def test_says_what_it_rests_on(self, run):
        info = tables.correlation_info(run)
        assert (info.pool, info.trained, info.seed) == (500, 37, 0)
        assert info.population == run.pool.population
        assert {n for n, b in zip(info.names, info.baseline, strict=True) if b} == {
            "params",
            "live_params",
            "sum_log_params",
        }
        assert info.absent == ()
        missing = dict(zip(info.names, info.missing.tolist(), strict=True))
        assert missing["zico"] == 7
        assert missing["grasp"] == 2
        assert sum(missing.values()) == 9

    def test_sorted_by_agreement(self, run):
        taus = tables.correlation_info(run).accuracy
        assert (np.diff(taus) <= 0).all()

    def test_unscored_baselines_are_named(self, run):
        scores = {k: v for k, v in run.pool.scores.items() if k != "live_params"}
        info = tables.correlation_info(replace(run, pool=replace(run.pool, scores=scores)))
        assert info.absent == ("live_params",)

    def test_trials_from_outside_the_pool_have_no_score(self, run):
        more = (*run.trials, TrialRow(99, "elsewhere", val_accuracy=0.9))
        info = tables.correlation_info(replace(run, trials=more))
        assert info.accuracy_n.max() == 37
        assert info.trained == 38

    def test_nothing_scored(self, bare):
        info = tables.correlation_info(bare)
        assert info.names == ()
        assert info.matrix.shape == (0, 0)
        assert math.isnan(info.noise)

    def test_infinite_scores_are_missing(self, run):
        scores = {"a": np.where(np.arange(500) < 4, np.inf, run.pool.scores["nwot"])}
        info = tables.correlation_info(replace(run, pool=replace(run.pool, scores=scores)))
        assert info.missing.tolist() == [4]
        assert info.counts[0, 0] == 496

    def test_constant_proxy_has_no_tau_and_comes_last(self, run):
        scores = {"a": np.ones(500), "nwot": run.pool.scores["nwot"]}
        info = tables.correlation_info(replace(run, pool=replace(run.pool, scores=scores)))
        assert info.names == ("nwot", "a")
        assert math.isnan(info.accuracy[1])

    @pytest.mark.parametrize("n", [8, 16, 40])
    def test_chance_level(self, n):
        rng = np.random.default_rng(n)
        draws = [stats.kendalltau(rng.random(n), rng.random(n)).statistic for _ in range(1500)]
        outside = np.mean(np.abs(draws) > tables.chance_level(n))
        assert 0.03 < outside < 0.075

    def test_chance_level_of_one(self):
        assert math.isnan(tables.chance_level(1))


class TestPareto:
    @pytest.mark.parametrize("cost", ["params", "flops", "memory"])
    def test_front_equals_brute_force(self, run, cost):
        info = tables.pareto_info(run, cost)
        assert len(info.trials) == 37
        points = [(getattr(t, cost), t.val_accuracy) for t in info.trials]
        for (c, a), on_front in zip(points, info.front, strict=True):
            beaten = any(k <= c and b >= a and (k < c or b > a) for k, b in points)
            assert on_front == (not beaten)

    def test_winner_and_limit(self, run):
        info = tables.pareto_info(run, "params")
        assert info.trials[info.winner].arch == run.winner.arch
        assert info.limit == 100_000
        assert tables.pareto_info(run, "flops").limit is None

    def test_winner_that_is_no_trial_is_not_another_one(self, run):
        moved = replace(run, winner=replace(run.winner, number=None, arch="elsewhere"))
        assert tables.pareto_info(moved).winner is None

    def test_winner_by_its_text(self, run):
        moved = replace(run, winner=replace(run.winner, number=None))
        info = tables.pareto_info(moved)
        assert info.trials[info.winner].arch == run.winner.arch

    def test_unknown_costs_are_left_out(self, run):
        trials = tuple(replace(t, params=float("nan")) for t in run.trials)
        assert tables.pareto_info(replace(run, trials=trials)).trials == ()


class TestProgress:
    def test_best_so_far(self, run):
        info = tables.progress_info(run)
        best = -1.0
        for trial, value in zip(info.trials, info.best, strict=True):
            if trial.state == "done":
                best = max(best, trial.val_accuracy)
            assert value == best
        assert np.isnan(info.accuracy[[6, 13, 21]]).all()

    def test_seconds_add_up_where_the_clock_is_unknown(self, run):
        trials = tuple(replace(t, finished=float("nan")) for t in run.trials)
        info = tables.progress_info(replace(run, trials=trials))
        assert info.seconds[-1] == pytest.approx(sum(t.seconds for t in trials))
        assert (np.diff(info.seconds) > 0).all()

    def test_order_of_rows_does_not_matter(self, run):
        mixed = replace(run, trials=run.trials[::-1])
        first, second = tables.progress_info(run), tables.progress_info(mixed)
        assert first.trials == second.trials
        assert np.array_equal(first.best, second.best, equal_nan=True)

    def test_first_trials_failed(self, run):
        trials = tuple(replace(t, state="failed") if t.number < 3 else t for t in run.trials)
        info = tables.progress_info(replace(run, trials=trials))
        assert np.isnan(info.best[:3]).all()
        assert np.isfinite(info.best[3:]).all()

    def test_best_is_marked_without_a_winner(self, run):
        info = tables.progress_info(replace(run, winner=None))
        assert info.accuracy[info.winner] == np.nanmax(info.accuracy)

    def test_everything_failed(self, run):
        trials = tuple(replace(t, state="failed", val_accuracy=float("nan")) for t in run.trials)
        info = tables.progress_info(replace(run, trials=trials, winner=None))
        assert info.winner is None
        assert np.isnan(info.best).all()


class TestPrediction:
    def test_equals_scipy(self, run):
        info = tables.prediction_info(run)
        rows = [t for t in run.trials if t.state == "done" and math.isfinite(t.predicted)]
        x = [t.predicted for t in rows]
        y = [t.val_accuracy for t in rows]
        assert info.n == len(rows) == 28
        assert info.without == 9
        assert info.tau == pytest.approx(stats.kendalltau(x, y, variant="b").statistic, abs=1e-12)
        assert info.rho == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
        assert info.scale

    def test_ranks_are_no_accuracies(self, run):
        trials = tuple(replace(t, predicted=1000 * t.predicted) for t in run.trials)
        assert not tables.prediction_info(replace(run, trials=trials)).scale

    def test_one_pair(self, run):
        trials = (replace(run.trials[0], predicted=0.9),)
        info = tables.prediction_info(replace(run, trials=trials))
        assert info.n == 1
        assert math.isnan(info.tau)


class TestFailures:
    def test_counted_by_class(self, run):
        rows = tables.failure_info(run)
        assert [(r.stage, r.state, r.error, r.count) for r in rows] == [
            ("training", "not finite", "NonFiniteLossError", 2),
            ("scoring", "failed", "ModuleRaisedError", 1),
            ("training", "timed out", "TimeoutError", 1),
        ]
        assert rows[0].arch == run.trials[6].arch
        assert rows[0].message.startswith("The training loss")
        assert rows[1].arch == run.pool.archs[17]

    def test_done_without_a_number_is_a_failure(self, run):
        trials = (replace(run.trials[0], val_accuracy=float("nan")),)
        rows = tables.failure_info(replace(run, trials=trials, pool=PoolTable()))
        assert [(r.error, r.count) for r in rows] == [("no accuracy", 1)]

    def test_failure_without_class_or_known_place(self, run):
        pool = PoolTable(failures={3: "", 5: "just words"})
        trials = (replace(run.trials[0], state="failed", error="", message=""),)
        rows = tables.failure_info(replace(run, trials=trials, pool=pool))
        assert sorted(r.error for r in rows) == ["just words", "no error class", "no error class"]

    def test_none(self, make):
        clean = make(trials=5, pool=20, failures=False)
        assert tables.failure_info(replace(clean, pool=PoolTable())) == ()


class TestSummary:
    def test_hero(self, run):
        hero = tables.hero_info(run)
        assert (hero.trained, hero.failed, hero.budget, hero.reused) == (37, 3, 40, 12)
        assert (hero.drawn, hero.scored) == (718, 500)
        assert hero.seconds == pytest.approx(sum(run.stages.values()))
        assert hero.low < hero.test_accuracy < hero.high

    def test_reused_trials_are_counted_where_nobody_says_so(self, run):
        assert tables.hero_info(replace(run, resumed=None)).reused == 12

    def test_funnel_loses_nobody(self, run):
        rows = tables.funnel_info(run)
        assert [r.count for r in rows] == [15_625, 718, 500, 37, 1]
        assert rows[2].lost == "171 outside the limits, 19 dead, 28 copies"

    def test_funnel_names_what_is_not_counted(self, run):
        pool = replace(run.pool, duplicates=0)
        rows = tables.funnel_info(replace(run, pool=pool))
        assert rows[2].lost == "171 outside the limits, 19 dead, 28 copies or spare"

    def test_funnel_of_nothing(self, bare):
        assert [r.label for r in tables.funnel_info(bare)] == ["trained"]


class TestCurvesAndAttacks:
    def test_curves(self, run, one_trial):
        info = tables.curve_info(run)
        assert (len(info.trials), info.epochs) == (37, 30)
        assert tables.curve_info(one_trial) == tables.CurveInfo(None, (), 0)

    def test_attacks_start_without_one(self, run):
        rows = tables.robustness_info(run)
        assert [r.attack for r in rows] == ["fgsm", "pgd"]
        assert rows[0].eps.tolist() == [0, 1, 2, 4, 8]
        assert rows[0].accuracy[0] == run.winner.robust_clean

    def test_unknown_clean_accuracy(self, run):
        winner = replace(
            run.winner, robust_clean=float("nan"), robustness={"fgsm": {8: 0.5, 1: 0.9}}
        )
        rows = tables.robustness_info(replace(run, winner=winner))
        assert rows[0].eps.tolist() == [1, 8]
        assert rows[0].accuracy.tolist() == [0.9, 0.5]
