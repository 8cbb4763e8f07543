"""The exported folder stands on its own."""

import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from foretell import Arch, get_space, load_task
from foretell.errors import ExportError, MissingDataError, MissingExtraError
from foretell.export import export_best, export_onnx, load_best
from foretell.networks import build
from foretell.training import Recipe, loop, tensor_task, train
from foretell.training.loop import normalise

RECIPE = Recipe(epochs=2, batch_size=16)
SEED = 3
BLOCKER = """
import importlib.abc, sys
ALLOWED = {"torch", "torchgen", "functorch", "sympy", "mpmath", "networkx", "jinja2", "markupsafe",
           "filelock", "fsspec", "typing_extensions"}
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in ALLOWED | OWN or top in sys.stdlib_module_names or top.startswith("_"):
            return None
        raise ModuleNotFoundError(f"blocked: {name}", name=top)
sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture(scope="module")
def task():
    return load_task("synthetic:1x8x8x3?limit=60")


def run(arch, task, folder, *, recipe=RECIPE, onnx=False):
    skeleton = get_space(arch.space).skeleton(task.input_shape, task.classes)
    module = build(arch, skeleton, seed=SEED)
    result = train(module, task, recipe, seed=SEED)
    files = export_best(
        folder,
        module,
        arch=arch,
        skeleton=skeleton,
        task=task,
        recipe=recipe,
        seed=SEED,
        result=result,
        onnx=onnx,
    )
    return module, result, files


def retrain(folder: Path, *options: str, cwd: Path | None = None, allow: tuple[str, ...] = ()):
    """Run train.py where nothing but torch and the standard library can be imported."""
    own = {p.stem for p in folder.glob("*.py")} | set(allow)
    code = (
        f"OWN = {own!r}\n{BLOCKER}\nimport runpy\nsys.argv[0] = 'train.py'\n"
        f"runpy.run_path({str(folder / 'train.py')!r}, run_name='__main__')"
    )
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [sys.executable, "-c", code, *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd or folder.parent,
        env=environment,
    )


def accuracy_in(output: str) -> float:
    return float(output.strip().splitlines()[-1].removeprefix("test accuracy "))


@pytest.fixture(scope="module")
def exported(task, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "best"
    return folder, *run(Arch("nb201", (3, 1, 2, 3, 0, 4)), task, folder)


def test_files(exported):
    folder, _, _, files = exported
    sources = {"train.py", "loop.py", "nb201.py", "cells.py"}
    names = {"weights.safetensors", "arch.json", "data.pt"} | sources
    assert {p.name for p in files} == names == {p.name for p in folder.iterdir()}


def test_arch_json_says_everything(exported, task):
    folder, module, result, _ = exported
    content = json.loads((folder / "arch.json").read_text())
    assert content["space"] == "nb201"
    assert content["genes"] == [3, 1, 2, 3, 0, 4]
    assert content["text"].startswith("|nor_conv_3x3~0|+|skip_connect~0|")
    assert content["skeleton"] == {
        "input_shape": [1, 8, 8], "classes": 3, "channels": 8, "cells": 1,
    }  # fmt: skip
    assert content["params"] == sum(p.numel() for p in module.parameters())
    assert content["recipe"]["epochs"] == 2
    assert content["seed"] == SEED
    assert content["task"]["class_names"] == ["class 0", "class 1", "class 2"]
    assert content["task"]["fingerprint"] == task.fingerprint
    assert content["result"]["test_accuracy"] == result.test_accuracy
    assert content["versions"]["torch"] == torch.__version__
    assert Arch.from_json((folder / "arch.json").read_text()) == Arch("nb201", (3, 1, 2, 3, 0, 4))


def test_weights_come_back(exported, task):
    folder, module, _, _ = exported
    loaded = load_best(folder)
    assert not loaded.training
    tensors = tensor_task(task)
    raw = tensors.test.images
    expected = module.eval()(normalise(raw, tensors.mean, tensors.std))
    assert torch.equal(loaded(raw), expected)
    scaled = raw.float() / 255 if raw.dtype == torch.uint8 else raw
    assert torch.allclose(loaded(scaled), expected, atol=1e-4)
    assert loaded.input_shape == task.input_shape
    assert loaded.class_names == task.class_names
    stored = load_file(folder / "weights.safetensors")
    assert stored.keys() == module.state_dict().keys()


def test_train_py_needs_only_torch_and_reaches_the_same_weights(exported):
    folder, module, result, _ = exported
    done = retrain(folder)
    assert done.returncode == 0, done.stderr
    assert accuracy_in(done.stdout) == result.test_accuracy
    assert f"recorded test accuracy {result.test_accuracy!r}" in done.stdout
    again = torch.load(folder / "retrained.pt", weights_only=True)
    state = module.state_dict()
    assert again.keys() == state.keys()
    assert all(torch.equal(again[k], state[k]) for k in state)
    (folder / "retrained.pt").unlink()


def test_options_of_train_py(exported, tmp_path):
    folder = exported[0]
    out = tmp_path / "weights.pt"
    done = retrain(
        folder, "--epochs", "1", "--seed", "9", "--threads", "1", "--device", "cpu",
        "--data", str(folder / "data.pt"), "--out", str(out), cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert out.is_file()
    assert not (folder / "retrained.pt").exists()
    assert done.stdout.count("epoch ") == 1


def test_the_script_says_what_it_is(exported):
    text = (exported[0] / "train.py").read_text()
    head = text.split('"""')[1]
    assert "|nor_conv_3x3~0|" in head
    assert "Needs       torch\n" in head
    assert "synthetic:1x8x8x3" in head
    assert "foretell" not in text.split('"""', 2)[2]


