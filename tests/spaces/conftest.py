"""Official NATS-Bench records, read without running what a pickle may hold."""

import bz2
import collections
import io
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


class OnlyNumbers(pickle.Unpickler):
    """Knows mappings and NumPy scalars, and nothing else."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if module.startswith("numpy.") and name == "scalar":
            return np.float64(0).__reduce__()[0]  # whatever this version calls it
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")


@pytest.fixture(scope="session")
def official_costs(validation_data: Path) -> Callable[[str], list[tuple]]:
    """Text, classes, pixels, params and flops of each record of an official file."""

    def read(name: str) -> list[tuple]:
        path = validation_data / "nats-bench" / f"{name}.pickle.pbz2"
        if not path.is_file():
            pytest.skip(f"no official record at {path}")
        records = OnlyNumbers(io.BytesIO(bz2.decompress(path.read_bytes()))).load()
        found = []
        for record in records.values():
            for (data, _), result in record["all_results"].items():
                config = result["arch_config"]
                found.append(
                    (
                        config["arch_str"],
                        config["class_num"],
                        16 if "ImageNet16" in data else 32,
                        round(float(result["params"]) * 1e6),
                        round(float(result["flop"]) * 1e6),
                    )
                )
        return found

    return read
