"""Images from folders, one for each class."""

import os
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from foretell.data._base import Split, Task, make_task
from foretell.data._source import Options, existing, pick, sources
from foretell.errors import (
    BrokenImageError,
    ImageShapeError,
    LabelError,
    MissingDataError,
    MissingExtraError,
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
GREY = ("1", "L", "LA", "I", "F")
T = TypeVar("T")


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
    Mirroring is on by default.

    Raises:
        MissingExtraError: Pillow is not installed.
        MissingDataError: there is no such folder, or no image in it.
        BrokenImageError: an image cannot be decoded; the sentence names the file.
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
    files = {p: [f for n in names for f in classes.get(n, [])] for p, classes in listed.items()}
    heads = _map(_head, [f for part in files.values() for f in part])
    size = options.image_size or natural_size([s for s, _ in heads])
    grey = all(mode in GREY or mode.startswith("I;16") for _, mode in heads)
    splits = {
        part: Split(_decode(paths, size, grey), _labels(listed[part], names))
        for part, paths in files.items()
    }
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
        ImageShapeError: image files do not have that number of channels.
    """
    c, h, w = shape
    if c not in (1, 3):
        raise ImageShapeError(f"Image files have 1 or 3 channels, but {c} are needed.")
    if not path.is_file():
        raise MissingDataError(f"There is no image {str(path)!r}: check the path.")
    _pillow()
    try:
        return _pixels(path, (w, h), c == 1)
    except Exception as error:
        raise _broken(path, error) from error


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


def _labels(listed: dict[str, list[Path]], names: list[str]) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(names)), [len(listed.get(n, [])) for n in names])


def _map(function: Callable[[Path], T], paths: list[Path]) -> list[T]:
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, paths))


def _pillow() -> Any:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingExtraError("pillow", "images", "Reading image folders") from error
    return Image, ImageOps


def _broken(path: Path, error: Exception) -> BrokenImageError:
    return BrokenImageError(
        f"The image {str(path)!r} cannot be decoded ({type(error).__name__}): mend or remove it."
    )


def _head(path: Path) -> tuple[tuple[int, int], str]:
    """Width and height after EXIF rotation, and the colour mode, without decoding the pixels."""
    image_module, _ = _pillow()
    try:
        with image_module.open(path) as image:
            rotated = image.getexif().get(0x0112, 1) >= 5
            mode = str(image.mode)
            if mode == "P":
                mode = "RGB" if image.palette is None else _palette_mode(image)
            return (image.size[::-1] if rotated else image.size), mode
    except Exception as error:
        raise _broken(path, error) from error


def _palette_mode(image: Any) -> str:
    colours = np.frombuffer(bytes(image.palette.tobytes()), np.uint8)
    if image.palette.mode != "RGB" or len(colours) % 3:
        return "RGB"
    triples = colours.reshape(-1, 3)
    return "L" if (triples == triples[:, :1]).all() else "RGB"


def _decode(paths: list[Path], size: int, grey: bool) -> NDArray[Any]:
    out = np.empty((len(paths), 1 if grey else 3, size, size), dtype=np.uint8)
    jobs = dict(zip(paths, out, strict=True))

    def fill(path: Path) -> None:
        try:
            jobs[path][:] = _pixels(path, (size, size), grey)
        except Exception as error:
            raise _broken(path, error) from error

    _map(fill, paths)
    return out


def _pixels(path: Path, size: tuple[int, int], grey: bool) -> NDArray[Any]:
    """One image of some width and height, (c, h, w) uint8."""
    image_module, image_ops = _pillow()
    with image_module.open(path) as image:
        if image.size != size:
            image.draft(None, size)
        image.load()
        image = image_ops.exif_transpose(image)
        if image.mode.startswith("I") or image.mode == "F":
            image = image_module.fromarray(_eight_bits(np.asarray(image)))
        image = image.convert("L" if grey else "RGB")
        if image.size != size:
            image = image.resize(size, image_module.Resampling.BILINEAR)
        pixels: NDArray[Any] = np.asarray(image)
    return pixels[None] if grey else pixels.transpose(2, 0, 1)


def _eight_bits(pixels: NDArray[Any]) -> NDArray[Any]:
    """16-bit integers by their upper byte; floats in [0, 1] times 255."""
    if pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all():
            raise ValueError("a pixel is infinite or not a number")
        pixels = np.rint(np.clip(pixels, 0, 1) * 255)
    else:
        pixels = np.clip(pixels, 0, 65535) // 256
    return pixels.astype(np.uint8)
