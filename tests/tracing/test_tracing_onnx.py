"""Graphs of ONNX files: equal to those of the modules they came from, and safe on broken ones."""

import logging
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from trace_nets import NETS, Several

from foretell.cost import count
from foretell.data import load_task
from foretell.encodings import graf
from foretell.errors import MissingExtraError, NetworkError
from foretell.export import export_onnx
from foretell.robustness import Normalised
from foretell.tracing.module import trace
from foretell.tracing.onnx import read_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
helper = onnx.helper
SHAPE = (3, 16, 16)


def total(graph, name):
    return sum(node.attrs.get(name, 0) for node in graph.nodes)


def untied(module):
    """The module with weights of which no two are equal: exporters merge equal constants."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.rand(p.shape, generator=generator))
    return module.eval()


def exported(module, path):
    """An ONNX file by PyTorch's own exporter, of any number of images, as it was traced."""
    logger = logging.getLogger("torch.onnx")
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            (torch.rand(2, *SHAPE),),
            dynamo=True,
            verbose=False,
            optimize=False,  # which would fold normalisations into convolutions
            dynamic_shapes=({0: torch.export.Dim("n")},),
        )
    path.write_bytes(program.model_proto.SerializeToString())
    return path


@pytest.mark.slow
def test_features_are_those_of_the_traced_module(tmp_path):
    """Of networks beside one another, to save exports: node by node, column by column."""
    module = untied(Several([NETS[name]() for name in ("mobilenet", "densenet", "vit")]))
    traced = trace(module, SHAPE)
    graph = read_onnx(exported(module, tmp_path / "net.onnx"))
    assert total(graph, "flops") == total(traced, "flops") == count(module, SHAPE).flops
    table, expected = graf([graph]), graf([traced])
    for column, a, b in zip(table.names, table.values[0], expected.values[0], strict=True):
        assert a == pytest.approx(b), column
    assert graph.edges == traced.edges
    for ours, theirs in zip(traced.nodes, graph.nodes, strict=True):
        for key in ("kind", "kernel", "stride", "params", "flops", "out_channels", "resolution"):
            assert ours.attrs.get(key) == theirs.attrs.get(key), (ours.op, key)


def test_files_that_this_library_writes(tmp_path):
    """Normalisation of images in front, BatchNorm after a convolution folded into it."""
    task = load_task("synthetic:3x16x16")
    module = untied(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, task.classes),
        )
    )
    graph = read_onnx(export_onnx(module, tmp_path / "net.onnx", task))
    traced = trace(Normalised(module, [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]), SHAPE)
    assert total(graph, "flops") == total(traced, "flops")
    words = [[n.op.split("_")[0] for n in g.nodes] for g in (graph, traced)]
    assert words[1] == ["input", "conv", "batchnorm", "relu", "mean", "linear", "output"]
    assert words[0] == [w for w in words[1] if w != "batchnorm"]


def made(nodes, tensors=(), *, shape=("n", 3, 8, 8), outputs=("y",), inputs=("x",), opset=20):
    """A file written by hand, as bytes."""
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, floats, shape) for name in inputs],
        [helper.make_tensor_value_info(name, floats, None) for name in outputs],
        [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in tensors],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def read(model, tmp_path, **options):
    path = tmp_path / "made.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return read_onnx(path, **options)


def weights(*shape):
    return np.random.default_rng(0).random(shape, dtype=np.float32)


NODE = helper.make_node


