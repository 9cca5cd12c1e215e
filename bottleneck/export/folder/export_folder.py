"""The folder of an export, which appears whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from bottleneck.errors import UsageError, describe_os_error
from bottleneck.files.locks import lock
from bottleneck.files.writing import make_folder, refuse_planted

__all__ = ["RECORD", "export_folder", "refuse_folder"]

#: Name of the record in the folder of an export.
RECORD = "export.json"

_OPTION = "--output (in Python: output)"


def refuse_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise UsageError if a folder for an export holds something else, or must not be replaced.

    Parameters
    ----------
    folder : Path
        The folder; it need not exist.
    overwrite : bool
        Whether an earlier export may be replaced.
    """
    refuse_planted(folder, _OPTION)
    for parent in folder.resolve().parents:
        if (parent / RECORD).exists():
            raise UsageError(
                f"{folder} is in {parent}, which holds an export and would be deleted with it: "
                f"choose another with {_OPTION}"
            )
    if not os.path.lexists(folder):
        return
    if folder.is_symlink() or not folder.is_dir():
        raise UsageError(f"{folder} exists and is not a folder: choose another with {_OPTION}")
    if (folder / RECORD).exists():
        if not overwrite:
            raise UsageError(
                f"{folder} holds an export: replace it with --overwrite (in Python: "
                f"overwrite=True), or choose another folder with {_OPTION}"
            )
        names = {path.name for path in folder.iterdir()}
        if others := sorted(names - {RECORD, *_listed(folder)}):
            raise UsageError(
                f"{folder} holds {others[0]}, which is not a file of its export and would be "
                f"deleted with it: move it, or choose another folder with {_OPTION}"
            )
    elif any(folder.iterdir()):
        raise UsageError(
            f"{folder} holds other files, but an export needs its own folder: choose another with "
            f"{_OPTION}"
        )


def _listed(folder: Path) -> set[str]:
    """Return the names of the files and folders that the record of an export lists."""
    try:
        files = json.loads((folder / RECORD).read_bytes())["files"]
        return {Path(name).parts[0] for name in files}
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UsageError(
            f"{folder / RECORD} is not a record of an export, so it is not known what the folder "
            f"holds: choose another folder with {_OPTION}"
        ) from error


@contextlib.contextmanager
def export_folder(folder: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a folder next to another one, in whose place it is put when the block ends.

    If the block fails, nothing is left behind, and an earlier export stays.

    Parameters
    ----------
    folder : Path
        Where the export will be.
    overwrite : bool
        Whether an earlier export may be replaced.

    Raises
    ------
    UsageError
        If the folder cannot be written, holds something else, or is being written by another run.
    """
    refuse_folder(folder, overwrite=overwrite)
    parent = make_folder(folder.parent, option=_OPTION)
    unfinished, replaced = (
        parent / f".{folder.name}.{what}" for what in ("unfinished", "replaced")
    )
    with lock(parent / f"{folder.name}.export", "export", shown=folder):
        refuse_folder(folder, overwrite=overwrite)
        try:
            # What a run that was killed has left.
            for path in (unfinished, replaced):
                shutil.rmtree(path, ignore_errors=True)
            unfinished.mkdir()
            yield unfinished
            if folder.exists():
                folder.rename(replaced)
            unfinished.rename(folder)
        except OSError as error:
            raise UsageError(
                f"the export {folder} cannot be written: {describe_os_error(error)}; choose "
                f"another folder with {_OPTION}"
            ) from error
        finally:
            for path in (unfinished, replaced):
                shutil.rmtree(path, ignore_errors=True)
