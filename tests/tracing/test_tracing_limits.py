"""Small ONNX files that ask for much memory or time: one sentence, at once."""

import itertools
import time

import numpy as np
import pytest

from foretell.errors import NetworkError
from foretell.tracing.onnx import read_onnx

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402


def constant(name, values, shape=None):
    array = np.array(values, dtype=np.int64).reshape(shape or -1)
    return helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(array))


def chain(op, first, count, **attributes):
    """``count`` nodes, each of which takes the one before it twice."""
    names = [first, *(f"{first}{i}" for i in range(count))]
    pairs = itertools.pairwise(names)
    return [helper.make_node(op, [a, a], [b], **attributes) for a, b in pairs], names[-1]


def function(index, last, copies=2):
    """A function that calls the next one several times."""
    final = index == last
    word, domain = ("Relu", "") if final else (f"f{index + 1}", "own")
    names = ["x", *(f"t{i}" for i in range(copies - 1)), "y"]
    nodes = [helper.make_node(word, [a], [b], domain=domain) for a, b in itertools.pairwise(names)]
    sets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    return helper.make_function("own", f"f{index}", ["x"], ["y"], nodes, sets)


def read(nodes, folder, functions=(), shape=(1, 4)):
    first = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    last = [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)]
    sets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    graph = helper.make_graph(nodes, "g", first, last)
    model = helper.make_model(graph, functions=list(functions), opset_imports=sets)
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    start = time.process_time()
    try:
        return read_onnx(path)
    finally:
        assert time.process_time() - start < 5


def relu(name="x"):
    return helper.make_node("Relu", [name], ["o"])


@pytest.mark.parametrize("start", ["constant", "shape"])
def test_lists_of_sizes_that_double(tmp_path, start):
    first = (
        constant("c", [1, 2]) if start == "constant" else helper.make_node("Shape", ["x"], ["c"])
    )
    nodes, last = chain("Concat", "c", 40, axis=0)
    with pytest.raises(NetworkError, match="makes a list of"):
        read([first, *nodes, helper.make_node("Reshape", ["x", last], ["o"])], tmp_path)


def test_axes_that_double_or_add_up(tmp_path):
    nodes, last = chain("Gather", "i", 40)
    whole = helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64)
    with pytest.raises(NetworkError, match="axes, more than 64"):
        read([whole, *nodes, relu(last)], tmp_path)
    axes = constant("a", range(40))
    twice = [
        helper.make_node("Unsqueeze", ["x" if not i else "u0", "a"], [f"u{i}"]) for i in (0, 1)
    ]
    with pytest.raises(NetworkError, match="82 axes"):
        read([axes, *twice, relu("u1")], tmp_path)
    with pytest.raises(NetworkError, match="would have 70 axes"):
        read([constant("s", [1] * 70), helper.make_node("Reshape", ["x", "s"], ["o"])], tmp_path)
    with pytest.raises(NetworkError, match="has 65 axes"):
        read([relu()], tmp_path, shape=(1,) * 65)


def test_nested_functions(tmp_path):
    call = helper.make_node("f0", ["x"], ["o"], domain="own")
    with pytest.raises(NetworkError, match=r"unfold to 2,199,023,255,551 nodes"):
        read([call], tmp_path, [function(i, 39) for i in range(40)])
    graph = read([call], tmp_path, [function(i, 3) for i in range(4)])
    assert sum(node.op.startswith("relu") for node in graph.nodes) == 16
    back = helper.make_node("f0", ["x"], ["y"], domain="own")
    sets = [helper.make_opsetid("own", 1)]
    loop = helper.make_function("own", "f1", ["x"], ["y"], [back], sets)
    with pytest.raises(NetworkError, match="'f0' calls itself"):
        read([call], tmp_path, [function(0, 9), loop])


@pytest.mark.parametrize(
    "nodes",
    [
        [constant("a", [2**40]), helper.make_node("ConstantOfShape", ["a"], ["s"])],
        [constant("a", [2**32, 2**32]), helper.make_node("ConstantOfShape", ["a"], ["s"])],
        [constant("a", [1] * 4000, (4000, 1)), helper.make_node("Transpose", ["a"], ["b"]),
         helper.make_node("Add", ["a", "b"], ["s"])],
        [constant("a", range(4000)), constant("b", [0] * 4000, (4000, 1)),
         helper.make_node("Gather", ["b", "a"], ["c"]), helper.make_node("Add", ["c", "a"], ["s"])],
        [constant("a", range(4000)), constant("b", [4000, 4000]),
         helper.make_node("Expand", ["a", "b"], ["s"])],
    ],
)  # fmt: skip
def test_constants_that_would_be_huge_are_not_computed(tmp_path, nodes):
    graph = read([*nodes, helper.make_node("Cast", ["s"], ["f"], to=1), relu()], tmp_path)
    assert [node.op for node in graph.nodes][:2] == ["input", "relu"]


def test_control_flow_is_refused_before_anything_else(tmp_path):
    body = helper.make_graph([relu()], "b", [], [helper.make_tensor_value_info("o", 1, None)])
    node = helper.make_node("If", ["x"], ["o"], then_branch=body, else_branch=body)
    with pytest.raises(NetworkError, match="control flow 'If'"):
        read([node], tmp_path)
