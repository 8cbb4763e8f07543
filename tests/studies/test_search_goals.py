"""Objectives and constraints of a search: measured in stages, stored once, told and chosen."""

import json
import subprocess
import sys

import numpy as np
import pytest

from foretell.errors import ConstraintError, RunFolderError, SearchError, UnknownNameError
from foretell.execution import InlineExecutor
from foretell.spaces import CustomSpace
from foretell.store import Store
from foretell.studies import Resources, SearchConfig, stored_config
from foretell.studies.search.read import read
from foretell.studies.search.study import run

SMALL = SearchConfig(
    data="digits?limit=400",
    searcher="random",
    trials=4,
    epochs=1,
    final_epochs=1,
    constraints=("params<=30k",),
    attacks=(),
    attack_images=40,
    onnx=False,
)


def changed(**fields: object) -> SearchConfig:
    return SearchConfig.from_json({**SMALL.to_json(), **fields})


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A search for accuracy and few multiply-adds."""
    return run(changed(objectives=["accuracy", "flops"]), tmp_path_factory.mktemp("two"))


def test_every_objective_is_in_each_trial_and_in_the_table(two):
    table = two.tables()["trials"]
    for i, row in enumerate(two.trials):
        assert row.values["accuracy"] == row.val_accuracy == table["accuracy"][i]
        assert row.values["flops"] == row.flops == table["flops"][i]
    assert [(o.name, o.direction, o.unit) for o in two.objectives] == [
        ("accuracy", "max", "fraction"),
        ("flops", "min", "count"),
    ]


def test_the_front_and_its_knee_are_those_of_plain_python(two):
    points = [(r.values["accuracy"], -r.values["flops"]) for r in two.trials]
    front = [
        not any(all(b >= a for a, b in zip(p, q, strict=True)) and q != p for q in points)
        for p in points
    ]
    assert [r.on_front for r in two.trials] == front
    best = np.array([p for p, ok in zip(points, front, strict=True) if ok])
    span = np.ptp(best, axis=0)
    scaled = (best - best.min(axis=0)) / np.where(span > 0, span, 1)
    numbers = [r.number for r, ok in zip(two.trials, front, strict=True) if ok]
    merit = scaled.sum(axis=1)
    assert merit[numbers.index(two.winner.number)] == pytest.approx(merit.max())
    assert two.preferred == "knee"


def test_another_choice_from_the_same_front_needs_no_new_trial(two):
    again = run(changed(objectives=["accuracy", "flops"], prefer="flops"), two.folder)
    cheapest = min(r.values["flops"] for r in again.trials)
    assert again.winner.flops == cheapest
    assert again.resumed.trials == 4
    with pytest.raises(UnknownNameError, match="choice of a winner"):
        run(changed(objectives=["accuracy", "flops"], prefer="loss"), two.folder)


def test_what_breaks_a_late_constraint_is_kept_and_cannot_win(tmp_path):
    free = run(SMALL, tmp_path / "free")
    values = sorted({r.values["accuracy"] for r in free.trials})
    limit = (values[-2] + values[-1]) / 2
    below = sum(r.values["accuracy"] < limit for r in free.trials)
    result = run(changed(constraints=["params<=30k", f"accuracy>={limit}"]), tmp_path)
    rows = result.tables()["trials"]
    assert rows["state"].count("infeasible") == below > 0
    assert all(
        "accuracy" in why
        for why, ok in zip(rows["violation"], rows["feasible"], strict=True)
        if not ok
    )
    assert result.trials[result.winner.number].values["accuracy"] >= limit
    with pytest.raises(SearchError, match="None of 4 trials keeps the constraints"):
        run(changed(constraints=["params<=30k", "accuracy>=99.99%"]), tmp_path / "none")
    assert {r.state for r in read(tmp_path / "none").trials} == {"infeasible"}


def test_attacks_are_measured_on_the_validation_part(tmp_path):
    config = changed(objectives=["accuracy", "fgsm@8"], trials=2)
    result = run(config, tmp_path)
    task = result.outcome.task
    row = result.trials[0]
    from foretell.networks import build
    from foretell.rng import stream_seed
    from foretell.robustness import evaluate
    from foretell.studies.run.threads import one_thread
    from foretell.training import Recipe, get_recipe, train

    arch = result.outcome.arch_of(result.outcome.trials[0])
    short = get_recipe("short")
    recipe = Recipe(**{**{f: getattr(short, f) for f in short.__dataclass_fields__}, "epochs": 1})
    with one_thread():
        seed = stream_seed(0, "trial", *arch.genes)
        module = build(arch, result.outcome.skeleton, seed=seed)
        train(module, task, recipe, seed=seed)
        measure = stream_seed(0, "measure", *arch.genes)
        expected = evaluate(
            module.eval(), task, attacks=("fgsm",), eps=(8,), images=40,
            seed=stream_seed(measure, "attack"), split="val",
        )  # fmt: skip
    assert row.values["fgsm@8"] == expected.accuracy["fgsm"][8]
    assert config.identity()["attack_images"] == 40
    assert "attack_images" not in SMALL.identity()


class Clock:
    """Stands for the measurement: counts its calls, and never gives the same twice."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, subject, argument):
        self.calls += 1
        return {"value": 0.001 * self.calls, "reference": 0.5}


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr("foretell.quantities.latency._latency", made)
    from foretell.quantities import latency, quantities

    entry = quantities.entry("latency")
    monkeypatch.setitem(
        quantities._entries,
        "latency",
        type(entry)("latency", _with(latency.LATENCY, made), entry.summary),
    )
    return made


