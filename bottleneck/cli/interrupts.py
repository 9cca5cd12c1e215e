"""Ctrl-C ends a command reliably, at whatever point it arrives."""

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
_RETRY_DELAY = 0.01


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Make Ctrl-C end the block with KeyboardInterrupt, and with no other exception.

    Python raises KeyboardInterrupt between any two steps of the main thread. If this happens
    inside ``__del__`` or the callback of a weak reference (h5py creates one for every object of
    a file), Python prints the exception and continues; this context manager then raises it again
    a moment later. If it happens inside a lock of the standard library or a read function that
    HDF5 calls, Python may raise another exception instead; this context manager replaces it.

    Raises
    ------
    KeyboardInterrupt
        In the block, or at its end.
    """
    # Plain variables and no Event: a signal may arrive while its handler holds an Event's lock.
    interrupted = over = False

    def handle(signum: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        while frame is not None:
            if frame.f_code is hook.__code__:  # An exception raised in the hook would be lost too.
                _thread.start_new_thread(retry, ())
                return
            frame = frame.f_back
        signal.default_int_handler(signum, frame)

    def hook(ignored: UnraisableHookArgs, /) -> None:
        if issubclass(ignored.exc_type, KeyboardInterrupt):
            _thread.start_new_thread(retry, ())
        elif not interrupted:
            previous_hook(ignored)

    def retry() -> None:
        time.sleep(_RETRY_DELAY)
        if not over:
            _interrupt()

    previous_hook = sys.unraisablehook
    # Only the main thread can set handlers. Where Ctrl-C is ignored (nohup), it stays ignored.
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
        if interrupted:
            raise KeyboardInterrupt from None
        raise
    else:
        if interrupted:
            raise KeyboardInterrupt
    finally:
        over = True
        sys.unraisablehook = previous_hook
        if handled:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt() -> None:
    if hasattr(signal, "pthread_kill"):  # This also wakes a waiting thread.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()
