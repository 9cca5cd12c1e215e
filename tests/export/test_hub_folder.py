"""The folder for the hub, read by transformers and timm as its users read it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import expit

import bottleneck
from bottleneck import Protocol, load_backbone, load_model
from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.data.images.decode import decode
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.errors import DecodeError
from bottleneck.evaluation.metrics.probabilities.calibration_shift import CalibrationShift
from bottleneck.evaluation.metrics.probabilities.sigmoids import Sigmoids
from bottleneck.export.classifier.classifier_building import build_classifier
from bottleneck.export.hub.folded_model import fold_model
from bottleneck.export.hub.log_odds import NoPlainCheckpointError
from bottleneck.export.targets.hub_folder import HubFolder
from bottleneck.finetune.cross_validate import finetune
from bottleneck.finetune.training_options import TrainingOptions

CLASSES = ("benign", "malignant")
NETWORK = "timm/resnet10t"


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def images(folder: Path, n: int = 24) -> ImageDataset:
    """Write colour pictures of many sizes, brighter in one of two classes of patients."""
    folder.mkdir()
    samples = []
    for number in range(n):
        rng = np.random.default_rng(number)
        label = number // 2 % 2
        drawn = rng.integers(0, 180 + 75 * label, (7, 9, 3), dtype=np.uint8)
        size = (int(rng.integers(60, 400)), int(rng.integers(60, 400)))
        name = f"{number:03d}.png"
        Image.fromarray(drawn).resize(size, Image.Resampling.BICUBIC).save(folder / name)
        samples.append(Sample(name, name, CLASSES[label], group=f"P{number // 2}"))
    return ImageDataset("made", tuple(samples), FileSource(folder))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageDataset, Path]:
    folder = tmp_path_factory.mktemp("hub")
    dataset = images(folder / "images")
    run = bottleneck.extract(dataset, NETWORK, weights="random", output=folder, quiet=True)
    return dataset, run.path


def fitted(path: Path, head: str = "logistic") -> Model:
    return bottleneck.fit(bottleneck.load_features(path), head, inner_splits=3, quiet=True)


def of_scikit_learn(model: Model, backbone: Backbone, pictures: list[Path]) -> np.ndarray:
    """Return the probability of the second class: in fp32, with Pillow's resize."""
    pixels = [backbone.preprocessing.pixels(decode(one.read_bytes())) for one in pictures]
    X = backbone.embed(torch.from_numpy(np.stack(pixels))).numpy()
    (slope,), (intercept,) = model.sigmoids.slopes, model.sigmoids.intercepts
    odds = slope * model.estimator.decision_function(X) + intercept
    if (shift := model.sigmoids.shift) is not None:
        odds = shift.slope * odds + shift.intercepts[1] - shift.intercepts[0]
    return expit(odds)


def written(model: Model | TrainedModel, folder: Path, **options: object) -> Path:
    folder.mkdir()
    notes = HubFolder().write(build_classifier(model, **options), model, folder)
    assert bool(notes) != (folder / "config.json").exists()
    return folder


@pytest.mark.slow(reason="features are extracted, and transformers loads")
def test_transformers_and_timm_give_the_probability_of_scikit_learn(
    made: tuple[ImageDataset, Path], tmp_path: Path
) -> None:
    import timm
    from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

    dataset, path = made
    model = fitted(path)
    shift = CalibrationShift(0.7, (0.0, -0.4))
    model = dataclasses.replace(
        model, sigmoids=Sigmoids(model.sigmoids.slopes, model.sigmoids.intercepts, shift)
    )
    folder = written(model, tmp_path / "export")
    assert {one.name for one in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "picture_reading.py",
        "predict.py",
        "README.md",
    }
    modes = {(folder / name).stat().st_mode for name in ("config.json", "model.safetensors")}
    assert len(modes) == 1
    pictures = [path.parent / "images" / one.source for one in dataset.samples[::3]]
    wanted = of_scikit_learn(model, load_backbone(NETWORK, weights="random"), pictures)
    assert np.ptp(wanted) > 0.01

    read = HubFolder().read(folder)
    np.testing.assert_allclose([read(one)[1] for one in pictures], wanted, atol=1e-5)

    classify = pipeline("image-classification", model=str(folder))
    first = {one["label"]: one["score"] for one in classify(str(pictures[0]))}
    assert first == pytest.approx(dict(zip(CLASSES, (1 - wanted[0], wanted[0]), strict=True)), 1e-5)

    network = AutoModelForImageClassification.from_pretrained(folder)
    assert [network.config.id2label[n] for n in (0, 1)] == [*CLASSES]
    prepare = AutoImageProcessor.from_pretrained(folder)
    opened = [decode(one.read_bytes()) for one in pictures]
    with torch.inference_mode():
        logits = network(**prepare(opened, return_tensors="pt")).logits
    np.testing.assert_allclose(logits.softmax(1)[:, 1], wanted, atol=1e-5)

    plain = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    config = timm.data.resolve_model_data_config(plain)
    transform = timm.data.create_transform(**config, is_training=False)
    with torch.inference_mode():
        logits = plain(torch.stack([transform(one) for one in opened]))
    np.testing.assert_allclose(logits.softmax(1)[:, 1], wanted, atol=1e-5)

    transparent = tmp_path / "transparent.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 4), np.uint8)).save(
        transparent
    )
    with pytest.raises(DecodeError, match="transparent"):
        read(transparent)


