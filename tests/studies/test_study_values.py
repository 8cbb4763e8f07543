"""Results to the store and back, and settings to the command line and back."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.cli._app import run as command
from foretell.errors import StoreError
from foretell.store import Store
from foretell.studies.build_benchmark.config import BuildConfig
from foretell.studies.evaluate_predictors.config import PredictorsConfig
from foretell.studies.evaluate_proxies.config import ProxiesConfig
from foretell.studies.predict.config import PredictConfig
from foretell.studies.run.paths import absolute
from foretell.studies.run.values import pack, unpack
from foretell.types import Array, IntArray


@dataclass(frozen=True)
class Inner:
    arch: Arch
    share: float
    low: float | None = None


@dataclass(frozen=True)
class Outer:
    name: str
    values: Array
    counts: IntArray
    mask: NDArray[np.bool_]
    parts: tuple[Inner, ...]
    by_name: dict[str, float] = field(default_factory=dict)


def through_a_store(value, kind, folder):
    with Store(folder / "a.db") as store:
        store.put_study("s", {})
        store.put_value("s", "v", pack(value))
    with Store(folder / "a.db", read_only=True) as store:
        return unpack(store.value("s", "v"), kind)


def test_values_come_back_to_the_last_bit(tmp_path):
    value = Outer(
        "é",
        np.array([[0.1, np.nan, -0.0], [np.inf, 1e-300, np.nextafter(1, 2)]]),
        np.arange(6).reshape(2, 3)[:, ::-1],
        np.array([True, False]),
        (Inner(Arch("nb201", (1, 2)), float("nan")), Inner(Arch("x", ()), float("inf"), 0.5)),
        {"a": float("-inf")},
    )
    found = through_a_store(value, Outer, tmp_path)
    for name in ("values", "counts", "mask"):
        mine, theirs = getattr(value, name), getattr(found, name)
        assert mine.dtype == theirs.dtype
        assert mine.tobytes() == theirs.tobytes()
        theirs[...] = 0  # an array of one's own
    assert repr(found.parts) == repr(value.parts)
    assert found.by_name == value.by_name
    empty = through_a_store(
        Outer("", np.empty((0, 3)), *[np.empty(0, int)] * 2, ()), Outer, tmp_path
    )
    assert empty.values.shape == (0, 3)


def test_what_cannot_be_stored_or_read_is_refused():
    with pytest.raises(TypeError, match="cannot be stored"):
        pack({"a": object()})
    with pytest.raises(StoreError, match="another version"):
        unpack({"arch": {"space": "a", "genes": [1]}}, Inner)
    with pytest.raises(StoreError, match="another version"):
        unpack({"dtype": "<f8"}, np.ndarray)


def test_only_files_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("")
    Path("nb201").write_text("")
    assert absolute("a.csv") == str(tmp_path / "a.csv")
    assert absolute("new.foretell") == str(tmp_path / "new.foretell")
    for text in ("", "nb201", "digits-nb201", "b.csv", "mine.py:table"):
        assert absolute(text) == text


@pytest.mark.parametrize(
    "config",
    [
        BuildConfig(file="a.foretell", cells=7, epochs=3, workers=2),
        BuildConfig(),
        PredictorsConfig(
            benchmark="t.foretell", predictors=("gp", "linear"), encodings=("graf+onehot", "wl"),
            pairs=("svr:costs",), targets=("a/*", "b"), proxies=("nwot",), sizes=(3, 9),
            seeds=(4, 5, 6, 9), test=30, split="sklearn", population="no unreachable op",
            order="row", n=55, level=0.5, baselines=False, workers=3, timeout=2.5,
        ),
        PredictorsConfig(benchmark="digits-nb201", seeds=(7,), workers=0),
        PredictorsConfig(benchmark="digits-nb201", seeds=(0, 1), workers=1),
        ProxiesConfig(
            benchmark="t.foretell", targets=("a/*",), proxies=("nwot", "snip"),
            populations=("top 7", "alive"), metric="spearman", bootstrap=5, level=0.9, n=12,
            data="digits", preset="small", batch_size=8, time=2, seed=3, workers=2,
        ),
        ProxiesConfig(benchmark="digits-nb201"),
        PredictConfig(
            predictor="gp", encodings="graf+scores", proxies=("nwot", "snip"), level=0.5,
            higher_is_better=False, seed=4, bounds=(0.0, float("inf")), measured="m.csv",
            column="latency", space="size", sample=7, data="digits", preset="small", explain=3,
        ),
        PredictConfig(measured="m.csv", pool="pool file.txt"),
    ],
    ids=lambda c: c.KIND,
)  # fmt: skip
def test_the_command_of_settings_gives_these_settings(config, monkeypatch, tmp_path):
    class CaughtError(Exception):
        pass

    caught = []

    def catch(asked, out, tell):
        caught.append((asked, str(out)))
        raise CaughtError

    monkeypatch.setattr("foretell.cli._study.run_in_folder", catch)
    words = shlex.split(config.command(tmp_path / "a run"))
    assert words.pop(0) == "foretell"
    with pytest.raises(CaughtError):
        command(words)
    assert caught == [(config, str(tmp_path / "a run"))]
    assert type(config).from_json(config.to_json()) == config
