"""An exported folder where nothing of its maker's machine is left."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from foretell import Arch, get_space, load_task
from foretell.cli._app import run as run_command
from foretell.cli.classify import classify_command
from foretell.errors import (
    BrokenImageError,
    ExportError,
    ExportWarning,
    MissingDataError,
    UsageError,
)
from foretell.export import check_best, export_best, export_onnx, load_best, read_info
from foretell.export.classify import classify
from foretell.export.onnx_file import onnx_session
from foretell.networks import build
from foretell.networks.to_onnx import onnx_bytes
from foretell.training import Curves, Recipe, TrainingResult, tensor_task
from foretell.training.loop import normalise

SEED = 5
FILES = {
    "torch.py": """
from torch import nn
from foretell.spaces import CustomSpace
import loop
from parts import WIDTH


def build(*, input_shape, classes, depth):
    from late import head
    body = [loop.block(input_shape[0] if not i else WIDTH, WIDTH) for i in range(depth)]
    return nn.Sequential(*body, head(WIDTH, classes))


space = CustomSpace({"depth": (1, 2)}, build)
""",
    "loop.py": """
from torch import nn


def block(c_in, c_out):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1), nn.ReLU())
""",
    "parts/__init__.py": "from .width import WIDTH\n",
    "parts/width.py": "WIDTH = 4\n",
    "late.py": """
from torch import nn


class Head(nn.Sequential):
    pass


def head(width, classes):
    return Head(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(classes))
""",
}
READS = """
from pathlib import Path
from torch import nn
from foretell.spaces import CustomSpace


def build(*, input_shape, classes, bias):
    text = (Path(__file__).parent / "width.txt").read_text()
    return nn.Sequential(nn.Flatten(), nn.Linear(64, int(text)), nn.Linear(int(text), classes))


