"""The patches of all samples of a training, in one temporary file."""

from __future__ import annotations

import os
import tempfile
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import UsageError, describe_os_error
from bottleneck.files.temporary import own_folder

__all__ = ["PatchStore"]


class PatchStore:
    """Patches of one shape in a temporary file, which all processes of a training read.

    A training takes every patch once in each epoch, and a compressed volume can only be read whole.
    Each volume is therefore opened once, before the first epoch. The file is removed when the store
    is no longer used, and when the process ends.

    Parameters
    ----------
    shape : tuple of int
        Shape of a patch.

    Raises
    ------
    UsageError
        If the folder for temporary files cannot be written, or is full; so does ``append``.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._n = 0
        try:
            handle, name = tempfile.mkstemp(prefix="patches-", dir=own_folder())
        except OSError as error:
            raise self._explain(error) from None
        os.close(handle)
        self._path = Path(name)
        weakref.finalize(self, _remove, os.getpid(), self._path)

    def __len__(self) -> int:
        return self._n

    @property
    def _n_values(self) -> int:
        return int(np.prod(self._shape))

    def append(self, patch: NDArray[np.float32]) -> None:
        """Add a patch."""
        try:
            with self._path.open("ab") as file:
                file.write(np.ascontiguousarray(patch, np.float32).data)
        except OSError as error:
            raise self._explain(error) from None
        self._n += 1

    def read(self, number: int) -> NDArray[np.float32]:
        """Return a patch, by its place in the order of ``append``."""
        start = number * self._n_values * np.dtype(np.float32).itemsize
        values = np.fromfile(self._path, np.float32, self._n_values, offset=start)
        return values.reshape(self._shape)

    def _explain(self, error: OSError) -> UsageError:
        size = 4 * self._n_values / 1e6
        return UsageError(
            f"the folder for temporary files cannot be used ({describe_os_error(error)}). "
            f"Training keeps its patches there, {size:.3g} MB for each sample: choose another "
            "folder with the environment variable TMPDIR"
        )


def _remove(pid: int, path: Path) -> None:
    # Processes that are forked off have copies of the store.
    if os.getpid() == pid:
        path.unlink(missing_ok=True)
