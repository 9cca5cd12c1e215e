"""Images embedded in a page, which show patients and are there on request only."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import UsageError
from bottleneck.evaluation.cases.shown_images import NO_IMAGES
from bottleneck.evaluation.cases.wrong_cases import ImageName
from bottleneck.evaluation.results.comparison_results import Comparison, External
from bottleneck.text.plain_text import without_paths

__all__ = ["data_url", "describe_name", "list_parts", "refuse_without_images"]

# Smaller images are stored without loss.
_SMALL = 64
_QUALITY = 88


def data_url(image: NDArray[np.uint8]) -> str:
    """Return an image as a ``data:`` URL.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width) or (height, width, 3)
        Grey or RGB.

    Returns
    -------
    str
        A PNG, or a JPEG where a side is longer than 64 pixels.
    """
    from PIL import Image

    pixels = np.ascontiguousarray(image, np.uint8)
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = np.ascontiguousarray(pixels[..., 0])
    kind = "png" if max(pixels.shape[:2]) <= _SMALL else "jpeg"
    out = io.BytesIO()
    options = {} if kind == "png" else {"quality": _QUALITY}
    Image.fromarray(pixels).save(out, kind.upper(), **options)
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"


def describe_name(name: ImageName) -> str:
    """Return what identifies an image in a few words, without absolute paths.

    Examples
    --------
    >>> describe_name(ImageName("7-1", "p7", "benign/7-1.png"))
    '7-1, patient p7, benign/7-1.png'
    """
    parts = [name.id]
    if name.patient:
        parts.append(f"patient {name.patient}")
    if name.source and name.source != name.id:
        parts.append(name.source)
    return ", ".join(map(without_paths, parts))


def list_parts(comparison: Comparison) -> list[Comparison | External]:
    """Return a comparison and its external cohorts, which have errors and images of their own."""
    return [comparison, *comparison.external]


def refuse_without_images(comparison: Comparison) -> None:
    """Raise an error if a page should show images, and the comparison holds none.

    Raises
    ------
    UsageError
        If something is to be illustrated, and there is no thumbnail.
    """
    parts = list_parts(comparison)
    if any(part.image_names for part in parts) and not any(part.thumbnails for part in parts):
        raise UsageError(NO_IMAGES)
