"""Real digits among fragments of other digits: harder than the digits, and as many as one wants."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from foretell.data._base import Split, Task, make_task, stratified_sample
from foretell.data._source import Options, pick, sources
from foretell.data.digits import read_digits
from foretell.errors import UsageError
from foretell.rng import stream
from foretell.types import IntArray

__all__ = ["Clutter", "clutter", "compose"]

DIGIT = 8
"""Pixels a side of an embedded digit."""
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
"""Of the embedded digits, what each part is composed of."""
MOST = 200_000
"""Images of a part, at most: 50 MB of 16x16 pixels."""


@dataclass(frozen=True)
class Clutter:
    """What the images look like, and how many there are.

    Args:
        size: pixels a side, at least 8.
        train: images to train on.
        val: images to validate on.
        test: images to test on.
        fragments: pieces of other digits in each image.
        piece: pixels a side of a piece, at most 8.
        noise: standard deviation of the noise, in grey levels of 255.
        channels: 1 for grey; 3 for digits, pieces and ground of random colours.
    """

    size: int = 16
    train: int = 2000
    val: int = 2000
    test: int = 4000
    fragments: int = 8
    piece: int = 5
    noise: int = 16
    channels: int = 1

    def check(self) -> None:
        """Refuse what cannot be drawn.

        Raises:
            UsageError: a number is out of range.
        """
        rules = {
            "size": (DIGIT <= self.size <= 256, f"from {DIGIT} to 256"),
            "fragments": (0 <= self.fragments <= 1000, "from 0 to 1000"),
            "piece": (1 <= self.piece <= DIGIT, f"from 1 to {DIGIT}"),
            "noise": (0 <= self.noise <= 127, "from 0 to 127"),
            "channels": (self.channels in (1, 3), "1 or 3"),
            **{
                part: (20 <= getattr(self, part) <= MOST, f"from 20 to {MOST:,}") for part in SHARES
            },
        }
        for name, (good, expected) in rules.items():
            if not good:
                raise UsageError(
                    f"Expected {name} of the data source 'clutter' to be {expected}, but got "
                    f"{getattr(self, name)}."
                )


OWN = tuple(f.name for f in fields(Clutter) if f.name != "size")


@sources.add(
    "clutter",
    summary="made images: an embedded digit at a random place among fragments of other digits",
    form="clutter",
    options=OWN,
)
def clutter(place: str, options: Options) -> Task:
    """Digits in clutter: 2,000 images to train, 2,000 to validate, 4,000 to test, 16x16 pixels.

    Without augmentation: mirroring changes digits.

    Raises:
        UsageError: something follows the name, or a number is out of range.
    """
    if place:
        raise UsageError(
            f"The data source 'clutter' takes no path, but got {place!r}: its options follow a "
            f"question mark, as in clutter?fragments=4&noise=0."
        )
    config = Clutter(size=pick(options.image_size, Clutter.size), **options.own)
    parts = compose(config, options.seed)
    return make_task(
        "clutter",
        parts["train"],
        parts["val"],
        parts["test"],
        seed=options.seed,
        flip=bool(options.flip),
        crop=pick(options.crop, 0),
        limit=options.limit,
    )


def compose(config: Clutter, seed: int = 0) -> dict[str, Split]:
    """The parts train, val and test, made by a rule and a seed.

    The 1,797 embedded digits are split first, each class by its share, so that no digit, nor a
    piece of it, is in two parts. Every image shows one whole digit of its part, at a place drawn
    evenly; classes are equally frequent. Behind it lie ``fragments`` pieces of ``piece`` pixels a
    side, each cut at a random place out of a digit of the same part and put at a random place,
    overlapping by the brighter pixel, and cut off at the digit's 8x8 square. With three channels
    the ground, the digit and each piece have a random colour. Noise is the sum of four uniform
    integers. All arithmetic is of integers, so that the bytes are the same on every machine.

    Args:
        config: what the images look like.
        seed: the same seed gives the same images.

    Returns:
        uint8 images (n, c, size, size) and labels (n,) of each part.

    Raises:
        UsageError: a number is out of range.
    """
    config.check()
    images, labels = read_digits()
    digits = np.rint(images[:, 0] * 16).astype(np.int32)
    rest, pools = np.arange(len(labels)), {}
    for part in ("test", "val"):
        count = round(SHARES[part] * len(labels))
        drawn, left = stratified_sample(labels[rest], count, stream(seed, "clutter", part))
        pools[part], rest = rest[drawn], rest[left]
    pools["train"] = rest
    return {
        part: _part(
            digits[pools[part]],
            labels[pools[part]],
            getattr(config, part),
            config,
            stream(seed, "clutter-images", part),
        )
        for part in SHARES
    }


def _part(
    digits: NDArray[np.int32],
    labels: IntArray,
    count: int,
    config: Clutter,
    rng: np.random.Generator,
) -> Split:
    """``count`` images of the digits of one part, (n, 8, 8) from 0 to 16."""
    classes = rng.permutation(np.arange(count) % 10)
    chosen = np.empty(count, dtype=np.int64)
    for k in range(10):
        here, members = np.flatnonzero(classes == k), np.flatnonzero(labels == k)
        chosen[here] = members[rng.integers(0, len(members), len(here))]
    size, piece, n = config.size, config.piece, np.arange(count)
    canvas = np.zeros((count, config.channels, size, size), dtype=np.int32)
    for _ in range(config.fragments):
        source = rng.integers(0, len(digits), count)
        cut = rng.integers(0, DIGIT - piece + 1, (2, count))
        at = rng.integers(0, size - piece + 1, (2, count))
        _paste(canvas, _window(digits, source, cut, piece), at, _colours(config, count, rng))
    at = rng.integers(0, size - DIGIT + 1, (2, count))
    rows, columns = _grid(at, DIGIT)
    canvas[n[:, None, None], :, rows, columns] = 0
    _paste(canvas, digits[chosen], at, _colours(config, count, rng))
    # ink 0 to 16 times a strength 0 to 15 is at most 240
    if config.channels == 3:
        ground = rng.integers(0, 64, (count, 3, 1, 1), dtype=np.int32)
        canvas = ground + canvas * (255 - ground) // 255
    if config.noise:
        # four uniform integers from -a to a have the variance 4 a (a + 1) / 3
        a = max(1, round((0.75 * config.noise**2 + 0.25) ** 0.5 - 0.5))
        for _ in range(4):
            canvas += rng.integers(-a, a + 1, canvas.shape, dtype=np.int32)
    return Split(np.clip(canvas, 0, 255).astype(np.uint8), classes.astype(np.int64))


def _grid(at: IntArray, side: int) -> tuple[IntArray, IntArray]:
    """Rows (n, side, 1) and columns (n, 1, side) of squares whose corners are (2, n)."""
    steps = np.arange(side)
    return at[0][:, None, None] + steps[:, None], at[1][:, None, None] + steps


def _window(
    digits: NDArray[np.int32], source: IntArray, cut: IntArray, side: int
) -> NDArray[np.int32]:
    """Squares (n, side, side) out of digits."""
    rows, columns = _grid(cut, side)
    return digits[source[:, None, None], rows, columns]


def _paste(
    canvas: NDArray[np.int32], squares: NDArray[np.int32], at: IntArray, colours: NDArray[np.int32]
) -> None:
    """Squares (n, side, side) times colours (n, c) into images, where they are brighter."""
    rows, columns = _grid(at, squares.shape[-1])
    index = (np.arange(len(canvas))[:, None, None], slice(None), rows, columns)
    canvas[index] = np.maximum(canvas[index], squares[..., None] * colours[:, None, None, :])


def _colours(config: Clutter, count: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Strengths of ink, (n, c), at most 15: full for grey, random for colours."""
    if config.channels == 1:
        return np.full((count, 1), 15, dtype=np.int32)
    return rng.integers(5, 16, (count, config.channels), dtype=np.int32)
