"""Trained networks as one torch module: the probabilities of ``TrainedModel.predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import PROTOCOL, quick

from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.decode import decode
from bottleneck.data.splits.protocol import Protocol
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.errors import UsageError
from bottleneck.export.classifier.classifier_building import build_classifier
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features
from bottleneck.finetune.cross_validate import finetune, train_on_features
from bottleneck.finetune.trained_arm import Trained


def refuse_differences(
    model: TrainedModel, dataset: ImageDataset, network: str | None, folder: Path, **options: Any
) -> None:
    made = model.predict(dataset, network=network, features=folder, **options).predictions
    images = [decode(dataset.read(one)) for one in dataset.samples[:12]]
    pixels = np.stack([np.asarray(one) for one in images])
    classifier = build_classifier(model, network=network, **options)
    probabilities, scores = classifier(torch.from_numpy(pixels))
    assert made.probabilities is not None
    np.testing.assert_allclose(probabilities, made.probabilities[:12], rtol=0, atol=1e-5)
    np.testing.assert_allclose(scores, made.scores[:12], rtol=0, atol=1e-5)


@pytest.mark.parametrize("network", [None, "fold-2", "refit"])
def test_networks_of_a_training(
    trained: Trained,
    dataset: ImageDataset,
    backbone: Backbone,
    network: str | None,
    tmp_path: Path,
) -> None:
    model = TrainedModel(trained.path, backbone=backbone)
    refuse_differences(model, dataset, network, tmp_path)


def test_classifiers_on_features_share_their_network(
    dataset: ImageDataset, backbone: Backbone, tmp_path: Path
) -> None:
    file = extract(dataset, backbone, output=tmp_path / "f", precision="fp32").path
    config = quick(backbone="new_fc", epochs=1)
    (trained,) = train_on_features(
        load_features(file), config, protocol=PROTOCOL, output=tmp_path / "run"
    )
    model = TrainedModel(trained.path)
    refuse_differences(model, dataset, "mean", tmp_path, backbone=backbone)
    members = build_classifier(model, backbone=backbone).members
    assert len({id(one.features) for one in members}) == 1
    assert len(members) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"backbone": "timm/test_resnet", "pooling": "gem"},
        {"backbone": "timm/test_vit"},
        {"backbone": "small_cnn"},
        {"backbone": "torchvision/mobilenet_v2"},
    ],
    ids=lambda options: options["backbone"].rpartition("/")[2],
)
def test_every_kind_of_network(
    dataset: ImageDataset, tmp_path: Path, options: dict[str, Any]
) -> None:
    config = quick(epochs=1, weights="random", **options)
    (trained,) = finetune(dataset, config, protocol=Protocol(n_splits=2), output=tmp_path / "run")
    refuse_differences(TrainedModel(trained.path), dataset, None, tmp_path)


def test_trained_networks_take_no_weights(trained: Trained, backbone: Backbone) -> None:
    model = TrainedModel(trained.path, backbone=backbone)
    with pytest.raises(UsageError, match="trained networks have weights of their own"):
        build_classifier(model, weights="resnet18.pth")
