"""Pages of the API reference, read from the source without running it.

A package's page holds the names of its ``__all__``; then, module by module, those of its public
modules that the package does not hand on. Each object is described at one place, its home; under
its other public names the page leads there.
"""

import ast
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import griffe

from generate.navigation import contents

logging.getLogger("griffe").setLevel(logging.ERROR)
SPAN = re.compile(r"(``.+?``|`[^`]+`)", re.DOTALL)
KIND = {"attribute": "data", "type alias": "data"}
DECORATORS = ("property", "classmethod", "staticmethod", "abstractmethod", "final")


@dataclass(frozen=True)
class Name:
    """A public name.

    Args:
        module: where it is imported from.
        name: as it stands in ``__all__``.
        target: what it is.
    """

    module: str
    name: str
    target: griffe.Object

    @property
    def path(self) -> str:
        """Module and name."""
        return f"{self.module}.{self.name}"


class Reference:
    """Everything public of a package.

    Args:
        source: the folder that holds the package.
        package: its name.

    Raises:
        LookupError: ``__all__`` holds a name that cannot be found in the source.
    """

    def __init__(self, source: Path, package: str) -> None:
        """Read the source and find the home of each object."""
        loaded = griffe.load(package, search_paths=[source], allow_inspection=False)
        assert isinstance(loaded, griffe.Module)
        self.root = loaded
        self.modules: dict[str, griffe.Module] = dict(_modules(loaded))
        self.exports: dict[str, list[Name]] = {
            path: [self._find(module, name) for name in _exports(module)]
            for path, module in self.modules.items()
        }
        self.homes: dict[str, Name] = {}
        for name in (n for names in self.exports.values() for n in names):
            known = self.homes.get(name.target.path)
            if known is None or self._rank(name) < self._rank(known):
                self.homes[name.target.path] = name
        self._sections = {path: self._gathered(path) for path in self.modules}

    def _rank(self, name: Name) -> tuple[bool, bool, int]:
        """The front door first, then packages, then the name nearest to the definition."""
        module = self.modules[name.module]
        return name.module != self.root.path, not module.is_init_module, -len(name.module)

    def _find(self, module: griffe.Module, name: str) -> Name:
        """What a name of ``__all__`` stands for; a name resolved on use is looked up, too."""
        for place in (module.path, _lazy(module).get(name, "")):
            holder = self.modules.get(place) or self._any_module(place)
            if holder is not None and name in holder.members:
                found = holder.members[name]
                target = found.final_target if isinstance(found, griffe.Alias) else found
                if isinstance(target, griffe.Object):
                    return Name(module.path, name, target)
        if name in _assigned(_file(module)):  # by a tuple, which griffe leaves out
            return Name(module.path, name, griffe.Attribute(name, parent=module))
        raise LookupError(f"{module.path}.__all__ names {name!r}, which is not in the source.")

    def _any_module(self, path: str) -> griffe.Module | None:
        """A module by its path, private ones included."""
        inner = path.removeprefix(self.root.path).strip(".")
        if not path.startswith(self.root.path) or not inner:
            return None
        try:
            found = self.root[inner]
        except KeyError:
            return None
        return found if isinstance(found, griffe.Module) else None

    def packages(self) -> list[str]:
        """Packages and modules that have a page of their own, in the order of their names.

        A package's modules are on its page. Single files of the top folder have pages.
        """
        depth = self.root.path.count(".") + 1
        pages = [
            path
            for path, module in self.modules.items()
            if module.is_init_module or path.count(".") == depth
        ]
        return sorted(p for p in pages if self.sections(p))

    def parts(self, page: str = "") -> list[str]:
        """Pages that stand under another one in the sidebar.

        Args:
            page: one of ``packages()``; by default those that stand under none.
        """
        pages = self.packages()

        def parent(inner: str) -> str:
            above = inner.rpartition(".")[0]
            return above if above in pages or not above else parent(above)

        found = {p: parent(p).removeprefix(self.root.path).strip(".") for p in pages}
        own = page.removeprefix(self.root.path).strip(".")
        return [p for p, above in found.items() if above == own]

    def sections(self, page: str) -> dict[str, list[Name]]:
        """What stands on a page.

        Args:
            page: one of ``packages()``.

        Returns:
            Module -> its public names; the page's own module first, then modules of the package
            with what the package itself does not hand on.
        """
        return self._sections[page]

    def _gathered(self, page: str) -> dict[str, list[Name]]:
        own = self.exports[page]
        sections = {page: own} if own else {}
        if not self.modules[page].is_init_module or page == self.root.path:
            return sections
        for path, names in sorted(self.exports.items()):
            if path.rpartition(".")[0] != page or self.modules[path].is_init_module:
                continue
            if rest := [n for n in names if self.homes[n.target.path].module == path]:
                sections[path] = rest
        return sections

    def names(self) -> list[Name]:
        """Every name that stands on some page."""
        return [
            n for page in self.packages() for part in self.sections(page).values() for n in part
        ]

    def without_docstring(self) -> list[str]:
        """Public names that say nothing about themselves, the methods of classes included."""
        missing = []
        for name in self.names():
            if self.homes[name.target.path] is not name:
                continue
            if not name.target.docstring:
                missing.append(name.path)
            elif isinstance(name.target, griffe.Class):
                missing += [
                    f"{name.path}.{m.name}"
                    for m in name.target.members.values()
                    if isinstance(m, griffe.Function) and m.is_public and not m.docstring
                    and not m.name.startswith("_")
                ]  # fmt: skip
        return missing

    def summary(self, page: str) -> str:
        """The first line of a module's docstring, as Markdown."""
        text = self.modules[page].docstring
        return _escape(text.value.strip().split("\n\n")[0].replace("\n", " ")) if text else ""

    def page(self, page: str) -> str:
        """A page as MyST Markdown."""
        lines = ["---", "tocdepth: 2", "---", f"# {page}", ""]
        for path, names in self.sections(page).items():
            if path != page:
                lines += [f"## {path}", ""]
            lines += [f"```{{py:module}} {path}", ":no-index-entry:", "```", ""]
            if text := self.modules[path].docstring:
                lines += [self._body(text.value, path), ""]
            for name in names:
                lines += [self._entry(name), ""]
        if page != self.root.path and (parts := self.parts(page)):
            lines += ["## Inside", "", self.table(parts, ""), contents("", parts)]
        return "\n".join(lines)

    def table(self, pages: list[str], folder: str) -> str:
        """Pages and what each is about.

        Args:
            pages: their names.
            folder: where they lie, seen from the page with the table; it ends in a slash.
        """
        rows = [f"| [{p}]({folder}{p}.md) | {self.summary(p)} |" for p in pages]
        return "\n".join(["| import from | about |", "|---|---|", *rows, ""])

    def _entry(self, name: Name) -> str:
        """A name: its signature, then its description or the way to it."""
        target, home = name.target, self.homes[name.target.path]
        kind = KIND.get(target.kind.value, target.kind.value)
        if home is not name:
            role = kind if kind != "function" else "func"
            body = f"The same as {{py:{role}}}`{home.path}`."
            return _directive(f"py:{kind}", name.name, [], body, 6)
        options: list[str] = []
        signature = name.name
        if isinstance(target, griffe.Module):
            kind, options = "data", [":type: module"]
            if name.target.path in self.sections(name.module):
                options += [":no-index:"]  # its section is what links lead to
        elif isinstance(target, griffe.Function | griffe.Class):
            signature += self._signature(target)
        elif isinstance(target, griffe.Attribute) and target.annotation is not None:
            options = [f":type: {self._annotation(target.annotation)}"]
        body = self._body(target.docstring.value if target.docstring else "", name.module, target)
        if isinstance(target, griffe.Class):
            body += self._members(target, name.module)
        return _directive(f"py:{kind}", signature, options, body, 6)

    def _members(self, cls: griffe.Class, module: str) -> str:
        """Bases, public methods and described attributes of a class."""
        text = ""
        bases = [self._annotation(b) for b in cls.bases]
        linked = [f"{{py:class}}`{b}`" if "~" in b and "[" not in b else f"``{b}``" for b in bases]
        if linked:
            text += "\n\nBases: " + ", ".join(b.replace("~~", "~") for b in linked) + "\n"
        for name, member in cls.members.items():
            if name.startswith("_") or not member.docstring or isinstance(member, griffe.Alias):
                continue
            options = [f":{o}:" for o in DECORATORS if o in _labels(member)]
            options.append(":no-contents-entry:")
            body = self._body(member.docstring.value, module, member)
            if isinstance(member, griffe.Function):
                signature = name + self._signature(member)
                text += "\n\n" + _directive("py:method", signature, options, body, 5)
            elif isinstance(member, griffe.Attribute):
                kind = "py:property" if "property" in member.labels else "py:attribute"
                options = [o for o in options if o not in (":property:", ":final:")]
                if member.annotation is not None:
                    options.append(f":type: {self._annotation(member.annotation)}")
                text += "\n\n" + _directive(kind, name, options, body, 5)
        return text

    def _signature(self, target: griffe.Function | griffe.Class) -> str:
        """Parameters and what is returned, with names that Sphinx can link."""
        parts: list[str] = []
        bare_star = positional = False
        skip_first = isinstance(target, griffe.Class) or (
            isinstance(target.parent, griffe.Class) and "staticmethod" not in target.labels
        )
        for i, p in enumerate(target.parameters):
            if i == 0 and skip_first and p.name in ("self", "cls"):
                continue
            kind = p.kind
            if positional and kind is not griffe.ParameterKind.positional_only:
                parts.append("/")
            positional = kind is griffe.ParameterKind.positional_only
            if kind is griffe.ParameterKind.keyword_only and not bare_star:
                parts.append("*")
            stars = {"variadic positional": "*", "variadic keyword": "**"}.get(
                kind.value if kind else "", ""
            )
            bare_star |= stars == "*" or kind is griffe.ParameterKind.keyword_only
            text = stars + p.name
            if p.annotation is not None:
                text += f": {self._annotation(p.annotation)}"
            if p.default is not None and not stars:
                text += (" = " if p.annotation is not None else "=") + _default(str(p.default))
            parts.append(text)
        returns = getattr(target, "returns", None)
        arrow = ""
        if isinstance(target, griffe.Function) and returns is not None:
            arrow = f" -> {self._annotation(returns)}"
        return f"({', '.join(parts)}){arrow}".replace("\n", " ")

    def _annotation(self, expression: str | griffe.Expr) -> str:
        """An annotation; names with a home in the reference are written so that they link."""
        if isinstance(expression, str):
            return expression
        parts = []
        for piece in expression.iterate(flat=True):
            if isinstance(piece, griffe.ExprName):
                parts.append(self._linked(piece.canonical_path) or piece.name)
            else:
                parts.append(str(piece))
        return "".join(parts)

    def _linked(self, path: str) -> str:
        """``~`` and the home of an object, or nothing where it has none."""
        if not path.startswith(self.root.path + "."):
            return ""
        try:
            target = self.root[path.removeprefix(self.root.path + ".")]
            target = target.final_target if isinstance(target, griffe.Alias) else target
        except (KeyError, griffe.AliasResolutionError, griffe.CyclicAliasError):
            return ""
        home = self.homes.get(target.path)
        return f"~{home.path}" if home else ""

    def _body(self, text: str, module: str, target: griffe.Object | None = None) -> str:
        """A docstring in Google form as Markdown with fields."""
        docstring = griffe.Docstring(text, parent=target or self.modules[module])
        parts: list[str] = []
        for section in docstring.parse("google", warnings=False):
            value = section.value
            match section.kind:
                case griffe.DocstringSectionKind.text:
                    parts.append(self._markdown(value, module))
                case griffe.DocstringSectionKind.parameters:
                    parts.append("\n".join(self._field("param", p, module) for p in value))
                case griffe.DocstringSectionKind.raises:
                    parts.append("\n".join(self._raises(p, module, target) for p in value))
                case griffe.DocstringSectionKind.returns | griffe.DocstringSectionKind.yields:
                    word = section.kind.value
                    items = (_returned(v) for v in value)
                    parts.append(
                        "\n".join(_indent(f":{word}: ", self._markdown(t, module)) for t in items)
                    )
                case griffe.DocstringSectionKind.admonition:
                    body = self._markdown(value.description, module)
                    parts.append(f"**{section.title}.** {body}")
                case _:
                    raise ValueError(f"{module}: a docstring has a section {section.kind.value!r}.")
        return "\n\n".join(parts)

    def _field(self, word: str, item: griffe.DocstringParameter, module: str) -> str:
        return _indent(f":{word} {item.name}: ", self._markdown(item.description, module))

    def _raises(
        self, item: griffe.DocstringRaise, module: str, target: griffe.Object | None
    ) -> str:
        """One error, linked where it is our own."""
        name = str(item.annotation)
        scope = target or self.modules[module]
        try:
            found = self._linked(scope.resolve(name))
        except griffe.NameResolutionError:  # the docstring names an error that a callee raises
            same = {f"~{home.path}" for home in self.homes.values() if home.name == name}
            found = same.pop() if len(same) == 1 else ""
        return _indent(f":raises {found or name}: ", self._markdown(item.description, module))

    def _markdown(self, text: str, module: str) -> str:
        """Paragraphs with signs escaped, doctests fenced, public names linked."""
        known = {n.name: self.homes[n.target.path] for n in self.exports[module]}

        def link(span: str) -> str:
            bare = span.strip("`").removesuffix("()")
            if bare in known and not bare.startswith("_"):
                return f"{{py:obj}}`~{known[bare].path}`"
            return span

        blocks: list[str] = []
        for block in re.split(r"\n\s*\n", text.strip("\n")):
            if block.lstrip().startswith(">>>"):
                blocks.append(f"```pycon\n{block}\n```")
            elif block.startswith("    "):
                blocks.append(block)
            else:
                head, mark, code = block.partition("\n>>>")
                parts = SPAN.split(re.sub(r"::$", ":", head))
                blocks.append(
                    "".join(link(p) if i % 2 else _escape(p) for i, p in enumerate(parts))
                )
                if mark:
                    blocks.append(f"```pycon\n>>>{code}\n```")
        return "\n\n".join(blocks)


