"""Images from folders, one for each class."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.data._base import Split, Task, make_task
from foretell.data._pictures import Failed, Scale, decode, read_heads, scale_of
from foretell.data._source import Options, existing, pick, sources
from foretell.errors import (
    BrokenImageError,
    DataError,
    ImageShapeError,
    LabelError,
    MissingDataError,
    OneClassError,
)
from foretell.types import Shape3

__all__ = ["folder", "list_images", "natural_size", "read_image"]

ENDINGS = (
    ".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
SHOWN = 5
"""Names of files in a note."""


@sources.add(
    "folder",
    summary="one folder of images for each class, or train/val/test with such folders",
    form="folder:PATH",
    extra="images",
)
def folder(location: str, options: Options) -> Task:
    """A task from image files in one folder for each class.

    PATH holds the class folders, or ``train`` with any of ``val`` and ``test`` that hold them;
    missing parts are split off. Files may be in subfolders; hidden files and files without the
    extension of an image are skipped. If every image is grey, there is one channel, else three.
    Images are resized to squares of ``image_size`` pixels; see ``natural_size`` for the default.
    Mirroring is on by default. Transparent pixels show white. Images of more than 8 bits keep their
    range: see ``Scale``.

    Raises:
        MissingExtraError: Pillow is not installed.
        MissingDataError: there is no such folder, or no image in it.
        BrokenImageError: an image cannot be decoded; the sentence names the file. With
            ``skip_broken`` such files are left out, and the task's ``notes`` list them.
        DataError: the numbers of images of more than 8 bits have no range that could be meant.
        OneClassError: there is only one class folder.
        LabelError: val or test has a class that train has not.
    """
    path = existing(location, "folder")
    if not path.is_dir():
        raise MissingDataError(
            f"{str(path)!r} is a file: give the folder that holds one folder for each class."
        )
    parts = _parts(path)
    listed = {part: dict(_classes(root)) for part, root in parts.items()}
    names = sorted(listed["train"])
    if not names:
        raise MissingDataError(
            f"There is no image below {str(parts['train'])!r}: expected one folder for each class "
            f"with files such as .png or .jpg."
        )
    if len(names) == 1:
        raise OneClassError(
            f"{str(parts['train'])!r} holds images of only one class, {names[0]!r}: make one "
            f"folder for each of two classes or more."
        )
    for part, classes in listed.items():
        if extra := sorted(set(classes) - set(names)):
            raise LabelError(
                f"The class {extra[0]!r} is in {str(parts[part])!r} but not in "
                f"{str(parts['train'])!r}: add training images, or remove it."
            )
    files = [
        (p, f, k) for p, c in listed.items() for k, n in enumerate(names) for f in c.get(n, [])
    ]
    failed: list[Failed] = []
    heads = read_heads([f for _, f, _ in files], failed)
    _refuse(failed, options, len(files))
    size = options.image_size or natural_size([h.size for h in heads.values()])
    scale = scale_of(heads, failed)
    _refuse(failed, options, len(files))
    pixels = decode(list(heads), (size, size), all(h.grey for h in heads.values()), scale, failed)
    _refuse(failed, options, len(files))
    splits = _splits(files, pixels)
    return make_task(
        f"folder:{path.resolve().name}",
        splits["train"],
        splits.get("val"),
        splits.get("test"),
        class_names=names,
        seed=options.seed,
        flip=True if options.flip is None else options.flip,
        crop=pick(options.crop, size // 8),
        limit=options.limit,
        notes=(*_skipped(failed, len(files), path), *scale.notes),
    )


def list_images(path: Path) -> list[Path]:
    """Every image file below a folder, in order; hidden ones are left out."""
    return sorted(f for f in path.rglob("*") if _is_image(f, path))


def read_image(path: Path, shape: Shape3) -> NDArray[Any]:
    """An image file as a network of some input shape takes it, resized as for training.

    Args:
        path: the file.
        shape: channels (1 for grey or 3 for colours), height, width.

    Returns:
        (c, h, w) uint8.

    Raises:
        MissingExtraError: Pillow is not installed.
        MissingDataError: there is no such file.
        BrokenImageError: it cannot be decoded.
        DataError: its numbers have more than 8 bits, and their range is not 0 to 1 or 65535.
        ImageShapeError: image files do not have that number of channels.
    """
    c, h, w = shape
    if c not in (1, 3):
        raise ImageShapeError(f"Image files have 1 or 3 channels, but {c} are needed.")
    if not path.is_file():
        raise MissingDataError(f"There is no image {str(path)!r}: check the path.")
    failed: list[Failed] = []
    heads = read_heads([path], failed)
    scale = scale_of(heads, failed)
    if not scale.nominal:
        raise DataError(
            f"The image {str(path)!r} has more than 8 bits but uses little of their range, and a "
            f"single image does not tell by what its folder was divided: save it with 8 bits."
        )
    pixels = decode(list(heads), (w, h), c == 1, Scale(), failed)
    if failed:
        raise failed[0].error
    return pixels[path]


def _refuse(failed: Sequence[Failed], options: Options, total: int) -> None:
    """Raise the first failure, unless broken images are to be skipped and some are left."""
    if failed and (not options.skip_broken or len(failed) >= total):
        raise failed[0].error
    for one in failed:
        if not isinstance(one.error, BrokenImageError):
            raise one.error


def _skipped(failed: Sequence[Failed], total: int, root: Path) -> tuple[str, ...]:
    """A note that counts and lists the files that were left out."""
    if not failed:
        return ()
    names = sorted(str(f.path.relative_to(root)) for f in failed)
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (
        f"Skipped {len(names)} of {total} images that cannot be used: {', '.join(names[:SHOWN])}"
        f"{rest}.",
    )


def _splits(
    files: Sequence[tuple[str, Path, int]], pixels: Mapping[Path, NDArray[np.generic]]
) -> dict[str, Split]:
    """The images of each part that were decoded, and their labels."""
    splits = {}
    for part in dict.fromkeys(p for p, _, _ in files):
        here = [(f, k) for p, f, k in files if p == part and f in pixels]
        images = np.stack([pixels[f] for f, _ in here]) if here else np.zeros((0, 1, 1, 1), "u1")
        splits[part] = Split(images, np.array([k for _, k in here], dtype=np.int64))
    return splits


def natural_size(sizes: list[tuple[int, int]]) -> int:
    """Default side of resized images in pixels.

    That of the images if all are squares of one size up to 64 pixels; otherwise the median of the
    shorter sides, rounded to a multiple of 8 from 8 to 64.

    Args:
        sizes: width and height of each image.

    >>> natural_size([(28, 28), (28, 28)]), natural_size([(640, 480), (500, 400)])
    (28, 64)
    """
    if len(set(sizes)) == 1 and sizes[0][0] == sizes[0][1] <= 64:
        return sizes[0][0]
    median = statistics.median(min(s) for s in sizes)
    return int(min(64, max(8, 8 * round(median / 8))))


def _parts(path: Path) -> dict[str, Path]:
    inside = {p.name.lower(): p for p in path.iterdir() if p.is_dir()}
    parts = {
        part: inside[name] for part, names in PARTS.items() for name in names if name in inside
    }
    return parts if "train" in parts and len(parts) > 1 else {"train": path}


def _classes(root: Path) -> Iterator[tuple[str, list[Path]]]:
    for class_folder in sorted(root.iterdir()):
        shown = class_folder.is_dir() and not class_folder.name.startswith(".")
        if shown and (files := list_images(class_folder)):
            yield class_folder.name, files


def _is_image(file: Path, root: Path) -> bool:
    hidden = any(p.startswith(".") for p in file.relative_to(root).parts)
    return file.suffix.lower() in ENDINGS and not hidden and file.is_file()
