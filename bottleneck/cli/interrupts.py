"""Ctrl-C that no callback can swallow."""

from __future__ import annotations

import _thread
import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

# In seconds: long enough for the callback to end, too short to be noticed.
_AGAIN = 0.01


@contextlib.contextmanager
def not_lost() -> Iterator[None]:
    """Raise the interrupts that Python would only print.

    Ctrl-C is raised wherever the main thread happens to be. Inside ``__del__`` or the callback
    of a weak reference, of which h5py makes one for every object of a file, Python prints the
    exception and goes on as if nobody had pressed a key. Here it comes again a moment later.

    Raises
    ------
    KeyboardInterrupt
        In the block, or at its end.
    """
    again: list[threading.Timer] = []
    before = sys.unraisablehook

    def hook(lost: UnraisableHookArgs, /) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            before(lost)
            return
        # Not at once: raised in here, it would be lost as well.
        timer = threading.Timer(_AGAIN, _thread.interrupt_main)
        timer.daemon = True
        again.append(timer)
        timer.start()

    sys.unraisablehook = hook
    try:
        yield
        if any(timer.is_alive() for timer in again):
            raise KeyboardInterrupt
    finally:
        sys.unraisablehook = before
        for timer in again:
            timer.cancel()