space = CustomSpace({"bias": (False, True)}, build)
"""


@pytest.fixture(scope="module")
def task():
    task = load_task("synthetic:1x8x8x3?limit=40")
    return replace(task, class_names=("cat", "dog", "hen"))


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def export(arch, task, folder):
    """An untrained network, exported as if it had been trained."""
    skeleton = get_space(arch.space).skeleton(task.input_shape, task.classes)
    module = build(arch, skeleton, seed=SEED)
    what = {"arch": arch, "skeleton": skeleton, "task": task}
    result = TrainingResult(Curves((1.0,), (1.0,), (0.5,)), 0.5, 0.5, 1.0, 1)
    recipe = Recipe(epochs=1, batch_size=8)
    export_best(folder, module, **what, recipe=recipe, seed=SEED, result=result, onnx=False)
    return module.eval(), what


def outputs(module, images, task):
    tensors = tensor_task(task)
    return module(normalise(images, tensors.mean, tensors.std))


@pytest.fixture(scope="module")
def plain(task, tmp_path_factory):
    """A cell network; two of its operations do not reach the output."""
    folder = tmp_path_factory.mktemp("plain") / "best"
    return folder, *export(Arch("nb201", (3, 3, 3, 2, 0, 0)), task, folder)


@pytest.fixture(scope="module")
def neighbours(task, tmp_path_factory):
    """A builder in a file named torch.py, with a neighbour, a package and a late import."""
    place = tmp_path_factory.mktemp("user")
    write(place, FILES)
    folder = tmp_path_factory.mktemp("run") / "best"
    path, modules = list(sys.path), set(sys.modules)
    module, what = export(Arch(f"{place / 'torch.py'}:space", (1,)), task, folder)
    problems = check_best(folder, module, **what)
    for name in FILES:  # the machine that it came from is gone
        (place / name).unlink()
    sys.path[:] = path
    for name in {"loop", "late", "parts", "parts.width"} & (set(sys.modules) - modules):
        del sys.modules[name]
    return folder, module, problems


def test_neighbours_of_the_builder_travel_with_it(neighbours, task):
    folder, module, problems = neighbours
    assert problems == ()
    copied = {str(p.relative_to(folder / "source")) for p in (folder / "source").rglob("*.py")}
    assert copied == {"user_torch.py", "loop.py", "late.py", "parts/__init__.py", "parts/width.py"}
    images = torch.rand(3, 1, 8, 8)
    assert torch.equal(load_best(folder)(images), outputs(module, images, task))


def test_modules_of_a_folder_stay_its_own(neighbours, monkeypatch):
    own = type(sys)("loop")
    monkeypatch.setitem(sys.modules, "loop", own)
    before = sys.meta_path[:]
    network = load_best(neighbours[0])
    assert sys.modules["loop"] is own
    assert not {"late", "parts", "user_torch"} & set(sys.modules)
    assert sys.meta_path == before
    assert pickle.loads(pickle.dumps(network)).class_names == ("cat", "dog", "hen")


def test_train_py_beside_files_with_names_of_modules(neighbours, tmp_path):
    folder = neighbours[0]
    stray = [folder / "torch.py", folder / "argparse.py", tmp_path / "torch.py"]
    for path in stray:
        path.write_text("raise SystemExit('the wrong file')")
    done = subprocess.run(
        [sys.executable, folder / "train.py", "--check"], cwd=tmp_path, check=False,
        env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True,
    )  # fmt: skip
    for path in stray:
        path.unlink()
    assert (done.returncode, done.stdout) == (0, "It works.\n"), done.stderr
    assert not (folder / "retrained.pt").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ("train.py", "FileNotFoundError", "other files are not copied")),
        ({"text = ": "import importlib; text = importlib.import_module('far').W  # "},
         ("train.py", "No module named 'far'", "install it as a package")),
        ({"text = ": "import os; os._exit(3)  # "}, ("train.py", "ended before it could answer")),
    ],
)  # fmt: skip
def test_what_does_not_work_elsewhere_is_said(task, tmp_path, change, words):
    place = tmp_path / "user"
    write(place, {"nets.py": READS, "far.py": "W = '4'", "width.txt": "4"})
    module, what = export(Arch(f"{place / 'nets.py'}:space", (0,)), task, tmp_path / "best")
    copy = tmp_path / "best" / "source" / "nets.py"
    for old, new in change.items():
        copy.write_text(copy.read_text().replace(old, new))
    problems = check_best(tmp_path / "best", module, **what)
    assert len(problems) == 2
    assert all(word in problems[0] for word in words)
    assert problems[1].startswith("load_best of the exported folder does not work")


def test_other_weights_are_told_from_the_trained_ones(plain, task):
    folder, module, what = plain
    assert check_best(folder, module, **what) == ()
    other = build(what["arch"], what["skeleton"], seed=SEED + 1).eval()
    (problem,) = check_best(folder, other, **what)
    assert "outputs are not those of the trained network" in problem


# --- what load_best imports -----------------------------------------------------------------------


def _network(**changes):
    plain = {"target": "nets:build", "arguments": {}, "files": {"nets": "nets.py"}}
    return {**plain, **changes}


@pytest.mark.parametrize(
    ("space", "network"),
    [
        ("x", {"target": "../outside:build", "arguments": {}}),
        ("x", _network(files={"nets": "../outside.py"})),
        ("x", _network(files={"nets": "ABSOLUTE"})),
        ("x", _network(files={"nets": "link.py"})),
        ("x", _network(files={"../outside": "nets.py"}, target="../outside:build")),
        ("x", _network(target="outside:build")),
        ("ABSOLUTE:space", None),
        ("outside:space", None),
        ("x", _network(target="", space="outside:space")),
    ],
)
def test_only_files_inside_the_folder_are_imported(plain, tmp_path, monkeypatch, space, network):
    folder, outside = tmp_path / "best", tmp_path / "outside.py"
    folder.mkdir()
    outside.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef build(**_): ...\nspace = build")
    (folder / "link.py").symlink_to(outside)
    (folder / "nets.py").write_text("def build(**_): ...")
    for file in ("arch.json", "weights.safetensors"):
        (folder / file).write_bytes((plain[0] / file).read_bytes())
    content = json.loads((folder / "arch.json").read_text())
    text = json.dumps({**content, "space": space, "network": network})
    (folder / "arch.json").write_text(text.replace("ABSOLUTE", str(outside)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    with pytest.raises(ExportError):
        load_best(folder, trust=True)
    assert not (tmp_path / "ran").exists()


# --- images as they are ---------------------------------------------------------------------------


def test_bytes_and_floats_give_the_same(plain, task):
    folder, module, _ = plain
    network = load_best(folder)
    images = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    expected = outputs(module, images, task)
    assert torch.equal(network(images), expected)
    assert torch.allclose(network(images / 255), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.full((1, 1, 8, 8), 1.5), "leave it out"),
        (torch.full((1, 1, 8, 8), -1.0), "normalisation is inside"),
        (torch.ones((1, 1, 8, 8), dtype=torch.int64), "uint8 or as floats"),
    ],
)
def test_normalised_images_are_refused(plain, images, words):
    with pytest.raises(UsageError, match=words):
        load_best(plain[0])(images)


def test_operations_that_do_not_reach_the_output_are_pruned(plain, task):
    folder, module, _ = plain
    network = load_best(folder)
    # 0->1, 0->2 and 1->2 are dead: the rest is a 1x1 convolution from input to output, three times
    dead = sum(c * (2 * 9 * c + 9 * c) + 3 * 2 * c for c in (8, 16, 32))
    total = sum(p.numel() for p in module.parameters())
    assert sum(p.numel() for p in network.parameters()) == total - dead
    assert json.loads((folder / "arch.json").read_text())["params"] == total - dead
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(network(images), outputs(module, images, task))


def test_arch_json_says_what_images_are(plain):
    facts = json.loads((plain[0] / "arch.json").read_text())["images"]
    assert facts["shape"] == [1, 8, 8]
    assert facts["channels"] == "grey"
    assert "inside" in facts["normalisation"]
    assert "8 x 8" in facts["resize"]
    assert read_info(plain[0]).class_names == ("cat", "dog", "hen")


# --- ONNX -----------------------------------------------------------------------------------------


class Pairs(nn.Module):
    """Glues two images on the batch axis, so that it takes an even number of them."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(128, 6)

    def forward(self, x):
        return self.head(x.reshape(-1, 128)).reshape(-1, 3)


