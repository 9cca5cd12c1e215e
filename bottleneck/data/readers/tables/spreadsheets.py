"""Rows of an Excel workbook (.xlsx), as text."""

from __future__ import annotations

import dataclasses
import datetime
import io
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bottleneck.errors import DataError, describe_os_error
from bottleneck.files.archives import find_bomb
from bottleneck.files.small_files import open_regular, read_small
from bottleneck.text.plurals import counted

__all__ = ["is_workbook", "read_sheet"]

_SUFFIXES = (".xlsx", ".xlsm")
# Excel has no more rows.
_MAX_ROWS = 1_048_576
# Bytes of a workbook, of all its parts when unpacked, and fields including the blank ones.
_MAX_BYTES, _MAX_UNPACKED, _MAX_FIELDS = 134_217_728, 1_073_741_824, 100_000_000
# Bytes of each part when unpacked, and tags and attributes in it, which may all be in memory at
# once: of a sheet (five million cells), of the texts of all cells, and of any other.
_LIMITS = {
    "sheet": (536_870_912, 20_000_000),
    "texts": (134_217_728, 4_194_304),
    "other": (16_777_216, 1_048_576),
}
_SHEET_TYPE = "worksheet+xml"
_BLOCK = 1_048_576
# Excel keeps 15 digits of a number.
_DIGITS = 15
# A number format that shows a number with leading zeros, and perhaps a text before it.
_ZEROS = re.compile(r"((?:\"[^\"]*\"|\\.)*)(0+)")
_NOT_SHOWN = re.compile(r"(\"[^\"]*\"|\\.)|\[[^\]]*\]|[_*].")


@dataclasses.dataclass
class _Layout:
    """What a sheet contains besides values.

    Attributes
    ----------
    merged : list of tuple of int
        First column, first row, last column and last row of merged cells, from 1, sorted by row.
    n_hidden : int
        Number of hidden rows.
    """

    merged: list[tuple[int, int, int, int]] = dataclasses.field(default_factory=list)
    n_hidden: int = 0


def is_workbook(path: Path) -> bool:
    """Return whether a file is an Excel workbook, by its suffix or its contents.

    Raises
    ------
    OSError
        If a file with another suffix cannot be read.
    """
    if path.suffix.casefold() in _SUFFIXES:
        return True
    try:
        with open_regular(path, "table", DataError) as file:
            if file.read(4) != b"PK\x03\x04":
                return False
            with zipfile.ZipFile(file) as archive:
                return "xl/workbook.xml" in archive.namelist()
    # A damaged directory also reads as a feature that zipfile lacks, or as no text.
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, struct.error):
        return False


