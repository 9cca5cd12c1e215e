"""Files of predictions, CSV or workbook: each is whole, and replaces only earlier predictions."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottleneck.errors import UsageError, describe_os_error
from bottleneck.files.writing import write_whole
from bottleneck.text.table_text import csv_cell, frame_csv

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SUFFIXES", "patients_path", "refuse_existing", "write_predictions"]

SUFFIXES = (".csv", ".xlsx")
# Columns that every table of predictions has.
_OURS = {"predicted", "decision", "reason"}
_DIGITS = "%.9g"
_MOST_ROWS = 2**20 - 1  # Of a sheet in Excel, below the header.
_LONGEST_HEADER = 100_000


def patients_path(path: Path) -> Path:
    """Return the path of the table of patients next to a CSV file of predictions."""
    return path.with_name(f"{path.stem}-patients{path.suffix}")


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise an error if predictions cannot be written to a file.

    Raises
    ------
    UsageError
        If its name has another suffix than .csv or .xlsx, or it exists and either ``overwrite``
        is not set or it holds no predictions.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"the output {path} must be a file that ends with .csv or .xlsx: choose another name "
            "with --output"
        )
    for one, first in ((path, "id"), (patients_path(path), "patient")):
        try:
            exists = one.exists() or one.is_symlink()
        except OSError as error:
            raise _unwritable(one, error) from None
        if exists and not _holds_predictions(one, first):
            raise UsageError(
                f"{one} exists and does not hold predictions, so it is not replaced: choose "
                "another file with --output"
            )
        # Patients without images are what a run left that was killed between the two.
        if exists and one == path and not overwrite:
            raise UsageError(
                f"{one} exists: replace it with --overwrite (in Python: overwrite=True), or choose "
                "another file with --output"
            )


def write_predictions(
    path: Path, images: pd.DataFrame, patients: pd.DataFrame | None, *, overwrite: bool
) -> None:
    """Write tables of predictions, as ``ModelPredictions.save`` says."""
    refuse_existing(path, overwrite=overwrite)
    second = patients_path(path)
    try:
        if path.suffix.lower() == ".xlsx":
            write_whole(path, _workbook({"predictions": images, "patients": patients}))
            return
        # The table of images comes last: where it is new, both are.
        if patients is None:
            second.unlink(missing_ok=True)
        else:
            write_whole(second, _csv(patients))
        write_whole(path, _csv(images))
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"predictions cannot be written to {path}: {describe_os_error(error)}; choose another file "
        "with --output"
    )


def _csv(frame: pd.DataFrame) -> bytes:
    text = frame_csv(frame, float_format=_DIGITS, bom=True)
    # A file name that is not UTF-8 gives an id with lone surrogates, which are escaped.
    return text.encode(errors="backslashreplace")


def _workbook(sheets: dict[str, pd.DataFrame | None]) -> bytes:
    """Return a workbook in which no text is a formula."""
    import openpyxl
    import pandas as pd

    book = openpyxl.Workbook(write_only=True)
    for title, frame in sheets.items():
        if frame is None:
            continue
        if len(frame) > _MOST_ROWS:
            raise UsageError(
                f"a sheet of Excel holds {_MOST_ROWS:,} rows, and there are {len(frame):,} "
                "predictions: write them to a .csv file"
            )
        sheet = book.create_sheet(title)
        sheet.append([_cell(str(name)) for name in frame.columns])
        for row in frame.itertuples(index=False, name=None):
            sheet.append([None if pd.isna(value) else _cell(value) for value in row])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _cell(value: Any) -> Any:
    return csv_cell(value) if isinstance(value, str) else value


def _holds_predictions(path: Path, first: str) -> bool:
    """Return whether a file begins like a table of predictions, with a first column."""
    try:
        if path.is_symlink() or not path.is_file():
            return False
        if path.suffix.lower() == ".xlsx":
            header = _first_row(path)
        else:
            with path.open(encoding="utf-8-sig", newline="") as file:
                header = next(csv.reader([file.readline(_LONGEST_HEADER)]), [])
    except (OSError, ValueError, KeyError, csv.Error, zipfile.BadZipFile):
        return False
    return set(header) >= _OURS and header[0] == first


def _first_row(path: Path) -> list[str]:
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True)
    try:
        rows = book.worksheets[0].iter_rows(max_row=1, values_only=True)
        return [str(value) for value in next(iter(rows), ())]
    finally:
        book.close()
