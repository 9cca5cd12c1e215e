"""A program that ends the processes of a local Ray cluster: ``python -P cluster_guard.py FOLDER``.

It waits until its standard input is closed, which happens when the process that started it ends,
however it ends. Then it kills the user's processes that write to a file in FOLDER, as all
processes of the cluster do. By itself Ray ends most of them at once, but some after a minute.
Linux only: it reads ``/proc``. It imports nothing else of the package.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import time
from pathlib import Path

# A process may be starting another one.
_ROUNDS, _PAUSE = 3, 0.1


def find_writers(folder: Path) -> list[int]:
    """Return the ids of this user's processes that have a file in a folder open for writing."""
    processes = [each for each in Path("/proc").iterdir() if each.name.isdecimal()]
    return [int(each.name) for each in processes if _writes(each, folder)]


def _writes(process: Path, folder: Path) -> bool:
    with contextlib.suppress(OSError):  # It has ended, or belongs to somebody else.
        if process.stat().st_uid != os.getuid():
            return False
        for opened in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                if opened.lstat().st_mode & stat.S_IWUSR and folder in opened.readlink().parents:
                    return True
    return False


def main() -> None:
    """Wait, and kill."""
    started_by = os.getppid()  # It may live on, and has its own log open.
    sys.stdin.buffer.read()
    for _ in range(_ROUNDS):
        for process in find_writers(Path(sys.argv[1])):
            if process != started_by:
                with contextlib.suppress(OSError):
                    os.kill(process, signal.SIGKILL)
        time.sleep(_PAUSE)


if __name__ == "__main__":
    main()
