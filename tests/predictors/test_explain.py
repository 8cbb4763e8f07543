"""Contributions, importance and families against arithmetic of their own."""

from itertools import combinations
from math import factorial

import numpy as np
import pytest

from foretell.encodings import EncodingContext, Encodings, EncodingTable, encode
from foretell.errors import MissingExtraError, PredictorError
from foretell.metrics import kendall, normal_scores
from foretell.predictors import (
    Auto,
    BayesianLinear,
    Conformal,
    GaussianProcess,
    LightGBM,
    Prediction,
    Predictor,
    XGBoost,
    folds,
    held_out,
)
from foretell.predictors.explain import (
    contributions,
    families,
    permutation_importance,
    tables,
)
from foretell.spaces import get_space


def plain(x, names=None):
    names = names or tuple(f"c{i}" for i in range(x.shape[1]))
    return Encodings({"costs": EncodingTable(names, x)})


class Weighted(Predictor):
    """x @ weights, whatever was measured."""

    def __init__(self, weights):
        self.given = np.asarray(weights, dtype=float)

    def _fit(self, encodings, y):
        self.weights_ = self.given

    def _predict(self, encodings):
        return Prediction(encodings.matrix() @ self.weights_)


def test_trees_are_explained_as_all_subsets_say():
    """Shapley values over the 16 subsets of four columns, from the trees' own counts."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 4))
    y = x[:, 0] * (x[:, 1] > 0) + 0.5 * x[:, 2]
    model = LightGBM(trees=12, leaves=5, normal_target=False).fit(plain(x), y)
    trees = [t["tree_structure"] for t in model.booster_.dump_model()["tree_info"]]

    def count(node):
        return node.get("internal_count", node.get("leaf_count"))

    def expected(node, row, known):
        """The tree's value when only some columns are known."""
        if "split_feature" not in node:
            return node["leaf_value"]
        left, right = node["left_child"], node["right_child"]
        column = node["split_feature"]
        if column in known:
            side = left if row[column] <= node["threshold"] else right
            return expected(side, row, known)
        values = [expected(side, row, known) * count(side) for side in (left, right)]
        return sum(values) / (count(left) + count(right))

    def worth(row, known):
        return sum(expected(t, row, known) for t in trees)

    found = model.contributions(plain(x[:6]))
    for row, got in zip(x[:6], found, strict=True):
        assert got[-1] == pytest.approx(worth(row, ()), abs=1e-9)
        for i in range(4):
            others = [j for j in range(4) if j != i]
            value = 0.0
            for size in range(4):
                share = factorial(size) * factorial(3 - size) / factorial(4)
                for known in combinations(others, size):
                    value += share * (worth(row, (*known, i)) - worth(row, known))
            assert got[i] == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(("make", "close"), [(LightGBM, 1e-9), (XGBoost, 2e-5)])
def test_base_and_contributions_are_the_prediction(cells, make, close):
    encodings, y = cells
    model = make().fit(encodings.take(np.arange(120)), y[:120])
    groups = families(encodings)
    found = contributions(model, encodings, groups)
    assert found.fidelity is None
    np.testing.assert_allclose(
        found.base + found.values.sum(axis=1), model.predict(encodings).mean, atol=close
    )
    np.testing.assert_allclose(found.rest, 0, atol=close)
    each = model.contributions(encodings)
    for k, name in enumerate(found.families):
        np.testing.assert_allclose(found.values[:, k], each[:, groups[name]].sum(axis=1))
    np.testing.assert_allclose(found.size, np.abs(found.values).mean(axis=0))
    assert (np.diff(found.size[found.order()]) <= 0).all()
    some = found.take(np.array([3, 1]))
    np.testing.assert_array_equal(some.values, found.values[[3, 1]])
    np.testing.assert_array_equal(some.predicted, found.predicted[[3, 1]])


def test_contributions_to_quantiles_keep_their_proportions_in_values(cells):
    encodings, y = cells
    raw = LightGBM(normal_target=False).fit(encodings, normal_scores(y)).contributions(encodings)
    found = LightGBM(normal_target=True).fit(encodings, y).contributions(encodings)
    assert (np.sign(found[:, :-1]) == np.sign(raw[:, :-1])).all()
    share = np.abs(raw[:, :-1]).sum(axis=1, keepdims=True)
    told = np.abs(found[:, :-1]).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found[:, :-1] / told, raw[:, :-1] / share, atol=1e-9)


