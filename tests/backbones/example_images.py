"""Image files for the tests of backbones: real ones if they are available, else simulated."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bottleneck.backbones.backbone import Backbone
from bottleneck.data.images.decode import decode
from bottleneck.data.phantom.generator import phantom_dataset

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
REAL = (("data/ud-tn", "*.jpg"), ("data/ddti-crops/images", "*.png"))


def two_images(folder: Path) -> list[Path]:
    """One JPEG and one PNG of real ultrasound, of different shapes; else two simulated frames."""
    found = [sorted((SHARED / place).rglob(pattern))[:1] for place, pattern in REAL]
    real = [path for paths in found for path in paths]
    if len(real) == 2:
        return real
    dataset = phantom_dataset(n_patients=2)
    written = []
    for number, (sample, box) in enumerate(
        zip(dataset.samples[:2], ((0, 0, 301, 222), (5, 0, 260, 270)), strict=True)
    ):
        image = Image.open(io.BytesIO(dataset.read(sample))).convert("RGB")
        written.append(folder / f"{number}.png")
        image.crop(box).save(written[-1])
    return written


def embed_files(backbone: Backbone, paths: list[Path], precision: str = "fp32") -> np.ndarray:
    """From the image file on, as extraction does it."""
    images = [backbone.preprocessing.pixels(decode(path.read_bytes())) for path in paths]
    return backbone.embed(torch.from_numpy(np.stack(images)), precision).numpy()


def largest_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference of any feature of any image, over the image's root mean square."""
    return float((np.abs(ours - theirs).max(1) / np.sqrt((theirs**2).mean(1))).max())
