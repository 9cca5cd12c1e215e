"""The ``bottleneck`` command without its subcommands: its options, its exit codes, its help.

Every module that is imported here is loaded before ``bottleneck --help`` prints anything.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, Any, TextIO
from urllib.parse import urlsplit

import typer
from typer.core import TyperGroup

import bottleneck
from bottleneck.cli.console import say, say_paragraph
from bottleneck.cli.exit_codes import ExitCode
from bottleneck.cli.interrupts import describe, end_at_once, interruptible
from bottleneck.cli.streams import open_streams
from bottleneck.errors import BottleneckError, UsageError
from bottleneck.files.temporary import used_by_all
from bottleneck.text.plain_text import visible

__all__ = ["COMMANDS", "make_app", "run_app"]

#: The modules of the commands, in the order of the help.
COMMANDS = (
    "extract",
    "concatenate",
    "fit",
    "predict",
    "recalibrate",
    "export",
    "finetune",
    "compare",
    "plan",
    "explain",
    "card",
    "app",
    "audit",
    "leakage",
    "reproduce",
    "run",
    "inspect",
    "backbones",
    "doctor",
    "demo",
    "weights",
)

# These commands keep finished features and trained networks when they are interrupted.
_RESUMABLE = ("extract", "predict", "finetune", "leakage", "reproduce", "run", "demo")


# Warnings that were printed.
_noted: set[str] = set()

_TIMEOUTS = ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT")


class _Commands(TyperGroup):
    """Subcommands; a ``BottleneckError`` becomes a message and exit code 2.

    Any other exception is a bug and is shown with its traceback.
    """

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and exit; errors of its options are printed as ours are."""
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except Exception as error:
            # The class is click's, or that of the copy which newer versions of Typer contain.
            if not standalone_mode or not hasattr(error, "format_message"):
                raise
            context = getattr(error, "ctx", None)
            if message := error.format_message():  # Empty where the help was printed in its place.
                if context is not None:
                    say(context.get_usage(), f"Try '{context.command_path} --help' for help.")
                _say_error(visible(message))
            code = getattr(error, "exit_code", ExitCode.ERROR)
        if not standalone_mode:
            return code
        sys.exit(code if isinstance(code, int) else 0)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: Any) -> Any:
        try:
            _refuse_hub_settings()
            with interruptible(), used_by_all():
                return super().invoke(ctx)
        except BottleneckError as error:
            _say_error(error)
            raise typer.Exit(ExitCode.ERROR) from None
        except KeyboardInterrupt as end:
            number = getattr(end, "number", signal.SIGINT)
            kept = " Finished work is kept; repeat the command to continue."
            say(describe(number) + (kept if ctx.invoked_subcommand in _RESUMABLE else ""))
            for note in getattr(end, "__notes__", ()):  # From report.result_files.
                say_paragraph(note)
            raise typer.Exit(128 + number) from None  # as a shell has it
        except EOFError as error:  # Typer would take it for the user's Ctrl-D.
            raise RuntimeError("a file ended too early") from error


def _say_error(error: object) -> None:
    # Paths that the user typed, alone or after "--option=", are not broken at their spaces.
    typed = [word.partition("=")[2] if word[:2] == "--" else word for word in sys.argv[1:]]
    for line in f"error: {error}".split("\n"):
        say_paragraph(line, whole=filter(None, typed))


def _refuse_hub_settings() -> None:
    """Report settings of the hub's client at which its import, and so that of timm, would fail."""
    try:
        _ = urlsplit(os.environ.get("HF_ENDPOINT", "")).port
    except ValueError:
        raise UsageError(
            "the environment variable HF_ENDPOINT is not an address such as "
            "https://hub.example:8443"
        ) from None
    for name in _TIMEOUTS:
        if (text := os.environ.get(name)) and not (text.isdecimal() and int(text)):
            raise UsageError(
                f"the environment variable {name} must be a whole number of seconds above 0, not "
                f"'{text}'"
            )


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"bottleneck-features {bottleneck.__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """What a frozen network and a classical classifier can honestly do on your medical images.

    `extract` runs images through a frozen network and caches its features; `fit` trains a
    classifier on them; `compare` compares all classifiers on the same patients.
    """


def make_app() -> typer.Typer:
    """Return the command without subcommands."""
    app = typer.Typer(
        cls=_Commands,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    epilog = "Start with `bottleneck demo`. For research use only; not a medical device."
    app.callback(epilog=epilog)(_root)
    return app


def _note_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning of other code as a note, each text once."""
    text = " ".join(str(message).split())
    if text not in _noted:
        _noted.add(text)
        say_paragraph(text, "note: ")


def run_app(app: typer.Typer) -> None:
    """Run a command line that was made from ``make_app``."""
    open_streams()
    warnings.showwarning = _note_warning
    try:
        app(prog_name="bottleneck")
    except BottleneckError as error:  # Outside of a command: --help, --version.
        _say_error(error)
        sys.exit(ExitCode.ERROR)
    finally:
        # Everything is printed and saved. A further signal must end the process at once: without
        # a traceback, and even if a thread is still waiting for a lock.
        end_at_once(silently=True)