def test_operations_by_hand(tmp_path):
    model = made(
        [
            NODE("Conv", ["x", "w"], ["a"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
            NODE("ConvTranspose", ["a", "v"], ["b"], strides=[2, 2], group=2),
            NODE("Sum", ["a", "a", "a"], ["c"]),
            NODE("GlobalAveragePool", ["c"], ["d"]),
            NODE("Flatten", ["d"], ["e"]),
            NODE("Gemm", ["e", "g", "h"], ["f"], transB=1),
            NODE("Einsum", ["e", "g"], ["i"], equation="bc,oc->bo"),
            NODE("Split", ["i"], ["j", "k"], num_outputs=2, axis=1),
            NODE("Max", ["j", "k"], ["m"]),
        ],
        [
            ("w", weights(4, 3, 3, 3)),
            ("v", weights(4, 3, 2, 2)),
            ("g", weights(6, 4)),
            ("h", weights(6)),
        ],
        outputs=("b", "f", "m"),
    )
    graph = read(model, tmp_path)
    named = {n.op: n.attrs for n in graph.nodes}
    assert named["conv_4_3x3_stride2"]["flops"] == 27 * 4 * 16
    assert named["convtranspose_6_2x2_stride2_groups2"]["flops"] == 4 * 16 * 3 * 4
    assert named["convtranspose_6_2x2_stride2_groups2"]["kind"] == "separable"
    assert named["linear_6"]["flops"] == 24
    assert named["linear_6"]["params"] == 30
    assert named["einsum_6"]["flops"] == 24
    assert named["einsum_6"]["params"] == 0  # g was counted before
    assert named["einsum_6"]["weights"] is True
    maximum = next(i for i, n in enumerate(graph.nodes) if n.op.startswith("maximum"))
    assert len({s for s, t in graph.edges if t == maximum}) == 1  # two parts of one value
    assert [s for s, t in graph.edges if t == len(graph.nodes) - 1].count(maximum) == 1


def test_fused_attention_and_recurrence_by_hand(tmp_path):
    attention = made([NODE("Attention", ["x", "x", "x"], ["y"])], shape=("n", 2, 5, 4), opset=23)
    node = read(attention, tmp_path).nodes[1]
    assert node.attrs["kind"] == "attention"
    assert node.attrs["flops"] == 2 * 2 * 5 * 5 * 4
    lstm = made(
        [NODE("LSTM", ["x", "w", "r"], ["y"], hidden_size=3)],
        [("w", weights(1, 12, 4)), ("r", weights(1, 12, 3))],
        shape=(1, 7, 4),
    )
    graph = read(lstm, tmp_path)
    assert graph.nodes[1].attrs["flops"] == 7 * (12 * 4 + 12 * 3)
    assert total(graph, "params") == 12 * 7


def test_what_is_a_parameter_and_what_a_number(tmp_path):
    model = made(
        [
            NODE("Sub", ["x", "mean"], ["a"]),
            NODE("Div", ["a", "std"], ["b"]),
            NODE("Mul", ["b", "two"], ["c"]),
            NODE("Mul", ["c", "gain"], ["d"]),
            NODE("BatchNormalization", ["d", "s", "t", "u", "v"], ["y"]),
        ],
        [(k, weights(3, 1, 1)) for k in ("mean", "std", "gain")]
        + [("two", np.float32(2))]
        + [(k, weights(3)) for k in "stuv"],
    )
    graph = read(model, tmp_path)
    assert [(n.op, n.attrs.get("params")) for n in graph.nodes[1:-1]] == [
        ("mul", 3),
        ("batchnorm", 6),
    ]


def test_quantised_weights_are_parameters(tmp_path):
    """8-bit weights and activations between pairs of nodes that change the type."""
    model = made(
        [
            NODE("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
            NODE("DequantizeLinear", ["q", "scale", "zero"], ["a"]),
            NODE("DequantizeLinear", ["w", "scales", "zeros"], ["b"], axis=0),
            NODE("Conv", ["a", "b"], ["y"]),
        ],
        [
            ("scale", np.float32(0.1)),
            ("zero", np.int8(0)),
            ("scales", weights(4)),
            ("zeros", np.zeros(4, dtype=np.int8)),
            ("w", np.ones((4, 3, 3, 3), dtype=np.int8)),
        ],
    )
    graph = read(model, tmp_path)
    assert [(n.op, n.attrs.get("params")) for n in graph.nodes[1:-1]] == [("conv_4_3x3", 108)]
    assert graph.nodes[1].attrs["flops"] == 108 * 36


def test_constants_in_nodes_and_embeddings(tmp_path):
    table = onnx.numpy_helper.from_array(weights(50, 8))
    model = made(
        [
            NODE("Constant", [], ["table"], value=table),
            NODE("Cast", ["x"], ["i"], to=onnx.TensorProto.INT64),
            NODE("Gather", ["table", "i"], ["y"]),
        ],
        shape=("n", 6),
    )
    graph = read(model, tmp_path)
    assert [(n.op.split("_")[0], n.attrs.get("params")) for n in graph.nodes[1:-1]] == [
        ("embedding", 400)
    ]


def test_sizes_that_are_left_open(tmp_path):
    model = made(
        [NODE("Conv", ["x", "w"], ["y"])], [("w", weights(4, 3, 3, 3))], shape=("n", 3, "h", "w")
    )
    with pytest.raises(NetworkError, match="size 2 of the input 'x' is left open"):
        read(model, tmp_path)
    graph = read(model, tmp_path, input_shape=(3, 10, 10))
    assert graph.nodes[1].attrs["flops"] == 27 * 4 * 64
    with pytest.raises(NetworkError, match="expected 3 sizes"):
        read(model, tmp_path, input_shape=(10, 10))


def test_a_batch_of_a_fixed_size_counts_as_one_image(tmp_path):
    one, many = (
        read(
            made(
                [NODE("Conv", ["x", "w"], ["a"]), NODE("Relu", ["a"], ["y"])],
                [("w", weights(4, 3, 3, 3))],
                shape=(n, 3, 8, 8),
            ),
            tmp_path,
        )
        for n in (1, 6)
    )
    assert [n.attrs for n in one.nodes] == [n.attrs for n in many.nodes]


CONV = [NODE("Conv", ["x", "w"], ["y"])]
CONDITION = NODE(
    *("If", ["x"], ["y"]),
    then_branch=helper.make_graph([NODE("Relu", ["x"], ["y"])], "a", [], []),
    else_branch=helper.make_graph([NODE("Relu", ["x"], ["y"])], "b", [], []),
)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (b"", "no network"),
        (b"not a network", "cannot be read"),
        (made(CONV), "'w' is used before it is made"),
        (made([NODE("Relu", ["x"], ["z"])]), "nothing makes the output 'y'"),
        (made([CONDITION]), "control flow 'If'"),
        (made(CONV, inputs=()), "no input"),
        (made([NODE("Conv", ["x"], ["y"])]), "cannot be read"),
        (
            made([NODE("NonZero", ["x"], ["a"]), NODE("MatMul", ["x", "a"], ["y"])]),
            "do not follow",
        ),
        (made([NODE("Mine", ["x"], ["y"], domain="mine")]), "cannot be read"),
    ],
)
def test_broken_files_are_one_sentence(model, words, tmp_path):
    with pytest.raises(NetworkError, match=words):
        read(model, tmp_path)


def test_any_damage_is_a_typed_error(tmp_path):
    """Bytes that were flipped or cut off: a graph or a NetworkError, nothing else."""
    model = made(
        [*CONV, NODE("Reshape", ["y", "shape"], ["z"])],
        [("w", weights(2, 3, 3, 3)), ("shape", np.array([-1, 72]))],
        outputs=("z",),
    ).SerializeToString()
    rng = np.random.default_rng(0)
    for trial in range(150):
        content = bytearray(model)
        for place in rng.integers(len(content), size=3):
            content[place] = rng.integers(256)
        cut = content[: int(rng.integers(len(content)))] if trial % 3 == 0 else content
        try:
            read(bytes(cut), tmp_path)
        except NetworkError as error:
            assert str(error)  # noqa: PT017


def test_no_file_beside_it_is_opened(tmp_path):
    model = made(CONV, [("w", weights(4, 3, 3, 3))])
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "../../etc/passwd"), ("offset", "0")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    assert total(read(model, tmp_path), "params") == 108


def test_no_such_file(tmp_path):
    with pytest.raises(NetworkError, match=r"none\.onnx"):
        read_onnx(tmp_path / "none.onnx")


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"foretell\[onnx\]"):
        read_onnx("net.onnx")


def test_local_functions_are_read_as_well(tmp_path):
    body = helper.make_function(
        *("mine", "Twice", ["a"], ["b"]),
        [NODE("Relu", ["a"], ["c"]), NODE("Sigmoid", ["c"], ["b"])],
        [helper.make_opsetid("", 20)],
    )
    model = made([NODE("Twice", ["x"], ["y"], domain="mine")])
    model.functions.append(body)
    model.opset_import.append(helper.make_opsetid("mine", 1))
    assert [n.op for n in read(model, tmp_path).nodes] == ["input", "relu", "sigmoid", "output"]


def test_weights_that_are_inputs_too(tmp_path):
    """As files of old versions list them."""
    model = made(CONV, [("w", weights(4, 3, 3, 3))], shape=(1, 3, 8, 8))
    weight = helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, (4, 3, 3, 3))
    model.graph.input.append(weight)
    assert [n.op for n in read(model, tmp_path).nodes] == ["input", "conv_4_3x3", "output"]
