"""Images with speckle, and the mask of a sector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def grain(seed: int, size: tuple[int, int] = (200, 150), level: float = 45) -> Image.Image:
    """Grey tissue with speckle."""
    values = np.random.default_rng(seed).gamma(4, level / 4, (size[1] // 3, size[0] // 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8)).resize(size).convert("RGB")


def save_mask(path: Path, **options: Any) -> np.ndarray:
    keep = np.zeros((150, 200), bool)
    keep[20:100, 30:180] = True
    Image.fromarray(keep).save(path, **options)
    return keep
