"""Command lines made from the commands' own option tables: valid values mixed with hostile ones.

    python experiments/fuzz_commands.py --lines 3000 --log runs/fuzz_commands.log

A line is a small working one of some command, with some of that command's options added, each with
a valid value or a hostile one: empty, NUL, another user's home, infinite, negative, huge, another
case, a folder, a binary file, a pipe, a device; options may come twice. All follow from the seed.
The log says for each command how many lines were run, how many reached the command's own code, how
many ended well, and every fault: an exception that is none of foretell's, a traceback, more than
five CPU seconds (children included), or more than 1 GB. Counts that ask for work (epochs, trials)
stay small: who asks for a million epochs gets them.
"""

import argparse
import contextlib
import io
import os
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "experiments"))

from fuzz_readers import GIVE_UP, LARGEST, LONGEST, WORDS, Hang, limited  # noqa: E402

CELL = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|"
TRAINED = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_1x1~2|"
HEAVY = {
    "sample", "pool", "trials", "epochs", "final_epochs", "workers", "n", "bootstrap", "time",
    "cells", "round_", "sizes", "seeds", "test", "explain",
}  # fmt: skip
"""Options whose large values ask for much work."""
LEFT_OUT = {"wait", "help", "version"}
NUMBERS = ["-1", "0", "1", "2", "3", "abc", "", "1.5", "1e3", " 2", "\u00b2", "nan"]
HUGE = ["99999999999999999999", "1e999", "-99999999999999999999", "9" * 5000, "4294967296"]
PATHS = [
    "", ".", "folder", "m.csv", "m.json", "binary", "fifo", "/dev/null", "/dev/full", "/dev/zero",
    "/dev/stdin", "~nouser", "~nouser/x.csv", "a\0b", "x" * 300, "no/such/file.csv", "new.csv",
    "new.json", "new.parquet", "m.csv/x", "new.xyz", "run", "run/best", "M.CSV", "folder/new.csv",
    "images/a/0.png", "loop", "\udc80.csv", "/proc/self/mem", "run/study.db",
]  # fmt: skip
GOOD: dict[str, list[str]] = {
    "space": ["nb201", "size", "nb101", "darts", "transnas_micro", "NB201", "space.py:space",
              "space.py:none", "space.py:one", "os:path", "none.py:x", "m.csv:x"],
    "data": ["digits", "synthetic:1x4x4x2", "npz:d.npz", "folder:images", "Digits",
             "synthetic:1x4x4", "synthetic:0x0x0", "npz:fifo", "npz:/dev/zero", "folder:/dev",
             "cifar10:binary", "folder:m.csv", "npz:binary", "synthetic:9x99999x99999x2",
             "digits?skip_broken=1", "digits?x=1", "npz:"],
    "proxies": ["params", "nwot,params", "nope", ",", "PARAMS", "space.py:proxy", "zico,"],
    "encodings": ["graf", "onehot"], "encoding": ["graf", "onehot+graf", "scores", "costs", "+"],
    "preset": ["2x1", "small", "auto", "0x0", "99999x99999", "2X1", "-1x1", "2x", "published"],
    "shape": ["1x8x8", "3x32x32", "1x1x1", "3x32", "0x1x1", "99999x99999x99999", "1X8X8"],
    "input_shape": ["1x8x8", "3x99999x99999", "0x8x8", "8", "1x-8x8"],
    "arch": ["arch", "x", "ARCH", "nope"], "column": ["x", "arch", "nope", "X"],
    "targets": ["digits/val_accuracy", "*", "nope", "[", "digits/*"],
    "metric": ["kendall", "spearman", "Kendall", "digits/test_accuracy", "nope"],
    "populations": ["all", "alive", "top 5", "top -1", "top 1e9", "nope"],
    "population": ["all", "alive", "nope", "top 50"],
    "predictors": ["bayes_linear", "nope", "space.py:predictor"],
    "predictor": ["bayes_linear", "linear", "nope", "space.py:none"],
    "searcher": ["random", "robot", "local", "nope", "space.py:none", "Random"],
    "objective": ["accuracy", "params", "accuracy,params", "nope", ",", "min:accuracy", "loss"],
    "prefer": ["knee", "accuracy", "nope"],
    "constraint": ["params<=90k", "params<=", "10k<=params<=5k", "params<=90%ref", "<=", "nope<=3",
                   "accuracy>=0%", "params<=nan", "params<=1e999"],
    "max_params": ["300k", "1", "0", "-1k", "300q"], "max_flops": ["5M", "1e999", "5 M"],
    "max_memory": ["64KiB", "64", "KiB", "1e30GiB"], "memory_limit": ["4GiB", "0", "-1", "1"],
    "reference": [CELL, "nope", "0.1.2.3.4.0"], "attacks": ["fgsm", "nope", "", "pgd,fgsm", ","],
    "device": ["cpu", "CPU", "cuda", "meta", "nope", "cpu:9"], "lr": ["0.1", "0", "-1", "nan"],
    "bounds": ["0,1", "1,0", "0", "nan,1", "0,inf", ","], "sort": ["params", "nope", "PARAMS"],
    "sizes": ["10", "10,20", "0", "-5", ",", "x"], "seeds": ["1", "0,1", "-1", "x"],
    "split": ["random", "nope"], "order": ["mixed", "nope"], "file": ["m.csv", "nope"],
    "format_name": ["csv", "nb201", "CSV", "nope", "hw-nas"], "kind": ["spaces", "nope", "Spaces"],
    "shell": ["bash", "zsh", "BASH"], "name": ["digits-nb201", "nope", "Digits-NB201", "../x"],
    "pairs": ["bayes_linear:graf", "nope", ":", "bayes_linear:nope"],
    "timeout": ["30", "0.001", "0", "-1", "nan"], "level": ["0.9", "0", "1", "-1", "nan"],
    "image_size": ["4", "8", "99999999999"], "archs": [CELL, "nope", "m.csv"],
}  # fmt: skip
SEARCH = [
    "search", "--data", "synthetic:1x4x4x2", "--pool", "4", "--trials", "1", "--epochs", "1",
    "--final-epochs", "1", "--preset", "2x1", "--no-onnx", "--attacks", "", "--quiet",
    "--proxies", "params",
]  # fmt: skip
LINES: dict[str, list[str]] = {
    "search": [*SEARCH, "--out", "NEW"],
    "score": ["score", CELL, "--data", "synthetic:1x4x4x2", "--preset", "2x1",
              "--proxies", "params,nwot", "--batch-size", "8", "--quiet"],
    "cost": ["cost", CELL], "encode": ["encode", CELL, "--quiet"],
    "predict": ["predict", "m.csv", "--value", "x", "--predictor", "bayes_linear",
                "--sample", "5", "--quiet"],
    "evaluate proxies": ["evaluate", "proxies", "digits-nb201", "--n", "20", "--bootstrap", "0",
                         "--proxy", "nwot", "--quiet"],
    "evaluate predictors": ["evaluate", "predictors", "digits-nb201", "--predictor",
                            "bayes_linear", "--encoding", "graf", "--sizes", "10", "--seeds", "1",
                            "--n", "60", "--test", "20", "--no-baselines", "--quiet"],
    "benchmark info": ["benchmark", "info", "digits-nb201"],
    "benchmark list": ["benchmark", "list"],
    "benchmark query": ["benchmark", "query", "digits-nb201", "digits/test_accuracy", TRAINED],
    "benchmark import": ["benchmark", "import", "csv", "m.csv", "--out", "t.foretell"],
    "list": ["list", "spaces"], "completion": ["completion", "bash"],
    "classify": ["classify", "run/best", "images/a/0.png"], "report": ["report", "run"],
    "resume": ["resume", "run", "--quiet"], "worker": ["worker", "run"],
}  # fmt: skip
SHARES = {"search": 1, "evaluate predictors": 1, "resume": 1, "worker": 1}
"""Of 4; the other commands take less time."""


