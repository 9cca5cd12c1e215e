"""Tables as Excel and other programs write them, written by openpyxl and pandas."""

from __future__ import annotations

import contextlib
import csv
import datetime
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
from made import make_images

from bottleneck.data.readers import load_dataset
from bottleneck.data.readers.tables.csv_tables import read_columns, read_rows
from bottleneck.errors import DataError
from bottleneck.predictions.prediction_tables import read_predictions

HEADER = ["path", "label", "patient"]
ROWS = [["000.png", "benign", "0007"], ["001.png", "benign", "0007"], ["002.png", "malignant", "8"]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_images(tmp_path, 3, side=16)
    return tmp_path


def workbook(folder: Path, rows: list[list[Any]], name: str = "clinic.xlsx") -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(folder / name)
    return folder / name


def groups(path: Path) -> list[str | None]:
    return [sample.group for sample in load_dataset(path).samples]


def test_a_workbook(folder: Path) -> None:
    dataset = load_dataset(workbook(folder, [HEADER, *ROWS]))
    assert dataset.name == "clinic"
    assert [[s.source, s.label, s.group] for s in dataset.samples] == ROWS
    assert dataset.notes == ()
    # By its contents, whatever its name.
    (folder / "clinic.xlsx").rename(folder / "other.csv")
    assert len(load_dataset(folder / "other.csv")) == 3


def test_cells_of_every_type(tmp_path: Path) -> None:
    values = {
        7.0: "7",
        "zeros": "0007",
        "prefix": "P007",
        datetime.date(2024, 3, 1): "2024-03-01",
        datetime.datetime(2024, 3, 1, 9, 30): "2024-03-01 09:30:00",
        True: "True",
        "#N/A": "#N/A",
        # Excel keeps 15 digits.
        123456789012345000: "1.23456789012345E+17",
        0.5: "0.5",
    }
    cells = [7 if value in ("zeros", "prefix") else value for value in values]
    path = workbook(tmp_path, [["x"] * len(cells), cells])
    book = openpyxl.load_workbook(path)
    book.active["B2"].number_format = "0000"
    book.active["C2"].number_format = '"P"000'
    book.save(path)
    (_, _), (line, fields) = read_rows(path)
    assert line == 2
    assert fields == list(values.values())


def test_numbers_of_patients_as_pandas_writes_them(folder: Path) -> None:
    table = pd.DataFrame(ROWS, columns=HEADER)
    # A gap makes the column a column of floats.
    table["patient"] = [7, 7, np.nan]
    table.to_csv(folder / "floats.csv", index=False)
    table.to_excel(folder / "floats.xlsx", index=False)
    assert (folder / "floats.csv").read_text().count("7.0") == 2
    assert groups(folder / "floats.csv") == groups(folder / "floats.xlsx") == ["7", "7", None]


def test_sheets_and_hidden_rows(folder: Path) -> None:
    book = openpyxl.load_workbook(workbook(folder, [HEADER, *ROWS]))
    book.create_sheet("before", 0).sheet_state = "hidden"
    book.create_sheet("after").append(["no", "table"])
    book.active = 1
    book["Sheet"].row_dimensions[3].hidden = True
    book.save(folder / "several.xlsx")
    dataset = load_dataset(folder / "several.xlsx")
    assert len(dataset) == 3
    assert dataset.notes == (
        "several.xlsx: the sheet 'Sheet' is read; 2 other sheets are not",
        "several.xlsx: 1 hidden row read like the others",
    )


def test_merged_cells_belong_to_each_row(folder: Path) -> None:
    rows = [[*ROWS[0]], [*ROWS[1][:2], None], ROWS[2]]
    book = openpyxl.load_workbook(workbook(folder, [HEADER, *rows]))
    book.active.merge_cells("C2:C3")
    book.save(folder / "merged.xlsx")
    assert groups(folder / "merged.xlsx") == ["0007", "0007", "8"]
    assert "merged cells is read in each" in load_dataset(folder / "merged.xlsx").notes[0]


def test_formulas(folder: Path) -> None:
    path = workbook(folder, [HEADER, [*ROWS[0][:2], '="P"&7'], *ROWS[1:]])
    with pytest.raises(DataError, match="the cell C2 contains a formula without a stored value"):
        load_dataset(path)
    # As Excel saves it: with the value.
    cached = folder / "cached.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(cached, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("sheet1.xml"):
                assert b"<v></v>" in data or b"<v />" in data or b"<v/>" in data
                for empty in (b"<v></v>", b"<v />", b"<v/>"):
                    data = data.replace(empty, b"<v>P7</v>")
                data = data.replace(b'<c r="C2">', b'<c r="C2" t="str">')
            new.writestr(name, data)
    assert groups(cached) == ["P7", "0007", "8"]


def test_damaged_workbooks_are_refused(folder: Path) -> None:
    data = workbook(folder, [HEADER, *ROWS]).read_bytes()
    rng = random.Random(0)
    for n in range(60):
        damaged = bytearray(data)
        for _ in range(1 + n % 4):
            damaged[rng.randrange(len(data))] = rng.randrange(256)
        end = len(data) if n % 2 else rng.randrange(len(data))
        (folder / "damaged.xlsx").write_bytes(damaged[:end])
        with contextlib.suppress(DataError):
            load_dataset(folder / "damaged.xlsx")
    (folder / "x.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match="not a readable Excel workbook"):
        load_dataset(folder / "x.xlsx")
    with zipfile.ZipFile(folder / "x.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b" " * 40_000_000)
    with pytest.raises(DataError, match="decompression bomb"):
        load_dataset(folder / "x.xlsx")


TEXT = "\r\n".join(",".join(row) for row in [HEADER, *ROWS])


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_of_every_kind(folder: Path, encoding: str, delimiter: str, end: str) -> None:
    text = TEXT.replace(",", delimiter).replace("\r\n", end).replace("benign", "gutartig ü")
    (folder / "x.csv").write_bytes(text.encode(encoding))
    dataset = load_dataset(folder / "x.csv")
    assert [s.label for s in dataset.samples] == ["gutartig ü", "gutartig ü", "malignant"]
    frame = pd.read_csv(folder / "x.csv", sep=delimiter, encoding=encoding, dtype=str)
    assert groups(folder / "x.csv") == frame["patient"].tolist()


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\n" + TEXT.replace(",", ";"),
        '"sep=;"\n' + TEXT.replace(",", ";"),
        "SEP=\t\r\n" + TEXT.replace(",", "\t"),
        TEXT.replace("\r\n", ",\r\n"),
        TEXT.replace("\r\n", ",\r\n").replace("patient,", "patient"),
        TEXT.replace("patient", "patient,,"),
        TEXT.replace(",", ";").replace("patient", 'patient;"size, echo, margin, shape"'),
        TEXT.replace(",", ";").replace("patient", "patient;size, echo, margin, shape, edge"),
        TEXT.replace("\r\n", "\r\n,,\r\n \r\n"),
        "\r\n,,\r\n" + TEXT + "\r\n\r\n,,\r\n",
        TEXT.replace("path", "\ufeff path ").replace("patient", " Patient\u200b"),
        TEXT.replace("002", "path,label,patient\r\n002"),
        TEXT.replace("002", "\ufeffpath,label,patient\r\n002"),
        TEXT.replace("label", '"label"').replace("path", "PATH"),
        TEXT.replace("0007", '"=""0007"""').replace("8", '="8"'),
    ],
)
def test_tables_as_people_have_them(folder: Path, text: str) -> None:
    (folder / "x.csv").write_text(text, encoding="utf-8", newline="")
    dataset = load_dataset(folder / "x.csv")
    assert [[s.source, s.label, s.group] for s in dataset.samples] == ROWS
    assert not dataset.excluded


COMMENTS = ["", "ok", "a, b; c|d\te", "3,5", 'say "hi"', "line\nbreak", "ünï", " x ", "x;y;z;w;v"]
COLUMNS = ["notes", "findings (size, echo, margin)", "a;b;c", "x|y", "size\n(mm)", "t\tab"]


@pytest.mark.parametrize("seed", range(60))
def test_what_the_csv_module_writes_is_read(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    columns = HEADER + rng.sample(COLUMNS, rng.randint(0, 4))
    rng.shuffle(columns)
    rows = [dict(zip(HEADER, row, strict=True)) for row in ROWS]
    end = rng.choice(["\n", "\r\n", "\r"])
    with (folder / "x.csv").open(
        "w", newline="", encoding=rng.choice(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
    ) as file:
        writer = csv.writer(
            file,
            delimiter=rng.choice(",;\t|"),
            lineterminator=end,
            quoting=csv.QUOTE_ALL if end == "\r" or rng.random() < 0.3 else csv.QUOTE_MINIMAL,
        )
        writer.writerow([rng.choice([name, name.upper(), f" {name} "]) for name in columns])
        for row in rows:
            writer.writerow([row.get(name) or rng.choice(COMMENTS) for name in columns])
    samples = load_dataset(folder / "x.csv").samples
    assert [[s.source, s.label, s.group] for s in samples] == ROWS


@pytest.mark.parametrize("text", ["path,label\ra.png,x\ny\r", "path,label\na.png,x\ry\n"])
def test_line_breaks_outside_quotes_are_not_new_rows(folder: Path, text: str) -> None:
    (folder / "x.csv").write_text(text, newline="")
    with pytest.raises(DataError, match="a field contains a line break"):
        load_dataset(folder / "x.csv")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel file of before 2007"),
        (b"<html><table><tr>", "not a table but a web page"),
        (
            TEXT.replace("benign", "b\u00f6se").encode("latin-1"),
            "not UTF-8 text; save the table as",
        ),
        (TEXT.replace("benign", "\u826f\u6027").encode("gbk"), "not UTF-8 text; save the table as"),
        (
            b'"path;label"\n"000.png;x"\n',
            "The header is one field: write it, and all rows, without",
        ),
        (b"image,diagnosis\n000.png,x\n", r"--path-column NAME .*'image' looks like it"),
        (b"path,diagnosis\n000.png,x\n", r"--label-column NAME .*'diagnosis' looks like it"),
        (b"# exported\npath,label\n000.png,x\n", "The first line must name the columns"),
        (b"path label\n000.png x\n", "with commas, semicolons, tabs or bars between them"),
        (b"000.png,x\n001.png,y\n", "add a line with the names above it"),
        (b"path,label\n000.png,x,y\n", "line 2: 3 fields, but the header has 2"),
    ],
)
def test_what_is_no_table_is_refused_with_the_reason(
    folder: Path, data: bytes, message: str
) -> None:
    (folder / "x.csv").write_bytes(data)
    with pytest.raises(DataError, match=message):
        load_dataset(folder / "x.csv")


@pytest.mark.parametrize(
    "column", ["patient_id", "PatientID", "Patient ID", "subject", "case", "MRN", "ID", "患者ID"]
)
def test_a_column_that_looks_like_the_patient(folder: Path, column: str) -> None:
    path = folder / "x.csv"
    path.write_text(TEXT.replace("patient", column), encoding="utf-8")
    dataset = load_dataset(path)
    (note,) = dataset.notes
    assert f"'{column}' of x.csv looks like the patient" in note
    assert f"--patient-column '{column}'" in note
    used = load_dataset(path, columns={"patient": column})
    assert (dataset.n_groups, used.n_groups, used.notes) == (None, 2, ())


def test_metadata_and_predictions_in_a_workbook(tmp_path: Path) -> None:
    ids = ["a.png", "M\u00fc.png", "c.png"]
    path = workbook(
        tmp_path, [["image", "Sex"], ["c.png", "F"], ["a.png ", "f"], ["Mu\u0308.png", "m"]]
    )
    found = read_columns(path, ["sex"], ids)["sex"]
    assert found == {"a.png": "F", "M\u00fc.png": "m", "c.png": "F"}
    rows = [["id", "label", "score_0", "score_1"], ["a", 1, 0.25, 0.75], ["b", 0.0, 0.5, 0.5]]
    test, _ = read_predictions(workbook(tmp_path, rows, "predictions.xlsx"))
    assert test.labels.tolist() == ["1", "0"]
    assert test.scores.tolist() == [[0.25, 0.75], [0.5, 0.5]]


@pytest.mark.parametrize(
    ("number_format", "shown"),
    [
        ("0000;-0000", "0007"),
        ("[Red]0000", "0007"),
        ("[$-407]0000", "0007"),
        ("0000_)", "0007"),
        ('"_;"000', "7"),
        ('"P_"000;@', "P_007"),
        ("#,##0", "7"),
        ("0.00", "7"),
    ],
)
def test_formats_with_several_sections(tmp_path: Path, number_format: str, shown: str) -> None:
    book = openpyxl.load_workbook(workbook(tmp_path, [["x"], [7]]))
    book.active["A2"].number_format = number_format
    book.save(tmp_path / "formats.xlsx")
    assert list(read_rows(tmp_path / "formats.xlsx"))[1] == (2, [shown])


def test_a_sheet_without_the_table_is_named(folder: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["The data are in the second sheet"])
    book.create_sheet("data").append(HEADER)
    book.save(folder / "second.xlsx")
    with pytest.raises(DataError, match="the sheet 'Sheet' is read; 1 other sheet is not"):
        load_dataset(folder / "second.xlsx")
