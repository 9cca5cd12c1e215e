"""What a DICOM image shows by the words of PS3.3, in plain numpy, and files to try it."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import imagecodecs
import numpy as np
from made_dicom import written
from PIL import Image
from pydicom import Dataset, uid
from pydicom.encaps import encapsulate

NATIVE = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian)


@dataclasses.dataclass(frozen=True)
class Lut:
    """A lookup table: entries, the value of the first, and the bits of an entry."""

    entries: np.ndarray
    first: int
    bits: int

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """C.11.1.1: values below the first have the first entry, above the last the last."""
        return self.entries[
            np.clip(np.rint(values).astype(int) - self.first, 0, self.entries.size - 1)
        ]

    def item(self, little: bool, signed: bool) -> Dataset:
        """Write it as the item of a sequence."""
        made = Dataset()
        first = self.first if signed else self.first % 65536
        descriptor = [self.entries.size % 65536, first, self.bits]
        made.add_new(0x00283002, "SS" if signed else "US", descriptor)
        made.add_new(0x00283006, "OW", self.entries.astype("<u2" if little else ">u2").tobytes())
        return made


def shown_grey(
    values: np.ndarray,
    declared: tuple[int, int],
    *,
    rescale: tuple[float, float] | Lut | None = None,
    view: tuple[str, float, float] | Lut | None = None,
    inverse: bool = False,
) -> np.ndarray:
    """Return levels from 0 to 255 by C.11.1, C.11.2.1 and C.7.6.3.1.2.

    Parameters
    ----------
    values : ndarray of int
        Stored values.
    declared : tuple of int
        The smallest and the largest value that could be stored.
    rescale : tuple or Lut, optional
        Slope and intercept, or the modality LUT.
    view : tuple or Lut, optional
        VOI LUT function, centre and width, or the VOI LUT.
    inverse : bool
        Whether the image is MONOCHROME1.
    """
    ends = np.array(declared, float)
    if isinstance(rescale, Lut):
        measured, ends = rescale(values).astype(float), np.array([0, 2.0**rescale.bits - 1])
    else:
        slope, intercept = rescale or (1, 0)
        measured, ends = values * slope + intercept, np.sort(ends * slope + intercept)
    if isinstance(view, Lut):
        levels = view(measured) / (2.0**view.bits - 1) * 255
    elif view is None:
        levels = (measured - ends[0]) / (ends[1] - ends[0]) * 255
    else:
        levels = window(measured, *view)
    return 255 - levels if inverse else levels


def window(x: np.ndarray, function: str, c: float, w: float) -> np.ndarray:
    """C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2, with output from 0 to 255."""
    if function == "SIGMOID":
        return 255 / (1 + np.exp(-4 * (x - c) / w))
    if function == "LINEAR_EXACT":
        low, high, inside = x <= c - w / 2, x > c + w / 2, ((x - c) / w + 0.5) * 255
    else:
        low, high = x <= c - 0.5 - (w - 1) / 2, x > c - 0.5 + (w - 1) / 2
        inside = ((x - (c - 0.5)) / max(w - 1, 1e-9) + 0.5) * 255
    return np.where(low, 0, np.where(high, 255, inside))


def span(levels: np.ndarray) -> float:
    """Return how far the levels of an image range, without half a percent of pixels at each end."""
    channels = np.rint(np.clip(levels, 0, 255)).reshape(levels.shape[0] * levels.shape[1], -1)
    low, high = np.percentile(channels, (0.5, 99.5), axis=0, method="nearest")
    return float((high - low).max())


def to_rgb(ybr: np.ndarray) -> np.ndarray:
    """C.7.6.3.1.2: YBR_FULL, inverted."""
    y, b, r = np.moveaxis(ybr.astype(float), -1, 0)
    rgb = (y + 1.402 * (r - 128), y - 0.344136 * (b - 128) - 0.714136 * (r - 128))
    return np.clip(np.stack([*rgb, y + 1.772 * (b - 128)], -1), 0, 255)


def write(
    values: np.ndarray,
    syntax: uid.UID,
    colours: str,
    bits: int,
    *,
    planar: int = 0,
    subsampled: bool = False,
    **elements: Any,
) -> bytes:
    """Write a file.

    Parameters
    ----------
    values : ndarray of int, shape (height, width) or (height, width, 3)
        Signed if they have a signed type.
    syntax : pydicom.uid.UID
        The transfer syntax.
    colours : str
        The photometric interpretation.
    bits : int
        BitsStored.
    planar : int
        PlanarConfiguration.
    subsampled : bool
        Whether every second pair of chroma values is left out, as in YBR_FULL_422.
    **elements
        More elements, by keyword.
    """
    little = syntax != uid.ExplicitVRBigEndian
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = uid.SecondaryCaptureImageStorage, uid.generate_uid()
    made.Rows, made.Columns = values.shape[:2]
    made.SamplesPerPixel = 1 if values.ndim == 2 else 3
    if values.ndim == 3:
        made.PlanarConfiguration = planar
    made.PhotometricInterpretation = colours
    made.BitsAllocated = 8 * values.itemsize
    made.BitsStored, made.HighBit = bits, bits - 1
    made.PixelRepresentation = int(values.dtype.kind == "i")
    for name, value in elements.items():
        setattr(made, name, value)
    if syntax in NATIVE:
        cells = values.astype(values.dtype.newbyteorder("<" if little else ">"))
        if subsampled:
            cells = np.concatenate([cells[:, ::2, :1], cells[:, 1::2, :1], cells[:, ::2, 1:]], -1)
        elif values.ndim == 3 and planar:
            cells = np.moveaxis(cells, -1, 0)
        data = cells.tobytes()
        data += bytes(len(data) % 2)
        if not little and values.itemsize == 1:  # OW: the bytes of each word are swapped.
            data = np.frombuffer(data, "<u2").byteswap().tobytes()
        made.PixelData = data
        made["PixelData"].VR = "OW" if values.itemsize == 2 or not little else "OB"
    else:
        made.PixelData = encapsulate([stream(values, syntax, bits)])
        made["PixelData"].VR = "OB"
    return written(made, syntax)


def stream(values: np.ndarray, syntax: uid.UID, bits: int) -> bytes:
    """Compress values with imagecodecs or Pillow."""
    words = values.view(f"u{values.itemsize}")
    if values.itemsize == 2:
        words = words & np.uint16((1 << bits) - 1)
    if syntax == uid.RLELossless:
        return run_lengths(values)
    if syntax == uid.JPEGBaseline8Bit:
        buffer = io.BytesIO()
        Image.fromarray(words).save(buffer, "JPEG", quality=95, subsampling=0)
        return buffer.getvalue()
    if syntax == uid.JPEGLosslessSV1:
        return imagecodecs.jpeg8_encode(
            words, lossless=True, bitspersample=8 if values.itemsize == 1 else bits
        )
    if syntax == uid.JPEGLSLossless:
        return imagecodecs.jpegls_encode(words)
    assert syntax == uid.JPEG2000Lossless
    return imagecodecs.jpeg2k_encode(
        values, level=0, reversible=True, codecformat="J2K", mct=False, bitspersample=bits
    )


def run_lengths(values: np.ndarray) -> bytes:
    """Compress values as PS3.5, annex G: a segment per byte of a sample, high bytes first."""
    samples = values.reshape(*values.shape[:2], -1)
    segments = []
    for sample in np.moveaxis(samples, -1, 0):
        data = np.ascontiguousarray(sample).view(np.uint8).reshape(*sample.shape, -1)
        for byte in range(values.itemsize)[::-1]:
            rows = [imagecodecs.packbits_encode(row.tobytes()) for row in data[..., byte]]
            segment = b"".join(rows)
            segments.append(segment + bytes(len(segment) % 2))
    starts = np.zeros(16, "<u4")
    starts[0] = len(segments)
    starts[1 : len(segments) + 1] = 64 + np.cumsum([0, *map(len, segments[:-1])])
    return starts.tobytes() + b"".join(segments)
