"""Images of all formats but DICOM and TIFF, read by Pillow.

Pillow reduces samples to modes that hide what a file declares: 12 of 16 bits, a maximum of 4095, a
sign. Where the levels depend on it, it is read here.
"""

from __future__ import annotations

import dataclasses
import io
import math
import re
import struct
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from bottleneck.data.images.display import AS_STORED, Conversion, Display
from bottleneck.data.images.rgb_conversion import (
    conversion_of,
    flattened,
    grey_image,
    level_table,
    looked_up,
)
from bottleneck.data.images.size_limits import refuse_size
from bottleneck.errors import DecodeError, MissingExtraError

__all__ = ["FRAMES", "read_with_pillow"]

FRAMES = "frames in one file: save each frame as an image of its own"
# Pillow could open fifty more formats, one of them by running another program.
_FORMATS = ("PNG", "JPEG", "JPEG2000", "BMP", "DIB", "GIF", "WEBP", "PPM")
_FIRST_OF_SEVERAL = (
    "a JPEG holds several images, as phones and cameras write them (a preview, a gain map): the "
    "first is used"
)
_CODESTREAM = b"\xff\x4f\xff\x51"
# sRGB, grey and sYCC (ISO 15444-1, I.5.3.3).
_COLOUR_SPACES = (16, 17, 18)
# Pillow warns about images near its limit, for which ``refuse_size`` raises an error, and about
# damaged lists of the images in a JPEG, of which only the first is read.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", "Image appears to be a malformed MPO", UserWarning)


@dataclasses.dataclass(frozen=True)
class _Samples:
    """What a file declares about its samples: their number of bits, and their range."""

    bits: int = 8
    low: int = 0
    high: int = 255


def read_with_pillow(
    data: bytes, display: Display, notes: list[str]
) -> tuple[Image.Image, Conversion | None]:
    """Return an image in mode RGB, upright, and how it got its levels.

    Parameters
    ----------
    data : bytes
        An encoded image.
    display : Display
        How grey values of more than 8 bits become levels, if not as the file states.
    notes : list of str
        Notes for the user are appended to it.

    Raises
    ------
    DecodeError
        If the policy refuses the file. A damaged file may raise any other exception.
    """
    with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
        samples = _refuse_by_header(opened, data)
        image: Image.Image = opened
        if image.format == "MPO" or "mp" in image.info:
            notes.append(_FIRST_OF_SEVERAL)
        if samples.bits > 8 and image.format == "JPEG2000" and image.mode[0] != "I":
            return _read_jpeg_2000(data, samples, display)
        if image.format == "PPM" and samples.high != 255 and data[1] in b"56":
            return _read_netpbm(data, opened, samples, display)
        if image.format == "PNG" and opened.tile[0][3] == "LA;16B":
            return _read_png_with_alpha(opened, samples, display)
        n_colours = _count_colours(opened)
        image.load()
        if image.mode == "P" and any(image.histogram()[n_colours:]):
            raise DecodeError("damaged image: pixels that are not in its palette")
        if samples.bits < 8:  # Pillow shifts samples to the left.
            top = (2**samples.bits - 1) << (8 - samples.bits)
            table = level_table((0, top), np.dtype(np.uint8))
            image = image.point(table.tolist() * len(image.getbands()))
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode[0] in "IF":
            return _deep_grey(image, samples, display)
        conversion = conversion_of(image)
        if samples.bits > 8:
            conversion = Conversion.of_depth(f"{samples.bits} bits", grey=False)
        return flattened(image), conversion


