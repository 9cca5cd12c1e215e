"""The help of ``bottleneck``, without loading the modules of its subcommands."""

from __future__ import annotations

import ast
from pathlib import Path

import typer

from bottleneck.cli.root import COMMANDS, make_app, run_app

__all__ = ["main", "make_help_app"]


def make_help_app() -> typer.Typer:
    """Return the command with subcommands that have their descriptions, and do nothing."""
    app = make_app()
    for name in COMMANDS:
        app.command(name, help=_describe(name))(_do_nothing)
    return app


def _do_nothing() -> None:
    pass


def _describe(name: str) -> str | None:
    """Return the docstring of a command, or the help of a group, from the text of its module."""
    tree = ast.parse(Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return ast.get_docstring(node)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            for keyword in getattr(node.value, "keywords", ()):
                if keyword.arg == "help":
                    return str(ast.literal_eval(keyword.value))
    return None


def main() -> None:
    """Print the help."""
    run_app(make_help_app())
