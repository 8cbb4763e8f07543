"""What the site is made from: navigation, reference pages, and the picture of the architecture."""

import ast
import importlib
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from generate import architecture, navigation
from generate.reference import Reference, write

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
PACKAGES = sorted(
    ".".join(p.parent.relative_to(SOURCE).parts)
    for p in (SOURCE / "foretell").rglob("__init__.py")
    if not any(part.startswith("_") for part in p.parent.relative_to(SOURCE).parts)
)


@pytest.fixture(scope="module")
def reference():
    return Reference(SOURCE, "foretell")


@pytest.fixture(scope="module")
def described(reference):
    """Module -> the names that directives on its page describe."""
    found: dict[str, set[str]] = {}
    for page in reference.packages():
        module = ""
        for name, argument in re.findall(r"^`+\{py:(\w+)\} ([\w.]+)", reference.page(page), re.M):
            if name == "module":
                module = argument
            elif name not in ("method", "property", "attribute"):
                found.setdefault(module, set()).add(argument)
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_of_a_package_is_on_a_page(package, described):
    public = set(getattr(importlib.import_module(package), "__all__", ()))
    assert {n for n in public if not n.startswith("__")} <= described.get(package, set())


def test_every_name_of_a_public_module_is_described_somewhere(reference):
    shown = {id(n.target) for n in reference.names()}
    for names in reference.exports.values():
        assert not [n.path for n in names if id(n.target) not in shown]


def test_no_public_name_is_without_a_docstring(reference):
    assert reference.without_docstring() == []


@pytest.mark.parametrize(
    "page", [*sorted((ROOT / "tutorials").glob("*.py")), *sorted((ROOT / "docs").glob("*.md"))],
    ids=lambda p: p.name,
)  # fmt: skip
def test_examples_import_what_the_reference_describes(page, reference, described):
    text = page.read_text(encoding="utf-8")
    blocks = [text] if page.suffix == ".py" else re.findall(r"```python\n(.*?)```", text, re.S)
    for node in (n for block in blocks for n in ast.walk(ast.parse(block))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("foretell"):
            for alias in node.names:
                module = f"{node.module}.{alias.name}" in reference.modules
                known = alias.name in described.get(node.module, set())
                handed_on = alias.name in [n.name for n in reference.exports.get(node.module, [])]
                assert module or known or handed_on, f"{node.module}.{alias.name}"


def package(folder, **files):
    for name, text in files.items():
        path = folder / "lib" / (name.replace("__", "/", 1) if name[0] != "_" else name)
        path = path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_page_says_what_the_source_says(tmp_path):
    package(
        tmp_path,
        __init__='"""The door."""\n__all__ = ["f", *_LAZY]\n_LAZY = {"A": "lib.a"}\n'
        "from lib.a import f\n",
        a='''"""Values."""
__all__ = ["A", "f", "TABLE"]
TABLE: dict[str, "A"] = {}
"""Every A by name."""
class A:
    """A value."""
    def go(self, n: int = 1) -> "A":
        """Go on, see ``f``."""
    def _hidden(self): ...
def f(x: A, *, n: int = 2) -> list[A]:
    """Text with *stars* and a_b <c>.

    Args:
        x: what, (n,)
            in two lines.

    Raises:
        ValueError: always.

    >>> f(1)
    1
    """
''',
    )  # fmt: skip
    made = Reference(tmp_path, "lib")
    assert made.packages() == ["lib", "lib.a"]
    door, values = made.page("lib"), made.page("lib.a")
    assert "{py:function} f(x: ~lib.A, *, n: int = 2) -> list[~lib.A]" in door
    assert r"Text with \*stars\* and a\_b \<c\>." in door
    assert ":param x: what, (n,)\n    in two lines." in door
    assert ":raises ValueError: always." in door
    assert "```pycon\n>>> f(1)\n1\n```" in door
    assert "{py:method} go(n: int = 1) -> ~lib.A" in door
    assert "_hidden" not in door
    assert "The same as {py:func}`lib.f`." in values
    assert "{py:data} TABLE\n:type: dict[str, ~lib.A]" in values
    assert made.without_docstring() == []
    assert made.parts() == ["lib", "lib.a"]
    assert made.table(["lib.a"], "x/").endswith("| [lib.a](x/lib.a.md) | Values. |\n")
    assert [made.summary(p) for p in made.packages()] == ["The door.", "Values."]

    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "old.md").write_text("gone")
    write(made, tmp_path / "pages")
    assert sorted(p.name for p in (tmp_path / "pages").iterdir()) == ["lib.a.md", "lib.md"]


def test_inner_packages_stand_under_the_nearest_page(tmp_path):
    package(tmp_path, __init__="", a____init__='__all__ = ["x"]\nx = 1\n', b____init__="")
    for inner in ("a/one", "a/two/three", "b/four"):
        path = tmp_path / "lib" / inner
        path.mkdir(parents=True)
        (path / "__init__.py").write_text('"""In."""\n__all__ = ["y"]\ny, z = 1, 2\n')
    (tmp_path / "lib" / "a" / "two" / "__init__.py").write_text("")
    made = Reference(tmp_path, "lib")
    assert made.parts() == ["lib.a", "lib.b.four"]
    assert made.parts("lib.a") == ["lib.a.one", "lib.a.two.three"]
    assert "| [lib.a.one](lib.a.one.md) | In. |" in made.page("lib.a")
    assert "{py:data} y" in made.page("lib.b.four")


