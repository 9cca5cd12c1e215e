"""Defaults of ``bottleneck.toml``: where they apply, what the note says, and refusals."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from bottleneck.cli.command_line import app
from bottleneck.cli.defaults import choose_ignored, fill_defaults
from bottleneck.cli.finetune import _fill_network
from bottleneck.errors import UsageError


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text):
        (tmp_path / "bottleneck.toml").write_text(f"[defaults]\n{text}")

    return write


def test_options_take_precedence(state, capsys):
    state('backbone = "resnet18"\nweights = "random"\nheads = ["logistic", "prior"]')
    given = {"backbone": ["vgg16"], "weights": None}
    assert fill_defaults(given, quiet=False) == {"backbone": ["vgg16"], "weights": "random"}
    note = " ".join(capsys.readouterr().err.split())
    assert note == "note: default of bottleneck.toml in the current folder: weights random"
    assert fill_defaults({"heads": None}, quiet=True) == {"heads": ["logistic", "prior"]}
    assert capsys.readouterr().err == ""


def test_ignored_checks_are_named_with_quiet_too(state, capsys):
    state('ignore = ["BF202", "BF301"]')
    assert choose_ignored(["BF101"], quiet=True) == ("BF101",)
    assert capsys.readouterr().err == ""
    assert choose_ignored(None, quiet=True) == ("BF202", "BF301")
    note = " ".join(capsys.readouterr().err.split())
    assert note.endswith("in the current folder: ignore BF202, BF301")


def test_without_a_file_nothing_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert fill_defaults({"heads": None}, quiet=False) == {"heads": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('backbone = "resnet5"', "bottleneck.toml: defaults.backbone: unknown backbone 'resnet5'"),
        ("backbone = []", "bottleneck.toml: defaults.backbone must be a name, or a list of diff"),
        ("backbone = 50", "bottleneck.toml: defaults.backbone must be a name, or a list of diff"),
        ('heads = ["svm", "svm"]', "bottleneck.toml: defaults.heads must be a name, or a list"),
        ('heads = "smv"', "bottleneck.toml: defaults.heads: unknown head 'smv'; did you mean"),
        ('heads = "os:system"', "a file may name the heads of this package only"),
        ('weights = ""', "bottleneck.toml: defaults.weights must be a name or a path, not ''"),
        ('ignore = "BF1"', "bottleneck.toml: defaults.ignore: there is no check 'BF1' to ignore"),
        ("weights = ['a']", "bottleneck.toml: defaults.weights must be a name or a path"),
        ('head = "svm"', "bottleneck.toml: unknown key of defaults 'head'; did you mean 'heads'"),
    ],
)
def test_a_wrong_default_is_named_with_its_file_and_key(state, text, message):
    state(text)
    with pytest.raises(UsageError) as caught:
        fill_defaults(dict.fromkeys(("backbone", "weights", "heads", "ignore")), quiet=True)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("given", "in_file", "expected"),
    [
        ({}, "", {"backbone": "resnet34", "weights": "random"}),
        ({"backbone": "vgg16"}, "", {"backbone": "vgg16", "weights": "random"}),
        ({}, "backbone = 'vgg16'\nweights = 'imagenet'", {}),
        # A network that is trained from scratch has no weights.
        ({"backbone": "small_cnn"}, "", {"backbone": "small_cnn"}),
    ],
)
def test_finetune_takes_them_after_options_and_file(state, tmp_path, given, in_file, expected):
    state('backbone = ["resnet34"]\nweights = "random"')
    config = tmp_path / "training.toml"
    config.write_text(in_file)
    training = dict(given)
    _fill_network(training, config if in_file else None, quiet=True)
    assert training == expected


def test_finetune_trains_one_network(state):
    state('backbone = ["resnet34", "vgg16"]')
    with pytest.raises(UsageError, match="names 2 default networks"):
        _fill_network({}, None, quiet=True)


def test_a_command_uses_and_names_them(state, tmp_path):
    state('heads = "prior"')
    result = CliRunner().invoke(app, ["fit", str(tmp_path / "none.h5")])
    assert "default of bottleneck.toml in the current folder: heads prior" in " ".join(
        result.output.split()
    )
