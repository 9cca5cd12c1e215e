"""Output of the commands: results on stdout, notes, errors and progress on stderr."""

from __future__ import annotations

import contextlib
import json
import shlex
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bottleneck.checks.check_warnings import CheckWarning
from bottleneck.processes.progress_bar import error_console, show_nothing, terminal_bar
from bottleneck.report.terminal import wrap
from bottleneck.schemas.json_schemas import JsonRecord
from bottleneck.text.plain_text import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Print only errors and results, without notes and progress."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Engine = Annotated[
    str, typer.Option(help="local, or ray for a cluster or several GPUs (needs the extra `ray`).")
]
Address = Annotated[
    str | None,
    typer.Option(
        help="HOST:PORT of the Ray cluster; by default, Ray runs on this machine.",
        show_default=False,
    ),
]

LicencePolicyOption = Annotated[
    str,
    typer.Option(
        "--licence-policy",
        help="commercial: refuse weights whose licence forbids commercial use or is not stated. "
        "any: accept all.",
    ),
]
Ignored = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore",
        metavar="CODE",
        help="Do not show what a check such as BF201 finds. It still protects the split, and the "
        "result states that it was ignored. May be given several times.",
        show_default=False,
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the result of an earlier run.")
]

# Characters of a line on stderr: more is the content of a file in place of a name.
_LONGEST_LINE = 5000


def say(*lines: str) -> None:
    """Print lines to stderr: a note or an error.

    A line break within a line is part of a name, and is escaped like all that could steer the
    terminal. The terminal breaks long lines, so that a command in the text can be copied whole.
    """
    error_console().print("\n".join(visible(_shorten(line)) for line in lines), soft_wrap=True)


def say_paragraph(text: str, mark: str = "", whole: Iterable[str] = ()) -> None:
    """Print a text to stderr, folded as by ``report.terminal.wrap``."""
    say(*fold(_shorten(text), mark, whole))


def show_note(*, quiet: bool) -> Callable[[str], None] | None:
    """Return a function that prints a note at once, also below a progress bar; None if quiet."""
    return None if quiet else lambda text: say_paragraph(text, "note: ")


def announce_weights_folder(weights: str | None = None, *, quiet: bool) -> None:
    """Print which weights folder is in use, and a warning where a downloaded project may name it.

    With ``--quiet`` only the warning is printed. The client of the hub then shows no bar either.

    Parameters
    ----------
    weights : str, optional
        What ``--weights`` says; nothing is printed for random weights and for a file.
    quiet : bool
        Whether ``--quiet`` was given.
    """
    from bottleneck.backbones.weights.folder import find_folder, needs_folder

    if weights is not None and not needs_folder(weights):
        return
    used = find_folder()
    if used.is_from_project:
        text = (
            f"the weights folder is {used.text}. If you did not write that file, check that these "
            "are the weights that you want"
        )
        say_paragraph(text, "note: ", whole=[str(used.path)])
    elif not quiet:
        say(f"weights folder: {used.text}")
    if quiet:
        # The library does not list it as exported.
        from huggingface_hub.utils import (  # type: ignore[attr-defined]
            disable_progress_bars,
        )

        disable_progress_bars()


def show(*lines: str) -> None:
    """Print lines to stdout; line breaks in them and long lines are treated as by ``say``."""
    _console().print("\n".join(map(visible, lines)), soft_wrap=True)


def show_paragraph(text: str, mark: str = "") -> None:
    """Print a text to stdout, folded as by ``report.terminal.wrap``."""
    show(*fold(text, mark))


def show_warnings(warnings: Iterable[CheckWarning], before: str = "") -> None:
    """Print warnings to stdout, each after its code and ``before``."""
    for warning in warnings:
        show_paragraph(f"{before}{warning}", f"{warning.code} ")


def say_warnings(warnings: Iterable[CheckWarning]) -> None:
    """Print warnings to stderr, each after its code."""
    for warning in warnings:
        say_paragraph(warning, f"warning: {warning.code} ")


def show_table(table: Table) -> None:
    """Print a table of ``report.terminal.make_table`` to stdout."""
    _console().print(table)


def _shorten(text: str) -> str:
    n_left_out = len(text) - _LONGEST_LINE
    if n_left_out <= 0:
        return text
    half = _LONGEST_LINE // 2
    return f"{text[:half]} … {n_left_out:,} more characters … {text[-half:]}"


def fold(text: str, mark: str = "", whole: Iterable[str] = ()) -> list[str]:
    """Return the lines of a text, as ``report.terminal.wrap`` folds it."""
    return wrap(visible(text), mark, map(visible, whole)).split("\n")


def _console() -> Console:
    """Return a console that prints text as it is: without markup, emoji codes and highlighting."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def show_json(record: JsonRecord) -> None:
    """Print a result as JSON to stdout, in ASCII; numbers that JSON does not have become null."""
    from bottleneck.report.redaction import plain

    text = json.dumps(plain(record), indent=2, allow_nan=False)
    typer.echo(text.replace("\x7f", "\\u007f"))  # The one control character that is left.


@contextlib.contextmanager
def progress(*, quiet: bool, unit: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show the progress bar of ``terminal_bar``; where stderr is a file, its last state.

    Parameters
    ----------
    quiet : bool
        Whether to show nothing.
    unit : str
        What is counted, for the rate: "images"; "" for no rate.

    Yields
    ------
    callable
        Moves the bar when it is called with the number of finished steps, their total and a text.
    """
    if quiet:
        yield show_nothing
        return
    with terminal_bar(unit) as move:
        yield move


def note_readers(folder: Path, files: Iterable[Path], *, quiet: bool, alone: bool = False) -> None:
    """Note once that other users can read files that show images or name patients.

    Parameters
    ----------
    folder : Path
        The output folder, to be protected.
    files : iterable of Path
        The files; those that do not exist are left out.
    quiet : bool
        Whether to say nothing.
    alone : bool
        Whether only the files are to be protected, because the folder holds others too.
    """
    from bottleneck.files.permissions import find_readers

    if quiet:
        return
    found: dict[str, list[str]] = {}
    # The folder that someone works in holds their other files too.
    is_here = folder.resolve() == Path.cwd()
    for path in files:
        with contextlib.suppress(OSError):
            found.setdefault(find_readers(path), []).append(path.name)
    for who, names in found.items():
        if who:
            more = f" and {len(names) - 2} more" if len(names) > 2 else ""
            # In the folder of a group, its members stay.
            whom = "o" if folder.stat().st_mode & stat.S_IWGRP and who == "everyone" else "go"
            only = alone or is_here
            targets = [folder / name for name in names] if only else [folder]
            command = shlex.join(
                ["chmod", *([] if only else ["-R"]), f"{whom}=", *map(str, targets)]
            )
            where = "" if is_here else f" in {folder}"
            say_paragraph(
                f"{who} can read {', '.join(dict.fromkeys(names[:2]))}{more}{where}: images "
                f"or names of patients. To keep others out: {command}",
                "note: ",
                whole=[command],
            )
            return
