"""Every command of the README works as it stands there."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from generate import navigation

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
LINES = [line.split("  #")[0].strip() for block in BLOCKS for line in block.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("foretell ")]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the files that the README takes for granted: photos/ and mine.npz."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("user")
    shutil.copytree(ROOT / "tutorials", folder / "tutorials")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 90, (90, 26, 30, 3), dtype=np.uint8)
    y = np.arange(90) % 3
    for i in range(90):
        x[i, 6 * y[i] : 6 * y[i] + 6] += 120
        (folder / "photos" / "abc"[y[i]]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(x[i]).save(folder / "photos" / "abc"[y[i]] / f"{i}.png")
    np.savez(folder / "mine.npz", x=x[:, :16, :16], y=y)
    return folder


def test_the_two_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for line in LINES:
        if line.startswith("make "):
            assert f"\n{line.split()[1]}:" in makefile
    assert {line.split()[0] for line in LINES if line} == {"make", "foretell"}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_works(command, place):
    words = shlex.split(command)
    words[0] = str(Path(sys.executable).parent / "foretell")
    if words[1] == "search" and "--help" not in words:  # as shown, but shorter
        words += ["--pool", "8", "--trials", "1", "--epochs", "1", "--final-epochs", "1"]
    done = subprocess.run(words, cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"])
def test_links_lead_to_files(page):
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "index.md").read_text()
    nav = [page for pages in navigation.sections(index).values() for page in pages]
    for page in (ROOT / "docs").glob("*.md"):
        assert page.stem in nav or page.name == "index.md"
        assert page.name in index or page.name == "index.md"
