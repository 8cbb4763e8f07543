"""Explaining a ranking: edits, their words, refits, and what is left out."""

import re
from pathlib import Path

import numpy as np
import pytest

import foretell
from foretell.arch import Arch
from foretell.data import load_task
from foretell.errors import ArchError, UsageError
from foretell.spaces import get_space
from foretell.studies.predict.explain import explain_ranking
from foretell.studies.predict.study import PredictConfig, predict_values

SPACE = get_space("nb201")


@pytest.fixture(scope="module")
def archs():
    rng = np.random.default_rng(11)
    return list(dict.fromkeys(SPACE.sample(rng) for _ in range(130)))


def value(arch):
    """Each 3x3 convolution gives 0.05, each pooling takes 0.02, wherever it stands."""
    return 0.6 + 0.05 * arch.genes.count(3) - 0.02 * arch.genes.count(4)


def rank(archs, config, n=60, pool=None, **more):
    y = [value(a) for a in archs[:n]]
    return predict_values(SPACE, archs[:n], y, archs[n:] if pool is None else pool, config, **more)


PLAIN = """
from foretell.predictors import BayesianLinear

class Plain(BayesianLinear):
    def __init__(self):
        super().__init__(normal_target=False)
"""


@pytest.fixture(scope="module")
def additive(archs, tmp_path_factory):
    """A linear model on genes finds an additive value exactly."""
    path = tmp_path_factory.mktemp("plain") / "plain.py"
    path.write_text(PLAIN)
    return rank(archs, PredictConfig(f"{path}:Plain", encodings="onehot"))


def test_edits_change_what_they_change(additive):
    found = explain_ranking(additive, 2)
    assert [e.arch for e in found.explained] == list(additive.archs[:2])
    for it in found.explained:
        assert len(it.edits) == 24
        assert {e.arch for e in it.edits} == set(SPACE.neighbors(it.arch))
        changes = [e.change for e in it.edits]
        assert changes == sorted(changes, reverse=True)
        for edit in it.edits:
            assert edit.words == SPACE.edit(it.arch, edit.arch)
            assert edit.mean - it.mean == pytest.approx(edit.change)
            assert edit.change == pytest.approx(value(edit.arch) - value(it.arch), abs=0.004)
            assert edit.low <= edit.mean <= edit.high
            same = SPACE.graph(edit.arch).hash() == SPACE.graph(it.arch).hash()
            assert edit.same == same
    assert not found.refitted
    assert found.left_out == ()
    measured = dict(zip(additive.learned.archs, additive.learned.values, strict=True))
    for edit in found.explained[0].edits:
        known = measured.get(edit.arch, np.nan)
        assert edit.measured == pytest.approx(known, nan_ok=True)


def test_contributions_and_importance_are_in_the_order_of_the_ranking(additive):
    found = explain_ranking(additive)
    shares, drops = found.contributions, found.importance
    assert shares.families == drops.families
    assert len(shares.families) == 6
    assert shares.values.shape == (len(additive.archs), 6)
    np.testing.assert_allclose(shares.predicted, additive.mean)
    first = found.explained[0]
    np.testing.assert_allclose(first.families, shares.values[0])
    assert first.rest == pytest.approx(float(shares.rest[0]))
    total = shares.base + first.families.sum() + first.rest
    assert total == pytest.approx(first.mean)
    assert found.tables.families == ("onehot",)
    assert (drops.mean > 0).all()
    assert found.tables.mean[0] > drops.mean.max()


def test_tables_for_files(additive):
    found = explain_ranking(additive, 2)
    for table, rows in ((found.by_family(), 6), (found.reasons(), 12), (found.edits(), 48)):
        assert {len(list(v)) for v in table.values()} == {rows}
    assert found.edits()["of"][0] == SPACE.format(additive.archs[0])
    assert found.reasons()["adds"][:6] == found.explained[0].families.tolist()


def test_any_architecture_can_be_asked_about(additive):
    strange = Arch("nb201", (0, 0, 0, 0, 0, 0))
    measured = additive.learned.archs[0]
    found = explain_ranking(additive, [strange, measured])
    assert [e.arch for e in found.explained] == [strange, measured]
    assert found.explained[0].mean == pytest.approx(0.6, abs=0.01)
    assert any(e.same for e in found.explained[0].edits)
    assert not found.refitted
    for wrong in (0, (), [strange, strange]):
        with pytest.raises(UsageError, match="each once"):
            explain_ranking(additive, wrong)
    with pytest.raises(ArchError):
        explain_ranking(additive, [Arch("nb201", (9,))])


def test_widths_are_no_copies_of_one_another():
    """The graphs of the size space differ in nothing but numbers of channels."""
    space = get_space("size")
    rng = np.random.default_rng(0)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(30)))
    y = [float(sum(a.genes)) for a in archs[:20]]
    ranking = predict_values(space, archs[:20], y, archs[20:], PredictConfig("bayes_linear"))
    edits = explain_ranking(ranking, repeats=1).explained[0].edits
    assert len(edits) == 35
    assert not any(e.same for e in edits)