def _refuse_by_header(image: ImageFile.ImageFile, data: bytes) -> _Samples:
    is_jpeg = image.format in ("JPEG", "MPO")
    refuse_size(*image.size, data.count(b"\xff\xda") if is_jpeg else 1)
    if is_jpeg:
        if image.mode == "CMYK" and "adobe" not in image.info:
            raise DecodeError(
                "a CMYK JPEG that does not state whether 0 or 255 is full ink: save it as RGB"
            )
        return _Samples()
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise DecodeError(f"{frames} {FRAMES}")
    if image.format == "PNG":
        return _png_samples(image)
    if image.format == "PPM":
        return _netpbm_samples(image, data)
    if image.format == "JPEG2000":
        return _jpeg_2000_samples(image, data)
    if image.format in ("BMP", "DIB"):
        _refuse_bitmap(image, data)
    return _Samples()


def _png_samples(image: ImageFile.ImageFile) -> _Samples:
    rawmode = str(image.tile[0][3])
    if "16" not in rawmode:
        scales = {"1": 255, "L;2": 85, "L;4": 17}
        if rawmode in scales and "transparency" in image.info:
            # Pillow scales samples, but not (in older versions) the one that is transparent.
            image.info["transparency"] = min(255, image.info["transparency"] * scales[rawmode])
        return _Samples()
    if image.mode == "RGB" and "transparency" in image.info:
        raise DecodeError("a 16-bit PNG with one transparent colour: save it without transparency")
    return _Samples(16, 0, 65535)


def _count_colours(image: Image.Image) -> int:
    """Return the number of colours in the palette of an image that is not loaded yet."""
    palette = image.palette
    return len(palette.palette) // len(palette.rawmode or palette.mode) if palette else 0


def _read_png_with_alpha(
    image: ImageFile.ImageFile, samples: _Samples, display: Display
) -> tuple[Image.Image, Conversion]:
    """Read grey and alpha of 16 bits, whose low bytes Pillow would leave out."""
    image.tile = [(*image.tile[0][:3], "RGBA")]  # type: ignore[list-item]  # A tuple will do.
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    values = np.asarray(image).view(">u2").astype(np.uint16)
    declared = samples.low, samples.high
    shown = grey_image(values[:, :, 0], declared, display)
    shown.putalpha(Image.fromarray(looked_up(values[:, :, 1], level_table(declared, values.dtype))))
    return flattened(shown), Conversion.of_depth("16 bits", grey=True)


def _netpbm_samples(image: ImageFile.ImageFile, data: bytes) -> _Samples:
    if not re.match(rb"P[1-6f]\s", data):
        raise DecodeError("not an image in a supported format")
    start, arguments = image.tile[0][2:4]
    top = 255
    if isinstance(arguments, tuple) and image.mode != "F":
        top = int(arguments[1])
    elif image.mode == "I":
        top = 65535
    if data[1] in b"456":
        row = (image.width + 7) // 8 if data[1] == ord("4") else image.width * (1 + (top > 255))
        end = start + row * image.height * (3 if data[1] == ord("6") else 1)
        if end > len(data):
            raise DecodeError("damaged image: its data end too early")
        if re.match(rb"\s*P[1-7]\s", data[end : end + 20]):
            raise DecodeError(f"several {FRAMES}")
    return _Samples(max(8, top.bit_length()), 0, top)


def _read_netpbm(
    data: bytes, image: ImageFile.ImageFile, samples: _Samples, display: Display
) -> tuple[Image.Image, Conversion | None]:
    """Read binary samples of another maximum than 255; Pillow takes a second for a million."""
    shape = image.height, image.width, *((3,) if data[1] == ord("6") else ())
    kind = ">u2" if samples.high > 255 else "u1"
    values = np.frombuffer(data, kind, math.prod(shape), image.tile[0][2]).reshape(shape)
    values = values.astype(np.uint16)
    declared, deep = (samples.low, samples.high), samples.bits > 8
    if len(shape) == 2:
        shown = grey_image(values, declared, display if deep else AS_STORED)
    else:
        shown = Image.fromarray(looked_up(values, level_table(declared, values.dtype)))
    conversion = Conversion.of_depth(f"{samples.bits} bits", grey=len(shape) == 2)
    return flattened(shown), conversion if deep else None


