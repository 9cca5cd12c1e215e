"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bottleneck.errors import UsageError

__all__ = ["make_folder", "replacing", "write_whole"]


@contextmanager
def replacing(
    path: Path, *, locked: bool = False, durable: bool = True, folder: Path | None = None
) -> Iterator[Path]:
    """Yield a temporary file that replaces a target when the block ends.

    Whatever happens inside the block, the target is the old file or the new one.

    Parameters
    ----------
    path : Path
        The target; replaced where it exists.
    locked : bool
        Whether a lock keeps other processes from writing the same target. Then the temporary
        file always has the same name, so that the remains of a killed run are overwritten; else
        each thread has a file of its own.
    durable : bool
        Whether to wait until the disk has the file; else a power cut may leave any bytes in it.
    folder : Path, optional
        Where the temporary file is made, on the target's disk; by default the target's folder.

    Yields
    ------
    Path
        The temporary file, to be written inside the block.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full. The target is untouched.
    """
    own = "" if locked else f".{os.getpid()}.{threading.get_ident()}"
    temporary = (folder or path.parent) / f".{path.name}{own}.writing"
    try:
        yield temporary
        if durable:
            # Opened for writing: Windows flushes no file that is open for reading alone.
            with temporary.open("r+b") as written:
                os.fsync(written.fileno())
        temporary.replace(path)
        if durable:
            _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write bytes to a file that appears whole or not at all; raise what ``replacing`` raises."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def _sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder."""
    if os.name == "nt":  # Windows cannot open a folder, and needs no such flush.
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> Path:
    """Make an output folder where it is absent, and return it.

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
