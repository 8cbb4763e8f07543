"""The file of a table: what is written is read back, and no damage goes unseen or crashes."""

import contextlib
import json
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from foretell.benchmarks import Metric, Table, TableData, _file, from_data, write_table
from foretell.benchmarks._file import DTYPES, TableFile
from foretell.errors import MissingDataError, TableFormatError


@pytest.fixture
def path(small_data, tmp_path):
    return write_table(small_data, tmp_path / "small.foretell")


def parsed(content: bytes) -> tuple[dict, bytes]:
    """Header and blocks, read by other means than the library's."""
    line, rest = content.split(b"\n", 1)
    magic, version, size, crc = line.split(b" ")
    assert (magic, version) == (b"foretell-table", b"1")
    header = rest[: int(size)]
    assert zlib.crc32(header) == int(crc, 16)
    start = -(-(len(line) + 1 + int(size)) // 64) * 64
    return json.loads(header), content[start:]


def rebuilt(header: bytes, blocks: bytes) -> bytes:
    """A file with another header, and a check sum that fits it."""
    head = b"foretell-table 1 %010d %08x\n" % (len(header), zlib.crc32(header)) + header
    return head.ljust(-(-len(head) // 64) * 64) + blocks


def content_of(table: Table) -> tuple:
    """Everything that a table answers."""
    return (
        table.name, table.space, dict(table.facts), list(table.texts), dict(table.metrics),
        None if table.genes is None else table.genes.tolist(),
        [table.read(key).tobytes() for key in table.metrics],
    )  # fmt: skip


def opened(content: bytes) -> Table:
    return Table(TableFile(np.frombuffer(content, np.uint8), "mutant"))


def test_the_format_is_as_described(path, small_data):
    header, blocks = parsed(path.read_bytes())
    assert header["rows"] == 30
    assert header["facts"] == {"source": "made up", "licence": "none"}
    text = header["texts"]
    raw = blocks[text["offset"] : text["offset"] + text["shape"][0]]
    assert json.loads(raw) == list(small_data.texts)
    genes = header["genes"]
    assert genes["dtype"] == "uint8"
    flat = struct.unpack_from("<180B", blocks, genes["offset"])
    assert np.reshape(flat, (30, 6)).tolist() == small_data.genes.tolist()
    ends = []
    for column in header["columns"]:
        facts, block = column["metric"], column["block"]
        key = "/".join(p for p in (facts["dataset"], facts["name"]) if p)
        values = small_data.values[key]
        assert block["offset"] % 64 == 0
        assert block["dtype"] == values.dtype.name
        assert block["shape"] == [values.shape[2], values.shape[0], values.shape[1]]
        raw = blocks[block["offset"] : block["offset"] + values.nbytes]
        assert raw == np.moveaxis(values, 2, 0).astype(values.dtype.newbyteorder("<")).tobytes()
        assert zlib.crc32(raw) == block["crc"]
        ends.append(block["offset"] + values.nbytes)
    assert max(ends) == len(blocks)


def test_the_same_table_gives_the_same_bytes(path, small_data, tmp_path):
    again = write_table(small_data, tmp_path / "again.foretell")
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_type_and_memory_order_comes_back(name, order):
    dtype = np.dtype(name)
    values = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(dtype.newbyteorder(">"))
    values = np.asarray(values, order=order)
    metric = Metric("m", seeds=(1, 2, 3), epochs=(1, 2, 3, 4))
    table = from_data(TableData("t", ["a", "b"], {"m": metric}, {"m": values}))
    assert table.read("m").tolist() == values.astype(float).tolist()


@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 5)),
    name=st.sampled_from(DTYPES),
    data=st.data(),
)
def test_any_numbers_come_back(shape, name, data):
    values = data.draw(arrays.arrays(np.dtype(name), shape))
    texts = data.draw(st.lists(st.text(), min_size=shape[0], max_size=shape[0], unique=True))
    metric = Metric("m", seeds=tuple(range(shape[1])), epochs=tuple(range(shape[2])))
    table = from_data(TableData("t", texts, {"m": metric}, {"m": values}))
    expected = values.astype(np.float64)
    if name.startswith("u"):
        expected[values == np.iinfo(values.dtype).max] = np.nan
    np.testing.assert_array_equal(table.read("m"), expected)
    assert list(table.texts) == texts