def test_the_size_space(task, tmp_path):
    _, result, files = run(Arch("size", (0, 1, 0, 1, 0)), task, tmp_path / "best")
    assert {"size.py", "cells.py"} <= {p.name for p in files}
    done = retrain(tmp_path / "best")
    assert done.returncode == 0, done.stderr
    assert accuracy_in(done.stdout) == result.test_accuracy
    assert load_best(tmp_path / "best")


CUSTOM = '''
"""A user's space."""
import foretell.spaces as spaces
from foretell.spaces import CustomSpace
from foretell import get_space
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width, kernel):
        super().__init__()
        self.conv = nn.Conv2d(width, width, kernel, padding=kernel // 2)

    def forward(self, x):
        return torch.relu(self.conv(x))


def build(*, input_shape, classes, width, blocks):
    assert isinstance(input_shape, tuple)
    layers = [nn.Conv2d(input_shape[0], width, 3)] + [Block(width, k) for k in blocks["kernels"]]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


class Nets:
    @staticmethod
    def build(*, input_shape, classes, width):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, classes))


space = CustomSpace({"width": (4, 8), "blocks": ({"kernels": [1]}, {"kernels": [3, 1]})}, build)
nested = CustomSpace({"width": (4, 8)}, Nets.build)
unnamed = CustomSpace({"width": (4, 8)}, lambda **options: Nets.build(**options))
named = CustomSpace({"width": (4, 8)}, "PLACE:Nets.build")
'''


@pytest.fixture
def user_file(tmp_path):
    """A function that writes the user's file under a name."""

    def write(name):
        path = tmp_path / name
        path.write_text(CUSTOM.replace("PLACE", str(path)))
        return path

    return write


@pytest.mark.parametrize("name", ["my_space.py", "loop.py", "2 nets.py"])
def test_a_users_space_in_a_file(task, tmp_path, user_file, name):
    path = user_file(name)
    folder = tmp_path / "best"
    module, result, files = run(Arch(f"{path}:space", (1, 1)), task, folder)
    assert len({p.name for p in files}) == 6
    if name == "loop.py":
        done = retrain(folder)
        assert done.returncode == 0, done.stderr
        assert accuracy_in(done.stdout) == result.test_accuracy
    path.unlink()
    loaded = load_best(folder)
    x, tensors = torch.rand(2, 1, 8, 8), tensor_task(task)
    assert torch.equal(loaded(x), module.eval()(normalise(x, tensors.mean, tensors.std)))


@pytest.mark.parametrize("space", ["nested", "named"])
def test_builders_inside_a_class_and_by_name(task, tmp_path, user_file, space):
    path = user_file("my_space.py")
    folder = tmp_path / "best"
    _, result, _ = run(Arch(f"{path}:{space}", (1,)), task, folder)
    if space == "nested":
        done = retrain(folder)
        assert done.returncode == 0, done.stderr
        assert accuracy_in(done.stdout) == result.test_accuracy
    path.unlink()
    assert load_best(folder)


