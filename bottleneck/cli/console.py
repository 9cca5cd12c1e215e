"""What commands say: results to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

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
    from bottleneck.report.provenance import visible

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

    rate = TextColumn("{task.fields[rate]}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(None),
        MofNCompleteColumn(),
        rate,
        Left(),
    )
    bar = Progress(*columns, console=Console(stderr=True), expand=True)
    task = bar.add_task("", total=None, rate="", start=False)

    known = 0

    def move(done: int, total: int, text: str) -> None:
        # Started here, so that work that fails before its first step shows no empty bar.
        nonlocal known
        if not bar.tasks[0].started:
            known = done  # Of an earlier run; they say nothing of this one's rate.
            bar.update(task, completed=done, total=total, description=text)
            bar.start()
            bar.start_task(task)
        elapsed = bar.tasks[0].elapsed or 0.0
        measured = elapsed > 0.5 and done > known and unit
        rate = f"{(done - known) / elapsed:.1f} {unit}/s" if measured else ""
        bar.update(task, completed=done, total=total, description=text, rate=rate)

    try:
        yield move
    finally:
        bar.stop()
