"""NAS-Bench-101's TFRecord family: framing, checksums, messages, and the real sample."""

import struct
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from import_writers import (
    CELL101,
    CELLS101,
    HASHES,
    bitwise_crc32c,
    double,
    frame,
    masked_crc,
    message,
    training,
    varint,
)
from import_writers import nb101_record as record
from import_writers import write_tfrecord as write

from foretell.benchmarks.importers import read_benchmark
from foretell.benchmarks.importers.formats.protobuf import fields
from foretell.benchmarks.importers.formats.tfrecord import (
    _crc32c_of_all,
    crc32c,
    masked,
    read_records,
)
from foretell.benchmarks.table import from_data
from foretell.errors import ArchError, OutOfTableError, TableFormatError
from foretell.spaces import get_space


def quiet(done, total):
    pass


# --- the parts ------------------------------------------------------------------------------------


def test_crc32c_against_the_standard():
    # RFC 3720, appendix B.4
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"") == 0
    assert struct.pack("<I", masked(crc32c(b"abc"))) == masked_crc(b"abc")


@given(st.lists(st.binary(max_size=40), max_size=12))
def test_many_checksums_at_once_are_those_of_each(records):
    assert _crc32c_of_all(records) == [bitwise_crc32c(r) for r in records]


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=9))
def test_records_come_back(tmp_path_factory, records):
    path = write(tmp_path_factory.mktemp("t") / "a.tfrecord", records)
    assert list(read_records(path, quiet)) == records


def test_every_flipped_byte_is_noticed(tmp_path):
    content = b"".join(map(frame, (b"first", b"", b"third")))
    path = tmp_path / "a.tfrecord"
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(TableFormatError, match="checksum"):
            list(read_records(path, quiet))
    ends = {len(frame(b"first")), len(frame(b"first") + frame(b"")), len(content), 0}
    for place in range(len(content)):
        path.write_bytes(content[:place])
        if place in ends:
            list(read_records(path, quiet))
        else:
            with pytest.raises(TableFormatError, match=r"cut off|checksum"):
                list(read_records(path, quiet))


def test_an_absurd_length_is_not_allocated(tmp_path):
    head = struct.pack("<Q", 1 << 40)
    (tmp_path / "a").write_bytes(head + masked_crc(head))
    with pytest.raises(TableFormatError, match="too long"):
        list(read_records(tmp_path / "a", quiet))


CONTENT = st.integers(0, 2**63 - 1) | st.floats(allow_nan=False) | st.binary(max_size=9)


@given(st.lists(st.tuples(st.integers(1, 15), CONTENT), max_size=8))
def test_messages_come_back(content):
    raw = b""
    for number, value in content:
        if isinstance(value, int):
            raw += bytes([number << 3]) + varint(value)
        elif isinstance(value, float):
            raw += bytes([number << 3 | 1]) + struct.pack("<d", value)
        else:
            raw += message(number, value)
    assert list(fields(raw)) == content


@pytest.mark.parametrize(
    "raw",
    [b"\x80", b"\xff" * 11, b"\x09\x00", b"\x0d\x00", b"\x0a\x05a", b"\x0b", b"\x0c", b"\x08"],
)
def test_broken_messages(raw):
    with pytest.raises(ValueError, match=r"cut off|too long|no such kind"):
        list(fields(raw))


def test_a_float_of_four_bytes():
    assert list(fields(b"\x0d" + struct.pack("<f", 0.5))) == [(1, 0.5)]


# --- whole files ----------------------------------------------------------------------------------


