"""Data sets of DICOM series: class folders, tables, samples in Python, and new images."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_dicom import changed
from made_series import enhanced, made_ct, slices, write_series

from bottleneck import ImageDataset, load_dataset, load_new_images
from bottleneck.data.volumes.geometry import VolumeGeometry
from bottleneck.data.volumes.volume_files import VolumeFiles
from bottleneck.errors import DataError, UsageError

STORED = made_ct((8, 8, 3))
UPRIGHT = VolumeGeometry((8, 8, 3), np.diag([1.0, 1.0, 2.0, 1.0]))
FILES = slices(STORED, UPRIGHT)
SCANS = ("benign/7", "benign/8", "malignant/9/study/chest")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Write a folder of two classes, with three series of two patients."""
    for scan, patient in zip(SCANS, ("P1", "P2", "P2"), strict=True):
        write_series(tmp_path / scan, [changed(file, PatientID=patient) for file in FILES])
    return tmp_path


def values(dataset: ImageDataset) -> list[np.ndarray]:
    opened = map(dataset.open_volume, dataset.samples)
    return [volume.read((0, 0, 0), volume.geometry.shape) for volume in opened]


def holds_scans(dataset: ImageDataset) -> bool:
    return all((read == STORED - 1024.0).all() for read in values(dataset))


def test_each_folder_of_slices_is_a_volume(scans: Path) -> None:
    (scans / SCANS[0] / "report.txt").write_text("nothing")
    (scans / "benign" / "read.me").write_text("nothing")
    dataset = load_dataset(scans, volumes=True, name="scans")
    assert repr(dataset).startswith("<ImageDataset scans: 3 volumes of 2 patients; benign 2")
    assert [(s.id, s.source, s.group) for s in dataset.samples] == [
        ("benign/7", "benign/7", "P1"),
        ("benign/8", "benign/8", "P2"),
        ("malignant/9/study/chest", "malignant/9/study/chest", "P2"),
    ]
    assert dataset.excluded == {"not part of a volume": 1}
    assert "3 folders of DICOM files, such as 'benign/7': each is read as one volume" in (
        dataset.notes
    )
    assert "patients: PatientID of 3 DICOM volumes" in dataset.notes
    assert holds_scans(dataset)


def test_without_the_option_each_slice_is_an_image(scans: Path) -> None:
    dataset = load_dataset(scans)
    assert (len(dataset), dataset.noun) == (9, "image")


def test_enhanced_files_are_volumes_of_their_own(tmp_path: Path) -> None:
    for scan in ("benign/7.dcm", "benign/8.dcm", "malignant/9.dcm"):
        (tmp_path / scan).parent.mkdir(exist_ok=True)
        (tmp_path / scan).write_bytes(enhanced(STORED, UPRIGHT, [2, 0, 1]))
    dataset = load_dataset(tmp_path, volumes=True)
    assert [sample.id for sample in dataset.samples] == [
        "benign/7.dcm",
        "benign/8.dcm",
        "malignant/9.dcm",
    ]
    assert dataset.samples[0].group == "P7"
    assert values(dataset)[0].shape == (8, 8, 3)


