"""Pictures that transformers reads as other pixels than we do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from bottleneck.data.images.decode import decode, is_dicom

__all__ = ["find_other_reading"]

_PERHAPS_TRANSPARENT = ("P", "PA", "LA", "La", "RGBA", "RGBa")


def find_other_reading(path: Path) -> str | None:
    """Return why transformers reads other pixels from a picture file; None if it reads the same.

    Parameters
    ----------
    path : Path
        A picture that ``decode`` reads.

    Raises
    ------
    DecodeError
        If ``decode`` does not read it.
    MissingExtraError
        If an optional package reads such files, and is not installed.
    """
    from transformers.image_utils import load_image

    data = path.read_bytes()
    ours = decode(data)
    if is_dicom(data):
        return "it is a DICOM file, which transformers does not read"
    try:
        theirs = load_image(str(path))
    except (OSError, ValueError):  # Of Pillow: no known format, or one that it cannot decode.
        return "transformers does not read this kind of file"
    if ours.size == theirs.size and np.array_equal(np.asarray(ours), np.asarray(theirs)):
        return None
    with Image.open(path) as stored:
        mode = stored.mode
    if mode.startswith(("I", "F")):
        return (
            f"it has more than 8 bits per pixel (Pillow's mode {mode}), which transformers clips "
            "at 255 and bottleneck scales"
        )
    if mode in _PERHAPS_TRANSPARENT:
        return "it has transparency, which transformers ignores and bottleneck puts on black"
    return f"transformers reads other pixels from it (Pillow's mode {mode})"
