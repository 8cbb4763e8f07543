"""Scoring in worker processes: the same values, and one failure stays one failure."""

import json
import os

import numpy as np
import pytest
import torch
from torch import nn

from foretell.arch import Arch
from foretell.cli._app import run
from foretell.errors import UnknownNameError, UsageError
from foretell.proxies import Batches, score
from foretell.spaces import Skeleton, get_space
from foretell.studies.run.threads import one_thread

SKELETON = Skeleton((3, 8, 8), 4, 4, 1)
NAMES = ("params", "grad_norm", "zico", "synflow", "zen")


class Exits(nn.Module):
    """Takes its process along."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(192, 4)

    def forward(self, x):
        os._exit(3)


def broken():
    raise OSError("no such weights")


def small():
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(180, 4))


@pytest.fixture(scope="module")
def batches():
    generator = torch.Generator().manual_seed(0)
    images = tuple(torch.randn((8, 3, 8, 8), generator=generator) for _ in range(2))
    return Batches(images, (torch.arange(8) % 4, torch.arange(8) % 4))


def test_values_are_those_of_this_process_and_a_lost_worker_costs_one_row(batches):
    space = get_space("nb201")
    rng = np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(28)]
    items = [*archs[:5], Exits(), Arch("nb201", (0,) * 6), broken, small(), lambda: 0, *archs[5:]]
    told = []
    found = score(items, NAMES, batches, skeleton=SKELETON, seed=7, workers=2, on_done=told.append)
    assert sorted(told) == list(range(len(items)))
    assert sorted(found.failures) == [5, 7, 9]
    assert found.failures[5].startswith("WorkerDied: Its worker process exited with code 3")
    assert "no such weights" in found.failures[7]
    assert "ickl" in found.failures[9]
    with one_thread():
        here = [i for i in range(len(items)) if i not in (5, 9)]
        expected = score([items[i] for i in here], NAMES, batches, skeleton=SKELETON, seed=7)
    assert np.array_equal(found.values[here], expected.values, equal_nan=True)
    assert found.alive[here].tolist() == expected.alive.tolist()
    assert np.isnan(found.values[[5, 6, 7, 9]]).all()
    assert {(here[i], n): why for (i, n), why in expected.reasons.items()} == found.reasons
    assert {here[i]: why for i, why in expected.failures.items()} == {7: found.failures[7]}
    assert (found.seconds[here] > 0).any()


def test_the_command_prints_the_same(capsys):
    rows = []
    with one_thread():
        for workers in ("1", "2"):
            words = ["score", "--sample", "6", "--proxies", "snip,zico,nwot", "--json", "--quiet"]
            assert run([*words, "--workers", workers]) == 0
            rows.append(json.loads(capsys.readouterr().out))
    for row in (*rows[0], *rows[1]):
        assert row.pop("seconds") >= 0
    assert rows[0] == rows[1]


def test_bad_arguments_are_told_before_any_worker_starts(batches):
    archs = [Arch("nb201", (3, 1, 2, 4, 1, 3))] * 2
    with pytest.raises(UsageError, match="workers >= 1, but got 0"):
        score(archs, NAMES, batches, skeleton=SKELETON, workers=0)
    with pytest.raises(UnknownNameError, match="zico"):
        score(archs, ["zicco"], batches, skeleton=SKELETON, workers=2)
    with pytest.raises(UsageError, match="skeleton"):
        score(archs, NAMES, batches, workers=2)
    assert run(["score", "--sample", "2", "--workers", "0"]) == 2
