"""The site's navigation: the tables of the index page, heading by heading."""

import re
from pathlib import Path

ROW = re.compile(r"^\| \[[^\]]+\]\(([^)#]+)\.md\) \|")
OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)#]+)\)")


def sections(index: str) -> dict[str, list[str]]:
    """Pages in the order of the sidebar.

    Args:
        index: the text of the index page; each table row that starts with a link is a page, and
            the last second-level heading above it is its caption.

    Returns:
        Caption -> names of pages without their suffix, in the index's order.

    Raises:
        ValueError: a page stands above the first heading, or twice.
    """
    found: dict[str, list[str]] = {}
    caption = ""
    for line in index.splitlines():
        if line.startswith("## "):
            caption = line.removeprefix("## ").strip()
        elif match := ROW.match(line):
            if not caption:
                raise ValueError(f"Expected a heading above the table that holds {match[1]}.md.")
            if any(match[1] in pages for pages in found.values()):
                raise ValueError(f"{match[1]}.md stands twice in the index.")
            found.setdefault(caption, []).append(match[1])
    return found


def contents(caption: str, pages: list[str]) -> str:
    """A hidden table of contents: what the sidebar shows under one caption.

    Args:
        caption: above the pages; empty for none.
        pages: names relative to the docs folder, without suffix.
    """
    first = f":caption: {caption}\n" if caption else ""
    return f"\n```{{toctree}}\n:hidden:\n{first}\n" + "\n".join(pages) + "\n```\n"


def of_root(root: Path) -> str:
    """CONTRIBUTING.md as a page of the docs folder: its links start there.

    Args:
        root: the repository's folder.
    """
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return re.sub(r"\]\((?!https?:|#|docs/)", "](../", text).replace("](docs/", "](")


def inside(text: str, root: Path) -> str:
    """Turn links that leave the docs folder into the paths of the files, which the site lacks.

    Args:
        text: a page's Markdown.
        root: the repository's folder.

    Raises:
        FileNotFoundError: there is no such file.
    """

    def plain(match: re.Match[str]) -> str:
        if not (root / match[2]).exists():
            raise FileNotFoundError(f"A page links to ../{match[2]}, which does not exist.")
        return f"{match[1]} (`{match[2]}` in the repository)"

    return OUTSIDE.sub(plain, text)
