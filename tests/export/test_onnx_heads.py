"""Every head of the catalogue gives its probabilities in an ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from test_exported_classifier import fitted, pictures

from bottleneck.export.classifier.classifier_building import build_classifier
from bottleneck.export.targets.onnx_file import OnnxFile
from bottleneck.heads.head_catalogue import HEADS
from bottleneck.testing import tiny_backbone


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("head", HEADS)
def test_a_file_gives_the_probabilities_and_scores_of_predict(
    head: str, n_classes: int, tmp_path: Path
) -> None:
    backbone = tiny_backbone()
    model = fitted(head, n_classes)
    OnnxFile().write(build_classifier(model, backbone=backbone), model, tmp_path)
    images = pictures(40, seed=3)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    made = session.run(["probabilities", "scores"], {"pixels": images})
    wanted = model.predict(list(images), backbone=backbone).predictions
    np.testing.assert_allclose(made[0], wanted.probabilities, rtol=0, atol=1e-5)
    np.testing.assert_allclose(made[1], wanted.scores, rtol=1e-5, atol=1e-5)