def read_sheet(path: Path, notes: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of the first visible sheet of a workbook.

    Formulas have the value that the workbook stores. Merged cells have the value of the first one
    in every row. Numbers whose format shows leading zeros have them.

    Parameters
    ----------
    path : Path
        An ``.xlsx`` or ``.xlsm`` file.
    notes : list of str
        Notes on other sheets, hidden rows and merged cells are added to it.

    Yields
    ------
    line : int
        The number of the row, from 1.
    fields : list of str
        Its cells; "" where there is none.

    Raises
    ------
    DataError
        If the file cannot be read, has no visible sheet, or contains a formula without a value.
    """
    import openpyxl

    try:
        data = read_small(path, "workbook", limit=_MAX_BYTES, error=DataError)
        with io.BytesIO(data) as file, zipfile.ZipFile(file) as archive:
            if bomb := find_bomb(archive):
                raise DataError(f"{path.name} is not read: it may be a decompression bomb: {bomb}")
            _check_parts(archive, path)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Of styles and other things that are not read.
                book = openpyxl.load_workbook(
                    file, read_only=True, data_only=True, keep_links=False
                )
            try:
                yield from _read_book(book, archive, path, notes)
            finally:
                book.close()
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"the table {path} cannot be read: {describe_os_error(error)}") from error
    # A damaged workbook makes openpyxl raise almost anything.
    except (
        zipfile.BadZipFile,
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        SyntaxError,
        TypeError,
        ValueError,
        EOFError,
        zlib.error,
    ) as error:
        raise DataError(
            f"{path.name} is not a readable Excel workbook; open it in a spreadsheet, and save it "
            "as .xlsx or 'CSV UTF-8'"
        ) from error


def _check_parts(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse a workbook with a part that would take too much memory or time."""
    from defusedxml.ElementTree import fromstring

    left = _MAX_UNPACKED
    for member in archive.infolist():
        most_bytes, most_tags = _LIMITS[_kind_of_part(member.filename)]
        left -= member.file_size
        tags = 0
        # A tag takes four bytes. What a part says of its size is not believed.
        if most_tags < member.file_size <= most_bytes:
            with archive.open(member) as part:
                while block := part.read(_BLOCK):
                    tags += max(block.count(b"<"), block.count(b"="))
        if member.file_size > most_bytes or tags > most_tags or left < 0:
            raise DataError(
                f"{path.name} is too large to be read as a workbook ({member.filename}): save the "
                "sheet with the table alone, or as 'CSV UTF-8'"
            )
    for part in fromstring(archive.read("[Content_Types].xml"), forbid_dtd=True):
        kind = _kind_of_part(part.get("PartName", "").removeprefix("/"))
        if kind == "sheet" and not part.get("ContentType", "").endswith(_SHEET_TYPE):
            raise ValueError("something that is not a sheet, under the name of one")


def _kind_of_part(name: str) -> str:
    if name.startswith("xl/worksheets/") and name.endswith(".xml"):
        return "sheet"
    return "texts" if name.casefold().endswith("sharedstrings.xml") else "other"


def _read_book(
    book: Any, archive: zipfile.ZipFile, path: Path, notes: list[str]
) -> Iterator[tuple[int, list[str]]]:
    visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    if not visible:
        raise DataError(f"{path.name} has no visible sheet; unhide the sheet with the table")
    sheet = visible[0]
    if others := len(book.worksheets) - 1:
        notes.append(
            f"{path.name}: the sheet '{sheet.title}' is read; {counted(others, 'other sheet')} "
            f"{'is' if others == 1 else 'are'} not"
        )
    # The path is private in openpyxl, which does not read merged cells without all the others.
    layout = _read_layout(archive, sheet._worksheet_path, path)
    if layout.n_hidden:
        notes.append(f"{path.name}: {counted(layout.n_hidden, 'hidden row')} read like the others")
    if any(last > first for _, first, _, last in layout.merged):
        notes.append(f"{path.name}: the value of merged cells is read in each of their rows")
    sheet.reset_dimensions()  # Some programs write wrong ones.
    left = _MAX_FIELDS
    merged = iter(layout.merged)
    following = next(merged, None)
    filled: list[tuple[int, int, str]] = []
    for line, row in enumerate(sheet.iter_rows(), 1):
        fields = [_to_text(cell) for cell in row]
        filled = [(column, last, text) for column, last, text in filled if last >= line]
        for column, _, text in filled:
            fields += [""] * (column - len(fields))
            fields[column - 1] = text
        left -= len(fields) + len(filled)
        if left < 0:
            raise DataError(
                f"{path.name} has more than {_MAX_FIELDS:,} fields, counting blank ones; delete "
                "everything right of the table and below it, or save the table as 'CSV UTF-8'"
            )
        while following is not None and following[1] <= line:
            column, first, _, last = following
            if first < last and column <= len(fields):
                filled.append((column, last, fields[column - 1]))
            following = next(merged, None)
        yield line, fields


def _read_layout(archive: zipfile.ZipFile, part: str, path: Path) -> _Layout:
    """Return the layout of a sheet; raise DataError if a formula has no value."""
    from defusedxml.ElementTree import iterparse
    from openpyxl.utils import range_boundaries

    layout = _Layout()
    rows: Any = None
    n_rows = 0
    with archive.open(part) as file:
        for event, element in iterparse(file, events=("start", "end")):
            tag = element.tag.rpartition("}")[2]
            if event == "start":
                rows = element if tag == "sheetData" else rows
            elif tag == "c":
                parts = {child.tag.rpartition("}")[2]: child.text for child in element}
                if "f" in parts and not parts.get("v") and element.get("t") != "str":
                    raise DataError(
                        f"{path.name}: the cell {element.get('r')} contains a formula without a "
                        "stored value; open the file in a spreadsheet and save it again"
                    )
            elif tag == "row":
                n_rows += 1
                if max(n_rows, int(element.get("r", 1))) > _MAX_ROWS:
                    raise DataError(f"{path.name} has more than {_MAX_ROWS:,} rows")
                layout.n_hidden += element.get("hidden") in ("1", "true")
                rows.clear()
            elif tag == "mergeCell":
                layout.merged.append(range_boundaries(element.get("ref")))
    layout.merged.sort(key=lambda bounds: bounds[1])
    return layout


def _to_text(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        if abs(value) >= 10**_DIGITS:
            return f"{value:.{_DIGITS - 1}E}"
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return _number_to_text(value, cell.number_format or "")
    if isinstance(value, datetime.datetime):
        is_date = value.time() == datetime.time()
        return value.date().isoformat() if is_date else value.isoformat(" ")
    if isinstance(value, datetime.timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    return str(value)


def _number_to_text(value: int, number_format: str) -> str:
    text = str(value)
    if len(text) > _DIGITS and not text[_DIGITS:].strip("0"):
        # Digits may be lost; scientific notation says so.
        return f"{value:.{_DIGITS - 1}E}"
    # The format of positive numbers, without colours, conditions and padding.
    shown = _NOT_SHOWN.sub(r"\1", number_format.split(";")[0])
    if match := _ZEROS.fullmatch(shown):
        before = re.sub(r"\"([^\"]*)\"|\\(.)", r"\1\2", match[1])
        return before + text.zfill(len(match[2]))
    return text