def test_the_real_sample_value_for_value(validation_data):
    duckdb = pytest.importorskip("duckdb")
    seen = []
    path = validation_data / "ec-nas" / "energy_4V9E.tfrecord"
    table = read_benchmark("nb101", path, lambda *p: seen.append(p))
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)
    relation = duckdb.sql(
        f"SELECT * FROM '{validation_data}/ecnas_curves.parquet' WHERE file = 'energy_4V9E'"
    )
    names, rows = relation.columns, relation.fetchall()
    assert len(table.texts) == 91
    places = {t: i for i, t in enumerate(table.texts)}
    seen = {key: np.zeros(v.shape, dtype=bool) for key, v in table.values.items()}
    for row in rows:
        found = dict(zip(names, row, strict=True))
        suffix = "" if found["budget"] == 108 else f"_hp{found['budget']}"
        arch = places[found["hash"]]
        for name, value in {
            "train_seconds": found["time_s"],
            "train_accuracy": found["train_acc"],
            "val_accuracy": found["val_acc"],
            "test_accuracy": found["test_acc"],
            "energy": found["energy_kwh"],
            "co2eq": found["co2eq"],
        }.items():
            metric = table.metrics[f"cifar10/{name}{suffix}"]
            place = (
                arch,
                metric.seeds.index(found["repeat"]),
                metric.epochs.index(int(found["epoch"])),
            )
            assert table.values[metric.key][place] == value
            seen[metric.key][place] = True
        assert table.values["cifar10/params"][arch, 0, 0] == found["params"]
        total = table.values[f"cifar10/total_seconds{suffix}"][arch, found["repeat"], 0]
        assert total == found["total_time_s"]
        bits = int(table.values["adjacency"][arch, 0, 0])
        vertices = int(table.values["vertices"][arch, 0, 0])
        assert f"{bits:0{vertices**2}b}" == found["matrix"]
    for key in seen:
        if "accuracy" in key:
            np.testing.assert_array_equal(seen[key], ~np.isnan(table.values[key]))
    some = table.metrics["cifar10/val_accuracy"]
    assert (some.unit, some.scale, some.split, some.kind) == ("fraction", 1.0, "val", "quality")


def test_a_file_in_the_official_layout(tmp_path):
    runs = [(i, b) for i in range(3) for b in (4, 108) for _ in range(3)]
    records = [record(HASHES[i], b, CELLS101[i], base=i / 10) for i, b in runs]
    table = read_benchmark("nb101", write(tmp_path / "nasbench_full.tfrecord", records))
    assert table.texts == HASHES
    assert (table.name, table.space) == ("nb101", "nb101")
    space = get_space("nb101")
    archs = [space.parse(":".join(cell)) for cell in CELLS101]
    assert [tuple(genes) for genes in table.genes] == [a.genes for a in archs]
    metric = table.metrics["cifar10/val_accuracy"]
    assert (metric.seeds, metric.epochs) == ((0, 1, 2), (0, 54, 108))
    assert table.metrics["cifar10/test_accuracy_hp4"].epochs == (0, 2, 4)
    np.testing.assert_allclose(table.values[metric.key][1, 2], [0.1, 0.127, 0.154])
    assert table.values["operations"][:, 0, 0].tolist() == [1, 2 * 3 + 1, 3 + 1]
    assert "cifar10/energy" not in table.metrics


