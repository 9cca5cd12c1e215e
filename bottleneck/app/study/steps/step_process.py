"""A step of a study in a process of its own: it can be cancelled at once, and watched."""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from bottleneck.app.study.steps.step_worker import CANCELLED, DEFECT, ENDED, FAILED, MOVED
from bottleneck.errors import BottleneckError, UsageError

__all__ = ["StepCancelledError", "StepProcess"]

# The modules are looked for where this process looks for them.
_PROGRAM = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from bottleneck.app.study.steps.step_worker import work
work()
"""
# In seconds: how often is looked whether the page was closed.
_PAUSE = 0.5


class StepCancelledError(BottleneckError):
    """A step of a study that was cancelled."""


class StepProcess:
    """A step that runs in a process of its own.

    Parameters
    ----------
    step : callable
        A function of ``study_steps``.
    choice : object
        Its first argument.
    stop : threading.Event, optional
        Cancels the step when it is set.
    grace : float
        Seconds after which a cancelled step is killed that has not ended. What it wrote stays.

    Attributes
    ----------
    progress : (int, int, str) or None
        Number of finished parts, their total, and a text; None before the first.
    is_cancelled : bool
        Whether it was asked to end.
    pid : int
        Id of the process.
    """

    def __init__(
        self,
        step: Callable[..., Any],
        choice: object,
        *,
        stop: threading.Event | None = None,
        grace: float = 12.0,
    ) -> None:
        self._grace = grace
        self.progress: tuple[int, int, str] | None = None
        self._answer: tuple[str, Any] | None = None
        self.is_cancelled = False
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in the terminal is for the app, which then ends it.
        )
        self.pid = self._process.pid
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # It has ended: ``result`` says so.
            for message in (sys.path, (step.__name__, choice)):
                pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if stop is not None:
            threading.Thread(target=self._watch, args=(stop,), daemon=True).start()

    @property
    def is_running(self) -> bool:
        """Whether the step has not ended yet."""
        return self._reader.is_alive()

    def cancel(self) -> None:
        """Ask the step to end, which it does after writing what is finished; do not wait."""
        if not self.is_cancelled:
            self.is_cancelled = True
            threading.Thread(target=self._end, daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, but no longer than some seconds; return whether it has ended."""
        self._reader.join(seconds)
        return not self.is_running

    def result(self) -> Any:
        """Wait for the end and return what the step returned.

        Raises
        ------
        StepCancelledError
            If it was cancelled.
        BottleneckError
            If the step raised one; it has the same message.
        """
        self._reader.join()
        kind, value = self._answer or ("", "")
        if kind == ENDED:
            return value
        if kind == FAILED:
            raise BottleneckError(*value.split("\n"))
        if self.is_cancelled or kind == CANCELLED:
            raise StepCancelledError("cancelled")
        if kind == DEFECT:
            print(value, file=sys.stderr)
            last = value.strip().splitlines()[-1]
            raise BottleneckError(
                f"this step failed because of an error in the program ({last}). The terminal in "
                "which "
                "the app runs shows the details: report them"
            )
        raise UsageError(
            f"the system ended the step (code {self._process.returncode}). This happens when the "
            "memory is full: close other programs, and start the step again"
        )

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers, contextlib.suppress(EOFError, pickle.PickleError):
            while True:
                kind, value = pickle.load(answers)
                if kind == MOVED:
                    self.progress = value
                else:
                    self._answer = kind, value
        self._process.wait()
        with contextlib.suppress(OSError):
            self._close_input()

    def _watch(self, stop: threading.Event) -> None:
        while self.is_running:
            if stop.wait(_PAUSE):
                self.cancel()
                return

    def _end(self) -> None:
        self._close_input()
        began = time.monotonic()
        while self._process.poll() is None and time.monotonic() - began < self._grace:
            time.sleep(0.05)
        if self._process.poll() is None:
            self._process.kill()

    def _close_input(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
