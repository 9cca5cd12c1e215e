"""Files that are written whole or not at all, and follow no link that somebody planted."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bottleneck.errors import BottleneckError, UsageError, describe_os_error
from bottleneck.files.locks import remove_unlocked

try:
    import fcntl
except ImportError:  # See ``remove_unlocked``.
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "continue_file",
    "create_file",
    "make_folder",
    "refuse_planted",
    "replacing",
    "sweep",
    "write_whole",
]

_UNFINISHED = re.compile(r"\..*\.[0-9a-f]{16}\.writing", re.DOTALL)
# O_NOFOLLOW is absent from Windows, and O_BINARY from everything else.
_CREATE = (
    os.O_RDWR
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
# An existing file is opened without waiting for the reader of a pipe.
_CONTINUE = _CREATE & ~(os.O_CREAT | os.O_EXCL) | getattr(os, "O_NONBLOCK", 0)
_OF_ANOTHER = "a file of another user"
_umask_lock = threading.Lock()


@contextmanager
def replacing(
    path: Path, *, durable: bool = True, private: bool = False, folder: Path | None = None
) -> Iterator[BinaryIO]:
    """Yield a new file that replaces a target when the block ends.

    Whatever happens inside the block, the target is the old file or the new one. The new file has
    a random name, and is never opened through a link. Nobody else may read it before it is
    finished. If the process is killed, ``sweep`` removes it later.

    Parameters
    ----------
    path : Path
        The target; replaced where it exists. A symbolic link is replaced, not followed.
    durable : bool
        Whether to wait until the disk has the file; else a power cut may leave any bytes in it.
    private : bool
        Whether only the user may read the finished file. Otherwise its permissions follow the
        umask.
    folder : Path, optional
        Where the new file is made, on the target's disk; by default the target's folder.

    Yields
    ------
    BinaryIO
        The new file, opened for reading and writing; the block must not close it.

    Raises
    ------
    OSError
        If the folder cannot be written, the disk is full, or the target is not a file. The target
        is untouched.
    """
    _refuse_special(path)
    temporary, file = _create_unfinished(folder or path.parent, path.name)
    try:
        with file:
            yield file
            file.flush()
            if not private:
                _follow_umask(file.fileno())
            if durable:
                os.fsync(file.fileno())
            if os.name == "nt":  # Windows renames no open file.
                file.close()
            # Renamed while it is locked, so that no sweep can take it for abandoned.
            temporary.replace(path)
        if durable:
            _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _refuse_special(path: Path) -> None:
    """Raise OSError for a folder, and for a device or a pipe, which a file would replace."""
    with contextlib.suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            kind = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
            raise OSError(errno.EEXIST, f"it is {kind}, but a file is needed", str(path))


def write_whole(
    path: Path, data: bytes, *, private: bool = False, folder: Path | None = None
) -> None:
    """Write bytes to a file that appears whole or not at all; raise what ``replacing`` raises."""
    with replacing(path, private=private, folder=folder) as file:
        file.write(data)


def create_file(path: Path) -> BinaryIO:
    """Create an empty file that only the user may read, and open it for reading and writing.

    Raises
    ------
    FileExistsError
        If the name exists; also if it is a symbolic link, wherever that leads.
    OSError
        If the folder cannot be written.
    """
    return os.fdopen(os.open(path, _CREATE, 0o600), "w+b")


def continue_file(path: Path, what: str, error: type[BottleneckError] = UsageError) -> BinaryIO:
    """Open a file that an earlier run left, to continue it in place; create it where absent.

    Parameters
    ----------
    path : Path
        The file.
    what : str
        What it is, for the message: "the log of an extraction".
    error : type
        Class of the error.

    Raises
    ------
    BottleneckError
        Of the class ``error``, if the name is a link, another name of a file that has
        several, not a regular file, or a file of another user, who could read what is written.
    OSError
        If it cannot be opened or created.
    """
    try:
        return create_file(path)
    except FileExistsError:
        pass
    try:
        descriptor = os.open(path, _CONTINUE)
    except OSError as cause:
        if path.is_symlink() or path.is_dir():
            why = "a symbolic link" if path.is_symlink() else "a folder"
        elif isinstance(cause, PermissionError):
            why = _OF_ANOTHER
        else:
            raise
    else:
        try:
            why = _why_not_ours(path, os.fstat(descriptor))
            if not why:
                return os.fdopen(descriptor, "r+b")
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    if why == _OF_ANOTHER:
        raise error(
            f"{path} is {why}: {what} can be continued only by the user who started it. Remove it "
            "to start again, or choose another folder with --output"
        )
    raise error(f"{path} is {why}, not {what}: remove it, and repeat the command")


def _why_not_ours(path: Path, status: os.stat_result) -> str:
    """Return why an open file is none that this user's run has left; "" if it may be one."""
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if status.st_nlink > 1:
        return f"one of {status.st_nlink} names of a file (hard links)"
    if os.name != "nt" and status.st_uid != os.geteuid():
        # Root in a container continues what the owner of the folder began.
        if os.geteuid() == 0 and status.st_uid == path.parent.stat().st_uid:
            return ""
        # Network storage may give all files to one user: then also a new one.
        probe, file = _create_unfinished(path.parent, "probe")
        with file:
            owner = os.fstat(file.fileno()).st_uid
        probe.unlink(missing_ok=True)
        if owner != status.st_uid:
            return _OF_ANOTHER
    return ""


