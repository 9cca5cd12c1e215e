"""A patient, fold or centre that is spelled in several ways is one, or is refused."""

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
from made_spellings import of_classes, of_patients, table
from respellings import ALIKE, NAMES, SAME, respell

from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.readers import load_dataset
from bottleneck.data.samples import sample_table as samples_module
from bottleneck.data.samples.sample_table import Sample, SampleTable
from bottleneck.data.spelling.identifiers import canonical, legible
from bottleneck.errors import DataError


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


def test_ids_that_differ_only_in_spelling() -> None:
    samples = [Sample("Mu\u0308.png", "a", "x"), Sample("M\u00fc.png", "b", "x")]
    (note,) = ImageDataset("made", samples, FileSource(Path())).notes
    assert note.startswith("the ids 'Mu\\u0308.png' and 'Mü.png' differ only in spelling")