def make(folder: Path) -> None:
    """Files that command lines name, and a finished run."""
    from PIL import Image

    from foretell.cli._app import run
    from foretell.spaces import get_space

    rng = np.random.default_rng(0)
    space = get_space("nb201")
    texts = [space.format(space.sample(rng)) for _ in range(20)]
    rows = "\n".join(f"{t},{i / 20}" for i, t in enumerate(texts))
    (folder / "m.csv").write_text(f"arch,x\n{rows}\n")
    (folder / "m.json").write_text(str(texts).replace("'", '"'))
    (folder / "binary").write_bytes(rng.bytes(2000))
    np.savez(folder / "d.npz", x=rng.integers(0, 256, (24, 6, 6)).astype("u1"), y=np.arange(24) % 2)
    os.mkfifo(folder / "fifo")
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to("loop")
    for name in ("a", "b"):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(8):
            pixels = rng.integers(0, 256, (4, 4)).astype("u1")
            Image.fromarray(pixels).save(folder / "images" / name / f"{i}.png")
    (folder / "space.py").write_text(
        "from foretell.spaces import get_space\nspace = get_space('size')\none = 1\nnone = None\n"
        "def proxy(x):\n    return 1.0\ndef predictor():\n    return 1\n"
    )
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        code = run([*SEARCH, "--out", "run"])
    assert code == 0


def commands() -> dict[str, click.Command]:
    """Every command by its words."""
    from foretell.cli._app import app

    table: dict[str, click.Command] = {}

    def walk(command: click.Command, words: tuple[str, ...]) -> None:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                walk(inner, (*words, name))
        else:
            table[" ".join(words)] = command

    walk(app, ())
    return table


