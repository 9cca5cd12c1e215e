"""The process in which a step of a study runs."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from typing import BinaryIO

from bottleneck.errors import BottleneckError

__all__ = ["CANCELLED", "DEFECT", "ENDED", "FAILED", "MOVED", "work"]

#: What a message says: how far the step is, its result, its error, that it was cancelled, or an
#: error that is none of ours.
MOVED, ENDED, FAILED, CANCELLED, DEFECT = "moved", "ended", "failed", "cancelled", "defect"

# In seconds: the time to write what is finished, and the shortest between two steps that are told.
_GRACE, _PAUSE = 10.0, 0.1


def work() -> None:
    """Run the step that the standard input names, and answer on the standard output.

    The step is cancelled when the standard input is closed, which also happens when the process
    that started this one has ended.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # What libraries print must not be taken for an answer.
    # A terminal's Ctrl-C is for the app. A shell may have let its children ignore the signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        name, choice = pickle.load(sys.stdin.buffer)
        threading.Thread(target=_wait_for_end, daemon=True).start()
        kind, value = _run(name, choice, answers)
    except KeyboardInterrupt:
        kind, value = CANCELLED, None
    with contextlib.suppress(OSError):  # Nobody reads it any more.
        _tell(answers, kind, value)


def _run(name: str, choice: object, answers: BinaryIO) -> tuple[str, object]:
    try:
        from bottleneck.app.study.steps import study_steps
        from bottleneck.files.temporary import used_by_all

        with used_by_all():
            return ENDED, getattr(study_steps, name)(choice, _Mover(answers).move)
    except BottleneckError as error:
        return FAILED, str(error)
    # The page must say that the step has ended, whatever ended it.
    except Exception:  # noqa: BLE001
        return DEFECT, traceback.format_exc()


class _Mover:
    """Tells how far a step is, but not more often than it can be shown."""

    def __init__(self, answers: BinaryIO) -> None:
        self._answers = answers
        self._last = 0.0

    def move(self, done: int, total: int, text: str) -> None:
        now = time.monotonic()
        if now - self._last >= _PAUSE or done >= total:
            self._last = now
            _tell(self._answers, MOVED, (done, total, text))


def _tell(answers: BinaryIO, kind: str, value: object) -> None:
    pickle.dump((kind, value), answers)
    answers.flush()


def _wait_for_end() -> None:
    # Not by a buffered reader: the end of this process would wait for its lock.
    while os.read(0, 1):
        pass
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:  # This also wakes a waiting thread.
        signal.pthread_kill(main, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)
    time.sleep(_GRACE)
    os._exit(1)
