"""The embedded benchmark's build: what is drawn, one run, interruptions, and the table."""

import json
import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from foretell import Arch, get_space
from foretell.benchmarks import Table, from_data
from foretell.data.digits import read_digits
from foretell.errors import RunFolderError, StoreError, UnknownNameError, UsageError, WorkerError
from foretell.networks import build as build_network
from foretell.proxies import make_batches, score
from foretell.rng import stream_seed
from foretell.robustness import evaluate
from foretell.studies.build_benchmark import study as build_benchmark
from foretell.studies.build_benchmark.config import CLUTTER, PLANS, BuildConfig, plan_of
from foretell.studies.build_benchmark.data import digits_task, task_of
from foretell.studies.build_benchmark.draw import CellRun, cell_runs, draw_cells
from foretell.studies.build_benchmark.run_cell import payload_of, run_cell
from foretell.studies.build_benchmark.study import read
from foretell.studies.build_benchmark.table import table_data
from foretell.studies.run.progress import silent
from foretell.studies.run.session import reading
from foretell.training import Recipe, train

SHORT = {"cells": 3, "epochs": 2, "attacks": ("fgsm",), "eps": (8.0,), "attacked": 20}
TINY = BuildConfig(epochs=2, eps=(8.0, 32.0), attacked=40)
CELL = Arch("nb201", (1, 4, 0, 1, 0, 0))


def payload(arch=CELL, index=0, settings=TINY):
    return payload_of(CellRun(arch, index, settings.epochs), settings.to_json())