def _with(quantity, measure):
    from dataclasses import replace

    return replace(quantity, measure=measure)


def test_a_latency_is_measured_once_and_never_again(clock, tmp_path):
    config = changed(objectives=["accuracy", "latency@torch"], trials=2)
    first = run(config, tmp_path, executor=InlineExecutor)
    assert clock.calls == 2
    assert [r.values["latency@torch"] for r in first.trials] == [0.001, 0.002]
    more = run(
        changed(objectives=["accuracy", "latency@torch"], trials=4),
        tmp_path,
        executor=InlineExecutor,
    )
    assert clock.calls == 4
    assert [r.values["latency@torch"] for r in more.trials] == [0.001, 0.002, 0.003, 0.004]


def test_what_is_too_slow_is_not_trained(clock, tmp_path):
    result = run(
        changed(constraints=["params<=30k", "latency@torch<=2.5ms"]),
        tmp_path,
        executor=InlineExecutor,
    )
    assert [r.state for r in result.trials] == ["done", "done", "infeasible", "infeasible"]
    assert result.trials[3].violation == "latency@torch 4ms > 2.5ms"
    assert "accuracy" not in result.trials[3].values
    assert result.trials[3].curves is None
    assert result.winner.number in (0, 1)


def test_a_share_of_the_references_latency(clock, tmp_path):
    strong = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+" + "|".join(
        ["", "nor_conv_3x3~0", "nor_conv_3x3~1", "nor_conv_3x3~2", ""]
    )
    config = changed(constraints=["latency@torch<=250%ref"], reference=strong)
    result = run(config, tmp_path, executor=InlineExecutor)
    assert clock.calls == 5  # the reference first
    assert [r.feasible for r in result.trials] == [True, False, False, False]
    with pytest.raises(ConstraintError, match="none was given"):
        run(changed(constraints=["latency@torch<=90%ref"]), tmp_path / "without")


def test_what_cannot_be_measured_fails_with_its_reason(monkeypatch, clock, tmp_path):
    def broken(subject, argument):
        raise RuntimeError("no clock here")

    from foretell.quantities import quantities

    entry = quantities.entry("latency")
    monkeypatch.setitem(
        quantities._entries, "latency", type(entry)("latency", _with(entry.target, broken), "s")
    )
    with pytest.raises(SearchError, match=r"latency@torch could not be measured: .*no clock here"):
        run(changed(objectives=["accuracy", "latency@torch"], trials=1), tmp_path)