def write(reference: Reference, folder: Path) -> None:
    """Write every page into a folder; pages that are no longer there go.

    Args:
        reference: what to write.
        folder: is made; a page whose text is the same keeps its time, so that a second build
            is short.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pages = {f"{page}.md": reference.page(page) for page in reference.packages()}
    for old in folder.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _modules(module: griffe.Module) -> Iterator[tuple[str, griffe.Module]]:
    """Public modules: no part of the path starts with an underscore."""
    yield module.path, module
    for name, member in sorted(module.members.items()):
        if isinstance(member, griffe.Module) and not name.startswith("_"):
            yield from _modules(member)


def _file(module: griffe.Module) -> Path:
    assert isinstance(module.filepath, Path)
    return module.filepath


@cache
def _assigned(file: Path) -> set[str]:
    """Names that a file assigns at its top, those of tuples included."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    targets = [t for node in body if isinstance(node, ast.Assign) for t in node.targets]
    return {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}


@cache
def _literals(file: Path) -> dict[str, ast.expr]:
    """Names that a file assigns at its top, and the right-hand sides."""
    found: dict[str, ast.expr] = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found[node.target.id] = node.value
    return found


def _exports(module: griffe.Module) -> list[str]:
    """The names of ``__all__``, without the dunder ones; ``*TABLE`` means a dict's keys."""
    literals = _literals(_file(module))
    names: list[str] = []

    def take(node: ast.expr) -> None:
        match node:
            case ast.Constant(value=str(text)):
                names.append(text)
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                for part in parts:
                    take(part)
            case ast.Dict(keys=keys):
                for key in keys:
                    if key is not None:
                        take(key)
            case ast.Starred(value=inner):
                take(inner)
            case ast.BinOp(left=left, right=right):
                take(left)
                take(right)
            case ast.Name(id=name) if name in literals:
                take(literals[name])
            case ast.Call(args=[inner]):  # sorted(...), list(...)
                take(inner)
            case _:
                raise LookupError(f"{module.path}.__all__ holds {ast.unparse(node)}: unreadable.")

    if "__all__" in literals:
        take(literals["__all__"])
    return sorted((n for n in names if not n.startswith("__")), key=_order)


