"""``bottleneck leakage``: its output and its errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from bottleneck.checks.check_warnings import RANDOM_WEIGHTS
from bottleneck.cli.command_line import app

QUICK = ["--weights", "random", "--batch-size", "4", "--precision", "fp32"]
SMALL = ["--copies", "1", "--folds", "3", "--repeats", "2", "--jobs", "1"]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a manifest of six patients, two images each."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = ["file,diagnosis,patient"]
    for number in range(12):
        Image.fromarray(rng.integers(0, 256, (24, 24), np.uint8)).save(f"{number:02d}.png")
        label = ("benign", "malignant")[number // 2 % 2]
        rows.append(f"{number:02d}.png,{label},Q{number // 2}")
    Path("labels.csv").write_text("\n".join(rows))
    return tmp_path


COLUMNS = ["labels.csv", "--path-column", "file", "--label-column", "diagnosis"]


def test_one_table_by_one_command(here: Path) -> None:
    result = run("leakage", *COLUMNS, *QUICK, *SMALL, "--noise", "4", "--name", "mine")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("BF303 random weights: the figures are meaningless\n")
    lines = result.stdout.splitlines()
    assert max(len(line) for line in lines if "leakage/features" not in line) <= 80
    said = " ".join(result.stdout.split())
    assert "by image (leaks)" in said
    assert "mine-augmented-x2-flip-rotation15-noise4, 12 images of 6 patients" in said
    assert "Of 24 test images" in said
    assert "positive class: malignant; mean of 2 repeats of 3 folds" in said
    assert "Q0" not in result.output
    table = pd.read_csv(here / "leakage" / "leakage.csv")
    assert table["honest"].tolist() == [False, False, True, True]
    assert table["n_tested"].tolist() == [24, 12, 12, 12]
    for name in ("leakage.csv", "leakage.md"):
        assert "random weights" in (here / "leakage" / name).read_text()
    for mean, spread in zip(table["auroc"], table["auroc_sd"], strict=True):
        assert f"| {mean:.3f} ±{spread:.3f} |" in (here / "leakage" / "leakage.md").read_text()
        assert f"{mean:.3f}" in said

    same = ["leakage", *COLUMNS, *QUICK, *SMALL, "--noise", "4", "--name", "mine", "--quiet"]
    refused = run(*same)
    assert refused.exit_code == 2
    assert "leakage.json exists: replace it with --overwrite" in " ".join(refused.stderr.split())

    # Everything is there already, and nothing but the result is said.
    again = run(*same, "--overwrite")
    assert "nothing to do: all 24 images are known" in again.stdout
    assert again.stderr == ""
    assert again.stdout.splitlines()[3:] == lines[3:]

    (here / "leakage" / "leakage.md").unlink()
    (here / "leakage" / "leakage.md").mkdir()
    blocked = run(*same, "--overwrite")
    assert blocked.exit_code == 2
    message = " ".join(blocked.stderr.split())
    assert (
        "leakage.md cannot be written to 'leakage': it is a folder, but a file is needed" in message
    )
    assert "Written to leakage: leakage.json, leakage.csv; they hold the same" in message
    (copy,) = here.glob("leakage-*")
    assert f"A copy of all results is in {copy.name}" in message
    written = {path.name for path in copy.iterdir()}
    assert written == {"leakage.json", "leakage.csv", "leakage.md"}


def test_json_is_all_there_is_on_stdout(here: Path) -> None:
    options = [*QUICK, *SMALL, "--repeats", "1", "--no-flip", "--rotation", "0", "--output", "out"]
    result = run("leakage", *COLUMNS, *options, "--head", "logistic", "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts == json.loads((here / "out" / "leakage.json").read_text())
    assert [row["honest"] for row in facts["rows"]] == [False, False, True, True]
    assert facts["rows"][0]["image_known"] > 0
    assert facts["rows"][2]["patient_known"] == facts["rows"][3]["patient_known"] == 0
    assert facts["rows"][2]["figures"]["auroc"]["sd"] is None
    assert facts["warnings"] == [RANDOM_WEIGHTS.to_dict()]
    assert "logistic" in facts["head"]
    assert str(here) not in result.stdout
    assert "Q0" not in result.stdout


def test_bad_input_is_refused_before_anything_is_extracted(here: Path) -> None:
    anonymous = Path("labels.csv").read_text().replace("patient", "scanner")
    Path("anonymous.csv").write_text(anonymous)
    Path("file").touch()
    for arguments, phrase in (
        (["nowhere", *QUICK], "nowhere"),
        (["anonymous.csv", *COLUMNS[1:], *QUICK], "names no patients"),
        ([*COLUMNS, *QUICK], "too few for 5 folds"),
        (
            [*COLUMNS, *QUICK, *SMALL, "--copies", "0"],
            "a whole number from 1 to 10,000, not 0",
        ),
        ([*COLUMNS, *QUICK, *SMALL, "--copies", "2000"], "24012 images, including copies"),
        ([*COLUMNS, *QUICK, *SMALL, "--rotation", "200"], "rotation must be a number"),
        ([*COLUMNS, *QUICK, *SMALL, "--head", "forest"], "unknown head 'forest'"),
        ([*COLUMNS, *QUICK, *SMALL, "--positive", "yes"], "unknown positive label 'yes'"),
        ([*COLUMNS, *QUICK, *SMALL, "--output", "file"], "choose another with --output"),
    ):
        result = run("leakage", *arguments)
        assert result.exit_code == 2, result.output
        assert "Traceback" not in result.output
        assert phrase in " ".join(result.stderr.split())
        assert not Path("leakage", "features").exists()
