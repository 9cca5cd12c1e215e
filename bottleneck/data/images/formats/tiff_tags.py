"""Tags of a TIFF page: what they declare about its pixels, or why it is refused.

The numbers are those of TIFF 6.0 and its supplements. A combination that common readers understand
differently is refused.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffPage

from bottleneck.data.images.size_limits import refuse_size
from bottleneck.errors import DecodeError

__all__ = ["Tags", "read_tags"]

MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
# Samples per pixel without extra ones.
_COLOURS = {MIN_IS_WHITE: 1, MIN_IS_BLACK: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}
_OTHER_PHOTOMETRICS = {
    4: "a transparency mask",
    8: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32803: "raw sensor data (CFA)",
    32844: "LogL",
    32845: "LogLuv",
    34892: "raw sensor data (LinearRaw)",
    51177: "a depth map",
}
_COMPRESSIONS = {
    1: "no",
    2: "CCITT",
    3: "CCITT",
    4: "CCITT",
    5: "LZW",
    7: "JPEG",
    8: "Deflate",
    32773: "PackBits",
    32946: "Deflate",
    34925: "LZMA",
    50000: "Zstandard",
}
_PREDICTED = ("LZW", "Deflate", "LZMA", "Zstandard")
_KINDS = {1: "uint", 2: "int", 3: "float", 4: "uint"}  # 4 is undefined, to be read as unsigned.
_BITS = {"uint": (*range(1, 17), 32, 64), "int": (8, 16, 32, 64), "float": (16, 32, 64)}
_INK_SET, _SUBSAMPLING, _REFERENCE = 332, 530, 532
_NO_HEADROOM = (0, 255, 128, 255, 128, 255)
# Each strip or tile takes some microseconds, whatever its size.
_MAX_SEGMENTS = 500_000
# In bytes, at the end of an uncompressed strip.
_MAX_PADDING = 64


@dataclasses.dataclass(frozen=True)
class Tags:
    """What a page declares about its pixels; the combination is one that is read.

    Attributes
    ----------
    photometric : int
        PhotometricInterpretation: 0 to 3, 5 or 6.
    kind : str
        "uint", "int" or "float".
    bits : int
        Bits of every sample.
    samples : int
        Samples per pixel, with alpha.
    alpha : int
        0 without alpha, 1 if colours are multiplied by it (associated), 2 if they are not.
    planar : bool
        Whether each sample has a plane of its own.
    compression : str
        Its name; "no" without.
    orientation : int
        1 to 8, as in EXIF.
    """

    photometric: int
    kind: str
    bits: int
    samples: int
    alpha: int
    planar: bool
    compression: str
    orientation: int

    @property
    def is_grey(self) -> bool:
        """Whether pixels are one grey value, perhaps with alpha."""
        return self.photometric in (MIN_IS_WHITE, MIN_IS_BLACK)

    @property
    def declared(self) -> tuple[int, int] | None:
        """The smallest and largest value; None if the type declares no range."""
        if self.kind == "float" or self.bits > 16:
            return None
        low = -(2 ** (self.bits - 1)) if self.kind == "int" else 0
        return low, low + 2**self.bits - 1


def read_tags(page: TiffPage, n_bytes: int) -> Tags:
    """Return what a page declares about its pixels.

    Parameters
    ----------
    page : tifffile.TiffPage
        A page of a file.
    n_bytes : int
        Size of the file.

    Raises
    ------
    DecodeError
        If the page is too large, incomplete, or of an unsupported kind.
    """
    _refuse_shape(page)
    if 262 not in page.tags:
        raise DecodeError("a TIFF that does not state its PhotometricInterpretation")
    if page.photometric not in _COLOURS:
        name = _OTHER_PHOTOMETRICS.get(page.photometric, "of an unsupported kind")
        raise DecodeError(f"a TIFF that is {name} (PhotometricInterpretation {page.photometric:d})")
    if page.compression not in _COMPRESSIONS:
        raise DecodeError(f"a TIFF of compression {page.compression:d}, which is not supported")
    kind = _KINDS.get(page.sampleformat, "")
    if page.bitspersample not in _BITS.get(kind, ()):
        raise DecodeError(
            f"a TIFF with {page.bitspersample} bits per sample of format {page.sampleformat:d}, "
            "which is not supported"
        )
    orientation = page.tags.valueof(274)
    tags = Tags(
        photometric=int(page.photometric),
        kind=kind,
        bits=page.bitspersample,
        samples=page.samplesperpixel,
        alpha=_alpha(page),
        planar=page.planarconfig == 2 and page.samplesperpixel > 1,
        compression=_COMPRESSIONS[page.compression],
        orientation=orientation if orientation in range(1, 9) else 1,
    )
    _refuse_combination(tags, page)
    _refuse_incomplete(tags, page, n_bytes)
    return tags


def _refuse_shape(page: TiffPage) -> None:
    if page.imagewidth < 1 or page.imagelength < 1:
        raise DecodeError("damaged image: a TIFF that does not state its size")
    refuse_size(page.imagewidth, page.imagelength)
    if page.is_tiled:
        refuse_size(page.tilewidth, page.tilelength)
    if page.imagedepth != 1 or page.tiledepth != 1:
        raise DecodeError("a TIFF volume (ImageDepth): save each slice as an image of its own")
    if page.planarconfig not in (1, 2):
        raise DecodeError(f"a TIFF of PlanarConfiguration {page.planarconfig:d}")


def _alpha(page: TiffPage) -> int:
    n_extra = page.samplesperpixel - _COLOURS[page.photometric]
    extra = tuple(int(value) for value in page.extrasamples)
    if n_extra == len(extra) == 0:
        return 0
    if extra in ((1,), (2,)) and n_extra == 1 and page.photometric in (MIN_IS_BLACK, RGB):
        return extra[0]
    if extra == (2,) and n_extra == 1 and page.photometric == MIN_IS_WHITE:
        return 2
    raise DecodeError(
        f"a TIFF with {page.samplesperpixel} samples per pixel, where PhotometricInterpretation "
        f"{page.photometric:d} has {_COLOURS[page.photometric]} and perhaps one alpha: "
        "save it as grey or RGB"
    )


def _refuse_combination(tags: Tags, page: TiffPage) -> None:
    if tags.declared is None and not tags.is_grey:
        raise DecodeError(
            f"{tags.kind}{tags.bits} colours have no declared range: save it with 8 or 16 bits"
        )
    if tags.photometric in (PALETTE, YCBCR, CMYK) and (tags.kind != "uint"):
        raise DecodeError(f"a TIFF with a palette, CMYK or YCbCr of type {tags.kind}{tags.bits}")
    if tags.photometric == PALETTE and tags.bits not in (1, 2, 4, 8):
        raise DecodeError(f"a TIFF with a palette of {tags.bits} bits: save it as RGB")
    if tags.photometric == CMYK and page.tags.valueof(_INK_SET, 1) != 1:
        raise DecodeError("a TIFF whose inks are not CMYK: save it as RGB")
    if tags.photometric == YCBCR:
        _refuse_ycbcr(tags, page)
    if tags.compression == "CCITT" and (tags.bits, tags.samples) != (1, 1):
        raise DecodeError("damaged image: CCITT compression of other than 1 bit")
    if tags.compression == "JPEG" and (
        (tags.bits, tags.kind, tags.alpha, tags.planar, page.fillorder) != (8, "uint", 0, False, 1)
        or tags.photometric not in (MIN_IS_BLACK, RGB, YCBCR)
    ):
        raise DecodeError("a TIFF with JPEG compression that is not plain 8-bit grey or RGB")
    if page.predictor != 1:
        right = (page.predictor == 2 and tags.bits in (8, 16, 32, 64) and tags.kind != "float") or (
            page.predictor == 3 and tags.kind == "float"
        )
        if not right or tags.compression not in _PREDICTED:
            raise DecodeError(
                f"a TIFF with Predictor {page.predictor:d} of {tags.kind}{tags.bits} and "
                f"{tags.compression} compression, which programs interpret differently"
            )


def _refuse_ycbcr(tags: Tags, page: TiffPage) -> None:
    if tags.bits != 8:
        raise DecodeError(f"a YCbCr TIFF of {tags.bits} bits: save it as RGB")
    if tags.compression == "JPEG":
        return
    reference = page.tags.valueof(_REFERENCE)
    if reference is not None:  # Rational numbers: numerators and denominators.
        values = np.reshape(reference, (-1, 2)).astype(float)
        reference = tuple(values[:, 0] / values[:, 1])
    if page.tags.valueof(_SUBSAMPLING) != (1, 1) or reference not in (None, _NO_HEADROOM):
        raise DecodeError("a YCbCr TIFF with subsampled colours or headroom: save it as RGB")


def _refuse_incomplete(tags: Tags, page: TiffPage, n_bytes: int) -> None:
    """Raise an error if strips or tiles are missing, which readers fill with black."""
    n_segments = math.prod(page.chunked)
    if n_segments > _MAX_SEGMENTS:
        raise DecodeError(f"a TIFF of {n_segments:,} strips or tiles: save it with larger ones")
    listed = page.tags.get(324) or page.tags.get(273)
    n_listed = listed.count if listed else 0
    offsets = np.asarray(page.dataoffsets, np.uint64)
    counts = np.asarray(page.databytecounts, np.uint64)
    if not n_listed == offsets.size == counts.size == n_segments:
        raise DecodeError(
            f"damaged image: a TIFF that lists {n_listed} strips or tiles, where its size needs "
            f"{n_segments}"
        )
    if not counts.all() or not offsets.all() or (offsets + counts > n_bytes).any():
        raise DecodeError("damaged image: strips or tiles of a TIFF are missing")
    if tags.compression == "no":
        _refuse_other_depth(tags, page, counts.astype(np.int64))


def _refuse_other_depth(tags: Tags, page: TiffPage, counts: NDArray[np.int64]) -> None:
    """Raise an error if uncompressed strips or tiles have another size than their tags declare.

    Some writers store 12 bits in two bytes.
    """
    samples = 1 if tags.planar else tags.samples
    width = page.tilewidth if page.is_tiled else page.imagewidth
    rows = page.tilelength if page.is_tiled else page.rowsperstrip
    row = -(-width * samples * tags.bits // 8)
    needed = np.full(counts.size, row * rows)
    if not page.is_tiled and page.imagelength % rows:
        per_plane = -(-page.imagelength // rows)
        needed[per_plane - 1 :: per_plane] = row * (page.imagelength % rows)
    # Only strips of whole bytes may be padded, the last one to the size of the others.
    padding = 0 if page.is_tiled or tags.bits % 8 else _MAX_PADDING
    is_full = (counts == row * rows) & (tags.bits % 8 == 0)
    if ((counts < needed) | (counts > needed + padding) & ~is_full).any():
        raise DecodeError(
            f"damaged image: strips or tiles of a TIFF do not have the size of rows of {width} "
            f"pixels with {tags.bits} bits per sample"
        )
