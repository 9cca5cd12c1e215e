"""The folders that an app may read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from bottleneck.data.sources.untrusted_files import leads_out
from bottleneck.errors import UsageError
from bottleneck.files.paths import as_path, as_paths

__all__ = ["Folders"]


class Folders:
    """Folders that were named when the app was started; all other paths are refused.

    Parameters
    ----------
    paths : iterable of str or Path
        The folders.

    Attributes
    ----------
    paths : tuple of Path
        The folders, with all links followed.

    Raises
    ------
    UsageError
        If one of them is not a folder.

    Examples
    --------
    >>> Path("scans").mkdir()
    >>> Folders(["scans"]).find("scans/../..")
    Traceback (most recent call last):
    bottleneck.errors.UsageError: 'scans/../..' is outside the folders that the app may read ...
    """

    def __init__(self, paths: Iterable[str | Path] = ()) -> None:
        resolved = []
        for path in as_paths(paths, "a folder", "scans"):
            if not path.is_dir():
                raise UsageError(
                    f"'{path}' is not an existing folder: name folders that the app may read"
                )
            resolved.append(Path(os.path.realpath(path)))
        self.paths = tuple(dict.fromkeys(resolved))

    def __repr__(self) -> str:
        return f"<Folders {', '.join(map(str, self.paths)) or 'none'}>"

    def find(self, path: str | Path) -> Path:
        """Return a path inside the folders, with all links followed.

        Parameters
        ----------
        path : str or Path
            Absolute, or relative to the current folder.

        Raises
        ------
        UsageError
            If it is outside, also by way of ".." or of a symbolic link, or does not exist.
        """
        given = as_path(path, "the app", "scans")
        if all(leads_out(given, folder) for folder in self.paths):
            named = ", ".join(f"'{folder}'" for folder in self.paths) or "none"
            raise UsageError(
                f"'{given}' is outside the folders that the app may read ({named}): start it with "
                f"--folder to add one"
            )
        real = Path(os.path.realpath(given))
        if not real.exists():
            raise UsageError(f"'{given}' does not exist: check its spelling")
        return real
