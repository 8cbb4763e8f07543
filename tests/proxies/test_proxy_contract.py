"""The contract over the whole registry, and a proxy from outside."""

import re
from pathlib import Path

import numpy as np
import pytest

from foretell.arch import Arch
from foretell.errors import DuplicateNameError, PluginError, ProxyError, UnknownNameError
from foretell.proxies import Needs, proxies, score
from foretell.spaces import Skeleton
from foretell.testing.proxies import ProxyContract

OUTSIDE = '''
"""A proxy of one's own, in one file."""
import torch
from foretell.proxies import Needs, proxies

@proxies.add("balance", needs=Needs.GRADS | Needs.CODES, data="labels", reference="ours")
def balance(c):
    """How even the gradient norms of the layers are."""
    norms = torch.stack([g.norm() for g in c.grads])
    return norms.min() / norms.max() * c.codes.diagonal().mean()

def undeclared(c):
    return 0.0

@proxies.add("greedy", needs=Needs.WEIGHTS)
def greedy(c):
    return sum(g.norm() for g in c.grads)

@proxies.add("broken", needs=Needs.WEIGHTS)
def broken(c):
    raise ValueError("out of luck")
'''


NAMES = proxies.names()


class TestRegistered(ProxyContract):
    @pytest.fixture(params=NAMES)
    def proxy(self, request):
        return request.param


class TestOutside(ProxyContract):
    @pytest.fixture
    def proxy(self, outside):
        return f"{outside}:balance"


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    path = tmp_path_factory.mktemp("outside") / "outside_proxy.py"
    path.write_text(OUTSIDE)
    yield path
    for name in ("balance", "greedy", "broken"):
        proxies._entries.pop(name, None)


def run(names):
    batches = ProxyContract().batches()
    skeleton = Skeleton((3, 8, 8), 4, 4, 1)
    return score([Arch("nb201", (3, 1, 2, 4, 1, 3))], names, batches, skeleton=skeleton)


def test_undeclared_needs_are_refused(outside):
    with pytest.raises(ProxyError, match="does not say what it needs"):
        run([f"{outside}:undeclared"])


def test_reading_what_was_not_declared_is_named(outside):
    scores = run([f"{outside}:greedy", "l2_norm"])
    assert np.isnan(scores.values[0, 0])
    assert np.isfinite(scores.values[0, 1])
    (reason,) = scores.reasons.values()
    assert "declare Needs.GRADS" in reason


def test_a_proxy_that_raises_costs_its_own_value(outside):
    scores = run([f"{outside}:broken", "l2_norm"])
    assert np.isnan(scores.values[0, 0])
    assert np.isfinite(scores.values[0, 1])
    assert not scores.failures
    assert "ValueError: out of luck" in scores.reasons[0, f"{outside}:broken"]


def test_unknown_names_and_places():
    with pytest.raises(UnknownNameError, match="did you mean synflow"):
        run(["synflo"])
    with pytest.raises(PluginError):
        run(["no_such_file.py:mine"])


def test_registering_twice_or_wrongly():
    with pytest.raises(DuplicateNameError):
        proxies.add("zico", needs=Needs.NONE)(lambda c: 0.0)
    with pytest.raises(ProxyError, match="'none', 'images' or 'labels'"):
        proxies.add("mine", needs=Needs.NONE, data="pixels")


def test_every_proxy_has_a_sentence_and_all_but_the_baselines_a_paper():
    for name in NAMES:
        entry = proxies.entry(name)
        assert entry.summary, name
        assert entry.reference or name in ("live_params", "sum_log_params"), name


def test_the_documentation_lists_every_proxy():
    text = (Path(__file__).resolve().parents[2] / "docs" / "proxies.md").read_text()
    table = text.split("## The proxies")[1].split("## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.M) == sorted(
        NAMES, key=re.findall(r"`(\w+)` \|", table).index
    )
