"""Pickles that want more than to be data: refused, with nothing run and nothing allocated."""

import builtins
import bz2
import copyreg
import io
import os
import pickle
import pickletools
import resource
import struct
import subprocess
import time
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from import_writers import hw_nas_content, write_folder

from foretell.benchmarks.importers import read_benchmark
from foretell.errors import DataError, ForetellError, UnsafePickleError
from foretell.unpickle import load_plain, load_plain_bytes


class Call:
    """Pickles to a call of a function when it is read."""

    def __init__(self, function, *arguments, state=None):
        self.call = (function, arguments, state) if state else (function, arguments)

    def __reduce__(self):
        return self.call


def short(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


def payloads(canary):
    """Name -> a pickle that would write the canary file if it were run."""
    touch = f"touch {canary}"
    quoted = repr(touch).encode()
    for protocol in range(6):
        for name, evil in {
            "system": Call(os.system, touch),
            "popen": Call(subprocess.Popen, ["touch", str(canary)]),
            "open": Call(builtins.open, str(canary), "w"),
            "eval": Call(eval, f"open({str(canary)!r}, 'w')"),
            "exec": Call(exec, f"open({str(canary)!r}, 'w')"),
            "getattr": Call(getattr, 1, "real"),
            "state": Call(OrderedDict, state={"touch": Call(os.system, touch)}),
            "key": {Call(os.system, touch): 1},
            "inside": {"meta_archs": [Call(os.system, touch)]},
            "scalar": Call(np.float64(1).__reduce__()[0], Call(os.system, touch), b""),
        }.items():
            yield f"{name}-{protocol}", pickle.dumps(evil, protocol)
    yield "global", b"cbuiltins\neval\n."
    yield "global-2", b"c__builtin__\nexec\n."
    yield "stack-global", b"\x80\x04" + short("posix") + short("system") + b"\x93."
    yield "dotted", b"\x80\x04" + short("collections") + short("OrderedDict.fromkeys") + b"\x93."
    yield "dunder", b"c_codecs\nencode.__self__\n."
    yield "numpy", b"cnumpy\nload\n(S'/etc/passwd'\ntR."
    yield "numpy-2", b"cnumpy.core.multiarray\nfromfile\n(S'/etc/passwd'\ntR."
    yield "inst", b"(S" + quoted + b"\nios\nsystem\n."
    yield "obj", b"(cos\nsystem\nS" + quoted + b"\no."
    yield "newobj", b"\x80\x02cos\nsystem\nX\x01\x00\x00\x00a\x85\x81."
    yield "newobj-ex", b"\x80\x04" + short("os") + short("system") + b"\x93)}\x92."
    yield "newobj-allowed", b"\x80\x02ccollections\nOrderedDict\n)\x81."
    for code, index in ((b"\x82", b"\x01"), (b"\x83", b"\x01\x00"), (b"\x84", b"\x01\x00\x00\x00")):
        yield f"extension-{code.hex()}", b"\x80\x02" + code + index + b"S" + quoted + b"\n\x85R."
    yield "persistent", b"Pos.system\n."
    yield "persistent-2", b"\x80\x02X\x01\x00\x00\x00aQ."
    yield "buffer", b"\x80\x05\x97."
    yield "read-only", b"\x80\x05C\x01a\x98."
    yield "build-dict", b"}(S'__class__'\ncos\nsystem\nsb."
    yield "build-plain", b"}}b."
    yield "build-list", b"]}b."
    yield "call-of-text", b"S'os'\n)R."
    yield "call-of-array", b"cnumpy\nndarray\n)R."
    yield "name-alone", b"ccollections\nOrderedDict\n."
    yield "name-in-list", b"]ccollections\nOrderedDict\na."
    yield "name-in-dict", b"}S'a'\nccollections\nOrderedDict\ns."
    yield "name-in-tuple", b"(ccollections\nOrderedDict\nt."
    yield "unfinished-array", b"cnumpy.core.multiarray\n_reconstruct\n)R."
    yield "doubled", b"]2."
    yield "dropped", b"S'a'\n0]."
    for kind in ("O", "O8", "V8", "M8", "U4", "S3", "f8,f8", "c16", "(9,)f8"):
        yield f"dtype-{kind}", array_of(kind.encode())


def array_of(kind, shape=b"(I1\nt", raw=b"S'12345678'\n"):
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n"
        + shape
        + b"cnumpy\ndtype\n(S'" + kind + b"'\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
        + b"I00\n" + raw + b"tb."
    )  # fmt: skip


