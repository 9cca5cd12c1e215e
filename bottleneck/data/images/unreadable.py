"""Why an image cannot be read, in words for the user instead of those of the decoders."""

from __future__ import annotations

import re

from PIL import Image, UnidentifiedImageError

from bottleneck.errors import DecodeError

__all__ = ["refusal"]

# First bytes of formats that are read.
_OWN_FORMATS = rb"\x89PNG\r\n|GIF8|RIFF....WEBP|\xff\x4f\xff\x51|\0\0\0\x0cjP  "
# Formats that are not read, by their first bytes.
_OTHER_FORMATS = {
    rb"....ftyp(hei|hev|mif1|msf1)": "HEIC",
    rb"....ftypavi[fs]": "AVIF",
    rb"\xff\x0a|....JXL ": "JPEG XL",
    rb"II\xbc": "JPEG XR",
    rb"P7\s|P[Ff]\s": "PAM or PFM",
    rb"8BPS": "Photoshop",
    rb"%PDF": "PDF",
    rb"%!PS|\xc5\xd0\xd3\xc6": "PostScript",
    rb"\s*<(\?xml|svg)": "XML or SVG",
    rb"\x1f\x8b": "gzip",
    rb"PK\x03\x04": "ZIP",
    rb"\x89HDF": "HDF5",
    rb"\x93NUMPY": "NumPy",
    rb"MATLAB 5": "MATLAB",
}
# What stands in place of an image after a failed transfer or a mistake, and what to do.
_NO_IMAGES = {
    rb"(?s:.{344}n\+1\0|.{4}n\+2\0)": "a volume (NIfTI), not an image: its name must end in .nii",
    rb"(?s:.{344}ni1\0|.{4}ni2\0)": "a volume (NIfTI in two files): convert it to .nii",
    rb"NRRD\d": "a volume (NRRD), not an image: its name must end in .nrrd or .nhdr",
    rb"ObjectType ?=": "a volume (MetaImage), not an image: its name must end in .mha or .mhd",
    rb"version https://git-lfs": "a pointer of Git LFS, not the image: run 'git lfs pull'",
    rb"\s*<(!DOCTYPE )?html": "a web page, not an image: download the image again",
    rb"\0{1000}|\0+$": "zero bytes instead of an image: copy or download it again",
}
# What the messages of decoders mean; the first pattern that matches counts.
_MEANINGS = {
    r"truncat|not enough|could not read|too short|unpack requires|EOF|end of|only got": (
        "its data end too early"
    ),
    r"unsupported|not supported|cannot handle|not implemented|unknown (?!block)": (
        "it uses a feature that no available decoder supports"
    ),
    r"decoder error|broken|corrupt|inconsisten|checksum|CRC|invalid|_decode|Zlib|Lzw": (
        "its data are broken"
    ),
}


def refusal(error: Exception, data: bytes) -> DecodeError:
    """Return the error to raise for any exception of a decoder.

    Parameters
    ----------
    error : Exception
        What a decoder raised.
    data : bytes
        The encoded image.

    Returns
    -------
    DecodeError
        Its message has none of the decoder's words, which may be Python's.
    """
    if isinstance(error, MemoryError):
        return DecodeError("there was not enough memory to decode it")
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return DecodeError("refused as a decompression bomb: the limit is 89 million pixels")
    if isinstance(error, UnidentifiedImageError):
        return DecodeError(_unidentified(data))
    if isinstance(error, NotImplementedError):
        return DecodeError("damaged image: it uses a feature that no available decoder supports")
    for pattern, meaning in _MEANINGS.items():
        if re.search(pattern, str(error), re.IGNORECASE):
            return DecodeError(f"damaged image: {meaning}")
    return DecodeError("damaged image: its header contradicts itself or the data")


def _unidentified(data: bytes) -> str:
    if data.startswith(b"\xff\xd8\xff"):
        return f"{_jpeg_kind(data)} is not supported: save it as PNG"
    if re.match(_OWN_FORMATS, data, re.DOTALL):
        return "damaged image: its header is broken"
    for pattern, reason in _NO_IMAGES.items():
        if re.match(pattern, data, re.IGNORECASE):
            return reason
    for pattern, name in _OTHER_FORMATS.items():
        if re.match(pattern, data[:400], re.DOTALL):
            return f"{name}: not an image in a supported format; save it as PNG or JPEG"
    return "not an image in a supported format"


def _jpeg_kind(data: bytes) -> str:
    """Return what the frame header of a JPEG declares (ISO 10918-1, B.2.2)."""
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xF7:
            return "JPEG-LS"
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if data[at + 4] != 8:
                return f"JPEG with {data[at + 4]} bits per sample"
            return f"JPEG with {data[at + 9]} samples per pixel"
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return "JPEG without a frame header"
