"""New images from files, folders and arrays, judged by the file system."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_images import CLASSES, labels, put

from bottleneck import load_new_images
from bottleneck.errors import DataError, UsageError

NAMES = st.text("abcXYZ019 -éß", min_size=1, max_size=6).map(str.strip).filter(bool)
TREES = st.sets(st.lists(NAMES, min_size=1, max_size=4).map("/".join), min_size=1, max_size=8)


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(TREES)
def test_a_folder_has_one_sample_for_each_image_in_it(
    tmp_path_factory: pytest.TempPathFactory, tree: set[str]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for number, name in enumerate(sorted(tree)):
        # A name may be that of a folder already; the suffix tells them apart.
        put(root / f"{name}.png", number)
    dataset = load_new_images(root, classes=CLASSES)
    expected = sorted(p.relative_to(root).as_posix() for p in root.rglob("*.png") if p.is_file())
    assert [sample.id for sample in dataset.samples] == expected
    assert all(dataset.read(s) == (root / s.id).read_bytes() for s in dataset.samples)
    assert dataset.n_unlabelled == len(expected)
    assert dataset.classes == ()
    assert not dataset.is_labelled
    again = load_new_images(str(root) + os.sep, classes=CLASSES)
    assert (again.name, again.fingerprint) == (dataset.name, dataset.fingerprint)


def test_several_sources_have_unique_ids_and_each_image_once(tmp_path: Path) -> None:
    for hospital in ("A", "B"):
        for number in range(2):
            put(tmp_path / hospital / "new" / f"{number}.png", number)
    one, other = tmp_path / "A/new", tmp_path / "B/new"
    both = load_new_images([one, other])
    assert list(labels(both)) == ["A/new/0.png", "A/new/1.png", "B/new/0.png", "B/new/1.png"]
    assert all(both.read(s) == (tmp_path / s.id).read_bytes() for s in both.samples)
    more = load_new_images([one, other / "1.png", other, one / "0.png", tmp_path / "A"])
    files = {os.path.realpath(tmp_path / p) for p in labels(both)}
    assert len(more) == 4
    assert {more.read(s) for s in more.samples} == {Path(f).read_bytes() for f in files}
    assert len({load_new_images(p).name for p in (one, other, [one, other])}) == 3


def test_files_are_relative_to_their_common_folder_in_the_order_given(tmp_path: Path) -> None:
    paths = [put(tmp_path / name) for name in ("b/2.png", "a/1.png", "a/3.png")]
    link = tmp_path / "a/link.png"
    link.symlink_to(paths[1])
    assert list(labels(load_new_images([*paths, paths[0]]))) == ["b/2.png", "a/1.png", "a/3.png"]
    assert load_new_images(paths).name == load_new_images(paths[::-1]).name
    assert len(load_new_images([*paths, link])) == 3
    assert list(labels(load_new_images(paths[0]))) == ["2.png"]


def test_arrays_are_images_in_memory() -> None:
    arrays = np.random.default_rng(0).integers(0, 256, (3, 8, 8), np.uint8)
    dataset = load_new_images(arrays, classes=CLASSES)
    assert list(labels(dataset).values()) == ["", "", ""]
    assert dataset.name != load_new_images(arrays[:2]).name


def test_masks_and_other_files_are_left_out_as_from_class_folders(tmp_path: Path) -> None:
    for name in ("1.png", "1_mask.png", ".2.png", "@eaDir/3.png"):
        put(tmp_path / name)
    for name in ("Thumbs.db", "notes.txt", "archive.zip"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    dataset = load_new_images(tmp_path)
    assert list(labels(dataset)) == ["1.png"]
    assert dataset.excluded == {
        "broken link or special file": 1,
        "not an image file": 2,
        "mask of another image": 1,
    }


def test_damaged_images_are_samples(tmp_path: Path) -> None:
    put(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"no image")
    assert len(load_new_images(tmp_path)) == 2


def test_folders_called_patient_are_patients(tmp_path: Path) -> None:
    for name in ("Patient 1/a/1.png", "Patient 1/b/2.png", "Patient 2/a/1.png"):
        put(tmp_path / name)
    dataset = load_new_images(tmp_path)
    assert [s.group for s in dataset.samples] == ["Patient 1", "Patient 1", "Patient 2"]
    for n in range(3):
        put(tmp_path / f"days/2024-05-0{n + 1}/1.png")
    dataset = load_new_images(tmp_path / "days")
    assert dataset.n_groups is None
    assert "--patient-pattern" in dataset.notes[-1]
    named = load_new_images(tmp_path / "days", patient_pattern="^(?P<patient>[^/]+)/")
    assert named.n_groups == 3


def write_dicom(path: Path, patient: str) -> None:
    """Write a grey ultrasound image."""
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian, UltrasoundImageStorage, generate_uid

    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = UltrasoundImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.PatientID, made.Rows, made.Columns = patient, 8, 8
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    made.PixelData = bytes(64)
    made.save_as(path, enforce_file_format=True)


def test_patients_are_those_of_dicom(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    for number, patient in enumerate(["A", "B", "A"]):
        # Without a suffix, as some archives export them.
        write_dicom(tmp_path / f"IM{number}", patient)
    assert [s.group for s in load_new_images(tmp_path).samples] == ["A", "B", "A"]
    files = sorted(tmp_path.iterdir())
    assert [s.group for s in load_new_images(files).samples] == ["A", "B", "A"]


def wrong_folder(root: Path) -> Path:
    (root / "notes.txt").write_text("x")
    return root


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root, "contains no file"),
        (lambda root: root / "nowhere", "does not exist"),
        (wrong_folder, "no image"),
        (lambda root: "", "is empty"),
        (lambda root: [], "no images are given"),
        (lambda root: None, "cannot be read from None"),
        (lambda root: ["a.png", 3], "is not a path|does not exist"),
        (lambda root: "a\0b", "does not exist"),
        (lambda root: np.zeros((4, 4)), "table of numbers"),
        (lambda root: os.devnull, "device"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises((DataError, UsageError), match=message):
        load_new_images(make(tmp_path), classes=CLASSES)


def test_a_broken_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match="link to a file that does not exist"):
        load_new_images(tmp_path / "gone.png")


def test_options_that_fit_no_source_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "1.png")
    for option in ({"columns": {"path": "x"}}, {"images": tmp_path}, {"crop": True}):
        with pytest.raises(UsageError, match="no reader of these images supports that"):
            load_new_images(tmp_path, **option)  # type: ignore[arg-type]  # Wrong use.
    with pytest.raises(UsageError, match="cannot name a file"):
        load_new_images(tmp_path, name="a/b")


def test_patients_that_are_known_stay_known_next_to_other_images(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    write_dicom(tmp_path / "1.dcm", "A")
    write_dicom(tmp_path / "2.dcm", "")
    put(tmp_path / "3.png")
    dataset = load_new_images(tmp_path)
    assert [s.group for s in dataset.samples] == ["A", None, None]
    assert any("patient of its own" in note for note in dataset.notes)


@pytest.mark.parametrize("name", ["photo.heic", "clip.mp4", "report.pdf", "a.h5"])
def test_other_files_are_named_for_what_they_are_not(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\0\1\2")
    with pytest.raises(DataError, match="neither an image"):
        load_new_images(tmp_path / name)


def test_files_that_are_named_are_read_also_where_they_may_be_masks(tmp_path: Path) -> None:
    files = [put(tmp_path / name) for name in ("2.png", "1_mask.png", "1.png")]
    dataset = load_new_images(files)
    assert [sample.id for sample in dataset.samples] == [file.name for file in files]
    assert "'1_mask.png' of '1.png'" in dataset.notes[0]


def test_patients_of_one_name_in_two_sources_are_two_with_a_note(tmp_path: Path) -> None:
    for folder in ("monday", "tuesday"):
        put(tmp_path / folder / "patient 1" / "1.png")
    dataset = load_new_images([tmp_path / "monday", tmp_path / "tuesday"])
    assert dataset.n_groups == 2
    assert "count as two" in dataset.notes[-1]
    twice = load_new_images([tmp_path / "monday", f"{tmp_path / 'monday'}/"])
    assert [s.group for s in twice.samples] == ["patient 1"]
