"""Patches of volumes per second, by format, beside MONAI; and the memory that they take.

Made CT scans, half of whose bytes gzip removes, are written in every format. From each, cubes of
96³ voxels of 1 mm around random points are read, resampled and scaled. What this package does is
the loading of an extraction, without a network: it opens a volume once for all of its points,
reads their voxels, hashes them, draws their thumbnails and makes the patches. MONAI is measured in
two forms: a transform for each point, as its data sets do it (``LoadImage``, ``Orientation``,
``Spacing``, ``SpatialCrop``, ``ScaleIntensityRange``), and by hand in the best order (each volume
loaded once, and cropped before ``Spacing``). All run in turn, several times over, on one core.

    python benchmarks/volumes.py --rounds 3

MONAI reads .mhd with its ITKReader alone, which needs itk, a package that nothing else here needs:
``pip install itk``, or leave .mhd out with ``--formats``.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before the libraries start their threads.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.data.volumes.volume_files import VolumeFiles
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.data.volumes.volume_region import VolumeRegion
from bottleneck.features.images.region_loader import load_regions
from bottleneck.features.timing import Clock

SPACING = (0.7, 0.7, 1.25)
ORIGIN = (-180.0, -170.0, -300.0)
HOW = VolumePreprocessing(size=(96, 96, 96), spacing=(1.0, 1.0, 1.0), window=(-1000.0, 1000.0))
FORMATS = ("mhd", "nii", "nii.gz", "nrrd", "DICOM")
NAMES = {
    "mhd": ".mhd, not compressed",
    "nii": ".nii, not compressed",
    "nii.gz": ".nii.gz",
    "nrrd": ".nrrd, gzip",
    "DICOM": "DICOM, not compressed",
}


@dataclasses.dataclass(frozen=True)
class Case:
    """Scans of one format with their points, in LPS mm."""

    kind: str
    folder: Path
    points: list[tuple[str, tuple[float, float, float]]]


def make_scan(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Return values like those of a CT: smooth, with noise of a few HU."""
    from scipy.ndimage import zoom

    rng = np.random.default_rng(seed)
    coarse = rng.normal(-300, 400, [max(2, n // 16) for n in shape])
    smooth = zoom(coarse, [n / m for n, m in zip(shape, coarse.shape, strict=True)], order=1)
    values = smooth + rng.normal(0, 12, shape)
    return np.asfortranarray(values.clip(-1024, 3000).astype(np.int16))


def write_scan(folder: Path, name: str, kind: str, values: np.ndarray) -> str:
    """Write a scan in a format; return its name in the folder."""
    import nibabel
    import nrrd
    import SimpleITK

    if kind == "DICOM":
        write_series(folder / name, values)
        return name
    path = folder / f"{name}.{kind}"
    if kind.startswith("nii"):
        affine = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
        affine[:3, 3] = -ORIGIN[0], -ORIGIN[1], ORIGIN[2]
        image = nibabel.Nifti1Image(values, affine)
        image.header.set_xyzt_units("mm")
        nibabel.save(image, path)
    elif kind == "nrrd":
        header = {
            "space": "left-posterior-superior",
            "space directions": np.diag(SPACING),
            "space origin": np.array(ORIGIN),
            "encoding": "gzip",
        }
        nrrd.write(str(path), values, header, compression_level=6)
    else:
        image = SimpleITK.GetImageFromArray(values.T)
        image.SetSpacing(SPACING)
        image.SetOrigin(ORIGIN)
        SimpleITK.WriteImage(image, str(path))
    return path.name


def write_series(folder: Path, values: np.ndarray) -> None:
    """Write a folder of CT slices."""
    from pydicom import Dataset, dcmwrite, uid
    from pydicom.dataset import FileMetaDataset

    folder.mkdir()
    series = uid.generate_uid()
    for k in range(values.shape[2]):
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        made.SOPClassUID, made.SOPInstanceUID = uid.CTImageStorage, uid.generate_uid()
        made.PatientID, made.Modality = folder.name, "CT"
        made.StudyInstanceUID = made.SeriesInstanceUID = made.FrameOfReferenceUID = series
        made.InstanceNumber = k + 1
        made.Rows, made.Columns = values.shape[1], values.shape[0]
        made.PixelSpacing = [SPACING[1], SPACING[0]]
        made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        made.ImagePositionPatient = [*ORIGIN[:2], ORIGIN[2] + k * SPACING[2]]
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
        made.PixelRepresentation = 1
        made.RescaleSlope, made.RescaleIntercept = "1", "0"
        made.PixelData = np.ascontiguousarray(values[:, :, k].T).tobytes()
        dcmwrite(folder / f"{k:04d}.dcm", made, enforce_file_format=True)


def make_dataset(case: Case) -> ImageDataset:
    """Return the points of a case as a data set."""
    samples = [
        Sample(str(n), source, "ab"[n % 2], volume_region=VolumeRegion(*point, "lps"))
        for n, (source, point) in enumerate(case.points)
    ]
    return ImageDataset("bench", samples, VolumeFiles(case.folder))


def read_ours(case: Case) -> list[np.ndarray]:
    """Return the patches of a case, as an extraction loads them."""
    dataset = make_dataset(case)
    rows = load_regions(dataset, range(len(dataset)), HOW, lambda _: [HOW], Clock(1), ahead=8)
    return [row.pixels[HOW][..., 0] for row in rows]


def monai_loader(kind: str) -> Any:
    """Return MONAI's loader of a format."""
    from monai.transforms import LoadImage

    reader = {"nrrd": "NrrdReader", "DICOM": "PydicomReader", "mhd": "ITKReader"}
    return LoadImage(
        reader=reader.get(kind, "NibabelReader"), image_only=True, ensure_channel_first=True
    )


def crop_at(image: Any, point: tuple[float, float, float], size: list[int]) -> Any:
    """Return a cube around a point, with borders."""
    from monai.transforms import SpatialCrop, SpatialPad

    ras = np.array([-point[0], -point[1], point[2], 1.0])
    centre = (np.linalg.inv(image.affine.numpy()) @ ras)[:3].round().astype(int).tolist()
    return SpatialPad(size)(SpatialCrop(roi_center=centre, roi_size=size)(image))


def read_monai(case: Case) -> list[np.ndarray]:
    """Return patches with a pipeline for each point."""
    from monai.transforms import Orientation, ScaleIntensityRange, Spacing

    load = monai_loader(case.kind)
    orient = Orientation("RAS", labels=(("L", "R"), ("P", "A"), ("I", "S")))
    space = Spacing((1.0, 1.0, 1.0), mode="bilinear")
    scale = ScaleIntensityRange(-1000, 1000, 0, 1, clip=True)
    return [
        scale(crop_at(space(orient(load(case.folder / source))), point, [96] * 3))[0].numpy()
        for source, point in case.points
    ]


def read_monai_by_hand(case: Case) -> list[np.ndarray]:
    """Return patches of volumes that are loaded once, and cropped before they are resampled."""
    from monai.transforms import Orientation, ScaleIntensityRange, Spacing

    load = monai_loader(case.kind)
    orient = Orientation("RAS", labels=(("L", "R"), ("P", "A"), ("I", "S")))
    space = Spacing((1.0, 1.0, 1.0), mode="bilinear")
    scale = ScaleIntensityRange(-1000, 1000, 0, 1, clip=True)
    margin = [int(96 / mm) + 4 for mm in SPACING]
    made, opened, image = [], "", None
    for source, point in case.points:
        if source != opened:
            opened, image = source, orient(load(case.folder / source))
        near = space(crop_at(image, point, margin))
        made.append(scale(crop_at(near, point, [96] * 3))[0].numpy())
    return made


def rate(read: Callable[[Case], list[np.ndarray]], case: Case) -> float:
    """Return patches per second."""
    started = time.perf_counter()
    made = read(case)
    seconds = time.perf_counter() - started
    assert all(patch.shape == (96, 96, 96) for patch in made)
    return len(made) / seconds


def peak_megabytes(case: Case, n_scans: int) -> float:
    """Return the peak memory of a process that loads the patches of some scans, in MiB.

    Only Linux tells it.
    """
    kept = list(dict.fromkeys(source for source, _ in case.points))[:n_scans]
    points = [pair for pair in case.points if pair[0] in kept]
    code = (
        "import re; from pathlib import Path; import volumes\n"
        "from bottleneck.features.images.region_loader import load_regions\n"
        "from bottleneck.features.timing import Clock\n"
        f"case = volumes.Case({case.kind!r}, Path({str(case.folder)!r}), {points!r})\n"
        "dataset = volumes.make_dataset(case)\n"
        "for row in load_regions(dataset, range(len(dataset)), volumes.HOW,\n"
        "                        lambda _: [volumes.HOW], Clock(2), ahead=16):\n"
        "    assert row.failure is None, row.failure\n"
        "status = Path('/proc/self/status').read_text()\n"
        "print(int(re.search(r'VmHWM:\\s+(\\d+) kB', status)[1]) / 1024)"
    )
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def main() -> None:
    """Measure and print two tables in Markdown."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scans", type=int, default=2)
    parser.add_argument("--points", type=int, default=6, help="points of each scan")
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 250))
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--memory-scans", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    extent = np.array(options.shape) * SPACING
    inside = [
        [
            tuple((ORIGIN + rng.uniform(0.1, 0.9, 3) * extent).tolist())
            for _ in range(options.points)
        ]
        for _ in range(options.scans)
    ]
    print("| format | this package | MONAI, by hand | MONAI | ratio by hand | ratio |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as name:
        cases = {}
        for kind in options.formats:
            folder = Path(name, kind)
            folder.mkdir()
            points = []
            for n in range(options.scans):
                values = make_scan(tuple(options.shape), n)
                source = write_scan(folder, f"scan{n}", kind, values)
                points += [(source, point) for point in inside[n]]
            cases[kind] = Case(kind, folder, points)
        for kind, case in cases.items():
            one = dataclasses.replace(case, points=case.points[:1])
            for read in (read_ours, read_monai_by_hand):  # Imports, and files from the disk.
                read(one)
            few = dataclasses.replace(case, points=case.points[:: options.points])
            rounds = []
            for number in range(options.rounds):
                ways = [(read_ours, case), (read_monai_by_hand, case), (read_monai, few)]
                order = ways if number % 2 == 0 else ways[::-1]
                rates = {read: rate(read, each) for read, each in order}
                rounds.append([rates[read] for read, _ in ways])
            middle = [statistics.median(column) for column in zip(*rounds, strict=True)]
            ratios = [sorted(each[0] / each[other] for each in rounds) for other in (1, 2)]
            spans = [f"{statistics.median(r):.1f} ({r[0]:.1f} to {r[-1]:.1f})" for r in ratios]
            shown = " | ".join([f"{value:.2f}" for value in middle] + spans)
            print(f"| {NAMES[kind]} | {shown} |", flush=True)
        print("\n| format | scans | peak memory |\n| --- | ---: | ---: |")
        for kind in ("mhd", "nii.gz"):
            if kind not in cases:
                continue
            folder, points = cases[kind].folder, cases[kind].points[: options.points]
            suffixes = ("mhd", "raw") if kind == "mhd" else (kind,)
            for n in range(options.scans, options.memory_scans):
                for suffix in suffixes:
                    # One scan under several names.
                    text = (folder / f"scan0.{suffix}").read_bytes()
                    (folder / f"scan{n}.{suffix}").write_bytes(text)
            grown = [
                (f"scan{n}.{kind}", point)
                for n in range(options.memory_scans)
                for _, point in points
            ]
            for n_scans in (1, 2, options.memory_scans):
                peak = peak_megabytes(dataclasses.replace(cases[kind], points=grown), n_scans)
                print(f"| {NAMES[kind]} | {n_scans} | {peak:.0f} MiB |", flush=True)


if __name__ == "__main__":
    main()
