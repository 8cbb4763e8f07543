"""foretell encode: architectures, networks and files as columns of numbers."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from foretell.cli import main
from foretell.encodings import encodings, graf
from foretell.registry import resolve
from foretell.spaces import get_space
from foretell.tracing.module import trace

NETS = Path(__file__).parents[2] / "tutorials" / "my_net.py"
SPACE = f"{NETS.parent}/my_space.py:space"
CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_3x3~0|nor_conv_1x1~1|skip_connect~2|"


def run(*args):
    with pytest.raises(SystemExit) as found:
        main(list(map(str, args)))
    return found.value.code


def rows(capsys, *args):
    assert run("encode", *args, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_architectures_of_a_space(capsys):
    space = get_space("nb201")
    found = rows(capsys, CELL, "--sample", 3)
    assert len(found) == 4
    assert found[0]["arch"] == CELL
    expected = graf([space.graph(space.parse(r["arch"])) for r in found])
    for row, values in zip(found, expected.values, strict=True):
        assert list(row) == ["arch", *expected.names]
        np.testing.assert_allclose(list(row.values())[1:], values)


@pytest.mark.parametrize("name", [n for n in encodings.names() if n not in ("scores", "curve")])
def test_every_encoding_that_needs_no_images(name, capsys):
    if name == "graf_compat":
        found = rows(capsys, CELL, "--encoding", name)
        assert len(found[0]) == 192
    else:
        assert len(rows(capsys, CELL, "--sample", 2, "--encoding", name)[0]) > 1


def test_several_encodings_have_names_before_their_columns(capsys):
    found = rows(capsys, CELL, "--encoding", "graf+costs")
    assert "graf.paths" in found[0]
    assert "costs.log_params" in found[0]


def test_networks_and_architectures_beside_them(capsys):
    small = resolve(f"{NETS}:small")(in_channels=1, num_classes=7)
    found = rows(capsys, f"{NETS}:small", CELL, "--input-shape", "1x8x8", "--classes", "7")
    expected = graf([trace(small, (1, 8, 8))])
    np.testing.assert_allclose(list(found[0].values())[1:], expected.values[0])
    assert found[1]["params_total"] > 8  # of the whole network, not of a cell


def test_shape_and_classes_from_data(capsys):
    by_data = rows(capsys, f"{NETS}:small", "--data", "digits")
    by_hand = rows(capsys, f"{NETS}:small", "--input-shape", "1x8x8", "--classes", "10")
    assert by_data == by_hand


def test_a_space_without_graphs_is_traced(capsys):
    found = rows(capsys, "--space", SPACE, "--sample", 2, "--input-shape", "1x8x8")
    assert all(row["flops_total"] > 8 for row in found)


def test_onnx_files_and_a_table(tmp_path, capsys):
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "net",
        [value("x", onnx.TensorProto.FLOAT, ("n", 3, 8, 8))],
        [value("y", onnx.TensorProto.FLOAT, None)],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph), str(path))
    out = tmp_path / "table.csv"
    assert run("encode", path, "--out", out) == 0
    assert "Wrote 1 rows" in capsys.readouterr().err
    with out.open() as file:
        row = next(csv.DictReader(file))
    assert row["arch"] == str(path)
    assert float(row["ops_total"]) == 1


def test_the_table_on_the_terminal(capsys):
    assert run("encode", CELL) == 0
    out = capsys.readouterr().out
    assert "conv_total" in out
    assert "attention_total" not in out  # zeros only


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "nothing to look at"),
        (("none.onnx",), "There is no file 'none.onnx'"),
        ((f"{NETS}",), "no architecture"),
        ((f"{NETS}:missing",), "missing"),
        ((f"{NETS}:small", "--encoding", "onehot"), "--encoding graf"),
        ((CELL, "--encoding", "scores"), "foretell score"),
        ((CELL, "--encoding", "tea"), "tea"),
        ((CELL, "--input-shape", "8x8"), "--input-shape"),
        ((CELL, "--classes", "1"), "--classes"),
        ((CELL, "--data", "digits", "--classes", "10"), "leave --input-shape"),
        ((CELL, "--out", "table.txt"), ".csv"),
        ((CELL, "--sample", "0"), "--sample"),
    ],
)
def test_bad_input_is_one_sentence(args, words, capsys):
    assert run("encode", *args) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err
