"""What every kind of study keeps, whatever it does; kinds are found, not listed."""

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

import foretell.studies
from foretell.cli._app import run as command
from foretell.errors import ForetellError, RunFolderError
from foretell.execution import InlineExecutor
from foretell.report.pages import page_of
from foretell.spaces import get_space
from foretell.studies._base import study_of
from foretell.studies.run.session import kind_in, reading, stored_settings

KINDS = sorted(p.parent.name for p in Path(foretell.studies.__file__).parent.glob("*/study.py"))
EVALUATE = """
import time
def value(arch):
    time.sleep(0.1)
    return sum(arch.genes) / 10
"""
SETTINGS = {
    "build_benchmark": {
        "cells": 2, "epochs": 1, "attacks": ("fgsm",), "eps": (8.0,), "attacked": 20,
        "file": "{folder}/digits.foretell",
    },
    "evaluate_predictors": {
        "benchmark": "digits-nb201", "pairs": ("bayes_linear:onehot",), "sizes": (10,), "n": 80,
        "seeds": tuple(range(40)),
    },
    "evaluate_proxies": {
        "benchmark": "digits-nb201", "data": "digits", "n": 6, "proxies": ("nwot", "synflow"),
        "bootstrap": 10, "batch_size": 8,
    },
    "optimize": {"evaluate": "{folder}/own.py:value", "trials": 8, "searcher": "random"},
    "predict": {
        "measured": "{folder}/measured.csv", "predictor": "bayes_linear", "proxies": ("nwot",),
        "encodings": "scores+onehot", "data": "digits", "sample": 12, "level": 0.0,
    },
    "search": {
        "data": "digits?limit=400", "pool": 8, "trials": 3, "epochs": 1, "final_epochs": 1,
        "attacks": (), "onnx": False, "proxies": ("params", "synflow"),
    },
}  # fmt: skip
"""Small settings of each kind."""
BAD = {
    "build_benchmark": {"workers": 0},
    "evaluate_predictors": {"targets": ("nope",)},
    "evaluate_proxies": {"proxies": ("nwt",)},
    "optimize": {"searcher": "randm"},
    "predict": {"encodings": "tea"},
    "search": {"constraints": ("parms<=3k",)},
}
"""What each kind refuses."""
OTHER = {
    "build_benchmark": {"lr": 0.2},
    "evaluate_predictors": {"split": "sklearn"},
    "evaluate_proxies": {"seed": 1},
    "optimize": {"seed": 1},
    "predict": {"level": 0.5},
    "search": {"epochs": 2},
}
"""What cannot be changed in a folder that is there."""


def config_of(kind, folder):
    """The small settings of a kind, with the files that they name."""
    folder.mkdir(exist_ok=True)
    (folder / "own.py").write_text(EVALUATE)
    space, rng = get_space("nb201"), np.random.default_rng(0)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(12)))
    rows = [f'"{space.format(a)}",{sum(a.genes) / 20}\n' for a in archs]
    (folder / "measured.csv").write_text("arch,accuracy\n" + "".join(rows))
    filled = {
        k: v.format(folder=folder) if isinstance(v, str) else v for k, v in SETTINGS[kind].items()
    }
    return study_of(kind).CONFIG(**filled)


def same_tables(result):
    """The tables but for what a clock measured, as text, so that NaN equals NaN."""
    return {
        name: {k: repr(list(v)) for k, v in table.items() if "seconds" not in k}
        for name, table in result.tables().items()
    }


def work(out, kind):
    """What was done in a folder: each trial, how often it was begun and when it ended."""
    with reading(out, kind) as store:
        return [(t.key, t.attempts, t.finished) for t in store.trials(kind)]


@pytest.fixture(scope="module", params=KINDS)
def finished(request, tmp_path_factory):
    """Kind, settings, folder and result of a study that nothing interrupted."""
    kind = request.param
    folder = tmp_path_factory.mktemp(kind)
    config, told = config_of(kind, folder), []
    result = study_of(kind).run(config, folder / "run", on_progress=told.append)
    return kind, config, folder / "run", result, told


def test_every_kind_has_settings_here():
    assert set(KINDS) == set(SETTINGS) == set(BAD) == set(OTHER)
    assert all(kind == study_of(kind).CONFIG.KIND for kind in KINDS)


