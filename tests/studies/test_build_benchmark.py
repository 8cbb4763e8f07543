"""The embedded benchmark's build: what is drawn, one run, interruptions, and the table."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from foretell import Arch, get_space
from foretell.benchmarks import Table, from_data
from foretell.data.digits import read_digits
from foretell.errors import UsageError, WorkerError
from foretell.networks import build
from foretell.proxies import make_batches, score
from foretell.rng import stream_seed
from foretell.robustness import evaluate
from foretell.studies.digits_benchmark import run_cell as run
from foretell.studies.digits_benchmark import study as build_benchmark
from foretell.studies.digits_benchmark.run_cell import Settings, digits_task, run_cell
from foretell.studies.digits_benchmark.study import build_digits, draw_cells
from foretell.studies.digits_benchmark.table import table_data
from foretell.studies.run.journal import Records
from foretell.training import Recipe, train

TINY = Settings(epochs=2, eps=(8.0, 32.0), attacked=40)
CELL = Arch("nb201", (1, 4, 0, 1, 0, 0))


def payload(arch=CELL, index=0, settings=TINY):
    return {"genes": list(arch.genes), "run": index, "settings": settings.to_json()}


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
    path = build_digits(
        folder / "digits.foretell",
        cells=3,
        work=folder / "work",
        epochs=2,
        on_done=lambda done, total: told.append((done, total)),
    )
    return path, told


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
    assert Settings.from_json(json.loads(json.dumps(TINY.to_json()))) == TINY


def test_a_run_is_what_the_public_functions_give():
    found = run_cell(payload())
    task, seed = digits_task(), stream_seed(0, CELL)
    module = build(CELL, TINY.skeleton, seed=seed)
    recipe = Recipe(epochs=2, batch_size=TINY.batch_size, lr=TINY.lr, channels_last=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = train(module, task, recipe, seed=stream_seed(0, "order", CELL))
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

    def stop(done, total):
        raise StopError

    work = tmp_path / "work"
    for _ in range(2):
        with pytest.raises(StopError):
            build_digits(tmp_path / "a.foretell", cells=3, work=work, epochs=2, on_done=stop)
    file = work / "runs.jsonl"
    assert file.read_bytes().count(b"\n") == 3
    with file.open("ab") as half:
        half.write(b'{"key":"nb201:3.3.3.')
    done = []
    build_digits(
        tmp_path / "a.foretell",
        cells=3,
        work=work,
        workers=2,
        epochs=2,
        on_done=lambda n, total: done.append(n),
    )
    assert done == [3, 4]
    assert values(tmp_path / "a.foretell") == values(whole[0])


@pytest.mark.slow
def test_a_killed_build_goes_on(whole, tmp_path):
    code = (
        "from pathlib import Path; "
        "from foretell.studies.digits_benchmark.study import build_digits; "
        f"build_digits(Path({str(tmp_path / 'k.foretell')!r}), cells=3, epochs=2, "
        f"work=Path({str(tmp_path / 'work')!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    file = tmp_path / "work" / "runs.jsonl"
    while process.poll() is None and (not file.exists() or file.read_bytes().count(b"\n") < 2):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = file.read_bytes().count(b"\n") - 1
    assert 1 <= kept < 4
    done = []
    build_digits(
        tmp_path / "k.foretell",
        cells=3,
        work=tmp_path / "work",
        epochs=2,
        on_done=lambda n, total: done.append(n),
    )
    assert done == list(range(kept + 1, 5))
    assert values(tmp_path / "k.foretell") == values(whole[0])


def test_a_larger_build_goes_on_from_a_smaller_one(whole, tmp_path):
    done = []
    work = whole[0].parent / "work"
    before = (work / "runs.jsonl").read_bytes()
    other = tmp_path / "work"
    other.mkdir()
    (other / "runs.jsonl").write_bytes(before)
    build_digits(
        tmp_path / "b.foretell",
        cells=4,
        work=other,
        epochs=2,
        on_done=lambda n, total: done.append((n, total)),
    )
    assert done == [(5, 6), (6, 6)]
    assert (other / "runs.jsonl").read_bytes().startswith(before)


def test_work_of_another_build_is_refused(whole, tmp_path):
    work = whole[0].parent / "work"
    with pytest.raises(UsageError, match="other settings or versions"):
        build_digits(tmp_path / "c.foretell", cells=3, work=work, epochs=3)


@pytest.mark.parametrize("content", [b"no json\n", b'{"a":1}\n[1]\n', b'{"a":1}\n{"key":"x"}\n'])
def test_a_damaged_record_is_refused(content, tmp_path):
    (tmp_path / "runs.jsonl").write_bytes(content)
    with pytest.raises(UsageError, match="not the record of a build"):
        Records(tmp_path / "runs.jsonl", {"a": 1})


def test_records_cut_off_at_any_byte_lose_one_at_most(tmp_path):
    path = tmp_path / "runs.jsonl"
    records = Records(path, {"a": 1})
    for i in range(3):
        records.add(f"k{i}", {"v": i})
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == 10]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        found = Records(path, {"a": 1})
        assert len(found.done) == max(0, sum(e <= cut for e in ends) - 1)
        found.add("new", {})
        assert Records(path, {"a": 1}).done == found.done


def test_a_record_without_a_number_is_not_written(tmp_path):
    records = Records(tmp_path / "runs.jsonl", {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        records.add("x", {"v": math.nan})
    assert Records(tmp_path / "runs.jsonl", {"a": 1}).done == {}


def test_a_run_without_a_result_ends_the_build(tmp_path, monkeypatch):
    monkeypatch.setattr(build_benchmark, "draw_cells", lambda n, seed: [Arch("nb201", (9,) * 6)])
    with pytest.raises(WorkerError, match=r"ArchError.*what is finished is kept"):
        build_digits(tmp_path / "d.foretell", cells=1, work=tmp_path / "w", epochs=1)


def test_no_workers(tmp_path):
    with pytest.raises(UsageError, match="workers >= 1"):
        build_digits(tmp_path / "d.foretell", work=tmp_path, workers=0)


def test_the_defaults_are_those_of_the_page():
    assert (Settings().epochs, len(Settings().eps), Settings().second_every) == (20, 5, 3)
    assert run.Settings().skeleton.channels == 4