@pytest.mark.slow(reason="features are extracted")
def test_a_kernel_has_a_folder_with_its_own_loader(
    made: tuple[ImageDataset, Path], tmp_path: Path
) -> None:
    dataset, path = made
    model = fitted(path, "mlp")
    with pytest.raises(NoPlainCheckpointError, match="MLPClassifier"):
        fold_model(build_classifier(model), model)
    folder = written(model, tmp_path / "export")
    assert not (folder / "config.json").exists()
    assert "MLPClassifier is not known to decide" in (folder / "README.md").read_text()
    picture = path.parent / "images" / dataset.samples[0].source
    wanted, _ = build_classifier(model)(
        torch.from_numpy(np.asarray(decode(picture.read_bytes()))[np.newaxis].copy())
    )
    np.testing.assert_allclose(HubFolder().read(folder)(picture), wanted[0], atol=1e-5)


@pytest.mark.slow(reason="networks are trained, and transformers loads")
def test_a_trained_network_is_a_plain_checkpoint_and_a_mean_is_none(
    made: tuple[ImageDataset, Path], tmp_path: Path
) -> None:
    dataset, path = made
    finetune(
        dataset,
        TrainingOptions(backbone=NETWORK, weights="random", epochs=1, precision="fp32"),
        protocol=Protocol(n_splits=2),
        output=tmp_path / "trained",
        quiet=True,
    )
    model = load_model(tmp_path / "trained")
    with pytest.raises(NoPlainCheckpointError, match="mean of the probabilities of 2 networks"):
        fold_model(build_classifier(model), model)
    folder = written(model, tmp_path / "export", network="fold-1")
    assert json.loads((folder / "config.json").read_text())["label_names"] == [*CLASSES]
    new = [path.parent / "images" / one.source for one in dataset.samples[:6]]
    predicted = model.predict([str(one) for one in new], network="fold-1", quiet=True)
    read = HubFolder().read(folder)
    each = [read(one) for one in new]
    np.testing.assert_allclose(each, predicted.predictions.probabilities, atol=1e-5)


@pytest.mark.slow(reason="a network is trained")
def test_an_architecture_with_its_own_classifier_has_a_loader(
    made: tuple[ImageDataset, Path], tmp_path: Path
) -> None:
    dataset, _ = made
    finetune(
        dataset,
        TrainingOptions(backbone="small_cnn", epochs=1, precision="fp32"),
        protocol=Protocol(n_splits=2),
        output=tmp_path / "trained",
        quiet=True,
    )
    model = load_model(tmp_path / "trained")
    with pytest.raises(NoPlainCheckpointError, match="its network is not one of timm"):
        fold_model(build_classifier(model, network="fold-1"), model)


@pytest.mark.shared
@pytest.mark.slow(reason="transformers loads")
def test_real_pictures_have_the_probability_of_their_model(shared: Path, tmp_path: Path) -> None:
    weights = str(shared / "weights" / "resnet18-imagenet.pth")
    dataset = bottleneck.load_dataset(
        shared / "data" / "ddti-crops" / "labels.csv", columns={"path": "image"}, limit=40
    )
    run = bottleneck.extract(dataset, "resnet18", weights=weights, output=tmp_path, quiet=True)
    model = fitted(run.path, "svm")
    folder = written(model, tmp_path / "export", weights=weights)
    pictures = [shared / "data" / "ddti-crops" / one.source for one in dataset.samples]
    wanted = of_scikit_learn(model, load_backbone("resnet18", weights=weights), pictures)
    read = HubFolder().read(folder)
    np.testing.assert_allclose([read(one)[1] for one in pictures], wanted, atol=1e-5)
