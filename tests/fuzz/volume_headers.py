"""Volumes with changed headers and structure, beside independent readers.

    python tests/fuzz/volume_headers.py                # 10,000 files of each format
    python tests/fuzz/volume_headers.py --runs 500 --formats nifti

The bytes of voxels stay as they are, because no reader can know them. A file that is read must have
the values and the place that the independent reader of its format gives it; every other file must
be refused by an error of bottleneck. The readers of NIfTI differ in the place of some files
(``noted``): nibabel decides, and a note must say so.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import SimpleITK
from numpy.typing import NDArray

_TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTS), str(_TESTS.parent)]

# Run as a program, this file finds these modules by the path above alone, hence E402.
from volume_formats import AFFINES, make_voxels, read_with_simpleitk, write_volume  # noqa: E402

from bottleneck.data.volumes.volume import Volume  # noqa: E402
from bottleneck.data.volumes.volume_files import open_volume  # noqa: E402
from bottleneck.errors import DecodeError  # noqa: E402

__all__ = ["FORMATS", "compare"]

FORMATS = {
    "metaimage": (".mhd", ".mha"),
    "nifti": (".nii", ".nii.gz"),
    "nrrd": (".nrrd", ".nhdr"),
}
_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_DTYPES = ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")
_WORDS = (
    *("0", "-1", "1", "2", "3", "4", "0.5", "1e-9", "1e9", "1e400", "nan", "inf", "-0", "", " "),
    *("True", "False", "true", "None", "none", "LOCAL", "LIST", "../v.raw", "/etc/hostname"),
    *("v.raw", "v.mhd", "v%d.raw", "MET_SHORT", "MET_FLOAT", "MET_LONG", "int16", "float", "big"),
    *("little", "raw", "gzip", "bzip2", "ascii", "RAS", "left-anterior-superior", "x", "(0,0,1)"),
    *("(1,0,0) (0,1,0) (0,0,1)", "1 0 0 0 1 0 0 0 1", "1 1 1", "999999999999", "7 6 5", "5 6 7"),
)
_NUMBERS = (0, 1, -1, 2, 3, 4, 5, 7, 348, 352, 368, 540, 1e-9, 0.5, 1e9, 3e38, np.nan, np.inf)
# Distance of corners, in voxels, from which a note says that readers of NIfTI differ.
_MOST_VOXELS = 0.11
# Bytes before the voxels.
_NIFTI1, _NIFTI2 = 352, 544
_Voxels = tuple[NDArray[Any], NDArray[np.float64]]


def _change_text(header: bytes, separator: bytes, rng: random.Random) -> bytes:
    """Return a header of lines with one to three changes."""
    lines = header.split(b"\n")
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(max(1, len(lines) - 1))
        name, _, value = lines[at].partition(separator)
        words = value.split()
        match rng.randrange(9):
            case 0:
                del lines[at]
            case 1:
                lines.insert(rng.randrange(len(lines)), lines[at])
            case 2:
                other = rng.randrange(max(1, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case 3:
                lines[at] = name + separator + b" " + rng.choice(_WORDS).encode()
            case 4 if words:
                words[rng.randrange(len(words))] = rng.choice(_WORDS).encode()
                lines[at] = name + separator + b" " + b" ".join(words)
            case 5 if words:
                rng.shuffle(words)
                lines[at] = name + separator + b" " + b" ".join(words)
            case 6 if words:
                where = rng.randrange(len(words))
                words[where] = _change_number(words[where], rng)
                lines[at] = name + separator + b" " + b" ".join(words)
            case 7:
                lines.insert(at, rng.choice((b"# x", b"Comment = y", b"\0", b"\xff\xfe", b"a:=b")))
            case _:
                lines[at] = _change_byte(lines[at], rng)
        if not lines:
            break
    return b"\n".join(lines)


def _change_number(word: bytes, rng: random.Random) -> bytes:
    """Return a word with one of its digits changed, or another sign."""
    digits = [n for n, byte in enumerate(word) if chr(byte).isdigit()]
    if not digits or rng.random() < 0.2:
        return word[1:] if word.startswith(b"-") else b"-" + word
    at = rng.choice(digits)
    return word[:at] + str(rng.randrange(10)).encode() + word[at + 1 :]


def _change_byte(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return bytes([rng.randrange(256)])
    at = rng.randrange(len(data))
    return data[:at] + bytes([rng.randrange(256)]) * rng.choice((0, 1, 1, 2)) + data[at + 1 :]


def _change_nifti(header: bytes, rng: random.Random) -> bytes:
    """Return a header of NIfTI with one to three changes."""
    kind = nibabel.Nifti2Header if len(header) > _NIFTI1 else nibabel.Nifti1Header
    changed = bytearray(header)
    size = kind.template_dtype.itemsize
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if rng.random() < 0.3:
            changed[rng.randrange(size + 4)] = rng.randrange(256)
            continue
        order = "<" if header[0] else ">"
        fields = np.frombuffer(changed, kind.template_dtype.newbyteorder(order), 1)
        name = rng.choice(fields.dtype.names or ())
        field = fields[name][0] if fields[name].ndim > 1 else fields[name]
        value: Any = rng.choice(_NUMBERS)
        if field.dtype.kind == "S":
            fields[name] = rng.choice((b"n+1", b"n+2", b"ni1", b"", b"x"))
            continue
        if rng.random() < 0.4:
            value = -float(field.flat[0]) if rng.random() < 0.5 else float(field.flat[0]) * 2
        if field.dtype.kind in "iu":
            limits = np.iinfo(field.dtype)
            value = max(limits.min, min(limits.max, int(np.nan_to_num(float(value)))))
        field.reshape(-1)[rng.randrange(field.size)] = value
    return bytes(changed)


def _change_structure(data: bytes, rng: random.Random) -> bytes:
    """Return a file that is cut off, goes on, or has bytes between header and voxels."""
    match rng.randrange(4):
        case 0:
            return data[: rng.randrange(len(data) + 1)]
        case 1:
            return data[: -rng.choice((1, 2, 4, 8, 100))]
        case 2:
            return data + rng.choice((b"\0", b"\n", b"x", b"\0" * 16, data))
        case _:
            return data[rng.choice((1, 2, 10)) :]


def _change_gzip(data: bytes, rng: random.Random) -> bytes:
    """Return a gzip file with a change to what surrounds its content."""
    at = rng.choice((*range(10), *range(-8, 0)))
    changed = bytearray(data)
    changed[at] = rng.randrange(256)
    return bytes(changed)


def _make(folder: Path, form: str, rng: random.Random) -> Path:
    """Write a sound file, and change it; return its path."""
    suffix = rng.choice(FORMATS[form])
    path = folder / f"v{suffix}"
    affine = AFFINES[rng.choice(list(AFFINES))]
    voxels = make_voxels(rng.choice(_DTYPES))
    if form == "nifti":
        _write_nifti(path, voxels, affine, rng)
    else:
        write_volume(path, voxels, affine, compress=rng.random() < 0.4)
    structure = rng.random() < 0.2
    if structure:
        files = [file for file in folder.iterdir() if file.name.startswith("v.")]
        changed = rng.choice(sorted(files))
        data = changed.read_bytes()
        if data[:2] == b"\x1f\x8b" and rng.random() < 0.5:
            changed.write_bytes(_change_gzip(data, rng))
        else:
            changed.write_bytes(_change_structure(data, rng))
        return path
    data = path.read_bytes()
    if form == "nifti":
        packed = suffix == ".nii.gz"
        plain = gzip.decompress(data) if packed else data
        size = _NIFTI1 if {plain[:2], plain[2:4]} & {b"\x5c\1", b"\1\x5c"} else _NIFTI2
        plain = _change_nifti(plain[:size], rng) + plain[size:]
        path.write_bytes(gzip.compress(plain, 1) if packed else plain)
    else:
        mark = b"\n\n" if form == "nrrd" else b"ElementDataFile"
        start = data.index(mark) + (2 if form == "nrrd" else 0)
        end = start if form == "nrrd" else data.index(b"\n", start) + 1
        separator = b":" if form == "nrrd" else b" ="
        path.write_bytes(_change_text(data[:end], separator, rng) + data[end:])
    return path


def _write_nifti(path: Path, voxels: Any, affine: Any, rng: random.Random) -> None:
    kind = rng.choice((nibabel.Nifti1Image, nibabel.Nifti1Image, nibabel.Nifti2Image))
    header = kind.header_class(endianness=rng.choice("<>"))
    header.set_data_dtype(voxels.dtype)
    image = kind(voxels, None, header)
    image.header.set_zooms(np.linalg.norm(affine[:3, :3], axis=0))
    image.header.set_xyzt_units(rng.choice(("mm", "mm", "unknown", "meter", "micron")))
    forms = rng.choice(("sform", "qform", "both"))
    if forms != "qform":
        image.set_sform(_TO_LPS @ affine, 1)
    if forms != "sform":
        image.set_qform(_TO_LPS @ affine, 1)
    if rng.random() < 0.3:
        image.header.set_slope_inter(0.5, -3)
    nibabel.save(image, path)


def _judge(path: Path, form: str) -> _Voxels:
    """Return values and place as the independent reader of the format reads them."""
    if form == "metaimage":
        return read_with_simpleitk(path)
    if form == "nrrd":
        # pynrrd takes a key of the user for a field, and refuses one that is there twice.
        nrrd.reader.ALLOW_DUPLICATE_FIELD = True
        return nrrd.read(str(path))[0], read_with_simpleitk(path)[1]
    image = nibabel.load(path)
    mm = {1: 1_000.0, 3: 0.001}.get(int(image.header["xyzt_units"]) & 7, 1.0)
    values = image.get_fdata()
    while values.ndim > 3:  # Lengths of 1.
        values = values[..., 0]
    return values, _TO_LPS @ np.diag([mm, mm, mm, 1]) @ image.affine


def compare(form: str, runs: int, seed: int, keep: Callable[[Path, str], object]) -> Counter[str]:
    """Read changed files; return how many of them were equal, refused, noted or different.

    Parameters
    ----------
    form : str
        One of ``FORMATS``.
    runs : int
        Number of files.
    seed : int
        Seed of the changes.
    keep : callable
        Called with the folder and the reason for each file that is read otherwise.
    """
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Those of the judges.
            path = _make(Path(name), form, rng)
            result = _read(path, form)
            kind, _, reason = result.partition(": ")
            counts[kind] += 1
            if reason:
                keep(path.parent, reason)
    return counts


def _read(path: Path, form: str) -> str:
    """Return "refused", "equal" or "noted"; or "different" and why."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            volume = open_volume(path)
            values = volume.read((0, 0, 0), volume.geometry.shape)
            affine = volume.geometry.affine
    except DecodeError as error:
        return "different: " + str(error) if "Error" in str(error) else "refused"
    except Exception:  # noqa: BLE001  # Whatever a reader raises is reported.
        return "different: " + traceback.format_exc()
    try:
        expected, place = _judge(path, form)
    except Exception as error:  # noqa: BLE001  # Each library has errors of its own.
        return f"different: the judge refuses it: {type(error).__name__}: {error}"
    if not np.array_equal(values, expected.astype(np.float32)):
        return "different: values"
    if not np.allclose(affine, place, rtol=1e-5, atol=1e-5 * np.abs(place[:3, :3]).max()):
        return f"different: place {affine.tolist()} {place.tolist()}"
    if form != "nifti":
        return "equal"
    return _compare_with_simpleitk(path, volume, values)


