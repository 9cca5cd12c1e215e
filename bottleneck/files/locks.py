"""Locks against other runs that write the same files."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from bottleneck.errors import BottleneckError, UsageError, describe_os_error

try:
    import fcntl
except ImportError:  # Windows deletes no open file; it needs no lock to tell which ones are used.
    fcntl = None  # type: ignore[assignment]

__all__ = ["lock", "remove_unlocked"]


@contextmanager
def lock(
    path: Path,
    run: str,
    error: type[BottleneckError] = UsageError,
    *,
    other: str = "another --output",
) -> Iterator[None]:
    """Keep other runs from writing a file or a folder while the block runs.

    Parameters
    ----------
    path : Path
        A folder that exists, or a file in one.
    run : str
        What the other run is, for the message: "extraction", "training".
    error : type
        Class of the error.
    other : str
        What else the user can choose, for the message.

    Raises
    ------
    BottleneckError
        Of the class ``error``, if another run holds the lock, or the file system has no locks.
    """
    name = path / ".lock" if path.is_dir() else path.with_name(f".{path.name}.lock")
    try:
        _unlink_planted(name)
        held = filelock.FileLock(name, mode=0o600).acquire(timeout=0)
    except (filelock.Timeout, BlockingIOError):
        raise error(
            f"{path} is being written by another {run}; wait for it, or choose {other}"
        ) from None
    # NotImplementedError where the file system has no locks at all.
    except (OSError, NotImplementedError) as cause:
        reason = describe_os_error(cause) if isinstance(cause, OSError) else cause
        raise error(
            f"{path} cannot be locked against another {run}: {reason}; choose {other} "
            "that you may write, on a file system that has locks"
        ) from None
    with held:
        yield


def _unlink_planted(name: Path) -> None:
    """Remove a lock file that is a link, which the library could truncate or change the mode of."""
    with contextlib.suppress(FileNotFoundError):
        status = name.lstat()
        # A backup may have linked the lock of a run that is still writing.
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            remove_unlocked(name)


def remove_unlocked(path: Path) -> None:
    """Remove a file that no process has locked; a symbolic link is removed itself.

    Raises
    ------
    BlockingIOError
        If a process has locked it.
    OSError
        If it does not exist, or cannot be opened or removed.
    """
    descriptor = None
    if fcntl and stat.S_ISREG(path.lstat().st_mode):
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags)
    try:
        if descriptor is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        if descriptor is not None:
            os.close(descriptor)
