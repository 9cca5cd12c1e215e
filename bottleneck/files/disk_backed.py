"""Arrays and dicts on the disk, for data that grow with the number of images.

They are unnamed temporary files, which disappear when the process ends, however it ends. Small ones
never reach the disk.
"""

from __future__ import annotations

import sqlite3
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from bottleneck.errors import UsageError

__all__ = ["Database", "DiskArray", "DiskDict"]

V = TypeVar("V", int, str)

_BLOCK = 4096


class _Explained:
    """Explains errors of a full disk. A class, because it is entered for every image."""

    def __init__(self, error: type[Exception]) -> None:
        self._error = error

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, cause: BaseException | None, __: object) -> None:
        if isinstance(cause, self._error):
            raise UsageError(
                f"the folder for temporary files cannot be used ({cause}). A million images need "
                "about half a gigabyte there: choose another folder with the environment variable "
                "TMPDIR"
            ) from None


_DATABASE, _FILE = _Explained(sqlite3.OperationalError), _Explained(OSError)


class Database:
    """A temporary SQLite database that threads can share.

    Pages beyond a cache of 2 MB are on the disk. It must not be used after a fork.

    Parameters
    ----------
    schema : str
        SQL that creates its tables.

    Raises
    ------
    UsageError
        If the folder for temporary files cannot be written, or is full; so do the methods.
    """

    def __init__(self, schema: str) -> None:
        self._lock = threading.Lock()
        with _DATABASE:
            # Without a name, it is a temporary file of SQLite. Without a journal, it cannot be
            # rolled back, but a long insertion takes no memory.
            self._connection = sqlite3.connect("", check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = OFF")
            self._connection.executescript(schema)
        weakref.finalize(self, self._connection.close)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with self._lock, _DATABASE:
            return self._connection.execute(query, values).fetchall()

    def define(self, name: str, function: Callable[[str], str]) -> None:
        """Define a function of one text that queries can call."""
        with self._lock, _DATABASE:
            self._connection.create_function(name, 1, function, deterministic=True)

    def insert(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Execute a statement for each of many rows; errors of the iterable are passed on."""
        with self._lock, _DATABASE:
            self._connection.execute("BEGIN")
            self._connection.executemany(statement, rows)
            self._connection.execute("COMMIT")


class DiskDict(Mapping[str, V]):
    """A dict from text to text or numbers, kept on the disk.

    Parameters
    ----------
    items : iterable of (str, value)
        The first items.
    """

    def __init__(self, items: Iterable[tuple[str, V]] = ()) -> None:
        self._data = Database("CREATE TABLE items (key TEXT PRIMARY KEY, value) WITHOUT ROWID")
        self.add(items)

    def add(self, items: Iterable[tuple[str, V]]) -> None:
        """Set many items; the last value of a key counts."""
        self._data.insert("INSERT OR REPLACE INTO items VALUES (?, ?)", items)

    def __getitem__(self, key: str) -> V:
        rows = self._data.rows("SELECT value FROM items WHERE key = ?", key)
        if not rows:
            raise KeyError(key)
        return rows[0][0]

    def __contains__(self, key: object) -> bool:
        return bool(self._data.rows("SELECT 1 FROM items WHERE key = ?", key))

    def __iter__(self) -> Iterator[str]:
        last = ""
        while keys := self._data.rows(
            "SELECT key FROM items WHERE key > ? ORDER BY key LIMIT ?", last, _BLOCK
        ):
            yield from (key for (key,) in keys)
            last = keys[-1][0]

    def __len__(self) -> int:
        return self._data.rows("SELECT COUNT(*) FROM items")[0][0]


class DiskArray:
    """An array of one dimension on the disk, which is read and written in slices.

    Parameters
    ----------
    n : int
        Its length; the elements are zero at first.
    dtype : data type
        Type of its elements.
    """

    def __init__(self, n: int, dtype: DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self._n = n
        with _FILE:
            # Open as long as the array exists. Unbuffered: each seek would discard the buffer.
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            weakref.finalize(self, self._file.close)
            self._file.truncate(n * self.dtype.itemsize)

    def __len__(self) -> int:
        return self._n

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return the elements from ``start`` up to ``stop``, or the end."""
        size = self.dtype.itemsize
        with _FILE:
            self._file.seek(start * size)
            return np.frombuffer(self._file.read((stop - start) * size), self.dtype)

    def write(self, start: int, values: ArrayLike) -> None:
        """Set the elements from ``start`` on."""
        with _FILE:
            self._file.seek(start * self.dtype.itemsize)
            data = np.asarray(values, self.dtype).tobytes()
            while data:
                data = data[self._file.write(data) :]
