"""CIFAR-10 and CIFAR-100 from the official archives, in the Python or the binary version."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from foretell.data._archives import read_file, read_members
from foretell.data._arrays import shrink
from foretell.data._base import Split, Task, make_task
from foretell.data._source import Options, existing, pick, sources
from foretell.errors import DataError, LabelError, MissingDataError
from foretell.unpickle import load_plain

__all__ = ["cifar10", "cifar100"]

PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class _Layout:
    """Which files a version consists of, and how one is read."""

    train: tuple[str, ...]
    test: str
    names: str
    label_bytes: int
    label_key: bytes
    names_key: bytes

    @property
    def binary(self) -> bool:
        return self.label_bytes > 0


_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
_CIFAR10 = (
    _Layout(_BATCHES, "test_batch", "batches.meta", 0, b"labels", b"label_names"),
    _Layout(tuple(f"{b}.bin" for b in _BATCHES), "test_batch.bin", "batches.meta.txt", 1, b"", b""),
)
_CIFAR100 = (
    _Layout(("train",), "test", "meta", 0, b"fine_labels", b"fine_label_names"),
    _Layout(("train.bin",), "test.bin", "fine_label_names.txt", 2, b"", b""),
)


@sources.add("cifar10", summary="the official CIFAR-10 archive or folder", form="cifar10:PATH")
def cifar10(place: str, options: Options) -> Task:
    """CIFAR-10 from ``cifar-10-python.tar.gz``, ``cifar-10-binary.tar.gz`` or a folder of theirs.

    Raises:
        MissingDataError: nothing is there, or not all of its files.
        UnsafePickleError: a file asks for code; nothing was run.
        DataError: a file is damaged.
    """
    return _cifar("cifar10", place, options, _CIFAR10, 10)


@sources.add("cifar100", summary="the official CIFAR-100 archive or folder", form="cifar100:PATH")
def cifar100(place: str, options: Options) -> Task:
    """CIFAR-100, fine labels, from an archive or a folder as for CIFAR-10.

    Raises:
        MissingDataError: nothing is there, or not all of its files.
        UnsafePickleError: a file asks for code; nothing was run.
        DataError: a file is damaged.
    """
    return _cifar("cifar100", place, options, _CIFAR100, 100)


def _cifar(
    name: str, location: str, options: Options, layouts: tuple[_Layout, ...], classes: int
) -> Task:
    path = existing(location, name)
    requested = {f for v in layouts for f in (*v.train, v.test, v.names)}
    files = _from_folder(path, requested) if path.is_dir() else _from_archive(path, requested)
    layout = next((v for v in layouts if {*v.train, v.test} <= set(files)), None)
    if layout is None:
        tried = " or ".join(", ".join((*v.train, v.test)) for v in layouts)
        raise MissingDataError(
            f"{str(path)!r} does not hold {name}: expected the files {tried}, or the official "
            f"archive with them."
        )
    parts = [_read(files[f](), f, layout, classes) for f in (*layout.train, layout.test)]
    train = Split(
        np.concatenate([p.images for p in parts[:-1]]),
        np.concatenate([p.labels for p in parts[:-1]]),
    )
    splits = [
        Split(shrink(s.images, options.image_size, name), s.labels) for s in (train, parts[-1])
    ]
    return make_task(
        name,
        splits[0],
        test=splits[1],
        class_names=_names(files, layout, classes),
        seed=options.seed,
        flip=True if options.flip is None else options.flip,
        crop=pick(options.crop, max(1, splits[0].images.shape[2] // 8)),
        limit=options.limit,
    )


def _from_folder(path: Path, requested: set[str]) -> dict[str, Callable[[], bytes]]:
    """Readers of the requested files in a folder, its subfolders, or an archive in it."""
    for folder in (path, *sorted(p for p in path.iterdir() if p.is_dir())):
        here: dict[str, Callable[[], bytes]] = {
            p.name: partial(read_file, p)
            for p in folder.iterdir()
            if p.name in requested and p.is_file()
        }
        if len(here) > 1:
            return here
    archives = sorted(p for p in path.iterdir() if p.name.endswith((".tar.gz", ".tgz", ".tar")))
    for archive in archives:
        here = _from_archive(archive, requested)
        if len(here) > 1:
            return here
    return {}


def _from_archive(path: Path, requested: set[str]) -> dict[str, Callable[[], bytes]]:
    """The requested files of a tar archive, read into memory; nothing is unpacked to disk."""
    return {name: BytesIO(raw).getvalue for name, raw in read_members(path, requested).items()}


def _read(content: bytes, file: str, layout: _Layout, classes: int) -> Split:
    if layout.binary:
        record = layout.label_bytes + PIXELS
        if not content or len(content) % record:
            raise DataError(
                f"{file} has {len(content)} bytes, which is no multiple of {record}: it is cut "
                f"off; download it again."
            )
        rows = np.frombuffer(content, np.uint8).reshape(-1, record)
        pixels: Any = rows[:, layout.label_bytes :]
        labels: Any = rows[:, layout.label_bytes - 1]
    else:
        batch = load_plain(BytesIO(content), file)
        pixels = batch.get(b"data") if isinstance(batch, dict) else None
        labels = batch.get(layout.label_key) if isinstance(batch, dict) else None
        if labels is None or not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
            raise DataError(
                f"{file} holds no uint8 array 'data' with {layout.label_key.decode()!r}: use the "
                f"official file."
            )
        if pixels.shape[1:] not in ((PIXELS,), (3, 32, 32)):
            raise DataError(
                f"The array 'data' of {file} has the shape {pixels.shape}, not (n, {PIXELS}): use "
                f"the official file."
            )
        if isinstance(labels, np.ndarray) and labels.ndim == 1 and labels.dtype.kind in "iu":
            labels = labels.tolist()
        if not isinstance(labels, list) or not set(map(type, labels)) <= {int}:
            raise LabelError(
                f"{file} holds no list {layout.label_key.decode()!r} of whole numbers: use the "
                f"official file."
            )
    if len(pixels) != len(labels):
        raise LabelError(
            f"{file} holds {len(pixels)} images but {len(labels)} labels: use the official file."
        )
    if len(labels) and not 0 <= min(labels) <= max(labels) < classes:
        raise LabelError(f"{file} holds labels outside 0..{classes - 1}: use the official file.")
    return Split(pixels.reshape(-1, 3, 32, 32), np.asarray(labels, dtype=np.int64))


def _names(found: dict[str, Callable[[], bytes]], layout: _Layout, classes: int) -> list[str]:
    fallback = [str(k) for k in range(classes)]
    if layout.names not in found:
        return fallback
    content = found[layout.names]()
    if layout.binary:
        names = content.decode("utf-8", "replace").split()
    else:
        meta = load_plain(BytesIO(content), layout.names)
        raw = meta.get(layout.names_key, []) if isinstance(meta, dict) else []
        if not isinstance(raw, list) or not set(map(type, raw)) <= {bytes, str}:
            raise DataError(
                f"{layout.names} holds no list {layout.names_key.decode()!r} of texts: use the "
                f"official file, or remove it."
            )
        names = [n.decode("utf-8", "replace") if isinstance(n, bytes) else n for n in raw]
    return names if len(names) == classes else fallback
