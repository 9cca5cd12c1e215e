"""A thread that writes to the disk while the network computes."""

from __future__ import annotations

import collections
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from bottleneck.features.timing import Clock

__all__ = ["WriteQueue"]


class WriteQueue:
    """A thread that writes finished batches while the network computes the next ones.

    Parameters
    ----------
    clock : Clock
        Counts the time.
    depth : int
        Calls that may wait.
    """

    def __init__(self, clock: Clock, depth: int) -> None:
        self._clock, self._depth = clock, depth
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._pending: collections.deque[Future[None]] = collections.deque()
        self._failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, write: Callable[..., None], *arguments: object) -> None:
        """Queue a call; wait while too many are queued, and raise what went wrong in them."""
        self._pending.append(self._pool.submit(self._write, write, *arguments))
        while len(self._pending) > self._depth:
            self._pending.popleft().result()

    def _write(self, write: Callable[..., None], *arguments: object) -> None:
        # What follows a batch that could not be written cannot be either.
        if self._failed:
            return
        try:
            with self._clock.stage("write"):
                write(*arguments)
        except BaseException:
            self._failed = True
            raise

    def finish(self) -> None:
        """Wait until all is written."""
        while self._pending:
            self._pending.popleft().result()

    def close(self) -> None:
        """End the thread, after what is queued."""
        self._pool.shutdown()
