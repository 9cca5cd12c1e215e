"""The sha256 of files of any size."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bottleneck.errors import BottleneckError, UsageError, describe_os_error
from bottleneck.files.small_files import open_regular

__all__ = ["hash_file"]


def hash_file(path: Path, what: str, error: type[BottleneckError] = UsageError) -> str:
    """Return the sha256 of a file as 64 hexadecimal digits.

    Parameters
    ----------
    path : Path
        The file.
    what : str
        What it is, for the message: "weight file".
    error : type
        Class of the error.

    Raises
    ------
    BottleneckError
        Of the class ``error``, if it cannot be read, or is not a regular file.
    """
    with open_regular(path, what, error) as file:
        try:
            # BinaryIO lacks the method readinto, which every opened file has.
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        except OSError as cause:
            raise error(f"{path} cannot be read: {describe_os_error(cause)}") from None