def test_lower_is_better_turns_the_edits(archs):
    ranking = rank(
        archs, PredictConfig("bayes_linear", "onehot", higher_is_better=False, level=0.0)
    )
    found = explain_ranking(ranking, repeats=1)
    changes = [e.change for e in found.explained[0].edits]
    assert changes == sorted(changes)
    assert np.isnan(found.explained[0].low)
    assert np.isnan(found.explained[0].edits[0].high)


def test_inputs_that_depend_on_the_others_are_fitted_again(archs):
    config = PredictConfig("gp", proxies=("params", "grad_norm"), encodings="scores+onehot")
    told = []
    ranking = rank(archs, config, n=12, pool=archs[12:16], task=load_task("digits"),
                   on_progress=lambda p: told.append((p.stage, p.done, p.total)))  # fmt: skip
    found = explain_ranking(ranking, repeats=1)
    assert found.refitted
    new = set(SPACE.neighbors(ranking.archs[0])) - set(archs[:16])
    assert told[-1] == ("score", len(new), len(new))
    assert found.explained[0].mean == pytest.approx(float(ranking.mean[0]), abs=0.05)
    assert {e.arch for e in found.explained[0].edits} >= new


def test_auto_is_fitted_again_with_the_choice_it_made(archs):
    ranking = rank(archs, PredictConfig(encodings="path"), n=20, pool=archs[20:24])
    found = explain_ranking(ranking, repeats=1)
    assert found.refitted  # new paths are new columns
    assert ranking.fitted.predictor.weights is None


def test_what_cannot_be_said_is_named(archs, monkeypatch):
    few = rank(archs, PredictConfig(encodings="onehot", level=0.0), n=6, pool=archs[6:10])
    found = explain_ranking(few, repeats=1)
    assert found.importance is None
    assert found.tables is None
    assert "6 measured architectures are too few" in found.left_out[0]
    monkeypatch.setitem(__import__("sys").modules, "lightgbm", None)
    found = explain_ranking(few, repeats=1)
    assert found.contributions is None
    assert "lightgbm" in found.left_out[0]
    assert found.by_family() == {"family": (), "contribution": [], "drop_of_tau": [], "std": []}
    assert found.reasons() == {"arch": [], "family": [], "adds": []}
    assert np.isnan(found.explained[0].rest)


def test_bounds_hold_and_are_checked(archs):
    y = [value(a) for a in archs[:40]]
    top = max(y)
    loose = predict_values(SPACE, archs[:40], y, archs[40:], PredictConfig("gp"))
    assert loose.high.max() > top
    config = PredictConfig("gp", bounds=(0, top))
    tight = predict_values(SPACE, archs[:40], y, archs[40:], config)
    assert tight.archs == loose.archs
    np.testing.assert_allclose(tight.mean, np.clip(loose.mean, 0, top))
    np.testing.assert_allclose(tight.high, np.clip(loose.high, 0, top))
    assert tight.learned.high.max() <= top
    edits = explain_ranking(tight, repeats=1).explained[0].edits
    assert max(e.high for e in edits) <= top
    for bounds, words in (
        ((1, 0), "lower one first"),
        ((0, 0.7), "lie outside the bounds 0 to 0.7"),
    ):
        with pytest.raises(UsageError, match=words):
            predict_values(SPACE, archs[:40], y, 5, PredictConfig("gp", bounds=bounds))


def test_held_out_predictions_are_those_of_the_ranking(additive):
    learned = additive.learned
    assert len(learned.archs) == len(learned.mean) == 60
    assert additive.config.predictor.endswith(":Plain")
    assert additive.candidates == ()
    inside = (learned.low <= learned.values) & (learned.values <= learned.high)
    assert inside.mean() >= 0.9


def test_the_facade(archs, tmp_path):
    file = tmp_path / "measured.csv"
    rows = [f"{SPACE.format(a)},{value(a)}" for a in archs[:30]]
    file.write_text("arch,top1\n" + "\n".join(rows) + "\n")
    pool = tmp_path / "pool.txt"
    pool.write_text("\n".join(SPACE.format(a) for a in archs[30:40]))
    config = foretell.PredictConfig("bayes_linear")
    first = foretell.predict(file, pool=pool, config=config)
    assert first.config.target == "top1"
    second = foretell.predict(
        {a: value(a) for a in archs[:30]}, space=SPACE, pool=archs[30:40], config=config
    )
    assert second.archs == first.archs
    assert second.config.target == ""
    found = foretell.explain(second)
    assert found.explained[0].arch == second.archs[0]
    drawn = foretell.predict(str(file), pool=7, config=config, data="digits", preset="small")
    assert len(drawn.archs) == 7


def test_the_example_of_the_page_runs(capsys):
    page = Path(__file__).resolve().parents[2] / "docs" / "explain.md"
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    exec(compile(block, page.name, "exec"), {})
    assert capsys.readouterr().out.startswith("24 ")
