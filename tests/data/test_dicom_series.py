"""DICOM series as volumes: their geometry and values, and what is refused."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from made_dicom import changed, dicom, encoded
from made_series import (
    dcmread_bytes,
    enhanced,
    made_ct,
    oblique,
    slice_elements,
    slices,
    text,
    write_series,
)
from PIL import Image
from pydicom import dcmread, uid
from pydicom.data import get_testdata_file
from pydicom.encaps import parse_fragments

from bottleneck.data.volumes.formats import dicom_pixels
from bottleneck.data.volumes.geometry import VolumeGeometry
from bottleneck.data.volumes.region_voxels import read_region
from bottleneck.data.volumes.volume import Volume
from bottleneck.data.volumes.volume_files import VolumeFiles, open_volume
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.data.volumes.volume_region import VolumeRegion
from bottleneck.errors import DecodeError

STORED = made_ct()
UPRIGHT = VolumeGeometry((20, 16, 8), np.diag([0.7, 0.8, 2.5, 1.0]))

TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# From the axes (slice, reversed column, row) to (column, row, slice) of 20 columns.
REORDERED = np.array([[0, -1, 0, 19], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])


def whole(volume: Volume) -> np.ndarray:
    return volume.read((0, 0, 0), volume.geometry.shape)


@pytest.mark.parametrize("seed", range(8))
def test_slices_lie_where_their_headers_place_them(tmp_path: Path, seed: int) -> None:
    geometry = oblique((20, 16, 8), seed)
    volume = open_volume(write_series(tmp_path, slices(STORED, geometry), seed))
    assert volume.geometry.shape == geometry.shape
    assert volume.geometry.affine == pytest.approx(geometry.affine, abs=1e-5)
    assert (whole(volume) == STORED - 1024.0).all()
    assert volume.notes == ()


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.uint8, np.int8])
@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
def test_values_are_rescaled_slice_by_slice(tmp_path: Path, dtype: type, syntax: uid.UID) -> None:
    stored = (STORED - 2048).astype(dtype)
    files = slices(
        stored,
        UPRIGHT,
        syntax=syntax,
        RescaleSlope=lambda k: f"{0.1 * k + 0.3:.1f}",
        RescaleIntercept=lambda k: f"{-3 * k}",
    )
    volume = open_volume(write_series(tmp_path, files))
    expected = np.stack(
        [stored[:, :, k].astype(float) * round(0.1 * k + 0.3, 1) - 3 * k for k in range(8)], -1
    )
    assert (whole(volume) == expected.astype(np.float32)).all()
    box = volume.read((3, 2, 4), (9, 16, 6))
    assert (box == expected.astype(np.float32)[3:9, 2:16, 4:6]).all()


def test_signed_values_of_12_bits_and_slices_of_other_types(tmp_path: Path) -> None:
    twelve = (STORED.astype(np.int16) << 4) >> 4
    words = slices(twelve, UPRIGHT, bits=12, PixelRepresentation=1)
    plain = slices(STORED, UPRIGHT)
    volume = open_volume(write_series(tmp_path, [*words[:4], *plain[4:]]))
    expected = np.concatenate([twelve[..., :4], STORED[..., 4:]], axis=2) - 1024.0
    assert (whole(volume) == expected).all()


def made_enhanced(tmp_path: Path, data: bytes) -> tuple[np.ndarray, Volume]:
    (tmp_path / "scan.dcm").write_bytes(data)
    volume = open_volume(tmp_path / "scan.dcm")
    assert (whole(open_volume(tmp_path)) == whole(volume)).all()
    return whole(volume), volume


ORDER = [3, 0, 7, 5, 1, 2, 6, 4]
SCALED = (STORED * (1 + np.arange(8) / 8) - np.arange(8)).astype(np.float32)


def test_frames_of_an_enhanced_file_are_slices(tmp_path: Path) -> None:
    geometry = oblique((20, 16, 8), 3)
    values, volume = made_enhanced(tmp_path, enhanced(STORED, geometry, ORDER))
    assert (values == SCALED).all()
    assert volume.geometry.affine == pytest.approx(geometry.affine, abs=1e-5)


# Without a table of offsets, nothing tells where a frame of several fragments begins.
@pytest.mark.parametrize(("has_bot", "fragments_per_frame"), [(True, 1), (False, 1), (True, 2)])
def test_compressed_frames_are_told_apart(
    tmp_path: Path, has_bot: bool, fragments_per_frame: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    monkeypatch.setattr(
        dicom_pixels, "parse_fragments", lambda f: counted.append(f.tell()) or parse_fragments(f)
    )
    streams = [
        encoded(Image.fromarray(np.ascontiguousarray(STORED[:, :, k].T)), "JPEG2000", no_jp2=True)
        for k in range(8)
    ]
    data = enhanced(
        STORED,
        UPRIGHT,
        ORDER,
        uid.JPEG2000Lossless,
        streams=streams,
        has_bot=has_bot,
        fragments_per_frame=fragments_per_frame,
    )
    values, _ = made_enhanced(tmp_path, data)
    assert (values == SCALED).all()
    assert len(counted) == (not has_bot), "once, and not for each frame"


def test_a_frame_without_the_values_of_its_rescaling_is_refused(tmp_path: Path) -> None:
    # Around the frames, the file states a slope: whether it is that of the frame is open.
    data = changed(enhanced(STORED, UPRIGHT, ORDER), RescaleSlope="1.5", RescaleIntercept="-4")
    made = dcmread(io.BytesIO(data))
    item = made.PerFrameFunctionalGroupsSequence[4].PixelValueTransformationSequence[0]
    del item.RescaleSlope, item.RescaleIntercept
    written = io.BytesIO()
    made.save_as(written)
    with pytest.raises(DecodeError, match="of a frame without RescaleSlope"):
        made_enhanced(tmp_path, written.getvalue())


def test_an_enhanced_file_with_other_numbers_of_frames_is_refused(tmp_path: Path) -> None:
    data = enhanced(STORED, UPRIGHT, ORDER)
    for n, message in ((7, "7 frames, of which .* describes 8"), (9, "cut off")):
        with pytest.raises(DecodeError, match=message):
            made_enhanced(tmp_path, changed(data, NumberOfFrames=n))


def test_the_enhanced_ct_of_pydicom_is_read_as_pydicom_reads_it() -> None:
    path = get_testdata_file("eCT_Supplemental.dcm", download=False)
    if path is None:
        pytest.skip("the package pydicom-data, with this file, is not installed")
    volume = open_volume(Path(path))
    # Its frames lie at z = −159 and −149, and the normal of its slices points downwards.
    assert volume.geometry.affine[:3, 2] == pytest.approx([0, 0, -10])
    assert volume.geometry.affine[:3, 3] == pytest.approx([99.5, -301.5, -149])
    expected = dcmread(path).pixel_array[::-1].transpose(2, 1, 0) - 1024.0
    assert (whole(volume) == expected).all()


@pytest.mark.shared
@pytest.mark.slow
def test_the_real_ct_is_read_as_simpleitk_reads_it(shared: Path) -> None:
    import SimpleITK

    folder = shared / "data" / "ct" / "dicom"
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    volume = open_volume(folder)
    assert (whole(volume) == SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0)).all()
    assert volume.geometry.shape == image.GetSize() == (512, 512, 20)
    for corner in ((0, 0, 0), (511, 0, 0), (0, 511, 0), (0, 0, 19)):
        expected = image.TransformIndexToPhysicalPoint(corner)
        assert volume.geometry.to_lps(corner) == pytest.approx(expected, abs=1e-6)


def test_nested_folders_and_other_files(tmp_path: Path) -> None:
    files = slices(STORED, UPRIGHT)
    write_series(tmp_path / "study" / "a", files[:4])
    write_series(tmp_path / "study" / "b", files[4:])
    (tmp_path / "study" / "read.me").write_text("not a slice")
    (tmp_path / "DICOMDIR").write_bytes(b"anything")
    assert (whole(open_volume(tmp_path)) == STORED - 1024.0).all()


@pytest.mark.parametrize("link", ["9.dcm", "more"])
def test_symbolic_links_that_are_not_followed_are_refused(tmp_path: Path, link: str) -> None:
    files = slices(STORED, UPRIGHT)
    folder = write_series(tmp_path / "scan", files[:-1])
    outside = write_series(tmp_path / "outside", files[-1:])
    (folder / "8.dcm").symlink_to("0.dcm")
    with pytest.raises(DecodeError, match="at the same position"):
        open_volume(folder)
    (folder / "8.dcm").unlink()
    (folder / link).symlink_to(outside / "0.dcm" if link == "9.dcm" else outside)
    with pytest.raises(DecodeError, match=f"'{link}' is a symbolic link .* is not followed"):
        open_volume(folder)


def test_reports_and_directories_are_left_out(tmp_path: Path) -> None:
    write_series(tmp_path, slices(STORED, UPRIGHT))
    (tmp_path / "DIRFILE").write_bytes(dicom(None, SOPClassUID=uid.MediaStorageDirectoryStorage))
    (tmp_path / "report.dcm").write_bytes(dicom(None, SOPClassUID=uid.BasicTextSRStorage))
    volume = open_volume(tmp_path)
    assert (whole(volume) == STORED - 1024.0).all()
    assert volume.notes == ("reports and other DICOM files that are not images: left out",)


@pytest.mark.parametrize("seed", range(3))
def test_a_region_is_the_same_as_in_nifti(tmp_path: Path, seed: int) -> None:
    geometry = oblique((20, 16, 8), seed)
    # NIfTI states places in 32 bits, so that values that differ greatly from their neighbours would
    # be interpolated to others.
    smooth = (np.indices((20, 16, 8)).T @ [8, 5, 12]).T.astype(np.uint16)
    series = open_volume(write_series(tmp_path / "series", slices(smooth, geometry)))
    values = smooth.astype(np.int16) - 1024
    # The axes of a DICOM series may be those of the file in any order and direction.
    image = nibabel.Nifti1Image(
        values[::-1].transpose(2, 0, 1).copy(), TO_RAS @ geometry.affine @ REORDERED
    )
    nibabel.save(image, tmp_path / "scan.nii.gz")
    other = open_volume(tmp_path / "scan.nii.gz")
    how = VolumePreprocessing(size=(6, 6, 6), spacing=(1.5, 1.5, 1.5), window=(-1000.0, 1000.0))
    region = VolumeRegion(*geometry.to_lps([9.25, 7.5, 3.75]).tolist(), "lps")
    one, two = (read_region(volume, region, how) for volume in (series, other))
    assert abs(one.patch - two.patch).max() < 1e-3 / 2000
    assert one.box == pytest.approx(two.box, abs=1e-3)


def test_only_the_slices_of_a_box_are_read(tmp_path: Path) -> None:
    files = slices(STORED, UPRIGHT)
    made = dcmread_bytes(files[2])
    made.compress(uid.RLELossless, generate_instance_uid=False)
    data = bytearray(_bytes(made))
    data[-200:] = bytes(200)
    volume = open_volume(write_series(tmp_path, [*files[:2], bytes(data), *files[3:]]))
    assert (volume.read((0, 0, 3), (20, 16, 8)) == STORED[:, :, 3:] - 1024.0).all()
    with pytest.raises(DecodeError, match=r"slice '\d.dcm': .*RLE"):
        volume.read((0, 0, 2), (1, 1, 3))


def test_a_slice_that_was_replaced_after_its_header_was_read_is_refused(tmp_path: Path) -> None:
    files = slices(STORED, UPRIGHT)
    folder = write_series(tmp_path, files)
    volume = open_volume(folder)
    place = {file.read_bytes(): file for file in folder.iterdir()}
    one, other = place[files[2]], place[files[5]]
    volume.read((0, 0, 0), (20, 16, 2))
    one.write_bytes(other.read_bytes())
    os.utime(one, ns=(0, 1))
    with pytest.raises(DecodeError, match=f"'{one.name}': its file was changed while it was read"):
        volume.read((0, 0, 2), (20, 16, 3))


def test_threads_read_the_same_values(tmp_path: Path) -> None:
    volume = open_volume(write_series(tmp_path, slices(STORED, UPRIGHT)))
    with ThreadPoolExecutor(8) as pool:
        for values in pool.map(lambda _: whole(volume), range(16)):
            assert (values == STORED - 1024.0).all()


def test_ct_without_rescaling_is_noted(tmp_path: Path) -> None:
    files = slices(STORED, UPRIGHT, RescaleSlope="", RescaleIntercept="")
    volume = open_volume(write_series(tmp_path, files))
    assert volume.notes == (
        "CT without RescaleSlope and RescaleIntercept: its values are read as HU",
    )
    assert (whole(volume) == STORED).all()


def test_a_stamp_shows_a_change_of_any_slice(tmp_path: Path) -> None:
    write_series(tmp_path / "a" / "b", slices(STORED, UPRIGHT))
    source = VolumeFiles(tmp_path)
    stamps = [source.stamp("a")]
    one = tmp_path / "a" / "b" / "3.dcm"
    os.utime(one, ns=(0, one.stat().st_mtime_ns - 10**9))
    stamps.append(source.stamp("a"))
    one.unlink()
    stamps.append(source.stamp("a"))
    assert len(set(stamps)) == 3
    assert stamps[-1][1] == max(f.stat().st_mtime_ns for f in one.parent.iterdir())
    with pytest.raises(FileNotFoundError):
        source.stamp("c")


def _bytes(made: Any) -> bytes:
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _moved(k: int, move: Callable[[int], list[float]]) -> list[str]:
    return text(np.add(UPRIGHT.to_lps([0, 0, k]), move(k)))


def _with(number: int, **elements: Any) -> list[bytes]:
    files = slices(STORED, UPRIGHT)
    files[number] = changed(files[number], **elements)
    return files


def _placed(move: Callable[[int], list[float]]) -> list[bytes]:
    return slices(STORED, UPRIGHT, ImagePositionPatient=lambda k: _moved(k, move))


PLAIN = slices(STORED, UPRIGHT)
SMALL = dicom(STORED[:16, :16, 0], **slice_elements(UPRIGHT, 4))
REFUSED = {
    "gap": (PLAIN[:3] + PLAIN[4:], "slices are missing: .* 5 mm apart, and most neighbours 2.5 mm"),
    "duplicate": ([*PLAIN, PLAIN[3]], "are at the same position: remove one"),
    "phases": ([*PLAIN, *PLAIN], "2 slices at each of 8 positions: several phases"),
    "uneven phases": ([*PLAIN, *PLAIN, PLAIN[0]], "2 to 3 slices at each of 8 positions"),
    "mosaics": (PLAIN[:1] * 4, "4 slices at one position: several phases, .* or mosaics"),
    "tilt": (_placed(lambda k: [0, 0.8 * k, 0]), "sideways, by 17.7° from first to last"),
    "uneven": (_placed(lambda k: [0, 0, 0.1 * k * k]), "unevenly spaced, 2.6 to 3.8 mm apart"),
    "localizer": (_with(0, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "is a localizer"),
    "series": (_with(5, SeriesInstanceUID="1.2.3"), "of 2 series, such as"),
    "patients": (_with(5, PatientID="P8"), "of 2 patients, such as"),
    "frames of reference": (_with(5, FrameOfReferenceUID="1.2"), "of 2 frames of reference"),
    "echo times": (
        slices(STORED, UPRIGHT, Modality="MR", EchoTime=lambda k: f"{10 + k % 2}"),
        "of 2 echo times",
    ),
    "magnitude and phase": (
        slices(STORED, UPRIGHT, ImageType=lambda k: ["ORIGINAL", "PRIMARY", "MP"[k // 4], "ND"]),
        r"of 2 components \(magnitude and phase\)",
    ),
    "dose": (slices(STORED, UPRIGHT, DoseGridScaling="0.001"), "a dose with DoseGridScaling"),
    "modalities": (_with(5, Modality="PT"), "of 2 modalities"),
    "no position": (_with(5, ImagePositionPatient=None), "no ImagePositionPatient, so its place"),
    "no direction": (_with(5, ImageOrientationPatient=None), "no ImageOrientationPatient"),
    "no spacing": (_with(5, PixelSpacing=None), "no PixelSpacing, so its place"),
    "spacing of 0": (_with(5, PixelSpacing=["0", "1"]), "must be above 0"),
    "two coordinates": (_with(5, ImagePositionPatient=["1", "2"]), "has 2 values, and needs 3"),
    "no number": (_with(5, PatientID="x", PixelSpacing=["1", "inf"]), "is 'inf', which is not"),
    "long axes": (_with(5, ImageOrientationPatient=list("200010")), "two unit vectors"),
    "parallel axes": (
        slices(STORED, UPRIGHT, ImageOrientationPatient=list("100100")),
        "ImageOrientationPatient",
    ),
    "direction": (_with(5, ImageOrientationPatient=list("100001")), "differ in their direction"),
    "pixel spacing": (_with(5, PixelSpacing=["0.8", "0.9"]), "their distance between pixels"),
    "size": ([*PLAIN[:4], SMALL, *PLAIN[5:]], "differ in their number of pixels"),
    "single": (PLAIN[:1], "a single slice .* but a volume has several"),
    "slope alone": (_with(5, RescaleIntercept=None), "RescaleSlope without RescaleIntercept"),
    "slope 0": (_with(5, RescaleSlope="0"), "RescaleSlope is 0"),
    "cut off": ([*PLAIN[:7], PLAIN[7][:-9]], "cut off: 631 bytes of pixel data, .* states 640"),
    "colours": (_with(5, PhotometricInterpretation="RGB"), "a voxel has one grey value"),
    "no pixels": (_with(5, PixelData=None), "without pixels of whole numbers"),
    "no DICOM file": ([*PLAIN[:7], b""], "named like the slices, but is not a DICOM file"),
    "no file": ([], "a folder without DICOM files"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_volume_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    files, message = REFUSED[kind]
    with pytest.raises(DecodeError, match=message):
        open_volume(write_series(tmp_path, files))
