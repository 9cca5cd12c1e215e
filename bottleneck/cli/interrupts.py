"""Ctrl-C, SIGTERM and SIGHUP end a command reliably, at whatever point they arrive."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from types import FrameType

__all__ = ["Interrupted", "describe", "end_at_once", "interruptible"]

# In seconds: long enough for a callback to end, too short to be noticed.
_RETRY_DELAY = 0.01
# In seconds. timeout(1) signals the process and then its group, and a terminal that closes sends
# SIGHUP twice: that must not interrupt the cleaning up after the first.
_DOUBLED = 1.0
# Windows has no SIGHUP.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_SIGNALS = [signal.Signals[name] for name in _NAMES if hasattr(signal, name)]


class Interrupted(KeyboardInterrupt):
    """A signal ended the command.

    Parameters
    ----------
    number : int
        Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def describe(number: int) -> str:
    """Return the message of a command that a signal ended."""
    if number == signal.SIGINT:
        return "interrupted."
    return f"ended by {signal.Signals(number).name}."


def end_at_once(*, silently: bool = False) -> None:
    """Let each signal end the process at once: there is nothing to keep yet, or no longer.

    Parameters
    ----------
    silently : bool
        Whether to print nothing.
    """

    def exit_now(signum: int, frame: FrameType | None) -> None:
        if not silently:
            with contextlib.suppress(OSError):
                os.write(2, f"{describe(signum)}\n".encode())
        os._exit(128 + signum)

    # Functions have no such attribute for mypy.
    exit_now.ends_at_once = True  # type: ignore[attr-defined]
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, exit_now)


def _is_ours(number: int) -> bool:
    # Where a signal is ignored (SIGHUP under nohup, Ctrl-C in the background), it stays ignored.
    handler = signal.getsignal(number)
    plain = handler in (signal.SIG_DFL, signal.default_int_handler)
    return plain or hasattr(handler, "ends_at_once")


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Make Ctrl-C, SIGTERM and SIGHUP end the block with Interrupted, and no other exception.

    Python raises KeyboardInterrupt between any two steps of the main thread. If this happens
    inside ``__del__`` or the callback of a weak reference (h5py creates one for every object of
    a file), Python prints the exception and continues; this context manager then raises it again
    a moment later. If it happens inside a lock of the standard library or a read function that
    HDF5 calls, Python may raise another exception instead; this context manager replaces it.

    Raises
    ------
    Interrupted
        In the block, or at its end; its number is that of the first signal.
    """
    # Plain variables and no Event: a signal may arrive while its handler holds an Event's lock.
    first, last, over, again = 0, 0.0, False, False

    def handle(signum: int, frame: FrameType | None) -> None:
        nonlocal first, last, again
        now = time.monotonic()
        doubled = first and not again and signum != signal.SIGINT and now - last < _DOUBLED
        first, last, again = first or signum, now, False
        if doubled:
            return
        while frame is not None:
            if frame.f_code is hook.__code__:  # An exception raised in the hook would be lost too.
                _thread.start_new_thread(retry, ())
                return
            frame = frame.f_back
        raise KeyboardInterrupt

    def hook(ignored: UnraisableHookArgs, /) -> None:
        if issubclass(ignored.exc_type, KeyboardInterrupt):
            _thread.start_new_thread(retry, ())
        elif not first:
            previous_hook(ignored)

    def retry() -> None:
        nonlocal again
        time.sleep(_RETRY_DELAY)
        if not over:
            again = True
            _send(first or signal.SIGINT)

    previous_hook = sys.unraisablehook
    # Only the main thread can set handlers.
    in_main = threading.current_thread() is threading.main_thread()
    previous = {n: signal.getsignal(n) for n in _SIGNALS if in_main and _is_ours(n)}
    try:
        sys.unraisablehook = hook
        for number in previous:
            signal.signal(number, handle)
        yield
    except BaseException as error:
        if first or isinstance(error, KeyboardInterrupt):
            end = Interrupted(first or signal.SIGINT)
            for note in getattr(error, "__notes__", ()):
                end.add_note(note)
            raise end from None
        raise
    else:
        if first:
            raise Interrupted(first)
    finally:
        over = True
        sys.unraisablehook = previous_hook
        for number, handler in previous.items():
            signal.signal(number, handler)


def _send(number: int) -> None:
    if hasattr(signal, "pthread_kill"):  # This also wakes a waiting thread.
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        _thread.interrupt_main(signal.Signals(number))
