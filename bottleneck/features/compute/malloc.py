"""What the C library does with the memory that a batch gives back."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator

__all__ = ["kept_memory"]

# Numbers of mallopt, as glibc's malloc.h has them, and the variables that set the same.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_VARIABLES = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_"}
# A thread's memory grows in heaps of this size at most, and one that is empty is given back
# unless the padding is as large.
_HEAP = 67_108_864
# Blocks of up to this size glibc comes to take from there by itself, as it sees them freed; a
# larger limit its older versions refuse.
_FOUND = _HEAP // 2
# From so much on at its end is a process's first heap cut off: never, here.
_ALL = 2**30
_PADDING = 131_072


@contextlib.contextmanager
def kept_memory() -> Iterator[None]:
    """Have what one batch frees kept for the next, where the C library is glibc.

    It maps large blocks anew, or the heap that they come from, and gives both back when they are
    free, so that every feature map of every batch is made of pages that the kernel has to find
    and clear: of the processor's time, a twentieth for Inception-v3 and an eighth for VGG-16. At
    the end all that is free is given back. What the environment sets of the same is left as it
    is. The settings are the process's; of two that overlap, the first to end ends them for both.
    """
    library = _glibc()
    if library is None or _is_set_outside():
        yield
        return
    try:
        if not library.mallopt(_MMAP_THRESHOLD, _HEAP):
            library.mallopt(_MMAP_THRESHOLD, _FOUND)
        library.mallopt(_TRIM_THRESHOLD, _ALL)
        library.mallopt(_TOP_PAD, _HEAP)
        yield
    finally:
        # What was before cannot be asked. This is where glibc itself ends after such blocks.
        library.mallopt(_MMAP_THRESHOLD, _FOUND)
        library.mallopt(_TRIM_THRESHOLD, 2 * _FOUND)
        library.mallopt(_TOP_PAD, _PADDING)
        library.malloc_trim(0)


def _is_set_outside() -> bool:
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return "glibc.malloc." in tunables or bool(_VARIABLES & os.environ.keys())


def _glibc() -> ctypes.CDLL | None:
    try:
        os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, OSError, ValueError):  # Windows, musl, macOS.
        return None
    return ctypes.CDLL(None)