def _order(name: str) -> tuple[bool, str]:
    """Classes first, as ruff sorts ``__all__``."""
    return not name[:1].isupper(), name


def _lazy(module: griffe.Module) -> dict[str, str]:
    """Names that a module resolves on use: what its tables say, name -> module."""
    found: dict[str, str] = {}
    for node in _literals(_file(module)).values():
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                match key, value:
                    case ast.Constant(value=str(name)), ast.Constant(value=str(place)):
                        found[name] = place.partition(":")[0]
    return found


def _labels(member: griffe.Object) -> Sequence[str]:
    """Labels of a member, and the decorators that griffe does not count as such."""
    labels = list(member.labels)
    if isinstance(member, griffe.Function):
        labels += [str(d.value).rpartition(".")[2] for d in member.decorators]
    return labels


def _returned(item: griffe.DocstringReturn | griffe.DocstringYield) -> str:
    """The text after ``Returns:``; words before a colon are part of the sentence."""
    name = f"{item.name}: " if item.name else ""
    return name + item.description


def _default(text: str) -> str:
    """A default value; one that says little in a signature is left out."""
    return text if len(text) <= 60 and "lambda" not in text else "..."


def _escape(text: str) -> str:
    """Text that Markdown leaves alone, except for lists."""
    text = re.sub(r"([\\*_<>\[\]{}|$])", r"\\\1", text)
    return re.sub(r"^(\s*)\\\* ", r"\1* ", text, flags=re.MULTILINE)


def _indent(head: str, body: str) -> str:
    """A field: the lines after the first are indented."""
    first, *rest = body.split("\n") if body else [""]
    return "\n".join([head + first, *(f"    {line}" if line else "" for line in rest)])


def _directive(name: str, argument: str, options: list[str], body: str, ticks: int) -> str:
    """A MyST directive; inner ones have fewer ticks."""
    fence = "`" * ticks
    head = "\n".join([f"{fence}{{{name}}} {argument}", *options])
    return f"{head}\n\n{body}\n{fence}\n"
