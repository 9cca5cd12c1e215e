"""``bottleneck finetune``."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bottleneck.cli.command_line import app
from bottleneck.predictions.prediction_tables import read_predictions

FEW = ["--folds", "2", "--epochs", "1", "--batch-size", "8", "--device", "cpu", "--workers", "0"]


@pytest.fixture
def classes(photos: Path, tmp_path: Path) -> Path:
    """The images in one folder per class."""
    for number, path in enumerate(sorted(photos.iterdir())[:24]):
        target = tmp_path / "images" / ("benign", "malignant")[number // 2 % 2]
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target / f"P{number // 2}_{number}.png")
    return tmp_path / "images"


def test_a_network_from_scratch(classes: Path, tmp_path: Path) -> None:
    config = tmp_path / "cnn.toml"
    config.write_text('backbone = "small_cnn"\nprecision = "fp32"\nepochs = 9\n')
    output = tmp_path / "trained"
    command = ["finetune", str(classes), "--patient-pattern", r"(P\d+)_", "--output", str(output)]
    done = CliRunner().invoke(app, [*command, "--config", str(config), *FEW])
    assert done.exit_code == 0, done.output
    assert "small_cnn (from scratch), seed 0" in done.stdout
    assert "1,212,578 of 1,212,578 parameters trained" in done.stdout
    test, validation = read_predictions(output / "predictions.csv")
    assert len(test) == 24
    assert validation is not None
    record = json.loads((output / "training.json").read_text())
    assert [len(fold["curve"]) for fold in record["folds"]] == [1, 1]

    again = CliRunner().invoke(app, [*command, "--config", str(config), *FEW, "--json", "--quiet"])
    (told,) = json.loads(again.stdout)["arms"]
    assert told["folds"] == record["folds"]
    refused = CliRunner().invoke(app, [*command, *FEW, "--backbone", "small_cnn"])
    assert refused.exit_code == 2
    said = " ".join(refused.output.split())
    assert "holds another training: option precision fp32 there" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backbone", "resnet99"], "unknown backbone 'resnet99'"),
        (["--loss", "hinge"], "unknown loss 'hinge'"),
        (
            ["--workers", "many"],
            "a whole number from 0 to 1,024, or auto, not 'many'",
        ),
        (["--class-weights", "benign=x"], "'x' is not a number"),
        (["--seeds", "0", "--backbone", "small_cnn"], "seeds must be a whole number from 1"),
        (["--backbone", "new_fc"], "trained on features: name a feature file"),
    ],
)
def test_bad_input_ends_with_2(
    classes: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    command = ["finetune", str(classes), "--output", str(tmp_path / "o"), *FEW, *options]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())


def test_help_does_without_torch_and_lightning() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; "
        "from bottleneck.cli.command_line import app; "
        "r = CliRunner().invoke(app, ['finetune', '--help']); "
        "assert r.exit_code == 0 and '--unfreeze' in r.output; "
        "assert not {'torch', 'lightning', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
