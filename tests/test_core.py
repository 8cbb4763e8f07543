"""Values and rules: architectures, streams, registries, errors, tables."""

import pickle
import string
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import foretell
from foretell import errors
from foretell.arch import Arch
from foretell.errors import ArchError, DataError, DuplicateNameError, PluginError, UnknownNameError
from foretell.registry import Registry, resolve
from foretell.rng import stream, stream_seed
from foretell.spaces import get_space
from foretell.tables import plain, read_archs, write_table

genes = st.lists(st.integers(0, 9), min_size=1, max_size=8).map(tuple)


@given(genes, st.text(string.ascii_letters, min_size=1))
def test_an_arch_survives_json_and_pickle(genes, space):
    arch = Arch(space, genes)
    assert Arch.from_json(arch.to_json()) == arch
    assert pickle.loads(pickle.dumps(arch)) == arch
    assert hash(arch) == hash(Arch(space, genes))


def test_an_arch_is_frozen_and_ordered():
    arch = Arch("a", (1, 2))
    assert arch.set(0, 5).genes == (5, 2)
    assert arch.genes == (1, 2)
    assert sorted([Arch("b", (0,)), Arch("a", (2,)), Arch("a", (1,))])[0] == Arch("a", (1,))
    with pytest.raises(AttributeError):
        arch.genes = (0,)


@pytest.mark.parametrize(
    "text", ["", "3", "[]", "{}", '{"space": 1, "genes": [1]}', '{"space": "a", "genes": [-1]}',
             '{"space": "a", "genes": [true]}', '{"space": "a", "genes": 3}'],
)  # fmt: skip
def test_bad_json_is_no_arch(text):
    with pytest.raises(ArchError, match="genes"):
        Arch.from_json(text)


def test_streams_are_named_and_independent():
    assert stream(1, "a").random() == stream(1, "a").random()
    seeds = {stream_seed(s, *k) for s in range(3) for k in (("a",), ("b",), ("a", "b"), ("ab",))}
    assert len(seeds) == 12
    assert all(0 <= s < 2**63 for s in seeds)


def test_a_registry_refuses_duplicates_and_suggests_names():
    shelf: Registry[object] = Registry("thing")
    shelf.register("alpha", 1, summary="one", colour="red")
    shelf.register("beta", "math:pi", colour="blue")
    with pytest.raises(DuplicateNameError, match="alpha"):
        shelf.register("alpha", 2)
    with pytest.raises(UnknownNameError, match="did you mean alpha") as caught:
        shelf["alhpa"]
    assert caught.value.nearest == ("alpha",)
    with pytest.raises(UnknownNameError, match="known are: alpha, beta"):
        shelf["zzz"]
    assert shelf["beta"] == pytest.approx(3.14159, abs=1e-5)
    assert shelf.names(colour="red") == ("alpha",)
    assert list(shelf) == ["alpha", "beta"]
    assert len(shelf) == 2
    assert "alpha" in shelf
    assert shelf["math:tau"] == 2 * shelf["beta"]


