"""All files that come with pydicom and pydicom-data, judged by pydicom and the standard's words."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_standard import Lut, shown_grey, span
from pydicom.pixels.processing import apply_color_lut

from bottleneck.data.images.decode import decode, is_dicom
from bottleneck.data.images.display import FAINT
from bottleneck.errors import DecodeError

REASONS = {
    "several frames": r"\d+ frames in one file: ",
    "no pixels": r"a DICOM file without pixels \(",
    "too small": r"pixels: each side needs at least 8",
    "almost nothing to see": r"would show almost nothing",
    "32 bits": r"32 of 32 bits per value",
    "damaged stream": r"not a JPEG 2000 codestream|cannot be decoded as JPEG 2000",
    "cut off": r"[\d,]+ of [\d,]+ bytes of pixel data",
    "element that is not valid": r"NumberOfFrames is '1A', which is not a number",
    "no Rows": r"the DICOM header has no Rows",
    "deflated": r"transfer syntax of the DICOM file is 'Deflated",
}
# Largest difference in levels between two decoders of lossy JPEG in colour.
LOSSY = 4


def files() -> list[Path]:
    folders = [Path(pydicom.__file__).parent / "data"]
    found = importlib.util.find_spec("data_store")
    if found is not None and found.origin:
        folders.append(Path(found.origin).parent)
    paths = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in paths if path.suffix not in (".py", ".pyc", ".pyi", ".typed")]


def verdict(path: Path) -> str:
    data = path.read_bytes()
    if not is_dicom(data):
        return "not DICOM"
    try:
        shown = np.asarray(decode(data)).astype(float)
    except DecodeError as error:
        for name, reason in REASONS.items():
            if re.search(reason, str(error)):
                return f"refused: {name}"
        return f"wrong: {error}"
    try:
        expected, tolerance = by_pydicom(path)
    except (NotImplementedError, RuntimeError):
        return "shown: pydicom has no decoder"
    if expected.ndim == 2:
        expected = expected[..., None]
    off = abs(shown - np.clip(expected, 0, 255)).max()
    return "right" if off <= tolerance else f"wrong: off by {off:.1f}"


def by_pydicom(path: Path) -> tuple[np.ndarray, float]:
    """Return the levels that a file shows, and how far lossy decoders may differ."""
    header = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in header.file_meta:
        header.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    pixels = header.pixel_array
    bits, signed = header.BitsStored, header.PixelRepresentation
    match header.PhotometricInterpretation:
        case "PALETTE COLOR":
            for name in ("Red", "Green", "Blue"):
                data = header.get(f"{name}PaletteColorLookupTableData")
                if data and not header.original_encoding[1]:  # pydicom reads it little-endian.
                    swapped = np.frombuffer(data, "<u2").byteswap().tobytes()
                    setattr(header, f"{name}PaletteColorLookupTableData", swapped)
            colours = apply_color_lut(pixels, header)[..., :3]
            return colours / (255 if colours.dtype == np.uint8 else 65535) * 255, 1
        case "MONOCHROME1" | "MONOCHROME2":
            low = -(1 << (bits - 1)) if signed else 0
            levels = shown_grey(
                pixels.astype(int),
                (low, low + (1 << bits) - 1),
                rescale=rescaling(header),
                view=view(header),
                inverse=header.PhotometricInterpretation == "MONOCHROME1",
            )
            return levels, 1
    lossy = header.file_meta.TransferSyntaxUID == pydicom.uid.JPEGBaseline8Bit
    return pixels / (2.0**bits - 1) * 255, LOSSY if lossy else 1


def table(item: pydicom.Dataset) -> Lut:
    count, first, bits = item.LUTDescriptor
    entries = np.asarray(item.LUTData, np.uint16).astype(int)
    return Lut(entries[: count or 65536], first, bits)


def rescaling(header: pydicom.Dataset) -> Any:
    if header.get("ModalityLUTSequence"):
        return table(header.ModalityLUTSequence[0])
    if "RescaleSlope" in header and "RescaleIntercept" in header:
        return float(header.RescaleSlope), float(header.RescaleIntercept)
    return None


def view(header: pydicom.Dataset) -> Any:
    if header.get("VOILUTSequence"):
        return table(header.VOILUTSequence[0])
    if header.get("WindowCenter") in (None, "") or header.get("WindowWidth") in (None, ""):
        return None
    first = [np.atleast_1d(header[name].value)[0] for name in ("WindowCenter", "WindowWidth")]
    return header.get("VOILUTFunction") or "LINEAR", float(first[0]), float(first[1])


def count_verdicts(paths: list[Path]) -> Counter[str]:
    verdicts = {path: verdict(path) for path in paths}
    assert {p.name: v for p, v in verdicts.items() if v.startswith("wrong")} == {}
    return Counter(verdicts.values())


@pytest.mark.slow
def test_every_file_is_right_or_refused_with_a_reason(record_property: Any) -> None:
    paths = files()
    counts = count_verdicts(paths)
    record_property("counts", dict(counts))
    assert counts["right"] >= 60
    if importlib.util.find_spec("data_store") is None:
        pytest.skip("the package pydicom-data, with half of the files, is not installed")
    assert counts["right"] >= 100


def test_a_sample_of_the_files_is_right_or_refused_with_a_reason() -> None:
    small = [path for path in files() if path.stat().st_size < 40_000]
    assert count_verdicts(small)["right"] >= 10


def test_what_is_refused_as_almost_nothing_shows_almost_nothing() -> None:
    small = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
    assert verdict(small) == "refused: almost nothing to see"
    assert span(by_pydicom(small)[0]) <= FAINT
