"""Exit codes: those of the documentation are those of the code."""

from __future__ import annotations

import ast
import re
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

import bottleneck.cli
from bottleneck.cli.command_line import app
from bottleneck.cli.exit_codes import ExitCode

CLI = Path(bottleneck.cli.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "exit-codes.md"
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def test_the_page_has_every_exit_code() -> None:
    rows = re.findall(r"^\| (\d+) \| ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert list(map(int, rows)) == sorted({*ExitCode, *(128 + number for number in SIGNALS)})


def test_every_place_that_ends_a_command_names_its_exit_code() -> None:
    ends = ("Exit", "exit", "SystemExit")
    for path in CLI.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ends:
                for argument in node.args:
                    assert not isinstance(argument, ast.Constant), f"{path.name}:{node.lineno}"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--version"], ExitCode.DONE),
        (["audit", "--help"], ExitCode.DONE),
        (["audit", "absent.h5"], ExitCode.ERROR),
        (["audit", "absent.h5", "--unknown"], ExitCode.ERROR),
        (["unknown"], ExitCode.ERROR),
        ([], ExitCode.ERROR),
    ],
)
def test_exit_codes(words: list[str], code: int) -> None:
    assert CliRunner().invoke(app, words).exit_code == code
