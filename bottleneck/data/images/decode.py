"""One decoder, with one declared policy, for every encoded image.

The policy (``POLICY`` names it in every recipe; a change of it is a new name):

- The result is 8-bit RGB, upright: an EXIF rotation is applied before anything else.
- Grey is repeated into the three channels; a palette is looked up.
- 16-bit grey is scaled from its full range, 0–65535, to 0–255. An image that uses only the
  lowest sixteenth of that range would reach the network black; it is refused, not guessed at.
- Alpha is composited over black. CMYK is converted as Pillow does.
- Floating-point and 32-bit pixels have no declared range and are refused, as are files of several
  frames, images below 8 pixels a side, truncated data, and decompression bombs: more than 89
  million pixels, or a JPEG that makes the decoder pass over its pixels thousands of times.
- PNG, JPEG, JPEG 2000, TIFF, BMP, GIF, WebP and netpbm are read. Pillow opens fifty formats more,
  one of them by running another program.
- DICOM files are read with the extra ``medical``, and shown as their own headers say: the policy
  for them stands in ``bottleneck.data.images.dicom``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import threading
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from bottleneck.data.images.size_limits import refuse_size, strips
from bottleneck.data.samples import Box
from bottleneck.errors import DecodeError, MissingExtraError

__all__ = [
    "LOADING",
    "MIN_SIDE",
    "POLICY",
    "THUMBNAIL_SIDE",
    "PixelFacts",
    "codec",
    "decode",
    "is_dicom",
    "make_thumbnail",
    "pixel_facts",
]

POLICY = "1"
# Around imports of what may not be installed. A thread that waits for another's import is not told
# that it failed, and finds half a module.
LOADING = threading.Lock()
# Near-duplicates are recognised in so many pixels; text cannot be read in them.
THUMBNAIL_SIDE = 32

# A picture below it is none.
MIN_SIDE = 8
_ORIENTATION = 0x0112
_FORMATS = ("PNG", "JPEG", "JPEG2000", "TIFF", "BMP", "DIB", "GIF", "WEBP", "PPM")
# Pillow warns from about here on; the image is refused below, and that says it once.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@dataclasses.dataclass(frozen=True, slots=True)
class PixelFacts:
    """What is recorded of a decoded image beside its features.

    Attributes
    ----------
    pixels : str
        sha256 of size and RGB bytes: equal for two encodings of one picture.
    size : tuple of int
        Width and height.
    brightness : float
        Mean grey value, 0 to 255.
    thumbnail : bytes
        The 32 × 32 pixels that ``make_thumbnail`` returns, row by row.
    """

    pixels: str
    size: tuple[int, int]
    brightness: float
    thumbnail: bytes


def decode(data: bytes, region: Box | None = None) -> Image.Image:
    """Decode an image under the policy of this module.

    Parameters
    ----------
    data : bytes
        An encoded image.
    region : tuple of int, optional
        Left, top, right, bottom of the part to keep, in pixels of the upright image.

    Returns
    -------
    PIL.Image.Image
        Mode RGB.

    Raises
    ------
    DecodeError
        If the bytes are no image, a damaged one, or one that the policy refuses.
    MissingExtraError
        If they are a DICOM file, and the extra ``medical`` is not installed.
    """
    if not data:
        raise DecodeError("the file is empty")
    try:
        image = _decode_dicom(data) if is_dicom(data) else _decode_other(data)
    except (DecodeError, MissingExtraError):
        raise
    except MemoryError:
        raise DecodeError("the memory was too small to decode it") from None
    except UnidentifiedImageError:
        raise DecodeError("not an image in a format that can be read") from None
    except Image.DecompressionBombError as error:
        raise DecodeError(f"refused: {error}") from None
    # A decoder fed with damaged or hostile bytes may raise anything at all, and one bad
    # image must not end a run over a hundred thousand good ones.
    except Exception as error:  # noqa: BLE001
        raise DecodeError(f"damaged image: {error}") from None
    if region is not None:
        image = _cropped(image, region)
    if min(image.size) < MIN_SIDE:
        width, height = image.size
        raise DecodeError(f"{width}×{height} pixels: a picture needs {MIN_SIDE} on each side")
    return image


def is_dicom(data: bytes) -> bool:
    """Tell whether bytes begin as a DICOM file does: 128 of any kind, then DICM (PS3.10, 7.1)."""
    return data[128:132] == b"DICM"


def codec(data: bytes) -> str:
    """Name what decodes an encoded image beside Pillow, with versions; "" for most.

    Parameters
    ----------
    data : bytes
        An encoded image.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    if not is_dicom(data):
        return ""
    with LOADING:
        from bottleneck.data.images.dicom import CODEC

    return CODEC


