"""A patient, class, fold or centre that is spelled in several ways is one, or is refused."""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
import string
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import make_images
from respellings import ALIKE, NAMES, SAME, respell

from bottleneck.data import samples as samples_module
from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.readers import load_dataset
from bottleneck.data.samples import Sample, SampleTable
from bottleneck.data.spelling.identifiers import canonical, legible
from bottleneck.errors import DataError


def table(folder: Path, rows: list[str], header: str = "path,label,patient") -> Path:
    make_images(folder, len(rows), side=16)
    path = folder / "labels.csv"
    path.write_text("\n".join([header, *(f"{n:03d}.png,{row}" for n, row in enumerate(rows))]))
    return path


def of_patients(*patients: str) -> ImageDataset:
    samples = [Sample(f"i{n}", "a", "x", group=patient) for n, patient in enumerate(patients)]
    return ImageDataset("made", samples, FileSource(Path()))


def of_classes(*labels: str) -> ImageDataset:
    samples = [Sample(f"i{n}", "a", label) for n, label in enumerate(labels)]
    return ImageDataset("made", samples, FileSource(Path()))


def result(*patients: str) -> str:
    """Return what happens to two spellings of a patient; "silent" is the only wrong answer."""
    try:
        made = of_patients(*patients)
    except DataError as error:
        return "refused" if all(p in str(error) or legible(p) for p in patients) else "silent"
    if made.n_groups == 1:
        return "one patient"
    names = {sample.group for sample in made.samples}
    named = [note for note in made.notes if all(legible(str(name)) in note for name in names)]
    return "two patients, noted" if named else "silent"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1.0"),
        ("7", "7,0"),
        ("0", "0.0"),
        ("0007", "'0007"),
        ("0007", '="0007"'),
        ("P7", "P7\u200b"),
        ("Bösartig", "bösartig"),
        ("P 1", "P1"),
        ("P 1", "P\u00a01"),
        # Composed and decomposed: what macOS makes of a file's name.
        ("M\u00fcller", "Mu\u0308ller"),
    ],
)
def test_one_name_in_two_spellings(tmp_path: Path, one: str, other: str) -> None:
    rows = [f'a,"{one}"', f'b,"{other}"', f'a,"{one}"'] if '"' not in other else None
    if rows is not None:
        dataset = load_dataset(table(tmp_path, rows))
        assert {sample.group for sample in dataset.samples} == {canonical(one)}
        (note,) = dataset.notes
        assert f"the patients {legible(one)} and {legible(other)}" in note
    dataset = of_classes(one, other, one, "z")
    assert dataset.classes == tuple(sorted([canonical(one), "z"]))
    assert any(f"the classes {legible(one)} and {legible(other)}" in n for n in dataset.notes)


APART = [("P1", "P10"), ("A", "B"), ("1", "l"), ("O", "0"), ("P1", "P1a"), ("P-1", "P-11")]
APART += [("7.5", "75"), ("1_2", "12"), ("ü", "u"), ("1.10", "1.1"), ("1", "10"), ("1.5", "1.50")]
APART += [
    ("P1", "P01"),
    ("5²", "52"),
    ("0", "00a"),
    ("a", "á"),
    ("a-b", "ab"),
    ("7e", "7"),
    ("1e0", "1"),
]
APART += [
    ("1.2.840.10", "1.2.840.1"),
    ("-7", "7"),
    ("Müller", "Muller"),
    ("12E5", "12"),
    ("²", "2"),
]


@pytest.mark.parametrize(("one", "other"), APART)
def test_names_that_differ(one: str, other: str) -> None:
    assert of_patients(one, other, one).n_groups == 2
    assert of_classes(one, other).classes == tuple(sorted([one, other]))


@pytest.mark.parametrize(
    "spellings",
    [("7", "0007"), ("7.0", "007"), ("0007", "007"), ("7", "7.000"), ("7000", "7.000", "7")],
)
def test_numbers_that_may_be_equal_are_refused(spellings: tuple[str, ...]) -> None:
    for order in itertools.permutations(spellings):
        with pytest.raises(DataError, match="Write each patient in one way"):
            of_patients(*order)


def test_a_number_from_which_a_spreadsheet_removed_digits() -> None:
    with pytest.raises(DataError, match=r"the patient '1.2E\+11' is a number from which"):
        of_patients("1.2E+11", "120000000001")
    assert of_patients("1.23E+02", "123").n_groups == 1
    assert of_patients("12E5", "7E1").n_groups == 2