def values(path):
    """Everything in a table but the seconds; each as bytes, so that NaN equals NaN."""
    table = Table.open(path)
    return {
        k: table.read(k).tobytes() for k in table.metrics if not k.endswith("train_seconds")
    } | {"texts": tuple(table.texts), "facts": tuple(table.facts.items())}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A build of three cells that nothing interrupted, and what it told of its progress."""
    folder = tmp_path_factory.mktemp("whole")
    told = []
    path = folder / "digits.foretell"
    build(folder / "work", path, on_progress=lambda p: told.append((p.done, p.total)))
    return path, told


def build(work, path, *, on_progress=silent, **more):
    """A build of three cells and two epochs."""
    config = BuildConfig(**{**SHORT, "file": str(path), **more})
    return build_benchmark.run(config, work, on_progress=on_progress)


def trials(work):
    """Key of each finished run -> how often it was begun and what it gave."""
    with reading(work, "build_benchmark") as store:
        done = store.trials("build_benchmark", "done")
    return {t.key: (t.attempts, t.value) for t in done}


def test_the_draw_is_distinct_classes_in_an_order_that_grows():
    space = get_space("nb201")
    cells = draw_cells(60)
    assert cells[:7] == draw_cells(7)
    assert len({space.graph(a).expression(as_published=True) for a in cells}) == 60
    assert draw_cells(7, seed=1) != cells[:7]
    everything = draw_cells(6466)
    assert len(set(everything)) == 6466
    # not the least member of each class: operations that nothing reaches are as frequent as ever
    live = space.live_edges(everything) | (space.genes(everything) == 0)
    assert 0.01 < 1 - live.all(axis=1).mean() < 0.4


@pytest.mark.parametrize("count", [0, 6467])
def test_more_cells_than_there_are(count):
    with pytest.raises(UsageError, match="1 to 6466"):
        draw_cells(count)


def test_the_split_is_balanced_and_disjoint():
    task = digits_task()
    parts = (task.train, task.val, task.test)
    assert [len(p) for p in parts] == [718, 539, 540]
    images, labels = read_digits()
    share = np.bincount(labels) / len(labels)
    for part in parts:
        assert np.abs(np.bincount(part.labels) - share * len(part)).max() < 1.5
    rows = [row.tobytes() for part in parts for row in part.images]
    assert sorted(rows) == sorted(row.tobytes() for row in images)


def test_settings_survive_json():
    assert BuildConfig.from_json(json.loads(json.dumps(TINY.to_json()))) == TINY


def test_a_run_is_what_the_public_functions_give():
    found = run_cell(payload())
    task, seed = digits_task(), stream_seed(0, CELL)
    module = build_network(CELL, TINY.skeleton, seed=seed)
    recipe = Recipe(epochs=2, batch_size=TINY.batch_size, lr=TINY.lr, channels_last=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = train(module, task, recipe, seed=stream_seed(0, "order", CELL))
    module.to(memory_format=torch.channels_last)
    robust = evaluate(module, task, eps=TINY.eps, images=40)
    names = list(found["scores"])
    batches = make_batches(task, batch_size=64, count=2, seed=0)
    again = score([CELL], names, batches, skeleton=TINY.skeleton, seed=0)
    torch.set_num_threads(threads)
    assert found["failure"] == ""
    assert found["train_loss"] == list(alone.curves.train_loss)
    assert found["val_loss"] == list(alone.curves.val_loss)
    assert [v / 539 for v in found["val_right"]] == list(alone.curves.val_accuracy)
    assert found["test_right"][-1] / 540 == alone.test_accuracy
    assert found["clean"] / 40 == robust.clean
    for name in ("fgsm", "pgd"):
        assert [v / 40 for v in found[name]] == [robust.accuracy[name][e] for e in TINY.eps]
    assert 0 < found["seconds"][0] < found["seconds"][1] < 60
    assert list(found["scores"].values()) == [
        float(v) if math.isfinite(v) else None for v in again.values[0]
    ]
    json.dumps(found, allow_nan=False)


def test_the_second_seed_is_another_run_without_scores():
    first, second = run_cell(payload()), run_cell(payload(index=1))
    assert "scores" in first
    assert "scores" not in second
    assert first["train_loss"] != second["train_loss"]


def test_a_dead_cell_is_truth_too():
    found = run_cell(payload(Arch("nb201", (0,) * 6)))
    assert found["failure"] == ""
    assert found["test_right"][-1] < 0.12 * 540
    assert found["pgd"] == found["fgsm"] == [found["clean"]] * 2
    assert found["scores"]["nwot"] is None


def test_a_run_that_diverges_keeps_what_it_had_and_is_counted():
    wild = replace(TINY, lr=1e30)
    found = run_cell(payload(settings=wild))
    assert found["failure"].startswith("NonFiniteLossError")
    assert len(found["train_loss"]) < 2
    assert "clean" not in found
    records = {f"{CELL}/0": found, f"{CELL}/1": run_cell(payload(index=1))}
    table = from_data(table_data([CELL], records, TINY))
    assert np.isnan(table.read("digits/test_accuracy")[0, 0, -1])
    assert np.isnan(table.read("digits/pgd_eps8_accuracy")[0, 0, 0])
    assert not np.isnan(table.read("digits/test_accuracy")[0, 1]).any()
    assert table.facts["failures"] == "1 of 2 runs diverged"


def test_progress_and_the_runs_of_a_build(whole):
    path, told = whole
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    table = Table.open(path)
    accuracy = table.read("digits/val_accuracy")
    assert accuracy.shape == (3, 2, 2)
    assert np.isnan(accuracy[:, 1, 0]).tolist() == [False, True, True]
    assert np.allclose(accuracy * 539, np.rint(accuracy * 539), equal_nan=True)
    assert table.metrics["digits/train_loss"].epochs == (1, 2)


def test_an_interrupted_build_gives_the_same_table_with_any_number_of_workers(whole, tmp_path):
    class StopError(Exception):
        pass

    def stop(progress):
        raise StopError

    work, path = tmp_path / "work", tmp_path / "a.foretell"
    for count in (1, 2):
        with pytest.raises(StopError):
            build(work, path, on_progress=stop)
        assert len(trials(work)) == count
    first = trials(work)
    done = []
    build(work, path, workers=2, on_progress=lambda p: done.append(p.done))
    assert done == [3, 4]
    assert {k: v for k, v in trials(work).items() if k in first} == first
    assert values(path) == values(whole[0])


LONG = {"repeats": 3, "repeat_every": 2, "long_every": 2, "long_epochs": 3, "test_curve": False}


def test_which_runs_a_cell_has():
    cells = draw_cells(5)
    config = replace(TINY, **LONG)
    runs = cell_runs(cells, config)
    assert [key.rsplit("/")[-1] for key in runs] == [
        *("0", "1", "2", "long"), "0", *("0", "1", "2", "long"), "0", *("0", "1", "2", "long"),
    ]  # fmt: skip
    assert [r.epochs for r in runs.values() if r.long] == [3, 3, 3]
    assert {r.epochs for r in runs.values() if not r.long} == {2}
    assert all(key.startswith(str(run.arch)) and run.key == key for key, run in runs.items())
    fewer = list(cell_runs(cells[:3], config))
    assert fewer == list(runs)[: len(fewer)]


@pytest.fixture(scope="module")
def clutter(tmp_path_factory):
    """A build on images that a data source makes: three seeds, a long run, no test curves."""
    folder = tmp_path_factory.mktemp("clutter")
    config = replace(
        CLUTTER, data="clutter?train=60&val=40&test=50&size=8", input_shape=(1, 8, 8), channels=2,
        cells=2, epochs=2, eps=(4.0,), attacked=20, file=str(folder / "c.foretell"), **LONG,
    )  # fmt: skip
    return build_benchmark.run(config, folder / "work"), Table.open(config.file)


def test_more_seeds_and_long_runs_have_their_columns(clutter):
    built, table = clutter
    assert (table.name, table.facts["long runs"]) == (
        "clutter-nb201", "3 epochs, once, for 1 of the cells",
    )  # fmt: skip
    assert table.facts["seeds"] == "0 for every cell, 1 for 1 of them, 2 for 1 of them"
    assert table.facts["failures"] == "0 of 5 runs diverged"
    first, second = built.runs.values(), built.records
    records = {run.key: second[run.key] for run in first}
    cell = table.archs()[0]
    for name, size in (("val_accuracy", 40), ("test_accuracy", 50)):
        values = table.read(f"clutter/{name}")
        assert values.shape == (2, 3, 2 if name == "val_accuracy" else 1)
        expected = [records[f"{cell}/{s}"][name.replace("accuracy", "right")] for s in range(3)]
        assert values[0] == pytest.approx(np.array(expected) / size)
        assert np.isnan(values[1, 1:]).all()
        assert not np.isnan(values[1, 0]).any()
    long = table.read("clutter/long_val_loss")
    assert table.metrics["clutter/long_val_loss"].epochs == (1, 2, 3)
    assert long[0, 0] == pytest.approx(records[f"{cell}/long"]["val_loss"])
    assert np.isnan(long[1]).all()
    assert "clutter/long_pgd_eps4_accuracy" not in table.metrics
    assert "clean" not in records[f"{cell}/long"]


def test_rows_of_a_build_say_which_runs_are_long(clutter):
    rows = clutter[0].tables()["runs"]
    assert rows["long"] == [False, False, False, True, False]
    assert rows["epochs"] == [2, 2, 2, 3, 2]
    assert rows["seed"] == [0, 1, 2, 0, 0]


def test_cells_share_random_numbers_where_that_is_asked_for(monkeypatch):
    import foretell.networks
    import foretell.training

    asked = []

    def noted(which, function):
        def call(*args, seed, **more):
            asked.append((which, seed))
            return function(*args, seed=seed, **more)

        return call

    monkeypatch.setattr(foretell.networks, "build", noted("weights", foretell.networks.build))
    monkeypatch.setattr(foretell.training, "train", noted("order", foretell.training.train))
    other = Arch("nb201", (0, 1, 0, 1, 0, 0))
    for common in (True, False):
        for arch in (CELL, other):
            run_cell(payload(arch, 1, replace(TINY, common=common, epochs=1, attacks=())))
    weights = [seed for which, seed in asked if which == "weights"]
    order = [seed for which, seed in asked if which == "order"]
    assert weights == [stream_seed(1)] * 2 + [stream_seed(1, CELL), stream_seed(1, other)]
    assert order == [stream_seed(1, "order")] * 2 + [
        stream_seed(1, "order", CELL), stream_seed(1, "order", other),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 0}, "epochs >= 1, but got 0"),
        ({"repeats": 0}, "repeats >= 1"),
        ({"repeat_every": 0}, "repeat_every >= 1"),
        ({"long_every": 3, "long_epochs": 0}, "long_epochs >= 1"),
    ],
)
def test_numbers_out_of_range(tmp_path, change, words):
    with pytest.raises(UsageError, match=words):
        build(tmp_path, tmp_path / "d.foretell", **change)


def test_plans_have_the_names_of_the_tables_that_they_make():
    for name, plan in PLANS.items():
        assert (plan.benchmark, plan.file) == (name, f"{name}.foretell")
        assert task_of(plan).input_shape == plan.input_shape
        assert plan_of(name) is plan
        words = shlex.split(replace(plan, cells=9, workers=2).command("w"))
        assert words == [
            "foretell", "benchmark", "build", name, "--cells", "9", "--workers", "2", "--work", "w",
        ]  # fmt: skip
    with pytest.raises(UnknownNameError, match="clutter-nb201"):
        plan_of("cluter-nb201")


@pytest.mark.slow
def test_a_killed_build_goes_on(whole, tmp_path):
    work, path = tmp_path / "work", tmp_path / "k.foretell"
    code = (
        "from foretell.studies.build_benchmark.study import BuildConfig, run; "
        f"run(BuildConfig(**{SHORT!r}, file={str(path)!r}), {str(work)!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code])

    def finished():
        try:
            return len(trials(work))
        except RunFolderError:
            return 0

    while process.poll() is None and not finished():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = finished()
    assert 1 <= kept < 4
    assert len(read(work).tables()["runs"]["arch"]) == kept
    done = []
    build(work, path, on_progress=lambda p: done.append(p.done))
    assert done == list(range(kept + 1, 5))
    assert values(path) == values(whole[0])


def test_a_larger_build_goes_on_from_a_smaller_one(whole, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(whole[0].parent / "work", work)
    before = trials(work)
    done = []
    path = tmp_path / "b.foretell"
    build(work, path, cells=4, on_progress=lambda p: done.append((p.done, p.total)))
    assert done == [(5, 6), (6, 6)]
    assert {k: v for k, v in trials(work).items() if k in before} == before


def test_work_of_another_build_is_refused(whole, tmp_path):
    work = whole[0].parent / "work"
    with pytest.raises(RunFolderError, match="with epochs 2, but 3"):
        build(work, tmp_path / "c.foretell", epochs=3)


def test_work_of_other_versions_is_refused(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(build_benchmark.platform, "machine", lambda: "abacus")
    with pytest.raises(RunFolderError, match="but 'abacus' was asked for"):
        build(whole[0].parent / "work", tmp_path / "c.foretell")


def test_a_damaged_store_is_refused(tmp_path):
    (tmp_path / "study.db").write_bytes(b"no store\n")
    with pytest.raises(StoreError, match=r"study\.db"):
        build(tmp_path, tmp_path / "c.foretell")


def test_a_run_without_a_result_ends_the_build(tmp_path, monkeypatch):
    monkeypatch.setattr(build_benchmark, "draw_cells", lambda n, seed: [Arch("nb201", (9,) * 6)])
    with pytest.raises(WorkerError, match=r"ArchError.*what is finished is kept"):
        build(tmp_path / "w", tmp_path / "d.foretell", cells=1, epochs=1)


def test_no_workers(tmp_path):
    with pytest.raises(UsageError, match="workers >= 1"):
        build(tmp_path, tmp_path / "d.foretell", workers=0)
    assert not (tmp_path / "study.db").exists()


def test_the_defaults_are_those_of_the_page():
    assert (BuildConfig().epochs, len(BuildConfig().eps), BuildConfig().repeat_every) == (
        20,
        5,
        3,
    )
    assert BuildConfig().skeleton.channels == 4
