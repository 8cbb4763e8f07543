"""Decoding of image files: upright, over white, in the range that their numbers have."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from foretell.errors import BrokenImageError, DataError, MissingExtraError

__all__ = ["Failed", "Head", "Scale", "decode", "read_heads", "scale_of"]

T = TypeVar("T")
GREY = ("1", "L", "LA", "La", "I", "F")
MOST_PIXELS, MOST_DECODED = 100_000_000, 1 << 25
"""Of an image, by its header and after scaling while it is decoded (JPEG)."""
LARGE = 1 << 22
"""Pixels from which images are decoded one at a time."""
RANGES = (255, 1023, 4095, 16383, 65535)
"""Largest numbers of images of 8, 10, 12, 14 and 16 bits."""
FEW_LEVELS = 64
"""Levels of 256 below which images of more than 8 bits stay floats."""
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Head:
    """What is known of an image before its pixels are decoded.

    Args:
        size: width and height, upright.
        grey: whether it has one channel beside alpha.
        depth: "8", "integer" (more than 8 bits), "float", or "upper" (16 bits a colour, of which
            only the upper ones can be read).
    """

    size: tuple[int, int]
    grey: bool
    depth: str


@dataclass(frozen=True)
class Failed:
    """An image that cannot be used, and the error that says why."""

    path: Path
    error: DataError


@dataclass(frozen=True)
class Scale:
    """How numbers of more than 8 bits become pixels, for a whole folder.

    Integers are divided by the smallest of 255, 1023, 4095, 16383 and 65535 that none exceeds, so
    that 12-bit images in 16-bit files keep their contrast; floats by 1, or by 255 if they run from
    0 to 128 or more. Where fewer than 64 of 256 levels would remain, all images stay float32.

    Args:
        integers: the divisor of integers; 0 for 65535.
        floats: the divisor of floats.
        fine: whether all images are float32.
        notes: what a reader must know, in sentences.
    """

    integers: float = 0.0
    floats: float = 1.0
    fine: bool = False
    notes: tuple[str, ...] = ()

    @property
    def nominal(self) -> bool:
        """Whether each image alone tells how its numbers are meant."""
        return self.integers in (0.0, RANGES[-1]) and self.floats == 1


def _pillow() -> Any:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingExtraError("pillow", "images", "Reading image folders") from error
    return Image, ImageOps


def _map(
    function: Callable[[Path], T], paths: Sequence[Path], failed: list[Failed]
) -> dict[Path, T]:
    """Results of the files for which the function raises no error, in order."""
    _pillow()

    def guarded(path: Path) -> T | DataError:
        try:
            return function(path)
        except DataError as error:
            return error
        except Exception as error:  # Pillow's decoders raise whatever they meet
            return _broken(path, error)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results = dict(zip(paths, pool.map(guarded, paths), strict=True))
    failed += [Failed(p, r) for p, r in results.items() if isinstance(r, DataError)]
    return {p: r for p, r in results.items() if not isinstance(r, DataError)}


def _broken(path: Path, error: Exception) -> BrokenImageError:
    made = BrokenImageError(
        f"The image {str(path)!r} cannot be decoded ({type(error).__name__}): mend or remove it."
    )
    made.__cause__ = error
    return made


def _too_large(path: Path, size: tuple[int, int]) -> BrokenImageError:
    return BrokenImageError(
        f"The image {str(path)!r} has {size[0]} x {size[1]} pixels, more than foretell unfolds: "
        f"scale it down or remove it."
    )


def read_heads(paths: Sequence[Path], failed: list[Failed]) -> dict[Path, Head]:
    """Sizes and kinds of images, without decoding their pixels.

    Args:
        paths: of the files.
        failed: gets those that cannot be read.
    """
    return _map(_head, paths, failed)


def _head(path: Path) -> Head:
    image_module, _ = _pillow()
    with image_module.open(path) as image:
        if image.size[0] * image.size[1] > MOST_PIXELS:
            raise _too_large(path, image.size)
        # a PNG file would be decoded in search of its orientation
        tagged = image.format != "PNG" or "exif" in image.info
        turned = tagged and image.getexif().get(0x0112, 1) >= 5
        size = image.size[::-1] if turned else image.size
        mode = str(image.mode)
        if mode == "P" and image.palette is not None:
            mode = _palette_mode(image)
        wide = mode.startswith("I") or mode == "F"
        upper = not wide and any("16" in str(tile[3]) for tile in getattr(image, "tile", ()))
        depth = "float" if mode == "F" else "integer" if wide else "upper" if upper else "8"
        return Head(size, mode in GREY or mode.startswith("I;16"), depth)


def _palette_mode(image: Any) -> str:
    colours = np.frombuffer(bytes(image.palette.tobytes()), np.uint8)
    if image.palette.mode != "RGB" or len(colours) % 3:
        return "RGB"
    triples = colours.reshape(-1, 3)
    return "L" if (triples == triples[:, :1]).all() else "RGB"


def scale_of(heads: Mapping[Path, Head], failed: list[Failed]) -> Scale:
    """The range of images of more than 8 bits, from all of them.

    Args:
        heads: of all images.
        failed: gets those that cannot be decoded.

    Raises:
        DataError: they have no range that could be meant.
    """
    groups = {
        d: [p for p, h in heads.items() if h.depth == d] for d in ("integer", "float", "upper")
    }
    count, notes, fine = len(heads), [], False
    divisors = {"integer": 0.0, "float": 1.0}
    for depth, paths in groups.items():
        extremes = _map(_extremes, paths, failed) if paths else {}
        if not extremes:
            continue
        low, high = min(v[0] for v in extremes.values()), max(v[1] for v in extremes.values())
        first = str(paths[0])
        if depth == "upper":
            if high < 128:
                raise DataError(
                    f"Colour images of 16 bits such as {first!r} use less than half of their "
                    f"range, and only their upper 8 bits can be read: save them with 8 bits a "
                    f"colour."
                )
            continue
        top = divisors[depth] = _divisor(depth, low, high, first)
        fine |= 0 < high - low < top * FEW_LEVELS / 256
        if depth == "integer" and top < RANGES[-1]:
            notes.append(
                f"{len(paths)} of {count} images have more than 8 bits and hold numbers from "
                f"{low:g} to {high:g}: they are divided by {top:g}."
            )
        if len(paths) < count:
            notes.append(
                f"{count - len(paths)} of {count} images have another depth than {first!r}; each "
                f"is scaled by its own range."
            )
    return Scale(divisors["integer"], divisors["float"], fine, tuple(notes))


def _divisor(depth: str, low: float, high: float, first: str) -> float:
    """What the numbers of images are divided by.

    Raises:
        DataError: nothing fits.
    """
    if depth == "integer":
        fits = [r for r in RANGES if high <= r]
        if low >= 0 and fits:
            return float(fits[0])
        expected = "numbers from 0 to 65535"
    else:
        if low >= 0 and high <= 1:
            return 1.0
        if low >= 0 and 128 <= high <= 255:
            return 255.0
        expected = "floats from 0 to 1, or from 0 to 255"
    raise DataError(
        f"Images such as {first!r} hold numbers from {low:.6g} to {high:.6g}: expected {expected}; "
        f"scale them, or save them with 8 bits."
    )


def _extremes(path: Path) -> tuple[float, float]:
    """Smallest and largest number of an image."""
    with _opened(path, None) as image:
        pixels = np.asarray(image)
        if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
            raise ValueError("a pixel is infinite or not a number")
        return float(pixels.min()), float(pixels.max())


def decode(
    paths: Sequence[Path],
    size: tuple[int, int],
    grey: bool,
    scale: Scale,
    failed: list[Failed],
) -> dict[Path, NDArray[Any]]:
    """Pixels of images, (c, h, w) uint8, or float32 in [0, 1] if the scale says so.

    Args:
        paths: of the files.
        size: width and height.
        grey: whether there is one channel.
        scale: of images of more than 8 bits.
        failed: gets those that cannot be decoded.
    """
    gone = {f.path for f in failed}
    left = [p for p in paths if p not in gone]
    return _map(lambda path: _pixels(path, size, grey, scale), left, failed)


class _opened:  # noqa: N801 - used as a function
    """An image, decoded and upright; large ones one at a time."""

    def __init__(self, path: Path, size: tuple[int, int] | None) -> None:
        self.path, self.size, self.held = path, size, False

    def __enter__(self) -> Any:
        image_module, image_ops = _pillow()
        self.image = image_module.open(self.path)
        try:
            if self.size is not None and self.image.size != self.size:
                self.image.draft(None, self.size)
            count = self.image.size[0] * self.image.size[1]
            if count > MOST_DECODED:
                raise _too_large(self.path, self.image.size)
            if count > LARGE:
                self.held = _one_at_a_time.acquire()
            self.image.load()
            return image_ops.exif_transpose(self.image)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        self.image.close()
        if self.held:
            self.held = False
            _one_at_a_time.release()


def _pixels(path: Path, size: tuple[int, int], grey: bool, scale: Scale) -> NDArray[Any]:
    """One image, (c, h, w) uint8 or float32."""
    image_module, _ = _pillow()
    with _opened(path, size) as image:
        if image.mode.startswith("I") or image.mode == "F":
            divisor = scale.floats if image.mode == "F" else scale.integers or RANGES[-1]
            numbers = np.asarray(image).astype(np.float32) / np.float32(divisor)
            image = image_module.fromarray(np.clip(numbers, 0, 1))
            wide = np.asarray(_resized(image, size, image_module))
            wide = wide[None] if grey else np.repeat(wide[None], 3, axis=0)
            return wide if scale.fine else np.rint(wide * 255).astype(np.uint8)
        if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
            colours = image.convert("RGBA")
            white = image_module.new("RGBA", image.size, "white")
            image = image_module.alpha_composite(white, colours)
        image = _resized(image.convert("L" if grey else "RGB"), size, image_module)
        pixels: NDArray[Any] = np.asarray(image)
        pixels = pixels[None] if grey else pixels.transpose(2, 0, 1)
        return pixels.astype(np.float32) / np.float32(255) if scale.fine else pixels.copy()


def _resized(image: Any, size: tuple[int, int], image_module: Any) -> Any:
    if image.size == size:
        return image
    return image.resize(size, image_module.Resampling.BILINEAR)