def make_folder(folder: Path, *, option: str = "--output", private: bool = False) -> Path:
    """Make an output folder where it is absent, check that it can be written, and sweep it.

    Parameters
    ----------
    folder : Path
        The folder.
    option : str
        The option that names it, for the message.
    private : bool
        Whether a new folder is one that only the user may read.

    Returns
    -------
    Path
        The same folder.

    Raises
    ------
    UsageError
        If it cannot be written, or the way to it is a symbolic link of another user.
    """
    refuse_planted(folder, option)
    try:
        folder.mkdir(0o700 if private else 0o777, parents=True, exist_ok=True)
        sweep(folder)
        probe, file = _create_unfinished(folder, "probe")
        file.close()
        probe.unlink(missing_ok=True)
    except OSError as error:
        is_other = isinstance(error, FileExistsError)
        reason = "it is not a folder" if is_other else describe_os_error(error)
        raise UsageError(
            f"the output folder {folder} cannot be written: {reason}; choose another with {option}"
        ) from None
    return folder


def refuse_planted(folder: Path, option: str) -> None:
    """Raise UsageError for a folder behind a link that another user may have planted.

    As in Linux's own /tmp, a link is followed that belongs to this user, to root, or to the owner
    of the folder that it is in, who could change anything there.

    Parameters
    ----------
    folder : Path
        The folder; it need not exist.
    option : str
        The option that names it, for the message.
    """
    if os.name == "nt":
        return
    path = Path.cwd() / folder
    for link in (path, *path.parents):
        with contextlib.suppress(OSError):  # What cannot be looked at is explained by mkdir.
            status = link.lstat()
            trusted = (0, os.geteuid(), link.parent.stat().st_uid)
            if stat.S_ISLNK(status.st_mode) and status.st_uid not in trusted:
                raise UsageError(
                    f"the output folder {folder} leads over {link}, a symbolic link of another "
                    f"user: name the folder itself, or choose another one, with {option}"
                )


def sweep(folder: Path) -> None:
    """Remove the unfinished files of runs that were killed; those of running ones stay.

    A run that writes holds a lock on its unfinished file, which ends with the process. On a file
    system without locks nothing is removed.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if _UNFINISHED.fullmatch(entry.name)]
    for name in names:
        with contextlib.suppress(OSError):  # Another process was first, or is writing it.
            remove_unlocked(folder / name)


def _create_unfinished(folder: Path, name: str) -> tuple[Path, BinaryIO]:
    """Create a file of an unpredictable name, and lock it against ``sweep``."""
    while True:
        # A name of at most 255 bytes, whatever the target's.
        short = os.fsdecode(os.fsencode(name)[:200])
        path = folder / f".{short}.{secrets.token_hex(8)}.writing"
        file = create_file(path)
        if fcntl:
            with contextlib.suppress(OSError):  # A file system without locks is never swept.
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file.fileno()).st_nlink or os.name == "nt":
            return path, file
        file.close()  # Swept by another run before it was locked.


def _follow_umask(descriptor: int) -> None:
    """Give a file the permissions that a file has that is created in the usual way."""
    if os.name == "nt":
        return
    with _umask_lock:  # Only by changing it can a process know its umask.
        umask = os.umask(0o077)
        os.umask(umask)
    with contextlib.suppress(PermissionError):  # Some network storage has its own permissions.
        os.fchmod(descriptor, 0o666 & ~umask)


def _sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder."""
    if os.name == "nt":  # Windows cannot open a folder, and needs no such flush.
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
