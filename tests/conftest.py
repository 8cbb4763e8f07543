"""Shared fixtures."""

import contextlib
import gc
import importlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# time is measured by benchmarks, not by tests: a busy machine is no failure
settings.register_profile("foretell", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("foretell")

# runs are signed by a key in the user's data folder: that of whoever tests stays as it is
_data = tempfile.TemporaryDirectory(prefix="foretell-data-")
os.environ["XDG_DATA_HOME"] = _data.name

MANY = 1000
"""Tests from which on a whole run is assumed."""
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def validation_data() -> Path:
    """The folder of real validation data, or a skip that says so."""
    named = os.environ.get("FORETELL_VALIDATION_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (folder / "nb201.parquet").is_file():
        pytest.skip(f"validation data are not at {folder}; set FORETELL_VALIDATION_DATA")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no worker is left alone with them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


# Modules and tests stay: once is enough to see them, so that each test pays for its own objects.
gc.set_threshold(20_000, 20, 20)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Import what searches need late, once for all copies of this process; then hide all of it."""
    if len(session.items) > MANY:
        for name in ("torch._dynamo", "torch.onnx", "onnx", "onnxruntime"):
            with contextlib.suppress(ImportError):  # of an extra
                importlib.import_module(name)
    gc.freeze()
