"""Labels of new images that are known: from folders, tables and readers, judged by pandas."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_images import CLASSES, labels, put

from bottleneck import ImageDataset, Sample, load_new_images
from bottleneck.data.dataset import FileSource
from bottleneck.data.labels.known_labels import match_labels
from bottleneck.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("folders", "classes", "expected"),
    [
        (["Benign", "MALIGNANT "], CLASSES, ["benign", "malignant"]),
        (["benign", "unsorted", "malignant"], CLASSES, ["benign", "", "malignant"]),
        (["left", "right"], CLASSES, ["", ""]),
        (["P1/benign", "P2/malignant"], CLASSES, ["benign", "malignant"]),
        (["benign/malignant", "benign/x"], CLASSES, ["", "benign"]),
        (["0", "1"], ("0", "1"), ["0", "1"]),
        # Numbers of patients, two of which happen to be classes.
        (["0", "1", "2"], ("0", "1"), ["", "", ""]),
        (["1"], ("0", "1"), [""]),
        (["benign", "malignant"], (), ["", ""]),
    ],
)
def test_folders_are_labels_if_they_are_classes_of_the_model(
    tmp_path: Path, folders: list[str], classes: Sequence[str], expected: list[str]
) -> None:
    for folder in folders:
        put(tmp_path / folder / "1.png")
    dataset = load_new_images(tmp_path, classes=classes)
    known = labels(dataset)
    assert [known[f"{folder}/1.png"] for folder in folders] == expected
    assert not classes or dataset.is_labelled or dataset.notes


SELECTION = {
    "merged": {"suspicious": ["malignant", "borderline"]},
    "left_out": {"cyst": 3},
    "excluded": 0,
    "words": "",
}


@pytest.mark.parametrize(
    ("label", "expected", "word"),
    [
        ("benign", "benign", None),
        (" Suspicious", "suspicious", None),
        ("BORDERLINE", "suspicious", None),
        ("malignant", "suspicious", None),
        ("cyst", "", "not among the classes"),
        ("tumour", "", "no class of the model"),
    ],
)
def test_labels_follow_the_selection_of_the_training(
    label: str, expected: str, word: str | None
) -> None:
    names, notes = match_labels({label: 2, "": 1}, ("benign", "suspicious"), SELECTION)
    assert names == {label: expected, "": ""}
    assert [word in note for note in notes if word] == [True] * len(notes)
    assert bool(notes) == (word is not None)


def test_a_name_that_means_two_classes_is_no_label() -> None:
    selection = {"merged": {"a": ["b"]}, "left_out": {}}
    names, notes = match_labels({"b": 1}, ("a", "b"), selection)
    assert names == {"b": ""}
    assert "two classes" in notes[0]


CELLS = st.sampled_from(["benign", "Malignant", "", "NA", "cyst", "benign "])


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(CELLS, min_size=1, max_size=7), st.sampled_from(["csv", "xlsx", "frame"]))
def test_tables_keep_the_rows_without_a_label(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str], kind: str
) -> None:
    root = tmp_path_factory.mktemp("table")
    for number in range(len(cells)):
        put(root / f"{number}.png", number)
    frame = pd.DataFrame({"path": [f"{n}.png" for n in range(len(cells))], "label": cells})
    if kind == "csv":
        frame.to_csv(root / "t.csv", index=False)
    elif kind == "xlsx":
        frame.to_excel(root / "t.xlsx", index=False)
    source = frame if kind == "frame" else root / f"t.{kind}"
    images = root if kind == "frame" else None
    dataset = load_new_images(source, classes=CLASSES, images=images)
    known = frame["label"].str.strip().str.lower()
    expected = known.where(known.isin(CLASSES), "")
    assert [sample.id for sample in dataset.samples] == frame["path"].tolist()
    assert [sample.label for sample in dataset.samples] == expected.tolist()
    assert dataset.class_counts == expected[expected != ""].value_counts().to_dict()
    assert any("'cyst'" in note for note in dataset.notes) == ("cyst" in cells)


def test_a_table_needs_no_column_of_labels(tmp_path: Path) -> None:
    put(tmp_path / "1.png")
    (tmp_path / "t.csv").write_text("path,patient,diagnosis\n1.png,p1,benign\n")
    dataset = load_new_images(tmp_path / "t.csv", classes=CLASSES)
    assert dataset.samples[0] == Sample("1.png", "1.png", "", "p1")
    assert any("--label-column 'diagnosis'" in note for note in dataset.notes)
    named = load_new_images(tmp_path / "t.csv", classes=CLASSES, columns={"label": "diagnosis"})
    assert named.samples[0].label == "benign"


def test_labels_may_lack_only_where_asked_for(tmp_path: Path) -> None:
    samples = [Sample("1", "1", "benign"), Sample("2", "2", ""), Sample("3", "3", "NA")]
    with pytest.raises(DataError, match="means that there is none"):
        ImageDataset("x", samples, FileSource(tmp_path))
    dataset = ImageDataset("x", samples, FileSource(tmp_path), may_lack_labels=True)
    assert [s.label for s in dataset.samples] == ["benign", "", ""]
    assert dataset.classes == ("benign",)
    assert dataset.n_unlabelled == 2
    assert "unlabelled 2" in dataset.summary
    assert "unlabelled 2" in repr(dataset)
    assert dataset.limited(2).n_unlabelled == 1
    rows = [{"path": "1"}, {"path": "2", "label": "benign"}]
    images = {"1": bytes(9), "2": bytes(9)}
    made = ImageDataset.from_samples(rows, name="x", images=images, may_lack_labels=True)
    assert [s.label for s in made.samples] == ["", "benign"]
    assert len(ImageDataset.from_samples(rows[1:], name="x", images=images)) == 1


def write_case(folder: Path, number: int, score: str) -> None:
    """Write a case as DDTI publishes it, with two images."""
    (folder / f"{number}.xml").write_text(f"<case><tirads>{score}</tirads></case>")
    for image in (1, 2):
        put(folder / f"{number}_{image}.png", number)


def test_images_that_a_reader_of_labelled_ones_leaves_out_are_read_without_labels(
    tmp_path: Path,
) -> None:
    for number, score in ((1, "2"), (2, "5"), (3, "")):
        write_case(tmp_path, number, score)
    put(tmp_path / "tomorrow.png")
    dataset = load_new_images(tmp_path, classes=CLASSES)
    by_file = {sample.source: sample.label for sample in dataset.samples}
    assert by_file == {
        **dict.fromkeys(("1_1.png", "1_2.png"), "benign"),
        **dict.fromkeys(("2_1.png", "2_2.png"), "malignant"),
        **dict.fromkeys(("3_1.png", "3_2.png", "tomorrow.png"), ""),
    }
    assert not dataset.excluded


@pytest.mark.parametrize("text", ["<report>no case</report>", "no XML <"])
def test_a_folder_with_numbered_xml_files_of_another_kind_is_a_plain_folder(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "1.xml").write_text(text)
    put(tmp_path / "1.png")
    dataset = load_new_images(tmp_path, classes=CLASSES)
    assert labels(dataset) == {"1.png": ""}
    assert any("not read as DDTI" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("known", "expected"),
    [(["", "benign"], "benign"), (["malignant", ""], "malignant"), (["benign", "malignant"], "")],
)
def test_an_image_of_two_sources_has_a_label_if_they_agree(
    tmp_path: Path, known: list[str], expected: str
) -> None:
    put(tmp_path / "1.png")
    for name, label in zip("ab", known, strict=True):
        (tmp_path / f"{name}.csv").write_text(f"path,label\n1.png,{label}\n")
    dataset = load_new_images([tmp_path / "a.csv", tmp_path / "b.csv"], classes=CLASSES)
    assert [sample.label for sample in dataset.samples] == [expected]
    assert any("several labels" in note for note in dataset.notes) == (expected == "")


def test_classes_may_be_numbers(tmp_path: Path) -> None:
    put(tmp_path / "0/1.png")
    put(tmp_path / "1/1.png")
    assert load_new_images(tmp_path, classes=[0, 1]).classes == ("0", "1")  # type: ignore[list-item]  # Numbers serve.
    for classes in ("benign", None, [None], 3):
        with pytest.raises(UsageError, match="classes must be names"):
            load_new_images(tmp_path, classes=classes)  # type: ignore[arg-type]  # Wrong use.