def _compare_with_simpleitk(path: Path, volume: Volume, values: NDArray[np.float32]) -> str:
    """Return "equal"; "noted" if a note says why the place is another; or "different" and why."""
    try:
        expected, place = read_with_simpleitk(path)
    except RuntimeError:  # It does not read NIfTI-2.
        return "equal"
    if not np.allclose(values, expected.reshape(values.shape), rtol=1e-5, atol=1e-5):
        return "different: values of SimpleITK"
    corners = np.indices((2, 2, 2)).reshape(3, 8).T * (np.array(values.shape) - 1)
    points = corners @ place[:3, :3].T + place[:3, 3]
    if np.abs(volume.geometry.to_voxels(points) - corners).max() <= _MOST_VOXELS:
        return "equal"
    return "noted" if volume.notes else f"different: place of SimpleITK {place.tolist()}"


def main() -> int:
    """Compare every format; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000, help="files of each format")
    parser.add_argument("--formats", default=",".join(FORMATS), help="formats, with commas")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    n_different = 0
    for form in given.formats.split(","):
        counts = compare(form, given.runs, given.seed, lambda _, reason: print(reason, flush=True))
        print(f"{form}: {json.dumps(counts)}", flush=True)
        n_different += counts["different"]
    return 1 if n_different else 0


if __name__ == "__main__":
    sys.exit(main())
