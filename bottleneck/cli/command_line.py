"""The ``bottleneck`` command with its subcommands."""

from __future__ import annotations

import importlib

from bottleneck.cli.root import COMMANDS, make_app, run_app

app = make_app()
for name in COMMANDS:
    command = getattr(importlib.import_module(f"bottleneck.cli.{name}"), name)
    if name == "weights":  # A group of commands.
        app.add_typer(command, name=name)
    else:
        app.command(name)(command)


def main() -> None:
    """Run the command line."""
    run_app(app)
