"""A damaged or hostile ``arch.json`` asks for a network that nobody has memory for."""

import json
import time

import pytest
import torch

from foretell.data import load_task
from foretell.errors import ExportError
from foretell.export import export_best, load_best
from foretell.networks import build
from foretell.spaces import get_space
from foretell.training import Recipe, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    space = get_space("nb201")
    task = load_task("synthetic:1x8x8x3")
    arch, skeleton = space.parse("3.3.3.3.3.3"), space.skeleton(task.input_shape, 3, "4x1")
    module = build(arch, skeleton, seed=0)
    recipe = Recipe(epochs=1)
    result = train(module, task, recipe, seed=0)
    best = tmp_path_factory.mktemp("best")
    export_best(
        best, module, arch=arch, skeleton=skeleton, task=task, recipe=recipe, seed=0,
        result=result, onnx=False,
    )  # fmt: skip
    return best


HOSTILE = [
    (("skeleton", "channels"), 60_000, "more than the .* weights that are stored"),
    (("skeleton", "channels"), 64, "more than the .* weights that are stored"),
    (("skeleton", "channels"), 10**12, "channels must be 1 to 65,536"),
    (("skeleton", "channels"), -4, "channels must be 1 to 65,536"),
    (("skeleton", "cells"), 999, "more than the .* weights that are stored"),
    (("skeleton", "cells"), 10**9, "cells at most 999"),
    (("skeleton", "input_shape"), [1, 10**6, 10**6], "more than 16,777,216 values"),
    (("task", "mean"), [float("nan")], "mean must be finite"),
    (("task", "std"), [0.0], "std finite and above 0"),
    (("note",), "x" * (17 << 20), "larger than 16 MiB"),
]


@pytest.mark.parametrize(("keys", "value", "words"), HOSTILE)
def test_what_it_asks_for_is_bounded_before_anything_is_built(folder, keys, value, words, tmp_path):
    content = json.loads((folder / "arch.json").read_text())
    at = content
    for key in keys[:-1]:
        at = at[key]
    at[keys[-1]] = value
    for file in ("weights.safetensors", "arch.json"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    assert load_best(tmp_path)(torch.zeros(1, 1, 8, 8)).shape == (1, 3)
    (tmp_path / "arch.json").write_text(json.dumps(content))
    start = time.process_time()
    with pytest.raises(ExportError, match=words):
        load_best(tmp_path)
    assert time.process_time() - start < 5
