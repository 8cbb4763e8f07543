"""The picture of the architecture, drawn from the imports: python docs/generate/architecture.py.

A room is a folder or a file right under the package. It stands above every room that it imports.
"""

import ast
import html
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

WIDTH, BOX, HEIGHT, GAP, ROW, SIDE = 760, 112, 42, 14, 44, 8
STYLE = """
.architecture { overflow-x: auto; }
.architecture svg { min-width: 640px; width: 100%; height: auto; font: 13px system-ui, sans-serif; }
.architecture rect { fill: var(--color-background-secondary, #f8f9fb);
  stroke: var(--color-foreground-muted, #6b6f76); }
.architecture .torch rect { fill: var(--color-api-background-hover, #efeff4);
  stroke: var(--color-brand-primary, #0a4bff); stroke-width: 1.8; }
.architecture text { fill: var(--color-foreground-primary, #111); text-anchor: middle; }
.architecture .inner { font-size: 9px; fill: var(--color-foreground-muted, #6b6f76); }
.architecture a { text-decoration: none; }
.architecture path { fill: none; stroke: var(--color-foreground-muted, #6b6f76); opacity: .55; }
.architecture path.late { stroke-dasharray: 4 3; }
.architecture path.implied { opacity: 0; }
.architecture marker path { fill: var(--color-foreground-muted, #6b6f76); stroke: none;
  opacity: 1; }
"""


@dataclass(frozen=True)
class Room:
    """A folder or a file right under the package.

    Args:
        name: without suffix.
        about: the first line of its docstring.
        inner: folders inside.
        imports: other rooms that it imports -> whether only on use, inside a function.
        torch: whether importing it loads torch, directly or through another room.
        files: how many Python files it has.
    """

    name: str
    about: str
    inner: tuple[str, ...]
    imports: Mapping[str, bool]
    torch: bool
    files: int


def rooms(package: Path) -> dict[str, Room]:
    """Every room by name.

    Args:
        package: the package's folder.
    """
    found: dict[str, Path] = {}
    for path in sorted(package.iterdir()):
        if path.is_dir() and (path / "__init__.py").exists():
            found[path.name] = path
        elif path.suffix == ".py" and path.stem != "__init__":
            found[path.stem] = path
    files = {path: _module_imports(path) for path in sorted(package.rglob("*.py"))}
    reads = {
        name: _imports_of(path, files, package.name, set(found) - {name})
        for name, path in found.items()
    }
    loaded = _loads_torch(package, files)
    result = {}
    for name, path in found.items():
        start = path / "__init__.py" if path.is_dir() else path
        inner = sorted(p.parent.name for p in path.glob("*/__init__.py")) if path.is_dir() else []
        text = ast.get_docstring(ast.parse(start.read_text(encoding="utf-8"))) or ""
        result[name] = Room(
            name=name,
            about=text.split("\n\n")[0].replace("\n", " "),
            inner=tuple(inner),
            imports=reads[name],
            torch=start in loaded,
            files=len(list(path.rglob("*.py"))) if path.is_dir() else 1,
        )
    return result


def layers(found: Mapping[str, Room]) -> list[list[str]]:
    """Rooms in rows: what nobody imports first, and each room above all that it imports.

    Args:
        found: the rooms.

    Raises:
        ValueError: rooms import each other in a circle.
    """
    height: dict[str, int] = {}

    def visit(name: str, above: tuple[str, ...]) -> int:
        if name in above:
            raise ValueError(f"A circle of imports: {' -> '.join([*above, name])}.")
        if name not in height:
            below = [visit(n, (*above, name)) for n in found[name].imports]
            height[name] = 1 + max(below, default=-1)
        return height[name]

    for name in found:
        visit(name, ())
    rows: list[list[str]] = [[] for _ in range(max(height.values()) + 1)]
    for name, level in sorted(height.items()):
        rows[-1 - level].append(name)
    return rows


def direct(found: Mapping[str, Room]) -> set[tuple[str, str]]:
    """Imports that no chain of others implies.

    Args:
        found: the rooms.
    """
    reach: dict[str, set[str]] = {}
    for row in reversed(layers(found)):
        for name in row:
            below = found[name].imports
            reach[name] = set(below).union(*(reach[n] for n in below))
    return {
        (name, to)
        for name, room in found.items()
        for to in room.imports
        if not any(to in reach[other] for other in room.imports)
    }


def svg(found: Mapping[str, Room], links: Mapping[str, str]) -> str:
    """The picture, as an ``<svg>`` element; colours follow the page's light or dark.

    Args:
        found: the rooms.
        links: room -> where a click on it leads; a room without one is no link.
    """
    lines = [_split(row, (WIDTH - 2 * SIDE + GAP) // (BOX + GAP)) for row in layers(found)]
    place: dict[str, tuple[float, float]] = {}
    y = float(SIDE)
    for parts in lines:
        for part in parts:
            left = (WIDTH - len(part) * (BOX + GAP) + GAP) / 2
            for i, name in enumerate(_ordered(part, found, place)):
                place[name] = left + i * (BOX + GAP), y
            y += HEIGHT + GAP
        y += ROW - GAP
    shown = direct(found)
    arrows, boxes, hover = [], [], []
    for name, room in found.items():
        for to, late in sorted(room.imports.items()):
            kind = ("late" if late else "soon") + ("" if (name, to) in shown else " implied")
            arrows.append(_arrow(name, to, kind, place))
        x, top = place[name]
        middle = x + BOX / 2
        inside = " · ".join(room.inner)
        inside = inside if len(inside) <= 22 else f"{len(room.inner)} folders"
        label = [f'<text x="{middle:g}" y="{top + (20 if inside else 27):g}">{name}</text>']
        if inside:
            label.append(f'<text class="inner" x="{middle:g}" y="{top + 35:g}">{inside}</text>')
        link = f' href="{links[name]}"' if name in links else ""
        link += ' class="torch"' if room.torch else ""
        boxes.append(
            f'<a id="room-{name}"{link}><title>{html.escape(room.about)}</title>'
            f'<rect x="{x:g}" y="{top:g}" width="{BOX}" height="{HEIGHT}" rx="6"/>'
            f"{''.join(label)}</a>"
        )
        here = f".architecture svg:has(#room-{name}:hover) path"
        hover.append(f"{here}.from-{name} {{ opacity: 1; stroke: var(--color-brand-primary); }}")
        hover.append(f"{here}:not(.from-{name}, .head) {{ opacity: .06; }}")
    text = "\n".join([*arrows, *boxes])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y - ROW + SIDE + GAP:g}" '
        f'role="img" aria-label="Packages in layers; arrows are imports">\n<style>{STYLE}'
        f"{chr(10).join(hover)}\n</style>\n"
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path class="head" d="M0 0L8 4L0 8z"/></marker></defs>\n'
        f"{text}\n</svg>"
    )


