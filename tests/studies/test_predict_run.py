"""A prediction in a run folder: what is kept, what may change, what is refused."""

import copy
import json

import numpy as np
import pytest
from msgspec.structs import replace

from foretell.data import load_task
from foretell.errors import (
    DataError,
    PredictorError,
    RunFolderError,
    UnknownNameError,
    UsageError,
)
from foretell.report.pages import page_of
from foretell.spaces import _registry, get_space
from foretell.studies._base import Resources
from foretell.studies.predict import study
from foretell.studies.predict.explain import explain_ranking
from foretell.studies.predict.study import PredictConfig, predict_values, read, run
from foretell.studies.run.session import reading

SPACE = get_space("nb201")


def archs(count, seed=0):
    rng = np.random.default_rng(seed)
    return list(dict.fromkeys(SPACE.sample(rng) for _ in range(2 * count)))[:count]


def write(path, values):
    rows = [f'"{SPACE.format(a)}",{v}\n' for a, v in values.items()]
    path.write_text("arch,accuracy\n" + "".join(rows))
    return str(path)


@pytest.fixture
def config(tmp_path):
    values = {a: 0.5 + sum(a.genes) / 100 for a in archs(24)}
    return PredictConfig(
        "bayes_linear", measured=write(tmp_path / "m.csv", values), sample=15, bounds=(0, np.inf)
    )


def same(a, b):
    assert repr({k: {c: list(v) for c, v in t.items()} for k, t in a.tables().items()}) == repr(
        {k: {c: list(v) for c, v in t.items()} for k, t in b.tables().items()}
    )


def test_it_is_what_the_functions_give(config, tmp_path):
    found = run(config, tmp_path / "run")
    measured = archs(24)
    values = [0.5 + sum(a.genes) / 100 for a in measured]
    plain = predict_values(SPACE, measured, values, 15, config)
    why = explain_ranking(plain, 1)
    assert found.ranking.archs == plain.archs
    np.testing.assert_array_equal(found.ranking.mean, plain.mean)
    assert found.tables()["edits"] == why.edits()
    assert found.ranking.config.target == "accuracy"
    settings = json.loads((tmp_path / "run" / "config.json").read_text())
    assert settings["encodings"] == "graf+costs+onehot"
    assert settings["trained_on"] == 24
    assert "--bounds 0,inf" in settings["command"]


def test_what_is_read_can_be_shown_but_not_asked(config, tmp_path):
    found = run(config, tmp_path / "run")
    again = read(tmp_path / "run")
    same(again, found)
    assert repr(again.ranking.fitted.context.costs) == repr(found.ranking.fitted.context.costs)
    first = page_of("predict").write(found, tmp_path / "page.html").read_text()
    assert page_of("predict").write(again, tmp_path / "page.html").read_text() == first
    with pytest.raises(UsageError, match="without the predictor"):
        explain_ranking(again.ranking)


def test_more_explanations_go_on_and_the_same_are_not_made_again(config, tmp_path, monkeypatch):
    run(config, tmp_path / "run")
    more = run(replace(config, explain=2), tmp_path / "run")
    assert len(more.explanation.explained) == 2
    monkeypatch.setattr(study, "explain_ranking", None)
    same(run(replace(config, explain=2), tmp_path / "run"), more)


def test_a_ranking_without_explanations_has_a_page(config, tmp_path):
    def stop(progress):
        if progress.stage == "explain":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "run", on_progress=stop)
    half = read(tmp_path / "run")
    assert half.explanation.explained == ()
    assert "not there yet" in page_of("predict").write(half, tmp_path / "page.html").read_text()
    whole = run(config, tmp_path / "run")
    assert half.tables()["predictions"]["arch"] == whole.tables()["predictions"]["arch"]


def test_scored_networks_are_kept(config, tmp_path):
    config = replace(config, proxies=("nwot",), encodings="scores", level=0.0)
    task = load_task("digits")

    def stop(progress):
        if (progress.stage, progress.done) == ("score", 20):
            raise KeyboardInterrupt

    here = {"resources": Resources(task=task)}
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "run", **here, on_progress=stop)
    half = read(tmp_path / "run")
    assert (half.ranking, half.scored, half.tables()) == (None, 20, {})
    assert "foretell resume" in page_of("predict").write(half, tmp_path / "page.html").read_text()
    told = []
    run(config, tmp_path / "run", **here, on_progress=told.append)
    scored = [p.done for p in told if p.stage == "score"]
    assert scored[0] == 20
    with reading(tmp_path / "run", "predict") as store:
        assert {t.attempts for t in store.trials("predict")} == {1}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"measured": ""}, UsageError, "no.* was named|none was named"),
        ({"measured": "gone.csv"}, DataError, "gone.csv"),
        ({"predictor": "oracle"}, UnknownNameError, "oracle"),
        ({"encodings": "graf+tea"}, UnknownNameError, "tea"),
        ({"encodings": "graf+graf"}, UsageError, "twice"),
        ({"proxies": ("nwot",)}, UsageError, "images"),
        ({"proxies": ("nwt",), "data": "digits"}, UnknownNameError, "nwot"),
        ({"level": 0.99}, PredictorError, "99"),
        ({"level": 1.0}, UsageError, "level"),
        ({"sample": 0}, UsageError, "sample"),
        ({"bounds": (2.0, 1.0)}, UsageError, "lower one first"),
        ({"bounds": (0.0, 0.1)}, UsageError, "outside the bounds"),
    ],
)
def test_what_is_refused_leaves_no_study(config, tmp_path, change, error, words):
    with pytest.raises(error, match=words):
        run(replace(config, **change), tmp_path / "run")
    assert not (tmp_path / "run" / "study.db").exists()


def test_other_files_and_settings_are_refused_by_name(config, tmp_path):
    run(config, tmp_path / "run")
    with pytest.raises(RunFolderError, match="with seed 0, but 1"):
        run(replace(config, seed=1), tmp_path / "run")
    other = write(tmp_path / "n.csv", {a: sum(a.genes) for a in archs(24)})
    with pytest.raises(RunFolderError, match="measured values"):
        run(replace(config, measured=other), tmp_path / "run")
    moved = tmp_path / "moved.csv"
    moved.write_bytes((tmp_path / "m.csv").read_bytes())
    run(replace(config, measured=str(moved)), tmp_path / "run")


def test_a_space_in_memory(config, tmp_path):
    found = run(config, tmp_path / "run", resources=Resources(space=SPACE))
    same(found, run(config, tmp_path / "other"))


def test_a_space_that_only_this_process_has(config, tmp_path, monkeypatch):
    space = copy.copy(SPACE)
    object.__setattr__(space, "name", "mine")
    config = replace(config, proxies=("nwot",), data="digits", encodings="scores", level=0.0)
    found = run(config, tmp_path / "run", resources=Resources(space=space))
    assert found.ranking.archs[0].space == "mine"
    same(read(tmp_path / "run"), found)
    monkeypatch.setattr(_registry, "_IN_MEMORY", {})
    with pytest.raises(RunFolderError, match="was in memory"):
        read(tmp_path / "run")
