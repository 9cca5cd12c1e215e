"""DICOM series with changed headers and structure, beside SimpleITK and pydicom.

    python tests/fuzz/series_headers.py                # 10,000 series
    python tests/fuzz/series_headers.py --runs 500 --seed 3

The bytes of pixels stay as they are, because no reader can know them. Of a series that is read,
each slice must have the values that pydicom reads from its file and the place that SimpleITK gives
it; every other series must be refused by an error of bottleneck. "unjudged" are files with an
unknown value representation, of which pydicom reads no element.
"""

from __future__ import annotations

import argparse
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

import numpy as np
import pydicom
import SimpleITK
from numpy.typing import NDArray
from pydicom import uid

_TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTS), str(_TESTS.parent)]

# Run as a program, this file finds these modules by the path above alone, hence E402.
from made_series import enhanced, made_ct, oblique, slices  # noqa: E402

from bottleneck.data.volumes.volume import Volume  # noqa: E402
from bottleneck.data.volumes.volume_files import open_volume  # noqa: E402
from bottleneck.errors import DecodeError  # noqa: E402

__all__ = ["compare"]

_SHAPE = (9, 8, 5)
_STORED = made_ct(_SHAPE)
_NAMES = (
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope"),
    *("RescaleIntercept", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames"),
    *("SeriesInstanceUID", "PatientID", "Modality", "ImageType", "FrameOfReferenceUID"),
    *("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", "SOPClassUID"),
)
_TEXTS = (
    *("0", "-1", "1", "2", "1e-9", "1e400", "nan", "", " ", "1,5", "x", "0.5", "100", "-0"),
    *(
        "1\\0\\0\\0\\1\\0",
        "0\\1\\0\\0\\0\\1",
        "0\\0\\0",
        "1\\1",
        "1\\2\\3\\4",
        "MONOCHROME1",
        "RGB",
    ),
    *("LOCALIZER", "MR", "1.2.3"),
)
_WORDS = (0, 1, 2, 7, 8, 9, 12, 15, 16, 32, 65535)
_PIXELS = b"\xe0\x7f\x10\0"
# In voxels: headers round positions, and slices may be a little uneven.
_MOST_OFF = 0.11


def _change_element(data: bytes, rng: random.Random) -> bytes:
    """Return a file with another value of an element, or without it."""
    with tempfile.SpooledTemporaryFile() as file:
        file.write(data)
        file.seek(0)
        made = pydicom.dcmread(file)
        scope = rng.choice([made, *_items(made)])
        name = rng.choice([n for n in _NAMES if n in scope] or _NAMES)
        if name in scope and rng.random() < 0.25:
            del scope[name]
        elif name not in scope or scope[name].VR != "SQ":
            _set(scope, name, rng)
        with tempfile.SpooledTemporaryFile() as out:
            made.save_as(out)
            out.seek(0)
            return out.read()


def _items(made: pydicom.Dataset) -> list[pydicom.Dataset]:
    """Return the items of all sequences, at any depth."""
    items = [item for element in made if element.VR == "SQ" for item in element.value]
    return items + [inner for item in items for inner in _items(item)]


def _set(scope: pydicom.Dataset, name: str, rng: random.Random) -> None:
    vr = pydicom.datadict.dictionary_VR(name)
    value: Any = rng.choice(_WORDS) if vr == "US" else rng.choice(_TEXTS)
    if vr in ("DS", "IS") and name in scope and rng.random() < 0.6:
        numbers = [str(one) for one in np.atleast_1d(scope[name].value)]
        at = rng.randrange(len(numbers))
        old = float(numbers[at])
        new = rng.choice((-old, 2 * old, old + 1, old + 0.01, old * 1.001, 0.0))
        numbers[at] = f"{new:.8g}"
        value = "\\".join(numbers)
    # Written as it is: pydicom would refuse what is not valid.
    coded = value.to_bytes(2, "little") if vr == "US" else _padded(str(value).encode())
    tag = pydicom.tag.Tag(name)
    scope[tag] = pydicom.dataelem.RawDataElement(tag, vr, len(coded), coded, 0, False, True)


def _padded(text: bytes) -> bytes:
    return text + b" " * (len(text) % 2)


def _change_byte(data: bytes, rng: random.Random) -> bytes:
    """Return a file with another byte before its pixels."""
    at = rng.randrange(132, data.index(_PIXELS) + 8)
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def _change_structure(files: dict[str, bytes], rng: random.Random) -> None:
    """Cut a file off, let it go on, remove it, or add one."""
    name = rng.choice(sorted(files))
    data = files[name]
    match rng.randrange(7):
        case 0:
            files[name] = data[: rng.randrange(len(data))]
        case 1:
            files[name] = data[: -rng.choice((1, 2, 4, 100))]
        case 2:
            files[name] = data + rng.choice((b"\0", b"\0\0", bytes(1000), data))
        case 3:
            del files[name]
        case 4:
            files["copy.dcm"] = data
        case 5:
            files[rng.choice(("notes.txt", "notes.dcm", "notes"))] = b"no slice"
        case _:
            files[f"below/{name.rpartition('/')[2]}"] = files.pop(name)


def _make(rng: random.Random) -> dict[str, bytes]:
    """Return the files of a sound series, with one to three changes."""
    geometry = oblique(_SHAPE, rng.randrange(1000))
    if rng.random() < 0.25:
        order = list(range(_SHAPE[2]))
        rng.shuffle(order)
        files = {"scan.dcm": enhanced(_STORED, geometry, order)}
    else:
        syntax = rng.choice((uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian))
        made = slices(_STORED, geometry, syntax=syntax, SOPClassUID=uid.CTImageStorage)
        files = {f"{n}.dcm": data for n, data in enumerate(made)}
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not files:
            break
        name = rng.choice(sorted(files))
        kind = rng.random()
        if kind < 0.2:
            _change_structure(files, rng)
        elif kind < 0.45 and _PIXELS in files[name]:
            files[name] = _change_byte(files[name], rng)
        else:
            try:
                files[name] = _change_element(files[name], rng)
            except Exception:  # noqa: BLE001  # pydicom does not write what it can read.
                continue
    return files


def _judge(path: Path, volume: Volume, values: NDArray[np.float32]) -> str:
    """Return "" if each slice of a classic series is that of a file, or why not."""
    corner = (volume.geometry.shape[0] - 1, volume.geometry.shape[1] - 1)
    places = set()
    for file in sorted(path.rglob("*.dcm")):
        made = pydicom.dcmread(file, force=True)
        if "PixelData" not in made:
            continue
        for pixel in ((0, 0), corner):
            point = _locate(file, made, pixel)
            at = volume.geometry.to_voxels(point)
            number = round(at[2])
            if np.abs(at - [*pixel, number]).max() > _MOST_OFF:
                return f"different: place of '{file.name}': {at.tolist()}, {pixel}"
        places.add(number)
        expected = _rescaled(_pixels(made), made)
        if not np.array_equal(values[:, :, number], expected.astype(np.float32)):
            return f"different: values of '{file.name}'"
    if places != set(range(volume.geometry.shape[2])):
        return f"different: slices {sorted(places)} of {volume.geometry.shape[2]}"
    return ""


def _judge_enhanced(path: Path, volume: Volume, values: NDArray[np.float32]) -> str:
    """Return "" if each frame of an enhanced file is a slice, or why not.

    SimpleITK reads one rescaling for all frames, so that pydicom alone is the judge.
    """
    made = pydicom.dcmread(next(path.rglob("scan.dcm")))
    shared = made.SharedFunctionalGroupsSequence[0]
    for frame, group in zip(_pixels(made), made.PerFrameFunctionalGroupsSequence, strict=True):
        point = _macro("PlanePositionSequence", group, shared, made).ImagePositionPatient
        at = volume.geometry.to_voxels([float(value) for value in point])
        if np.abs(at - np.round(at)).max() > _MOST_OFF:
            return f"different: place {at.tolist()}"
        scale = _macro("PixelValueTransformationSequence", group, shared, made)
        expected = _rescaled(frame, scale)
        if not np.array_equal(values[:, :, round(at[2])], expected.astype(np.float32)):
            return "different: values of a frame"
    return ""


def _locate(file: Path, made: pydicom.Dataset, pixel: tuple[int, int]) -> Any:
    """Return the place of a pixel in LPS mm, from SimpleITK.

    It takes another spacing if the SOP class is not that of CT, and does not read some damaged
    files. The equation C.7.6.2.1-1 of the standard (PS3.3) then decides.
    """
    if made.get("SOPClassUID") == uid.CTImageStorage:
        try:
            return SimpleITK.ReadImage(str(file)).TransformIndexToPhysicalPoint((*pixel, 0))
        except RuntimeError:
            pass
    axes = np.array(made.ImageOrientationPatient, float).reshape(2, 3)
    spacing = np.array(made.PixelSpacing, float)[::-1]
    return np.array(made.ImagePositionPatient, float) + (pixel * spacing) @ axes


def _pixels(made: pydicom.Dataset) -> NDArray[Any]:
    """Return the stored values, with what pydicom needs and the standard lets be inferred."""
    if "TransferSyntaxUID" not in made.file_meta:
        implicit, _ = made.original_encoding
        made.file_meta.TransferSyntaxUID = (
            uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian
        )
    if "BitsStored" not in made:
        made.BitsStored = made.get("HighBit", made.BitsAllocated - 1) + 1
    return made.pixel_array


def _rescaled(pixels: NDArray[Any], scale: pydicom.Dataset) -> NDArray[np.float64]:
    slope, intercept = (
        _first(scale.get(n), d) for n, d in (("RescaleSlope", 1), ("RescaleIntercept", 0))
    )
    return pixels.T * slope + intercept


def _first(value: Any, default: float) -> float:
    """Return the first of several values."""
    if isinstance(value, pydicom.multival.MultiValue):
        value = next((one for one in value if one not in (None, "")), None)
    return default if value in (None, "") else float(value)


def _macro(name: str, *scopes: pydicom.Dataset) -> pydicom.Dataset:
    return next((scope[name][0] for scope in scopes if scope.get(name)), scopes[-1])


def compare(runs: int, seed: int, keep: Callable[[dict[str, bytes], str], object]) -> Counter[str]:
    """Read changed series; return how many of them were equal, refused, and so on.

    Parameters
    ----------
    runs : int
        Number of series.
    seed : int
        Seed of the changes.
    keep : callable
        Called with the files and the reason for each series that is read otherwise.
    """
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    for _ in range(runs):
        files = _make(rng)
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Those of the judges.
            for name, data in files.items():
                file = Path(folder, name)
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(data)
            kind, _, reason = _read(Path(folder)).partition(": ")
        counts[kind] += 1
        if reason:
            keep(files, reason)
    return counts


def _read(path: Path) -> str:
    """Return "refused", "equal" or "unjudged"; or "different" and why."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            volume = open_volume(path)
            values = volume.read((0, 0, 0), volume.geometry.shape)
    except DecodeError as error:
        return "different: " + str(error) if "Error" in str(error) else "refused"
    except Exception:  # noqa: BLE001  # Whatever a reader raises is reported.
        return "different: " + traceback.format_exc()
    judge = _judge_enhanced if list(path.rglob("scan.dcm")) else _judge
    try:
        return judge(path, volume, values) or "equal"
    except NotImplementedError:
        return "unjudged"
    except Exception as error:  # noqa: BLE001  # Each library has errors of its own.
        return f"different: the judge refuses it: {type(error).__name__}: {error}"


def main() -> int:
    """Compare series; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000, help="series")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    counts = compare(given.runs, given.seed, lambda _, reason: print(reason, flush=True))
    print(json.dumps(counts))
    return 1 if counts["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
