"""Limits that leave something to choose from, or say that they do not."""

import itertools
import json

import numpy as np
import pytest

from foretell import Arch, Skeleton, find, get_space
from foretell.cli._app import run as run_command
from foretell.errors import NoFeasibleArchError, UnknownNameError, UsageError
from foretell.search import Constraint, Feasibility, feasible_mask
from foretell.studies import CostBook, SearchConfig
from foretell.studies.search.budget import choose_skeleton, live_weights, narrow, reachable
from foretell.studies.search.goals import Goals
from foretell.studies.search.study import stored_config

NB201 = get_space("nb201")
PHOTOS = ("params<=200k", "flops<=10M")


def choose(limits, preset=None, *, space=NB201, shape=(3, 32, 32), classes=4, seed=0):
    return choose_skeleton(
        space, Goals.of(SearchConfig(constraints=limits)),
        input_shape=shape, classes=classes, preset=preset, reference=None, seed=seed,
    )  # fmt: skip


# --- which skeleton -------------------------------------------------------------------------------


def test_image_size_decides_where_it_leaves_a_choice():
    assert choose(("params<=1.5M",)).preset == "full"
    small = choose(("params<=100k",), shape=(1, 8, 8))
    assert (small.preset, small.by_budget) == ("small", False)
    assert "by image size" in small.why


def test_limits_decide_where_no_convolution_is_left():
    choice = choose(PHOTOS)
    assert choice.by_budget
    assert "none of 1,642 feasible networks has a live convolution" in choice.why
    assert "'full'" in choice.why
    assert choice.preset == choose(PHOTOS, "auto").preset


def convolves(arch):
    """Whether a 1x1 or 3x3 convolution is on a path without ``none``, by walking the paths."""
    a, b, c, d, e, f = arch.genes
    paths = [(d,), (a, e), (b, f), (a, c, f)]
    return any(0 not in path and {2, 3} & set(path) for path in paths)


def test_the_rule_by_counting_the_whole_space():
    """Most multiply-adds on average where half of the networks are feasible."""
    archs = [a for a in NB201.enumerate() if convolves(a)]
    means = {}
    for c, n in itertools.product((8, 12, 16, 24), (1, 2, 3)):
        table = NB201.costs(archs, Skeleton((3, 32, 32), 4, c, n))
        mask = (table.live_params <= 200_000) & (table.flops <= 10_000_000)
        if mask.mean() >= 0.5:
            means[f"{c}x{n}"] = table.flops[mask].mean()
    assert choose(PHOTOS, "auto").preset == max(means, key=means.get) == "12x1"


def test_wider_limits_give_larger_skeletons():
    sizes = []
    for limit in ("flops<=2M", "flops<=10M", "flops<=60M"):
        skeleton = choose((limit,), "auto").skeleton
        sizes.append(NB201.costs([Arch("nb201", (3,) * 6)], skeleton).flops[0])
    assert sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize(
    ("limits", "preset", "space", "words"),
    [
        ((), "auto", "nb201", "no limit is known before networks are built"),
        (("latency@torch<=4ms",), "auto", "nb201", "no limit is known before"),
        (("params<=1M",), "auto", "size", "leaves no channels and cells open"),
        (("params<=200k",), "full", "nb201", "as asked for"),
        (("params<=200k",), "10x2", "nb201", "10 channels and 2 cells a stage, as asked for"),
    ],
)
def test_what_the_limits_do_not_decide(limits, preset, space, words):
    choice = choose(limits, preset, space=get_space(space))
    assert words in choice.why
    assert not choice.by_budget


def test_skeletons_by_channels_and_cells():
    made = NB201.skeleton((3, 32, 32), 10, "12x2")
    assert (made.channels, made.cells) == (12, 2)
    for text in ("12x", "0x1", "x", "12x0", "1e3x1", "-1x1"):
        with pytest.raises(UnknownNameError):
            NB201.skeleton(preset=text)
    with pytest.raises(UnknownNameError):
        get_space("size").skeleton(preset="12x1")
    with pytest.raises(UsageError, match="limits of a search"):
        NB201.skeleton(preset="auto")
    assert run_command(["cost", "1.1.1.1.1.1", "--preset", "auto"]) == 2


# --- pools that leave nothing to choose from ------------------------------------------------------


def note(limits, archs, skeleton, space=NB201):
    goals = Goals.of(SearchConfig(constraints=limits))
    costs = CostBook(space, skeleton)(archs)
    return narrow(space, skeleton, goals, archs, costs, None, 0)


def test_a_preset_that_does_not_fit_is_named_with_one_that_does():
    archs = [NB201.parse(t) for t in ("1.1.0.0.1.1", "4.4.0.0.1.1", "2.0.0.1.0.0")]
    text = note(PHOTOS, archs, NB201.skeleton((3, 32, 32), 4, "full"))
    assert text.startswith("None of 3 feasible networks has a live convolution")
    assert "--preset 12x1" in text


def test_equal_costs_are_said():
    archs = [NB201.parse(t) for t in ("2.0.0.0.1.0", "0.2.0.0.0.1")]
    text = note((), archs, NB201.skeleton((3, 32, 32), 4, "small"))
    assert text.startswith("All 2 feasible networks cost the same (")
    assert note((), [*archs, NB201.parse("3.3.3.3.3.3")], Skeleton()) == ""
    assert note((), archs[:1], Skeleton()) == ""


def test_live_weights():
    archs = list(NB201.enumerate())[::7]
    assert live_weights(NB201, archs).tolist() == [convolves(a) for a in archs]


# --- limits that nothing keeps --------------------------------------------------------------------


