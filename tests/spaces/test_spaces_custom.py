"""Custom spaces: declarations, texts, values; the door to spaces by name."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.arch import Arch
from foretell.errors import (
    ArchError,
    ModuleRaisedError,
    PluginError,
    SpaceError,
    UnknownNameError,
)
from foretell.graph import Graph, Node
from foretell.spaces import NB201, CustomSpace, ProductSpace, get_space, spaces

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
declarations = st.dictionaries(
    st.sampled_from(["a", "b", "ab", "width", "_x"]),
    st.lists(
        json_values, min_size=1, max_size=4, unique_by=lambda v: json.dumps(v, sort_keys=True)
    ),
    min_size=1,
)


def builder(**choices: object) -> None:
    """Never called here."""


@given(declarations, st.integers(0, 2**32))
def test_every_declaration_reads_what_it_writes(choices: dict[str, list], seed: int) -> None:
    space = CustomSpace(choices, builder)
    arch = space.sample(np.random.default_rng(seed))
    assert space.parse(space.format(arch)) == arch
    assert space.parse(json.dumps(space.values(arch))) == arch
    assert space.arch(**space.values(arch)) == arch
    assert space.size == np.prod([len(v) for v in choices.values()])
    texts = [space.format(a) for a in space.enumerate()]
    assert len(set(texts)) == len(texts) == space.size


def test_texts_are_plain_where_they_can_be() -> None:
    space = CustomSpace(
        {"width": (8, 16), "act": ("relu", "leaky relu"), "kernels": ([3], [3, 5])}, builder
    )
    arch = space.arch(width=16, act="relu", kernels=[3, 5])
    assert space.format(arch) == "width=16,act=relu,kernels=[3,5]"
    assert space.parse("act=relu, width=16, kernels=[3,5]") == arch
    assert space.parse("custom:width=16,act=relu,kernels=[3,5]") == arch
    assert space.parse(str(arch)) == space.parse("1.0.1") == arch
    assert space.format(arch.set(1, 1)) == 'width=16,act="leaky relu",kernels=[3,5]'


def test_texts_that_would_be_mixed_up_are_quoted() -> None:
    space = CustomSpace({"n": (1, "1", True, "true", None, "null")}, builder)
    assert len({space.format(a) for a in space.enumerate()}) == 6


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ([("width", (1,))], "choices as a mapping"),
        ({}, "at least one decision"),
        ({"width": ()}, "at least one value for 'width'"),
        ({"width": 8}, "a tuple or list, but got 8"),
        ({"act": "relu"}, "a tuple or list, but got 'relu'"),
        ({"width": (8, 8)}, "distinct values"),
        ({"width": (8, {1})}, "JSON can write"),
        ({"width": (np.int64(8),)}, "JSON can write"),
        ({"my width": (8,)}, "an argument's name, but got 'my width'"),
        ({"class": (8,)}, "an argument's name, but got 'class'"),
        ({3: (8,)}, "an argument's name, but got 3"),
        ({"classes": (8,)}, "cannot be named 'classes'"),
        ({"input_shape": (8,)}, "cannot be named 'input_shape'"),
    ],
)
def test_bad_choices(choices: object, says: str) -> None:
    with pytest.raises(SpaceError) as caught:
        CustomSpace(choices, builder)
    assert says in str(caught.value)


@pytest.mark.parametrize("build", [None, 3, "no_colon", {"width": 8}])
def test_bad_builders(build: object) -> None:
    with pytest.raises(SpaceError, match="Expected a builder function"):
        CustomSpace({"width": (8,)}, build)


def test_bad_graphs() -> None:
    with pytest.raises(SpaceError, match="Expected graph to be a function"):
        CustomSpace({"width": (8,)}, builder, graph=3)
    arch = Arch("custom", (0,))
    with pytest.raises(SpaceError, match="returned a dict"):
        CustomSpace({"width": (8,)}, builder, graph=lambda width: {}).graph(arch)
    with pytest.raises(ModuleRaisedError, match="ZeroDivisionError for width=8") as caught:
        CustomSpace({"width": (8,)}, builder, graph=lambda width: 1 / 0).graph(arch)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_graphs() -> None:
    """One's own, or a chain that tells architectures apart."""

    def graph(depth: int) -> Graph:
        nodes = (Node("input"), *(Node("conv"),) * depth, Node("output"))
        return Graph(nodes, tuple((i, i + 1) for i in range(depth + 1)))

    space = CustomSpace({"depth": (1, 2)}, builder, graph=graph)
    assert len(space.graph(Arch("custom", (1,))).nodes) == 4
    plain = CustomSpace({"depth": (1, 2), "act": ("relu", "gelu")}, builder)
    archs = list(plain.enumerate())
    assert [n.op for n in plain.graph(archs[1]).nodes] == ["input", "depth=1", "act=gelu", "output"]
    assert len({plain.graph(a).hash() for a in archs}) == 4
    assert plain.alive(archs).all()


