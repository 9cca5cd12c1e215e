"""DICOM files for tests of several rooms."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmread, uid
from pydicom.encaps import encapsulate

from bottleneck.data.images.decode import decode

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
WIDE = np.arange(4096, dtype=np.uint16).reshape(64, 64)  # every value of 12 bits
PHOTOMETRIC = {2: "MONOCHROME2", 3: "RGB"}


def dicom(
    pixels: np.ndarray | None,
    syntax: uid.UID = uid.ExplicitVRLittleEndian,
    *,
    stream: bytes | None = None,
    bits: int | None = None,
    **elements: Any,
) -> bytes:
    """Write a file that holds pixels as they are, or a stream of them, with other elements."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = uid.SecondaryCaptureImageStorage, uid.generate_uid()
    if pixels is not None:
        made.Rows, made.Columns = pixels.shape[:2]
        made.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
        if pixels.ndim == 3:
            made.PlanarConfiguration = 0
        made.PhotometricInterpretation = PHOTOMETRIC[pixels.ndim]
        made.BitsAllocated = 8 * pixels.itemsize
        made.BitsStored = bits or made.BitsAllocated
        made.HighBit = made.BitsStored - 1
        made.PixelRepresentation = int(pixels.dtype.kind == "i")
        if stream is None:
            data = pixels.tobytes()
            made.PixelData = data + b"\0" * (len(data) % 2)
        else:
            made.PixelData = encapsulate([stream])
        made["PixelData"].VR = "OB" if pixels.itemsize == 1 or stream else "OW"
    for name, value in elements.items():
        if value is None:
            del made[name]
        else:
            setattr(made, name, value)
    return written(made, syntax)


def written(made: Dataset, syntax: uid.UID) -> bytes:
    """Return the bytes of a file."""
    buffer = io.BytesIO()
    made.ensure_file_meta()
    made.file_meta.TransferSyntaxUID = syntax
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def changed(data: bytes, **elements: Any) -> bytes:
    """Set elements of a file."""
    made = dcmread(io.BytesIO(data))
    for name, value in elements.items():
        setattr(made, name, value)
    return written(made, made.file_meta.TransferSyntaxUID)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode an image with Pillow."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def rle(pixels: np.ndarray, **elements: Any) -> bytes:
    """Write a file whose pixels pydicom compresses."""
    made = dcmread(io.BytesIO(dicom(pixels, **elements)))
    made.compress(uid.RLELossless, generate_instance_uid=False)
    return written(made, uid.RLELossless)


def decoded(data: bytes) -> np.ndarray:
    """Return what a file shows, in colour."""
    image = decode(data)
    assert image.mode == "RGB"
    return np.asarray(image)


def grey(data: bytes) -> np.ndarray:
    """Return what a file shows, which must be grey."""
    pixels = decoded(data)
    assert (pixels == pixels[:, :, :1]).all()
    return pixels[:, :, 0]