def test_files_of_volume_formats_need_no_option(tmp_path: Path) -> None:
    for name in ("ill/1.nii.gz", "ill/1_seg.nii.gz", "well/2.mhd", "well/2.raw", "well/3.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for dataset in (load_dataset(tmp_path), load_dataset(tmp_path, volumes=True)):
        assert [(s.id, s.label) for s in dataset.samples] == [
            ("ill/1.nii.gz", "ill"),
            ("well/2.mhd", "well"),
        ]
        assert dataset.excluded == {"not part of a volume": 1, "mask of another volume": 1}
    (tmp_path / "ill" / "4.png").touch()
    (tmp_path / "well" / "5.png").touch()
    images = load_dataset(tmp_path)
    assert [sample.id for sample in images.samples] == ["ill/4.png", "well/5.png"]
    assert any(note.startswith("3 volumes, such as 'ill/1.nii.gz'") for note in images.notes)
    assert len(load_dataset(tmp_path, volumes=True)) == 2


def test_a_folder_of_slices_is_no_data_set(scans: Path) -> None:
    with pytest.raises(DataError, match="its 1 volume is directly in it"):
        load_dataset(scans / SCANS[0], volumes=True)


def test_patients_are_unknown_if_a_header_names_none(scans: Path) -> None:
    for file in (scans / SCANS[1]).iterdir():
        file.write_bytes(changed(file.read_bytes(), PatientID=""))
    dataset = load_dataset(scans, volumes=True)
    assert dataset.n_groups is None
    note = "patients: unknown, since 1 of 3 volumes have no readable PatientID"
    assert any(one.startswith(note) for one in dataset.notes)


def test_the_patient_is_not_that_of_a_directory(scans: Path) -> None:
    for scan in SCANS:
        (scans / scan / "DICOMDIR").write_bytes(changed(FILES[0], PatientID=""))
        for file in (scans / scan).glob("*.dcm"):
            file.rename(file.with_name(f"IM{file.stem}"))
    assert [s.group for s in load_dataset(scans, volumes=True).samples] == ["P1", "P2", "P2"]


@pytest.mark.parametrize("is_table", [True, False])
def test_the_files_of_a_volume_are_looked_up_once_for_all_of_its_points(
    scans: Path, is_table: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []
    opened = VolumeFiles.open
    monkeypatch.setattr(
        VolumeFiles, "open", lambda self, source: looked_up.append(source) or opened(self, source)
    )
    rows = [(scan, n % 8, 1, 1, "voxel", "ab"[n % 2]) for n in range(40) for scan in SCANS]
    table = pd.DataFrame(rows, columns=["path", "x", "y", "z", "space", "label"])
    table["id"] = [str(n) for n in range(len(rows))]
    if is_table:
        table.to_csv(scans / "points.csv", index=False)
        dataset = load_dataset(scans / "points.csv")
    else:
        dataset = ImageDataset.from_samples(table, name="points", images=scans)
    assert len(dataset) == 120
    assert dataset.n_groups == 2
    assert len(looked_up) <= 2 * len(SCANS) + 1


@pytest.mark.parametrize("point", [False, True])
def test_a_table_names_folders_of_slices(scans: Path, point: bool) -> None:
    rows = [f"{scan},{'ab'[n % 2]}" + ",1,2,3" * point for n, scan in enumerate(SCANS)]
    table = scans / "table.csv"
    table.write_text("\n".join(["path,label" + ",x,y,z" * point, *rows]))
    dataset = load_dataset(table)
    assert dataset.noun == ("region" if point else "volume")
    assert dataset.n_groups == 2
    if point:
        assert dataset.samples[0].volume_region == (1, 2, 3, "lps", None)
    assert holds_scans(dataset)


def test_other_folders_and_files_in_a_table(scans: Path) -> None:
    table = scans / "table.csv"
    table.write_text(f"path,label\n{SCANS[0]},a\n{SCANS[1]}/0.dcm,b\ngone,b\n")
    assert [s.source for s in load_dataset(table).samples] == [
        SCANS[0],
        SCANS[1] + "/0.dcm",
        "gone",
    ]
    table.write_text(f"path,label\n{SCANS[0]},a\nx.png,b\n")
    with pytest.raises(
        DataError, match=r"x\.png' is not a volume, and the rows above name volumes"
    ):
        load_dataset(table)
    # A folder without DICOM files is left out of a table of images.
    (scans / "empty").mkdir()
    (scans / "x.png").touch()
    table.write_text("path,label\nempty,a\nx.png,b\n")
    dataset = load_dataset(table)
    assert (dataset.noun, dataset.excluded) == ("image", {"folder or special file": 1})


def test_a_table_names_enhanced_files_with_the_option(tmp_path: Path) -> None:
    (tmp_path / "7.dcm").write_bytes(enhanced(STORED, UPRIGHT, [2, 0, 1]))
    table = tmp_path / "table.csv"
    table.write_text("path,label,x,y,z\n7.dcm,a,1,2,3\n7.dcm,b,4,4,2\n")
    dataset = load_dataset(table, volumes=True)
    assert (dataset.noun, len(dataset), dataset.n_groups) == ("region", 2, 1)
    with pytest.raises(DataError, match=r"'7\.dcm' is already in line 2"):
        load_dataset(table)


def test_samples_in_python_name_folders_of_slices(scans: Path) -> None:
    frame = pd.DataFrame({"path": SCANS, "label": list("aab"), "x": 1, "y": 2, "z": [1, 2, 3]})
    dataset = ImageDataset.from_samples(frame, name="mine", images=scans)
    assert dataset.samples[2].volume_region == (1, 2, 3, "lps", None)
    assert dataset.n_groups == 2
    assert holds_scans(dataset)
    rows = [{"path": SCANS[0], "label": "a"}, {"path": f"{SCANS[0]}/0.dcm", "label": "b"}]
    with pytest.raises(DataError, match="1 of 2 samples name volumes, and the others images"):
        ImageDataset.from_samples(rows, name="mine", images=scans)


@pytest.mark.parametrize(
    ("sources", "ids"),
    [
        (lambda folder: folder / "benign" / "7", ["7"]),
        (lambda folder: folder / "benign", ["7", "8"]),
        (lambda folder: folder, [*SCANS]),
        (lambda folder: [folder / scan for scan in SCANS[:2]], ["7/7", "8/8"]),
        (lambda folder: [folder, folder / SCANS[0]], None),
    ],
)
def test_new_images_are_series(
    scans: Path, sources: Callable[[Path], object], ids: list[str] | None
) -> None:
    dataset = load_new_images(sources(scans), volumes=True, classes=["benign", "malignant"])
    assert dataset.noun == "volume"
    if ids is None:  # A series that several sources contain is one sample.
        assert len(dataset) == 3
    else:
        assert [sample.id for sample in dataset.samples] == ids
    assert holds_scans(dataset)


def test_new_images_are_files_of_volumes(scans: Path) -> None:
    (scans / "1.dcm").write_bytes(enhanced(STORED, UPRIGHT, [0, 1, 2]))
    (scans / "2.nii.gz").touch()
    both = load_new_images([scans / "1.dcm", scans / "2.nii.gz"], volumes=True)
    assert [sample.id for sample in both.samples] == ["1.dcm", "2.nii.gz"]
    assert both.holds_volumes
    assert load_new_images(scans / "2.nii.gz").holds_volumes
    with pytest.raises(UsageError, match="images: take data sets of one kind"):
        load_new_images([scans / "1.dcm", scans / "2.nii.gz"])


def test_the_option_is_refused_where_it_has_no_effect(scans: Path) -> None:
    with pytest.raises(UsageError, match=r"DICOM files that can be volumes \(--volumes\)"):
        load_dataset("phantom", volumes=True)
    with pytest.raises(UsageError, match="holds images, but volumes are needed"):
        load_new_images(np.zeros((1, 16, 16), np.uint8), volumes=True)


def test_a_series_that_is_damaged_is_left_out_by_name(scans: Path) -> None:
    dataset = load_dataset(scans, volumes=True)
    (scans / SCANS[0] / "1.dcm").unlink()
    shutil.copy(scans / SCANS[1] / "1.dcm", scans / SCANS[0] / "1.dcm")
    with pytest.raises(DataError, match="its slices are of 2 patients"):
        dataset.open_volume(dataset.samples[0])
