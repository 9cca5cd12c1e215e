"""Trained networks in an ONNX file give the probabilities of ``TrainedModel.predict``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.decode import decode
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.export.classifier.classifier_building import build_classifier
from bottleneck.export.targets.onnx_file import OnnxFile
from bottleneck.finetune.trained_arm import Trained


@pytest.mark.slow
@pytest.mark.parametrize("network", ["mean", "fold-1"])
def test_pictures_are_predicted_as_by_the_package(
    trained: Trained, dataset: ImageDataset, backbone: Backbone, network: str, tmp_path: Path
) -> None:
    model = TrainedModel(trained.path, backbone=backbone)
    OnnxFile(trained.path).write(build_classifier(model, network=network), model, tmp_path)
    read = OnnxFile().read(tmp_path)
    made = model.predict(dataset, network=network, features=tmp_path).predictions
    assert made.probabilities is not None
    for number, sample in enumerate(dataset.samples[:6]):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.asarray(decode(dataset.read(sample)))).save(path)
        np.testing.assert_allclose(read(path), made.probabilities[number], rtol=0, atol=1e-5)
