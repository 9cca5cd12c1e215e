"""The files that the paths in a table name."""

from __future__ import annotations

import contextlib
import functools
import itertools
import ntpath
import os
import posixpath
import re
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from bottleneck.data.sources.untrusted_files import IMAGE_SUFFIXES
from bottleneck.errors import DataError
from bottleneck.text.plurals import counted

__all__ = ["TablePaths"]

# So many paths decide which part of them names a folder of another computer.
_N_EXAMPLES = 1_000
_N_CACHED_FOLDERS, _N_CACHED_LISTS = 4096, 64


class TablePaths:
    """Finds the file of each path in a table, and keeps notes of how.

    The table was written by the user: its paths may be absolute or lead to other folders.

    Parameters
    ----------
    folder : Path
        The absolute folder that relative paths start from.
    every_path : callable
        Returns all paths of the table; called only if the images may have been moved.
    moved : bool
        Whether the user named the folder. Absolute paths that do not exist are then searched in
        it, without their first part.

    folders : bool
        Whether a path may name a folder, which is then a volume.

    Attributes
    ----------
    n_existing : int
        The number of paths located so far that exist.
    n_respelled : int
        The number of these files with another spelling than in the table.
    """

    def __init__(
        self,
        folder: Path,
        every_path: Callable[[], Iterable[str]],
        *,
        moved: bool,
        folders: bool = False,
    ) -> None:
        self._folders = folders
        self.n_existing = self.n_respelled = 0
        self._folder, self._resolved, self._moved = folder, folder.resolve(), moved
        self._every_path = every_path
        self._counts: dict[str, tuple[int, str]] = {}
        self._common: str | None = None
        # Rows share few folders, and resolving one takes a system call for each part of its path.
        cache = functools.lru_cache(_N_CACHED_FOLDERS)
        self._real = cache(os.path.realpath)
        self._is_inside = cache(lambda real: Path(real).is_relative_to(self._resolved))
        self._list = functools.lru_cache(_N_CACHED_LISTS)(self._list_names)
        self._respell_folder = cache(self._find_folder)

    def locate(self, path: str, place: str) -> tuple[str, str, str | None]:
        """Return the file that a path names.

        Parameters
        ----------
        path : str
            A path as the table states it.
        place : str
            Where it is stated, for messages.

        Returns
        -------
        name : str
            The path with ``/`` and without unnecessary parts, relative to the folder if the file
            is below it.
        source : str
            The same as it is spelled on the disk.
        reason : str or None
            Why the path cannot be used; None if it can, or if there is no such file.

        Raises
        ------
        DataError
            If the path names no file, but several that differ only in the Unicode form or
            in the letter case of the suffix.
        """
        name = source = self._normalise(path)
        status = self._stat(source)
        if status is None:
            name, source = self._search(path, name, place)
            status = self._stat(source)
        if status is None:
            return name, name, None
        # Reading a named pipe would block forever.
        is_folder = stat.S_ISDIR(status.st_mode) and self._folders
        if not stat.S_ISREG(status.st_mode) and not is_folder:
            return name, source, "folder or special file"
        self.n_existing += 1
        self._note_outside(source)
        return name, source, None

    def find_folder(self, path: str) -> str | None:
        """Return the folder that a path of the table names, as it is spelled on the disk."""
        source = self._normalise(path)
        if self._stat(source) is None:
            source = self._search(path, source, "the table")[1]
        status = self._stat(source)
        return source if status is not None and stat.S_ISDIR(status.st_mode) else None

    def notes(self) -> tuple[str, ...]:
        """Return notes on the files that are not below the folder under the name in the table."""
        notes = []
        for kind, (n, example) in self._counts.items():
            image = counted(n, "image")
            match kind:
                case "outside":
                    where = self._common if self._common != os.sep else "several folders"
                    text = f"{image} outside {self._folder}, in {where}"
                case "moved":
                    text = (
                        f"{image} read below {self._folder}, without the beginning "
                        f"'{self._beginning()}' of paths that do not exist here"
                    )
                case _:
                    text = f"{image} with a path that differs from the table in {kind}"
            notes.append(f"{text}, such as '{example}'")
        return tuple(notes)

    def explain_missing(self, example: str) -> str:
        """Return what to do if no path exists; one of them is the example."""
        if not _is_absolute(example):
            for folder in self._other_folders(PurePosixPath(example)):
                if self._exists(posixpath.join(folder, example)):
                    return f"They start in another folder: pass --images {folder}"
            parent, last = posixpath.split(example)
            for names in self._list(parent).values():
                if posixpath.splitext(names[0])[0] in (last, posixpath.splitext(last)[0]):
                    return f"There is '{posixpath.join(parent, names[0])}': write paths like this"
            return (
                f"Paths are relative to {self._folder}, with '/' between folders; name another "
                "folder with --images FOLDER"
            )
        if not self._moved and (tail := self._tail(example)):
            return (
                f"There is '{tail}' in {self._folder}: if the images were moved there, pass "
                f"--images {self._folder}"
            )
        ending = _join(_parts(example)[-2:])
        return (
            f"Absolute paths must exist on this computer{', or end below --images' * self._moved}. "
            f"If the images were moved, name the folder that contains '{ending}' with --images"
        )

    def _other_folders(self, path: PurePosixPath) -> Iterator[str]:
        """Yield folders that a relative path may start from instead."""
        for n in range(1, len(path.parts)):
            if path.parts[:n] == self._folder.parts[-n:]:
                yield str(self._folder.parents[n - 1])
        with contextlib.suppress(OSError):
            yield from sorted(str(path) for path in self._folder.iterdir() if path.is_dir())

    def _normalise(self, path: str) -> str:
        """Return a path with ``/``, relative to the folder if it is below it."""
        if not path.startswith("/") and ".." not in path and os.sep == "/":
            return posixpath.normpath(path)
        written = os.path.join(self._folder, path)  # noqa: PTH118
        absolute = os.path.normpath(written)
        # After a symbolic link, ".." leads to another folder than the text suggests.
        if ".." in PurePath(path).parts and _differ(written, absolute):
            return PurePath(path).as_posix()
        parent, name = os.path.split(absolute)
        # The second comparison is for a folder that is reached through symbolic links.
        for above, below in ((self._folder, parent), (self._resolved, self._real(parent))):
            if Path(below).is_relative_to(above):
                return (Path(below).relative_to(above) / name).as_posix()
        # POSIX keeps two slashes at the beginning, which no system of today reads as a host.
        path = re.sub("^//", "/", path) if os.sep == "/" else path
        return PurePath(os.path.normpath(path)).as_posix()

    def _search(self, path: str, name: str, place: str) -> tuple[str, str]:
        """Return the normalised path and the source of a path that does not exist as written."""
        if source := self._respell(name, place):
            return name, source
        if _is_absolute(path):
            tail = self._tail(path) if self._moved else None
            if tail and (source := self._respell(tail, place)):
                self._count("moved", source)
                return tail, source
        elif "\\" in path:
            other = self._normalise(path.replace("\\", "/"))
            if source := self._respell(other, place):
                self._count("'\\' for '/'", source)
                return other, source
        return name, name

    def _respell(self, name: str, place: str) -> str | None:
        """Return the file with this name, as it is spelled on the disk; None if there is none."""
        if self._stat(name):
            return name
        parent, last = posixpath.split(name)
        folder = self._respell_folder(parent)
        matches = [] if folder is None else self._list(folder).get(_key(last), [])
        if not matches or folder is None:
            return None
        if len(matches) > 1:
            raise DataError(
                f"{place}: there is no file '{name}', but {matches[0]!a} and "
                f"{matches[1]!a}; write the name of one of them"
            )
        source = posixpath.join(folder, matches[0])
        self.n_respelled += 1
        if _fold_suffix(source) != _fold_suffix(name):
            self._count("the Unicode form of letters like 'ü'", source)
        if _nfc(source) != _nfc(name):
            self._count("the letter case of the suffix", source)
        return source

    def _find_folder(self, name: str) -> str | None:
        """Return the folder with this name, as it is spelled on the disk; None if none is."""
        parent, last = posixpath.split(name)
        if self._stat(name) or parent == name:
            return name
        above = self._respell_folder(parent)
        if above is None:
            return None
        matches = [n for n in self._list(above).get(_key(last), []) if _nfc(n) == _nfc(last)]
        return posixpath.join(above, matches[0]) if len(matches) == 1 else None

    def _list_names(self, folder: str) -> dict[str, list[str]]:
        """Return the names in a folder by the key that all spellings of a name share."""
        names: dict[str, list[str]] = {}
        with contextlib.suppress(OSError):
            for path in sorted((self._folder / folder).iterdir()):
                names.setdefault(_key(path.name), []).append(path.name)
        return names

    def _tail(self, path: str) -> str | None:
        """Return the part of an absolute path that may exist below the folder."""
        parts, dropped = _parts(path), self._dropped or ()
        is_moved = dropped and parts[: len(dropped)] == dropped
        return _join(parts[len(dropped) :]) if is_moved else None

    @functools.cached_property
    def _dropped(self) -> tuple[str, ...] | None:
        """The beginning of absolute paths without which most of them exist below the folder.

        It is the same for all paths, so that two files of one name are not mistaken for each
        other; the shortest one, so that as many folders as possible agree.
        """
        shared: tuple[str, ...] | None = None
        examples: list[tuple[str, ...]] = []
        for path in self._every_path():
            if not _is_absolute(path) or self._stat(self._normalise(path)):
                continue
            parts = _parts(path)
            shared = parts[:-1] if shared is None else _common_parts(shared, parts)
            if len(examples) < _N_EXAMPLES:
                examples.append(parts)
        counts = {
            n: sum(self._exists(_join(parts[n:])) for parts in examples)
            for n in range(1, len(shared or ()) + 1)
        }
        best = max(counts, key=lambda n: counts[n], default=0)
        return shared[:best] if shared and counts[best] else None

    def _beginning(self) -> str:
        dropped = self._dropped or ("/",)
        return str((PurePosixPath if dropped[0] == "/" else PureWindowsPath)(*dropped))

    def _exists(self, name: str) -> bool:
        if self._stat(name):
            return True
        parent, last = posixpath.split(name)
        folder = self._respell_folder(parent)
        return folder is not None and _key(last) in self._list(folder)

    def _stat(self, source: str) -> os.stat_result | None:
        try:
            return os.stat(os.path.join(self._folder, source))  # noqa: PTH116, PTH118
        except (OSError, ValueError):  # The name is too long, or contains a NUL.
            return None

    def _note_outside(self, source: str) -> None:
        path = os.path.join(self._folder, source)  # noqa: PTH118
        is_link = os.path.islink(path)  # noqa: PTH114
        folder = os.path.dirname(os.path.realpath(path) if is_link else path)  # noqa: PTH120
        real = self._real(folder)
        if not self._is_inside(real):
            self._count("outside", source)
            self._common = _common_folder(self._common or real, real)

    def _count(self, kind: str, source: str) -> None:
        n, example = self._counts.get(kind, (0, source))
        self._counts[kind] = n + 1, example


def _is_absolute(path: str) -> bool:
    # pathlib would keep the name of every missing image in a table of Python that never shrinks.
    drive, rest = ntpath.splitdrive(path)
    return bool(drive) or rest.startswith(("/", "\\"))


def _parts(path: str) -> tuple[str, ...]:
    return (PurePosixPath if path.startswith("/") else PureWindowsPath)(path).parts


def _join(parts: tuple[str, ...]) -> str:
    return "/".join(part.rstrip("/\\") for part in parts)


def _common_parts(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    alike = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return tuple(part for part, _ in alike)


def _common_folder(one: str, other: str) -> str:
    try:
        return os.path.commonpath((one, other))
    except ValueError:  # Two drives of Windows.
        return os.sep


def _differ(one: str, other: str) -> bool:
    try:
        return not os.path.samefile(one, other)  # noqa: PTH121
    except (OSError, ValueError):
        return False


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _fold_suffix(name: str) -> str:
    stem, suffix = posixpath.splitext(name)
    return stem + suffix.casefold() if suffix.casefold() in IMAGE_SUFFIXES else name


def _key(name: str) -> str:
    return _nfc(_fold_suffix(name))
