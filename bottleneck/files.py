"""Files that are written whole or not at all, and archives that do not burst."""

from __future__ import annotations

import os
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["find_bomb", "replacing", "write_whole"]

# Pictures and coefficients shrink to a tenth at best; deflate can reach a thousandth.
_MAX_RATIO = 200
_SMALL = 1_048_576


@contextmanager
def replacing(
    path: Path, *, locked: bool = False, durable: bool = True, folder: Path | None = None
) -> Iterator[Path]:
    """Give a temporary file beside a target, which takes its place when the disk has it.

    Whatever happens inside the block, the target is the old file or the new one.

    Parameters
    ----------
    path : Path
        The target; replaced where it exists.
    locked : bool
        Whether a lock keeps other processes from writing the same target. Then the temporary
        file is always the same one, so that what a kill left of it is overwritten; else each
        thread has its own.
    durable : bool
        Whether to wait until the disk has it. Without, a power cut may leave any bytes.
    folder : Path, optional
        Of the temporary file, on the target's disk; the target's own where none is given.

    Yields
    ------
    Path
        To be written inside the block.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full. The target is untouched.
    """
    own = "" if locked else f".{os.getpid()}.{threading.get_ident()}"
    beside = (folder or path.parent) / f".{path.name}{own}.writing"
    try:
        yield beside
        if durable:
            # Opened for writing: Windows flushes no file that is open for reading alone.
            with beside.open("r+b") as written:
                os.fsync(written.fileno())
        beside.replace(path)
        if durable:
            _sync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write bytes to a file that appears whole or not at all; raises as ``replacing``."""
    with replacing(path) as beside:
        beside.write_bytes(data)


def _sync_folder(folder: Path) -> None:
    """Have the disk keep the names in a folder."""
    if os.name == "nt":  # Windows cannot open a folder, and needs no such flush.
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def find_bomb(archive: zipfile.ZipFile) -> str | None:
    """Say why an archive is not safe to unpack in memory; None where it is.

    Parameters
    ----------
    archive : ZipFile
        Opened for reading; nothing in it is unpacked.

    Returns
    -------
    str or None
        Names a member that takes more than 1 MiB, and more than 200 times what it takes in
        the archive.
    """
    assert archive.fp is not None
    size = archive.fp.seek(0, os.SEEK_END)
    # The sizes of members are what the archive says; several may share the same bytes.
    members = [(m.filename, m.file_size, min(m.compress_size, size)) for m in archive.infolist()]
    members.append(("all together", sum(unpacked for _, unpacked, _ in members), size))
    for name, unpacked, packed in members:
        if unpacked > max(_SMALL, _MAX_RATIO * packed):
            return (
                f"{name}: {packed:,} bytes that would become {unpacked:,}, more than "
                f"{_MAX_RATIO} times as many"
            )
    return None
