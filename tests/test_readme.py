"""Every command of the README works as it stands there."""

import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from generate import navigation

from foretell.cli._app import run
from foretell.errors import RunFolderError

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


SEARCHES = [c for c in COMMANDS if c.startswith("foretell search ") and "--help" not in c]
WHOLE = next(c for c in SEARCHES if "npz:mine.npz" in c)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_works(command, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    words = shlex.split(command)[1:]
    if command in SEARCHES:  # as shown, but shorter; one attacks by PGD and writes ONNX as well
        words += ["--pool", "4", "--trials", "1", "--epochs", "1", "--final-epochs", "1"]
        words += [] if command == WHOLE else ["--attacks", "fgsm", "--no-onnx"]
    assert run(words) == 0, capsys.readouterr().err


def test_the_program_is_the_command():
    program = Path(sys.executable).parent / "foretell"
    done = subprocess.run([program, "list", "spaces"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert run(["list", "spaces"]) == 0


OWN = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_an_own_evaluation_takes_at_most_twelve_lines():
    (block,) = OWN
    assert len([line for line in block.splitlines() if line.strip()]) <= 12
    assert max(map(len, block.splitlines())) <= 100


def test_an_own_evaluation_is_killed_half_way_and_goes_on(tmp_path):
    """SIGKILL in the middle, the same script again, and the result of an uninterrupted run."""
    from foretell.studies.optimize.read import read

    (tmp_path / "own.py").write_text(OWN[0], encoding="utf-8")
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    command = [sys.executable, str(tmp_path / "own.py")]

    def finished():
        try:
            return len(read(tmp_path / "killed/runs/own").trials)
        except RunFolderError:  # not yet
            return 0

    with subprocess.Popen(command, cwd=tmp_path / "killed") as process:
        while process.poll() is None and finished() < 15:
            time.sleep(0.02)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    kept = read(tmp_path / "killed/runs/own")
    assert (kept.state, kept.winner) == ("stopped", None)
    assert 15 <= len(kept.trials) < 30
    printed = [
        subprocess.run(command, cwd=tmp_path / f, capture_output=True, text=True, check=True).stdout
        for f in ("killed", "whole")
    ]
    assert printed[0] == printed[1]
    ends = [read(tmp_path / f / "runs/own") for f in ("killed", "whole")]
    assert printed[0].strip() == ends[0].winner.arch
    rows = [
        [(t.arch, t.state, t.values, t.violation, t.on_front) for t in end.trials] for end in ends
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 30
    assert ends[0].resumed.trials == len(kept.trials)
    seconds = [t.seconds for t in ends[0].trials]
    assert seconds[: len(kept.trials)] == [t.seconds for t in kept.trials]  # none ran again
    assert (tmp_path / "killed/runs/own/report.html").is_file()


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
