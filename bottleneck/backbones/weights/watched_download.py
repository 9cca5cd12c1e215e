"""A download that ends: with its file, or with an error when nothing more comes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from bottleneck.backbones.weights.hub_errors import HubError

__all__ = ["watched"]

T = TypeVar("T")

# The client itself only limits the time between two packets, and so a server that sends a byte
# every few seconds could hold it forever.
STALL_SECONDS = 120.0
_CHUNK = 1 << 18
_SPARE = 64 << 20


class _Watch:
    """How far a download is, and when it last came further."""

    def __init__(self, size: int | None, limit: int) -> None:
        self.bound = min(limit, 2 * size + _SPARE) if size is not None else limit
        self.last = time.monotonic()
        self.stopped = False
        self.sizes: dict[str, int] = {}

    def look(self, folder: Path | None) -> None:
        """Notice that another process comes further, for which the client waits."""
        for path in folder.glob("*.incomplete") if folder else ():
            with suppress(OSError):
                size = path.stat().st_size
                if size > self.sizes.get(path.name, 0):
                    self.sizes[path.name], self.last = size, time.monotonic()

    def bar(self) -> type:
        """Return a class for the client's progress bar, which reports to this watch."""
        # The library does not list it as exported.
        from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

        watch = self

        class Bar(tqdm):
            position = peak = 0.0

            def update(self, n: float | None = 1) -> bool | None:
                self.position += n or 0
                if self.position > self.peak:
                    self.peak, watch.last = self.position, time.monotonic()
                if watch.stopped or self.peak > watch.bound:
                    raise HubError("the server sends more than the file has: it is not used")
                return super().update(n)

        return Bar


def watched(
    work: Callable[[type], T],
    size: int | None = None,
    limit: int = 0,
    folder: Path | None = None,
) -> T:
    """Return what a download returns; raise ``HubError`` when it makes no progress.

    Parameters
    ----------
    work : callable
        Takes a class of progress bars, and downloads.
    size : int, optional
        The size of the file in bytes, if it is known.
    limit : int
        The most bytes that may come.
    folder : Path, optional
        Where other processes may write the same file, for which the client waits.

    Raises
    ------
    HubError
        If fewer than 256 KiB came in two minutes, or more than the file has.
    """
    from huggingface_hub import close_session

    watch = _Watch(size, limit)
    results: list[T] = []
    errors: list[BaseException] = []

    # Not Thread.join: interrupted by Ctrl-C, it takes the thread for finished.
    finished = threading.Event()

    def run() -> None:
        try:
            results.append(work(watch.bar()))
        except BaseException as error:  # noqa: BLE001  # Raised in the thread that waits.
            errors.append(error)
        finally:
            finished.set()

    with _quiet_client():
        threading.Thread(target=run, name="download", daemon=True).start()
        try:
            while not finished.wait(0.2):
                watch.look(folder)
                if time.monotonic() - watch.last > STALL_SECONDS:
                    raise HubError(
                        f"the download made no progress in {STALL_SECONDS:.0f} seconds, and "
                        "nothing of it is kept: repeat the command later"
                    )
        finally:
            if not finished.is_set():  # Ctrl-C, or no progress: the thread removes what it wrote.
                watch.stopped = True
                with suppress(Exception):
                    close_session()
                if not finished.wait(2) and folder:
                    _remove_own(folder)
    if errors:
        raise errors[0]
    return results[0]


def _remove_own(folder: Path) -> None:
    """Remove the unfinished file that this process has open, where the system tells it."""
    with suppress(OSError):
        for link in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                path = link.readlink()
                if path.suffix == ".incomplete" and path.parent == folder.resolve():
                    path.unlink()


@contextmanager
def _quiet_client() -> Iterator[None]:
    """Let the client read in small pieces, and keep its warnings: they show signed addresses."""
    from huggingface_hub import constants
    from huggingface_hub.utils import logging as client

    before: dict[str, Any] = {"level": client.get_verbosity()}
    chunk = getattr(constants, "DOWNLOAD_CHUNK_SIZE", _CHUNK)
    if before["level"] == logging.WARNING:
        client.set_verbosity_error()
    constants.DOWNLOAD_CHUNK_SIZE = min(chunk, _CHUNK)
    try:
        yield
    finally:
        constants.DOWNLOAD_CHUNK_SIZE = chunk
        client.set_verbosity(before["level"])