def test_growing_past_the_first_guess(tmp_path):
    space = get_space("nb101")
    cells = [space.format(a).split(":") for a in islice(space.enumerate(), 1100)]
    records = [record(f"{i:032x}", cell=cells[i], base=i / 10_000) for i in range(1100)]
    table = read_benchmark("nb101", write(tmp_path / "a.tfrecord", records))
    assert len(table.texts) == 1100
    np.testing.assert_allclose(
        table.values["cifar10/val_accuracy"][:, 0, 0], np.arange(1100) / 10_000
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no json", "no training"),
        (b"[1, 2]", "no training"),
        (b"[" * 20_000, "no training"),
        (b'{"a": 1}', "no training"),
        (record(name="x"), "no training"),
        (record(budget=107), "no training"),
        (record(budget=True), "no training"),
        (record(cell=("010", CELL101[1])), "no training"),
        (record(cell=("0100000000000002", CELL101[1])), "no training"),
        (record(cell=(CELL101[0], "input,output")), "no training"),
        (record(cell=("0110" * 4, CELL101[1])), "edges that lead back"),
        (record(cell=("0110000100000000", CELL101[1])), "vertices on no path"),
        (record(cell=("0010001100010000", CELL101[1])), "vertices on no path"),
        (record(cell=(CELL101[0], CELL101[1].replace("3x3", "5x5"))), "no training"),
        (record(cell=(CELL101[0], CELL101[1].replace("input", "output"))), "no training"),
        (record(content=b"\xff"), "no training"),
        (record(content=b""), "0 evaluations"),
        (record(content=training(108, 0, points=[b""])), "an evaluation after"),
        (record(content=training(108, 0, points=[double(1, 0.5)])), "an evaluation after"),
        (record(content=training(108, 0, points=[double(1, float("nan"))])), "an evaluation after"),
        (record(content=training(108, 0, points=[double(1, 109.0)])), "an evaluation after"),
        (record(content=training(108, 0, points=[double(1, 2.0)] * 2)), "one twice"),
        (
            record(content=training(108, 0, points=[double(1, 2.0) + double(3, 1.0) * 2])),
            "two values",
        ),
    ],
)
def test_records_that_are_none(tmp_path, content, words):
    with pytest.raises(TableFormatError, match=words):
        read_benchmark("nb101", write(tmp_path / "a.tfrecord", [record(), content]))


def test_two_cells_of_one_name(tmp_path):
    other = ("0111" + CELL101[0][4:], CELL101[1])
    with pytest.raises(TableFormatError, match="two different cells"):
        read_benchmark("nb101", write(tmp_path / "a", [record(), record(cell=other)]))


def test_two_names_of_one_cell(tmp_path):
    turned = (CELLS101[1][0], "input,conv3x3-bn-relu,maxpool3x3,output")
    records = [record(HASHES[i], cell=cell) for i, cell in enumerate((*CELLS101[:2], turned))]
    with pytest.raises(TableFormatError, match=f"{HASHES[1]} and {HASHES[2]} are the same cell"):
        read_benchmark("nb101", write(tmp_path / "a", records))


def test_cells_are_found_by_hash_and_by_text_in_any_order(tmp_path):
    records = [record(HASHES[i], 108, CELLS101[i], base=i / 10) for i in range(3)]
    table = from_data(read_benchmark("nb101", write(tmp_path / "a", records)))
    turned = f"{CELLS101[1][0]}:input,conv3x3-bn-relu,maxpool3x3,output"
    for asked in (HASHES[1], ":".join(CELLS101[1]), turned, get_space("nb101").parse(turned)):
        assert table.rows_of([asked]).tolist() == [1]
        np.testing.assert_allclose(table.query([asked], "cifar10/val_accuracy"), [0.154])
    with pytest.raises(OutOfTableError, match="first: 0100"):
        table.query([f"{CELLS101[2][0]}:input,maxpool3x3,maxpool3x3,output"], "cifar10/params")
    with pytest.raises(ArchError):
        table.query(["f" * 32], "cifar10/val_accuracy")


def test_a_file_that_is_not_whole(tmp_path):
    runs = [(i, b) for i in (0, 1) for b in (4, 108) for _ in range(2)]
    whole = [record(HASHES[i], b, CELLS101[i]) for i, b in runs]
    for left in range(1, 8):
        path = write(tmp_path / "a", whole[:left])
        if left == 4:  # one whole cell: nothing tells that there was another
            assert len(read_benchmark("nb101", path).texts) == 1
        elif left > 4:
            with pytest.raises(TableFormatError, match="so the file is cut off"):
                read_benchmark("nb101", path)


def test_an_empty_file(tmp_path):
    with pytest.raises(TableFormatError, match="no record"):
        read_benchmark("nb101", write(tmp_path / "a", []))


def test_more_runs_than_any_benchmark_has(tmp_path):
    with pytest.raises(TableFormatError, match="more than 64 runs"):
        read_benchmark("nb101", write(tmp_path / "a", [record()] * 65))
