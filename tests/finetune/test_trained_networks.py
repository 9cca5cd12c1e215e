"""Trainings of every kind in use: what their networks predict, and what a training leaves out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small import PROTOCOL, evaluated, quick, small_backbone

from bottleneck import load_model
from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.splits.protocol import Protocol
from bottleneck.deploy.trained.network_calibration import deploy_networks
from bottleneck.deploy.trained.network_choice import choose_network
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.errors import ModelError, ProtocolError
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features
from bottleneck.finetune.cross_validate import finetune, train_on_features
from bottleneck.finetune.trained_arm import Trained
from bottleneck.finetune.training_folder.trained_folder import TrainedFolder


def test_a_classifier_on_features_takes_features_and_images(
    dataset: ImageDataset, backbone: Backbone, tmp_path: Path
) -> None:
    file = extract(dataset, backbone, output=tmp_path / "f", precision="fp32").path
    config = quick(backbone="new_fc", epochs=1)
    (trained,) = train_on_features(
        load_features(file), config, protocol=PROTOCOL, output=tmp_path / "run"
    )
    told = evaluated(trained).predictions
    model = load_model(tmp_path / "run")
    assert isinstance(model, TrainedModel)
    rows = told.take(told.folds == 0)
    for given, options in ((file, {}), (dataset, {"backbone": backbone})):
        made = model.predict(given, network="fold-1", features=tmp_path / "n", **options)
        at = [made.predictions.ids.tolist().index(i) for i in rows.ids.tolist()]
        assert made.predictions.probabilities is not None
        difference = made.predictions.probabilities[at] - rows.probabilities
        assert np.abs(difference).max() < 1e-6
        assert "this needs 20 training patients or more" in made.notes[-1]
    with pytest.raises(ModelError, match="no network was trained on all samples"):
        model.predict(file, network="refit")


@pytest.mark.slow
def test_a_single_test_set(dataset: ImageDataset, backbone: Backbone, tmp_path: Path) -> None:
    table = pd.DataFrame({"id": [s.id for s in dataset.samples[:12]], "repeat": 0, "fold": 0})
    table.to_csv(tmp_path / "folds.csv", index=False)
    options = {
        "backbone": backbone,
        "folds_from": tmp_path / "folds.csv",
        "output": tmp_path / "run",
    }
    with pytest.raises(ProtocolError, match=r"for several folds.*leave out --refit"):
        finetune(dataset, quick(epochs=1), refit=True, **options)
    finetune(dataset, quick(epochs=1), **options)
    model = load_model(tmp_path / "run", backbone=backbone)
    assert isinstance(model, TrainedModel)
    assert model.networks == ("fold-1",)
    assert model.predict(dataset, features=tmp_path).network == "fold-1"


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"backbone": "timm/test_resnet", "precision": "bf16"},
        {"backbone": "timm/test_resnet", "unfreeze": "last", "freeze_norm": True, "pooling": "gem"},
        {"backbone": "timm/test_vit", "unfreeze": "head", "pooling": "max"},
        {"backbone": "timm/test_efficientnet", "precision": "bf16"},
        {"backbone": "timm/test_convnext", "mask_text": True, "denoise": "median"},
        {"backbone": "small_cnn"},
        {"backbone": "torchvision/mobilenet_v2"},
    ],
    ids=lambda options: options["backbone"].rpartition("/")[2],
)
def test_every_kind_of_network_predicts_what_compare_evaluates(
    dataset: ImageDataset, tmp_path: Path, options: dict[str, Any]
) -> None:
    config = quick(epochs=1, weights="random", **options)
    protocol = Protocol(n_splits=2)
    (trained,) = finetune(dataset, config, protocol=protocol, output=tmp_path / "run")
    told = evaluated(trained).predictions
    model = load_model(trained.path)
    assert isinstance(model, TrainedModel)
    for fold in range(2):
        rows = told.take(told.folds == fold)
        made = model.predict(dataset, network=f"fold-{fold + 1}", features=tmp_path)
        at = [made.predictions.ids.tolist().index(one) for one in rows.ids.tolist()]
        assert made.predictions.probabilities is not None
        assert rows.probabilities is not None
        difference = made.predictions.probabilities[at] - rows.probabilities
        assert np.abs(difference).max() < (1e-6 if config.precision == "fp32" else 1e-3)


@pytest.mark.slow
def test_a_network_of_another_publisher_keeps_its_strides(
    dataset: ImageDataset, tmp_path: Path
) -> None:
    import torch

    from bottleneck.backbones.backbone import load_backbone
    from bottleneck.backbones.catalogue import find_encoder
    from bottleneck.backbones.layouts.key_maps import layouts_of

    backbone = load_backbone("resnet50", weights="random")
    (keras,) = (one for one in layouts_of(find_encoder("resnet50")) if one.variant == "keras")
    assert keras.adapt is not None
    keras.adapt(backbone.network)
    backbone.weights = dataclasses.replace(backbone.weights, name="made", variant="keras")
    (trained,) = finetune(
        dataset,
        quick(epochs=1, unfreeze="head"),
        backbone=backbone,
        protocol=Protocol(n_splits=2),
        output=tmp_path / "run",
    )
    folder = TrainedFolder(trained.path)
    again = folder.network(folder.record.folds[0])
    pixels = torch.randint(0, 256, (1, 224, 224, 3), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(again.features(pixels), backbone.embed(pixels))


@pytest.mark.slow
def test_a_network_of_all_samples_is_continued(
    trained: Trained, dataset: ImageDataset, tmp_path: Path
) -> None:
    def interrupt(done: int, total: int, text: str) -> None:
        if "all samples" in text and "epoch 2" in text:
            raise KeyboardInterrupt

    options: dict[str, Any] = {
        "backbone": small_backbone(),
        "protocol": PROTOCOL,
        "refit": True,
        "output": tmp_path / "run",
    }
    with pytest.raises(KeyboardInterrupt):
        finetune(dataset, quick(), progress=interrupt, **options)
    assert (tmp_path / "run" / "refit" / "last.ckpt").exists()
    with pytest.raises(ModelError, match=r"not finished \(3 folds done\)"):
        load_model(tmp_path / "run")
    finetune(dataset, quick(), **options)
    for name in ("refit.csv", "predictions.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (trained.path / name).read_bytes()


def test_patients_who_share_copies_count_once(
    dataset: ImageDataset, backbone: Backbone, tmp_path: Path
) -> None:
    twin = dataclasses.replace(dataset.samples[0], id="twin", group="another")
    dataset = dataclasses.replace(dataset, samples=(*dataset.samples, twin))
    (trained,) = finetune(
        dataset,
        quick(epochs=1),
        backbone=backbone,
        protocol=Protocol(n_splits=2),
        output=tmp_path / "run",
    )
    folder = TrainedFolder(trained.path)
    n_patients = len({s.group for s in dataset.samples})
    for unit in ("image", "patient"):
        deployed = deploy_networks(
            folder, choose_network(folder.record, "mean"), "malignant", unit=unit
        )
        assert sum(deployed.conformal.patients) == n_patients - 1
    splits = pd.read_csv(trained.path / "splits.csv")
    own_name = {"group": {"another": dataset.samples[0].group}}
    patients = splits[splits["part"] == "train"].replace(own_name)
    for fold in folder.record.folds:
        kept = folder.reference(fold)
        own = patients[patients["fold"] == fold.fold]
        assert kept is not None
        assert kept[1].max() + 1 == own["group"].nunique()
