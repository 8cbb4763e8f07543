"""Graphs of many networks: built, traced and freed, and what prediction makes of them."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from foretell.cost import costs, count
from foretell.errors import NetworkError
from foretell.graph import Graph, Node
from foretell.networks import build
from foretell.spaces import CustomSpace, get_space
from foretell.studies.predict.study import PredictConfig, predict_values
from foretell.tracing import archs as module
from foretell.tracing.archs import graphs
from foretell.tracing.module import trace

SPACE = get_space(f"{Path(__file__).parents[2]}/tutorials/my_space.py:space")


def drawn(n):
    rng = np.random.default_rng(0)
    return list(dict.fromkeys(SPACE.sample(rng) for _ in range(2 * n)))[:n]


def test_each_is_the_graph_of_its_network():
    archs = drawn(2)
    skeleton = SPACE.skeleton((1, 8, 8), 10)
    told = []
    found = graphs([*archs, archs[0]], skeleton, on_done=told.append)
    assert told == [1, 2, 3]
    assert found[2] is found[0]
    for arch, graph in zip(archs, found, strict=False):
        network = build(arch, skeleton, seed=0)
        assert graph == trace(network, (1, 8, 8))
        flops = sum(n.attrs.get("flops", 0) for n in graph.nodes)
        assert flops == count(network, (1, 8, 8)).flops


def test_networks_are_freed_at_once(monkeypatch):
    built = []

    def watched(arch, skeleton, *, seed):
        gc.collect()
        assert not any(reference() is not None for reference in built)
        network = build(arch, skeleton, seed=seed)
        built.append(weakref.ref(network))
        return network

    monkeypatch.setattr(module, "build", watched)
    graphs(drawn(3), SPACE.skeleton((1, 8, 8), 10))
    assert len(built) == 3


class ByValue(nn.Module):
    def forward(self, x):
        return x.relu() if x.sum() > 0 else x


def hidden(*, input_shape, classes, width, offset):
    if offset:
        return ByValue()
    scale = float(torch.ones(1))  # looks at a value, which the meta device has not
    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0] * 64, int(width * scale)))


CUSTOM = {"width": (2, 3), "offset": (False, True)}
hard = CustomSpace(CUSTOM, hidden)
drawn_by_hand = CustomSpace(
    CUSTOM,
    hidden,
    graph=lambda **values: Graph(
        (Node("input"), Node("conv3x3"), Node("output")), ((0, 1), (1, 2))
    ),
)


def test_builders_that_look_at_values():
    space = get_space(f"{__file__}:hard")
    skeleton = space.skeleton((1, 8, 8), 10)
    found = graphs([space.arch(width=3, offset=False)], skeleton)[0]
    assert found.nodes[1].op == "linear_3"
    with pytest.raises(NetworkError, match=r"width=3,offset=true.*torch\.fx"):
        graphs([space.arch(width=3, offset=True)], skeleton)


def test_which_graphs_say_enough():
    assert get_space("nb201").graph_describes_network
    assert not SPACE.graph_describes_network
    assert drawn_by_hand.graph_describes_network


def test_prediction_learns_from_traced_graphs():
    *archs, last = drawn(25)
    skeleton = SPACE.skeleton((1, 8, 8), 10)
    y = np.log(costs(archs, skeleton).flops)
    told = []
    found = predict_values(
        *(SPACE, archs[:20], y[:20], archs[20:]),
        PredictConfig("bayes_linear", encodings="graf"),
        skeleton=skeleton,
        on_progress=lambda p: told.append((p.stage, p.done, p.total)),
    )
    assert told[-1] == ("trace", 24, 24)
    table = found.fitted.encodings.tables["graf"]
    np.testing.assert_allclose(table.column("flops_total"), y, rtol=1e-3)
    assert float(found.held_out) > 0.6
    more = found.fitted.extended([last]).encodings.tables["graf"]
    assert len(more) == 25
    assert more.column("flops_total")[-1] > 8


def test_prediction_without_graf_traces_nothing():
    archs = drawn(12)
    told = []
    found = predict_values(
        *(SPACE, archs[:8], np.arange(8.0), archs[8:]),
        PredictConfig("gp", encodings="costs+onehot", level=0),
        skeleton=SPACE.skeleton((1, 8, 8), 10),
        on_progress=lambda p: told.append((p.stage, p.done, p.total)),
    )
    assert not told
    assert found.fitted.context.graphs is None


def test_prediction_says_what_to_do_about_networks_that_cannot_be_traced():
    space = get_space(f"{__file__}:hard")
    archs = list(space.enumerate())
    with pytest.raises(NetworkError, match=r"leave graf out of the encodings"):
        predict_values(
            *(space, archs[:3], [1, 2, 3], archs[3:]),
            PredictConfig("bayes_linear", level=0),
            skeleton=space.skeleton((1, 8, 8), 10),
        )
