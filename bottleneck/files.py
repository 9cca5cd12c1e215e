"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replacing", "write_whole"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary file beside a target, which takes its place when the disk has it.

    Whatever happens inside the block, the target is the old file or the new one. Two
    processes that write the same target do not share their temporary files.

    Parameters
    ----------
    path : Path
        The target; replaced where it exists.

    Yields
    ------
    Path
        To be written inside the block.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full. The target is untouched.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.writing")
    try:
        yield beside
        # Opened for writing: Windows flushes no file that is open for reading alone.
        with beside.open("r+b") as written:
            os.fsync(written.fileno())
        beside.replace(path)
        _sync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write bytes to a file that appears whole or not at all; raises as ``replacing``."""
    with replacing(path) as beside:
        beside.write_bytes(data)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder, and needs no such flush.
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
