"""Names that would reach the terminal as commands to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.conventions import find_preprocessing
from bottleneck.cli.console import say, show
from bottleneck.configuration import read_configuration
from bottleneck.errors import UsageError


def test_names_cannot_steer_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    say("left out: \x1b[2J\x1b]0;title\x07\u202egnp.a\udce9: damaged\nnext line")
    show("\x1b[31mred\u202e\udce9")
    said = capfd.readouterr()
    expected = "left out: \\x1b[2J\\x1b]0;title\\x07\\u202egnp.a\\udce9: damaged\nnext line\n"
    assert said.err == expected
    assert said.out == "\\x1b[31mred\\u202e\\udce9\n"


def test_toml_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    for name in ("bottleneck.toml", "p.toml"):
        (tmp_path / name).write_text("x = " + "[" * 100_000)
    with pytest.raises(UsageError, match="cannot be read"):
        read_configuration(tmp_path)
    with pytest.raises(UsageError, match="cannot be read"):
        find_preprocessing(str(tmp_path / "p.toml"), find_encoder("resnet18"))
