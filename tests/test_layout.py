"""The house keeps its shape: imports run one way, and torch stays where networks are built."""

import ast
import builtins
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "foretell"
ORDER = [
    ["errors", "types"],
    ["rng", "arch", "graph", "registry", "unpickle", "files", "gaussian", "trust", "prediction"],
    ["metrics"],
    ["store"],
    ["execution"],
    ["spaces"],
    ["benchmarks", "tables"],
    ["curves"],
    ["encodings"],
    ["data"],
    ["networks"],
    ["tracing"],
    ["cost"],
    ["proxies"],
    ["training"],
    ["robustness"],
    ["predictors"],
    ["quantities"],
    ["search"],
    ["export"],
    ["studies"],
    ["report"],
    ["api"],
    ["cli"],
    ["testing"],
]
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}
WITHOUT_TORCH = {
    "errors", "types", "rng", "arch", "graph", "registry", "unpickle", "files", "gaussian", "trust",
    "metrics", "store", "execution", "spaces", "benchmarks", "encodings", "data", "predictors",
    "curves", "prediction", "quantities", "search", "studies", "report", "tables", "api", "cli",
}  # fmt: skip
FILES = sorted(SOURCE.rglob("*.py"))
MOST_FILES = {"cli": 20}
"""Python files of a folder, beside ``__init__`` and its sub-folders; 14 elsewhere."""


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path, *, top_only: bool) -> frozenset[str]:
    """Names of modules that a file imports; those under TYPE_CHECKING do not count."""
    found: set[str] = set()

    def walk(node: ast.AST, inside: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                found.update(a.name for a in child.names if not (top_only and inside))
            elif isinstance(child, ast.ImportFrom) and not (top_only and inside):
                found.add(child.module or "")
                found.update(f"{child.module}.{a.name}" for a in child.names)
            walk(child, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    walk(parsed(path), False)
    return frozenset(found)


@cache
def module_file(name: str) -> Path | None:
    """The file of a module of foretell; None for what is no module."""
    path = SOURCE.joinpath(*name.split(".")[1:])
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if name.startswith("foretell.") and file.is_file():
            return file
    return None


@cache
def file_graph() -> dict[Path, set[Path]]:
    """File -> files that it imports; a name of a package is looked up in its ``__init__``."""
    graph: dict[Path, set[Path]] = {}
    for path in FILES:
        names = imports(path, top_only=False)
        found = {name: module_file(name) for name in names}
        # "from package import module" imports the module; the package alone only if nothing else
        packages = {n.rpartition(".")[0] for n, f in found.items() if f is not None}
        graph[path] = {
            f for n, f in found.items() if f not in (None, path)
            and not (n in packages and f.name == "__init__.py" and not own_names(path, n))
        }  # fmt: skip
    return graph


def own_names(path: Path, package: str) -> bool:
    """Whether a file takes something from a package that is no module of it."""
    return any(
        module_file(f"{package}.{a.name}") is None
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom) and node.module == package
        for a in node.names
    )


def circles(graph: dict[Path, set[Path]]) -> list[list[str]]:
    """Groups of nodes that reach each other."""
    reach = {n: set(m) for n, m in graph.items()}
    changed = True
    while changed:
        changed = False
        for there in reach.values():
            more = set().union(*(reach.get(m, set()) for m in there)) - there
            if more:
                there |= more
                changed = True
    groups = {frozenset({n, *(m for m in reach[n] if n in reach.get(m, ()))}) for n in reach}
    return [sorted(str(n.relative_to(SOURCE)) for n in g) for g in groups if len(g) > 1]


def folder_graph() -> dict[Path, set[Path]]:
    """Folder -> folders that its files import from.

    A sub-folder may import the contracts of the folders around it: ``_base.py``, and the modules
    of the package's root.
    """
    graph: dict[Path, set[Path]] = {}
    for path, there in file_graph().items():
        here = graph.setdefault(path.parent, set())
        for file in there:
            contract = file.stem == "_base" and file.parent in path.parents
            if file.parent != path.parent and not contract:
                here.add(file.parent)
    graph.pop(SOURCE)
    return {n: there - {SOURCE} for n, there in graph.items()}


def test_no_file_imports_itself_by_way_of_others():
    assert circles(file_graph()) == []


def test_no_folder_imports_itself_by_way_of_others():
    assert circles(folder_graph()) == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_run_one_way(path):
    if path == SOURCE / "__init__.py":
        return
    here = room(path)
    for name in imports(path, top_only=False):
        there = name.split(".")[1] if name.startswith("foretell.") else ""
        if there in LEVEL:
            assert LEVEL[there] <= LEVEL[here], f"{here} may not import {there}"
            if LEVEL[there] == LEVEL[here] and there != here:
                assert here not in ("arch", "rng") or there in ("errors", "types")


@pytest.mark.parametrize(
    "path", [p for p in FILES if room(p) in WITHOUT_TORCH], ids=lambda p: str(p.relative_to(SOURCE))
)
def test_torch_is_not_imported_at_module_level(path):
    names = imports(path, top_only=True)
    assert not {n for n in names if n.split(".")[0] == "torch"}


def test_every_room_is_in_the_order():
    rooms = {p.name.removesuffix(".py") for p in SOURCE.iterdir()} - {"__init__", "__pycache__"}
    assert {r for r in rooms if "." not in r} == set(LEVEL)


def test_no_folder_is_crowded():
    """Few files in a folder, and no family of three that should be a folder of its own."""
    for folder in {p.parent for p in FILES} - {SOURCE}:
        names = [p.stem.lstrip("_") for p in folder.glob("*.py") if p.name != "__init__.py"]
        assert len(names) <= MOST_FILES.get(folder.name, 14), folder
        for family, size in Counter(n.split("_")[0] for n in names).items():
            assert size < 3, f"{folder} has {size} files {family}_*"


def test_importing_foretell_and_its_light_rooms_leaves_torch_out():
    rooms = ", ".join(f"foretell.{r}" for r in sorted(WITHOUT_TORCH))
    code = f"import sys, foretell, {rooms}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_relative_imports_are_absent():
    for path in FILES:
        for node in ast.walk(parsed(path)):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path


FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
BUILTINS = {name for name in dir(builtins) if not name.startswith("_")}


def asserts_on_input(tree: ast.Module) -> list[int]:
    """Lines of asserts that check what a public function was given.

    Such an assert names a parameter of a public function, or a variable that was read out of one,
    also through builtins and NumPy: ``x = np.asarray(values)``, ``for x in values``. In a
    ``__post_init__`` the fields are the parameters. A function is public unless its name or that of
    a class around it begins with an underscore. What another function returned is no input any
    more: an assert on that states what we take for granted about our own code.
    """
    lines: list[int] = []

    def visit(node: ast.AST, given: set[str], hidden: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                visit(child, set(), hidden or child.name.startswith("_"))
            elif isinstance(child, FUNCTION):
                special = child.name.startswith("__")
                private = hidden or (child.name.startswith("_") and not special)
                own = set() if private else parameters(child)
                visit(child, read_out(child, own | given), hidden)
            else:
                if isinstance(child, ast.Assert) and names(child.test) & given:
                    lines.append(child.lineno)
                visit(child, given, hidden)

    visit(tree, set(), False)
    return lines


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    a = function.args
    every = [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]
    own = {x.arg for x in every if x is not None}
    return own if function.name == "__post_init__" else own - {"self", "cls"}


def names(tree: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}


def read_out(function: ast.AST, given: set[str]) -> set[str]:
    """The given names, and those of variables that hold a part or a conversion of one."""
    pairs: list[tuple[ast.AST, ast.AST]] = []
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            pairs += [(target, node.value) for target in node.targets]
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            pairs.append((node.target, node.value))
        elif isinstance(node, ast.For | ast.comprehension):
            pairs.append((node.target, node.iter))
    found, before = set(given), -1
    while before < len(found):
        before = len(found)
        for target, value in pairs:
            if names(value) & found and all(is_conversion(n) for n in calls(value)):
                found |= {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}
    return found - {"self", "cls"} | given


def calls(tree: ast.AST) -> list[ast.Call]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.Call)]