def test_a_network_that_is_fixed_to_a_batch(task, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    with pytest.warns(ExportWarning, match="exactly 2 images at a time"):
        path = export_onnx(Pairs(), tmp_path / "model.onnx", task)
    props = {p.key: p.value for p in onnx.load(path).metadata_props}
    assert json.loads(props["class_names"]) == ["cat", "dog", "hen"]
    assert json.loads(props["shape"]) == [1, 8, 8]
    assert json.loads(props["mean"]) == task.mean.tolist()
    assert (props["batch"], "inside" in props["normalisation"]) == ("2", True)


BRANCHES = {
    "truth": lambda x: bool((x.mean() > 0.5).item()),
    "comparison": lambda x: torch.allclose(x, x.clamp(max=0.999)),
    "equality": lambda x: torch.equal(x, x.round()),
    "list": lambda x: x.flatten().tolist()[0] > 0.5,
    "array": lambda x: float(x.numpy().max()) > 0.5,
    "images": lambda x: len(x) > 6,
}


@pytest.mark.parametrize("decide", BRANCHES.values(), ids=BRANCHES)
def test_no_branch_is_frozen_that_a_value_or_the_number_of_images_decides(decide):
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(64, 3)

        def forward(self, x):
            y = self.head(x.flatten(1))
            return -y if decide(x) else y

    with pytest.raises(ExportError):
        onnx_bytes(
            Branching().eval(), torch.rand(2, 1, 8, 8), exporter="torchscript", any_batch=True
        )


def test_the_slow_exporter_is_asked_only_where_the_fast_one_cannot(task, tmp_path, monkeypatch):
    asked = []

    def spy(*args, exporter="dynamo", **options):
        asked.append(exporter)
        return onnx_bytes(*args, exporter=exporter, **options)

    monkeypatch.setattr("foretell.export.onnx_file.onnx_bytes", spy)
    plain = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
    plain(torch.zeros(1, 1, 8, 8))
    export_onnx(plain, tmp_path / "plain.onnx", task)
    assert asked == ["torchscript"]

    class Careful(nn.Module):
        """Looks at the shape of what it gets."""

        def __init__(self):
            super().__init__()
            self.head = nn.Linear(64, 3)

        def forward(self, x):
            if x.shape[1] != 1:
                raise ValueError("grey images only")
            return self.head(x.flatten(1))

    export_onnx(Careful(), tmp_path / "careful.onnx", task)
    assert asked == ["torchscript", "torchscript", "dynamo"]
    for name in ("plain", "careful"):
        session, batch = onnx_session(str(tmp_path / f"{name}.onnx"))
        assert (batch, session(np.zeros((5, 1, 8, 8), dtype=np.float32)).shape) == (None, (5, 3))


def test_a_file_with_other_outputs_is_refused(task, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    monkeypatch.setattr("foretell.export.onnx_file.onnx_bytes", lambda *_, **__: b"")
    monkeypatch.setattr(
        "foretell.export.onnx_file.onnx_session", lambda _: (lambda x: np.zeros((len(x), 3)), None)
    )
    with pytest.raises(ExportError, match="outputs differ from torch"):
        export_onnx(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), tmp_path / "m.onnx", task)
    assert not list(tmp_path.iterdir())


# --- classify -------------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path):
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for i, size in enumerate([(8, 8), (20, 12)]):
        pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        image.fromarray(pixels if i else pixels[..., 0]).save(tmp_path / f"{i}.png")
    return tmp_path


def test_classes_are_those_of_the_network(plain, task, photos):
    folder, module, _ = plain
    result = classify(folder, [photos / "0.png"], runtime="torch")
    from PIL import Image

    pixels = torch.from_numpy(np.asarray(Image.open(photos / "0.png")).copy())[None, None]
    expected = outputs(module, pixels, task).softmax(1).detach().numpy()
    np.testing.assert_allclose(result.probabilities, expected, atol=1e-5)
    assert result.best == (task.class_names[int(expected.argmax())],)


def test_a_folder_of_images_as_json(plain, photos):
    (photos / "bad.png").write_bytes(b"no image")
    args = [str(plain[0]), str(photos), "--json", "--runtime", "torch"]
    result = CliRunner().invoke(classify_command, args)
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["images"]
    assert [row["file"].rpartition("/")[2] for row in rows] == ["0.png", "1.png", "bad.png"]
    assert "cannot be decoded" in rows[2]["error"]
    for row in rows[:2]:
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        assert row["probabilities"][row["class"]] == row["probability"]


def test_a_table_for_people(plain, photos, capsys):
    assert run_command(["classify", str(plain[0].parent), str(photos / "1.png")]) == 0
    file, probability, name = capsys.readouterr().out.split()
    assert file.endswith("1.png")
    assert probability.endswith("%")
    assert name in ("cat", "dog", "hen")


@pytest.mark.parametrize(
    ("images", "error"),
    [
        (["gone.png"], MissingDataError),
        (["bad.png"], BrokenImageError),
        (["empty"], MissingDataError),
        ([], UsageError),
    ],
)
def test_images_that_cannot_be_classified(plain, photos, images, error):
    (photos / "bad.png").write_bytes(b"no image")
    (photos / "empty").mkdir()
    with pytest.raises(error):
        classify(plain[0], [photos / name for name in images])


def test_onnx_that_is_not_there(plain, photos):
    with pytest.raises(MissingDataError, match="--runtime torch"):
        classify(plain[0], [photos / "0.png"], runtime="onnx")


@pytest.mark.parametrize("content", ["[", "{}", "[[[", '{"skeleton": 3}', "[" * 100_000])
def test_a_description_that_is_none(tmp_path, content):
    (tmp_path / "arch.json").write_text(content)
    with pytest.raises(ExportError, match="is not what export_best writes"):
        read_info(tmp_path)