def test_a_number_that_a_spreadsheet_rounded_gets_a_note() -> None:
    assert result("1234567890123456", "1234567890123450") == "two patients, noted"
    assert of_patients("1234567890123456", "1234567890123457").notes == ()


def _programs(name: str) -> dict[str, str]:
    """Return what programs write for a whole number, by what they do to it."""
    number = int(name)
    return {
        "Excel": name[:15].ljust(len(name), "0"),
        "LibreOffice": str(int(f"{Decimal(f'{float(number):.14e}'):f}")),
        "pandas": str(pd.Series([number, None], dtype=float).astype("Int64")[0]),
        "numpy": str(np.array([number]).astype(float).astype(np.int64)[0]),
        "JSON": f"{Decimal(json.dumps(float(number))):f}".removesuffix(".0"),
    }


@pytest.mark.parametrize("n_digits", [16, 17, 18])
def test_a_number_that_any_program_rounded_gets_a_note(n_digits: int) -> None:
    rng = random.Random(n_digits)
    for _ in range(50):
        name = str(rng.randrange(10 ** (n_digits - 1), 10**n_digits))
        for program, rounded in _programs(name).items():
            assert rounded == name or result(name, rounded) == "two patients, noted", program


@pytest.mark.parametrize("program", ["Excel", "LibreOffice", "pandas", "numpy"])
def test_numbers_that_were_all_rounded_get_a_note(program: str) -> None:
    rng = random.Random(0)
    names = [str(rng.randrange(10**17, 10**18)) for _ in range(3)]
    (note,) = of_patients(*(_programs(name)[program] for name in names)).notes
    assert "looks like a number that a spreadsheet or a join of tables rounded" in note
    assert of_patients(*names).notes == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("P7", "P7.0"),
        ("Doe^Jane", "Doe^Jane^^^"),
        ("Doe^Jane", "Doe, Jane"),
        ("P7", "P7*"),
        ("P7", "†P7"),
        ("1:30", "01:30:00"),
        ("123-45-6789", "123456789"),
        ("20240102", "2024-01-02"),
        ("0.3", "0.30000000000000004"),
        ("7", "6.9999999999999"),
        ("Müller", "M√ºller"),
        ("Müller", "M├╝ller"),
        ("Müller", "Mⁿller"),
        ("Müller", "Mller"),
        ("山田 7", "7"),
        ("TCGA-F8-0287", "TCGAF80287"),
        ("José", "Jos?"),
        ("山田 7", "?? 7"),
    ],
)
def test_what_programs_make_of_a_name_is_noted(one: str, other: str) -> None:
    made = of_patients(one, other)
    assert made.n_groups == 2
    assert any(legible(other) in note for note in made.notes)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("O’Brien", "O\x92Brien"),
        ("1234567", "12,34,567"),
        ("550e8400-e29b-41d4-a716-446655440000", "urn:uuid:550E8400-e29b-41d4-a716-446655440000"),
        ("1234567890123456789", "1234567890123456789.0"),
    ],
)
def test_what_programs_make_of_a_name_is_one_patient(one: str, other: str) -> None:
    assert result(one, other) == "one patient"


def test_names_of_random_letters_stay_apart() -> None:
    rng = random.Random(0)
    letters = string.ascii_letters + string.digits + "-_"
    names = {"".join(rng.choices(letters, k=8)) for _ in range(1000)}
    assert of_patients(*names).n_groups == len(names)


@pytest.mark.parametrize("word", ["bening", "benigne", "bnign", "Beniqn", "B", "Ben"])
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
    assert "which names nobody" in made.notes[-1]
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


def test_a_formula_is_refused() -> None:
    with pytest.raises(DataError, match="the patient '=A2&B2' is a formula"):
        of_patients("=A2&B2", "7")


DATES = ["2-Jan", "Jan-02", "02. Mrz", "2024-02-01", "01/02/2024", "2024/2/1", "1月2日", "2-ene"]


@pytest.mark.parametrize("date", DATES)
def test_a_name_that_looks_like_a_date_gets_a_note(date: str) -> None:
    (note,) = of_patients("1-2-x", date).notes
    assert f"the patient '{date}' looks like a date" in note
    assert of_patients(date, date).notes == ()


def test_a_name_that_may_have_lost_a_letter_gets_a_note() -> None:
    (note,) = of_patients("M?ller", "Müller").notes
    assert "the patient 'M?ller' may have lost a letter" in note


