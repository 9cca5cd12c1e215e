"""TIFF images: their tags decide how pixels are read, or why they are refused.

Pillow reads unsigned samples of up to 8 bits, and plain grey of 16 bits. It silently misreads other
combinations of tags (signed, planar, 0 as white, 12 bits), and tifffile reads those.
"""

from __future__ import annotations

import importlib.util
import io
import itertools
import logging
import re
import struct
from importlib import metadata

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from tifffile import TIFF, TiffFile, TiffPage

from bottleneck.data.images.display import AS_STORED, Conversion, Display
from bottleneck.data.images.formats.pillow_formats import FRAMES
from bottleneck.data.images.formats.tiff_tags import (
    CMYK,
    MIN_IS_BLACK,
    MIN_IS_WHITE,
    PALETTE,
    YCBCR,
    Tags,
    read_tags,
)
from bottleneck.data.images.rgb_conversion import (
    conversion_of,
    flattened,
    grey_image,
    level_table,
    looked_up,
)
from bottleneck.data.images.size_limits import refuse_size
from bottleneck.errors import DecodeError, MissingExtraError

__all__ = ["CODEC", "read_tiff"]

# The decoders besides Pillow, with versions: another version may decode the same bytes otherwise.
CODEC = "-".join(
    f"{name}-{metadata.version(name)}"
    for name in ("tifffile", "imagecodecs")
    if importlib.util.find_spec(name)
)

_REDUCED, _MASK = 1, 4
# A malicious file can have any number; whether there are more pages changes nothing.
_MAX_PAGES = 300
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# tifffile logs what it repairs. Here, such a file is refused.
logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)


def read_tiff(
    data: bytes, display: Display, notes: list[str]
) -> tuple[Image.Image, Conversion | None]:
    """Return the image of a TIFF file in mode RGB, upright, and how it got its levels.

    Parameters and errors are those of ``read_with_pillow``.
    """
    # False: formats of microscopes for which tifffile has rules of its own.
    with TiffFile(io.BytesIO(data), is_lsm=False, is_ndpi=False, is_scanimage=False) as file:
        page = _full_page(file, notes)
        tags = read_tags(page, len(data))
        if _pillow_reads(tags, page):
            return _read_with_pillow(data, page, tags, display, notes)
        image, conversion = _read_with_tifffile(page, tags, display, notes)
    if tags.orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[tags.orientation])
    return image, conversion


def _full_page(file: TiffFile, notes: list[str]) -> TiffPage:
    """Return the only page that is not a reduced copy or a mask of another."""
    every = itertools.chain.from_iterable(
        itertools.chain((page,), page.pages or ()) for page in file.pages
    )
    # By offset, since a damaged list of pages can lead back to one of them.
    unique = {page.offset: page for page in itertools.islice(every, _MAX_PAGES)}
    pages = [page for page in unique.values() if isinstance(page, TiffPage)]
    if not pages:
        raise DecodeError("damaged image: a TIFF that ends before its first page")
    full = [page for page in pages if not page.subfiletype & (_REDUCED | _MASK)]
    n_frames = len(full) if len(full) != 1 else _count_hidden(full[0])
    if n_frames > 1:
        more = " or more" if len(pages) == _MAX_PAGES else ""
        raise DecodeError(f"{n_frames}{more} {FRAMES}")
    if not full:
        raise DecodeError("a TIFF that holds only a reduced copy or a mask of its image")
    if len(pages) > 1:
        notes.append(
            "a TIFF also holds reduced copies or a mask of its image: the full-size image is used"
        )
    return full[0]


def _count_hidden(page: TiffPage) -> int:
    """Return the number of frames that ImageJ, tifffile and MetaMorph store behind one page."""
    description = page.description if isinstance(page.description, str) else ""
    if page.is_imagej and (images := re.search(r"^images=(\d{1,9})", description, re.MULTILINE)):
        return int(images[1])
    if shape := re.match(r'\{"shape": \[([\d, ]+)\]', description):
        sizes = [int(size) for size in shape[1].split(",")]
        n_samples = page.imagewidth * page.imagelength * page.samplesperpixel
        return int(np.prod(sizes, dtype=float)) // max(1, n_samples)
    planes = page.tags.get(33629)  # UIC2 of MetaMorph has one entry per plane.
    return planes.count if planes else 1