def test_other_predictors_are_explained_by_a_copy_that_says_how_good_it_is(cells):
    encodings, y = cells
    model = GaussianProcess().fit(encodings.take(np.arange(80)), y[:80])
    found = contributions(model, encodings, families(encodings))
    again = contributions(model, encodings, families(encodings))
    np.testing.assert_array_equal(found.values, again.values)
    out = held_out(
        lambda: LightGBM(trees=300, normal_target=False, seed=0),
        encodings, model.predict(encodings).mean, 5, np.random.default_rng(0),
    )  # fmt: skip
    assert found.fidelity.kendall.value == float(kendall(out.mean, found.predicted))
    assert found.fidelity.r2.value > 0.9
    assert not found.fidelity.low
    assert "R2 0.9" in found.fidelity.sentence()
    assert "That is little" not in found.fidelity.sentence()
    total = found.base + found.values.sum(axis=1) + found.rest
    np.testing.assert_allclose(total, found.predicted, atol=1e-12)


def test_a_bad_copy_is_called_so():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 3))
    model = Weighted([1.0, 1.0, 1.0]).fit(plain(x), x.sum(axis=1))
    found = contributions(
        model, plain(x), {"all": np.arange(3)}, copy=lambda: LightGBM(trees=1, lr=0.01)
    )
    assert found.fidelity.low
    assert "That is little" in found.fidelity.sentence()
    flat = Weighted([0.0, 0.0, 0.0]).fit(plain(x), x.sum(axis=1))
    none = contributions(flat, plain(x), {"all": np.arange(3)})
    assert none.fidelity.low
    np.testing.assert_allclose(none.values, 0)


def test_what_cannot_be_explained_is_refused(monkeypatch):
    x = np.random.default_rng(2).normal(size=(30, 3))
    model = Weighted([1.0, 2.0, 3.0])
    with pytest.raises(PredictorError, match="not fitted"):
        model.contributions(plain(x))
    model.fit(plain(x), x[:, 0])
    assert model.contributions(plain(x)) is None
    for groups in ({"a": np.array([0, 1])}, {"a": np.arange(3), "b": np.array([0])}, {}):
        with pytest.raises(PredictorError, match="in one family"):
            contributions(model, plain(x), groups)
    with pytest.raises(PredictorError, match="no contributions"):
        contributions(model, plain(x), {"a": np.arange(3)}, copy=BayesianLinear)
    monkeypatch.setitem(__import__("sys").modules, "lightgbm", None)
    with pytest.raises(MissingExtraError, match="lightgbm"):
        contributions(model, plain(x), {"a": np.arange(3)})


def test_families_of_every_kind():
    space = get_space("nb201")
    rng = np.random.default_rng(3)
    archs = [space.sample(rng) for _ in range(12)]
    scores = {"nwot": np.array([np.nan, *range(11)]), "synflow": np.arange(12.0)}
    known = EncodingContext(space, archs, space.costs(archs, space.skeleton()), scores)
    encodings = encode("graf+graf_compat+costs+scores+onehot+path", known)
    found = families(encodings, space.gene_name)
    places = np.concatenate(list(found.values()))
    assert sorted(places.tolist()) == list(range(len(encodings.names)))
    names = {n: [encodings.names[i] for i in found[n]] for n in found}
    assert {n.partition(".")[2] for n in names["graf: conv"]} >= {"conv_total", "conv_min"}
    assert all(n.startswith("graf.conv_") for n in names["graf: conv"])
    assert names["graf: paths"] == ["graf.paths"]
    assert names["scores: nwot"] == ["scores.nwot", "scores.nwot_missing"]
    assert names["scores: synflow"] == ["scores.synflow"]
    assert names["onehot: edge 2->3"] == [f"onehot.gene_5_is_{i}" for i in range(5)]
    assert len(names["costs"]) == 6
    assert {n for n in names if n.startswith("graf_compat")} == {
        "graf_compat: op_count",
        "graf_compat: min_path_len",
        "graf_compat: max_op_on_path",
        "graf_compat: node_degree",
    }
    assert [len(v) for v in tables(encodings).values()] == [
        len(t.names) for t in encodings.tables.values()
    ]
    assert "onehot: gene 5" in families(encode("onehot", known))


