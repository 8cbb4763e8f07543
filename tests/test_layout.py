"""The house keeps its shape: imports run one way, and torch stays where networks are built."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "foretell"
ORDER = [
    ["errors", "types"],
    ["rng", "arch", "graph", "registry", "unpickle", "files", "kernels"],
    ["metrics"],
    ["store"],
    ["execution"],
    ["spaces"],
    ["benchmarks"],
    ["features"],
    ["data"],
    ["networks"],
    ["cost"],
    ["proxies"],
    ["training"],
    ["robustness"],
    ["predictors"],
    ["search"],
    ["studies"],
    ["report", "tables"],
    ["export"],
    ["api"],
    ["cli"],
    ["testing"],
]
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}
WITHOUT_TORCH = {
    "errors", "types", "rng", "arch", "graph", "registry", "unpickle", "files", "kernels",
    "metrics", "store", "execution", "spaces", "benchmarks", "features", "data", "predictors",
    "search", "studies", "report", "tables", "api", "cli",
}  # fmt: skip
FILES = sorted(SOURCE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(tree: ast.AST, *, top_only: bool) -> set[str]:
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
            walk(child, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    walk(tree, False)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_run_one_way(path):
    if path == SOURCE / "__init__.py":
        return
    here = room(path)
    for name in imports(ast.parse(path.read_text()), top_only=False):
        if name.startswith("foretell."):
            there = name.split(".")[1]
            assert LEVEL[there] <= LEVEL[here], f"{here} may not import {there}"
            if LEVEL[there] == LEVEL[here] and there != here:
                assert here not in ("arch", "rng") or there in ("errors", "types")


@pytest.mark.parametrize(
    "path", [p for p in FILES if room(p) in WITHOUT_TORCH], ids=lambda p: str(p.relative_to(SOURCE))
)
def test_torch_is_not_imported_at_module_level(path):
    names = imports(ast.parse(path.read_text()), top_only=True)
    assert not {n for n in names if n.split(".")[0] == "torch"}


def test_every_room_is_in_the_order():
    rooms = {p.name.removesuffix(".py") for p in SOURCE.iterdir()} - {"__init__", "__pycache__"}
    assert {r for r in rooms if "." not in r} == set(LEVEL)


def test_importing_foretell_and_its_light_rooms_leaves_torch_out():
    rooms = ", ".join(f"foretell.{r}" for r in sorted(WITHOUT_TORCH))
    code = f"import sys, foretell, {rooms}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_relative_imports_and_asserts_on_input_are_absent():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path
