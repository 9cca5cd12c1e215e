"""Folders of results: claimed for one run, and written with the most important file first."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bottleneck.errors import ReportError, UsageError, describe_os_error, one_line
from bottleneck.files.locks import lock
from bottleneck.files.writing import make_folder, write_whole

__all__ = ["claim_folder", "refuse_finished", "write_files"]

_OPTION = "--output (in Python: folder)"


@contextlib.contextmanager
def claim_folder(
    folder: Path, results: Sequence[str], run: str, *, overwrite: bool = False
) -> Iterator[None]:
    """Make a folder for results, and keep other runs out of it while the block runs.

    If the block fails, a folder that it made and left empty is removed. Enter it before a
    long computation whose results go there.

    Parameters
    ----------
    folder : Path
        The folder.
    results : sequence of str
        Names of files that a finished computation leaves in it.
    run : str
        What the computation is, for the message of another: "comparison".
    overwrite : bool
        Whether these files may be replaced.

    Raises
    ------
    UsageError
        If the folder cannot be created or written, another run is writing it, or it holds a
        training, or one of ``results`` and ``overwrite`` is not set.
    """
    refuse_finished(folder, results, overwrite=overwrite)
    is_new = not os.path.lexists(folder)
    make_folder(folder, option=_OPTION)
    try:
        with lock(folder, run):
            # Another run may have finished since.
            refuse_finished(folder, results, overwrite=overwrite)
            yield
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):  # It is not empty.
                folder.rmdir()
        raise


def refuse_finished(folder: Path, results: Sequence[str], *, overwrite: bool) -> None:
    """Raise UsageError if a folder holds one of some files that must not be replaced.

    It is also raised for the folder of a training: its ``predictions.csv`` has the same name as
    that of a comparison, and belongs to its ``training.json``.
    """
    with contextlib.suppress(OSError):
        if (folder / "run.json").exists():
            raise UsageError(
                f"{folder} holds a training, which must not be mixed with other results: choose "
                "another folder with --output"
            )
    for name in () if overwrite else results:
        with contextlib.suppress(OSError):  # Whatever is in its place is explained by make_folder.
            if (folder / name).exists():
                raise UsageError(
                    f"{folder / name} exists: replace it with --overwrite (in Python: "
                    "overwrite=True), or choose another folder with --output"
                )


def write_files(
    folder: Path,
    files: Mapping[str, Callable[[], str | bytes]],
    incomplete: Sequence[str] = (),
    absent: Sequence[str] = (),
    written: list[str] | None = None,
) -> None:
    """Make the contents of files and write them, one after the other.

    A file that cannot be made or written is missing, and does not keep the others from being
    written. As soon as the first file is there, those of an earlier run are removed, so that a
    folder never mixes the results of two runs.

    Parameters
    ----------
    folder : Path
        The folder; created if it does not exist.
    files : mapping of str to callable
        The function that returns the text or the bytes of each file, by its path in the folder;
        the most important first.
    incomplete : sequence of str
        What is missing in the files that were made; the functions may add to it.
    absent : sequence of str
        Files that an earlier run may have left, and this one does not write.
    written : list of str, optional
        Takes the name of each file as soon as it is there.

    Raises
    ------
    UsageError
        If files cannot be written. If it is the first one, nothing has changed.
    ReportError
        If files could not be made, or are incomplete.
    """
    make_folder(folder, option=_OPTION)
    written = [] if written is None else written
    unmade: list[str] = []
    unwritten: dict[str, OSError] = {}
    try:
        for name, make in files.items():
            try:
                # A file name that is not UTF-8 gives an id with lone surrogates; escape them.
                made = make()
                data = made if isinstance(made, bytes) else made.encode(errors="backslashreplace")
            # Records of other programs can make anything fail; the other results stand.
            except Exception as error:  # noqa: BLE001
                unmade.append(
                    f"{name} could not be written ({type(error).__name__}: {one_line(error)})"
                )
                continue
            try:
                (folder / name).parent.mkdir(exist_ok=True)
                write_whole(folder / name, data, folder=folder)  # Swept there if it is killed.
            except OSError as error:
                if not written:
                    raise _unwritable(folder, "the results", error) from None
                unwritten[name] = error
                continue
            if not written:
                _remove([folder / other for other in (*files, *absent) if other != name])
            written.append(name)
    except BaseException as error:  # Ctrl-C, for one
        if written and not isinstance(error, UsageError):
            error.add_note(
                f"Written to {folder}: {', '.join(written)}. The other files are missing."
            )
        raise
    there = f"Written to {folder}: {', '.join(written) or 'nothing'}"
    if written:
        there += "; they hold the same results"
    if unwritten:
        first = next(iter(unwritten.values()))
        raise UsageError(f"{_unwritable(folder, ' and '.join(unwritten), first)}. {there}")
    if problems := [*unmade, *incomplete]:
        raise ReportError(f"{'; '.join(problems)}. {there}")


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _unwritable(folder: Path, what: str, error: OSError) -> UsageError:
    return UsageError(
        f"{what} cannot be written to '{folder}': {describe_os_error(error)}; choose another "
        f"folder with {_OPTION}"
    )
