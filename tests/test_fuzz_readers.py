"""A small share of ``experiments/fuzz_readers.py``: each reader gives a value or a typed error."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def script():
    spec = importlib.util.spec_from_file_location(
        "_fuzz_readers", ROOT / "experiments" / "fuzz_readers.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["_fuzz_readers"] = module
    spec.loader.exec_module(module)
    return module


SHARE = {
    "architectures": 60, "tables": 40, "pickles": 60, "arrays": 20, "images": 20, "cifar": 10,
    "onnx": 20, "arch.json": 30, "study.db": 20, "commands": 5,
}  # fmt: skip
"""The importers have theirs in tests/benchmarks/test_import_fuzz.py."""
NEEDS = {"images": "PIL", "onnx": "onnx"}


@pytest.mark.parametrize("kind", list(SHARE))
def test_damaged_inputs_are_read_or_refused(kind, tmp_path, monkeypatch):
    if kind in NEEDS:
        pytest.importorskip(NEEDS[kind])
    monkeypatch.setenv("FORETELL_BENCHMARKS", str(tmp_path))
    fuzz = script()
    folder = tmp_path / "inputs"
    folder.mkdir()
    counts = fuzz.run_kind(kind, SHARE[kind], 1, folder)
    assert counts.faults == []
    assert counts.read + counts.refused == SHARE[kind]
    assert counts.refused


def test_every_kind_has_a_share():
    assert set(script().KINDS) == {*SHARE, "importers"}
