"""What commands say: results to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.progress import Task

Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress and no notes; errors and results only.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Engine = Annotated[
    str, typer.Option(help="local, or ray for a cluster or several GPUs (extra `ray`).")
]
Address = Annotated[
    str | None,
    typer.Option(
        help="HOST:PORT of the Ray cluster; without it, Ray runs on this machine.",
        show_default=False,
    ),
]

RANDOM_WEIGHTS = "random weights: the figures mean nothing"


def say(text: str) -> None:
    """Print a note or an error to stderr, left for the terminal to fold: it may hold a command."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    console.print(_harmless(text), soft_wrap=True)


def show(result: Any) -> None:
    """Print a result (text, or a rich table) to stdout; text is left for the terminal to fold."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    is_text = isinstance(result, str)
    console.print(_harmless(result) if is_text else result, soft_wrap=is_text)


def _harmless(text: str) -> str:
    """Show what would move the cursor or reorder a line: names of files and labels may hold it."""
    from bottleneck.report.redaction import visible

    return "\n".join(visible(line) for line in text.split("\n"))


def show_json(result: Any) -> None:
    """Print a result as JSON to stdout."""
    typer.echo(json.dumps(result, indent=2, default=str))


@contextlib.contextmanager
def progress(*, quiet: bool, unit: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar with rate and time left on stderr; yields what long work calls to move it."""
    if quiet:
        yield lambda done, total, text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left
    from rich.table import Column, Table

    console = Console(stderr=True)

    class Bar(Progress):
        def make_tasks_table(self, tasks: Iterable[Task]) -> Table:
            table = super().make_tasks_table(tasks)
            # Room for the ^C that a terminal echoes: in the next line, where the cursor then is,
            # it would keep what stands in this one from being replaced.
            table.width = console.width - 2
            return table

    words = Column(no_wrap=True, max_width=console.width // 2)
    whole = Column(no_wrap=True)  # It is the bar that gets shorter, and a long text that is cut.
    columns = (
        TextColumn("{task.description}", table_column=words),
        BarColumn(None),
        MofNCompleteColumn(table_column=whole),
        TextColumn("{task.fields[rate]}", table_column=whole),
        Left(table_column=whole),
    )
    bar = Bar(*columns, console=console, expand=True)
    task = bar.add_task("", total=None, rate="", start=False)

    known, last = 0, float("inf")

    def move(done: int, total: int, text: str) -> None:
        nonlocal known, last
        if done < last:  # The first call, or other work that follows.
            known = done  # Of an earlier run; they say nothing of this one's rate.
        last = done
        if done == known:  # Nor does what comes before the first step.
            bar.reset(task, completed=done, total=total, description=text)
            # Here, so that work that fails before its first step shows no empty bar.
            bar.start()
        elapsed = bar.tasks[0].elapsed or 0.0
        measured = elapsed > 0.5 and done > known and unit
        rate = f"{(done - known) / elapsed:.1f} {unit}/s" if measured else ""
        bar.update(task, completed=done, total=total, description=text, rate=rate)

    try:
        yield move
    except BaseException:
        # In a file, the bar would be written now, and stand before what is said of the error.
        bar.live.transient = not console.is_interactive
        bar.live.stop()
        raise
    if bar.live.is_started:
        bar.stop()
