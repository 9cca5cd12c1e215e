"""``bottleneck recalibrate``: what it prints, writes, refuses and leaves as it was."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from made_features import make_features
from typer.testing import CliRunner, Result

from bottleneck.cli.command_line import app
from bottleneck.deploy.fit import fit
from bottleneck.deploy.models.model_file import read_model
from bottleneck.report.prediction_summary import describe_origin

OLD = "models/old.skops"


def make_cases():
    """The classes of the model's own data set, with other noise, and moved."""
    made = make_features(n_patients=50, dataset={"name": "our clinic", "fingerprint": "e" * 64})
    noise = np.random.default_rng(1).normal(size=made.X.shape) + 0.4
    return dataclasses.replace(made, X=made.X + noise.astype(np.float32))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model; every feature file that is read holds the cases."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bottleneck.features.file.reader.load_features", lambda path: make_cases())
    Path("models").mkdir()
    fit(make_features(n_patients=50), "lda", at_sensitivity=0.9).save(OLD)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["recalibrate", OLD, "ours.h5", *arguments])


def refused(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.stderr.split())


def test_old_and_new_figures_stand_side_by_side_and_the_model_is_a_new_file(here):
    before = Path(OLD).read_bytes()
    result = run()
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    assert "old model" in text
    assert "cross-validated" in text
    for name in ("AUROC", "Brier score", "Calibration slope", "Calibration intercept", "Log loss"):
        assert name in text
    assert "the log loss" in text
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "reflect the proportions of these cases (50 'benign', 50 'malignant')" in " ".join(
        result.stderr.split()
    )
    assert Path(OLD).read_bytes() == before
    new = Path("models/old--recalibrated.skops")
    assert str(new) in result.stdout
    (record,) = read_model(new).recalibrations
    assert record["dataset"] == "our clinic"
    assert "already: name the file for the model with --output" in refused()
    second = CliRunner().invoke(app, ["recalibrate", str(new), "ours.h5", "-q"])
    assert second.exit_code == 0, second.output
    assert len(read_model("models/old--recalibrated-2.skops").recalibrations) == 2


def test_json_is_the_record_and_the_path(here):
    made = json.loads(run("--json", "--what", "threshold", "--output", "t.skops", "-q").stdout)
    assert made["path"] == "t.skops"
    assert made["what"] == "threshold"
    assert set(made["before"]) == {"sensitivity", "specificity", "ppv", "npv"}
    assert read_model("t.skops").operating_point.threshold == made["threshold_after"]


def test_the_old_model_is_replaced_only_by_its_name_and_whole(here, monkeypatch):
    before = Path(OLD).read_bytes()

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("bottleneck.deploy.models.model.write_whole", full)
        assert "No space left" in refused("--output", OLD)
    assert Path(OLD).read_bytes() == before
    assert sorted(path.name for path in Path("models").iterdir()) == ["old.skops"]
    assert run("--output", OLD).exit_code == 0
    assert len(read_model(OLD).recalibrations) == 1


def test_wrong_uses_are_refused_in_words(here):
    assert "part of a model to recalibrate" in refused("--what", "slope")
    assert "models is a folder" in refused("--output", "models")
    assert "ends in .skops, not 'new.h5'" in refused("--output", "new.h5")
    assert "seed" in refused("--seed", "-1")
    gone = CliRunner().invoke(app, ["recalibrate", "none.skops", "ours.h5"])
    assert gone.exit_code == 2
    folder = CliRunner().invoke(app, ["recalibrate", "models", "ours.h5"])
    assert "takes the file of a model that fit wrote" in " ".join(folder.stderr.split())
    assert [path.name for path in Path("models").iterdir()] == ["old.skops"]


def test_inspect_shows_every_recalibration(here):
    assert run("--output", "new.skops").exit_code == 0
    text = CliRunner().invoke(app, ["inspect", "new.skops"]).stdout
    text = " ".join(text.split())
    assert "probabilities, on our clinic (benign 50 images of 25 patients, malignant" in text
    assert "after it (cross-validated)" in text
    assert "{'" not in text
    origin = " ".join(describe_origin(read_model("new.skops")))
    assert "It was recalibrated: 20" in origin
    assert "on our clinic" in origin
