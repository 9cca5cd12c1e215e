"""Recognition of DICOM files without preamble, and of what is none."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from made_dicom import RAMP, decoded, dicom, grey
from PIL import Image
from pydicom import Dataset, dcmread, uid
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info

from bottleneck.data.images.decode import decode, is_dicom
from bottleneck.data.images.dicom.dicom_images import read_patient
from bottleneck.data.images.dicom.dicom_signature import SIGNATURE_BYTES
from bottleneck.data.readers import load_dataset
from bottleneck.errors import DecodeError

NATIVE = [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian]


def bare(syntax: uid.UID, has_meta: bool = False, **elements: str) -> bytes:
    """A file without a preamble and, usually, without file meta information."""
    made = dcmread(io.BytesIO(dicom(RAMP, PatientID="P 7", Modality="US", **elements)))
    buffer = DicomBytesIO()
    if has_meta:
        made.file_meta.TransferSyntaxUID = syntax
        write_file_meta_info(buffer, made.file_meta)
    buffer.is_implicit_VR = syntax.is_implicit_VR
    buffer.is_little_endian = syntax.is_little_endian
    del made.file_meta
    write_dataset(buffer, made)
    return buffer.getvalue()


@pytest.mark.parametrize("has_meta", [False, True])
@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize("elements", [{}, {"SpecificCharacterSet": "ISO_IR 100"}])
def test_files_without_a_preamble(
    syntax: uid.UID, has_meta: bool, elements: dict[str, str]
) -> None:
    data = bare(syntax, has_meta, **elements)
    assert is_dicom(data)
    assert is_dicom(data[:SIGNATURE_BYTES])
    assert (grey(data) == RAMP).all()
    assert read_patient(io.BytesIO(data)) == "P 7"


def test_folders_and_patients_of_files_without_a_preamble(tmp_path: Path) -> None:
    for label, syntax in zip("abc", NATIVE, strict=True):
        (tmp_path / label).mkdir()
        for name in ("1.dcm", "IM2"):
            (tmp_path / label / name).write_bytes(bare(syntax, name == "IM2"))
    dataset = load_dataset(tmp_path)
    assert [sample.group for sample in dataset.samples] == ["P 7"] * 6


def test_a_file_that_begins_with_a_sequence_or_a_group_length() -> None:
    made = Dataset()
    made.add_new(0x00080000, "UL", 100)
    made.SOPClassUID = "1.2.3"
    for first in (made, Dataset()):
        item = Dataset()
        item.CodeValue = "1"
        first.LanguageCodeSequence = [item]
        first.Modality = "US"
        for syntax in NATIVE:
            buffer = DicomBytesIO()
            buffer.is_implicit_VR = syntax.is_implicit_VR
            buffer.is_little_endian = syntax.is_little_endian
            write_dataset(buffer, first)
            assert is_dicom(buffer.getvalue())


def test_a_preamble_without_a_transfer_syntax() -> None:
    plain = dicom(RAMP)
    for syntax in NATIVE:
        data = bytes(128) + b"DICM" + bare(syntax)
        assert (grey(data) == RAMP).all()
        assert read_patient(io.BytesIO(data)) == "P 7"
    assert (decoded(plain) == decoded(bare(NATIVE[0]))).all()


def test_compressed_pixels_without_a_transfer_syntax_are_refused() -> None:
    stream = io.BytesIO()
    Image.fromarray(RAMP).save(stream, "JPEG")
    made = dicom(RAMP, uid.JPEGBaseline8Bit, stream=stream.getvalue())
    body = made[made.index(b"\x08\0\x16\0UI") :]
    with pytest.raises(DecodeError, match="pixel data are compressed, and its transfer syntax is"):
        decode(body)


def others() -> dict[str, bytes]:
    """The bytes of files that are not DICOM."""
    made: dict[str, bytes] = {}
    rng = np.random.default_rng(8)
    for mode in ("L", "RGB", "1", "P", "I;16", "CMYK", "RGBA"):
        image = Image.fromarray(rng.integers(0, 256, (40, 50), np.uint8)).convert(mode)
        for kind in ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "TGA", "JPEG2000", "ICO"):
            buffer = io.BytesIO()
            try:
                image.save(buffer, kind)
            except (OSError, KeyError, ValueError):
                continue
            made[f"{kind} {mode}"] = buffer.getvalue()
    table = io.StringIO()
    csv.writer(table).writerows([["path", "label"], ["a.png", "x"], ["b.png", "y"]])
    made["CSV"] = table.getvalue().encode()
    made["UTF-16"] = table.getvalue().encode("utf-16")
    made["XML"] = b"<?xml version='1.0'?><annotation/>"
    made["JSON"] = json.dumps({"path": list(range(50))}).encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("a", "b")
    made["ZIP"] = archive.getvalue()
    made["gzip"] = gzip.compress(b"a" * 500)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["x"] = np.arange(100)
    made["HDF5"] = buffer.getvalue()
    array = io.BytesIO()
    np.save(array, np.arange(50))
    made["npy"] = array.getvalue()
    for order in "<>":  # NIfTI-1 and -2: the size of the header comes first.
        for size, magic in ((348, b"n+1\0"), (540, b"n+2\0\r\n\x1a\n")):
            head = np.array(size, order + "i4").tobytes() + bytes(340) + magic
            made[f"NIfTI {order}{size}"] = head + bytes(size)
    for byte in (0, 2, 8, 255):
        made[f"{byte} alone"] = bytes([byte]) * 5000
        made[f"{byte} and zeros"] = bytes([byte]) + bytes(5000)
        made[f"{byte} as words"] = bytes([byte, 0]) * 2500
        made[f"{byte} as big words"] = bytes([0, byte]) * 2500
    made["empty"] = b""
    made["eight"] = bytes([8, 0, 5, 0])
    made["words"] = np.arange(8, 3000, dtype="<u2").tobytes()
    return made


def test_other_files_are_not_called_dicom() -> None:
    assert [name for name, data in others().items() if is_dicom(data)] == []
    rng = np.random.default_rng(9)
    for start in (b"\x08\0", b"\0\x08", b"\x02\0", b"\x08\0\x05\0", b"\x08\0\0\0\x04\0\0\0"):
        for _ in range(2000):
            assert not is_dicom(start + rng.bytes(300)), start


def test_the_code_of_this_project_is_not_called_dicom() -> None:
    for path in Path(__file__).parent.glob("*.py"):
        assert not is_dicom(path.read_bytes())
