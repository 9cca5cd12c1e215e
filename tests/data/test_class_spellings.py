"""A class that is spelled in several ways is one, or is refused; words that may mean no class."""

from __future__ import annotations

from pathlib import Path

import pytest
from made import make_images
from made_spellings import of_classes, table

from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.readers import load_dataset
from bottleneck.data.samples.sample_table import Sample
from bottleneck.data.spelling.identifiers import canonical
from bottleneck.errors import DataError


@pytest.mark.parametrize("word", ["bening", "benigne", "bnign", "Beniqn", "B", "Ben", "Benign?"])
def test_a_class_that_may_be_mistyped_gets_a_note(tmp_path: Path, word: str) -> None:
    made = load_dataset(table(tmp_path, [f"benign,{word}", f"malignant,{word}", f"{word},3"]))
    assert made.class_counts[word] == 1
    assert f"the classes 'benign' and '{word}' count as two; if one is a short" in made.notes[-1]


@pytest.mark.parametrize(
    "labels", [("normal", "abnormal"), ("I", "II", "III"), ("ductal", "lobular"), ("T1", "T2")]
)
def test_classes_that_are_no_misspellings(tmp_path: Path, labels: tuple[str, ...]) -> None:
    made = load_dataset(table(tmp_path, [f"{label},{label}" for label in labels]))
    assert not any("count as two" in note for note in made.notes)


@pytest.mark.parametrize("code", ["-9", "-99.0", "-999", "-1"])
def test_codes_for_a_missing_value(tmp_path: Path, code: str) -> None:
    rows = [f"{n % 2},P{n}" for n in range(12)]
    made = load_dataset(table(tmp_path, [*rows, f"1,{code}", f"0,{code}"]))
    assert [sample.group for sample in made.samples[-2:]] == [None, None]
    assert "which is not a name" in made.notes[-1]
    with pytest.raises(DataError, match=f"is '{canonical(code)}', the label of 1 of 13 images"):
        load_dataset(table(tmp_path, [*rows, f"{code},P9"]))
    made = load_dataset(table(tmp_path, [f"{n % 2 * 2 - 1},P{n}" for n in range(12)]))
    assert (made.classes, made.notes) == (("-1", "1"), ())


def test_measurements_are_hardly_classes(tmp_path: Path) -> None:
    made = load_dataset(table(tmp_path, [f"{n / 7:.3f},P{n}" for n in range(12)]))
    assert made.notes[-1].startswith("12 of 12 classes have one image, such as '0'")


def test_a_class_with_two_labels_gets_a_note(tmp_path: Path) -> None:
    made = load_dataset(table(tmp_path, ["benign,1", "malignant,2", "benign;cyst,3"]))
    assert "the class 'benign;cyst' stays a class of its own, but may be 'benign'" in made.notes[0]
    made = load_dataset(table(tmp_path, ["HER2+,1", "HER2-,2", "N/A,3"]))
    assert not any("second label" in note for note in made.notes)


def test_folders_of_one_class(tmp_path: Path) -> None:
    make_images(tmp_path / "Benign", 1)
    make_images(tmp_path / "benign ", 1)
    with pytest.raises(DataError, match="has only one class"):
        load_dataset(tmp_path)
    make_images(tmp_path / "malignant", 1)
    dataset = load_dataset(tmp_path)
    assert dataset.classes == ("Benign", "malignant")
    assert "'Benign' and 'benign'" in dataset.notes[-1]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["1", "True", "0", "False"], ("0", "1")),
        (["WAHR", "FALSCH", "TRUE", "false"], ("0", "1")),
        (["1,0", "0,0", "1", "0"], ("0", "1")),
        (["1", "True", "0", "0"], ("0", "1")),
        (["t", "f", "True", "False"], ("0", "1")),
        (["yes", "no", "1", "0"], ("0", "1")),
        (["yes", "no", "Yes"], ("no", "yes")),
        (["True", "False"], ("False", "True")),
        (["N", "0"], ("0", "N")),
        (["S", "N", "F"], ("F", "N", "S")),
        (["yes", "n", "y", "no"], ("0", "1")),
        (["yes", "no", "maybe"], ("maybe", "no", "yes")),
    ],
)
def test_true_and_false(labels: list[str], classes: tuple[str, ...]) -> None:
    made = of_classes(*labels)
    assert made.classes == classes
    assert bool(made.notes) == (len(set(labels)) > len(classes))


def test_true_beside_other_numbers_is_refused() -> None:
    with pytest.raises(DataError, match="'1' and 'True' may be one class, but there is also '2'"):
        of_classes("1", "True", "2")


def test_a_positive_label_in_another_spelling() -> None:
    samples = [Sample("a", "a", "Malignant "), Sample("b", "b", "benign")]
    for positive in ("Malignant ", "malignant", "Malignant"):
        made = ImageDataset("made", samples, FileSource(Path()), positive=positive)
        assert made.positive == "Malignant"


NOTHING = ["NA", "nan", "N/A", "null", "", "#NV", "#N/A", "#N/D", ".", "--", "<NA>", "NaT", "\\N"]
NOTHING += ["#WERT!", "#VALUE!", "#VALEUR!", "#¿NOMBRE?", "#REF!", "#DIV/0!", "#ДЕЛ/0!", "#####"]
NOTHING += ["(null)", " \u200b", "'", '=""', "\u00a0"]


@pytest.mark.parametrize("nothing", NOTHING)
def test_what_says_nothing(tmp_path: Path, nothing: str) -> None:
    dataset = load_dataset(table(tmp_path, ["a,x", "b,y", f"{nothing},x", f"a,{nothing}"]))
    assert dataset.classes == ("a", "b")
    assert dataset.excluded == {"no label": 1}
    assert dataset.samples[2].group is None
    assert bool(dataset.notes) == bool(canonical(nothing))


def test_a_label_that_means_nothing_is_refused_in_a_data_set_made_by_hand() -> None:
    with pytest.raises(DataError, match="2 images have the label 'nan', which means"):
        of_classes("a", "nan", "b", "")


@pytest.mark.parametrize("word", ["None", "unknown", "-", "?"])
def test_a_word_that_may_be_a_class(tmp_path: Path, word: str) -> None:
    with pytest.raises(DataError, match=r"the label of 2 of 16 images, a class, or does it mean"):
        load_dataset(
            table(tmp_path, [f"{x},{n}" for n, x in enumerate(["a", "b"] * 7 + [word] * 2)])
        )
    often = load_dataset(table(tmp_path, [f"{x},{n}" for n, x in enumerate(["a", word] * 4)]))
    assert often.classes == tuple(sorted(["a", word]))
    assert f"'{word}' is read as a class (4 of 8 images)" in often.notes[-1]


@pytest.mark.parametrize("word", ["normal", "Negative", "no"])
def test_a_word_for_a_class(tmp_path: Path, word: str) -> None:
    rows = [f"{x},{n}" for n, x in enumerate(["a", "b"] * 7 + [word] * 2)]
    rare = load_dataset(table(tmp_path, rows))
    assert rare.class_counts[word] == 2
    assert f"'{word}' is read as a class (2 of 16 images)" in rare.notes[-1]
    assert load_dataset(table(tmp_path, [f"{x},x" for x in ["a", word] * 4])).notes == ()