def test_identifiers_of_databases_in_two_forms() -> None:
    one, other = "550e8400-e29b-41d4-a716-446655440000", "{550E8400-E29B-41D4-A716-446655440000}"
    assert of_patients(one, other, one.replace("-", "")).n_groups == 1


def test_notes_on_names_that_stay_apart_are_not_repeated() -> None:
    whole = of_patients("P7", "P-7", "P8", "P-8", "P9", "P_9")
    assert len(whole.notes) == 1
    assert whole.limited(4).limited(2).notes == whole.notes
    assert dataclasses.replace(whole, samples=whole.samples[2:]).notes == whole.notes


def test_a_name_that_lost_a_letter() -> None:
    with pytest.raises(DataError, match="a letter that could not be read"):
        of_patients("M\ufffdller", "Müller")


def test_names_that_are_not_text() -> None:
    with pytest.raises(DataError, match="the group 7 of the sample 'i1' is not text but int"):
        of_patients("7", 7)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(4))
def test_no_spelling_parts_a_patient(seed: int) -> None:
    rng = random.Random(seed)
    results = set()
    for _ in range(2500):
        name = rng.choice(NAMES)
        one = respell(rng, name, SAME, rng.randint(0, 3))
        # For one seed, nothing changes the name itself.
        other = respell(rng, respell(rng, name, ALIKE, min(seed, 2)), SAME, rng.randint(1, 4))
        if not seed:
            assert canonical(one) == canonical(other) == canonical(canonical(one)), (one, other)
        results.add(found := result(one, other))
        assert found == "one patient" or (seed and found != "silent"), (one, other, found)
    assert results == (
        {"one patient", "refused", "two patients, noted"} if seed else {"one patient"}
    )


@pytest.mark.parametrize(
    "names",
    [
        [str(n) for n in range(-500, 9000)],
        [f"{n:04d}" for n in range(5000)],
        [f"P{a}-{b}" for a in range(60) for b in range(30)],
        [f"{a}.{b}" for a in range(60) for b in range(30)],
        [f"1.2.840.{n}.{n * n}" for n in range(2000)],
        [f"{n:03x}" for n in range(4096)],
        [f"2024-{month:02d}-{day:02d}" for month in range(1, 13) for day in range(1, 29)],
        [f"sub-{n:03d}_ses-{k}" for n in range(300) for k in (1, 2)],
        [
            "Müller, A",
            "Möller, A",
            "Muller, B",
            "Schmidt",
            "Schmitt",
            "李明",
            "李铭",
            "김민준",
            "김민서",
        ],
    ],
    ids=lambda names: names[-1],
)
def test_patients_that_differ_stay_apart(names: list[str]) -> None:
    assert of_patients(*names).n_groups == len(set(names))


@settings(max_examples=200)
@given(text=st.text(max_size=12))
def test_a_canonical_form_is_its_own(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


def test_a_fold_in_two_spellings(tmp_path: Path) -> None:
    folds = load_dataset(table(tmp_path, ["a,x,1", "b,y,1.0"], "path,label,patient,fold"))
    assert [sample.fold for sample in folds.samples] == ["1", "1"]
    assert "the folds '1' and '1.0' are read as one" in folds.notes


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


def test_many_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [*(str(n) for n in range(9)), "8.0", "p 3", "P3", "#NV", "P-3", None, "3\u200b"]
    samples = [Sample(str(n), "a", "xy"[n % 2], group=name) for n, name in enumerate(names)]
    few = ImageDataset("made", samples, FileSource(Path()))
    monkeypatch.setattr(samples_module, "_MAX_IN_MEMORY", 3)
    many = ImageDataset("made", SampleTable(samples), FileSource(Path()))
    assert isinstance(many.samples, SampleTable)
    assert list(few.samples) == list(many.samples)
    assert few.notes == many.notes
    assert len(few.notes) == 4
    clean = SampleTable(Sample(str(n), "a", "xy"[n % 2], group=f"P{n}") for n in range(9))
    assert ImageDataset("made", clean, FileSource(Path())).samples is clean


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


def test_ids_that_differ_only_in_spelling() -> None:
    samples = [Sample("Mu\u0308.png", "a", "x"), Sample("M\u00fc.png", "b", "x")]
    (note,) = ImageDataset("made", samples, FileSource(Path())).notes
    assert note.startswith("the ids 'Mu\\u0308.png' and 'Mü.png' differ only in spelling")
