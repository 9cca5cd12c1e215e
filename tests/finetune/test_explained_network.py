"""Maps of trained networks, which are exact where a linear layer takes an average."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small import PROTOCOL, quick, small_backbone

from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import ImageDataset
from bottleneck.deploy.trained.split_networks import split_network
from bottleneck.errors import ModelError, UsageError
from bottleneck.explain.maps.gradients.explained_network import ExplainedNetwork, at_last_map
from bottleneck.explain.maps.heat_map import HeatMap
from bottleneck.explain.maps.map_methods import choose_map_method, make_maps
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features
from bottleneck.finetune.cross_validate import train_on_features
from bottleneck.finetune.networks.architectures import ARCHITECTURES
from bottleneck.finetune.networks.classifier import wrap
from bottleneck.finetune.trained_arm import Trained
from bottleneck.finetune.training_folder.trained_folder import (
    NetworkRecord,
    TrainedFolder,
    TrainingRecord,
)


def pixels_of(photos: Path, explained: ExplainedNetwork, names: list[str]) -> np.ndarray:
    opened = [Image.open(photos / name).convert("RGB") for name in names]
    return np.stack([explained.preprocessing.pixels(one) for one in opened])


def stacked(maps: list[HeatMap]) -> np.ndarray:
    return np.stack([one.values for one in maps])


def test_decisions_of_a_fold_are_its_predictions(trained: Trained, photos: Path) -> None:
    rows = TrainedFolder(trained.path).predictions()[0]
    for fold in range(3):
        explained = ExplainedNetwork.load(
            trained.path, f"fold-{fold + 1}", backbone=small_backbone()
        )
        test = rows.take(rows.folds == fold)
        decisions = explained.decisions(pixels_of(photos, explained, test.ids.tolist()))
        np.testing.assert_allclose(1 / (1 + np.exp(-decisions)), test.scores, atol=1e-5)
        assert f"the network fold-{fold + 1} of" in explained.words


def test_maps_of_a_network_are_exact_and_those_of_the_mean_are_the_mean(
    trained: Trained, photos: Path
) -> None:
    names = ["mean", "fold-1", "fold-2", "fold-3"]
    mean, *folds = (
        ExplainedNetwork.load(trained.path, name, backbone=small_backbone()) for name in names
    )
    assert ExplainedNetwork.load(trained.path, backbone=small_backbone()).name == "mean"
    pixels = pixels_of(photos, mean, ["000.png", "002.png", "004.png"])
    made = {}
    for method in ("exact", "grad-cam"):
        each = [make_maps(one, pixels, "malignant", method) for one in [mean, *folds]]
        made[method] = stacked(each[0])
        expected = np.mean([stacked(one) for one in each[1:]], axis=0)
        np.testing.assert_allclose(made[method], expected, atol=1e-5)
        decisions = [one.decision for one in each[0]]
        np.testing.assert_allclose(decisions, mean.decisions(pixels)[:, 1], atol=1e-6)
    # The classifier standardises nothing, so that both maps are measured from 0.
    np.testing.assert_allclose(made["exact"], made["grad-cam"], atol=1e-5)
    for one in make_maps(mean, pixels, "benign"):
        assert one.intercept is not None
        assert abs(one.values.mean() + one.intercept - one.decision) < 1e-5
    assert choose_map_method(mean).name == "exact"
    assert "3 networks of the folds" in mean.words
    assert repr(mean) == "<ExplainedNetwork mean of small: classes benign, malignant; on cpu>"


def test_what_does_not_exist_is_refused(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown network 'fold-9'"):
        ExplainedNetwork.load(trained.path, "fold-9", backbone=small_backbone())
    with pytest.raises(ModelError, match="cannot be built by its name"):
        ExplainedNetwork.load(trained.path)
    with pytest.raises(ModelError, match="holds no trained networks"):
        ExplainedNetwork.load(tmp_path)
    with pytest.raises(UsageError, match="unknown device 'gpu'"):
        ExplainedNetwork.load(trained.path, device="gpu")


def test_a_classifier_on_features_has_grad_cam(
    dataset: ImageDataset, backbone: Backbone, photos: Path, tmp_path: Path
) -> None:
    run = extract(dataset, backbone, output=tmp_path, precision="fp32", device="cpu")
    config = quick(backbone="new_fc", epochs=1)
    (trained,) = train_on_features(
        load_features(run.path), config, protocol=PROTOCOL, output=tmp_path / "run"
    )
    explained = ExplainedNetwork.load(trained.path, "fold-1", backbone=backbone)
    rows = trained.predictions.take(trained.predictions.folds == 0)
    pixels = pixels_of(photos, explained, rows.ids.tolist())
    decisions = explained.decisions(pixels)
    np.testing.assert_allclose(1 / (1 + np.exp(-decisions)), rows.scores, atol=1e-5)
    choice = choose_map_method(explained)
    assert choice.name == "grad-cam"
    assert "new_fc on small is not one linear layer" in choice.words
    assert make_maps(explained, pixels[:2], "benign")[0].values.shape == (3, 3)


def of_architecture(name: str, n_classes: int) -> tuple[ExplainedNetwork, torch.nn.Module]:
    architecture = ARCHITECTURES[name]
    torch.manual_seed(0)
    network = wrap(architecture.build(n_classes), architecture.preprocessing).eval()
    stated = NetworkRecord(
        backbone=name, weights="random", preprocessing=architecture.preprocessing
    )
    record = TrainingRecord.__new__(TrainingRecord)
    object.__setattr__(record, "network", stated)
    object.__setattr__(record, "name", name)
    member = at_last_map(split_network(network, record, "fold-1"))
    classes = tuple("abc"[:n_classes])
    return ExplainedNetwork((member,), classes, "fold-1", "made"), network


@pytest.mark.parametrize(
    "name",
    [
        "small_cnn",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ARCHITECTURES if one != "small_cnn"),
    ],
)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_an_architecture_is_split_at_its_last_map(name: str, n_classes: int) -> None:
    explained, network = of_architecture(name, n_classes)
    side = explained.preprocessing.crop
    pixels = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    with torch.inference_mode():
        logits = network(torch.from_numpy(pixels)).double().numpy()
    if n_classes == 2:
        logits = (logits[:, 1:] - logits[:, :1]) * [[-1, 1]]
    scale = np.abs(logits).max()
    np.testing.assert_allclose(explained.decisions(pixels), logits, atol=1e-4 * max(1, scale))
    method = choose_map_method(explained).name
    dense = ("small_cnn", "torchvision/alexnet", "torchvision/vgg16")
    assert method == ("grad-cam" if name in dense else "exact")
    for one in make_maps(explained, pixels, "b"):
        assert min(one.values.shape) > 4
        assert np.ptp(one.values) > 0
        if one.intercept is not None:
            assert abs(one.values.mean() + one.intercept - one.decision) < 1e-5 * max(1, scale)
