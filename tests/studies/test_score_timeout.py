"""``--timeout`` of score, cost and encode; lazy layers in all of them."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

import foretell
from foretell import api
from foretell.cli._app import run
from foretell.errors import NetworkError, UsageError

FILE = Path(__file__).with_name("timed_networks.py")
NAMES = ["params", "grad_norm", "nwot"]
BAD = {
    "slow_builder": "TimeoutError: It took longer than the limit of 1.5 seconds.",
    "SlowForward": "TimeoutError",
    "Segfault": "SIGSEGV",
    "exits": "exited with code 0",
}


def at(name):
    return f"{FILE}:{name}"


def test_what_hangs_or_dies_costs_its_own_row():
    data = "synthetic:1x8x8x10"
    order = ["slow_builder", "good", "SlowForward", "Segfault", "exits"]
    alone = foretell.score([at("good")], NAMES, data=data)
    limited = foretell.score([at(n) for n in order], NAMES, data=data, timeout=1.5)
    np.testing.assert_array_equal(limited.scores.values[1], alone.scores.values[0])
    assert {order[i] for i in limited.scores.failures} == set(BAD)
    for i, why in limited.scores.failures.items():
        assert BAD[order[i]] in why


@pytest.mark.parametrize("command", ["cost", "encode"])
def test_the_commands_that_build_networks_end_in_a_sentence(command, capsys):
    shape = "--input" if command == "cost" else "--input-shape"
    assert run([command, at("slow_builder"), shape, "1x8x8", "--timeout", "0.3"]) == 2
    assert "longer than the limit of 0.3 seconds" in capsys.readouterr().err
    assert run([command, at("good"), shape, "1x8x8", "--timeout", "60", "--json"]) == 0


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf"), 1e300])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(UsageError, match="timeout > 0 seconds and at most"):
        foretell.score([at("good")], NAMES, timeout=limit)
    with pytest.raises(UsageError, match="timeout > 0 seconds and at most"):
        foretell.SearchConfig(timeout=limit)


def test_lazy_layers_get_their_shapes_wherever_a_network_is_built():
    from foretell.networks import build_module

    net = build_module(at("lazy"), input_shape=(1, 8, 8), classes=10, seed=3)
    again = build_module(at("lazy"), input_shape=(1, 8, 8), classes=10, seed=3)
    sizes = [p.numel() for p in net.parameters()]
    assert sizes == [36, 4, 4, 4, 4 * 36 * 10, 10]
    assert all(
        bool((p == q).all()) for p, q in zip(net.parameters(), again.parameters(), strict=True)
    )
    assert isinstance(net[0], nn.Conv2d)
    counted = api.cost([at("lazy")], input_shape=(1, 8, 8))
    assert counted["params"] == [sum(sizes)]
    assert api.encode([at("lazy")], input_shape=(1, 8, 8))["conv_total"] == [1.0]
    run_ = foretell.score([at("lazy")], ["params"], data="synthetic:1x8x8x10")
    assert run_.scores.values[0, 0] == sum(sizes)


def test_lazy_layers_that_take_no_such_image_are_a_sentence():
    with pytest.raises(NetworkError, match="their first image raised"):
        api.cost([at("lazy")], input_shape=(1, 2, 2))
