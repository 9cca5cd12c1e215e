"""What compare ends with: the command that fits its best arm, run as it is printed."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from made_features import make_features
from typer.testing import CliRunner, Result

from bottleneck.cli.command_line import app
from bottleneck.deploy.models.model_file import read_model

OWN = """
from sklearn.linear_model import LogisticRegression
from bottleneck import Head
stiff = Head(LogisticRegression(), {"C": [0.01, 1.0]}, name="stiff")
"""
CHOOSING = ["--exclude", "bad ones.txt", "--merge", "soft=benign+soft cyst"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_inputs()
    return tmp_path


def write_inputs() -> None:
    """Write features, an exclusion list and a module with a head into the current folder."""
    features = make_features(n_patients=30, classes=("benign", "malignant", "soft cyst"))
    features.save("features/my scans.h5")
    Path("bad ones.txt").write_text("image-000\nimage-007\n")
    Path("stiff_heads.py").write_text(OWN)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which ``compare`` was run, and its output."""
    folder = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_inputs()
        made = run("compare", "--head", "lda", "--folds", "3", *CHOOSING, "--jobs", "1", "-q")
        Path("output.txt").write_text(made.stdout)
    return folder


@pytest.fixture
def command(made_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command that ``compare`` printed, to be run in a copy of the folder."""
    shutil.copytree(made_once, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return [*command_of(Path("output.txt").read_text())[1:], "--jobs", "1"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def command_of(output: str) -> list[str]:
    lines = output[output.index("  bottleneck fit") :].splitlines()
    last = next(n for n, line in enumerate(lines) if not line.endswith("\\"))
    return shlex.split(" ".join(line.removesuffix("\\") for line in lines[: last + 1]))


@pytest.mark.parametrize(
    "options",
    [
        ["--head", "lda", "--head", "ridge", *CHOOSING],
        ["--head", "stiff_heads:stiff", "--positive", "malignant", "--seed", "2"],
        ["--head", "lda", "--unit", "patient", "--aggregate", "max", *CHOOSING],
        pytest.param(
            ["--head", "lda", "--classes", "malignant,soft cyst", "--output", "my report"],
            marks=pytest.mark.slow,
        ),
        pytest.param(["--head", "lda"], marks=pytest.mark.slow),
    ],
)
def test_the_printed_command_is_accepted_and_keeps_the_figure(
    here: Path, options: list[str]
) -> None:
    compared = run("compare", *options, "--folds", "3", "--quiet", "--jobs", "1")
    assert compared.exit_code == 0, compared.output
    assert max(map(len, compared.stdout.splitlines())) <= 80
    report = "my report" if "my report" in options else "report"
    assert compared.stdout.splitlines()[-1] == f"Report: {report}/report.html"
    command = command_of(compared.stdout)
    fitted = run(*command[1:], "--jobs", "1", "--quiet")
    assert fitted.exit_code == 0, fitted.output
    (path,) = (here / "models").iterdir()
    kept = read_model(path).comparison
    assert kept is not None
    arms = json.loads((here / report / "results.json").read_text())["arms"]
    images = [arm for arm in arms if arm["head"] not in ("prior", "metadata")]
    best = max(images, key=lambda arm: arm["metrics"]["auroc"]["value"])
    assert (kept.arm, kept.auroc.value) == (best["name"], best["metrics"]["auroc"]["value"])
    assert f"{kept.auroc.value:.3f}" in fitted.stdout
    if best["operating_points"]:
        tested = best["operating_points"][0]["metrics"]["specificity"]["value"]
        assert kept.operating_point is not None
        assert kept.operating_point.metrics["specificity"].value == tested
    for name in ("--seed", "--unit", "--exclude", "--classes"):
        assert (name in command) == (name in options)


def test_a_command_that_was_changed_is_refused(command: list[str]) -> None:
    for change, words in (
        (["--seed", "1"], "--seed 0, but this model has --seed 1"),
        (["--unit", "patient"], "--unit image"),
        (["--conflicts", "keep"], "--conflicts drop"),
        (["--comparison", "none"], "none cannot be read"),
        (["--comparison", "features"], "holds no results.json"),
    ):
        refused = run(*command, *change)
        assert refused.exit_code == 2, change
        assert words in " ".join(refused.stderr.split())
    for more in (["--head", "ridge"], ["--head", "prior"]):
        assert run(*command, *more).exit_code == 2  # Of several heads, none is saved.
    Path("m.skops").write_bytes(b"")
    assert "m.skops is a model, where" in run("fit", "m.skops", "--jobs", "1").stderr
    other = [word if word != "lda" else "ridge" for word in command]
    assert "this comparison evaluated lda on these" in run(*other).stderr
    at = command.index("--exclude")
    refused = run(*command[:at], *command[at + 2 :])
    assert "give fit the same --exclude" in " ".join(refused.stderr.split())
    assert not list(Path("models").iterdir())


def test_a_target_that_was_not_evaluated_is_said(command: list[str]) -> None:
    command += ["--at-sensitivity", "0.8"]
    fitted = " ".join(run(*command, "--positive", "malignant", "--jobs", "1", "-q").stdout.split())
    assert "compare --at-sensitivity 0.8 evaluates this threshold too" in fitted


def test_labels_that_changed_since_are_another_data_set(command: list[str]) -> None:
    features = make_features(n_patients=30, classes=("benign", "malignant", "soft cyst"))
    y = np.where(features.ids == "image-002", "benign", features.y)
    moved = make_features(n_patients=30, classes=("benign", "malignant", "soft cyst"), y=y)
    moved.save("features/my scans.h5", overwrite=True)
    refused = run(*command)
    assert refused.exit_code == 2
    assert "have other ids, labels or patients" in " ".join(refused.stderr.split())
