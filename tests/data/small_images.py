"""Small images in files, and the labels of a data set."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from bottleneck import ImageDataset

CLASSES = ("benign", "malignant")


def put(path: Path, level: int = 9) -> Path:
    """Write a small grey image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), level).save(path)
    return path


def labels(dataset: ImageDataset) -> dict[str, str]:
    """Return the label of each id."""
    return {sample.id: sample.label for sample in dataset.samples}