def test_the_smallest_values_are_named(tmp_path):
    config = SearchConfig(
        data="synthetic:3x8x8x3?limit=40", preset="small", constraints=("params<=1k",), attacks=()
    )
    with pytest.raises(NoFeasibleArchError) as caught:
        find(config, tmp_path / "run")
    skeleton = Skeleton((3, 8, 8), 3, 8, 1)
    table = NB201.costs(list(NB201.enumerate()), skeleton)
    low = [getattr(table, n)[table.alive].min() for n in ("live_params", "flops", "memory")]
    assert f"params {low[0]:,}, flops {low[1]:,}, memory {low[2]:,} bytes" in str(caught.value)
    assert "None of all 15,625 architectures" in str(caught.value)
    assert "With --preset 4x1" in str(caught.value)


def test_a_skeleton_that_would_do_is_named(tmp_path):
    config = SearchConfig(
        data="synthetic:3x8x8x3?limit=40", preset="full", constraints=("params<=20k",), attacks=(),
        searcher="random",
    )  # fmt: skip
    with pytest.raises(NoFeasibleArchError, match=r"With --preset \d+x\d there are feasible"):
        find(config, tmp_path / "run")
    with pytest.raises(NoFeasibleArchError, match="No skeleton of 'nb201'"):
        choose(("params<=1k",), "auto")


def test_the_largest_value_where_a_least_one_is_asked_for():
    archs = [NB201.parse(t) for t in ("3.3.3.3.3.3", "1.1.1.1.1.1", "0.0.0.0.0.0")]
    goals = Goals.of(SearchConfig(constraints=("params>=10M", "sum_log_params<=2")))
    skeleton = Skeleton((3, 8, 8), 3, 8, 1)
    text = reachable(CostBook(NB201, skeleton), archs, goals)
    table = NB201.costs(archs, skeleton)
    assert f"params {table.live_params[1]:,}, flops {table.flops[1]:,}" in text
    assert f"sum_log_params {table.sum_log_params[1]:.4g}; the largest: params " in text
    assert text.endswith(f"{table.live_params[0]:,}.")
    assert "None of them leads" in reachable(CostBook(NB201, skeleton), archs[2:], goals)


# --- what limits count ----------------------------------------------------------------------------


def test_limits_count_what_reaches_the_output():
    dead = Arch("nb201", (3, 3, 3, 2, 0, 0))  # three 3x3 convolutions that nothing reads
    skeleton = Skeleton((3, 32, 32), 10, 16, 5)
    table = NB201.costs([dead], skeleton)
    limit = int(table.live_params[0])
    assert limit < table.params[0]
    assert feasible_mask([Constraint("params", max=limit)], table).tolist() == [True]
    assert feasible_mask([Constraint("params", max=limit - 1)], table).tolist() == [False]
    book = CostBook(NB201, skeleton)
    assert Feasibility([Constraint("params", max=limit)], book)([dead]).tolist() == [True]
    goals = Goals.of(SearchConfig(objectives=("params",)))
    assert book.value(goals.known["params"], dead) == limit


# --- a whole search -------------------------------------------------------------------------------

SAME = """
from pathlib import Path
from torch import nn
from foretell.spaces import CustomSpace


def build(*, input_shape, classes, act):
    classes = int((Path(__file__).parent / "classes.txt").read_text())
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 4), getattr(nn, act)(), nn.Linear(4, classes))


space = CustomSpace({"act": ("ReLU", "GELU", "SiLU")}, build)
"""
SHORT = {
    "attacks": (), "onnx": False, "pool": 6, "trials": 1, "round": 1, "epochs": 1,
    "final_epochs": 1, "proxies": ("nwot",),
}  # fmt: skip


def test_a_search_says_what_does_not_work(tmp_path):
    (tmp_path / "same.py").write_text(SAME)
    (tmp_path / "classes.txt").write_text("3")
    config = SearchConfig(
        space=f"{tmp_path / 'same.py'}:space", data="synthetic:3x4x4x3?limit=40", **SHORT
    )
    result = find(config, tmp_path / "run")
    same, *others = result.notes
    broken = [n for n in others if "clean process" in n]
    assert same.startswith("All 3 feasible networks cost the same")
    assert [n.split()[0] for n in broken] == ["train.py", "load_best"]
    assert all("FileNotFoundError" in n for n in broken)
    page, log = ((tmp_path / "run" / n).read_text() for n in ("report.html", "log.txt"))
    assert "cost the same" in page
    assert "does not work in a clean process" in page
    assert "export: train.py of the exported folder does not work" in log


def test_auto_is_remembered(tmp_path):
    out = tmp_path / "run"
    config = SearchConfig(
        data="synthetic:3x8x8x3?limit=40", preset="auto", constraints=("params<=20k",), **SHORT
    )
    result = find(config, out)
    described = json.loads((out / "best" / "arch.json").read_text())
    skeleton = described["skeleton"]
    name = f"{skeleton['channels']}x{skeleton['cells']}"
    assert described["params"] == result.winner.params <= 20_000
    assert f"skeleton: {skeleton['channels']} channels" in (out / "log.txt").read_text()
    assert "by the budget" in result.settings["skeleton"]
    assert stored_config(out).preset == "auto"
    weights = out / "best" / "weights.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:100])  # cut off by a full disk, say
    again = find(config, out)
    assert again.resumed.trials == 1
    assert np.isclose(again.winner.test_accuracy, result.winner.test_accuracy)
    assert weights.read_bytes() == content
    assert name == choose(("params<=20k",), "auto", shape=(3, 8, 8), classes=3).preset