def is_conversion(call: ast.Call) -> bool:
    function = call.func
    while isinstance(function, ast.Attribute):
        function = function.value
    return isinstance(function, ast.Name) and function.id in BUILTINS | {"np"}


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("def f(x):\n    assert x > 0", [2]),
        ("def f(*, x=1):\n    assert x > 0", [2]),
        ("def f(*x, **y):\n    assert x\n    assert y", [2, 3]),
        ("def f(x):\n    if x:\n        assert len(x.shape) == 2, 'two axes'", [3]),
        ("def f(x):\n    y = np.asarray(x, dtype=float)\n    n = len(y)\n    assert n > 1", [4]),
        ("def f(x):\n    a, b = x.size[0], 3\n    assert isinstance(a, int)", [3]),
        ("def f(x):\n    for i, v in enumerate(x):\n        assert v > 0", [3]),
        ("def f(x):\n    assert all(v > 0 for v in x)", [2]),
        ("def f(x):\n    if (y := x[0]):\n        assert y > 0", [3]),
        ("def f(x):\n    def _g(y):\n        assert y > x\n    return _g", [3]),
        ("class A:\n    def f(self, x):\n        assert x", [3]),
        ("class A:\n    def __init__(self, x):\n        assert x", [3]),
        ("class A:\n    x: int\n    def __post_init__(self):\n        assert self.x > 0", [4]),
        ("async def f(x):\n    assert x", [2]),
        ("def _f(x):\n    assert x", []),
        ("class _A:\n    def f(self, x):\n        assert x", []),
        ("class A:\n    def f(self):\n        assert self.x is not None", []),
        ("def f(x):\n    y = _made(x)\n    assert y is not None", []),
        ("def f(x):\n    y = x.found()\n    assert y is not None", []),
        ("def f():\n    assert ORDER", []),
    ],
)
def test_asserts_on_input_are_told_from_those_on_our_own_code(source, lines):
    assert asserts_on_input(ast.parse(source)) == lines


@pytest.mark.parametrize(
    "path",
    [p for p in FILES if room(p) != "testing"],  # whose asserts are what it is for
    ids=lambda p: str(p.relative_to(SOURCE)),
)
def test_input_is_refused_by_typed_errors_and_not_by_asserts(path):
    if "assert " in path.read_text(encoding="utf-8"):
        assert asserts_on_input(parsed(path)) == []
