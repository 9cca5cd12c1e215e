"""Ctrl-C that ends a command, wherever it hits it."""

from __future__ import annotations

import _thread
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from types import FrameType

# In seconds: long enough for a callback to end, too short to be noticed.
_AGAIN = 0.01


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end the block by KeyboardInterrupt, and by nothing else.

    Python raises it between any two steps of the main thread. Inside ``__del__`` or the callback
    of a weak reference, of which h5py makes one for every object of a file, it is printed and
    forgotten: here it comes again a moment later. Inside a lock of the standard library, or what
    HDF5 calls to read a file, another exception takes its place: here it does not.

    Raises
    ------
    KeyboardInterrupt
        In the block, or at its end.
    """
    # Names and no Event: a signal may come while its own handler holds the lock of one.
    came = over = False

    def handle(signum: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        while frame is not None:
            if frame.f_code is hook.__code__:  # Raised in there, it would be lost as well.
                _thread.start_new_thread(again, ())
                return
            frame = frame.f_back
        signal.default_int_handler(signum, frame)

    def hook(ignored: UnraisableHookArgs, /) -> None:
        if issubclass(ignored.exc_type, KeyboardInterrupt):
            _thread.start_new_thread(again, ())
        elif not came:
            before(ignored)

    def again() -> None:
        time.sleep(_AGAIN)
        if not over:
            _interrupt()

    before = sys.unraisablehook
    # Only the main thread can, and who ignores Ctrl-C (nohup) goes on ignoring it.
    handled = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if handled:
        signal.signal(signal.SIGINT, handle)
    sys.unraisablehook = hook
    try:
        yield
    except Exception:
        if came:
            raise KeyboardInterrupt from None
        raise
    else:
        if came:
            raise KeyboardInterrupt
    finally:
        over = True
        sys.unraisablehook = before
        if handled:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt() -> None:
    if hasattr(signal, "pthread_kill"):  # Wakes a thread that waits, too.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()
