"""A small search, whole: what it leaves, what it reuses, what it refuses."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from foretell.errors import NoFeasibleArchError, RunFolderError, SearchError, UsageError
from foretell.spaces import get_space
from foretell.store import Result, State, Store
from foretell.studies import (
    STUDY,
    Resources,
    SearchConfig,
    SearchOutcome,
    serve,
    stored_config,
)
from foretell.studies.search.study import run

SMALL = SearchConfig(
    data="digits?limit=400",
    pool=12,
    trials=3,
    epochs=1,
    final_epochs=2,
    proxies=("params", "grad_norm", "synflow"),
    constraints=("params<=30k",),
    attacks=("fgsm",),
    attack_images=40,
    onnx=False,
)


def run_search(config: SearchConfig, folder: object) -> SearchOutcome:
    """What is in memory after a search."""
    return run(config, folder).outcome


def changed(config: SearchConfig, **fields: object) -> SearchConfig:
    return SearchConfig.from_json({**config.to_json(), **fields})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return run_search(SMALL, folder)


def test_a_search_ends_with_a_trained_and_attacked_winner(finished):
    assert len(finished.trials) == 3
    assert all(t.state == "done" and t.attempts == 1 for t in finished.trials)
    assert len(set(finished.pool.archs)) == 12
    assert set(finished.pool.scores) == set(SMALL.proxies)
    final = finished.final
    assert 0 < final.result.test_accuracy <= 1
    assert final.result.epochs == 2
    assert set(final.robustness) == {"fgsm"}
    assert set(final.robustness["fgsm"]) == {1.0, 2.0, 4.0, 8.0}
    best = max(t.value["values"]["accuracy"] for t in finished.trials)
    assert finished.trials[final.trial].value["values"]["accuracy"] == best


def test_constraints_hold_for_everything_that_is_scored_or_trained(finished):
    archs = [*finished.pool.archs, *(finished.arch_of(t) for t in finished.trials)]
    costs = finished.book(archs)
    assert costs.live_params.max() <= 30_000
    assert costs.alive.all()
    assert finished.pool.excluded["params<=30000"] > 0


def test_the_pool_holds_no_two_isomorphic_cells(finished):
    space = get_space("nb201")
    assert len({space.graph(a).hash() for a in finished.pool.archs}) == 12


def test_a_second_call_trains_nothing_and_says_the_same(finished, monkeypatch):
    def refuse(job: object, payload: object) -> None:
        pytest.fail("nothing is left to do")

    monkeypatch.setattr("foretell.studies.search.trial.Job.__call__", refuse)
    again = run_search(SMALL, finished.folder)
    assert again.reused_trials == 3
    assert again.pool.reused == 12
    assert again.final.reused
    assert again.final.result.test_accuracy == finished.final.result.test_accuracy
    assert again.final.robustness == finished.final.robustness
    assert [t.finished for t in again.trials] == [t.finished for t in finished.trials]
    for name, values in finished.pool.scores.items():
        np.testing.assert_array_equal(again.pool.scores[name], values)


def test_a_larger_budget_keeps_the_trials_of_the_smaller(finished, tmp_path):
    more = changed(SMALL, trials=5)
    shutil.copytree(finished.folder, tmp_path, dirs_exist_ok=True)
    both = run_search(more, tmp_path)
    assert both.reused_trials == 3
    assert [t.key for t in both.trials[:3]] == [t.key for t in finished.trials]
    whole = run_search(more, tmp_path / "whole")
    assert [t.key for t in whole.trials] == [t.key for t in both.trials]
    values = [t.value["values"]["accuracy"] for t in whole.trials]
    assert values == [t.value["values"]["accuracy"] for t in both.trials]


@pytest.mark.parametrize("searcher", ["random", "local", "evolution"])
def test_searchers_without_a_pool_search_the_whole_space(tmp_path, searcher):
    config = changed(SMALL, searcher=searcher, trials=2, final_epochs=1, attacks=())
    outcome = run_search(config, tmp_path)
    assert len(outcome.trials) == 2
    assert outcome.pool.archs == ()
    assert outcome.book([outcome.arch_of(t) for t in outcome.trials]).live_params.max() <= 30_000


def test_worker_processes_find_the_same_as_this_one(tmp_path):
    config = changed(SMALL, round=2, trials=4, final_epochs=1, attacks=())
    here = run_search(config, tmp_path / "inline")
    there = run_search(changed(config, workers=2), tmp_path / "pool")
    assert [t.key for t in there.trials] == [t.key for t in here.trials]
    inline = [t.value["values"]["accuracy"] for t in here.trials]
    assert [t.value["values"]["accuracy"] for t in there.trials] == inline


def test_another_search_in_the_same_folder_is_refused(finished):
    with pytest.raises(
        RunFolderError, match=r"holds a study 'search' with seed 0, but 1 was asked for"
    ):
        run_search(changed(SMALL, seed=1), finished.folder)


def test_two_searches_at_once_in_one_folder_are_refused(tmp_path):
    from foretell.studies import RunFolder

    with (
        RunFolder(tmp_path).lock(),
        pytest.raises(RunFolderError, match="Another run is going on"),
    ):
        run_search(SMALL, tmp_path)


def test_a_constraint_that_nothing_meets_says_which(tmp_path):
    with pytest.raises(NoFeasibleArchError, match="params<=10 excluded most"):
        run_search(changed(SMALL, constraints=("params<=10",)), tmp_path)


def test_when_every_trial_fails_the_first_reason_is_told(tmp_path):
    config = changed(SMALL, lr=1e30, trials=2)
    with pytest.raises(SearchError, match="None of 2 trials succeeded, the first with NonFinite"):
        run_search(config, tmp_path)
    with Store(tmp_path / "study.db") as store:
        assert {t.state for t in store.trials(STUDY)} == {"not_finite"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished search whose four trials do not depend on what earlier ones were worth."""
    config = changed(SMALL, searcher="random", trials=4, final_epochs=1, attacks=())
    return run_search(config, tmp_path_factory.mktemp("trained"))


