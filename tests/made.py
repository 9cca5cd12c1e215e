"""Small data sets for tests of several rooms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from bottleneck.data.dataset import FileSource, ImageDataset, Sample


def make_images(folder: Path, n: int, *, side: int = 24, first: int = 0) -> None:
    """Write n different grey PNGs, stamped with their number."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + n):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 256, (side, side), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")


def dataset_of(folder: Path, *, name: str = "made") -> ImageDataset:
    """Two images a patient, patients of alternating classes."""
    samples = [
        Sample(
            path.name,
            path.name,
            ("benign", "malignant")[number // 2 % 2],
            group=f"P{number // 2}",
        )
        for number, path in enumerate(sorted(folder.iterdir()))
    ]
    return ImageDataset(name, tuple(samples), FileSource(folder))
