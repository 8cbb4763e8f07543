"""Damaged files of every format: a typed error or a table, never anything else.

A small share here; ``experiments/fuzz_readers.py --structures`` tries a thousand of
each format and every value at every entry.

Where a format carries checksums, the table must be the one before the damage. Where it carries
none, a changed digit cannot be told from data: then the table must at least be a valid one.
"""

import bz2
import copy
import json
import os
import pickle
import resource
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
from import_writers import (
    CELLS,
    CELLS101,
    HASHES,
    hw_nas_content,
    nb101_record,
    nb201_content,
    record,
    suite_zero_content,
    transnas_content,
    trial,
    write_folder,
    write_robustness,
    write_tfrecord,
)

from foretell.benchmarks.importers import importers, read_benchmark
from foretell.errors import ForetellError

MUTATIONS = int(os.environ.get("FORETELL_FUZZ", "20"))
LONGEST = 5.0
MOST_MEMORY = 400_000  # KiB


def flip(data, rng):
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))


def replace_byte(data, rng):
    data[rng.integers(len(data))] = int(rng.integers(256))


def cut(data, rng):
    del data[rng.integers(len(data)) :]


def insert(data, rng):
    place = int(rng.integers(len(data) + 1))
    data[place:place] = rng.bytes(int(rng.integers(1, 9)))


def delete(data, rng):
    place = int(rng.integers(len(data)))
    del data[place : place + int(rng.integers(1, 40))]


def zero(data, rng):
    place = int(rng.integers(len(data)))
    part = data[place : place + int(rng.integers(1, 40))]
    data[place : place + len(part)] = bytes(len(part))


def double(data, rng):
    place = int(rng.integers(len(data)))
    data[place:place] = data[place : place + int(rng.integers(1, 60))]


def digit(data, rng):
    """What text formats cannot notice."""
    places = [i for i, b in enumerate(data) if 48 <= b < 58]
    if places:
        data[places[rng.integers(len(places))]] = int(rng.integers(48, 58))


KINDS = [flip, replace_byte, cut, insert, delete, zero, double, digit]


def damage(content, rng):
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        if data:
            KINDS[rng.integers(len(KINDS))](data, rng)
    return bytes(data)


def same(first, second):
    return (
        list(first.texts) == list(second.texts)
        and first.metrics == second.metrics
        and all(
            np.array_equal(v, second.values[k], equal_nan=True) for k, v in first.values.items()
        )
    )


def check(table):
    assert len(set(table.texts)) == len(table.texts) > 0
    assert table.metrics.keys() == table.values.keys()
    for key, metric in table.metrics.items():
        assert metric.key == key
        assert list(metric.epochs) == sorted(set(metric.epochs))
        assert len(set(metric.seeds)) == len(metric.seeds)
        shape = (len(table.texts), len(metric.seeds), len(metric.epochs))
        assert table.values[key].shape == shape
        assert table.values[key].dtype.kind == "f"
    assert (table.genes is None) == (not table.space)
    assert table.genes is None or len(table.genes) == len(table.texts)


def fuzz(importer, path, files, times, *, sure, seed=0):
    """Damage one file at a time; returns how many gave an error, the same table, another one."""
    rng = np.random.default_rng(seed)
    original = read_benchmark(importer, path)
    check(original)
    contents = {file: file.read_bytes() for file in files}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts = {"error": 0, "same": 0, "other": 0}
    for number in range(times):
        file = files[number % len(files)]
        damaged = damage(contents[file], rng)
        file.write_bytes(damaged)
        start = time.process_time()
        try:
            table = importers[importer](path, lambda done, total: None)
        except ForetellError:
            counts["error"] += 1
        else:
            check(table)
            alike = same(table, replace(original, name=table.name))
            # a TFRecord file cut exactly after a network is a shorter file, and no more
            shorter = importer == "nb101" and contents[file].startswith(damaged)
            assert alike or shorter or not sure, (number, damaged)
            counts["same" if alike else "other"] += 1
        assert time.process_time() - start < LONGEST, (number, damaged)
        file.write_bytes(contents[file])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < MOST_MEMORY
    assert counts["error"] > times * 0.3
    return counts


# --- small files in the official layouts ----------------------------------------------------------