def pixel_facts(image: Image.Image, rgb: NDArray[np.uint8] | None = None) -> PixelFacts:
    """Describe a decoded image.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB, as ``decode`` returns it.
    rgb : ndarray of uint8, shape (height, width, 3), optional
        Its pixels, where they are at hand.
    """
    rgb = np.asarray(image) if rgb is None else rgb
    grey = image.convert("L")
    total = int(np.dot(grey.histogram(), np.arange(256)))
    thumbnail = _shrunk(grey)
    digest = hashlib.sha256(b"%dx%d:" % image.size)
    digest.update(rgb.data)
    return PixelFacts(
        pixels=digest.hexdigest(),
        size=image.size,
        brightness=total / (image.width * image.height),
        thumbnail=thumbnail.tobytes(),
    )


def make_thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    """Shrink an image to the small grey square in which near-duplicates are recognised.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB, as ``decode`` returns it.

    Returns
    -------
    ndarray of uint8, shape (32, 32)
        Whatever the shape of the image.
    """
    return _shrunk(image.convert("L"))


def _decode_dicom(data: bytes) -> Image.Image:
    with LOADING:
        from bottleneck.data.images.dicom import read_picture

    return read_picture(data)


def _decode_other(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
        _refuse_by_header(opened, data)
        opened.load()
        ImageOps.exif_transpose(opened, in_place=True)
        return _rgb(opened)


def _shrunk(grey: Image.Image) -> NDArray[np.uint8]:
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return np.asarray(grey.resize(side, Image.Resampling.LANCZOS))


def _refuse_by_header(image: Image.Image, data: bytes) -> None:
    refuse_size(*image.size, data.count(b"\xff\xda") if image.format in ("JPEG", "MPO") else 1)
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise DecodeError(f"{frames} frames in one file: save each frame as an image of its own")


def _rgb(image: Image.Image) -> Image.Image:
    # Older Pillow opens 16-bit PNG as "I"; other "I" images are true 32-bit ones.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return _from_16_bit(np.asarray(image)).convert("RGB")
    if image.mode in ("I", "F"):
        raise DecodeError(
            f"{image.mode} pixels (32-bit) have no declared range: save the image with 8 or 16 bits"
        )
    if image.mode == "RGB":
        return image
    result = Image.new("RGB", image.size)
    for box in strips(*image.size):
        result.paste(_strip_rgb(image.crop(box)), box)
    return result


def _strip_rgb(strip: Image.Image) -> Image.Image:
    if strip.mode == "P" and "transparency" in strip.info:
        strip = strip.convert("RGBA")
    if strip.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        strip = strip.convert("RGBA")
        black = Image.new("RGBA", strip.size, (0, 0, 0, 255))
        strip = Image.alpha_composite(black, strip)
    return strip.convert("RGB")


def _from_16_bit(values: np.ndarray) -> Image.Image:
    top = int(values.max())
    if 0 < top < 4096:
        raise DecodeError(
            f"16-bit image that uses only 0–{top} of 0–65535 and would come out black: "
            "scale it to the full range, or save it with 8 bits"
        )
    scaled = np.empty(values.shape, np.uint8)
    for _, start, _, stop in strips(values.shape[1], values.shape[0]):
        scaled[start:stop] = (values[start:stop].astype(np.uint32) * 255 + 32767) // 65535
    return Image.fromarray(scaled)


def _cropped(image: Image.Image, region: Box) -> Image.Image:
    left, top, right, bottom = region
    right, bottom = min(right, image.width), min(bottom, image.height)
    left, top = max(left, 0), max(top, 0)
    if left >= right or top >= bottom:
        width, height = image.size
        raise DecodeError(f"region {region} lies outside the image of {width}×{height} pixels")
    return image.crop((left, top, right, bottom))
