"""The embedded benchmark: what is in the file, and that training again gives it again."""

import re
from pathlib import Path

import numpy as np
import pytest

from foretell import get_space
from foretell.benchmarks import open_benchmark, table_path
from foretell.proxies import make_batches, proxies, score
from foretell.studies.build_benchmark.config import BuildConfig
from foretell.studies.build_benchmark.data import digits_task
from foretell.studies.build_benchmark.draw import CellRun, draw_cells
from foretell.studies.build_benchmark.run_cell import payload_of, run_cell

NAME = "digits-nb201"
PAGE = Path(__file__).parents[2] / "docs" / "digits-nb201.md"
ATTACKS = [f"{a}_eps{e}_accuracy" for a in ("fgsm", "pgd") for e in (4, 8, 16, 24, 32)]
COUNTED = {
    "val_accuracy": 539,
    "test_accuracy": 540,
    "clean_accuracy": 250,
    **dict.fromkeys(ATTACKS, 250),
}
SETTINGS = BuildConfig()


@pytest.fixture(scope="module")
def table():
    return open_benchmark(NAME)


@pytest.fixture(scope="module")
def archs(table):
    return [get_space("nb201").parse(t) for t in table.texts]


def measured(table, name):
    """Values (n, 2, epochs), and whether each run was made, (n, 2)."""
    values = table.read(f"digits/{name}")
    runs = np.ones((len(values), 2), dtype=bool)
    runs[:, 1] = np.arange(len(values)) % SETTINGS.repeat_every == 0
    return values, runs


def test_the_size_of_the_file_and_of_the_table(table):
    assert table_path(NAME).stat().st_size < 5 * 2**20
    assert len(table.texts) >= 1500
    assert (table.name, table.space) == (NAME, "nb201")


def test_the_cells_are_those_of_the_draw(table, archs):
    assert archs == draw_cells(len(archs))
    space = get_space("nb201")
    published = {space.graph(a).expression(as_published=True) for a in archs}
    assert len(published) == len(archs)


def test_every_metric_is_there():
    table = open_benchmark(NAME)
    quality = {m.name for m in table.metrics.values() if m.kind == "quality"}
    assert quality == {"train_loss", "val_loss", "test_loss", *COUNTED}
    assert table.metrics["digits/train_seconds"].kind == "cost"
    scored = {m.name for m in table.metrics.values() if m.kind == "proxy"}
    # a proxy that is registered later is no fault of the table
    assert scored | {"params", "flops"} <= set(proxies.names())
    assert len(scored) >= 17
    for metric in table.metrics.values():
        if metric.kind == "quality":
            assert metric.seeds == (0, 1)
            assert metric.epochs[-1] == SETTINGS.epochs >= 20
        assert metric.kind == "proxy" or metric.unit


def test_the_second_seed_is_there_for_a_third_and_failures_are_counted(table):
    failed = int(table.facts["failures"].split()[0])
    for name in ("train_loss", "test_loss", "train_seconds", *COUNTED):
        values, runs = measured(table, name)
        known = ~np.isnan(values[:, :, -1])
        assert not known[~runs].any(), name
        assert int((runs & ~known).sum()) == failed, name
    assert runs[:, 1].mean() == pytest.approx(1 / 3, abs=1e-3)


@pytest.mark.parametrize(("name", "images"), COUNTED.items())
def test_accuracies_are_numbers_of_images(table, name, images):
    values = table.read(f"digits/{name}")
    counts = values[~np.isnan(values)] * images
    assert np.abs(counts - np.rint(counts)).max() < 1e-9
    assert 0 <= counts.min() <= counts.max() <= images


