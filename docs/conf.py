"""The documentation's site: Sphinx with MyST; ``make docs`` builds it strictly into ``site/``.

The sidebar is the index page's tables, the reference is read from the source, and the picture of
the architecture is drawn from the imports, all while building: none of them can go stale.
"""

import gc
import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))
gc.disable()  # the trees live until the end: a fifth of the time for 200 MB

from generate import architecture, navigation  # noqa: E402  (the path is set above)
from generate import reference as api  # noqa: E402

(PACKAGE,) = (p.parent.name for p in (ROOT / "src").glob("*/__init__.py"))
project = PACKAGE
html_title = PACKAGE
extensions = ["myst_parser"]
myst_enable_extensions = ["fieldlist"]
myst_heading_anchors = 4
exclude_patterns = ["generate"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
smartquotes_action = "D"
add_module_names = False
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
pygments_style = "friendly"
pygments_dark_style = "native"


def setup(app: Sphinx) -> dict[str, bool]:
    """Read the source once, and hook in what is made from it."""
    reference = api.Reference(ROOT / "src", PACKAGE)
    api.write(reference, HERE / "reference")

    def complete(app: Sphinx, doc: str, source: list[str]) -> None:
        text = navigation.of_root(ROOT) if doc == "contributing" else source[0]
        text = navigation.inside(text, ROOT)
        if doc == "index":
            for caption, pages in navigation.sections(text).items():
                text += navigation.contents(caption, pages)
        elif doc == "reference":
            pages = reference.parts()
            text += "\n" + reference.table(pages, "reference/")
            text += navigation.contents("", [f"reference/{page}" for page in pages])
        elif doc == "architecture":
            text += "\n" + architecture.section(ROOT / "src" / PACKAGE, reference.packages())
        source[0] = text

    def changed(app: Sphinx, env: object, added: set[str], other: set[str], gone: set[str]):
        return ["index", "reference", "architecture", "contributing"]

    def check(app: Sphinx, error: Exception | None) -> None:
        if error is None:
            shown = {name for name, *_ in app.env.domains["py"].get_objects()}
            if missing := sorted({n.path for n in reference.names()} - shown):
                raise ExtensionError(f"Public names on no reference page: {', '.join(missing)}")

    app.connect("source-read", complete)
    app.connect("env-get-outdated", changed)
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