def test_what_lacks_a_docstring_is_named(tmp_path):
    text = '__all__ = ["A", "B"]\nB = 1\nclass A:\n    """A."""\n    def go(self): ...\n'
    package(tmp_path, __init__=text)
    assert Reference(tmp_path, "lib").without_docstring() == ["lib.A.go", "lib.B"]


@pytest.mark.parametrize(
    ("text", "words"),
    [('__all__ = ["gone"]', "names 'gone'"), ("__all__ = [x for x in ()]", "unreadable")],
)
def test_a_public_name_that_is_not_there_is_refused(tmp_path, text, words):
    with pytest.raises(LookupError, match=words):
        Reference(package(tmp_path, __init__=text), "lib")


def test_rooms_and_their_imports_are_read_from_the_source(tmp_path):
    package(
        tmp_path,
        __init__="",
        low='"""The ground."""',
        net="import torch\nfrom lib.low import x",
        mid__a="from lib import low\n",
        mid____init__='"""The middle\nroom."""\nfrom lib.mid.a import y\n',
        top="def f():\n    import lib.net\nimport lib.mid, lib.low\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lib.top2 import z\n",
        top2="from lib.net import y",
    )
    found = architecture.rooms(tmp_path / "lib")
    imports = {name: dict(room.imports) for name, room in found.items()}
    assert imports == {
        "low": {}, "net": {"low": False}, "mid": {"low": False},
        "top": {"net": True, "mid": False, "low": False}, "top2": {"net": False},
    }  # fmt: skip
    assert {name for name, room in found.items() if room.torch} == {"net", "top2"}
    assert found["mid"].about == "The middle room."
    assert architecture.layers(found) == [["top", "top2"], ["mid", "net"], ["low"]]
    assert architecture.direct(found) == {
        ("net", "low"), ("mid", "low"), ("top", "net"), ("top", "mid"), ("top2", "net"),
    }  # fmt: skip
    (tmp_path / "lib" / "low.py").write_text("import lib.top")
    with pytest.raises(ValueError, match="circle"):
        architecture.layers(architecture.rooms(tmp_path / "lib"))


def test_the_picture_shows_every_room_and_every_import():
    found = architecture.rooms(SOURCE / "foretell")
    picture = ET.fromstring(architecture.svg(found, {"cli": "reference/foretell.cli.html"}))
    name = "{http://www.w3.org/2000/svg}"
    boxes = {a.get("id").removeprefix("room-"): a for a in picture.iter(f"{name}a")}
    assert set(boxes) == set(found)
    assert [n for n, a in boxes.items() if a.get("href")] == ["cli"]
    _, _, width, height = map(float, picture.get("viewBox").split())
    tops = {}
    for room, box in boxes.items():
        rect = box.find(f"{name}rect")
        x, y, w, h = (float(rect.get(key)) for key in ("x", "y", "width", "height"))
        assert x >= 0
        assert x + w <= width
        assert y + h <= height
        tops[room] = y
    arrows = [p.get("class").split() for p in picture.iter(f"{name}path") if p.get("class")]
    drawn = {(a[0].removeprefix("from-"), a[1].removeprefix("to-")) for a in arrows if len(a) > 1}
    assert drawn == {(room, to) for room, r in found.items() for to in r.imports}
    assert all(tops[above] < tops[below] for above, below in drawn)


def test_navigation_is_the_tables_of_the_index():
    index = "# x\n## One\n| [a](a.md) | b |\n## Two\n| [c](c.md) | [d](d.md) |\n| [e](e.md) | |\n"
    assert navigation.sections(index) == {"One": ["a"], "Two": ["c", "e"]}
    with pytest.raises(ValueError, match="heading above"):
        navigation.sections("| [a](a.md) | b |")
    with pytest.raises(ValueError, match="twice"):
        navigation.sections("## A\n| [a](a.md) | b |\n| [a](a.md) | b |")


def test_links_out_of_the_docs_become_paths(tmp_path):
    (tmp_path / "x.py").touch()
    assert navigation.inside("see [x](../x.py).", tmp_path) == "see x (`x.py` in the repository)."
    with pytest.raises(FileNotFoundError, match="gone"):
        navigation.inside("[x](../gone.py)", tmp_path)


def test_the_guide_for_contributors_is_a_page_of_the_site(tmp_path):
    """Its links lead to the same files from there."""
    text = navigation.inside(navigation.of_root(ROOT), ROOT)
    assert "tutorials/my_need.py (`tutorials/my_need.py` in the repository)" in text
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (ROOT / "docs" / link).is_file()
    page = tmp_path / "CONTRIBUTING.md"
    page.write_text("[a](docs/a.md) [b](x/b.py) [c](https://c.org) [d](#d)")
    assert navigation.of_root(tmp_path) == "[a](a.md) [b](../x/b.py) [c](https://c.org) [d](#d)"


GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_guide_names_what_there_is():
    for text in re.findall(
        r"`(tests/[\w/.]+|src/foretell/[\w/.]+|foretell\.testing\.[\w.]+)`", GUIDE
    ):
        if text.startswith("foretell."):
            module, _, name = text.rpartition(".")
            assert hasattr(importlib.import_module(module), name), text
        else:
            assert (ROOT / text).exists(), text
    titles = re.findall(r"^## An? (.+)$", GUIDE, re.M)
    assert titles == [
        "proxy", "need of the pass", "predictor", "encoding", "searcher",
        "quantity", "space", "importer", "study", "report section",
    ]  # fmt: skip


def test_no_page_is_named_like_a_page_that_the_site_makes_itself():
    made = {"search", "genindex", "py-modindex", "modules", "404"}
    assert not made & {p.stem for p in (ROOT / "docs").glob("*.md")}
