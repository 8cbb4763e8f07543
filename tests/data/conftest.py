"""Small files in the formats that the sources read."""

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Two classes of ten colour images of 20x20 pixels: red and blue with noise."""
    image = pytest.importorskip("PIL.Image")
    root = tmp_path / "flowers"
    rng = np.random.default_rng(0)
    for k, name in enumerate(["blue", "red"]):
        (root / name).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(0, 60, (20, 20, 3), dtype=np.uint8)
            pixels[..., 2 - 2 * k] += 180
            image.fromarray(pixels).save(root / name / f"{i}.png")
    return root