def section(package: Path, pages: Collection[str]) -> str:
    """The picture and a table of the rooms, as MyST Markdown for the architecture page.

    Args:
        package: the package's folder.
        pages: dotted names that have a page of reference.
    """
    found = rooms(package)
    dotted = {name: f"{package.name}.{name}" for name in found}
    links = {name: f"reference/{path}.html" for name, path in dotted.items() if path in pages}
    picture = f'```{{raw}} html\n<div class="architecture">\n{svg(found, links)}\n</div>\n```\n'
    table = ["| layer | room | about | imports |", "|---|---|---|---|"]
    rows = layers(found)
    for i, row in enumerate(rows):
        for name in row:
            room = found[name]
            about = room.about.replace("|", "\\|")
            names = ", ".join(f"*{n}*" if late else n for n, late in sorted(room.imports.items()))
            table.append(f"| {len(rows) - i} | `{name}` | {about} | {names} |")
    return "\n".join([picture, "## The rooms", "", *table, ""])


def _arrow(name: str, to: str, kind: str, place: Mapping[str, tuple[float, float]]) -> str:
    """A line from the lower edge of a box to the upper edge of another."""
    x0, y0 = place[name]
    x1, y1 = place[to]
    x0, y0, x1 = x0 + BOX / 2, y0 + HEIGHT, x1 + BOX / 2
    bend = max(18.0, (y1 - y0) / 2)
    path = f"M{x0:g} {y0:g}C{x0:g} {y0 + bend:g} {x1:g} {y1 - bend:g} {x1:g} {y1 - 1:g}"
    return f'<path class="from-{name} to-{to} {kind}" d="{path}" marker-end="url(#head)"/>'


def _split(row: list[str], most: int) -> list[list[str]]:
    """A row in lines of nearly equal length that fit into the picture."""
    n = -(-len(row) // most)
    return [row[i * len(row) // n : (i + 1) * len(row) // n] for i in range(n)]


def _ordered(
    row: list[str], found: Mapping[str, Room], place: Mapping[str, tuple[float, float]]
) -> list[str]:
    """A line's rooms, each near the rooms above that import it."""

    def centre(name: str) -> float:
        above = [place[n][0] for n, room in found.items() if name in room.imports and n in place]
        return sum(above) / len(above) if above else WIDTH / 2

    return sorted(row, key=lambda name: (centre(name), name))


def _module_imports(path: Path) -> list[tuple[str, bool]]:
    """Dotted names that a file imports, and whether on use only; type checking does not count."""
    found: list[tuple[str, bool]] = []

    def walk(node: ast.AST, late: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):  # holds no statement
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                found.extend((a.name, late) for a in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                found.extend((f"{child.module}.{a.name}", late) for a in child.names)
            walk(child, late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    walk(ast.parse(path.read_text(encoding="utf-8")), False)
    return found


def _imports_of(
    path: Path, files: Mapping[Path, list[tuple[str, bool]]], package: str, others: set[str]
) -> dict[str, bool]:
    """Other rooms that a room imports -> whether only on use."""
    found: dict[str, bool] = {}
    for names in (names for file, names in files.items() if file.is_relative_to(path)):
        for name, late in names:
            parts = name.split(".")
            if parts[0] == package and len(parts) > 1 and parts[1] in others:
                found[parts[1]] = found.get(parts[1], True) and late
    return found


def _loads_torch(package: Path, files: Mapping[Path, list[tuple[str, bool]]]) -> set[Path]:
    """Files whose import loads torch."""
    loaded = {
        p for p, names in files.items() if any(_is_torch(n) and not late for n, late in names)
    }

    def targets(name: str) -> Iterator[Path]:
        """Files that importing a dotted name runs: the packages on the way, and the module."""
        here = package
        parts = name.split(".")
        if parts[0] != package.name:
            return
        yield here / "__init__.py"
        for part in parts[1:]:
            here = here / part
            yield here.with_suffix(".py")
            yield here / "__init__.py"

    while True:
        more = {
            p
            for p, names in files.items()
            if p not in loaded
            and any(not late and any(t in loaded for t in targets(n)) for n, late in names)
        }
        if not more:
            return loaded
        loaded |= more


def _is_torch(name: str) -> bool:
    return name.split(".")[0] == "torch"


if __name__ == "__main__":
    (PACKAGE,) = (Path(__file__).parents[2] / "src").glob("*/__init__.py")
    sys.stdout.write(svg(rooms(PACKAGE.parent), {}) + "\n")
