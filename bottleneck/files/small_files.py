"""Reading files that must be small: settings, tables, records, models."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from bottleneck.errors import BottleneckError, UsageError, describe_os_error

__all__ = ["open_regular", "read_small"]

# No opening waits: a pipe that nobody writes into would hold the program for ever.
_READ = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
# Bytes that are read at once where the size is not known.
_BLOCK = 1_048_576
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: Path, what: str, error: type[BottleneckError] = UsageError) -> BinaryIO:
    """Open a regular file for reading, without waiting; a link to one is followed.

    Parameters
    ----------
    path : Path
        The file.
    what : str
        What it is, for the message: "configuration", "table".
    error : type
        Class of the error.

    Raises
    ------
    BottleneckError
        Of the class ``error``, if it cannot be opened, or is a pipe, a device or a folder.
    """
    try:
        descriptor = os.open(path, _READ)
    except OSError as cause:
        # The one kind that cannot be opened at all. Other errors would be raised again here.
        if cause.errno in (errno.ENXIO, errno.EOPNOTSUPP) and path.is_socket():
            raise _irregular(path, what, error, stat.S_IFSOCK) from None
        raise _unreadable(path, what, error, cause) from None
    except ValueError:
        raise error(f"the {what} {str(path)!r} cannot be read: its path contains NUL") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise _irregular(path, what, error, mode)
    return os.fdopen(descriptor, "rb")


def read_small(
    path: Path, what: str, *, limit: int, error: type[BottleneckError] = UsageError
) -> bytes:
    """Return the bytes of a regular file of limited size.

    Parameters
    ----------
    path : Path
        The file.
    what : str
        What it is, for the message: "configuration", "table".
    limit : int
        The largest size, in bytes.
    error : type
        Class of the error.

    Raises
    ------
    BottleneckError
        Of the class ``error``, if the file cannot be read, is a pipe, a device or a folder, or is
        larger than ``limit``.
    """
    with open_regular(path, what, error) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            parts = [file.read(size + 1)] if size <= limit else []
            # Files of /proc state no size, and others grow. None: nothing without waiting.
            while parts and parts[-1] and size <= limit:
                parts.append(file.read(_BLOCK))
                size = max(size, sum(map(len, filter(None, parts))))
        except OSError as cause:
            raise _unreadable(path, what, error, cause) from None
    if size > limit:
        raise error(
            f"the {what} {path} is larger than {limit:,} bytes, the most that is read; is it the "
            "right file?"
        )
    return b"".join(filter(None, parts))


def _irregular(path: Path, what: str, error: type[BottleneckError], mode: int) -> BottleneckError:
    kind = _KINDS.get(stat.S_IFMT(mode), "not a regular file")
    return error(f"the {what} {path} is {kind}; name a regular file")


def _unreadable(
    path: Path, what: str, error: type[BottleneckError], cause: OSError
) -> BottleneckError:
    return error(f"the {what} {path} cannot be read: {describe_os_error(cause)}")