def as_if(run, outcomes, folder):
    """The same search as if its trials had ended with these (accuracy, loss) pairs or failed."""
    shutil.copytree(run.folder, folder, dirs_exist_ok=True)
    with Store(folder / "study.db") as store:
        store.retry(STUDY, ["done"])
        for trial, old, outcome in zip(
            store.claim(STUDY, "me", len(outcomes)), run.trials, outcomes, strict=True
        ):
            assert trial.key == old.key
            if outcome is None:
                result = Result(trial.id, State.failed, error="E", message="m")
            else:
                values = {**old.value["values"], "accuracy": outcome[0], "loss": outcome[1]}
                value = {**old.value, "values": values}
                result = Result(trial.id, State.done, value)
            store.finish(trial, result)
    return run_search(run.config, folder)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([(0.6, 0.9), (0.7, 0.9), (0.6, 0.1), (0.5, 0.0)], 1),  # accuracy, whatever the loss
        ([(0.6, 0.5), (0.6, 0.4), (0.6, 0.6), (0.5, 0.1)], 1),  # of equals, the lower loss
        ([(0.6, 0.6), (0.5, 0.0), (0.6, 0.4), (0.6, 0.5)], 2),
        ([(0.6, 0.5), (0.6, 0.5), (0.6, 0.5), (0.6, 0.5)], "smallest"),
        ([None, None, (0.1, 9.0), None], 2),  # what failed cannot win
    ],
)
def test_the_winner_has_the_best_accuracy_then_loss_then_size(
    trained, outcomes, expected, tmp_path
):
    outcome = as_if(trained, outcomes, tmp_path)
    if expected == "smallest":
        params = outcome.book([outcome.arch_of(t) for t in outcome.trials]).params
        assert (params == params.min()).sum() == 1
        assert params.argmin() != 0
        expected = int(params.argmin())
    assert outcome.final.trial == expected
    assert outcome.final.arch == outcome.arch_of(outcome.trials[expected])


def test_a_resumed_search_trains_and_attacks_anew_what_was_asked_otherwise(trained, tmp_path):
    """Against the same settings in a folder of their own."""

    def run(folder, **fields):
        if not (tmp_path / folder).exists():
            shutil.copytree(trained.folder, tmp_path / folder)
        return run_search(changed(trained.config, **fields), tmp_path / folder)

    attacks = {"attacks": ("fgsm",), "eps": (8,), "attack_images": 40}
    steps = [{"final_epochs": 2}, {"eps": (4, 8)}, {"attack_images": 30}, {"attacks": ("pgd",)}]
    first = run("all", **attacks)
    assert first.final.reused
    for i, step in enumerate(steps):
        resumed, alone = (run(folder, **(attacks | step)) for folder in ("all", f"only {i}"))
        assert resumed.final.result.epochs == step.get("final_epochs", 1)
        assert resumed.final.result.test_accuracy == alone.final.result.test_accuracy
        assert resumed.final.robustness == alone.final.robustness != first.final.robustness
        assert resumed.final.robust_clean == alone.final.robust_clean
        assert resumed.reused_trials == 4
    again = run("all", **attacks)
    assert again.final.reused
    assert again.final.robustness == first.final.robustness