@pytest.mark.parametrize(
    "fields",
    [
        {"constraints": ["parms<=5"]},
        {"constraints": ["params<=2k", "params>=3k"]},
        {"constraints": ["accuracy>=50%ref"]},
        {"objectives": ["accurcy"]},
        {"objectives": ["accuracy", "accuracy"]},
        {"objectives": ["pgd"]},
        {"device": "abacus"},
        {"searcher": "foretell.arch:Arch"},
        {"attacks": ["none-such"]},
        {"data": "folder:/nowhere"},
        {"space": "darts"},
    ],
    ids=lambda fields: next(iter(fields)) + " " + str(next(iter(fields.values()))),
)
def test_a_refused_search_leaves_no_study(fields, tmp_path):
    from foretell.errors import ForetellError

    with pytest.raises(ForetellError):
        run(changed(**fields), tmp_path)
    assert not (tmp_path / "study.db").exists()
    with pytest.raises(RunFolderError, match="holds no study"):
        stored_config(tmp_path)


def test_reading_needs_no_torch_and_no_lock(two):
    code = (
        "import json, sys\nfrom foretell.studies.search.read import read\n"
        "r = read(sys.argv[1])\n"
        "archs = [t.arch for t in r.trials]\n"
        "print(json.dumps([r.state, r.winner.arch, archs, 'torch' in sys.modules]))"
    )
    from foretell.studies import RunFolder

    with RunFolder(two.folder).lock():
        done = subprocess.run(
            [sys.executable, "-c", code, two.folder], capture_output=True, text=True, check=True
        )
    state, winner, archs, torch = json.loads(done.stdout)
    assert (state, torch) == ("finished", False)
    assert archs == [t.arch for t in read(two.folder).trials]
    assert winner == read(two.folder).winner.arch


def test_workers_and_device_are_no_identity(two):
    again = run(changed(objectives=["accuracy", "flops"], workers=1), two.folder)
    assert again.resumed.trials == 4
    with Store(f"{two.folder}/study.db") as store:
        identity = store.study("search").config
    assert not {"workers", "device", "timeout"} & identity.keys()
    assert {"round", "objectives", "constraints"} <= identity.keys()


def build(*, input_shape, classes, width):
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(input_shape[0], width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(width, classes),
    )  # fmt: skip


def test_a_space_in_memory_is_searched(tmp_path):
    space = CustomSpace({"width": (4, 6, 8)}, build, name="widths")
    config = changed(constraints=(), trials=2)
    result = run(config, tmp_path, resources=Resources(space))
    assert result.space == "widths"
    assert {t.arch for t in result.trials} < {"width=4", "width=6", "width=8"}


def test_scores_and_costs_take_a_space_in_memory():
    import foretell
    from foretell.api import cost

    space = CustomSpace({"width": (4, 8)}, build, name="scored widths")
    rows = foretell.score(["width=4", "width=8"], ["params"], space=space).columns()
    # one image channel: 9 w + w for the convolution, 10 w + 10 for the linear layer
    assert rows["params"] == [20 * 4 + 10, 20 * 8 + 10]
    assert cost(["width=8"], space=space, input_shape=(1, 8, 8))["params"] == [170]


def test_a_longer_search_that_was_stopped_is_not_finished(tmp_path):
    def stop(progress):
        if progress.stage == "train" and progress.done == 2:
            raise KeyboardInterrupt

    run(changed(trials=1), tmp_path / "run")
    assert read(tmp_path / "run").state == "finished"
    with pytest.raises(KeyboardInterrupt):
        run(changed(trials=4), tmp_path / "run", on_progress=stop)
    found = read(tmp_path / "run")
    assert (found.state, len(found.trials)) == ("stopped", 2)
    assert found.winner is not None  # that of the shorter one
