"""Names that would reach the terminal as commands to it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.preprocessing_presets import find_preprocessing
from bottleneck.cli.app import app
from bottleneck.cli.console import say, show
from bottleneck.config import read_configuration
from bottleneck.errors import UsageError
from bottleneck.report.terminal import wrap


def test_names_cannot_steer_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    say("left out: \x1b[2J\x1b]0;title\x07\u202egnp.a\udce9: damaged\nnext line", "further line")
    show("\x1b[31mred\u202e\udce9")
    said = capfd.readouterr()
    name = "\\x1b[2J\\x1b]0;title\\x07\\u202egnp.a\\udce9"
    assert said.err == f"left out: {name}: damaged\\x0anext line\nfurther line\n"
    assert said.out == "\\x1b[31mred\\u202e\\udce9\n"


def test_toml_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    for name in ("bottleneck.toml", "p.toml"):
        (tmp_path / name).write_text("x = " + "[" * 100_000)
    with pytest.raises(UsageError, match="cannot be read"):
        read_configuration(tmp_path)
    with pytest.raises(UsageError, match="cannot be read"):
        find_preprocessing(str(tmp_path / "p.toml"), find_encoder("resnet18"))


def test_words_commands_and_paths_are_not_broken() -> None:
    command = "`bottleneck extract 'my scans' --backbone resnet18 --weights radimagenet`"
    path = "features/of all the scans/phantom--resnet18--imagenet--avg--1a2b3c4d.h5"
    text = (
        f"the patients' names in {path} are those of others: make the features with {command}, "
        "or look into 'another  folder\tof\u2028yours'\n  and so on"
    )
    lines = wrap(text, whole=[path])
    assert lines.split("\n") == [
        "the patients' names in",
        f"{path} are",
        "those of others: make the features with",
        f"{command}, or",
        "look into 'another  folder\tof\u2028yours'",
        "  and so on",
    ]


def test_errors_are_folded_at_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = str(tmp_path / "my scans" / ("a" * 60) / "and others.h5")
    monkeypatch.setattr(sys, "argv", ["bottleneck", "inspect", name])
    shown = CliRunner().invoke(app, ["inspect", name]).stderr
    assert shown.split() == f"error: feature file {name} does not exist".split()
    assert name in shown
    shown = CliRunner().invoke(app, ["extract", "phantom", "--backbone", "vgg"]).stderr
    lines = shown.rstrip("\n").split("\n")
    assert len(lines) > 2
    assert max(map(len, lines)) <= 80
