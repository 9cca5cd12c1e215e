"""The folder of feature files, and a lock on each that is being written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock

from bottleneck.errors import FeatureFileError, UsageError

__all__ = ["lock", "make_folder"]


def make_folder(folder: Path) -> Path:
    """Make the folder where it is absent.

    Raises
    ------
    UsageError
        If it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"the output folder {folder} cannot be written: {error.strerror or error}; "
            "choose another with --output"
        ) from None
    return folder


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Keep other extractions from writing a feature file.

    Raises
    ------
    FeatureFileError
        If another one does, or the file system has no locks.
    """
    try:
        held = filelock.FileLock(path.with_name(f".{path.name}.lock")).acquire(timeout=0)
    except filelock.Timeout:
        raise FeatureFileError(
            f"{path} is being written by another extraction; wait for it, or choose another "
            "--output"
        ) from None
    # The latter of a file system that has no locks at all.
    except (OSError, NotImplementedError) as error:
        raise FeatureFileError(
            f"{path} cannot be locked against other extractions: "
            f"{getattr(error, 'strerror', None) or error}; choose an --output on a file system "
            "that has locks"
        ) from None
    with held:
        yield
