"""Tens of thousands of damaged inputs for everything that reads: a table or a typed error, soon.

    python experiments/fuzz_readers.py --scale 1 --log runs/fuzz_readers.log

Inputs are made from small good ones by random damages, and from scratch; all follow from the seed,
so that the same call repeats them. The log names the inputs of each kind, how many were read and
refused, the slowest and the largest of them, and every fault: an exception that is none of
foretell's, more than five CPU seconds, or more than 1 GB. ``--structures`` tries every value at
every entry of the importers' files too, which takes some minutes more.
"""

import argparse
import contextlib
import io
import json
import os
import pickle
import resource
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from foretell.errors import ForetellError

ROOT = Path(__file__).resolve().parents[1]
LONGEST, LARGEST = 5.0, 1 << 20
"""CPU seconds and KiB from which an input is a fault."""
GIVE_UP = 60
"""Seconds after which an input is stopped."""

Try = Callable[[np.random.Generator], None]
"""Makes one input, and lets it be read."""


@dataclass
class Counts:
    """What became of the inputs of one kind."""

    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    growth: int = 0
    faults: list[str] = field(default_factory=list)


class Hang(BaseException):
    """An input took too long; no reader catches this."""


# --- damages --------------------------------------------------------------------------------------


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """One to four small damages of bytes."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(data) + 1))
        kind = int(rng.integers(9))
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << int(rng.integers(8))
        elif kind == 1 and data:
            data[at % len(data)] = int(rng.integers(256))
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            data[at:at] = rng.bytes(int(rng.integers(1, 9)))
        elif kind == 4:
            del data[at : at + int(rng.integers(1, 40))]
        elif kind == 5:
            data[at : at + 4] = bytes(len(data[at : at + 4]))
        elif kind == 6:
            data[at : at + 4] = b"\xff" * len(data[at : at + 4])
        elif kind == 7:
            data[at:at] = data[at : at + int(rng.integers(1, 60))]
        else:
            digits = [i for i, b in enumerate(data) if 48 <= b < 58]
            if digits:
                data[digits[int(rng.integers(len(digits)))]] = int(rng.integers(48, 58))
    return bytes(data)


WORDS = [
    "",
    " ",
    "nan",
    "inf",
    "-1",
    "0",
    "1e999",
    "1_0",
    "None",
    "true",
    "\ufeff",
    "\0",
    "\ud800",
    "é",
    "0" * 400,
    "9" * 5000,
    "[" * 3000,
    "{" * 300,
    "(" * 3000,
    '"',
    "'",
    ",",
    "\n",
    "|",
    "~nouser",
    "../x",
    "a:b",
    "a.py:b",
    "%s%n",
    "{}",
    "[]",
    "null",
    "1" * 30,
    "-0",
    "0x1f",
    "\u202e",
    "=1+1",
]


def word(rng: np.random.Generator) -> str:
    return WORDS[int(rng.integers(len(WORDS)))]


def text(content: str, rng: np.random.Generator) -> str:
    """A damaged text, or words that mean something somewhere."""
    if rng.random() < 0.3:
        parts = [
            word(rng) if rng.random() < 0.6 else content for _ in range(int(rng.integers(1, 4)))
        ]
        return "".join(parts)
    if rng.random() < 0.3:
        at = int(rng.integers(len(content) + 1))
        return content[:at] + word(rng) + content[at + int(rng.integers(4)) :]
    return damage(content.encode(), rng).decode("utf-8", "replace")


def value(rng: np.random.Generator, depth: int = 0) -> Any:
    """Any JSON value."""
    kind = int(rng.integers(9 if depth < 3 else 7))
    plain = [None, True, -1, 10**30, 1.5, float("nan"), float("inf"), "x", "", [], {}]
    if kind < 6:
        return plain[int(rng.integers(len(plain)))]
    if kind == 6:
        return word(rng)
    if kind == 7:
        return [value(rng, depth + 1) for _ in range(int(rng.integers(4)))]
    return {word(rng): value(rng, depth + 1) for _ in range(int(rng.integers(4)))}


def altered(content: Any, rng: np.random.Generator) -> Any:
    """A JSON value with one entry changed, removed or added."""
    content = json.loads(json.dumps(content))
    places: list[tuple[Any, Any]] = []

    def walk(item: Any) -> None:
        keys = list(item) if isinstance(item, dict) else range(len(item))
        for key in keys:
            places.append((item, key))
            if isinstance(item[key], dict | list):
                walk(item[key])

    if isinstance(content, dict | list):
        walk(content)
    if not places:
        return value(rng)
    holder, key = places[int(rng.integers(len(places)))]
    if rng.random() < 0.2:
        del holder[key]
    else:
        holder[key] = value(rng)
    return content


def json_bytes(content: Any, rng: np.random.Generator) -> bytes:
    """A JSON text with a changed entry, or damaged bytes, or a deep one."""
    if rng.random() < 0.05:
        return b"[" * int(rng.integers(10, 100_000))
    if rng.random() < 0.5:
        return json.dumps(altered(content, rng)).encode("utf-8", "surrogatepass")
    return damage(json.dumps(content).encode(), rng)


# --- kinds of inputs ------------------------------------------------------------------------------


def archs(folder: Path) -> Try:
    """Texts of architectures, in every space."""
    from foretell.arch import Arch
    from foretell.spaces import get_space, spaces

    homes = [get_space(name) for name in spaces.names()]
    examples = [home.example() for home in homes]

    def one(rng: np.random.Generator) -> None:
        i = int(rng.integers(len(homes)))
        drawn = homes[i].sample(rng)
        first = [examples[i], str(drawn), drawn.to_json(), homes[i].format(drawn)]
        said = text(first[int(rng.integers(4))], rng)
        if rng.random() < 0.2:
            Arch.from_json(said)
        homes[i].parse(said)

    return one


def tables(folder: Path) -> Try:
    """CSV, JSON lines and lists of architectures."""
    from foretell.benchmarks.importers import read_benchmark
    from foretell.spaces import get_space
    from foretell.tables import read_archs, read_values

    space = get_space("nb201")
    rng = np.random.default_rng(0)
    texts = [space.format(space.sample(rng)) for _ in range(8)]
    rows = [
        {"arch": t, "val_acc": 80.5 + i, "seed": i % 2, "note": "x"} for i, t in enumerate(texts)
    ]
    sheet = "\n".join(["arch,val_acc,seed,note", *(",".join(map(str, r.values())) for r in rows)])
    lines = "\n".join(map(json.dumps, rows))
    ways: tuple[tuple[str, str], ...] = (
        (".csv", sheet),
        (".jsonl", lines),
        (".txt", "\n".join(texts)),
    )
    columns = [None, "val_acc", "note", "nope"]
    merges: list[Any] = ["mean", "first", "refuse"]

    def one(rng: np.random.Generator) -> None:
        ending, content = ways[int(rng.integers(3))]
        path = folder / f"t{ending}"
        raw = damage(content.encode(), rng)
        if rng.random() < 0.4:
            raw = text(content, rng).encode("utf-8", "surrogatepass")
        if rng.random() < 0.1:
            raw = b"\xef\xbb\xbf" + raw
        path.write_bytes(raw)
        how, skip = merges[int(rng.integers(3))], bool(rng.random() < 0.5)
        if rng.random() < 0.3:
            read_archs(path, space, skip_unknown=skip)
        elif ending == ".csv" and rng.random() < 0.5:
            home = "nb201" if skip or rng.random() < 0.3 else None
            read_benchmark("csv", path, duplicates=how, skip_unknown=skip, space=home)
        else:
            column = columns[int(rng.integers(4))]
            read_values(path, space, column, duplicates=how, skip_unknown=skip)

    return one


def importers(folder: Path) -> Try:
    """Official files of benchmarks, one byte or more wrong; the writers are those of the tests."""
    sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
    import import_writers as writers
    import test_import_fuzz as fuzz

    from foretell.benchmarks.importers import read_benchmark

    made = {name: fuzz.build(name, folder / name)[:2] for name in fuzz.FORMATS}
    contents = {file: file.read_bytes() for _, files in made.values() for file in files}
    content: dict[str, tuple[Any, str]] = {
        "suite-zero": (writers.suite_zero_content(), "zc_nasbench201.json"),
        "hw-nas": (writers.hw_nas_content(), "HW-NAS-Bench-v1_0.pickle"),
    }

    def one(rng: np.random.Generator) -> None:
        if rng.random() < 0.1:
            whole, name = content["suite-zero"]
            path = folder / name
            path.write_bytes(json_bytes(whole, rng))
            read_benchmark("suite-zero", path)
            return
        name = fuzz.FORMATS[int(rng.integers(len(fuzz.FORMATS)))]
        path, files = made[name]
        file = files[int(rng.integers(len(files)))]
        file.write_bytes(damage(contents[file], rng))
        try:
            read_benchmark(name.removesuffix("-old"), path)
        finally:
            file.write_bytes(contents[file])

    return one


def pickles(folder: Path) -> Try:
    """Pickles: damaged ones, and instructions in any order."""
    from foretell.unpickle import load_plain

    shared = [1.5] * 20
    seeds: list[Any] = [
        {b"data": np.arange(60, dtype=np.uint8).reshape(3, 20), b"labels": [1, 2, 3]},
        {("a", 1): [shared] * 9, 3: {"x": shared, "y": {1, 2}}, "z": (1, (2, None))},
        [np.float64(3), np.zeros(0), b"x" * 40, 10**40, -1, True],
    ]
    whole = [pickle.dumps(s, p) for s in seeds for p in (0, 2, 4)]
    ops = [
        b"]",
        b"}",
        b"(",
        b")",
        b"e",
        b"u",
        b"s",
        b"a",
        b"t",
        b"\x85",
        b"\x94",
        b"h\x00",
        b"h\x01",
        b"q\x00",
        b"K\x01",
        b"N",
        b"\x88",
        b"X\x01\x00\x00\x00a",
        b"\x8f",
        b"\x90",
        b"\x8a\x09" + b"\xff" * 9,
        b"l",
        b"d",
        b"R",
        b"b",
        b"0",
        b"1",
        b"2",
        b"cnumpy\ndtype\n",
    ]

    def one(rng: np.random.Generator) -> None:
        if rng.random() < 0.4:
            count = int(rng.integers(1, 300))
            raw = b"".join(ops[int(i)] for i in rng.integers(len(ops), size=count)) + b"."
        else:
            raw = damage(whole[int(rng.integers(len(whole)))], rng)
        load_plain(io.BytesIO(raw), "x")

    return one


def arrays(folder: Path) -> Try:
    """NumPy files."""
    from foretell.data import load_task

    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (24, 6, 6)).astype(np.uint8)
    contents = []
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, x=x, y=np.arange(24) % 3, classes=np.array(["a", "b", "c"]))
        contents.append(buffer.getvalue())
    kinds = [
        np.uint8,
        np.float32,
        np.float64,
        np.int32,
        np.uint16,
        bool,
        "U3",
        "S2",
        object,
        complex,
    ]

    def one(rng: np.random.Generator) -> None:
        path = folder / "d.npz"
        if rng.random() < 0.7:
            path.write_bytes(damage(contents[int(rng.integers(2))], rng))
        else:
            shape = tuple(int(n) for n in rng.integers(0, 7, int(rng.integers(0, 5))))
            made = rng.normal(size=shape) * float(10 ** rng.integers(0, 4))
            with np.errstate(all="ignore"):
                made = np.asarray(made).astype(kinds[int(rng.integers(len(kinds)))])
            labels = rng.integers(-1, 4, int(rng.integers(0, 9)))
            np.savez(
                path,
                **{
                    "x": made,
                    word(rng).encode("ascii", "replace").decode().replace("\0", "0") or "y": labels,
                    "y": labels,
                },
            )
        load_task(f"npz:{path}")

    return one


def pictures(folder: Path) -> Try:
    """Folders of images."""
    from PIL import Image

    from foretell.data import load_task
    from foretell.data.folder import read_image

    rng = np.random.default_rng(0)
    root = folder / "images"
    contents: list[tuple[str, bytes]] = []
    exif = Image.Exif()
    exif[0x0112] = 6
    modes = [
        ("RGB", "png"),
        ("L", "png"),
        ("RGBA", "png"),
        ("P", "gif"),
        ("RGB", "jpg"),
        ("L", "bmp"),
        ("I;16", "png"),
        ("F", "tiff"),
        ("RGB", "webp"),
        ("1", "png"),
        ("LA", "png"),
        ("CMYK", "tiff"),
        ("RGB", "ppm"),
    ]
    for mode, ending in modes:
        pixels = rng.integers(0, 256, (9, 7, 4)).astype(np.uint8)
        if mode == "I;16":
            image = Image.fromarray(rng.integers(0, 4000, (9, 7)).astype(np.uint16))
        elif mode == "F":
            image = Image.fromarray(rng.random((9, 7)).astype(np.float32))
        else:
            image = Image.fromarray(pixels, "RGBA").convert("RGB").convert(mode)
        buffer = io.BytesIO()
        options = {"exif": exif} if ending in ("jpg", "png", "webp") else {}
        image.save(buffer, {"jpg": "jpeg"}.get(ending, ending), **options)
        contents.append((ending, buffer.getvalue()))
    for k in "ab":
        (root / k).mkdir(parents=True)
        for i in range(4):
            pixels = rng.integers(0, 256, (9, 7)).astype(np.uint8)
            Image.fromarray(pixels).save(root / k / f"{i}.png")

    def one(rng: np.random.Generator) -> None:
        ending, content = contents[int(rng.integers(len(contents)))]
        file = root / "a" / f"odd.{ending}"
        file.write_bytes(damage(content, rng))
        try:
            if rng.random() < 0.4:
                read_image(file, (3, 8, 8))
            else:
                load_task(f"folder:{root}", skip_broken=bool(rng.random() < 0.3))
        finally:
            file.unlink()

    return one


def cifar(folder: Path) -> Try:
    """CIFAR folders and archives."""
    from foretell.data import load_task

    rng = np.random.default_rng(0)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    data = rng.integers(0, 256, (10, 3072)).astype(np.uint8)
    batch = {b"data": data, b"labels": [i % 10 for i in range(10)]}
    files = {name: pickle.dumps(batch, 2) for name in names}
    files["batches.meta"] = pickle.dumps({b"label_names": [b"c%d" % i for i in range(10)]}, 2)
    root = folder / "cifar"
    root.mkdir()
    for name, content in files.items():
        (root / name).write_bytes(content)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    packed = buffer.getvalue()
    odd: list[Any] = [
        [],
        [1.5] * 10,
        "x" * 10,
        None,
        {},
        [[1]] * 10,
        np.arange(10),
        [True] * 10,
        [10**30] * 10,
        data[:3],
        data.astype(float),
        data.reshape(-1),
    ]

    def one(rng: np.random.Generator) -> None:
        draw = rng.random()
        if draw < 0.3:
            path = folder / "c.tar.gz"
            path.write_bytes(damage(packed, rng))
            load_task(f"cifar10:{path}")
            return
        name = list(files)[int(rng.integers(len(files)))]
        if draw < 0.6:
            made: dict[bytes, Any] = {
                **batch,
                **({b"label_names": []} if name == "batches.meta" else {}),
            }
            made[list(made)[int(rng.integers(len(made)))]] = odd[int(rng.integers(len(odd)))]
            content = pickle.dumps(made, 2)
        else:
            content = damage(files[name], rng)
        (root / name).write_bytes(content)
        try:
            load_task(f"cifar10:{root}")
        finally:
            (root / name).write_bytes(files[name])

    return one


def networks(folder: Path) -> Try:
    """ONNX files."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from foretell.tracing.onnx import read_onnx

    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n)
        for n, s in (("w", (4, 1, 3, 3)), ("v", (64, 3)))
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Shape", ["r"], ["s"]),
        helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.array([0]))),
        helper.make_node("Gather", ["s", "k"], ["g"], axis=0),
        helper.make_node("Constant", [], ["m"], value=numpy_helper.from_array(np.array([64]))),
        helper.make_node("Concat", ["g", "m"], ["d"], axis=0),
        helper.make_node("Reshape", ["r", "d"], ["f"]),
        helper.make_node("Gemm", ["f", "v"], ["o"]),
    ]
    first = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 4, 4])
    last = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [first], [last], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    whole = model.SerializeToString()
    words = [
        "Concat",
        "Gather",
        "Expand",
        "Tile",
        "Reshape",
        "Unsqueeze",
        "ConstantOfShape",
        "Range",
        "Add",
        "Mul",
        "Where",
        "Slice",
        "Split",
        "Einsum",
        "MatMul",
        "Transpose",
        "Cast",
        "Shape",
        "Size",
        "OneHot",
        "Pad",
        "Resize",
        "Loop",
        "NoSuch",
    ]

    def one(rng: np.random.Generator) -> None:
        path = folder / "net.onnx"
        if rng.random() < 0.5:
            path.write_bytes(damage(whole, rng))
        else:  # chains of nodes that may double what they are given
            made = onnx.ModelProto.FromString(whole)
            names = ["x", "w", "s", "k", "m", "d", "g", "f"]
            last_name = "o"
            for i in range(int(rng.integers(1, 40))):
                op = words[int(rng.integers(len(words)))]
                picked = names[int(rng.integers(len(names)))]
                count = int(rng.integers(1, 4))
                inputs = [
                    picked if rng.random() < 0.7 else names[int(rng.integers(len(names)))]
                    for _ in range(count)
                ]
                options = {"axis": 0} if op in ("Concat", "Gather", "Split", "OneHot") else {}
                made.graph.node.append(helper.make_node(op, inputs, [f"z{i}"], **options))
                names.append(f"z{i}")
            made.graph.output[0].name = names[-1] if rng.random() < 0.7 else last_name
            path.write_bytes(made.SerializeToString())
        read_onnx(path)

    return one


