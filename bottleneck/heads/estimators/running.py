"""Code of estimators, run so that it repeats, and with its warnings and errors in plain words."""

from __future__ import annotations

import contextlib
import random
import re
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from bottleneck.errors import BottleneckError, UsageError, first_line
from bottleneck.text.plain_text import visible, without_paths
from bottleneck.text.short_repr import shortened

__all__ = ["MANY_CLASSES", "add_notes", "run_estimator"]

#: scikit-learn takes classes of one or two samples for the numbers of a regression.
MANY_CLASSES = "The number of unique classes is greater than"
_MOST_NOTES, _MOST_CHARACTERS = 3, 200


@contextlib.contextmanager
def run_estimator(
    name: str, done: str, seed: int = 0, *, alone: bool = True
) -> Iterator[list[warnings.WarningMessage]]:
    """Run code of an estimator, which may be that of others.

    Its exceptions become messages that name it. In the main thread, the random generators of
    numpy, Python and torch that all code shares are set from the seed, and set back afterwards,
    and what is printed goes to the standard error: results may be on the standard output.

    Parameters
    ----------
    name : str
        The head.
    done : str
        What is done with it, for messages: "fitted" or "applied".
    seed : int
        The random state.
    alone : bool
        Whether no other thread runs an estimator. If not, nothing that they share is changed.

    Yields
    ------
    list of WarningMessage
        Its warnings, in the order in which they come; empty if it does not run alone.

    Raises
    ------
    UsageError
        If an exception leaves the block.
    """
    try:
        with contextlib.ExitStack() as stack:
            caught: list[warnings.WarningMessage] = []
            if alone:
                caught = stack.enter_context(warnings.catch_warnings(record=True))
                warnings.simplefilter("always")
                if threading.current_thread() is threading.main_thread():
                    stack.enter_context(_seeded(seed))
                    stack.enter_context(contextlib.redirect_stdout(sys.stderr))
            yield caught
    except BottleneckError:
        raise
    except (Exception, SystemExit) as error:
        kind = type(error).__name__
        try:
            why = first_line(error)
        except Exception:  # noqa: BLE001 - the message of an error is code of others, too
            why = "its error has no message"
        reason = kind if why == kind else f"{kind}: {why}"
        raise UsageError(f"the head {name} cannot be {done}: {reason}") from error


def add_notes(notes: Iterable[str], caught: Iterable[warnings.WarningMessage]) -> tuple[str, ...]:
    """Return notes, and after them what warnings say: each once, whatever numbers it has.

    Examples
    --------
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warnings.warn("the loss is 0.25")
    ...     warnings.warn("no free memory")
    >>> add_notes(["the loss is 0.5"], caught)
    ('the loss is 0.5', 'no free memory')
    """
    texts = [str(one.message) for one in caught]
    shown = [
        shortened(visible(without_paths(" ".join(text.split()))), _MOST_CHARACTERS)
        for text in texts
        if not text.startswith(MANY_CLASSES)
    ]
    kinds: dict[str, str] = {}
    for text in (*notes, *shown):
        kinds.setdefault(re.sub(r"-?\d[\d.e+-]*", "0", text), text)
    return tuple(kinds.values())[:_MOST_NOTES]


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    torch: Any = sys.modules.get("torch")  # Features and heads do not import it.
    before = np.random.get_state(), random.getstate(), torch and torch.get_rng_state()
    np.random.seed(seed % 2**32)
    random.seed(seed)
    if torch:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before[0])
        random.setstate(before[1])
        if torch:
            torch.set_rng_state(before[2])
