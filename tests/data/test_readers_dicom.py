"""DICOM files in folders and tables: how they and their patients are recognised."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_dicom import dicom
from PIL import Image
from typer.testing import CliRunner

from bottleneck.cli.command_line import app
from bottleneck.data.images.decode import decode
from bottleneck.data.readers import load_dataset
from bottleneck.errors import DecodeError, MissingExtraError
from bottleneck.features.compute import tapped_networks
from bottleneck.features.file.reader import load_features
from bottleneck.testing import tiny_backbone

RNG = np.random.default_rng(0)


def write(path: Path, **elements: Any) -> np.ndarray:
    pixels = RNG.integers(0, 256, (24, 24), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dicom(pixels, **elements))
    return pixels


def folder(root: Path, *patients: str | None) -> Path:
    """Two classes with a file of each patient."""
    for label in ("benign", "malignant"):
        for number, patient in enumerate(patients):
            named = {} if patient is None else {"PatientID": f"{label[0]}{patient}"}
            write(root / label / f"{number}.dcm", **named)
    return root


def groups(root: Path, **options: Any) -> list[str | None]:
    return [sample.group for sample in load_dataset(root, **options).samples]


def test_which_files_are_taken(tmp_path: Path) -> None:
    for name in ("a/1.dcm", "a/2.DICOM", "a/IM0001", "b/1.2.840.113619.2.55.3", "b/DICOMDIR"):
        write(tmp_path / name)
    (tmp_path / "b" / "README").write_text("no image, and without a suffix")
    (tmp_path / "b" / "notes.1").write_text("nor this")
    dataset = load_dataset(tmp_path)
    taken = ["a/1.dcm", "a/2.DICOM", "a/IM0001", "b/1.2.840.113619.2.55.3"]
    assert [sample.id for sample in dataset.samples] == taken
    assert dataset.excluded == {"not an image file": 2}


def test_the_patient_is_that_of_the_header(tmp_path: Path) -> None:
    root = folder(tmp_path, "P1", "P2 ", "P1")
    dataset = load_dataset(root)
    assert groups(root) == ["bP1", "bP2", "bP1", "mP1", "mP2", "mP1"]
    assert dataset.notes == ("patients: PatientID of 6 DICOM files",)
    assert dataset.n_groups == 4


@pytest.mark.parametrize(
    ("patients", "expected", "note"),
    [
        # The header tells patients apart, and knows that two folders are of one.
        ("AAB", ["A", "A", "B"], "patients: PatientID of 4 DICOM files"),
        # A replaced header tells nobody apart.
        ("XXX", ["p0", "p1", "p2"], "patients: the folders above the classes"),
        ((None,) * 3, ["p0", "p1", "p2"], "patients: the folders above the classes"),
    ],
)
def test_patients_of_the_header_and_of_folders(tmp_path, patients, expected, note) -> None:
    for number, patient in enumerate(patients):
        named = {} if patient is None else {"PatientID": patient}
        write(tmp_path / f"p{number}" / ("benign", "malignant")[number % 2] / "1.dcm", **named)
    write(tmp_path / "p2" / "benign" / "2.dcm", **named)
    dataset = load_dataset(tmp_path)
    assert groups(tmp_path) == [*expected, expected[-1]]
    assert dataset.notes[-1] == note
    write(tmp_path / "p2" / "benign" / "3.dcm", PatientID="C")
    if patients == "AAB":
        assert (
            "1 folder above the classes with images of several" in load_dataset(tmp_path).notes[-1]
        )


def test_names_are_read_in_their_character_set(tmp_path: Path) -> None:
    write(tmp_path / "a" / "1.dcm", SpecificCharacterSet="ISO_IR 192", PatientID="Müller-日本")
    write(tmp_path / "b" / "1.dcm", SpecificCharacterSet="ISO_IR 100", PatientID="Müller")
    assert groups(tmp_path) == ["Müller-日本", "Müller"]


def test_a_patient_has_one_name(tmp_path: Path) -> None:
    for number, patient in enumerate(["SITE\\0042", "SITE \\0042 ", "SITE\\0043", "0044\\"]):
        write(tmp_path / "ab"[number % 2] / f"{number}.dcm", PatientID=patient)
    assert sorted(groups(tmp_path)) == ["0044", "SITE\\0042", "SITE\\0042", "SITE\\0043"]
    write(tmp_path / "a" / "x.dcm", PatientID="\\")
    assert "1 of 5 images have no readable PatientID" in load_dataset(tmp_path).notes[0]


def test_headers_are_read_up_to_the_patient_alone(tmp_path: Path) -> None:
    root = folder(tmp_path, "P1", "P2")
    for path in root.rglob("*.dcm"):
        data = path.read_bytes()
        end = data.index(b"P", data.index(b"\x10\x00\x20\x00")) + 8
        path.write_bytes(data[:end] + b"\xff" * 50)
    assert groups(root) == ["bP1", "bP2", "mP1", "mP2"]


@pytest.mark.parametrize("patient", [None, "", "  "])
def test_where_some_lack_a_patient_none_is_taken(tmp_path: Path, patient: str | None) -> None:
    root = folder(tmp_path, "P1", "P2")
    write(root / "malignant" / "x.dcm", **({} if patient is None else {"PatientID": patient}))
    dataset = load_dataset(root)
    assert dataset.n_groups is None
    (note,) = dataset.notes
    assert "1 of 5 images have no readable PatientID" in note
    assert "'malignant/x.dcm'" in note
    assert "--patient-pattern" in note


def test_where_some_are_other_files_none_is_taken(tmp_path: Path) -> None:
    root = folder(tmp_path, "P1", "P2")
    Image.new("L", (9, 9)).save(root / "benign" / "x.png")
    (root / "benign" / "broken.dcm").write_bytes(b"no DICOM file")
    dataset = load_dataset(root)
    assert (len(dataset), dataset.n_groups) == (6, None)
    assert "2 of 6 images have no readable PatientID" in dataset.notes[0]


@pytest.mark.parametrize("end", [0, 140, -100])
def test_files_that_cannot_be_decoded_leave_the_others_their_patients(
    tmp_path: Path, end: int
) -> None:
    root = folder(tmp_path, "P1", "P2", "P1")
    write(root / "benign" / "broken.dcm")  # without a patient
    path = root / "benign" / "broken.dcm"
    path.write_bytes(path.read_bytes()[:end])
    dataset = load_dataset(root)
    assert [s.group for s in dataset.samples] == ["bP1", "bP2", "bP1", None, "mP1", "mP2", "mP1"]
    note = "patients: PatientID of 6 DICOM files; 1 more cannot be decoded, such as "
    assert dataset.notes == (f"{note}'benign/broken.dcm'",)
    with pytest.raises(DecodeError):
        decode(dataset.read(dataset.samples[3]))


def test_a_png_named_like_a_dicom_file_is_an_image_without_a_patient(
    tmp_path: Path,
) -> None:
    root = folder(tmp_path, "P1", "P2")
    (root / "benign" / "0-broken.dcm").write_bytes(b"")
    Image.new("L", (9, 9)).save(root / "benign" / "x.dcm", "PNG")
    dataset = load_dataset(root)
    assert dataset.n_groups is None
    assert "2 of 6 images have no readable PatientID" in dataset.notes[0]
    assert "'benign/x.dcm'" in dataset.notes[0]


def test_where_no_file_can_be_decoded_no_patient_is_named(tmp_path: Path) -> None:
    for name in ("a/1.dcm", "b/1.dcm"):
        write(tmp_path / name)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:140])
    dataset = load_dataset(tmp_path)
    assert dataset.n_groups is None
    assert "2 of 2 images have no readable PatientID" in dataset.notes[0]


def test_a_single_patient_is_reported(tmp_path: Path) -> None:
    for name in ("a/1.dcm", "b/1.dcm"):
        write(tmp_path / name, PatientID="ANONYMOUS")
    (tmp_path / "a" / "broken.dcm").write_bytes(b"")
    dataset = load_dataset(tmp_path)
    assert {sample.group for sample in dataset.samples} == {"ANONYMOUS", None}
    assert "the same in all" in dataset.notes[0]


def test_a_pattern_goes_before_the_header(tmp_path: Path) -> None:
    root = folder(tmp_path, "P1", "P2")
    assert groups(root, patient_pattern=r"^(\w)") == ["b", "b", "m", "m"]
    assert load_dataset(root, patient_pattern=r"^(\w)").notes == ()


def test_a_table_without_patients_takes_them_from_the_header(tmp_path: Path) -> None:
    root = folder(tmp_path, "P1", "P2")
    rows = [f"{path.relative_to(root).as_posix()},{path.parent.name}" for path in root.rglob("*.*")]
    (root / "plain.csv").write_text("\n".join(["path,label", *sorted(rows)]))
    named = [f"{row},{n}" for n, row in enumerate(sorted(rows))]
    (root / "named.csv").write_text("\n".join(["path,label,patient", *named]))
    assert groups(root / "plain.csv") == ["bP1", "bP2", "mP1", "mP2"]
    assert groups(root / "named.csv") == ["0", "1", "2", "3"]


def test_images_of_other_formats_are_not_opened(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png"):
        write(tmp_path / name, PatientID="P1")
    dataset = load_dataset(tmp_path)
    assert (dataset.n_groups, dataset.notes) == (None, ())


def test_without_the_extra_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "bottleneck.data.images.dicom.dicom_images", raising=False)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    root = folder(tmp_path, "P1", "P2")
    for _ in range(20):  # It is read in threads, each of which may be the first to miss it.
        with pytest.raises(MissingExtraError, match="medical"):
            load_dataset(root)
    monkeypatch.setattr(tapped_networks, "load_backbone", lambda *_, **__: tiny_backbone())
    output = ["--output", str(tmp_path / "features"), "--precision", "fp32"]
    ended = CliRunner().invoke(app, ["extract", str(root), "--patient-pattern", "^(.)", *output])
    assert ended.exit_code == 2
    assert "pip install 'bottleneck-features[medical]'" in ended.stderr


def test_rows_of_a_folder_are_those_of_the_same_pixels_as_png(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tapped_networks, "load_backbone", lambda *_, **__: tiny_backbone())
    for label in ("benign", "malignant"):
        for number in range(4):
            pixels = write(Path("scans", label, f"{number}.dcm"), PatientID=f"{label}{number // 2}")
            path = Path("images", label, f"{number}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    (tmp_path / "scans" / "benign" / "broken.dcm").write_bytes(
        dicom(np.zeros((24, 24), np.uint8), PatientID="benign9")[:-100]
    )
    found = {}
    for name in ("scans", "images"):
        words = ["extract", name, "--precision", "fp32"]
        ended = CliRunner().invoke(app, [*words, "--pixel-cache", "kept"])
        assert ended.exit_code == 0, ended.output
        assert ("patients: PatientID of 9 DICOM files" in ended.stderr) is (name == "scans")
        assert ("476 of 576 bytes of pixel data" in ended.stderr) is (name == "scans")
        (path,) = Path("features").glob(f"{name}--*.h5")
        found[name] = load_features(path)
    scans, images = found["scans"], found["images"]
    assert scans.groups.tolist() == [
        f"{c}{n // 2}" for c in ("benign", "malignant") for n in range(4)
    ]
    assert [i.split(".")[0] for i in scans.ids] == [i.split(".")[0] for i in images.ids]
    assert (scans.X == images.X).all()
    assert scans.pixels.tolist() == images.pixels.tolist()
    assert {"pydicom", "imagecodecs"} <= set(scans.provenance["versions"])
