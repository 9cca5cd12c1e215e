"""Every command with ``--licence-policy`` refuses before it computes, downloads or writes."""

from __future__ import annotations

import dataclasses
import socket

import pytest
from made_features import make_features
from typer.testing import CliRunner

from bottleneck.cli.command_line import app
from bottleneck.data.phantom.image_files import save_new_images
from bottleneck.deploy.fit import fit
from bottleneck.evaluation.compare import compare
from bottleneck.report.page import write_report

NAME = "timm/convnextv2_atto.fcmae"
OF_WEIGHTS = {
    "extract": ["extract", "phantom", "--backbone", "resnet18", "--backbone", NAME],
    "finetune": ["finetune", "phantom", "--backbone", NAME],
    "leakage": ["leakage", "phantom", "--backbone", NAME],
    "demo": ["demo", "--backbone", NAME],
    "run": ["run", "study.toml", "--data", "phantom"],
    "fit": ["fit", "scans.h5", "--head", "lda"],
    "compare": ["compare", "scans.h5", "--head", "lda"],
    "new FC": ["finetune", "scans.h5", "--backbone", "new_fc"],
    "predict": ["predict", "lda.skops", "new", "--output", "new/predictions.csv"],
    "explain": ["explain", "lda.skops", "new"],
    "recalibrate": ["recalibrate", "lda.skops", "scans.h5"],
    "export": ["export", "lda.skops"],
    "app": ["app", "lda.skops"],
}
STUDY = f"""
title = "two arms"
[[protocols]]
name = "by patient"
kind = "cv"
folds = 2
[[arms]]
name = "first"
kind = "trained"
backbone = "small_cnn"
[[arms]]
name = "second"
backbone = "{NAME}"
head = "svm"
"""


def _features():
    made = make_features(n_patients=20, images=1)
    weights = {"name": "imagenet", "source": "timm/x", "sha256": None, "licence": "cc-by-nc-4.0"}
    return dataclasses.replace(made, provenance={**made.provenance, "weights": weights})


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    features = _features()
    features.save(folder / "scans.h5")
    fit(features, "lda").save(folder / "lda.skops")
    save_new_images(folder / "new", n_patients=2, seed=1)
    (folder / "study.toml").write_text(STUDY)
    return folder


def _list(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def _refuse(place, monkeypatch, arguments):
    def connect(*_):
        raise AssertionError("nothing is downloaded before the licence is known")

    monkeypatch.chdir(place)
    monkeypatch.setenv("BOTTLENECK_WEIGHTS", str(place / "weights"))
    monkeypatch.setattr(socket.socket, "connect", connect)
    before = _list(place)
    result = CliRunner().invoke(app, [*arguments, "--licence-policy", "commercial"])
    assert result.exit_code == 2, result.output
    assert "does not allow commercial use" in " ".join(result.output.split())
    assert _list(place) == before


@pytest.mark.parametrize("command", OF_WEIGHTS)
def test_a_command_refuses_before_it_writes(place, monkeypatch, command):
    _refuse(place, monkeypatch, OF_WEIGHTS[command])


@pytest.mark.slow
def test_an_explanation_of_a_report_refuses_before_it_writes(place, monkeypatch):
    write_report(compare(_features(), heads=("lda",)), place / "report")
    _refuse(place, monkeypatch, ["explain", "report"])
