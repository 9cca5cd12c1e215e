"""Steps of long work: shown as a progress bar, logged, and passed to the caller's functions."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import inspect
import logging
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from bottleneck.errors import UsageError
from bottleneck.processes.progress_bar import Progress, default_bar
from bottleneck.text.plain_text import visible, without_paths

__all__ = ["shows_progress"]

P = ParamSpec("P")
T = TypeVar("T")

# What was logged by the function of ours that runs in this thread; None where none does. The
# functions that it calls show no bar of their own.
_running: contextvars.ContextVar[set[str] | None] = contextvars.ContextVar("running", default=None)


def shows_progress(unit: str = "") -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator of a public function with the keywords ``progress`` and ``quiet``.

    Unless ``progress`` is given, or ``quiet``, the function shows a progress bar on a terminal and
    in a notebook. The logger of its module logs its beginning and end, what ``note`` is called
    with, and the warnings of its result as INFO, which names no sample and no patient; and its
    steps and the notes of its result as DEBUG, without absolute paths. A function that another one
    calls has no bar of its own, and logs its result only. Worker processes log nothing.

    Parameters
    ----------
    unit : str
        What the steps are, for the rate: "images"; "" for no rate.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        takes_notes = "note" in inspect.signature(function).parameters

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            log = _Log(function)
            given: dict[str, Any] = {n: kwargs.get(n) for n in ("progress", "note", "quiet")}
            _check(**given)
            if _running.get() is not None:
                result = function(*args, **kwargs)
                log.texts(result)
                return result
            silent = given["progress"] is not None or given["quiet"]
            with contextlib.nullcontext() if silent else default_bar(unit) as bar, log:
                kwargs["progress"] = log.steps(given["progress"] or bar)
                if takes_notes:
                    kwargs["note"] = log.notes(given["note"])
                result = function(*args, **kwargs)
                log.texts(result)
                return result

        return run

    return decorate


class _Log:
    """What is logged of a function while it runs."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._logger = logging.getLogger(function.__module__)
        self._name = function.__name__

    def __enter__(self) -> None:
        self._token = _running.set(set())
        self._began = time.perf_counter()
        self._logger.info("%s begins", self._name)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _running.reset(self._token)
        how = "" if kind is None else f" by {kind.__name__}"
        seconds = time.perf_counter() - self._began
        self._logger.info("%s ends after %.1f s%s", self._name, seconds, how)

    def steps(self, show: Progress | None) -> Progress:
        """Return a function that logs steps with a new text, and passes all steps on."""
        last = None

        def move(done: int, total: int, text: str) -> None:
            nonlocal last
            if text != last and self._logger.isEnabledFor(logging.DEBUG):
                words = visible(without_paths(text))
                self._logger.debug("%s: %s (%d of %d)", self._name, words, done, total)
            last = text
            if show is not None:
                show(done, total, text)

        return move

    def notes(self, show: Callable[[str], None] | None) -> Callable[[str], None]:
        """Return a function that logs notes, and passes them on."""

        def note(text: str) -> None:
            self._text(text)
            if show is not None:
                show(text)

        return note

    def texts(self, result: Any) -> None:
        """Log the warnings of a result, or of several, and their notes, which may name images."""
        for one in result if isinstance(result, tuple | list) else [result]:
            for text in getattr(one, "warnings", ()):
                self._text(text)
            for text in getattr(one, "notes", ()):
                self._text(text, logging.DEBUG)

    def _text(self, text: str, level: int = logging.INFO) -> None:
        logged, words = _running.get(), visible(without_paths(text))
        if logged is not None and words not in logged:
            logged.add(words)
            self._logger.log(level, "%s: %s", self._name, words)


def _check(progress: object, note: object, quiet: object) -> None:
    if progress is not None and not _takes(progress, 0, 1, ""):
        raise UsageError(
            "progress takes a function of three values (steps done, their total, and a text), not "
            f"{_name(progress)}. Without it a bar is shown; quiet=True shows none"
        )
    if note is not None and not _takes(note, ""):
        raise UsageError(f"note takes a function of a text, such as print, not {_name(note)}")
    if quiet is not None and not isinstance(quiet, bool):
        raise UsageError(f"quiet takes True or False, not {type(quiet).__name__}")


def _takes(function: object, *values: object) -> bool:
    """Return whether a function can be called with some values, as far as this is known."""
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(*values)
    except TypeError:
        return False
    except ValueError:  # Functions of other languages may not say what they take.
        return True
    return True


def _name(value: object) -> str:
    if not callable(value):
        return type(value).__name__
    return f"{getattr(value, '__name__', type(value).__name__)}, which takes other values"
