"""DICOM series for tests of several rooms: a folder of slices, or one enhanced file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from made_dicom import dicom, written
from pydicom import Dataset, dcmread, uid
from pydicom.encaps import encapsulate

from bottleneck.data.volumes.geometry import VolumeGeometry

_NO_UID = "1.2.826.0.1.3680043.8.498"


def oblique(shape: tuple[int, int, int], seed: int = 0) -> VolumeGeometry:
    """Return a right-handed geometry in a random direction."""
    random = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(random.normal(size=(3, 3)))
    axes[:, 2] = np.cross(axes[:, 0], axes[:, 1])
    affine = np.eye(4)
    affine[:3, :3] = axes * random.uniform(0.5, 3, 3)
    affine[:3, 3] = random.uniform(-200, 200, 3)
    return VolumeGeometry(shape, affine)


def text(values: Any) -> list[str]:
    """Return numbers as DICOM writes them, in at most 16 characters."""
    return [f"{value:.9g}" for value in values]


def slice_elements(geometry: VolumeGeometry, number: int, **elements: Any) -> dict[str, Any]:
    """Return the elements that place a slice in the patient (PS3.3, C.7.6.2)."""
    x, y, _ = geometry.spacing
    axes = geometry.affine[:3, :2] / [x, y]
    return {
        "ImagePositionPatient": text(geometry.to_lps([0, 0, number])),
        "ImageOrientationPatient": text(axes.T.ravel()),
        "PixelSpacing": text([y, x]),
        "Modality": "CT",
        "PatientID": "P7",
        "SeriesInstanceUID": f"{_NO_UID}.1",
        "RescaleSlope": "1",
        "RescaleIntercept": "-1024",
        **elements,
    }


def slices(stored: np.ndarray, geometry: VolumeGeometry, **elements: Any) -> list[bytes]:
    """Return the files of a series, in the order of the third axis.

    An element that is a function becomes its value for the number of the slice.
    """
    return [
        dicom(
            np.ascontiguousarray(stored[:, :, k].T),
            **slice_elements(
                geometry, k, **{n: v(k) if callable(v) else v for n, v in elements.items()}
            ),
        )
        for k in range(stored.shape[2])
    ]


def write_series(folder: Path, files: list[bytes], seed: int = 0) -> Path:
    """Write files under names whose order says nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    names = np.random.default_rng(seed).permutation(len(files))
    for name, data in zip(names, files, strict=True):
        (folder / f"{name}.dcm").write_bytes(data)
    return folder


def made_ct(shape: tuple[int, int, int] = (20, 16, 8), seed: int = 0) -> np.ndarray:
    """Return stored values of 12 bits, of which each differs from its neighbours."""
    return np.random.default_rng(seed).integers(0, 4096, shape).astype(np.uint16)


def enhanced(
    stored: np.ndarray,
    geometry: VolumeGeometry,
    order: list[int],
    syntax: uid.UID = uid.ExplicitVRLittleEndian,
    *,
    streams: list[bytes] | None = None,
    **options: Any,
) -> bytes:
    """Return an enhanced file with a frame for each slice, in the order given."""
    made = dcmread_bytes(dicom(np.ascontiguousarray(stored[:, :, 0].T)))
    made.SOPClassUID = uid.EnhancedCTImageStorage
    made.Modality, made.PatientID, made.NumberOfFrames = "CT", "P7", len(order)
    x, y, _ = geometry.spacing
    shared = Dataset()
    shared.PlaneOrientationSequence = [
        made_item(ImageOrientationPatient=text((geometry.affine[:3, :2] / [x, y]).T.ravel()))
    ]
    shared.PixelMeasuresSequence = [made_item(PixelSpacing=text([y, x]))]
    made.SharedFunctionalGroupsSequence = [shared]
    made.PerFrameFunctionalGroupsSequence = [
        made_item(
            PlanePositionSequence=[
                made_item(ImagePositionPatient=text(geometry.to_lps([0, 0, k])))
            ],
            PixelValueTransformationSequence=[
                made_item(RescaleSlope=f"{1 + k / 8}", RescaleIntercept=f"{-k}")
            ],
        )
        for k in order
    ]
    if streams is None:
        made.PixelData = np.concatenate([stored[:, :, k].T.ravel() for k in order]).tobytes()
    else:
        made.PixelData = encapsulate([streams[k] for k in order], **options)
    return written(made, syntax)


def dcmread_bytes(data: bytes) -> Dataset:
    """Return the data set of a file in memory."""
    return dcmread(io.BytesIO(data))


def made_item(**elements: Any) -> Dataset:
    """Return an item of a sequence."""
    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return item
