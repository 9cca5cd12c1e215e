"""The command line of each step: its words are options of the command, with these values."""

from __future__ import annotations

import functools
import shlex
from pathlib import Path
from typing import Any

import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from bottleneck.app.study.steps.step_choices import (
    CompareChoice,
    DataChoice,
    ExtractChoice,
    FitChoice,
)
from bottleneck.cli.command_line import app

# What a shell or a parser of options could take for something else is in there.
TEXTS = st.text("ab -'\"$\\d+()=é", min_size=1, max_size=8)


@functools.cache
def commands() -> Any:
    return typer.main.get_command(app)


def parse(command: str) -> dict[str, Any]:
    """Return the values that a command of bottleneck gets from a command line."""
    program, name, *words = shlex.split(command)
    assert program == "bottleneck"
    group = commands()
    context = group.make_context("bottleneck", [name, *words])
    found, inner, rest = group.resolve_command(context, [name, *words])
    assert found == name
    values = inner.make_context(name, rest).params
    return {option: _as_text(value) for option, value in values.items()}


def _as_text(value: Any) -> Any:
    # Some versions of typer convert paths and lists only when the command is called.
    if isinstance(value, list | tuple):
        return [_as_text(one) for one in value]
    return str(value) if isinstance(value, Path) else value


@settings(max_examples=25)
@given(TEXTS, TEXTS, TEXTS)
def test_extract(source: str, pattern: str, column: str) -> None:
    data = DataChoice(
        source=f"/{source}", patient_pattern=pattern, label_column=column, images="/pictures"
    )
    made = ExtractChoice(data=data, backbone="vgg16", weights="imagenet", output=Path("/f"))
    got = parse(made.command)
    assert got["dataset"] == f"/{source}"
    assert (got["patient_pattern"], got["label_column"]) == (pattern, column)
    assert (got["images"], got["backbone"], got["weights"]) == ("/pictures", ["vgg16"], "imagenet")
    assert (got["output"], got["path_column"]) == ("/f", None)


@settings(max_examples=25)
@given(TEXTS)
def test_compare(positive: str) -> None:
    made = CompareChoice(
        licence_policy="commercial",
        features=Path("/a b.h5"),
        heads=("svm", "mlp"),
        positive=positive,
        with_pictures=True,
        at_sensitivity=0.95,
        output=Path("/report"),
    )
    got = parse(made.command)
    assert (got["features"], got["head"]) == (["/a b.h5"], ["svm", "mlp"])
    assert (got["positive"], got["at_sensitivity"]) == (positive, 0.95)
    assert (got["with_pictures"], got["output"]) == (True, "/report")
    assert got["licence_policy"] == "commercial"


@settings(max_examples=25)
@given(TEXTS)
def test_fit(positive: str) -> None:
    made = FitChoice(
        features=Path("/a.h5"),
        head="svm",
        positive=positive,
        comparison=Path("/report"),
        output=Path("/models"),
    )
    got = parse(made.command)
    assert (got["features"], got["head"]) == (["/a.h5"], ["svm"])
    assert (got["positive"], got["at_sensitivity"]) == (positive, None)
    assert got["licence_policy"] == "any"
    assert (got["comparison"], got["output"]) == ("/report", "/models")
