"""Worker processes: they leave signals to their parent, and end with it, however it ends.

What a kernel promises differs. Linux kills a process whose parent has ended, but takes the thread
that started it for its parent. So this is asked for only where that thread stays, and every worker
also has a thread of its own that waits for the end of the parent.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from bottleneck.errors import UsageError
from bottleneck.files.temporary import note_semaphores, own_folder

__all__ = ["end_with", "enter", "joblib_options", "joblib_workers", "started", "without_signals"]

T = TypeVar("T")

# What ends a command; the parent handles it for its workers.
_SIGNALS = [
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
_PR_SET_PDEATHSIG = 1


def enter(parent: int, folder: Path, *, thread_stays: bool = False, sigterm: bool = False) -> None:
    """Prepare a worker process, which runs this first.

    Parameters
    ----------
    parent : int
        Id of the process that started it.
    folder : Path
        Folder of the parent's temporary files.
    thread_stays : bool
        Whether the thread that started it lives longer than the worker.
    sigterm : bool
        Whether SIGTERM does what it did: the parent may send it.
    """
    for number in _SIGNALS:
        if number != signal.SIGTERM or not sigterm:
            signal.signal(number, signal.SIG_IGN)
    note_semaphores(folder)
    end_with(parent, thread_stays=thread_stays)


def end_with(parent: int, *, thread_stays: bool = False) -> None:
    """Let this process be killed when another one has ended; parameters as for ``enter``."""
    started_by = os.getppid()  # Another process where a fork server starts the workers.
    if thread_stays and started_by == parent:
        # Absent outside of Linux.
        with contextlib.suppress(ImportError, OSError, AttributeError):
            import ctypes

            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    handle = None
    try:
        handle = os.pidfd_open(parent)
    except ProcessLookupError:  # It has ended already.
        os._exit(1)
    except (AttributeError, OSError):  # Absent outside of Linux.
        pass
    if os.getppid() != started_by:
        os._exit(1)
    threading.Thread(target=_watch, args=(started_by, handle), daemon=True).start()


def _watch(started_by: int, handle: int | None) -> None:
    if handle is not None:
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        waiting.poll()
        os._exit(1)
    while os.getppid() == started_by:
        time.sleep(1)
    os._exit(1)


@contextlib.contextmanager
def without_signals() -> Iterator[None]:
    """Keep signals from a process that is started here: it inherits what this thread blocks."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows.
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def started(start: Callable[[], T]) -> T:
    """Start a process in a thread that stays to the end, without signals; return the result."""

    def run() -> T:
        with without_signals():
            return start()

    return _starter(os.getpid()).submit(run).result()


@cache
def _starter(pid: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "starter")  # A process that is forked off needs its own.


def joblib_options(n_jobs: int | None) -> dict[str, Any]:
    """Return arguments of ``joblib.Parallel`` for worker processes that end with this one.

    Parameters
    ----------
    n_jobs : int or None
        Number of processes, as in joblib.

    Returns
    -------
    dict
        Empty where nothing runs in processes of this machine.
    """
    import joblib
    from joblib.parallel import BACKENDS, get_active_backend

    backend, _ = get_active_backend()
    if not isinstance(backend, BACKENDS["loky"]) or joblib.effective_n_jobs(n_jobs) == 1:
        return {}
    from joblib.externals.loky.backend import resource_tracker

    # The process that cleans up after the workers must survive a terminal that closes.
    started(resource_tracker.ensure_running)
    folder = own_folder()
    # Arrays that the workers share are files there, and not in shared memory.
    return {"initializer": enter, "initargs": (os.getpid(), folder), "temp_folder": str(folder)}


@contextlib.contextmanager
def joblib_workers() -> Iterator[None]:
    """Explain why joblib's worker processes cannot do the work of the block.

    Raises
    ------
    UsageError
        If one was killed, or the folder for temporary files cannot be used.
    """
    from pickle import PicklingError

    from joblib.externals.loky import BrokenProcessPool

    try:
        yield
    except BrokenProcessPool:
        raise UsageError(
            "the system killed a worker process, as it does when the memory is full: repeat the "
            "command with fewer --jobs"
        ) from None
    except PicklingError as error:
        if "[Errno " not in str(error.__cause__):  # The text of its traceback.
            raise
        raise UsageError(
            "the features cannot be handed to worker processes: the folder for temporary files "
            "is full or cannot be written; choose another with the environment variable TMPDIR, "
            "or use --jobs 1"
        ) from None