def test_a_budget_that_is_no_multiple_of_the_round_is_kept(tmp_path):
    config = changed(SMALL, searcher="random", trials=3, round=2, final_epochs=1, attacks=())
    assert len(run_search(config, tmp_path).trials) == 3


def test_a_folder_keeps_to_the_images_it_began_with(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (120, 8, 8, 3), dtype=np.uint8)
    path = tmp_path / "some.npz"
    np.savez(path, x=x, y=np.arange(120) % 4)
    config = changed(
        SMALL, data=f"npz:{path}", searcher="random", trials=1, final_epochs=1, attacks=()
    )
    run_search(config, tmp_path / "run")
    x[0, 0, 0, 0] ^= 1
    np.savez(path, x=x, y=np.arange(120) % 4)
    code = (
        "import sys\nfrom foretell.studies import stored_config\n"
        "from foretell.studies.search.study import run\n"
        "run(stored_config(sys.argv[1]), sys.argv[1])"
    )
    done = subprocess.run(  # a process reads a file once
        [sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True
    )
    assert "RunFolderError" in done.stderr
    assert "with data fingerprint" in done.stderr


def test_percentages_refer_to_the_reference(tmp_path):
    strong = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+" + "|".join(
        ["", "nor_conv_3x3~0", "nor_conv_3x3~1", "nor_conv_3x3~2", ""]
    )
    config = changed(SMALL, constraints=("params<=50%ref",), reference=strong, trials=1, attacks=())
    outcome = run_search(config, tmp_path)
    limit = outcome.book([outcome.space.parse(strong)]).live_params[0] / 2
    assert outcome.book(outcome.pool.archs).live_params.max() <= limit


def test_settings_are_remembered_and_written_as_a_command(finished):
    assert stored_config(finished.folder) == SMALL
    text = SMALL.command("runs/x")
    assert text.startswith("foretell search --data 'digits?limit=400' --constraint 'params<=30k'")
    assert "--no-onnx" in text
    assert text.endswith("--out runs/x")


def test_a_folder_without_a_search_is_named(tmp_path):
    with pytest.raises(RunFolderError, match="holds no study"):
        stored_config(tmp_path)
    with pytest.raises(RunFolderError, match="holds no study"):
        serve(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [("pool", 0), ("trials", 0), ("workers", -1), ("epochs", 0), ("lr", 0.0), ("timeout", 5.0)],
)
def test_settings_that_cannot_work_are_refused(field, value):
    with pytest.raises(UsageError, match=field):
        changed(SMALL, **{field: value})


def test_a_task_in_memory_is_searched_in_this_process_only(tmp_path):
    from foretell.data import load_task

    resources = Resources(task=load_task("synthetic:1x8x8x3", seed=0))
    config = changed(SMALL, trials=1, attacks=(), final_epochs=1)
    outcome = run(config, tmp_path, resources=resources).outcome
    assert outcome.task is resources.task
    with pytest.raises(UsageError, match="workers=0"):
        run(changed(SMALL, workers=1), tmp_path / "workers", resources=resources)


FAMILY = """
from torch import nn
from foretell.spaces import CustomSpace

def build(*, input_shape, classes, width, groups):
    c = input_shape[0]
    return nn.Sequential(
        nn.Conv2d(c, width, 3), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, width, 3, groups=groups), nn.ReLU(),  # raises unless groups divides width
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes),
    )

some = CustomSpace({"width": (6, 8, 9, 12), "groups": (1, 2, 3, 4, 5)}, build)
none = CustomSpace({"width": (7, 11), "groups": (5, 6)}, build)
"""


@pytest.fixture
def family(tmp_path):
    (tmp_path / "family.py").write_text(FAMILY)
    return tmp_path / "family.py"


def test_members_of_a_family_that_cannot_be_built_are_left_out(family, tmp_path):
    config = changed(SMALL, space=f"{family}:some", pool=10, constraints=(), trials=2, attacks=())
    outcome = run_search(config, tmp_path / "run")
    assert len(outcome.pool.archs) == 10
    for arch in outcome.pool.archs:
        values = outcome.space.values(arch)
        assert values["width"] % values["groups"] == 0
    assert outcome.book.failures


def test_a_family_of_which_nothing_can_be_built_says_why(family, tmp_path):
    from foretell.errors import NetworkError

    config = changed(SMALL, space=f"{family}:none", constraints=())
    with pytest.raises(NetworkError, match=r"4 of the networks .* groups"):
        run_search(config, tmp_path / "run")