def test_attacks_only_take_away(table):
    clean = table.read("digits/clean_accuracy")
    for attack in ("fgsm", "pgd"):
        strength = [table.read(f"digits/{attack}_eps{e}_accuracy") for e in (4, 8, 16, 24, 32)]
        for kept in strength:
            assert not (kept > clean).any()
        means = [np.nanmean(kept) for kept in strength]
        assert means == sorted(means, reverse=True)
    # ten steps find what one step finds, but for a few images
    for e in (8, 16, 24, 32):
        fgsm, pgd = (table.read(f"digits/{a}_eps{e}_accuracy") for a in ("fgsm", "pgd"))
        assert np.nanmax(pgd - fgsm) < 0.05


def test_seconds_rise_and_curves_fall(table):
    seconds, runs = measured(table, "train_seconds")
    assert (np.diff(seconds[runs], axis=1) > 0).all()
    assert (seconds[runs][:, 0] > 0).all()
    loss, _ = measured(table, "train_loss")
    fallen = loss[runs][:, -1] < loss[runs][:, 0]
    assert fallen.mean() > 0.99


def test_a_dead_cell_knows_nothing(table, archs):
    dead = ~get_space("nb201").alive(archs)
    accuracy = table.query(None, "digits/test_accuracy", missing="nan")
    assert (accuracy[dead] < 0.12).all()
    assert np.nanmedian(accuracy[~dead]) > 0.9


def test_costs_are_the_closed_form(table, archs):
    costs = get_space("nb201").costs(archs, SETTINGS.skeleton)
    assert np.array_equal(table.query(None, "params"), costs.params)
    assert np.array_equal(table.query(None, "flops"), costs.flops)


def test_proxies_recomputed_are_those_of_the_table(table, archs):
    chosen = [a for a in archs[:20] if get_space("nb201").alive([a])[0]][:3]
    known = [m.name for m in table.metrics.values() if m.kind == "proxy"]
    batches = make_batches(digits_task(), batch_size=64, count=2, seed=0)
    again = score(chosen, known, batches, skeleton=SETTINGS.skeleton, seed=0)
    for name in known:
        found = table.query(chosen, f"digits/{name}", missing="nan")
        assert again.column(name) == pytest.approx(found, rel=1e-3, nan_ok=True), name


def test_training_a_cell_again_gives_its_row_again(table, archs):
    costs = get_space("nb201").costs(archs, SETTINGS.skeleton)
    small = int(np.argmin(np.where(costs.alive, costs.flops, costs.flops.max())))
    cell = archs[small]
    run = CellRun(cell, 0, SETTINGS.epochs)
    found = run_cell(payload_of(run, SETTINGS.to_json()))
    listed = {
        name: table.curves([cell], f"digits/{name}", seed=0)[0]
        for name in ("train_loss", "val_loss", "test_loss", "val_accuracy", "test_accuracy")
    }
    # Other processors round otherwise, and training makes small differences grow.
    assert found["train_loss"][0] == pytest.approx(listed["train_loss"][0], abs=0.01)
    assert found["train_loss"] == pytest.approx(listed["train_loss"], abs=0.05)
    assert found["val_loss"][-1] == pytest.approx(listed["val_loss"][-1], abs=0.05)
    assert found["test_loss"][-1] == pytest.approx(listed["test_loss"][-1], abs=0.05)
    assert found["val_right"][-1] / 539 == pytest.approx(listed["val_accuracy"][-1], abs=0.02)
    assert found["test_right"][-1] / 540 == pytest.approx(listed["test_accuracy"][-1], abs=0.02)
    for name in ("fgsm", "pgd"):
        kept = [table.query([cell], f"digits/{name}_eps{e}_accuracy", seed=0)[0] for e in (4, 8)]
        assert np.array(found[name][:2]) / 250 == pytest.approx(kept, abs=0.05)


def test_the_page_runs_and_tells_of_this_table(table, capsys):
    text = PAGE.read_text()
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(code, {})
    assert table.facts["recipe"] in capsys.readouterr().out
    assert f"{len(table.texts):,} cells" in text
    for fact in ("recipe", "seeds", "failures", "versions"):
        assert table.facts[fact] in text