def value_of(parameter: click.Parameter, rng: np.random.Generator) -> str:
    """A valid value or a hostile one."""
    name, kind = str(parameter.name), parameter.type.name
    good = GOOD.get(name, [])
    if name == "workers":  # a process costs seconds
        return ["0", "-1", "abc", "", "1e3", "nan"][int(rng.integers(6))]
    if kind == "path":
        good = [*good, *PATHS]
    elif kind in ("integer", "float"):
        good = [*good, *NUMBERS, *([] if name in HEAVY else HUGE)]
    elif isinstance(parameter.type, click.Choice):
        good = [*map(str, parameter.type.choices), *good]
    odd = [*PATHS, *([] if name in HEAVY else [*WORDS, *HUGE])]
    options = good if good and rng.random() < 0.75 else odd
    return options[int(rng.integers(len(options)))]


def line_of(name: str, command: click.Command, rng: np.random.Generator, number: int) -> list[str]:
    """A working line with some options added and, seldom, an argument exchanged."""
    words = [f"new{number}" if w == "NEW" else w for w in LINES[name]]
    options = [
        p for p in command.params
        if isinstance(p, click.Option) and str(p.name) not in LEFT_OUT
    ]  # fmt: skip
    for _ in range(int(rng.integers(1, 4))):
        option = options[int(rng.integers(len(options)))] if options else None
        if option is None or rng.random() < 0.12:
            at = len(name.split())
            arguments = [p for p in command.params if isinstance(p, click.Argument)]
            if arguments and len(words) > at:
                words[at] = value_of(arguments[0], rng)
            continue
        flag = option.opts[int(rng.integers(len(option.opts)))]
        for _ in range(2 if rng.random() < 0.1 else 1):
            words += [flag] if option.is_flag else [flag, value_of(option, rng)]
    return words


def run_lines(
    count: int, seed: int, folder: Path, say: Callable[[str], None] = print
) -> tuple[dict[str, Counter[str]], list[str]]:
    """Try so many lines; line i of a seed is always the same, but for what earlier ones wrote.

    Returns:
        For each command how many lines were run, reached its code and ended well; the faults.
    """
    from foretell.cli._app import run

    table = {name: c for name, c in commands().items() if name in LINES}
    reached: list[bool] = []
    for command in table.values():
        command.callback = _noting(command.callback, reached)
    names = [name for name in table for _ in range(SHARES.get(name, 4))]
    counts: dict[str, Counter[str]] = {name: Counter() for name in table}
    faults = []
    with contextlib.chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(count):
            rng = np.random.default_rng([seed, number])
            name = names[int(rng.integers(len(names)))]
            words = line_of(name, table[name], rng, number)
            fault = _run_one(run, words, reached, counts[name])
            if fault:
                faults.append(f"{seed} {number} {words}: {fault}")
                say(faults[-1])
    return counts, faults


def _noting(callback: Callable[..., object] | None, reached: list[bool]) -> Callable[..., object]:
    assert callback is not None

    def noted(*arguments: object, **options: object) -> object:
        reached.append(True)
        return callback(*arguments, **options)

    return noted


def _spent() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _run_one(
    run: Callable[[list[str]], int], words: list[str], reached: list[bool], counts: Counter[str]
) -> str:
    """Run a line; what is wrong with how it ended, empty if nothing is."""
    reached.clear()
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, _spent()
    out, err = io.StringIO(), io.StringIO()
    fault, code = "", -1
    try:
        with limited(GIVE_UP), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(words)
    except Hang:
        fault = f"did not come back within {GIVE_UP} s"
    except (Exception, SystemExit):
        fault = traceback.format_exc(limit=-4)
    spent = _spent() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    counts["lines"] += 1
    counts["reached"] += bool(reached)
    counts["ended well"] += code == 0
    if not fault and code not in (0, 2):
        fault = f"exit code {code}"
    if not fault and ("Traceback" in err.getvalue() or (code == 2 and not err.getvalue().strip())):
        fault = f"no sentence: {err.getvalue()[-300:]!r}"
    if not fault and spent > LONGEST:
        fault = f"took {spent:.1f} CPU-s"
    if not fault and grown > LARGEST:
        fault = f"took {grown >> 10} MB"
    return fault


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, default=ROOT / "runs" / "fuzz_commands.log")
    args = parser.parse_args()
    args.log.parent.mkdir(parents=True, exist_ok=True)
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
    with tempfile.TemporaryDirectory() as name, args.log.open("w", encoding="utf-8") as log:

        def say(line: str) -> None:
            line = line.replace(name, "").encode("utf-8", "backslashreplace").decode()
            print(line[:1500], flush=True)
            log.write(f"{line}\n")
            log.flush()

        os.environ["FORETELL_BENCHMARKS"] = name
        os.environ["HOME"] = name
        say(f"seed {args.seed}, {args.lines} lines")
        make(Path(name))
        counts, faults = run_lines(args.lines, args.seed, Path(name), say)
        whole: Counter[str] = sum(counts.values(), Counter())
        for command, row in [*counts.items(), ("all", whole)]:
            say(
                f"{command:20} {row['lines']:5} lines, {row['reached']} reached its code, "
                f"{row['ended well']} ended well"
            )
        say(f"{args.lines} lines, {len(faults)} faults")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
