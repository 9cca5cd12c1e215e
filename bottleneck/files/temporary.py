"""A private folder for the temporary files of this process and its workers.

It is removed when the process ends, or by the next run if the process was killed. Libraries that
choose their own folder for temporary files (joblib, Ray, multiprocessing) are given this one.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bottleneck.errors import UsageError, describe_os_error

__all__ = ["lasting_folder", "note_semaphores", "own_folder", "sweep", "used_by_all"]

_PREFIX = "bottleneck-tmp-"
_NAME = re.compile(re.escape(_PREFIX) + r"[a-z0-9_]{8}")
# In characters: sockets that libraries make in the folder have paths of 104 characters at most.
# multiprocessing appends 32 of them, and Ray 68.
_LONGEST, _SHORT = 70, 36
# A file in the folder that lists the semaphores of worker processes. They have names in shared
# memory, which nobody removes if all processes are killed at once.
_LIST = "semaphores"
_SHARED_MEMORY = Path("/dev/shm")
_SEMAPHORE = re.compile(r"sem\.(?:loky-\d+|mp)-\w+")


def own_folder(*, short: bool = False) -> Path:
    """Return the folder of this process, which only the user can read; create it at first use.

    Parameters
    ----------
    short : bool
        Whether Ray needs it, which appends much to its path: then it may be in ``/tmp``.

    Raises
    ------
    UsageError
        If the system's folder for temporary files cannot be written.
    """
    pid = os.getpid()  # A process that is forked off needs its own.
    try:
        parent = _parent(pid)
        if short and os.name != "nt" and len(str(parent)) + len(_PREFIX) + 9 > _SHORT:
            parent = Path("/tmp")
        return _make(parent, pid)
    except OSError as error:
        raise UsageError(
            f"no folder for temporary files can be used ({describe_os_error(error)}): name one "
            "in the environment variable TMPDIR"
        ) from None


def lasting_folder() -> Path:
    """Return the system's folder for temporary files, where files stay when the process ends."""
    return _parent(os.getpid())


@functools.cache
def _parent(pid: int) -> Path:
    return Path(tempfile.gettempdir())  # Later it is the folder itself: see ``used_by_all``.


@functools.cache
def _make(parent: Path, pid: int) -> Path:
    sweep(parent)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = _lock(folder)
        # Another process may have removed it before it was locked.
        with contextlib.suppress(FileNotFoundError):
            (folder / _LIST).touch(0o600)
            break
        if lock is not None:
            os.close(lock)
    atexit.register(_remove, pid, folder)
    return folder


def _remove(pid: int, folder: Path) -> None:
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


def _lock(folder: Path) -> int | None:
    """Lock a folder as long as this process lives; None if it cannot be locked."""
    if os.name == "nt":
        return None
    import fcntl

    descriptor = None
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # It is gone, locked, a link, or on a file system without locks.
        if descriptor is not None:
            os.close(descriptor)
        return None
    return descriptor


def sweep(parent: Path) -> None:
    """Remove the folders of processes that were killed.

    Parameters
    ----------
    parent : Path
        The folder that contains them. Only folders that this module made for the same user are
        removed, and only those that no process holds locked.
    """
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        with os.scandir(parent) as entries:
            names = [entry.name for entry in entries if _NAME.fullmatch(entry.name)]
        for folder in [parent / name for name in names]:
            lock = _lock(folder)
            if lock is None:
                continue
            state = os.fstat(lock)
            private = state.st_uid == os.getuid() and state.st_mode & 0o777 == 0o700
            if private and ((folder / _LIST).is_file() or not any(folder.iterdir())):
                _remove_semaphores(folder / _LIST)
                shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def note_semaphores(folder: Path) -> None:
    """Add the semaphores that this process uses to the list of a folder (Linux)."""
    with contextlib.suppress(OSError):
        maps = Path("/proc/self/maps").read_text("utf-8", "replace")
        names = {Path(line).name for line in maps.splitlines() if f" {_SHARED_MEMORY}/sem." in line}
        with (folder / _LIST).open("a") as file:
            file.write("".join(f"{name}\n" for name in sorted(names)))


def _remove_semaphores(listed: Path) -> None:
    with contextlib.suppress(OSError):
        for name in listed.read_text("utf-8", "replace").split():
            if _SEMAPHORE.fullmatch(name):
                (_SHARED_MEMORY / name).unlink(missing_ok=True)


@contextlib.contextmanager
def used_by_all() -> Iterator[None]:
    """Let all libraries, and the processes started here, use the folder during the block."""
    try:
        folder = str(own_folder())
    except UsageError:  # Parts that need one will say so.
        folder = ""
    if not folder or os.name == "nt" or len(folder) > _LONGEST:
        yield
        return
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    try:
        yield
    finally:
        if before[0] is None:
            os.environ.pop("TMPDIR", None)
        else:
            os.environ["TMPDIR"] = before[0]
        tempfile.tempdir = before[1]
