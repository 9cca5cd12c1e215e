"""Results are saved even where their folder cannot be written any more."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from bottleneck.errors import BottleneckError, ReportError, UsageError
from bottleneck.files.temporary import lasting_folder

__all__ = ["save"]


def save(write: Callable[[Path], object], folder: Path) -> tuple[Path, BottleneckError | None]:
    """Write results to a folder; where this fails, next to it or where temporary files are.

    Parameters
    ----------
    write : callable
        Writes the results to a folder.
    folder : Path
        The folder that the user chose.

    Returns
    -------
    Path
        The folder that has the results.
    BottleneckError or None
        What went wrong: to be raised when the results have been printed.
    """
    try:
        write(folder)
    except ReportError as error:
        return folder, error
    except BottleneckError as error:
        for parent in (folder.parent, lasting_folder()):
            try:
                other = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=parent))
            except OSError:
                continue
            try:
                write(other)
            except ReportError:
                pass  # The page alone is incomplete.
            except BottleneckError:
                shutil.rmtree(other, ignore_errors=True)
                continue
            return other, UsageError(
                f"{error}. A copy of all results is in {other}, which only you can read: move it"
            )
        return folder, error
    return folder, None