def test_what_a_run_leaves(finished):
    kind, config, out, result, told = finished
    assert kind_in(out) == kind
    for name, table in result.tables().items():
        assert (out / f"{name}.csv").read_text().splitlines()[0] == ",".join(table)
        assert len({len(v) for v in table.values()}) <= 1
    lines = (out / "log.txt").read_text().splitlines()
    assert " start: " in lines[0]
    assert lines[-1].endswith(" end")
    assert told
    assert all(0 <= p.done <= p.total for p in told)
    stored = study_of(kind).CONFIG.from_json(stored_settings(out))
    assert stored == study_of(kind).CONFIG.from_json(config.to_json())


def test_reading_gives_the_result_and_loads_no_torch(finished):
    kind, _, out, result, _ = finished
    assert same_tables(study_of(kind).read(out)) == same_tables(result)
    code = (
        "import sys; from foretell.studies._base import study_of; "
        f"study_of({kind!r}).read({str(out)!r}).tables(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_second_run_computes_nothing_again(finished):
    kind, config, out, result, _ = finished
    before = work(out, kind)
    again = study_of(kind).run(config, out)
    assert work(out, kind) == before
    assert same_tables(again) == same_tables(result)


def test_workers_and_executor_are_no_identity(finished):
    kind, config, out, result, _ = finished
    before = work(out, kind)
    if "workers" in config.__struct_fields__:
        more = replace(config, workers=config.workers + 1)
        assert more.identity() == config.identity()
        assert same_tables(study_of(kind).run(more, out)) == same_tables(result)
    with_one = study_of(kind).run(config, out, executor=partial(InlineExecutor))
    assert same_tables(with_one) == same_tables(result)
    assert work(out, kind) == before


def test_other_settings_are_refused_by_name(finished):
    kind, config, out, _, _ = finished
    ((name, value),) = OTHER[kind].items()
    with pytest.raises(RunFolderError, match=f"with {name} "):
        study_of(kind).run(replace(config, **{name: value}), out)


def test_another_kind_is_refused(finished, tmp_path):
    kind, _, out, _, _ = finished
    other = next(k for k in KINDS if k != kind)
    with pytest.raises(RunFolderError, match="asked for"):
        study_of(other).read(out)
    with pytest.raises(RunFolderError, match="another kind"):
        study_of(other).run(config_of(other, tmp_path / "files"), out)


def test_the_report_only_reads(finished, capsys):
    kind, _, out, _, _ = finished
    (out / "report.html").unlink(missing_ok=True)
    before = {p.name: p.read_bytes() for p in out.iterdir() if p.is_file()}
    assert command(["report", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out / "report.html")
    page = (out / "report.html").read_text()
    assert "<!doctype html>" in page[:20]
    after = {p.name: p.read_bytes() for p in out.iterdir() if p.is_file()}
    assert {k: v for k, v in after.items() if k in before and not k.startswith("study.db-")} == {
        k: v for k, v in before.items() if not k.startswith("study.db-")
    }
    assert hasattr(page_of(kind), "write")


@pytest.mark.parametrize("kind", KINDS)
def test_refused_settings_leave_no_study(kind, tmp_path):
    config = config_of(kind, tmp_path / "files")
    with pytest.raises(ForetellError):
        study_of(kind).run(replace(config, **BAD[kind]), tmp_path / "run")
    assert not (tmp_path / "run" / "study.db").exists()
    with pytest.raises(RunFolderError, match="no study"):
        study_of(kind).read(tmp_path / "run")


@pytest.mark.slow
def test_killed_half_way_and_resumed_gives_the_same(finished, tmp_path, capsys):
    kind, config, _, whole, _ = finished
    out = tmp_path / "run"
    code = (
        "import json; from foretell.studies._base import study_of; "
        f"study = study_of({kind!r}); "
        f"config = study.CONFIG.from_json(json.loads({json.dumps(config.to_json())!r})); "
        f"study.run(config, {str(out)!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)

    def done():
        try:
            return sum(at is not None for _, _, at in work(out, kind))
        except ForetellError:
            return 0

    end = time.monotonic() + 120
    while not done():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    process.kill()
    process.wait()
    kept = [row for row in work(out, kind) if row[2] is not None]
    assert kept
    study_of(kind).read(out).tables()
    assert command(["report", str(out)]) == 0
    assert (out / "report.html").stat().st_size > 1000
    assert command(["resume", str(out), "--quiet"]) == 0, capsys.readouterr().err
    assert [row for row in work(out, kind) if row in kept] == kept
    assert same_tables(study_of(kind).read(out)) == same_tables(whole)
