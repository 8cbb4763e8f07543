"""A winner that fails when it is trained in full, attacked or exported, and what is left of it."""

import ctypes
import os
import time
from functools import partial

import bad_networks
import pytest
import torch
from torch import nn

from foretell.errors import SearchError
from foretell.execution import ForkedExecutor
from foretell.export import load_best
from foretell.spaces import CustomSpace
from foretell.studies import Resources, SearchConfig
from foretell.studies.run.workers import COUNTING, TORCH
from foretell.studies.search.read import read
from foretell.studies.search.study import run

CONFIG = SearchConfig(
    space="frail",
    data="synthetic:1x4x4x2",
    pool=6,
    trials=6,
    round=6,
    epochs=1,
    final_epochs=3,
    searcher="random",
    attacks=("fgsm",),
    attack_images=20,
    onnx=False,
)


class Frail(nn.Module):
    """Does what a file says from its n-th training forward on, or its n-th gradient by images."""

    def __init__(self, name, layers):
        super().__init__()
        self.name, self.layers, self.count = name, layers, 0

    def forward(self, x):
        if x.device.type != "meta" and type(x) is torch.Tensor:
            names, when, kind = os.environ["FRAIL"].split()
            step = "attack" if x.requires_grad else "train" if self.training else "evaluate"
            self.count += step == "train"
            last = step == "attack" or self.count > 20
            if self.name in names.split(",") and step == when and last:
                self.fail(kind)
        return self.layers(x)

    def fail(self, kind):
        with open(os.environ["BAD_CALLS"], "a", encoding="utf-8") as file:
            file.write(f"{self.name}\n")
        if kind == "segfault":
            ctypes.string_at(0)
        elif kind == "exit":
            os._exit(0)
        elif kind == "hang":
            time.sleep(600)
        elif kind == "raise":
            raise LookupError("not today")
        elif kind == "nan":
            nn.init.constant_(self.layers[0].weight, float("nan"))


def build(*, input_shape, classes, width, depth):
    net = bad_networks.build(input_shape=input_shape, classes=classes, width=width, depth=depth)
    return Frail(f"{width}{depth}", net)


space = CustomSpace({"width": (2, 3, 4), "depth": (0, 1)}, build, name="frail")


@pytest.fixture(autouse=True)
def calls(monkeypatch, tmp_path):
    monkeypatch.setenv("BAD_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("FRAIL", "none train raise")
    (tmp_path / "calls").write_text("")
    return tmp_path / "calls"


def search(folder, **more):
    executor = more.pop("executor", None)
    config = SearchConfig.from_json({**CONFIG.to_json(), **more})
    return run(config, folder, resources=Resources(space), executor=executor)


def ranked(result):
    """Names of the networks, the best trial first."""
    values = {t.key: t.value["values"] for t in result.outcome.trials}
    rows = sorted(
        result.outcome.trials,
        key=lambda t: (-values[t.key]["accuracy"], values[t.key]["loss"]),
    )
    return [f"{(2, 3, 4)[t.payload['genes'][0]]}{t.payload['genes'][1]}" for t in rows]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRAIL", "none train raise")
        return search(tmp_path_factory.mktemp("sound"))


def name_of(winner):
    return "".join(part.partition("=")[2] for part in winner.arch.split(","))


KINDS = [
    ("segfault", "WorkerDied", "SIGSEGV"),
    ("nan", "NonFiniteLossError", "loss"),
]


@pytest.mark.parametrize(("kind", "error", "words"), KINDS)
def test_the_next_best_wins_where_the_best_fails(
    kind, error, words, sound, calls, tmp_path, monkeypatch
):
    first, second = ranked(sound)[:2]
    assert name_of(sound.winner) == first
    monkeypatch.setenv("FRAIL", f"{first} train {kind}")
    result = search(tmp_path / "out")
    assert [t.key for t in result.outcome.trials] == [t.key for t in sound.outcome.trials]
    assert name_of(result.winner) == second
    (note,) = [n for n in result.notes if "did not win" in n]
    assert error in note
    assert words in note
    assert load_best(tmp_path / "out", trust=True)(torch.zeros(2, 1, 4, 4)).shape == (2, 2)
    met = calls.read_text()
    again = search(tmp_path / "out")
    assert calls.read_text() == met, "it is not run again"
    assert again.winner == result.winner
    assert note in read(tmp_path / "out").notes


def test_one_that_hangs_is_passed_over_when_its_time_is_over(sound, tmp_path, monkeypatch):
    first, second = ranked(sound)[:2]
    monkeypatch.setenv("FRAIL", f"{first} train hang")
    limited = partial(ForkedExecutor, timeout=1.0, modules=TORCH + COUNTING)
    result = search(tmp_path / "out", executor=limited)
    assert name_of(result.winner) == second
    assert any(
        "TimeoutError: It took longer than the limit of 3 seconds" in n for n in result.notes
    )


def test_when_the_best_three_fail_the_search_ends_with_a_sentence(
    sound, calls, tmp_path, monkeypatch
):
    monkeypatch.setenv("FRAIL", f"{','.join(ranked(sound))} train raise")
    for _ in range(2):
        with pytest.raises(SearchError, match=r"best 3 of 6 trials .*LookupError: not today"):
            search(tmp_path / "out")
        assert len(calls.read_text().split()) == 3
    stored = read(tmp_path / "out")
    assert len(stored.trials) == 6
    assert sum("did not win" in n for n in stored.notes) == 3
    monkeypatch.setenv("FRAIL", "none train raise")
    assert name_of(search(tmp_path / "out", final_epochs=2).winner) == ranked(sound)[0]


def test_an_attack_that_fails_costs_itself(sound, calls, tmp_path, monkeypatch):
    first = ranked(sound)[0]
    monkeypatch.setenv("FRAIL", f"{first} attack segfault")
    for _ in range(2):
        result = search(tmp_path / "out")
        assert name_of(result.winner) == first
        assert result.winner.robustness == {}
        assert "The attack failed with" in result.winner.robust_skipped
        assert result.winner.test_accuracy == sound.winner.test_accuracy
        assert (tmp_path / "out" / "best" / "weights.safetensors").is_file()
        assert len(calls.read_text().split()) == 1


def test_a_damaged_checkpoint_is_trained_anew(sound, tmp_path):
    result = search(tmp_path / "out")
    (checkpoint,) = (tmp_path / "out" / "checkpoints").iterdir()
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    (tmp_path / "out" / "best" / "weights.safetensors").write_bytes(b"short")
    again = search(tmp_path / "out")
    assert again.winner.test_accuracy == result.winner.test_accuracy
    load_best(tmp_path / "out", trust=True)
