"""A progress bar on the terminal, and in a notebook."""

from __future__ import annotations

import contextlib
import html
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias, cast

from bottleneck.text.plain_text import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Task
    from rich.table import Table

__all__ = ["Progress", "default_bar", "error_console", "show_nothing", "terminal_bar"]

#: Called with the number of finished steps, their total and a text.
Progress: TypeAlias = Callable[[int, int, str], None]

# Bars on the terminal, the innermost last.
_bars: list[Any] = []
# Held by the one bar that functions show without being asked.
_shown = threading.Lock()
# Characters of a text next to a progress bar. Half of the widest terminals has fewer.
_LONGEST = 300
# In seconds: shorter work shows no bar, and a notebook is updated no more often.
_DELAY, _PAUSE = 0.5, 0.2


def show_nothing(done: int, total: int, text: str) -> None:
    """Do nothing, where no progress is shown."""


def error_console() -> Console:
    """Return a console on the standard error, below which a bar that is shown stays.

    It prints text as it is: without markup, emoji codes and highlighting.
    """
    if _bars and _bars[-1].live.is_started:
        console: Console = _bars[-1].console
        return console
    return _make_console()


def _make_console() -> Console:
    from rich.console import Console

    # The command line has a stream for text that is harmless already, and has colours.
    file = cast(TextIO, getattr(sys.stderr, "terminal", sys.stderr))
    return Console(file=file, stderr=True, highlight=False, markup=False, emoji=False)


@contextlib.contextmanager
def default_bar(unit: str) -> Iterator[Progress | None]:
    """Show a progress bar where somebody watches; yield None where nobody does.

    Somebody watches a notebook, and a standard error that is a terminal; nobody watches a worker
    process. One bar is shown at a time. It begins after half a second.

    Parameters
    ----------
    unit : str
        As for ``terminal_bar``.
    """
    watched = _in_notebook() or _is_terminal(sys.stderr)
    if not watched or _bars or multiprocessing.parent_process() or not _shown.acquire(False):
        yield None
        return
    began = time.monotonic()
    try:
        with (_notebook_bar if _in_notebook() else terminal_bar)(unit) as move:

            def move_later(done: int, total: int, text: str) -> None:
                if time.monotonic() - began >= _DELAY:
                    move(done, total, text)

            yield move_later
    finally:
        _shown.release()


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, ValueError):  # It is not a file, or is closed.
        return False


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")  # IPython on a terminal has none.


@contextlib.contextmanager
def terminal_bar(unit: str) -> Iterator[Progress]:
    """Show a progress bar with rate and remaining time on the standard error.

    Parameters
    ----------
    unit : str
        What is counted, for the rate: "images"; "" for no rate.

    Yields
    ------
    callable
        Moves the bar.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left
    from rich.table import Column

    console = _make_console()

    class Bar(Progress):
        def make_tasks_table(self, tasks: Iterable[Task]) -> Table:
            table = super().make_tasks_table(tasks)
            # Leave room for the "^C" that a terminal echoes. It would otherwise move the cursor
            # to the next line, and the bar could no longer be overwritten.
            table.width = console.width - 2
            return table

    shortened = Column(no_wrap=True, max_width=console.width // 2)
    whole = Column(no_wrap=True)  # In a narrow terminal the bar and the text are shortened.
    columns = (
        TextColumn("{task.description}", table_column=shortened, markup=False),
        BarColumn(None),
        MofNCompleteColumn(table_column=whole),
        TextColumn("{task.fields[rate]}", table_column=whole, markup=False),
        Left(table_column=whole),
    )
    # What the caller's functions print goes above the bar; but into a file, if it is for a file.
    redirected = _is_terminal(sys.stdout)
    bar = Bar(*columns, console=console, expand=True, redirect_stdout=redirected)
    task = bar.add_task("", total=None, rate="", start=False)

    n_before, last = 0, float("inf")

    def move(done: int, total: int, text: str) -> None:
        nonlocal n_before, last
        text = visible(text[:_LONGEST])
        if done < last:  # The first call, or the first call of the next task.
            n_before = done  # Steps of an earlier run do not count for the rate of this one.
        last = done
        if done == n_before:  # The time before the first step does not count either.
            bar.reset(task, completed=done, total=total, description=text)
            # The bar starts here, so that work that fails before its first step shows none.
            bar.start()
        elapsed = bar.tasks[0].elapsed or 0.0
        measured = elapsed > 0.5 and done > n_before and unit
        rate = f"{(done - n_before) / elapsed:.1f} {unit}/s" if measured else ""
        bar.update(task, completed=done, total=total, description=text, rate=rate)

    _bars.append(bar)
    try:
        yield move
    except BaseException:
        # Where stderr is a file, do not write the bar before the error message.
        bar.live.transient = not console.is_interactive
        bar.live.stop()
        raise
    finally:
        _bars.remove(bar)
    if bar.live.is_started:
        bar.stop()


@contextlib.contextmanager
def _notebook_bar(unit: str) -> Iterator[Progress]:
    """Show a progress bar below the cell that runs; ``rich`` would need ipywidgets for it."""
    from IPython.display import display

    handle: Any = None
    last: tuple[int, int, str] | None = None
    drawn = 0.0

    def draw() -> None:
        nonlocal handle, drawn
        if last is None:
            return
        done, total, text = last
        words = f"{visible(text[:_LONGEST])} {done}/{total}{unit and f' {unit}'}"
        bar = f'<progress value="{done}" max="{max(total, 1)}"></progress>'
        shown = {"text/html": f"<div>{bar} {html.escape(words)}</div>", "text/plain": words}
        if handle is None:
            handle = display(shown, raw=True, display_id=True)
        else:
            handle.update(shown, raw=True)
        drawn = time.monotonic()

    def move(done: int, total: int, text: str) -> None:
        nonlocal last
        last = (done, total, text)
        if time.monotonic() - drawn >= _PAUSE:
            draw()

    try:
        yield move
    finally:
        draw()
