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
    wait: bool = False,
    shown: Path | None = None,
) -> Iterator[None]:
    """Keep other runs from writing a file or a folder while the block runs.

    The lock is a hidden file, which is removed at the end. After a kill it stays, and can be used
    again: by this user, and by others who can write into its folder.

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
    wait : bool
        Wait for a run that holds the lock, in place of an error.
    shown : Path, optional
        What the message names in place of ``path``.

    Raises
    ------
    BottleneckError
        Of the class ``error``, if another run holds the lock, or the file system has no locks.
    """
    name = path / ".lock" if path.is_dir() else path.with_name(f".{path.name}.lock")
    try:
        _unlink_planted(name)
        held = _acquire(name, -1 if wait else 0)
    except (filelock.Timeout, BlockingIOError):
        raise error(
            f"{shown or path} is being written by another {run}; wait for it, or choose {other}"
        ) from None
    # NotImplementedError where the file system has no locks at all.
    except (OSError, NotImplementedError) as cause:
        raise error(
            f"{shown or path} cannot be locked against another {run}: "
            f"{_explain(cause, name, other)}"
        ) from None
    with held:
        ours = None
        with contextlib.suppress(OSError):
            ours = name.lstat()
        try:
            yield
        finally:
            # Before it is released: a run that has opened it by then notices that it has no name.
            with contextlib.suppress(OSError):  # Windows removes no open file.
                if ours and os.path.samestat(name.lstat(), ours):
                    name.unlink()


def _acquire(name: Path, timeout: float) -> filelock.AcquireReturnProxy:
    while True:
        before = _identity(name)
        held = filelock.FileLock(name, mode=_mode(name.parent)).acquire(timeout)
        # Another run may have removed the file after it was opened here. The library notices this
        # only if the file has no other name, which a backup may have given it.
        if before is not None and _identity(name) == before:
            return held
        held.lock.release()


def _identity(name: Path) -> tuple[int, int] | None:
    try:
        status = name.lstat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _mode(folder: Path) -> int:
    """Return the permissions of a lock: those who can write into the folder share it."""
    writers = folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return 0o600 | writers | writers << 1


def _explain(cause: OSError | NotImplementedError, name: Path, other: str) -> str:
    if isinstance(cause, PermissionError) and os.path.lexists(name):
        return (
            f"{name} was left by another user; ask them to remove it if they are not running "
            f"anything there, or choose {other}"
        )
    reason = describe_os_error(cause) if isinstance(cause, OSError) else cause
    return f"{reason}; choose {other} that you may write, on a file system that has locks"


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
        If a process has locked it, or has just made another file of this name.
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
            if not os.path.samestat(os.fstat(descriptor), path.lstat()):
                raise BlockingIOError(f"{path} has since been replaced by another file")
        path.unlink()
    finally:
        if descriptor is not None:
            os.close(descriptor)