def exported(folder: Path) -> Try:
    """The arch.json of an exported network."""
    from foretell.export.describe import read_info

    whole = {
        "space": "nb201",
        "genes": [3, 1, 0, 2, 4, 1],
        "seed": 0,
        "network": None,
        "skeleton": {"input_shape": [1, 8, 8], "classes": 3, "channels": 4, "cells": 1},
        "task": {"mean": [0.5], "std": [0.25], "class_names": ["a", "b", "c"]},
    }

    def one(rng: np.random.Generator) -> None:
        (folder / "arch.json").write_bytes(json_bytes(whole, rng))
        read_info(folder)

    return one


def stores(folder: Path) -> Try:
    """Rows of study.db, and its bytes."""
    from foretell.api import optimize
    from foretell.spaces import CustomSpace
    from foretell.store import Store
    from foretell.studies.optimize.read import read

    space = CustomSpace({"a": tuple(range(6)), "b": tuple(range(6))}, name="fuzz_own")
    run = folder / "run"
    optimize(lambda arch: float(sum(arch.genes)), space, out=run, trials=5, searcher="random")
    file = run / "study.db"
    with contextlib.closing(sqlite3.connect(file)) as base:
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        base.execute("PRAGMA journal_mode=DELETE")
        fields = [
            (table, column[1])
            for (table,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for column in base.execute(f"PRAGMA table_info({table})")
        ]
    whole = file.read_bytes()

    def one(rng: np.random.Generator) -> None:
        for rest in ("study.db-wal", "study.db-shm", "study.db-journal"):
            (run / rest).unlink(missing_ok=True)
        if rng.random() < 0.15:
            file.write_bytes(damage(whole, rng))
        else:
            file.write_bytes(whole)
            with contextlib.closing(sqlite3.connect(file)) as base:
                table, column = fields[int(rng.integers(len(fields)))]
                rows = base.execute(f"SELECT {column} FROM {table}").fetchall()
                if not rows:
                    return
                (old,) = rows[int(rng.integers(len(rows)))]
                new: Any = word(rng) if rng.random() < 0.3 else None
                if isinstance(old, str) and rng.random() < 0.7:
                    new = text(old, rng)
                    with contextlib.suppress(ValueError):
                        new = json.dumps(altered(json.loads(old), rng))
                elif isinstance(old, bytes):
                    new = damage(old, rng)
                if isinstance(new, str):
                    new = new.encode("utf-8", "replace").decode()
                with contextlib.suppress(sqlite3.Error):
                    base.execute(f"UPDATE {table} SET {column} = ? WHERE {column} IS ?", (new, old))
                    base.commit()
        if rng.random() < 0.5:
            read(run)
            return
        with Store(file) as store:
            for study in store.studies():
                store.trials(study.name)
                store.values(study.name)
                store.counts(study.name)
                for kind in store.score_kinds(study.name):
                    store.scores(study.name, kind)

    return one


def commands(folder: Path) -> Try:
    """Command lines; those that would train are left out."""
    from foretell.cli._app import run
    from foretell.spaces import get_space

    space = get_space("nb201")
    rng = np.random.default_rng(0)
    texts = [space.format(space.sample(rng)) for _ in range(3)]
    (folder / "m.csv").write_text("arch,x\n" + "\n".join(f"{t},{i}" for i, t in enumerate(texts)))
    lines = [
        ["list", "spaces"],
        ["list", "proxies", "--json"],
        ["cost", texts[0]],
        ["cost", "m.csv", "--json"],
        ["cost", texts[1], "--preset", "small"],
        ["encode", texts[0], "--encoding", "onehot"],
        ["predict", "m.csv", "--value", "x"],
        ["predict", "m.csv", "--bounds", "0,1", "--level", "0.5"],
        ["benchmark", "info", "digits-nb201"],
        ["benchmark", "query", "digits-nb201", "digits/test_accuracy", texts[2]],
        ["benchmark", "import", "csv", "m.csv", "--out", "t.foretell"],
        ["completion", "bash"],
        ["report", "nowhere"],
        ["resume", "nowhere"],
        ["score", "m.csv", "--data", "npz:none", "--proxies", "params"],
        ["search", "--trials", "0"],
        ["search", "--max-params", "300q"],
        ["evaluate", "proxies", "nothing"],
    ]
    options = [
        "--json",
        "--quiet",
        "--seed",
        "--out",
        "--arch",
        "--space",
        "--data",
        "--preset",
        "--sample",
        "--classes",
        "--input-shape",
        "--nope",
        "--help",
        "--duplicates",
        "--skip-unknown",
    ]

    def one(rng: np.random.Generator) -> None:
        words = list(lines[int(rng.integers(len(lines)))])
        for _ in range(int(rng.integers(1, 3))):
            at = int(rng.integers(1, len(words) + 1))
            draw = rng.random()
            if draw < 0.35:
                words.insert(at, word(rng))
            elif draw < 0.6:
                words[at:at] = [options[int(rng.integers(len(options)))], word(rng)]
            elif draw < 0.8:
                words[at % len(words)] = text(words[at % len(words)], rng)
            else:
                words.insert(at, options[int(rng.integers(len(options)))])
        # a sample may ask for any number of architectures, and a search without a fault would train
        if words[0] in ("search", "evaluate", "score"):
            words += ["--no-such-option"]
        words = [w for w in words if not w.startswith("9999")]
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = run(words)
        assert code in (0, 2), (code, words)
        assert "Traceback" not in err.getvalue(), words
        if code == 2:
            raise ForetellError(err.getvalue()[:200])

    return one


KINDS: dict[str, tuple[Callable[[Path], Try], int]] = {
    "architectures": (archs, 5000),
    "tables": (tables, 4000),
    "importers": (importers, 2500),
    "pickles": (pickles, 4000),
    "arrays": (arrays, 1500),
    "images": (pictures, 1500),
    "cifar": (cifar, 1000),
    "onnx": (networks, 1500),
    "arch.json": (exported, 1500),
    "study.db": (stores, 1500),
    "commands": (commands, 500),
}
"""Kind -> what makes its inputs, and how many at scale 1."""


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Stop what takes longer."""

    def stop(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run_kind(kind: str, count: int, seed: int, folder: Path) -> Counts:
    """Try so many inputs of a kind; input i of a seed is always the same."""
    make, _ = KINDS[kind]
    one, counts = make(folder), Counts()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(count):
            rng = np.random.default_rng([seed, number])
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            start = time.process_time()
            fault = ""
            try:
                with limited(GIVE_UP):
                    one(rng)
                counts.read += 1
            except ForetellError:
                counts.refused += 1
            except Hang:
                fault = f"did not come back within {GIVE_UP} s"
            except Exception:  # what this script looks for
                fault = traceback.format_exc(limit=-4)
            spent = time.process_time() - start
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
            counts.slowest, counts.growth = max(counts.slowest, spent), max(counts.growth, grown)
            if not fault and spent > LONGEST:
                fault = f"took {spent:.1f} CPU-s"
            if not fault and grown > LARGEST:
                fault = f"took {grown >> 10} MB"
            if fault:
                counts.faults.append(f"{kind} {seed} {number}: {fault}")
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="1 for some 24,000 inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS), help="with commas between")
    parser.add_argument("--structures", action="store_true")
    parser.add_argument("--log", type=Path, default=ROOT / "runs" / "fuzz_readers.log")
    args = parser.parse_args()
    args.log.parent.mkdir(parents=True, exist_ok=True)
    import tempfile

    total, faults = 0, 0
    with args.log.open("w", encoding="utf-8") as log:

        def say(line: str) -> None:
            print(line, flush=True)
            log.write(f"{line}\n")
            log.flush()

        say(f"seed {args.seed}, scale {args.scale:g}")
        for kind in args.kinds.split(","):
            start = time.process_time()
            with tempfile.TemporaryDirectory() as folder:
                counts = run_kind(kind, int(KINDS[kind][1] * args.scale), args.seed, Path(folder))
            number = counts.read + counts.refused + len(counts.faults)
            total, faults = total + number, faults + len(counts.faults)
            say(
                f"{kind:14} {number:6} inputs, {counts.read} read, {counts.refused} refused, "
                f"{len(counts.faults)} faults, slowest {counts.slowest:.2f} s, "
                f"largest {counts.growth >> 10} MB, {time.process_time() - start:.0f} CPU-s"
            )
            for fault in counts.faults[:40]:
                say(fault)
        say(f"{total} inputs, {faults} faults")
        if args.structures:
            words = [sys.executable, "-m", "pytest", "-q", "--durations=0"]
            words.append(str(ROOT / "tests" / "benchmarks" / "test_import_fuzz.py"))
            done = subprocess.run(
                words, stdout=log, stderr=log, env={**os.environ, "FORETELL_FUZZ": "1000"}, cwd=ROOT
            )
            faults += done.returncode
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
