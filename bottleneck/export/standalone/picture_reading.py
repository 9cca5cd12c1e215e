"""Pictures as arrays of 8-bit RGB, read as those that the model was trained on.

Pictures that Pillow alone would read otherwise are refused.
"""

from __future__ import annotations

import warnings
from os import PathLike
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

__all__ = ["read_picture"]

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
_MIN_SIDE, _MAX_RATIO = 8, 50
_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")


def read_picture(path: str | PathLike[str] | BinaryIO) -> NDArray[np.uint8]:
    """Return the pixels of a picture.

    An EXIF rotation is applied, alpha is composited over black, and 16-bit grey is scaled.

    Parameters
    ----------
    path : str, path-like or binary file
        A PNG, JPEG, BMP, GIF or WebP file.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        RGB.

    Raises
    ------
    ValueError
        If the picture is of an unsupported kind here.
    OSError
        If it cannot be read, or is not a picture of these formats.

    Examples
    --------
    >>> Image.new("L", (10, 8), 7).save("grey.png")
    >>> pixels = read_picture("grey.png")
    >>> pixels.shape, pixels[0, 0].tolist()
    ((8, 10, 3), [7, 7, 7])
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            pixels = _read(path)
    except (OSError, ValueError):
        raise
    # A damaged file may make Pillow raise any exception.
    except Exception as error:  # noqa: BLE001
        raise ValueError(f"it is damaged or too large: {error}") from None
    height, width = pixels.shape[:2]
    if min(height, width) < _MIN_SIDE or max(height, width) > _MAX_RATIO * min(height, width):
        raise ValueError(f"{width}×{height} pixels: too small, or too long and narrow")
    return pixels


def _read(path: str | PathLike[str] | BinaryIO) -> NDArray[np.uint8]:
    with _opened(path) as opened:
        _refuse_by_header(opened)
        opened.load()
        image: Image.Image = opened
        ImageOps.exif_transpose(image, in_place=True)
        is_deep = image.mode.startswith("I")
        if is_deep:
            image = Image.fromarray(np.rint(np.asarray(image) / 257.0).astype(np.uint8))
        is_plain = image.mode in ("1", "L", "RGB") and "transparency" not in image.info
        pixels = np.array(_flattened(image))
    if is_deep or not is_plain:
        _refuse_faint(pixels, is_deep=is_deep)
    return pixels


def _opened(path: str | PathLike[str] | BinaryIO) -> ImageFile.ImageFile:
    try:
        return Image.open(path, formats=_FORMATS)
    except UnidentifiedImageError:
        raise UnidentifiedImageError(f"it is not a file of {', '.join(_FORMATS)}") from None


def _refuse_by_header(image: ImageFile.ImageFile) -> None:
    if image.format in ("JPEG", "MPO"):
        if image.mode == "CMYK" and "adobe" not in image.info:
            raise ValueError(
                "a CMYK JPEG that does not state whether 0 or 255 is full ink: save it as RGB"
            )
        return
    if getattr(image, "n_frames", 1) > 1:
        raise ValueError("several frames in one file: save each frame as a picture of its own")
    rawmode = image.tile[0][3] if image.tile else ""
    if image.format == "PNG" and rawmode == "LA;16B":
        raise ValueError("grey and alpha of 16 bits: save it without an alpha channel")
    is_shallow = rawmode in ("1", "L;2", "L;4")
    if image.format == "PNG" and (is_shallow or "16" in str(rawmode)):
        if "transparency" in image.info:
            raise ValueError(f"a PNG with one transparent value, {rawmode}: save it without that")
    elif image.format == "BMP" and image.mode not in ("RGB", "P"):
        raise ValueError("a grey BMP, whose bits Pillow does not report: save it as PNG")


def _refuse_faint(pixels: NDArray[np.uint8], *, is_deep: bool) -> None:
    """Refuse levels that show almost nothing, as of 16-bit values that do not use their range."""
    for channel in np.moveaxis(pixels, 2, 0):
        counts = np.bincount(channel.ravel(), minlength=256)
        share = np.cumsum(counts) / channel.size
        low, high = int(np.argmax(share > 0.005)), int(np.argmax(share >= 0.995))
        black, between, white = np.add.reduceat(counts, (0, 33, 223)).tolist()
        is_black_and_white = between <= min(0.02 * channel.size, black, white)
        if high - low > 32 and not (is_deep and is_black_and_white):
            return
    raise ValueError(
        "it would show almost nothing, because its values do not use their range: scale it to the "
        "full "
        "range, and save it as 8-bit RGB"
    )


def _flattened(image: Image.Image) -> Image.Image:
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return image.convert("RGB")