def wrap_nats_record(tmp, raw):
    folder = write_folder(tmp / "nats")
    (folder / "000001.pickle.pbz2").write_bytes(bz2.compress(raw))
    return "nats-tss", folder


def wrap_nats_meta(tmp, raw):
    folder = write_folder(tmp / "meta")
    (folder / "meta.pickle.pbz2").write_bytes(bz2.compress(raw))
    return "nats-tss", folder


def wrap_hw_nas(tmp, raw):
    (tmp / "hw.pickle").write_bytes(raw)
    return "hw-nas", tmp / "hw.pickle"


def wrap_zip(tmp, raw):
    with zipfile.ZipFile(tmp / "zip.pth", "w") as archive:
        archive.writestr("archive/data.pkl", raw)
        archive.writestr("archive/version", b"3\n")
    return "nb201", tmp / "zip.pth"


def wrap_old_torch(tmp, raw):
    head = [pickle.dumps(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    (tmp / "old.pth").write_bytes(b"".join(head) + raw + pickle.dumps([], 2))
    return "transnas", tmp / "old.pth"


WRAPS = [wrap_nats_record, wrap_nats_meta, wrap_hw_nas, wrap_zip, wrap_old_torch]


@pytest.fixture
def registered_extension():
    copyreg.add_extension("os", "system", 1)
    yield
    copyreg.remove_extension("os", "system", 1)


@pytest.mark.parametrize("wrap", WRAPS)
def test_malicious_pickles_are_refused_and_leave_no_trace(tmp_path, wrap, registered_extension):
    canary = tmp_path / "ran"
    for name, raw in payloads(canary):
        importer, path = wrap(tmp_path, raw)
        with pytest.raises(UnsafePickleError) as caught:
            read_benchmark(importer, path)
        assert not canary.exists(), name
        assert caught.value.found, name
        assert "was not read" in str(caught.value)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_payloads_would_have_run(tmp_path):
    """Otherwise the test above proves nothing."""
    canary = tmp_path / "ran"
    for name, raw in payloads(canary):
        if name.split("-")[0] in ("system", "open", "eval", "exec"):
            pickle.loads(raw)
            assert canary.exists(), name
            canary.unlink()


@pytest.mark.parametrize(
    "content",
    [
        b"\x8e" + struct.pack("<Q", 1 << 62) + b"a.",  # bytes of 4 EiB
        b"\x96" + struct.pack("<Q", 1 << 40) + b"a.",  # a byte array of 1 TiB
        b"\x8d" + struct.pack("<Q", 1 << 40) + b"a.",
        b"X" + struct.pack("<I", 1 << 31) + b"a.",
        b"T" + struct.pack("<i", -1) + b"a.",
        b"\x8b" + struct.pack("<i", -5) + b"a.",
        b"\x95" + struct.pack("<Q", 1 << 60) + b"r" + struct.pack("<I", 5) + b".",
        b"L" + b"9" * 100_000 + b"L\n.",
        b"I" + b"9" * 5_000 + b"\n.",
        b"F1e\n.",
        b"S'abc\n.",
        b"Sabc\n.",
        b"h\x05.",
        b"j\xff\xff\xff\xff.",
        b"g12\n.",
        b"a.",
        b"]a.",
        b"}S'a'\ns.",
        b"(u.",
        b"}(S'a'\nu.",
        b"t.",
        b"\x87.",
        b"\xff.",
        b"\x80",
        b"",
        b"N",
        b"}]Ns.",  # a list as a key
        b"\x8f(]\x90.",
        b"\x93.",
        b"NN\x93.",
        b"c_codecs\nencode\nS'a'\nR.",
        b"c_codecs\nencode\n)R.",
        b"ccollections\nOrderedDict\n((lI1\nat\x85R.",
        array_of(b"f8", b"(I1152921504606846976\nt"),
        array_of(b"f8", b"(I-1\nI-1\nt"),
        array_of(b"f8", b"(I2\nt"),
        array_of(b"f8", b"N"),
        array_of(b"f8", raw=b"N"),
        array_of(b"f8", raw=b"S'1'\n"),
        array_of(b"f8").replace(b"(I3\nS'<'\n", b"(I3\nN"),
        array_of(b"f8").replace(b"(I3\nS'<'\n", b"(I3\nI5\n"),
    ],
)
def test_broken_pickles_are_typed_errors(content):
    with pytest.raises(DataError):
        load_plain(io.BytesIO(content), "x")


def test_a_far_memo_place_takes_no_memory():
    """Python's own unpickler would reserve 64 GiB for this."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert load_plain(io.BytesIO(b"]r\xff\xff\xff\xff."), "x") == []
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def doubling(levels, last):
    """A tuple of two equal tuples of two equal tuples ..: tiny, but with 2^levels ends."""
    step = b"\x94h" + b"%c\x86"
    raw = b"N\x85"
    for level in range(levels):
        raw += step % level
    return b"\x80\x04" + last(raw)


@pytest.mark.parametrize(
    "last",
    [
        lambda raw: b"}" + raw.replace(b"\x94", b"\x94") + b"Ns.",
        lambda raw: b"\x8f(" + raw + b"\x90.",
    ],
)
def test_a_key_whose_hash_never_ends_is_refused(last):
    start = time.perf_counter()
    with pytest.raises(DataError):
        load_plain(io.BytesIO(doubling(60, last)), "x")
    assert time.perf_counter() - start < 5


def test_values_may_share_parts():
    shared = ["a", 1.5]
    value = {"x": shared, "y": [shared, shared], ("k", 1): (shared,)}
    found = load_plain(io.BytesIO(pickle.dumps(value, 4)), "x")
    assert found == value
    assert found["x"] is found["y"][0]


def test_a_list_in_itself_does_no_harm(tmp_path):
    loop = []
    loop.append(loop)
    raw = pickle.dumps(loop, 4)
    found = load_plain(io.BytesIO(raw), "x")
    assert found[0] is found
    content = hw_nas_content()
    content["nasbench201"]["cifar10"]["config"] = loop
    for wrap in WRAPS:
        for bad in (raw, pickle.dumps(content)):
            importer, path = wrap(tmp_path, bad)
            with pytest.raises(ForetellError):
                read_benchmark(importer, path)


def test_deep_nesting_does_no_harm(tmp_path):
    for raw in (b"]" * 200_000 + b"a" * 199_999 + b".", b"(" * 200_000 + b"t" * 200_000 + b"."):
        for wrap in (wrap_hw_nas, wrap_zip):
            importer, path = wrap(tmp_path, raw)
            with pytest.raises(ForetellError):
                read_benchmark(importer, path)


def test_decoding_the_same_text_again_and_again_is_bounded():
    text = b"X" + struct.pack("<I", 100_000) + b"a" * 100_000 + b"q\x01"
    call = b"h\x02h\x01h\x03\x86R0"
    raw = (
        b"\x80\x02c_codecs\nencode\nq\x02"
        + text
        + b"X\x06\x00\x00\x00latin1q\x03"
        + b"]("
        + call[:-1] * 100_000
        + b"e."
    )
    with pytest.raises(DataError):
        load_plain(io.BytesIO(raw), "x")


KEYS = st.text(max_size=4) | st.tuples(st.text(max_size=3), st.integers())
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(
            st.text(max_size=4) | st.tuples(st.text(max_size=3), st.integers()), inner
        )
        | st.dictionaries(st.text(max_size=4), inner, max_size=3).map(OrderedDict)
        | st.sets(st.integers() | st.text(max_size=3), max_size=3)
    ),
    max_leaves=12,
)


@given(PLAIN, st.integers(0, 5))
def test_plain_data_come_out_as_from_pythons_own(value, protocol):
    raw = pickle.dumps(value, protocol)
    assert load_plain(io.BytesIO(raw), "x") == pickle.loads(raw)
    raw = pickletools.optimize(raw)
    assert load_plain(io.BytesIO(raw), "x") == pickle.loads(raw)


@given(PLAIN, st.binary(max_size=9))
def test_where_a_pickle_ends(value, rest):
    raw = pickle.dumps(value)
    found, end = load_plain_bytes(rest + raw + rest, "x", len(rest))
    assert (found, end) == (value, len(rest) + len(raw))


def test_texts_of_python_2():
    assert load_plain(io.BytesIO(b"S'a\\x00\\n'\n."), "x") == b"a\0\n"
    assert load_plain(io.BytesIO(b"U\x02ab."), "x") == b"ab"
    assert load_plain(io.BytesIO(b"T\x02\x00\x00\x00ab."), "x") == b"ab"


def test_what_is_watched():
    seen = []
    value = {"a": {5: {"x": 1.0}, 6: 2}, 7: {"y": 2.0}, "z": {}}
    load_plain_bytes(pickle.dumps(value), "x", 0, lambda k, v: seen.append((k, dict(v))))
    assert seen == [(5, {"x": 1.0}), (7, {"y": 2.0})]
