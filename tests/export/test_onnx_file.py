"""An ONNX file and its program give the probabilities of ``Model.predict``, from a picture on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from PIL import Image
from test_exported_classifier import fitted, pictures

from bottleneck import Model
from bottleneck.backbones.backbone import Backbone
from bottleneck.errors import DecodeError
from bottleneck.evaluation.metrics.operating_points import OperatingThreshold
from bottleneck.export.classifier.classifier_building import build_classifier
from bottleneck.export.targets.onnx_file import OnnxFile
from bottleneck.testing import tiny_backbone


class Exported(NamedTuple):
    """A model and the folder of its export."""

    model: Model
    backbone: Backbone
    folder: Path


# torch takes seconds to write the file.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    backbone = tiny_backbone()
    model = fitted("svm")
    assert model.positive is not None
    point = OperatingThreshold("sensitivity", 0.9, -0.4, 0.9, 0.5)
    licensed = {"name": "tiny", "licence": "apache-2.0"}
    model = dataclasses.replace(model, operating_point=point, weights=licensed)
    folder = tmp_path_factory.mktemp("export")
    saved = model.save(folder.with_suffix(".skops"))
    OnnxFile(saved).write(build_classifier(model, backbone=backbone), model, folder)
    return Exported(model, backbone, folder)


def _files(folder: Path) -> list[Path]:
    """Write pictures of several sizes."""
    paths = []
    for number, size in enumerate([(20, 28), (45, 33), (16, 16), (130, 97)]):
        paths.append(folder / f"{number}.png")
        Image.fromarray(pictures(1, seed=number, size=size)[0]).save(paths[-1])
    return paths


def test_pictures_are_predicted_as_by_the_package(exported: Exported, tmp_path: Path) -> None:
    paths = _files(tmp_path)
    made = exported.model.predict(paths, backbone=exported.backbone, features=tmp_path)
    read = OnnxFile().read(exported.folder)
    given = np.stack([read(path) for path in paths])
    np.testing.assert_allclose(given, made.predictions.probabilities, rtol=0, atol=1e-6)
    assert np.ptp(given[:, 0]) > 0.01


def test_a_picture_that_cannot_be_read_is_refused(exported: Exported, tmp_path: Path) -> None:
    path = tmp_path / "small.png"
    Image.new("L", (3, 4)).save(path)
    read = OnnxFile().read(exported.folder)
    with pytest.raises(DecodeError, match="3×4 pixels"):
        read(path)


def test_the_program_prints_probabilities_and_decisions(exported: Exported, tmp_path: Path) -> None:
    paths = _files(tmp_path)
    made = exported.model.predict(paths, backbone=exported.backbone, features=tmp_path)
    command = [sys.executable, exported.folder / "predict.py", *paths]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    rows = [line.split("\t") for line in printed.stdout.splitlines()[1:]]
    assert [row[-1] for row in rows] == made.decided.decisions.tolist()
    probabilities = np.array([row[1:-1] for row in rows], dtype=float)
    np.testing.assert_allclose(probabilities, made.predictions.probabilities, atol=6e-5)


def test_the_file_states_the_model_and_its_licence(exported: Exported) -> None:
    model = onnx.load(exported.folder / "model.onnx")
    stated = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert stated["classes"] == list(exported.model.classes)
    assert stated["positive"] == exported.model.positive
    assert stated["threshold"] == -0.4
    assert stated["weights"]["licence"] == "apache-2.0"
    saved = exported.folder.with_suffix(".skops").read_bytes()
    assert stated["model_sha256"] == hashlib.sha256(saved).hexdigest()
    assert stated["recipe_hash"] == exported.model.recipe_hash
    assert "research use only" in stated["notice"]
