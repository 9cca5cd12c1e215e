"""Small files that would take much memory or time are refused for what they declare."""

from __future__ import annotations

import errno
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pytest
import skops.io
from made import dataset_of, make_images

from bottleneck.data.dataset import FileSource
from bottleneck.data.readers import load_dataset
from bottleneck.data.readers.tables import csv_tables, spreadsheets
from bottleneck.data.readers.tables.csv_tables import read_table
from bottleneck.deploy.models.model_file import read_model
from bottleneck.errors import DataError, ModelError, StorageError, UsageError
from bottleneck.features.extraction import extract
from bottleneck.settings.config import read_toml
from bottleneck.testing import tiny_backbone

TEXTS = (
    b'<Override PartName="/xl/worksheets/sheet9.xml" ContentType="application/'
    b'vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/>'
)


def changed(path: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change a member of an archive, and keep the others."""
    with zipfile.ZipFile(path) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    members[name] = change(members.get(name, b""))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one, data in members.items():
            archive.writestr(one, data)


def workbook(path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["id", "age"])
    book.active.append(["a", 3])
    book.save(path)


@pytest.mark.parametrize(
    ("part", "kind", "filler"),
    [
        ("xl/sharedStrings.xml", "texts", b"<si><t>x</t></si>"),
        ("xl/styles.xml", "other", b"<xf/>"),
        ("xl/styles.xml", "other", b' a=""'),
        ("xl/worksheets/sheet1.xml", "sheet", b"<c/>"),
    ],
)
def test_parts_of_a_workbook_have_limits(
    part: str, kind: str, filler: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.xlsx"
    workbook(path)
    assert len(read_table(path)[0]) == 1
    monkeypatch.setitem(spreadsheets._LIMITS, kind, (100_000, 8_000))
    changed(path, part, lambda data: data + filler * 8_001)
    with pytest.raises(DataError, match=f"too large to be read as a workbook .{part}"):
        read_table(path)
    changed(path, part, lambda data: data + b" " * 100_001)
    with pytest.raises(DataError, match="too large to be read as a workbook"):
        read_table(path)


def test_an_archive_of_an_unknown_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    np.savez(path, a=np.zeros(3))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 6] = 192  # The version that is needed to unpack it.
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"m\.npz cannot be read as \.npz"):
        load_dataset(path)


def test_texts_under_the_name_of_a_sheet_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.xlsx"
    workbook(path)
    changed(
        path,
        "[Content_Types].xml",
        lambda data: data.replace(b"</Types>", TEXTS + b"</Types>"),
    )
    with pytest.raises(DataError, match="not a readable Excel workbook"):
        read_table(path)


def test_rows_and_merged_cells_of_a_workbook_have_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.xlsx"
    workbook(path)
    monkeypatch.setattr(spreadsheets, "_MAX_FIELDS", 1_000)
    merged = b"<mergeCells>" + b'<mergeCell ref="A1:A900"/>' * 1_100 + b"</mergeCells>"
    rows = b"".join(b'<row r="%d"><c r="XF%d"/></row>' % (n, n) for n in range(3, 50))
    for old, new in (
        (b"</sheetData>", b"</sheetData>" + merged),
        (b"</sheetData>", rows + b"</sheetData>"),
    ):
        workbook(path)
        changed(path, "xl/worksheets/sheet1.xml", lambda data, a=old, b=new: data.replace(a, b))
        with pytest.raises(DataError, match="more than 1,000 fields, counting blank ones"):
            read_table(path)


def test_columns_that_only_the_header_has_do_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv"
    monkeypatch.setattr(csv_tables, "_MAX_FIELDS", 100_000)
    path.write_text(",".join(f"c{n}" for n in range(16_000)) + "\n" + "a\n" * 10)
    with pytest.raises(DataError, match="more than 100,000 fields"):
        read_table(path)
    path.write_text(",".join("a" * 20_001) + "\n")
    with pytest.raises(DataError, match="has 20,001 columns, and 16,384 are allowed"):
        read_table(path)


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"id,label\n" + b"a" * 1_000_001)
    with pytest.raises(DataError, match="more than a line of 1,000,000 characters"):
        read_table(path)
    with path.open("wb") as file:
        file.write(b"id,label\n")
        file.truncate(2**40)
    with pytest.raises(DataError, match="larger than 2,147,483,648 bytes"):
        read_table(path)


def test_a_model_reads_no_member_twice_and_unpacks_none(tmp_path: Path) -> None:
    path = tmp_path / "m.skops"
    values = {"a": np.zeros(1000), "b": np.zeros(1000)}
    skops.io.dump(values, path)
    with zipfile.ZipFile(path) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    schema = json.loads(members["schema.json"])
    (first, second) = (node for node in schema["content"].values() if "file" in node)
    second["file"] = first["file"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (members | {"schema.json": json.dumps(schema)}).items():
            archive.writestr(name, data)
    with pytest.raises(ModelError, match=r"it would read .*\.npy 2 times"):
        read_model(path)
    skops.io.dump(values, path, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match="is compressed, and models are not"):
        read_model(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", "[" + "[]," * 6_000_000 + "[]]")
    with pytest.raises(ModelError, match="16,777,216 are allowed"):
        read_model(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a." * 300 + "b = 1", "a line has more than 200 dots"),
        ("a = " + "[" * 5000, "nested too deeply"),
        ("a = " + "9" * 5000, "thousands of digits"),
        ("a = 1\n" * 50_000, "larger than 262,144 bytes"),
    ],
)
def test_toml_that_would_take_long_is_refused(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=says):
        read_toml(path, "study")


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_a_failing_storage_is_not_recorded_as_a_damaged_image(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images(tmp_path / "images", 4)
    dataset = dataset_of(tmp_path / "images")
    options = {"precision": "fp32", "batch_size": 1, "workers": 1, "output": tmp_path / "f"}
    failing = dataset.samples[2].source
    read, failures = FileSource.read, [10]

    def broken(self: FileSource, source: str) -> bytes:
        if source == failing and failures[0]:
            failures[0] -= 1
            raise OSError(number, "failed")
        return read(self, source)

    monkeypatch.setattr(FileSource, "read", broken)
    with pytest.raises(StorageError, match=f"'{dataset.samples[2].id}' cannot be read: failed"):
        extract(dataset, tiny_backbone(), **options)
    assert not list((tmp_path / "f").glob("*.h5"))
    failures[0] = 1  # A second attempt helps.
    done = extract(dataset, tiny_backbone(), **options)
    assert done.failures == ()
    assert done.n_samples == 4


def test_a_patient_is_not_lost_to_a_failing_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.dcm").write_bytes(b"\0" * 128 + b"DICM")

    def broken(self: FileSource, source: str) -> io.BytesIO:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(FileSource, "open", broken)
    with pytest.raises(StorageError, match="the disk or the network storage failed"):
        load_dataset(tmp_path)
