"""A space of one's own is sent to other processes, with networks or without."""

import copy
import pickle

import pytest

from foretell.errors import NetworkError
from foretell.spaces import CustomSpace


def builder(**choices):
    return choices


@pytest.mark.parametrize("build", [builder, "my_space.py:build", ""])
def test_a_space_of_ones_own_survives_the_way(build):
    space = CustomSpace({"width": (8, 16), "act": ("relu", "gelu")}, build, name="mine")
    for other in (pickle.loads(pickle.dumps(space)), copy.copy(space), copy.deepcopy(space)):
        arch = other.parse("width=16,act=relu")
        assert arch == space.parse("width=16,act=relu")
        assert other.values(arch) == {"width": 16, "act": "relu"}
        assert (other.name, other.build, other.network) == ("mine", space.build, space.network)
        with pytest.raises(TypeError):
            other.choices["width"] = ()


def test_a_space_without_a_builder_has_no_networks():
    space = CustomSpace({"width": (8, 16)})
    assert space.build is None
    assert space.network == ""
    assert space.size == 2
    with pytest.raises(NetworkError):
        space.builder()
