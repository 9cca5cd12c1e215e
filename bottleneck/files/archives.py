"""Zip archives that are safe to unpack."""

from __future__ import annotations

import os
import zipfile

__all__ = ["find_bomb"]

# Images and coefficients shrink to a tenth at best; deflate can reach a thousandth.
_MAX_RATIO = 200
_SMALL = 1_048_576


def find_bomb(archive: zipfile.ZipFile) -> str | None:
    """Return why an archive is not safe to unpack in memory; None if it is.

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