def test_importance_as_a_plain_loop_says():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(40, 4))
    y = x @ [2.0, 1.0, 0.0, 0.5] + 0.1 * rng.normal(size=40)
    groups = {"a": np.array([0]), "b": np.array([1, 3]), "idle": np.array([2])}
    encodings = Encodings(
        {
            "one": EncodingTable(("p", "q"), x[:, :2]),
            "two": EncodingTable(("r", "s"), x[:, 2:]),
        }
    )
    found = permutation_importance(
        BayesianLinear, encodings, y, groups, np.random.default_rng(7), count=4, repeats=3
    )
    again = np.random.default_rng(7)
    others = [[again.permutation(40) for _ in groups] for _ in range(3)]
    parts = list(folds(40, 4, again))
    base = np.empty(40)
    for repeat in range(3):
        for g, columns in enumerate(groups.values()):
            guess = np.empty(40)
            for fit, out in parts:
                model = BayesianLinear().fit(encodings.take(fit), y[fit])
                base[out] = model.predict(encodings.take(out)).mean
                for i in out:
                    row = x[[i]].copy()
                    row[:, columns] = x[others[repeat][g][i], columns]
                    one = Encodings(
                        {
                            "one": EncodingTable(("p", "q"), row[:, :2]),
                            "two": EncodingTable(("r", "s"), row[:, 2:]),
                        },
                        scales=encodings.scales,
                    )
                    guess[i] = model.predict(one).mean[0]
            drop = float(kendall(base, y)) - float(kendall(guess, y))
            assert found.drops[repeat, g] == pytest.approx(drop, abs=1e-12)
    assert found.kendall.value == float(kendall(base, y))
    assert found.families[found.order()[0]] == "a"
    np.testing.assert_allclose(found.mean, found.drops.mean(axis=0))
    np.testing.assert_allclose(found.std, found.drops.std(axis=0))
    some = found.only(("idle", "a"))
    np.testing.assert_array_equal(some.drops, found.drops[:, [2, 0]])


def test_importance_of_what_is_not_used_is_zero_and_of_everything_is_all():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(200, 3))
    groups = {"used": np.array([0, 1]), "idle": np.array([2])}
    found = permutation_importance(
        lambda: Weighted([1.0, 1.0, 0.0]), plain(x), x[:, 0] + x[:, 1], groups, rng
    )
    assert found.kendall.value == pytest.approx(1.0)
    assert (found.drops[:, 1] == 0).all()
    assert abs(found.mean[0] - 1) < 0.1
    constant = permutation_importance(
        lambda: Weighted([0.0, 0.0, 0.0]), plain(x), x[:, 0], groups, rng
    )
    assert (constant.drops == 0).all()
    for rows, repeats in ((1, 5), (10, 0)):
        with pytest.raises(PredictorError, match="two measured"):
            permutation_importance(
                lambda: Weighted([1.0, 0.0, 0.0]), plain(x[:rows]), x[:rows, 0], groups, rng,
                repeats=repeats,
            )  # fmt: skip


def test_auto_keeps_its_choice_where_it_is_fitted_again(cells):
    encodings, y = cells
    learn = encodings.take(np.arange(40))
    first = Auto(seed=3).fit(learn, y[:40])
    second = first.unfitted()
    assert second.weights == first.weights_
    assert not hasattr(second, "columns_")
    second.fit(learn, y[:40])
    # the processes start their search elsewhere, and end almost where the first ones did
    np.testing.assert_allclose(
        second.predict(encodings).mean, first.predict(encodings).mean, rtol=1e-3
    )
    assert second.held_out() is None
    assert "as given" in second.why()
    with pytest.raises(PredictorError, match="no candidate 'tea'"):
        Auto(weights={"tea": 1.0}).fit(learn, y[:40])
    with pytest.raises(PredictorError, match="not fitted"):
        Auto().unfitted()


def test_another_predictor_is_new_with_the_same_options(cells):
    encodings, y = cells
    first = LightGBM(trees=7, seed=5).fit(encodings, y)
    second = first.unfitted()
    assert (second.trees, second.seed) == (7, 5)
    with pytest.raises(PredictorError, match="not fitted"):
        second.predict(encodings)
    assert first.booster_ is not None


@pytest.mark.parametrize("make", [GaussianProcess, LightGBM])
@pytest.mark.parametrize("level", [0.5, 0.9])
def test_intervals_of_the_fitted_ones_use_the_errors_of_all_others(cells, make, level):
    encodings, y = cells
    learn, y = encodings.take(np.arange(31)), y[:31]
    model = Conformal(make, level=level).fit(learn, y)
    found = model.held_out()
    out = model.held_out_
    scale = np.ones(31) if out.std is None else np.maximum(out.std, model.floor_)
    errors = np.abs(y - out.mean) / scale
    place = int(np.ceil(31 * level)) - 1
    for i in range(31):
        others = np.sort(np.delete(errors, i))
        half = (others[place] if place < 30 else np.inf) * scale[i]
        assert found.high[i] - found.mean[i] == pytest.approx(half)
        assert found.mean[i] - found.low[i] == pytest.approx(half)
    inside = ((found.low <= y) & (y <= found.high)).mean()
    assert inside == pytest.approx(np.ceil(31 * level) / 31)
    with pytest.raises(PredictorError, match="not fitted"):
        Conformal(make).held_out()