def test_a_file_cut_anywhere_or_with_a_tail_is_refused(path):
    content = path.read_bytes()
    for size in [0, 1, 30, 63, 64, *np.linspace(65, len(content) - 1, 150, dtype=int).tolist()]:
        path.write_bytes(content[:size])
        with pytest.raises(TableFormatError, match=r"small\.foretell"):
            Table.open(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(TableFormatError, match="should have"):
        Table.open(path)


def test_a_thousand_mutations_are_refused_or_change_nothing(path):
    content = path.read_bytes()
    sound = content_of(opened(content))
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(1000):
        mutant = bytearray(content)
        kind = rng.integers(4)
        if kind == 0:  # bits
            for at in rng.integers(len(mutant), size=rng.integers(1, 4)):
                mutant[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:  # bytes of the head
            mutant[int(rng.integers(4000))] = int(rng.integers(256))
        elif kind == 2:  # a stretch
            at, size = int(rng.integers(len(mutant))), int(rng.integers(1, 200))
            mutant[at : at + size] = rng.bytes(size)
        else:  # something lost or put in
            at, size = int(rng.integers(len(mutant))), int(rng.integers(1, 200))
            mutant[at : at + (size if rng.random() < 0.5 else 0)] = rng.bytes(int(rng.integers(9)))
        try:
            found = content_of(opened(bytes(mutant)))
        except TableFormatError:
            refused += 1
        else:
            assert found == sound
    assert refused > 800


def test_a_thousand_headers_with_fitting_check_sums_never_crash(path):
    header, blocks = parsed(path.read_bytes())
    plain = json.dumps(header).encode()
    rng = np.random.default_rng(1)
    for _ in range(1000):
        mutant = bytearray(plain)
        for at in rng.integers(len(mutant), size=rng.integers(1, 3)):
            mutant[at] = int(rng.choice(np.frombuffer(b'0123456789-"{}[],:eEtn\x00\xff', np.uint8)))
        with contextlib.suppress(TableFormatError):
            content_of(opened(rebuilt(bytes(mutant), blocks)))


HOSTILE = {
    "offset outside": lambda h: h["columns"][0]["block"].update(offset=2**62),
    "negative offset": lambda h: h["texts"].update(offset=-64),
    "offset not aligned": lambda h: h["columns"][1]["block"].update(offset=1),
    "huge shape": lambda h: h["columns"][0]["block"].update(shape=[2**40, 2**40, 2**40]),
    "endless shape": lambda h: h["columns"][-1]["block"].update(shape=[10**4000] * 3),
    "negative shape": lambda h: h["columns"][0]["block"].update(shape=[-4, -30, 3]),
    "shape of texts": lambda h: h["texts"].update(shape=[2, h["texts"]["shape"][0] // 2]),
    "no shape": lambda h: h["texts"].update(shape=[]),
    "unknown type": lambda h: h["columns"][0]["block"].update(dtype="object"),
    "void type": lambda h: h["columns"][0]["block"].update(dtype="V1000000000"),
    "texts as floats": lambda h: h["texts"].update(dtype="float32"),
    "genes as floats": lambda h: h["genes"].update(dtype="float16"),
    "genes of fewer rows": lambda h: h["genes"].update(shape=[15, 12]),
    "other rows": lambda h: h.update(rows=29),
    "many rows": lambda h: h.update(rows=10**18),
    "rows as text": lambda h: h.update(rows="30"),
    "no columns": lambda h: h.update(columns=[]),
    "a metric twice": lambda h: h["columns"].append(h["columns"][0]),
    "no epochs": lambda h: h["columns"][0]["metric"].update(epochs=[]),
    "other epochs": lambda h: h["columns"][0]["metric"].update(epochs=[1, 2, 3]),
    "unknown kind": lambda h: h["columns"][0]["metric"].update(kind="rumour"),
    "unknown field": lambda h: h.update(pickle="x"),
    "lacking field": lambda h: h.pop("facts"),
    "check sum": lambda h: h["genes"].update(crc=0),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_header_that_lies_is_refused(name, path):
    header, blocks = parsed(path.read_bytes())
    HOSTILE[name](header)
    with pytest.raises(TableFormatError):
        content_of(opened(rebuilt(json.dumps(header).encode(), blocks)))


@pytest.mark.parametrize("header", [b"", b"[]", b"null", b"[" * 10**5, b"\xff\xfe", b"{" * 10**5])
def test_a_header_that_is_none_is_refused(header, path):
    _, blocks = parsed(path.read_bytes())
    with pytest.raises(TableFormatError, match="header cannot be read"):
        opened(rebuilt(header, blocks))


@pytest.mark.parametrize(
    "raw", [b"[" * 900, b'["a","a"]', b'["a"]', b'{"a":1}', b'["a",1]', b'["\xff","b"]', b""]
)
def test_texts_that_are_none_are_refused(raw):
    metric = Metric("m")
    data = TableData("t", ["a", "b"], {"m": metric}, {"m": np.zeros((2, 1, 1))})
    header, _ = parsed(bytes(from_data(data)._file._content))
    header["texts"].update(shape=[len(raw)], crc=zlib.crc32(raw))
    header["columns"][0]["block"]["offset"] = start = -(-len(raw) // 64) * 64
    body = raw.ljust(start, b"\0") + np.zeros((1, 2, 1)).tobytes()
    table = opened(rebuilt(json.dumps(header).encode(), body))
    with pytest.raises(TableFormatError, match="texts"):
        _ = table.texts


@pytest.mark.parametrize(("version", "advice"), [(2, "newer foretell"), (0, "import it again")])
def test_another_version_is_named(version, advice, path):
    content = path.read_bytes()
    path.write_bytes(content.replace(b"table 1", b"table %d" % version, 1))
    with pytest.raises(TableFormatError, match=f"format {version}.*reads 1.*{advice}"):
        Table.open(path)


@pytest.mark.parametrize("content", [b"", b"PK\3\4" * 100, b"\x80\x04K\1.", b"arch,acc\n" * 50])
def test_other_files_are_refused(content, tmp_path):
    file = tmp_path / "other.foretell"
    file.write_bytes(content)
    with pytest.raises(TableFormatError, match=r"other\.foretell"):
        Table.open(file)


def test_a_file_that_is_not_there_and_a_folder_are_named(tmp_path):
    for place in (tmp_path / "none.foretell", tmp_path):
        with pytest.raises(MissingDataError, match=str(place)):
            Table.open(place)


def test_large_files_are_verified_block_by_block(path, monkeypatch):
    monkeypatch.setattr(_file, "SMALL", 0)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # in the last metric
    path.write_bytes(content)
    table = Table.open(path)
    last = list(table.metrics)[-1]
    assert len(table.query(None, "params")) == 30
    for _ in range(2):
        with pytest.raises(TableFormatError, match="check sums"):
            table.query(None, last)
    with pytest.raises(TableFormatError, match="check sums"):
        table.verify()


@settings(max_examples=25)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused(tmp_path_factory, content):
    with pytest.raises(TableFormatError):
        opened(b"foretell-table 1 " + content)


def test_values_of_a_mapped_file_cannot_be_written(path):
    table = Table.open(path)
    with pytest.raises(ValueError, match="read-only"):
        table._file.values(0)[:] = 0
    table.read("params")[:] = 0  # a copy
    assert table.read("params").all()


def test_an_opened_file_may_be_replaced(path, small_data):
    table = Table.open(path)
    before = table.query(None, "params")
    write_table(replace(small_data, name="newer"), path)
    np.testing.assert_array_equal(table.query(None, "params"), before)
    assert Table.open(path).name == "newer"
