"""Columns of tables matched to samples, compared with a merge in pandas."""

from __future__ import annotations

import csv

import pandas as pd
import pytest

from bottleneck.data.readers.tables.csv_tables import read_columns
from bottleneck.errors import DataError, UsageError

IDS = ["a/1.png", "a/2.png", "b/1.png"]
NO = ["NA", " nan", "N/A"]
TABLE = "number;image ;sex;device\n1;b/1.png;f;X\n2;a/1.png;;Y\n3;c/9.png;m;Z\n4;a/2.png;m;X\n"


def test_rows_are_matched_by_the_column_that_holds_the_ids(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    found = read_columns(path, ["sex", "device"], IDS)
    assert found["sex"] == {"b/1.png": "f", "a/1.png": "not recorded", "a/2.png": "m"}
    table = pd.read_csv(path, sep=";").rename(columns=str.strip)
    merged = pd.DataFrame({"image": IDS}).merge(table)
    assert [found["device"][i] for i in IDS] == list(merged["device"])


def test_fields_that_a_row_lacks_are_not_recorded(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("id,device\n" + "".join(f"{i},{no}\n" for i, no in zip(IDS, NO, strict=True)))
    assert read_columns(path, ["device"], IDS)["device"] == dict.fromkeys(IDS, "not recorded")
    path.write_text("id,device\n" + "\n".join(IDS) + "\n")
    assert read_columns(path, ["device"], IDS)["device"] == dict.fromkeys(IDS, "not recorded")
    path.write_text("id,sex,device\na/1.png,f\n\na/2.png,,\nb/1.png,m,X\n")
    with path.open(newline="") as file:
        rows = {row["id"]: row["device"] for row in csv.DictReader(file, restval="")}
    found = read_columns(path, ["sex", "device"], IDS)
    assert found["device"] == {i: rows[i] or "not recorded" for i in IDS}
    assert found["sex"] == {"a/1.png": "f", "a/2.png": "not recorded", "b/1.png": "m"}


def test_tables_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    with pytest.raises(UsageError, match=r"column of table\.csv 'sexx'; did you mean 'sex'"):
        read_columns(path, ["sexx"], IDS)
    with pytest.raises(DataError, match=r"each of the 4 sample ids .*'image' with 3"):
        read_columns(path, ["sex"], [*IDS, "d.png"])
    path.write_text(TABLE + "5;a/1.png;m;X\n")
    with pytest.raises(DataError, match="once"):
        read_columns(path, ["sex"], IDS)
    path.write_text(TABLE + "5;d.png;m;X;9\n")
    with pytest.raises(DataError, match=r"line 6: 5 fields, but the header has 4"):
        read_columns(path, ["sex"], IDS)
    path.write_text('id,sex\na/1.png,"f\na/2.png,m\nb/1.png,m\n')
    with pytest.raises(DataError, match="a double quote may be left open"):
        read_columns(path, ["sex"], IDS)
    path.write_text("id,sex,sex\n")
    with pytest.raises(DataError, match="several columns 'sex'"):
        read_columns(path, ["sex"], IDS)
    path.write_bytes("id,sex\n1,m\u00e4nnlich\n".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8 text; save the table as 'CSV UTF-8'"):
        read_columns(path, ["sex"], IDS)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_columns(tmp_path / "absent.csv", ["sex"], IDS)


def test_numbers_of_rows_are_not_taken_for_ids(tmp_path):
    ids = [str(n) for n in range(8)]
    table = pd.DataFrame({"id": ids, "age": [f"age {n}" for n in ids]})
    shuffled = table.sample(frac=1, random_state=0).reset_index(drop=True)
    shuffled.to_csv(tmp_path / "table.csv")
    assert read_columns(tmp_path / "table.csv", ["age"], ids)["age"] == dict(
        zip(ids, table["age"], strict=True)
    )
    # The index is complete, but the column of the ids lacks one.
    shuffled.replace({"id": {"3": "x"}}).to_csv(tmp_path / "table.csv")
    with pytest.raises(DataError, match="nearest: 'id' with 7"):
        read_columns(tmp_path / "table.csv", ["age"], ids)
    shuffled.rename(columns={"id": "sample"}).to_csv(tmp_path / "table.csv")
    with pytest.raises(DataError, match="the columns '' and 'sample'"):
        read_columns(tmp_path / "table.csv", ["age"], ids)
    # Another column may hold each id several times.
    other = pd.DataFrame({"id": [f"other {n}" for n in ids], "age": "x"})
    both = pd.concat([other, table]).rename(columns={"id": "sample"})
    both.insert(0, "bed", [*ids, *ids])
    both.to_csv(tmp_path / "table.csv", index=False)
    assert read_columns(tmp_path / "table.csv", ["age"], ids)["age"]["3"] == "age 3"
