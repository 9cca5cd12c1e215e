"""Locks against other runs that write the same files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from bottleneck.errors import FeatureFileError

__all__ = ["lock"]


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Keep other extractions from writing a feature file while the block runs.

    Raises
    ------
    FeatureFileError
        If another extraction holds the lock, or the file system has no locks.
    """
    try:
        held = filelock.FileLock(path.with_name(f".{path.name}.lock")).acquire(timeout=0)
    except filelock.Timeout:
        raise FeatureFileError(
            f"{path} is being written by another extraction; wait for it, or choose another "
            "--output"
        ) from None
    # NotImplementedError where the file system has no locks at all.
    except (OSError, NotImplementedError) as error:
        raise FeatureFileError(
            f"{path} cannot be locked against other extractions: "
            f"{getattr(error, 'strerror', None) or error}; choose an --output on a file system "
            "that has locks"
        ) from None
    with held:
        yield