def _pillow_reads(tags: Tags, page: TiffPage) -> bool:
    if tags.compression in ("CCITT", "JPEG"):
        return True
    parent = page.parent
    if parent.is_bigtiff and parent.byteorder == ">":
        return False
    # Older versions of Pillow misread uncompressed YCbCr, or lack these compressions.
    if tags.photometric == YCBCR or tags.compression in ("Zstandard", "LZMA"):
        return False
    if page.sampleformat != 1 or tags.planar or tags.alpha == 1 or page.fillorder != 1:
        return False
    if tags.is_grey and tags.samples > 1:
        return tags.bits == 8 and tags.photometric == MIN_IS_BLACK
    if tags.is_grey:
        return tags.bits in (1, 2, 4, 8) or (tags.bits, tags.photometric) == (16, MIN_IS_BLACK)
    return tags.bits == 8 or tags.photometric == PALETTE


def _read_with_pillow(
    data: bytes, page: TiffPage, tags: Tags, display: Display, notes: list[str]
) -> tuple[Image.Image, Conversion | None]:
    if tags.compression == "JPEG":
        _refuse_jpeg_streams(data, page)
    palette = _palette(page, tags, notes) if tags.photometric == PALETTE else None
    try:
        opened = Image.open(io.BytesIO(_starting_with(data, page)), formats=["TIFF"])
    except UnidentifiedImageError:
        raise DecodeError(
            "a TIFF with tags that no available decoder reads: save it as PNG"
        ) from None
    with opened as image:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        if tags.bits == 16:
            grey = grey_image(np.asarray(image).astype(np.uint16), tags.declared, display)
            return flattened(grey), Conversion.of_depth("uint16", grey=True)
        if palette is not None:
            colours = looked_up(np.asarray(image), palette)
            return Image.fromarray(colours), Conversion.of_palette()
        return flattened(image), conversion_of(image)