def test_a_builder_without_a_name_needs_the_library(task, tmp_path, user_file):
    path = user_file("my_space.py")
    folder = tmp_path / "best"
    _, result, _ = run(Arch(f"{path}:unnamed", (1,)), task, folder)
    assert "torch, foretell and" in (folder / "train.py").read_text()
    done = subprocess.run(
        [sys.executable, folder / "train.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert accuracy_in(done.stdout) == result.test_accuracy
    assert load_best(folder)


def test_a_builder_in_an_installed_package_is_imported(task, tmp_path, monkeypatch):
    package = tmp_path / "nets_pkg"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "spaces.py").write_text(CUSTOM.replace("PLACE", "nets_pkg.spaces"))
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "best"
    _, result, files = run(Arch("nets_pkg.spaces:space", (0, 0)), task, folder)
    assert "spaces.py" not in {p.name for p in files}
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = retrain(folder, allow=("nets_pkg",))
    assert done.returncode == 0, done.stderr
    assert accuracy_in(done.stdout) == result.test_accuracy


def test_texts_that_python_would_misread(task, tmp_path):
    odd = replace(task, name='a"""b\\n\\')
    run(Arch("nb201", (1,) * 6), odd, tmp_path / "best")
    compile((tmp_path / "best" / "train.py").read_text(), "train.py", "exec")


def test_use_val_leaves_no_validation_accuracy(task, tmp_path):
    run(Arch("nb201", (1,) * 6), task, tmp_path, recipe=replace(RECIPE, use_val=True))
    content = json.loads((tmp_path / "arch.json").read_text())
    assert content["result"]["val_accuracy"] is None


def test_exporting_again_replaces_the_files(exported, task, tmp_path):
    run(Arch("nb201", (1,) * 6), task, tmp_path / "best")
    run(Arch("nb201", (3, 1, 2, 3, 0, 4)), task, tmp_path / "best")
    ours = (tmp_path / "best" / "weights.safetensors").read_bytes()
    assert ours == (exported[0] / "weights.safetensors").read_bytes()


# --- ONNX -----------------------------------------------------------------------------------------


def test_onnx_takes_images_from_zero_to_one_and_agrees(exported, task, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    module = exported[1].train()
    path = export_onnx(module, tmp_path / "model.onnx", task)
    assert module.training
    assert list(tmp_path.iterdir()) == [path]
    session = runtime.InferenceSession(str(path))
    assert [i.name for i in session.get_inputs()] == ["images"]
    assert [o.name for o in session.get_outputs()] == ["logits"]
    module.eval()
    for count in (1, 2, 7):
        x = np.random.default_rng(count).random((count, 1, 8, 8), dtype=np.float32)
        (got,) = session.run(None, {"images": x})
        tensors = tensor_task(task)
        with torch.no_grad():
            expected = module(normalise(torch.from_numpy(x), tensors.mean, tensors.std))
        np.testing.assert_allclose(got, expected, atol=1e-4)


class NotExportable(nn.Module):
    """Decides by the values of its input."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 3)

    def forward(self, x):
        if float(x.sum()) > 0:
            return self.head(x.flatten(1))
        return self.head(-x.flatten(1))


def test_what_onnx_cannot_hold(task, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    with pytest.raises(ExportError, match=r"cannot be written as ONNX"):
        export_onnx(NotExportable(), tmp_path / "model.onnx", task)
    assert not list(tmp_path.iterdir())

    def fail(*_):
        raise ExportError("The network cannot be written as ONNX.")

    monkeypatch.setattr("foretell.export.write.export_onnx", fail)
    with pytest.warns(UserWarning, match="other files were written"):
        _, _, files = run(Arch("nb201", (1,) * 6), task, tmp_path / "a", onnx=None)
    assert "train.py" in {p.name for p in files}
    with pytest.raises(ExportError):
        run(Arch("nb201", (1,) * 6), task, tmp_path / "b", onnx=True)


def test_without_the_extra(task, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, _, files = run(Arch("nb201", (1,) * 6), task, tmp_path / "best", onnx=None)
    assert "model.onnx" not in {p.name for p in files}
    with pytest.raises(MissingExtraError, match=r"pip install 'foretell\[onnx\]'"):
        run(Arch("nb201", (1,) * 6), task, tmp_path / "best", onnx=True)


# --- errors ---------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written(task, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportError, match="cannot be written"):
        run(Arch("nb201", (1,) * 6), task, tmp_path / "file")


def test_a_full_disk_leaves_the_old_files(task, tmp_path, monkeypatch):
    run(Arch("nb201", (1,) * 6), task, tmp_path / "best")
    before = {p.name: p.read_bytes() for p in (tmp_path / "best").iterdir()}

    calls = []

    def full(_):
        calls.append(1)
        if len(calls) == 4:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(loop.os, "fsync", full)
    with pytest.raises(ExportError, match="No space left on device"):
        run(Arch("nb201", (3,) * 6), task, tmp_path / "best")
    assert {p.name: p.read_bytes() for p in (tmp_path / "best").iterdir()} == before


@pytest.mark.parametrize("name", ["arch.json", "weights.safetensors"])
def test_load_best_without_its_files(exported, tmp_path, name):
    with pytest.raises(MissingDataError, match=r"no arch\.json"):
        load_best(tmp_path)
    for file in ("arch.json", "weights.safetensors"):
        if file != name:
            (tmp_path / file).write_bytes((exported[0] / file).read_bytes())
    with pytest.raises(MissingDataError, match=name):
        load_best(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("arch.json", b"{", "is not what export_best writes"),
        ("arch.json", b"{}", "is not what export_best writes"),
        ("weights.safetensors", b"broken", "do not fit"),
        ("weights.safetensors", None, "do not fit"),
    ],
)
def test_load_best_with_broken_files(exported, task, tmp_path, file, content, words):
    run(Arch("nb201", (1,) * 6), task, tmp_path)
    source = exported[0] / file
    (tmp_path / file).write_bytes(source.read_bytes() if content is None else content)
    with pytest.raises(ExportError, match=words):
        load_best(tmp_path)