def build(importer, folder):
    """Path to give to the importer, its files, and whether checksums protect them."""
    folder.mkdir()
    path, sure = folder / "file", False
    if importer == "nats-tss":
        path = write_folder(folder / "nats")
        return path, sorted(path.iterdir()), True
    if importer == "nats-sss":
        shutil.copytree(build_sizes(folder), path)
        return path, sorted(path.iterdir()), True
    if importer == "nb101":
        records = [nb101_record(HASHES[i], b, CELLS101[i]) for i in range(3) for b in (4, 108)]
        write_tfrecord(path, records)
        sure = True
    elif importer in ("nb201", "transnas", "nb201-old", "transnas-old"):
        torch = pytest.importorskip("torch")
        content = nb201_content() if importer.startswith("nb201") else transnas_content()
        sure = not importer.endswith("old")
        torch.save(content, path, _use_new_zipfile_serialization=sure)
    elif importer == "suite-zero":
        path = folder / "zc_nasbench201.json"
        path.write_text(json.dumps(suite_zero_content()))
    elif importer == "nb201-robustness":
        path = write_robustness(folder / "robust")
        return path, sorted(path.rglob("*.json")), False
    elif importer == "hw-nas":
        path.write_bytes(pickle.dumps(hw_nas_content()))
    elif importer == "nb-macro":
        record = {"test_acc": [90.5, 91.5], "mean_acc": 91.0, "params": 1000, "flops": 2000}
        path.write_text(json.dumps({"00120012": record, "11111111": record, "22222222": record}))
    elif importer == "csv":
        path.write_text("arch,val_acc,params\n" + "".join(f"n{i},{i}.5,{i}00\n" for i in range(9)))
    elif importer == "parquet":
        duckdb = pytest.importorskip("duckdb")
        duckdb.sql(
            f"COPY (SELECT 'n' || i AS arch, i / 2 AS val_acc, [i, 1.5] AS loss "
            f"FROM range(40) r(i)) TO '{path}' (FORMAT parquet)"
        )
    return path, [path], sure


def build_sizes(folder):
    import import_writers as writers

    cells = writers.CELLS
    try:
        writers.CELLS = ["8:8:8:8:8", "8:8:8:8:16"]
        records = [writers.record(0), writers.record(1)]
        records = [{"90": r["200"], "12": r["12"], "01": r["12"]} for r in records]
        meta = {"meta_archs": writers.CELLS, "arch2infos": None}
        return writers.write_folder(folder / "sizes", records, meta)
    finally:
        writers.CELLS = cells


FORMATS = [n for n in importers.names() if n != "parquet"] + ["nb201-old", "transnas-old"]


@pytest.mark.parametrize("importer", FORMATS)
def test_damaged_files_are_typed_errors_or_tables(tmp_path, importer):
    path, files, sure = build(importer, tmp_path / "f")
    counts = fuzz(importer.removesuffix("-old"), path, files, MUTATIONS, sure=sure)
    assert sum(counts.values()) == MUTATIONS
    print(importer, counts)


def test_damaged_parquet_files_are_typed_errors_or_tables(tmp_path):
    path, files, sure = build("parquet", tmp_path / "f")
    print("parquet", fuzz("parquet", path, files, MUTATIONS, sure=sure))


# --- structures: anything in the place of anything ------------------------------------------------


def loop():
    made = []
    made.append(made)
    return made


PLAIN = [None, True, -1, 0, 1.5, float("nan"), 10**300, "", "x", [], [1], [None], {}, {"a": 1}]
STRANGE = [(), (1,), {1}, b"x", 10**5000, loop(), {1: loop()}, np.zeros(2), np.zeros((2, 2)),
           np.array(3.0), np.zeros(0), {("a", 1): 2}]  # fmt: skip


MISSING = object()


def places(content):
    """Every (container, key) in a structure."""
    if isinstance(content, dict):
        for key in list(content):
            yield content, key
            yield from places(content[key])
    elif isinstance(content, list):
        for index in range(len(content)):
            yield content, index
            yield from places(content[index])


