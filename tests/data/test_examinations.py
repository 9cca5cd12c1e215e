"""Examinations: what DICOM headers and file names tell of images without a patient."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
from made_dicom import dicom
from PIL import Image

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.readers import load_dataset
from bottleneck.data.readers.patients.frame_names import name_examinations
from bottleneck.errors import UsageError

LABELS = ("benign", "malignant")


def named(sources: list[str], patients: list[str | None] | None = None) -> list[str | None]:
    labels = [LABELS[number % 2] for number in range(len(sources))]
    return told_of(sources, labels, patients or [None] * len(sources))


def told_of(*columns: list) -> list[str | None]:
    told = name_examinations(lambda: zip(*columns, strict=True))
    return [None] * len(columns[0]) if told is None else told.read(0, len(columns[0]))


@pytest.mark.parametrize(
    ("sources", "first"),
    [
        ([f"{p:08d}_{k:03d}.png" for p in range(9) for k in range(4)], "00000000"),
        (
            [f"CNV/CNV-{p}-{k}.jpeg" for p in range(1016042, 1016050) for k in "123"],
            "CNV/CNV-1016042",
        ),
        (
            [f"case_{p}/IM-{s:04d}-{k:04d}.png" for p in "12" for s in (1, 2) for k in (7, 8)],
            "case_1/IM-0001",
        ),
        ([f"case{p} frame{k}.png" for p in range(5) for k in range(3)], "case0"),
        ([*(f"{p}_{k}.png" for p in range(3, 8) for k in (1, 2)), "3_1-2.png"], "3"),
    ],
    ids=["patient and number", "class and patient", "series", "word", "two numbers"],
)
def test_a_common_part_and_a_number_tell_an_examination(sources: list[str], first: str) -> None:
    told = named(sources)
    assert None not in told
    assert told[0] == told[-1 if "-2.png" in sources[-1] else 1] == first


@pytest.mark.parametrize(
    "sources",
    [
        [f"ISIC_{k:07d}.jpg" for k in range(40)],
        [f"benign ({k}).png" for k in range(40)],
        [f"{k:06d}.jpg" for k in range(40)],
        [f"202{y}_{k}.png" for y in range(5) for k in range(9)],
        [f"2021-03-0{d}_{k}.png" for d in range(1, 6) for k in range(9)],
        [f"tirads{c}_{k}.png" for c in "2345" for k in range(9)],
        [f"site-{c}_{k}.png" for c in "2345" for k in range(9)],
        [f"hosp{c}_patient_{k}.png" for c in "2345" for k in range(9)],
        [f"{y}_case_{k}.png" for y in range(2015, 2020) for k in range(9)],
        [f"IMG_2023010{d}_{k:03d}.png" for d in range(1, 6) for k in range(9)],
        [f"benign_class{c}_{k}.png" for c in "2345" for k in range(9)],
        [f"BI-RADS {c}_{k}.png" for c in "2345" for k in range(9)],
        [f"rot{d}_{k}.png" for d in (0, 90, 180, 270) for k in range(9)],
        [f"P{k // 3}_{k:05d}.png" for k in range(60)],
        [f"T5_{k}.png" for k in range(60)],
        [f"a{p}_{k}.png" for p in "12" for k in range(9)],
    ],
    ids=[
        "words",
        "brackets",
        "digits",
        "years",
        "dates",
        "classes",
        "sites",
        "patients of sites",
        "cases of years",
        "days",
        "classes of labels",
        "classes of two words",
        "rotations",
        "numbered",
        "one",
        "two",
    ],
)
def test_other_names_tell_none(sources: list[str]) -> None:
    assert set(named(sources)) == {None}


def test_names_that_contradict_known_patients_tell_nothing() -> None:
    sources = [f"a{p}_{k}.png" for p in range(8) for k in range(4)]
    right: list[str | None] = [f"p{p}" for p in range(8) for _ in range(4)]
    wrong: list[str | None] = [f"p{k}" for _ in range(8) for k in range(4)]
    assert None not in named(sources, right)
    assert set(named(sources, wrong)) == {None}


@pytest.mark.shared
def test_names_of_ddti_tell_its_patients(shared: Path) -> None:
    with (shared / "data" / "ddti-crops" / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    told = told_of(
        [row["image"] for row in rows], [row["label"] for row in rows], [None] * len(rows)
    )
    pairs = list(itertools.combinations(range(len(rows)), 2))
    same = {(a, b) for a, b in pairs if told[a] is not None and told[a] == told[b]}
    true = {(a, b) for a, b in pairs if rows[a]["patient"] == rows[b]["patient"]}
    assert len(true) == 226
    assert same == true


def folder(root: Path) -> Path:
    rng = np.random.default_rng(0)
    for case, frame in itertools.product(range(6), range(2)):
        path = root / LABELS[case % 2] / f"case{case}_{frame:03d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16), np.uint8)).save(path)
    return root


def examinations(dataset: ImageDataset) -> list[str | None]:
    return [sample.examination for sample in dataset.samples]


def test_names_are_used_with_a_note_and_can_be_ignored(tmp_path: Path) -> None:
    root = folder(tmp_path)
    dataset = load_dataset(root)
    assert examinations(dataset)[:2] == ["names benign/case0"] * 2
    (note,) = dataset.notes
    assert "frames of 6 examinations (12 images without a patient)" in note
    assert "--examinations dicom" in note
    for how in ("dicom", "none"):
        ignored = load_dataset(root, examinations=how)
        assert examinations(ignored) == [None] * 12
        assert not ignored.notes
        assert ignored.fingerprint != dataset.fingerprint
    with pytest.raises(UsageError, match="'auto', 'dicom' or 'none'"):
        load_dataset(root, examinations="names")  # type: ignore[arg-type]


def test_names_need_no_note_where_patients_are_known(tmp_path: Path) -> None:
    dataset = load_dataset(folder(tmp_path), patient_pattern=r"case\d")
    assert examinations(dataset)[0] == "names benign/case0"
    assert not dataset.notes


def write(path: Path, **uids: str) -> None:
    pixels = np.random.default_rng(len(str(path))).integers(0, 256, (16, 16), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dicom(pixels, **uids))


def test_studies_of_headers_are_examinations(tmp_path: Path) -> None:
    for number in range(6):
        study, series = f"1.2.{number // 2}", f"1.2.{number // 2}.{number}"
        path = tmp_path / LABELS[number // 2 % 2] / f"{number}.dcm"
        write(path, StudyInstanceUID=study, SeriesInstanceUID=series)
    dataset = load_dataset(tmp_path)
    told = dict(zip((s.id[-5] for s in dataset.samples), examinations(dataset), strict=True))
    studies = {number: text.split()[1] for number, text in told.items() if text}
    assert studies["0"] == studies["1"] != studies["2"]
    assert len(set(studies.values())) == 3
    assert not any("1.2" in text for text in told.values() if text)
    assert any("6 images without a patient belong to 3 DICOM" in note for note in dataset.notes)


def test_one_study_for_all_tells_nothing(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / LABELS[number % 2] / f"{number}.dcm", StudyInstanceUID="1.2")
    assert examinations(load_dataset(tmp_path)) == [None] * 4
