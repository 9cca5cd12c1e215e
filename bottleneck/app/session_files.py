"""The temporary files of each open page: they are deleted with it, by age, and at exit."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bottleneck.errors import UsageError
from bottleneck.files.temporary import own_folder

__all__ = ["Session", "SessionFiles", "delete_uploads", "receiving_upload", "uploads_folder"]

# In seconds: how long the files of a page are kept that nobody uses, and how often this is checked.
_MOST_IDLE, _PAUSE = 3600.0, 60.0
_NAME = re.compile(r"[\w-]{1,64}", re.ASCII)


def uploads_folder() -> Path:
    """Return the folder in which uploaded files arrive, which only the user can read.

    It is in the folder for temporary files of this process, and goes with it.
    """
    folder = own_folder() / "uploads"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


_receiving = 0
_lock = threading.Lock()


@contextlib.contextmanager
def receiving_upload() -> Iterator[None]:
    """Receive files in the block; what arrived of an upload that was broken off is deleted.

    A file is in a folder of its own as soon as it is whole.
    """
    global _receiving
    with _lock:
        _receiving += 1
    try:
        yield
    finally:
        with _lock:
            _receiving -= 1
            if not _receiving:
                for path in uploads_folder().iterdir():
                    if not path.is_dir():
                        path.unlink(missing_ok=True)


def delete_uploads() -> None:
    """Delete all uploaded files, also those that no page took."""
    shutil.rmtree(uploads_folder(), ignore_errors=True)


@dataclasses.dataclass(eq=False)
class Session:
    """An open page.

    Attributes
    ----------
    folder : Path
        Its files, which no other page is shown.
    shown : object
        What the page shows, such as its predictions; None for nothing.
    stop : threading.Event
        Set when the page was closed, or its user does not want to wait for a prediction.
    closed : threading.Event
        Set when the page was closed.
    used : float
        When it was last used, in seconds.
    files : tuple of Path
        The uploaded files that it shows.
    """

    folder: Path
    shown: Any = None
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)
    closed: threading.Event = dataclasses.field(default_factory=threading.Event)
    used: float = dataclasses.field(default_factory=time.monotonic)
    files: tuple[Path, ...] = ()
    _arrived: dict[Path, int] = dataclasses.field(default_factory=dict, repr=False)

    def take(self, uploads: Iterable[str | Path]) -> tuple[Path, ...]:
        """Move uploaded files into the folder of the page, in place of those before.

        Parameters
        ----------
        uploads : iterable of str or Path
            Files in ``uploads_folder``.

        Returns
        -------
        tuple of Path
            The files, with their names; equal names get a number.

        Raises
        ------
        UsageError
            If one of them was not uploaded, or was deleted since.
        """
        self.clear()
        root = os.path.realpath(uploads_folder())
        pictures = self.folder / "pictures"
        pictures.mkdir(parents=True)
        taken: list[Path] = []
        for given in map(Path, uploads):
            if not os.path.realpath(given).startswith(root + os.sep):
                raise UsageError(f"'{given.name}' was not uploaded: drop it onto the page")
            target = pictures / given.name
            number = 1
            while target.exists():
                number += 1
                target = pictures / f"{given.stem} ({number}){given.suffix}"
            try:
                os.link(given, target, follow_symlinks=False)
                self._arrived[given] = given.stat().st_ino
            except FileNotFoundError:
                raise UsageError(
                    f"'{given.name}' was deleted: drop it onto the page again"
                ) from None
            taken.append(target)
        self.files = tuple(taken)
        return self.files

    def clear(self) -> None:
        """Delete the files of the page, and what it shows."""
        self.shown, self.files = None, ()
        shutil.rmtree(self.folder, ignore_errors=True)
        for path, number in self._arrived.items():
            # The same image, uploaded by another page since, is another file of the same name.
            with contextlib.suppress(OSError):
                if path.stat().st_ino == number:
                    path.unlink()
        self._arrived.clear()


class SessionFiles:
    """The open pages of an app, by the key that the browser chose for each.

    Parameters
    ----------
    most_idle : float
        Seconds after which the files of an unused page are deleted.
    """

    def __init__(self, most_idle: float = _MOST_IDLE) -> None:
        self._most_idle = most_idle
        self._folder = Path(tempfile.mkdtemp(prefix="app-", dir=own_folder()))
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._sweep, daemon=True).start()

    def __repr__(self) -> str:
        return f"<SessionFiles {len(self._sessions)} open>"

    def __getitem__(self, key: str | None) -> Session:
        """Return the page of a key, which is new or in use."""
        if key is None or not _NAME.fullmatch(key):
            raise UsageError("the page has no session: reload it")
        with self._lock:
            if self._closed.is_set():
                raise UsageError("the app is ending: start it again")
            if key not in self._sessions:
                folder = Path(tempfile.mkdtemp(prefix="page-", dir=self._folder))
                self._sessions[key] = Session(folder)
            session = self._sessions[key]
        session.used = time.monotonic()
        return session

    def close(self, key: str | None) -> None:
        """Delete the files of a page that was closed; nothing for an unknown one."""
        with self._lock:
            session = self._sessions.pop(key or "", None)
        if session is not None:
            session.stop.set()
            session.closed.set()
            session.clear()

    def close_idle(self) -> None:
        """Delete the files of pages that were not used for too long."""
        oldest = time.monotonic() - self._most_idle
        with self._lock:
            idle = [key for key, one in self._sessions.items() if one.used < oldest]
        for key in idle:
            self.close(key)

    def close_all(self) -> None:
        """Delete the files of all pages, and accept no further ones."""
        self._closed.set()
        with self._lock:
            keys = list(self._sessions)
        for key in keys:
            self.close(key)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _sweep(self) -> None:
        while not self._closed.wait(min(_PAUSE, self._most_idle)):
            self.close_idle()