def swap(importer, path, content, write, values, share):
    """Put values in every place, and take entries away; returns how many were read.

    ``share`` of all these edits are drawn, and at least 40.
    """
    edits = [(c, k, v) for c, k in places(content) for v in [*values, MISSING]]
    edits = [e for e in edits if e[2] is not MISSING or isinstance(e[0], dict)]
    rng, count = np.random.default_rng(len(edits)), max(40, int(share * len(edits)))
    if count < len(edits):
        edits = [edits[i] for i in rng.choice(len(edits), count, replace=False)]
    reads = 0

    def read():
        nonlocal reads
        reads += 1
        write(content)
        start = time.process_time()
        try:
            table = importers[importer](path, lambda done, total: None)
        except ForetellError:
            pass
        else:
            check(table)
        assert time.process_time() - start < LONGEST

    for container, key, value in edits:
        if value is MISSING:
            before = list(container.items())
            del container[key]
            read()
            container.clear()
            container.update(before)
        else:
            before = container[key]
            container[key] = value
            read()
            container[key] = before
    return reads


def write_pickle(path):
    return lambda content: path.write_bytes(pickle.dumps(content))


def write_json(path):
    return lambda content: path.write_text(json.dumps(content))


def write_bz2(path):
    return lambda content: path.write_bytes(bz2.compress(pickle.dumps(content), 1))


def write_torch(path):
    head = b"".join(pickle.dumps(v) for v in (0x1950A86A20F9469CFC6C, 1001, {}))
    return lambda content: path.write_bytes(head + pickle.dumps(content) + pickle.dumps([]))


def test_anything_in_the_place_of_anything(tmp_path):
    folder = write_folder(tmp_path / "nats")
    robust = write_robustness(tmp_path / "robust")
    attack = robust / "cifar10" / "fgsm@Linf_accuracy.json"
    zero, file = tmp_path / "zc_nasbench201.json", tmp_path / "file"
    everything = PLAIN + STRANGE
    macro = {"00": {"test_acc": [90.5, 91.5], "mean_acc": 91.0, "params": 1, "flops": 2}}
    meta, values = (json.loads(f.read_text()) for f in (robust / "meta.json", attack))
    record_file, meta_file = folder / "000001.pickle.pbz2", folder / "meta.pickle.pbz2"
    names = {"meta_archs": CELLS, "arch2infos": None}
    once = record(1, {("cifar10", 777): trial("cifar10", 777, epochs=1)})["200"]
    jobs = [
        ("nats-tss", folder, {"200": once}, write_bz2(record_file), everything),
        ("nats-tss", folder, names, write_bz2(meta_file), everything),
        ("nb201", file, nb201_content(1), write_torch(file), everything),
        ("transnas", file, transnas_content(), write_torch(file), everything),
        ("hw-nas", file, hw_nas_content(), write_pickle(file), everything),
        ("suite-zero", zero, suite_zero_content(), write_json(zero), PLAIN),
        ("nb-macro", file, macro, write_json(file), PLAIN),
        ("nb201-robustness", robust, values, write_json(attack), PLAIN),
        ("nb201-robustness", robust, meta, write_json(robust / "meta.json"), PLAIN),
    ]
    for importer, path, content, write, choices in jobs:
        kept = copy.deepcopy(content)
        assert swap(importer, path, content, write, choices, MUTATIONS / 1000) > 30, importer
        write(kept)
        check(read_benchmark(importer, path))


# --- the real samples -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("importer", "names", "times", "sure"),
    [
        (
            "nats-tss",
            ["nats-bench/tss-meta.pickle.pbz2", "nats-bench/tss-000011.pickle.pbz2"],
            60,
            True,
        ),
        (
            "nats-sss",
            ["nats-bench/sss-meta.pickle.pbz2", "nats-bench/sss-000011.pickle.pbz2"],
            60,
            True,
        ),
        ("nb101", ["ec-nas/energy_4V9E.tfrecord"], 40, True),
        ("nb-macro", ["nas-bench-macro_cifar10.json"], 30, False),
        ("csv", ["timm/results-imagenet.csv"], 60, False),
        ("parquet", ["nb201_curves_200.parquet"], 60, False),
    ],
)
def test_damaged_samples_are_typed_errors_or_tables(
    tmp_path, validation_data, importer, names, times, sure
):
    if importer == "parquet":
        pytest.importorskip("duckdb")
    files = []
    for name in names:
        files.append(tmp_path / name.split("/")[-1])
        shutil.copyfile(validation_data / name, files[-1])
    path = tmp_path if len(files) > 1 else files[0]
    times = max(5, times * min(MUTATIONS, 200) // 200)
    print(importer, fuzz(importer, path, files, times, sure=sure, seed=1))