def _jpeg_2000_samples(image: Image.Image, data: bytes) -> _Samples:
    """Return what the SIZ segment declares (ISO 15444-1, A.5.1); Pillow hides it."""
    start = data.find(_CODESTREAM)
    (n_components,) = struct.unpack_from(">H", data, start + 40)
    depths = {data[start + 42 + 3 * i] for i in range(n_components)}
    if len(depths) > 1:
        raise DecodeError("channels of different depth or sign: save it as 8-bit RGB")
    depth = depths.pop()
    bits, signed = (depth & 127) + 1, depth > 127
    if bits > 16:
        raise DecodeError(f"{bits} bits per sample: 1 to 16 are supported")
    header = data[:start]
    if b"pclr" in header:  # Pillow leaves out repeated colours, which shifts the others.
        raise DecodeError("a JPEG 2000 with a palette: save it as RGB")
    colours = re.search(rb"colr\x01..(.{4})", header, re.DOTALL)
    if colours and int.from_bytes(colours[1], "big") not in _COLOUR_SPACES:
        raise DecodeError("a JPEG 2000 that is neither grey nor RGB nor sYCC: save it as RGB")
    low = -(2 ** (bits - 1)) if signed else 0
    return _Samples(bits, low, low + 2**bits - 1)


def _refuse_bitmap(image: Image.Image, data: bytes) -> None:
    """Raise an error if Pillow would take indices of one width for samples of another."""
    at = 14 if data[:2] == b"BM" else 0
    (bits,) = struct.unpack_from("<H", data, at + (10 if data[at] == 12 else 14))
    if (image.mode == "1" and bits != 1) or (image.mode == "L" and bits != 8):
        raise DecodeError(f"a BMP of {bits} bits with a palette of few greys: save it as PNG")


def _deep_grey(
    image: Image.Image, samples: _Samples, display: Display
) -> tuple[Image.Image, Conversion]:
    values = np.asarray(image)
    declared: tuple[int, int] | None = None
    if image.mode != "F":
        declared = samples.low, samples.high
        values = _stored(values, image.format, samples)
    grey = grey_image(values, declared, display)
    if "transparency" in image.info:
        opaque = np.asarray(image) != image.info["transparency"]
        grey = Image.merge("LA", (grey, Image.fromarray(opaque.astype(np.uint8) * 255)))
    name = "float32" if declared is None else f"{samples.bits} bits"
    return flattened(grey), Conversion.of_depth(name, grey=True)


def _stored(values: NDArray, format_: str | None, samples: _Samples) -> NDArray:
    """Return stored values, which Pillow scales to 16 bits."""
    if format_ == "PPM":
        return np.rint(values.astype(np.float32) * (samples.high / 65535)).astype(np.uint16)
    if format_ == "JPEG2000":
        return ((values >> (16 - samples.bits)).astype(np.int32) + samples.low).astype(
            np.int16 if samples.low else np.uint16
        )
    return values.astype(np.uint16)


def _read_jpeg_2000(
    data: bytes, samples: _Samples, display: Display
) -> tuple[Image.Image, Conversion]:
    """Decode more than 8 bits with imagecodecs; Pillow shows the largest values as black."""
    try:
        import imagecodecs
    except ImportError:
        raise MissingExtraError(
            "the data set contains JPEG 2000 images of more than 8 bits, and a package that reads "
            "them is missing (imagecodecs). Install it with",
            "  pip install 'bottleneck-features[medical]'",
        ) from None
    values = imagecodecs.jpeg2k_decode(data)
    if values.ndim == 2:
        grey = grey_image(values, (samples.low, samples.high), display)
        return flattened(grey), Conversion.of_depth(f"{samples.bits} bits", grey=True)
    levels = looked_up(values, level_table((samples.low, samples.high), values.dtype))
    return flattened(Image.fromarray(levels)), Conversion.of_depth(
        f"{samples.bits} bits", grey=False
    )
