"""One network raises, hangs, exits, segfaults or eats memory: it costs itself, the rest goes on."""

from functools import partial
from types import SimpleNamespace

import bad_networks
import pytest

from foretell.errors import ProxyError
from foretell.execution import ForkedExecutor, InlineExecutor
from foretell.report.search.tables import failure_info, funnel_info
from foretell.studies import Resources, SearchConfig
from foretell.studies.run.costs import may_retry
from foretell.studies.run.workers import COUNTING, TORCH
from foretell.studies.search.read import read
from foretell.studies.search.study import run

CONFIG = SearchConfig(
    space="bad",
    data="synthetic:1x4x4x2",
    pool=6,
    trials=6,
    epochs=1,
    final_epochs=1,
    proxies=("params", "synflow", "grad_norm"),
    attacks=(),
    onnx=False,
)


@pytest.fixture(autouse=True)
def calls(monkeypatch, tmp_path):
    monkeypatch.setenv("BAD_CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


def search(folder, executor=None, config=CONFIG):
    return run(config, folder, resources=Resources(bad_networks.space), executor=executor)


def of_the_others(result):
    """Costs, scores and trials of all networks but the bad one."""
    outcome = result.outcome
    trials = {
        t.key: (t.payload["costs"], t.value["values"] | {"seconds": 0}, t.value["curves"])
        for t in outcome.trials
        if t.key != bad_networks.BAD
    }
    scores = {
        str(arch): [float(column[i]) for column in outcome.pool.scores.values()]
        for i, arch in enumerate(outcome.pool.archs)
        if str(arch) != bad_networks.BAD
    }
    return trials, scores


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BAD", raising=False)
        result = search(tmp_path_factory.mktemp("good"))
    assert len(result.trials) == 6
    assert failure_info(result) == ()
    return of_the_others(result)


CASES = [
    ("forward segfault", "WorkerDied", "scoring", "SIGSEGV", 2),
    ("forward exit", "WorkerDied", "scoring", "code 3", 2),
    ("forward quit", "SystemExit", "scoring", "enough", 2),
    ("forward memory", "ModuleRaisedError", "scoring", "allocate memory", None),
    ("forward raise", "ModuleRaisedError", "scoring", "not a good day", None),
    ("forward recursion", "ModuleRaisedError", "scoring", "recursion", None),
    ("build segfault", "WorkerDied", "building", "SIGSEGV", 2),
    ("build raise", "ModuleRaisedError", "building", "not a good day", None),
]


@pytest.mark.parametrize(("bad", "error", "stage", "words", "count"), CASES)
def test_a_bad_network_costs_itself(
    bad, error, stage, words, count, good, calls, tmp_path, monkeypatch
):
    monkeypatch.setenv("BAD", bad)
    result = search(tmp_path / "out")
    assert of_the_others(result) == good
    row = next(r for r in failure_info(result) if r.stage == stage)
    assert (row.error, row.arch, row.count) == (error, "width=3,depth=1", 1)
    assert words in row.message
    assert result.pool.dead == 0
    assert all("spare" not in step.lost for step in funnel_info(result))
    met = len(calls.read_text().splitlines())
    if count is not None:
        assert met == count, "with others of its group, and alone"
    again = search(tmp_path / "out")
    assert of_the_others(again) == good
    assert len(calls.read_text().splitlines()) == met, "a resumed search does not meet it again"
    stored = read(tmp_path / "out")
    assert failure_info(stored) == failure_info(result)


def test_one_that_hangs_is_given_up_when_its_time_is_over(good, calls, tmp_path, monkeypatch):
    monkeypatch.setenv("BAD", "forward hang")
    limited = partial(ForkedExecutor, timeout=8.0, modules=TORCH + COUNTING)
    result = search(tmp_path / "out", limited)
    assert of_the_others(result) == good
    (row,) = failure_info(result)
    assert (row.error, row.arch) == ("TimeoutError", "width=3,depth=1")


@pytest.mark.parametrize(
    ("row", "limit", "trials", "again"),
    [
        (["TimeoutError", "", 3.0], 5.0, {}, True),
        (["TimeoutError", "", 3.0], None, {}, True),
        (["TimeoutError", "", 3.0], 3.0, {}, False),
        (["TimeoutError", "", 3.0], 5.0, {"done": 1}, False),
        (["TimeoutError", "", None], None, {}, False),
        (["WorkerDied", "", 3.0], 5.0, {}, False),
    ],
)
def test_more_time_gives_another_chance_until_there_are_trials(row, limit, trials, again):
    store = SimpleNamespace(counts=lambda kind: trials)
    session = SimpleNamespace(config=SimpleNamespace(timeout=limit), store=store, kind="search")
    assert may_retry(row, session) == again


def test_weights_that_are_no_numbers_cost_the_network_its_scores_and_its_trial(
    good, tmp_path, monkeypatch
):
    monkeypatch.setenv("BAD", "forward nan")
    result = search(tmp_path / "out")
    assert of_the_others(result) == good
    row = next(r for r in failure_info(result) if r.stage == "training")
    assert (row.error, row.state) == ("NonFiniteLossError", "not finite")


def test_inline_what_raises_costs_itself(good, tmp_path, monkeypatch):
    monkeypatch.setenv("BAD", "forward quit")
    result = search(tmp_path / "out", InlineExecutor)
    assert of_the_others(result) == good
    assert [r.error for r in failure_info(result)] == ["SystemExit"]


def test_when_every_network_fails_it_is_said(tmp_path, monkeypatch):
    def everyone(*, input_shape, classes, width, depth):
        net = bad_networks.Bad(
            "exit",
            bad_networks.build(input_shape=input_shape, classes=classes, width=width, depth=depth),
        )
        return net

    space = type(bad_networks.space)({"width": (2, 3), "depth": (0, 1)}, everyone, name="bad")
    with pytest.raises(ProxyError, match=r"None of 4 networks can be scored.*WorkerDied"):
        run(CONFIG, tmp_path / "out", resources=Resources(space))
