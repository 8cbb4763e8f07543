"""Which code runs: one's own runs never ask, changed files and other people's folders do."""

import shutil
import sys
from pathlib import Path

import pytest

from foretell import optimize
from foretell.cli._app import run
from foretell.errors import PluginError, UntrustedError
from foretell.registry import resolve, without_code
from foretell.spaces import spaces
from foretell.store import Store
from foretell.studies import serve
from foretell.trust import changed, code_files, key_path, made_here, signature

CODE = """
from pathlib import Path
from foretell.spaces import CustomSpace

Path("ran.txt").write_text("yes")
space = CustomSpace({"a": (1, 2, 3), "b": (1, 2)})

def evaluate(arch):
    return sum(arch.genes)
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A data folder and a working folder of one's own, with a file of code."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    Path("mine.py").write_text(CODE)
    return tmp_path


@pytest.fixture
def made(home):
    """A run folder of an optimisation with that code."""
    optimize("mine.py:evaluate", "mine.py:space", out="run", trials=2, searcher="random")
    Path("ran.txt").unlink()
    for name in [n for n in sys.modules if n.startswith("_foretell_file_mine")]:
        del sys.modules[name]  # as in another process
    return Path("run")


def ask(capsys, *argv: str) -> tuple[int, str]:
    code = run(list(argv))
    return code, capsys.readouterr().err


def become_somebody_else():
    key_path().unlink()


def settings_of(folder: Path, **changes: object) -> None:
    """Change stored settings as somebody would who wants other code to run."""
    with Store(folder / "study.db") as store:
        settings = store.value("optimize", "settings")
        store.put_value("optimize", "settings", {**settings, **changes})


def test_ones_own_runs_do_not_ask(made, capsys):
    assert ask(capsys, "resume", "run", "--quiet")[0] == 0
    assert ask(capsys, "report", "run")[0] == 0
    shutil.move("run", "moved")
    assert ask(capsys, "resume", "moved", "--quiet")[0] == 0


def test_the_key_is_the_users_alone(home):
    content = {"a": [1, "x"]}
    signed = signature(content)
    assert key_path().is_relative_to(home)
    assert key_path().stat().st_mode & 0o777 == 0o600
    assert len(key_path().read_bytes()) == 32
    assert made_here({"a": [1, "x"]}, signed)
    for other in ("", None, 7, signed[:-1], "\udc80" * 64):
        assert not made_here(content, other)
    assert not made_here({"a": [1, "y"]}, signed)
    key_path().chmod(0o644)
    assert signature(content) == signed
    assert key_path().stat().st_mode & 0o777 == 0o600
    become_somebody_else()
    assert not made_here(content, signed)
    assert not key_path().exists()  # asking makes none
    key_path().write_bytes(b"short")
    with pytest.raises(OSError, match="no key"):
        signature(content)


def test_changed_code_asks_and_trust_answers(made, capsys):
    Path("mine.py").write_text(CODE + "\n# another line\n")
    code, said = ask(capsys, "resume", "run", "--quiet")
    assert code == 2
    assert "mine.py' was changed" in said
    assert "--trust" in said
    assert ask(capsys, "resume", "run", "--quiet", "--trust")[0] == 0
    assert ask(capsys, "resume", "run", "--quiet")[0] == 0  # recorded anew
    Path("mine.py").unlink()
    assert "mine.py' is gone" in ask(capsys, "resume", "run", "--quiet")[1]


def test_folders_of_others_run_nothing(made, capsys):
    become_somebody_else()
    for command in ("resume", "worker"):
        code, said = ask(capsys, command, "run")
        assert code == 2
        assert "was not made by you on this machine" in said
    assert ask(capsys, "report", "run")[0] == 0  # all it needs is in the folder
    assert not Path("ran.txt").exists()
    with pytest.raises(UntrustedError):
        serve("run")


def test_other_settings_than_the_signed_ones_run_nothing(made, capsys):
    Path("evil.py").write_text(CODE)
    settings_of(made, space="evil.py:space")
    code, said = ask(capsys, "resume", "run", "--quiet")
    assert code == 2
    assert "was not made by you" in said
    assert not Path("ran.txt").exists()


def test_without_code_texts_lead_to_this_library_only(home):
    with without_code("nobody vouches for it: look at it"):
        for text in ("mine.py:space", "json:loads"):
            with pytest.raises(UntrustedError, match="nobody vouches"):
                resolve(text)
            with pytest.raises(UntrustedError):
                spaces.entry(text)
        assert spaces["nb201"].name == "nb201"
        assert callable(resolve("foretell.registry:resolve"))
        assert not Path("ran.txt").exists()
    with pytest.raises(PluginError):
        resolve("gone.py:space")


def test_code_is_read_out_of_any_setting(home):
    Path("beside.py").write_text("x = 1\n")
    resolve("beside.py:x")
    Path("two words.py").write_text("")
    settings = {
        "a": "mine.py:space", "b": ["graf+two words.py:enc"], "c": {"d": "loader:mine.py:x<=3"},
        "e": "folder:photos", "f": "gone.py:x", "g": 3, "h": "~nouser/a.py:x",
    }  # fmt: skip
    found = code_files(settings)
    here = Path.cwd()
    assert {str(here / n) for n in ("mine.py", "beside.py", "two words.py", "gone.py")} <= set(
        found
    )
    assert found[str(here / "gone.py")] == ""
    assert len(found[str(here / "mine.py")]) == 64
    assert changed(found, settings) == ""
    assert "new.py' was not used by it" in changed(found, {"a": "new.py:x"})
    Path("beside.py").write_text("x = 2\n")
    assert "beside.py' was changed" in changed(found, settings)


def test_networks_of_others_are_loaded_only_by_those_who_vouch(home):
    import torch

    from foretell.api import load_task
    from foretell.export import export_best, load_best
    from foretell.networks import build
    from foretell.spaces import get_space
    from foretell.training import Curves, Recipe, TrainingResult

    Path("nets.py").write_text(
        "from torch import nn\nfrom foretell.spaces import CustomSpace\n"
        "def build(*, input_shape, classes, width):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, classes))\n"
        "space = CustomSpace({'width': (2, 3)}, 'nets.py:build')\n"
    )
    space, task = get_space("nets.py:space"), load_task("digits")
    arch, skeleton = space.parse("width=3"), space.skeleton(task.input_shape, task.classes)
    module = build(arch, skeleton, seed=0).eval()
    result = TrainingResult(Curves((1.0,), (1.0,), (0.5,)), 0.5, 0.5, 1.0, 1)
    export_best(
        "best", module, arch=arch, skeleton=skeleton, task=task, recipe=Recipe(epochs=1), seed=0,
        result=result, onnx=False,
    )  # fmt: skip
    images = torch.zeros(2, *task.input_shape)
    expected = load_best("best")(images)
    shutil.copytree("best", "elsewhere")
    assert torch.equal(load_best("elsewhere")(images), expected)
    source = next(p for p in Path("elsewhere").rglob("*.py") if "CustomSpace" in p.read_text())
    source.write_text(source.read_text() + "\n# a line of somebody else\n")
    with pytest.raises(UntrustedError, match="trust=True"):
        load_best("elsewhere")
    assert torch.equal(load_best("elsewhere", trust=True)(images), expected)
    become_somebody_else()
    with pytest.raises(UntrustedError):
        load_best("best")
