"""Take the README's picture of a report: python docs/assets/report_picture.py REPORT.html.

Needs chromium and pillow. Parts of the page are left out and one chart is moved up, so that the
picture stays short; what is shown is shown as it is.
"""

import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
KEEP = """
document.querySelector('#progress-seconds').closest('figure').replaceWith(
  document.querySelector('#pareto-params').closest('figure'));
document.querySelectorAll('nav, .notes, #prediction, #pareto, #proxies, #robustness, #failures,'
  + '#trials, #reproduce, footer, #winner > .two, section > p').forEach(e => e.remove());
document.querySelectorAll('section').forEach(e => { e.style.marginTop = '30px'; });
document.querySelector('header').style.paddingTop = '24px';
document.querySelector('main').style.paddingBottom = '28px';
Math.ceil(document.documentElement.getBoundingClientRect().height)
"""


def main(report: str, picture: Path = HERE / "report.png", width: int = 1180) -> None:
    """Write the picture of a report.

    Args:
        report: the HTML file.
        picture: where to write.
        width: of the window, pixels.
    """
    path = HERE.parents[1] / "tests" / "report" / "conftest.py"
    spec = importlib.util.spec_from_file_location("report_conftest", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    program = shutil.which("chromium") or "google-chrome"
    browser = module.Browser(program, tempfile.mkdtemp())
    try:
        browser.open(report, width)
        height = browser.run(KEEP)
        browser.picture(picture, {"x": 0, "y": 0, "width": width, "height": height})
    finally:
        browser.close()
    Image.open(picture).convert("RGB").quantize(240).save(picture, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
