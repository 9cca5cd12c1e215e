"""One decoder with one declared policy for every encoded image.

The policy (every recipe contains its name, ``POLICY``; a change of the policy needs a new name):

- The result is 8-bit RGB, upright: an EXIF rotation is applied before anything else.
- Grey is repeated into the three channels; a palette is looked up.
- 16-bit grey is scaled from its full range, 0–65535, to 0–255. An image that uses only the lowest
  sixteenth of that range would become black; it is refused, because its true range is unknown.
- Alpha is composited over black. CMYK is converted as Pillow does.
- Refused are floating-point and 32-bit pixels, which have no declared range; files with several
  frames; images with a side below 8 pixels; truncated data; and decompression bombs: more than 89
  million pixels, or a JPEG with thousands of scans.
- PNG, JPEG, JPEG 2000, TIFF, BMP, GIF, WebP and netpbm are read. Pillow could open fifty more
  formats, one of them by running another program.
- DICOM files need the extra ``medical``; ``bottleneck.data.images.dicom`` states their policy.
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

from bottleneck.data.images.display import AS_STORED, Display
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
    "decode_with_notes",
    "is_dicom",
    "make_thumbnail",
    "pixel_facts",
]

POLICY = "2"
# Held during imports of optional packages. A thread that waits for another thread's import is not
# informed when that import fails, and would see a half-initialised module.
LOADING = threading.Lock()
# Side of a thumbnail in pixels: enough to recognise near-duplicates, too few to read text.
THUMBNAIL_SIDE = 32

# In pixels; a smaller image is not a medical image.
MIN_SIDE = 8
_ORIENTATION = 0x0112
_FORMATS = ("PNG", "JPEG", "JPEG2000", "TIFF", "BMP", "DIB", "GIF", "WEBP", "PPM")
# Pillow warns about images near this size; ``refuse_size`` raises an error instead.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@dataclasses.dataclass(frozen=True, slots=True)
class PixelFacts:
    """Facts about a decoded image that are stored with its features.

    Attributes
    ----------
    pixels : str
        sha256 of size and RGB bytes; two encodings of the same image have the same.
    size : tuple of int
        Width and height in pixels.
    brightness : float
        Mean grey value, 0 to 255.
    thumbnail : bytes
        The 32 × 32 pixels that ``make_thumbnail`` returns, row by row.
    notes : tuple of str
        The notes of ``decode_with_notes``. They are not stored in feature files.
    """

    pixels: str
    size: tuple[int, int]
    brightness: float
    thumbnail: bytes
    notes: tuple[str, ...] = ()


def decode(data: bytes, region: Box | None = None, display: Display = AS_STORED) -> Image.Image:
    """Return the pixels of an encoded image, under the policy of this module.

    Parameters
    ----------
    data : bytes
        An encoded image.
    region : tuple of int, optional
        Left, top, right and bottom of the part to keep, in pixels of the upright image.
    display : Display
        How values of more than 8 bits become levels, if not as the file states.

    Returns
    -------
    PIL.Image.Image
        Mode RGB.

    Raises
    ------
    DecodeError
        If the bytes are not an image, or an image that is damaged or that the policy refuses.
    MissingExtraError
        If the bytes are a DICOM file and the extra ``medical`` is not installed.

    Examples
    --------
    >>> from bottleneck.data.readers import load_dataset
    >>> dataset = load_dataset("phantom", limit=1)
    >>> image = decode(dataset.read(dataset.samples[0]), region=(10, 10, 110, 60))
    >>> image.mode, image.size
    ('RGB', (100, 50))
    """
    return decode_with_notes(data, region, display)[0]


def decode_with_notes(
    data: bytes, region: Box | None = None, display: Display = AS_STORED
) -> tuple[Image.Image, tuple[str, ...]]:
    """Return the pixels of an encoded image, and notes for the user about how it was decoded.

    Parameters and errors are those of ``decode``. A note has no name or number of the image in it,
    so that equal notes of many images can be counted.
    """
    if not data:
        raise DecodeError("the file is empty")
    notes: list[str] = []
    try:
        if is_dicom(data):
            image = _decode_dicom(data, display, notes)
        else:
            image = _decode_other(data, display, notes)
    except (DecodeError, MissingExtraError):
        raise
    except MemoryError:
        raise DecodeError("there was not enough memory to decode it") from None
    except UnidentifiedImageError:
        raise DecodeError("not an image in a supported format") from None
    except Image.DecompressionBombError as error:
        raise DecodeError(f"refused: {error}") from None
    # Damaged or hostile bytes may make a decoder raise any exception, and one bad image must not
    # end a run over a hundred thousand good ones.
    except Exception as error:  # noqa: BLE001
        raise DecodeError(f"damaged image: {error}") from None
    if region is not None:
        image = _cropped(image, region)
    if min(image.size) < MIN_SIDE:
        width, height = image.size
        raise DecodeError(f"{width}×{height} pixels: each side needs at least {MIN_SIDE}")
    return image, tuple(notes)


def is_dicom(data: bytes) -> bool:
    """Return whether bytes begin like a DICOM file: "DICM" after 128 bytes (PS3.10, 7.1)."""
    return data[128:132] == b"DICM"


def codec(data: bytes) -> str:
    """Return the packages other than Pillow that decode an image, with their versions.

    Parameters
    ----------
    data : bytes
        An encoded image.

    Returns
    -------
    str
        "" for all formats but DICOM.

    Raises
    ------
    MissingExtraError
        If these packages are not installed.
    """
    if not is_dicom(data):
        return ""
    with LOADING:
        from bottleneck.data.images.dicom import CODEC

    return CODEC


def pixel_facts(
    image: Image.Image, rgb: NDArray[np.uint8] | None = None, notes: tuple[str, ...] = ()
) -> PixelFacts:
    """Return the facts about a decoded image that are stored with its features.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB, as ``decode`` returns it.
    rgb : ndarray of uint8, shape (height, width, 3), optional
        The pixels of ``image``, if they were converted to an array before.
    notes : tuple of str
        The notes of ``decode_with_notes``.
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
        notes=notes,
    )


def make_thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    """Return the small grey version of an image in which near-duplicates are recognised.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB, as ``decode`` returns it.

    Returns
    -------
    ndarray of uint8, shape (32, 32)
        The aspect ratio of the image is not kept.
    """
    return _shrunk(image.convert("L"))


def _decode_dicom(data: bytes, display: Display, notes: list[str]) -> Image.Image:
    with LOADING:
        from bottleneck.data.images.dicom import read_image

    return read_image(data, display, notes)


def _decode_other(data: bytes, display: Display, notes: list[str]) -> Image.Image:
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
    # Older versions of Pillow open 16-bit PNG as mode "I"; other images of mode "I" have 32 bits.
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
            f"16-bit image that uses only 0–{top} of 0–65535 and would become black: "
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