def _refuse_jpeg_streams(data: bytes, page: TiffPage) -> None:
    """Raise an error if a JPEG stream is cut off, which libtiff fills, or has too many scans."""
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        end = data[max(offset, offset + count - 16) : offset + count]
        if not end.rstrip(b"\0").endswith(b"\xff\xd9"):
            raise DecodeError("damaged image: its data end too early")
    n_scans = -(-data.count(b"\xff\xda") // len(page.dataoffsets))
    refuse_size(page.imagewidth, page.imagelength, n_scans)


def _starting_with(data: bytes, page: TiffPage) -> bytes:
    """Return a file with another first page, the one that Pillow opens."""
    if data[2:4] in (b"\x2b\0", b"\0\x2b"):  # BigTIFF.
        return data[:8] + struct.pack(page.parent.byteorder + "Q", page.offset) + data[16:]
    return data[:4] + struct.pack(page.parent.byteorder + "I", page.offset) + data[8:]


def _palette(page: TiffPage, tags: Tags, notes: list[str]) -> NDArray[np.uint8]:
    """Return the colours of a ColorMap (TIFF 6.0, section 5), shape (256, 3)."""
    entries = np.asarray(page.tags.valueof(320, ()), np.uint16)
    if entries.size != 3 * 2**tags.bits:
        raise DecodeError(
            f"damaged image: a palette of {entries.size // 3} colours, not {2**tags.bits}"
        )
    if entries.max() < 256:
        notes.append("the palette of a TIFF has 8-bit values in 16-bit entries, used as such")
        entries = entries * np.uint16(257)
    colours = np.zeros((256, 3), np.uint8)
    colours[: 2**tags.bits] = (
        looked_up(entries, level_table((0, 65535), np.dtype(np.uint16))).reshape(3, -1).T
    )
    return colours


def _read_with_tifffile(
    page: TiffPage, tags: Tags, display: Display, notes: list[str]
) -> tuple[Image.Image, Conversion | None]:
    _refuse_missing_codec(tags, page)
    if tags.photometric == PALETTE:
        colours = _stored(page, tags, _palette(page, tags, notes))
        return Image.fromarray(colours), Conversion.of_palette()
    table = None if tags.declared is None else level_table(tags.declared, _type(page, tags))
    if tags.is_grey:
        values = _stored(page, tags)
        image = grey_image(
            values[:, :, 0],
            tags.declared,
            display if tags.bits > 8 else AS_STORED,
            inverted=tags.photometric == MIN_IS_WHITE,
        )
        if tags.alpha == 2 and table is not None:
            image.putalpha(Image.fromarray(looked_up(values[:, :, 1], table)))
    else:
        levels = _stored(page, tags, table)
        # Over black, colours that are multiplied by their alpha stay as they are.
        levels = levels[:, :, :3] if tags.alpha == 1 else levels
        mode = {CMYK: "CMYK", YCBCR: "YCbCr"}.get(tags.photometric)
        image = Image.fromarray(np.ascontiguousarray(levels), mode)
    conversion = conversion_of(image)
    if tags.bits > 8 or tags.kind != "uint":
        conversion = Conversion.of_depth(f"{tags.kind}{tags.bits}", tags.is_grey)
    return flattened(image), conversion


def _type(page: TiffPage, tags: Tags) -> np.dtype:
    return np.dtype(np.uint8) if tags.bits == 1 or page.dtype is None else page.dtype


def _stored(page: TiffPage, tags: Tags, table: NDArray[np.uint8] | None = None) -> NDArray:
    """Return samples, or their entries in a table, of shape (height, width, samples)."""
    _refuse_unpacked(page, tags)
    height, width = page.imagelength, page.imagewidth
    kind = _type(page, tags)
    if table is None:
        result = np.empty((height, width, tags.samples), kind)
    else:
        result = np.empty((height, width, tags.samples * table[0].size), np.uint8)
    # One worker: images are decoded in parallel already.
    for segment, (plane, _, top, left, _), _ in page.segments(maxworkers=1):
        if segment is None:
            raise DecodeError("damaged image: strips or tiles of a TIFF are missing")
        part = segment[0, : height - top, : width - left].astype(kind, copy=False)
        if table is not None:
            part = looked_up(part, table).reshape(*part.shape[:2], -1)
        bottom, right = top + part.shape[0], left + part.shape[1]
        result[top:bottom, left:right, plane : plane + part.shape[2]] = part
    return result


def _refuse_unpacked(page: TiffPage, tags: Tags) -> None:
    """Raise an error if compressed samples of 12 bits, for example, are stored in two bytes."""
    if tags.compression == "no" or tags.bits in (8, 16, 32, 64) or page.fillorder != 1:
        return
    file = page.parent.filehandle
    file.seek(page.dataoffsets[0])
    decompress = TIFF.DECOMPRESSORS[page.compression]
    _, _, (_, rows, width, samples) = page.decode(None, 0)
    unpacked = rows * width * samples * (1 + (tags.bits > 8))
    n_bytes = len(decompress(file.read(page.databytecounts[0]), out=unpacked))
    if n_bytes > rows * -(-width * samples * tags.bits // 8):
        raise DecodeError(f"damaged image: a TIFF whose samples do not have {tags.bits} bits")


def _refuse_missing_codec(tags: Tags, page: TiffPage) -> None:
    """Raise an error if tifffile would decode without imagecodecs: not at all, or without limit."""
    if tags.compression == "no" and tags.bits in (8, 16, 32, 64) and page.fillorder == 1:
        return
    try:
        import imagecodecs  # noqa: F401  # tifffile uses it; imported here for the message.
    except ImportError:
        raise MissingExtraError(
            f"the data set contains TIFF files ({tags.compression} compression, {tags.bits} bits) "
            "for which a package is missing (imagecodecs). Install it with",
            "  pip install 'bottleneck-features[medical]'",
        ) from None
