"""Ctrl-C that ends a command, wherever it hits it."""

from __future__ import annotations

import _thread
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

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
    came, lost = threading.Event(), []

    def handle(*args: Any) -> None:
        came.set()
        signal.default_int_handler(*args)

    def hook(ignored: UnraisableHookArgs, /) -> None:
        if issubclass(ignored.exc_type, KeyboardInterrupt):
            # Not at once: raised in here, it would be lost as well.
            timer = threading.Timer(_AGAIN, _interrupt)
            timer.daemon = True
            lost.append(timer)
            timer.start()
        elif not came.is_set():
            before(ignored)

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
        if came.is_set():
            raise KeyboardInterrupt from None
        raise
    else:
        if came.is_set():
            raise KeyboardInterrupt
    finally:
        for timer in lost:
            timer.cancel()
        sys.unraisablehook = before
        if handled:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt() -> None:
    if hasattr(signal, "pthread_kill"):  # Wakes a thread that waits, too.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()
