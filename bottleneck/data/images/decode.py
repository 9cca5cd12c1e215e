"""One decoder with one declared policy for every encoded image.

The policy (every recipe contains its name, ``POLICY``; a change of the policy needs a new name):

- The result is 8-bit RGB, upright: an EXIF rotation is applied before anything else.
- Grey is repeated into the three channels; a palette is looked up. Alpha is composited over black.
  CMYK is converted as Pillow does. Colour profiles and gamma are not applied.
- Samples are scaled from the range that the file declares: bits per sample, sign, the maximum of
  netpbm. A TIFF whose 0 is white is inverted. Colour PNGs of 16 bits keep their high byte, which
  is less than a level away. 32-bit and floating-point samples declare no range; grey images of
  such types need a ``Display``.
- What comes from more than 8 bits, or through a palette, transparency, CMYK or a sign, is refused
  if it shows almost nothing (``display.refuse_faint``). A plain 8-bit image may be black.
- Of a JPEG that holds several images (MPO, gain maps), the first is used; of a TIFF with reduced
  copies, the full-size page. Notes say so. Other files of several frames are refused.
- Refused are also images with a side below 8 pixels; truncated data; combinations of TIFF tags
  that readers understand differently; and decompression bombs: more than 89 million pixels, or a
  JPEG with thousands of scans.
- PNG, JPEG, JPEG 2000, TIFF, BMP, GIF, WebP and netpbm are read. Pillow could open fifty more
  formats, one of them by running another program.
- DICOM files need the extra ``medical``; ``bottleneck.data.images.dicom.dicom_images`` states
  their policy.
  JPEG 2000 with colours of more than 8 bits needs it too, and compressed or packed TIFF that
  Pillow does not read in every supported version: 12 bits, 16-bit colours, signed, planar.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bottleneck.data.images.dicom.dicom_signature import is_dicom
from bottleneck.data.images.display import AS_STORED, NOT_DISPLAYED, Display, refuse_faint
from bottleneck.data.images.formats.pillow_formats import read_with_pillow
from bottleneck.data.images.unreadable import refusal
from bottleneck.data.samples.sample_table import Box
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
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


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
    box : tuple of six float, or None
        Least and largest LPS coordinates (mm) of the patch of a volume: x, y, z, x, y, z.
    """

    pixels: str
    size: tuple[int, int]
    brightness: float
    thumbnail: bytes
    notes: tuple[str, ...] = ()
    box: tuple[float, ...] | None = None


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
        If the image needs the extra ``medical``, and it is not installed.

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
    # Damaged or hostile bytes may make a decoder raise any exception, and one bad image must not
    # end a run over a hundred thousand good ones.
    except Exception as error:  # noqa: BLE001
        raise refusal(error, data) from None
    if region is not None:
        image = _cropped(image, region)
    if min(image.size) < MIN_SIDE:
        width, height = image.size
        raise DecodeError(f"{width}×{height} pixels: each side needs at least {MIN_SIDE}")
    return image, tuple(notes)


def codec(data: bytes) -> str:
    """Return the packages other than Pillow that decode an image, with their versions.

    Parameters
    ----------
    data : bytes
        An encoded image.

    Returns
    -------
    str
        "" for all formats but DICOM and TIFF.

    Raises
    ------
    MissingExtraError
        If these packages are not installed.
    """
    if is_dicom(data):
        with LOADING:
            from bottleneck.data.images.dicom.dicom_images import CODEC

            return CODEC
    if data.startswith(_TIFF):
        with LOADING:
            from bottleneck.data.images.formats import tiff

            return tiff.CODEC
    return ""


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
        from bottleneck.data.images.dicom.dicom_images import read_image

    return read_image(data, display, notes)


def _decode_other(data: bytes, display: Display, notes: list[str]) -> Image.Image:
    if data.startswith(_TIFF):
        with LOADING:
            from bottleneck.data.images.formats.tiff import read_tiff

        image, conversion = read_tiff(data, display, notes)
    else:
        image, conversion = read_with_pillow(data, display, notes)
    if display != AS_STORED and not (conversion and conversion.is_displayed):
        notes.append(NOT_DISPLAYED)
    if conversion is not None:
        refuse_faint(np.array(image.histogram()), conversion)
    return image


def _shrunk(grey: Image.Image) -> NDArray[np.uint8]:
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return np.asarray(grey.resize(side, Image.Resampling.LANCZOS))


def _cropped(image: Image.Image, region: Box) -> Image.Image:
    left, top, right, bottom = region
    right, bottom = min(right, image.width), min(bottom, image.height)
    left, top = max(left, 0), max(top, 0)
    if left >= right or top >= bottom:
        width, height = image.size
        raise DecodeError(f"region {region} lies outside the image of {width}×{height} pixels")
    return image.crop((left, top, right, bottom))