@pytest.mark.parametrize(
    "text",
    ["width=8", "width=8,act=relu,x=1", "width=9,act=relu", "width=8,width=8", "8,relu", "="],
)
def test_texts_that_are_no_architecture(text: str) -> None:
    space = CustomSpace({"width": (8, 16), "act": ("relu", "gelu")}, builder)
    with pytest.raises(ArchError):
        space.parse(text)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"width": 8}, "one value for each of width, act"),
        ({"width": 9, "act": "relu"}, "but got 9"),
    ],
)
def test_values_that_are_no_architecture(values: dict, says: str) -> None:
    space = CustomSpace({"width": (8, 16), "act": ("relu", "gelu")}, builder)
    with pytest.raises(ArchError, match=says):
        space.arch(**values)
    with pytest.raises(ArchError):
        space.values(Arch("custom", (0, 5)))


def test_two_declarations_are_not_equal() -> None:
    first, second = (CustomSpace({"width": (8, 16)}, builder) for _ in range(2))
    assert first != second
    assert len({first, second}) == 2


class TestDoor:
    """get_space and the registry."""

    def test_registered_names(self) -> None:
        assert spaces.names()[:2] == ("nb201", "size")
        assert get_space("nb201") is spaces["nb201"] is get_space("nb201")
        assert spaces.entry("nb201").facts["network"] == "foretell.networks.nb201:build"
        assert all(e.summary and e.reference for e in map(spaces.entry, spaces.names()))

    def test_unknown_names(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean nb201"):
            get_space("nb_201")

    def test_a_module_and_attribute_keep_their_text(self) -> None:
        found = get_space("foretell.spaces.nb201:NB201")
        assert isinstance(found, NB201)
        assert found.name == "foretell.spaces.nb201:NB201"
        assert found.sample(np.random.default_rng(0)).space == found.name

    @pytest.mark.parametrize(
        ("code", "says"),
        [
            ("space = 3", "is a int, but a foretell.Space is expected"),
            ("def space(): raise ValueError('oh')", "raised ValueError: oh"),
            ("def space(): return 3", "is a int, but"),
            ("other = 3", "has no attribute 'space'"),
            ("import foretell; space = foretell.spaces.CustomSpace({}, print)", "SpaceError"),
            ("space =", "SyntaxError"),
        ],
    )
    def test_files_that_hold_no_space(self, tmp_path: Path, code: str, says: str) -> None:
        path = tmp_path / "mine.py"
        path.write_text(code)
        with pytest.raises(PluginError) as caught:
            get_space(f"{path}:space")
        assert says in str(caught.value)

    def test_a_function_that_makes_a_space(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.py"
        path.write_text(
            "from foretell.spaces import CustomSpace\n"
            "def make(): return CustomSpace({'width': (1, 2)}, print)\n"
        )
        space = get_space(f"{path}:make")
        assert isinstance(space, ProductSpace)
        assert space.name == f"{path}:make"
        assert space.parse("width=2") == Arch(space.name, (1,))

    def test_no_such_file(self) -> None:
        with pytest.raises(PluginError, match="There is no file"):
            get_space("nowhere.py:space")

    def test_a_relative_path_means_the_folder_one_is_in(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for size in (2, 3):
            folder = tmp_path / str(size)
            folder.mkdir()
            (folder / "mine.py").write_text(
                "from foretell.spaces import CustomSpace\n"
                f"space = CustomSpace({{'width': tuple(range({size}))}}, print)\n"
            )
            monkeypatch.chdir(folder)
            assert get_space("mine.py:space").size == size
            assert get_space("mine.py:space") is get_space("mine.py:space")