@pytest.mark.parametrize("imported", [False, True])
def test_an_entry_point_may_register_itself_with_its_facts(tmp_path, monkeypatch, imported):
    (tmp_path / "entry_plug.py").write_text(
        "from foretell.registry import Registry\n"
        "shelf = Registry('thing')\n"
        "@shelf.add('own', colour='red')\n"
        "def own():\n    'One line.'\n"
        "def bare():\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "entry_plug", raising=False)
    points = [
        EntryPoint("own", "entry_plug:own", "foretell.thing"),
        EntryPoint("bare", "entry_plug:bare", "foretell.thing"),
        EntryPoint("gone", "entry_plug_that_is_not_there:x", "foretell.thing"),
    ]
    monkeypatch.setattr("foretell.registry.entry_points", lambda group: points)
    shelf: Registry[object] = Registry("thing")
    if imported:
        import entry_plug

        shelf._entries.update(entry_plug.shelf._entries)
    else:
        monkeypatch.setattr("foretell.registry.Registry", lambda kind: shelf)
    assert shelf.names() == ("own", "bare", "gone")
    assert ("entry_plug" in sys.modules) == imported  # a list of names imports nothing
    entry = shelf.entry("own")
    assert entry.facts == {"colour": "red"}
    assert entry.summary == "One line."
    assert shelf.entry("bare").facts == {}
    assert shelf["bare"] is sys.modules["entry_plug"].bare
    for _ in range(2):
        with pytest.raises(PluginError, match="entry_plug_that_is_not_there"):
            shelf["gone"]
    sys.modules.pop("entry_plug")


def test_a_decorated_plug_in_is_found_by_its_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("VALUE = 7\nclass A:\n    b = 3\n")
    assert resolve(f"{file}:VALUE") == 7
    assert resolve(f"{file}:A.b") == 3
    assert resolve(f"{file}:A") is resolve(f"{file}:A")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nothing", "neither"),
        ("gone.py:x", "no file"),
        ("gone_module:x", "No module"),
        ("math:pie", "pi"),
        ("{bad}:x", "ZeroDivisionError"),
        ("{needs}:x", "not_there_at_all"),
    ],
)
def test_places_that_lead_nowhere(text, says, tmp_path):
    (tmp_path / "bad.py").write_text("1 / 0\n")
    (tmp_path / "needs.py").write_text("import not_there_at_all\n")
    text = text.format(bad=tmp_path / "bad.py", needs=tmp_path / "needs.py")
    with pytest.raises(PluginError, match=says):
        resolve(text)


def test_every_error_is_exported_and_under_one_base():
    for name in errors.__all__:
        base = errors.ForetellWarning if name.endswith("Warning") else errors.ForetellError
        assert issubclass(getattr(errors, name), base)
    defined = {
        n
        for n, v in vars(errors).items()
        if getattr(v, "__module__", "") == errors.__name__ and isinstance(v, type)
    }
    assert defined == set(errors.__all__)


@pytest.mark.parametrize(
    "error",
    [
        errors.UnknownNameError("kind", "a", ["b"], ["b", "c"]),
        errors.DuplicateNameError("kind", "a"),
        errors.MissingExtraError("plotly", "report", "A report"),
        errors.NonFiniteLossError(3, float("nan")),
    ],
)
def test_errors_travel_between_processes(error):
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert type(again) is type(error)


def test_lazy_names_are_all_there():
    for name in foretell.__all__:
        assert getattr(foretell, name) is not None
    assert set(foretell.__all__) <= set(dir(foretell))
    with pytest.raises(AttributeError, match="nothing"):
        _ = foretell.nothing


def test_cells_of_tables():
    assert plain(float("nan")) is None
    assert plain(float("inf")) == "inf"
    assert plain(np.float64(0.5)) == 0.5
    assert plain(np.bool_(True)) is True
    assert plain("x") == "x"


@pytest.mark.parametrize("ending", ["txt", "jsonl", "json", "csv", "parquet"])
def test_architectures_come_back_from_every_kind_of_file(ending, tmp_path):
    space = get_space("nb201")
    archs = [space.sample(np.random.default_rng(i)) for i in range(3)]
    texts = [space.format(a) for a in archs]
    file = tmp_path / f"a.{ending}"
    if ending in ("csv", "parquet"):
        write_table(file, {"arch": texts, "n": [1, 2, 3]})
    elif ending == "json":
        file.write_text("[" + ",".join(a.to_json() for a in archs) + "]")
    elif ending == "jsonl":
        file.write_text("\n".join(a.to_json() for a in archs))
    else:
        file.write_text("\n".join(texts) + "\n\n")
    assert read_archs(file, space) == archs


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"x\n1\n", "no column 'arch'"),
        ("a.txt", b"\n\n", "no architecture"),
        ("a.txt", b"\xff\xfe\x00", "cannot be read"),
        ("a.parquet", b"nonsense", "no column 'arch'"),
    ],
)
def test_files_without_architectures(name, content, says, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_archs(tmp_path / name, get_space("nb201"))
