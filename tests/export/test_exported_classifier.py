"""A model as one torch module: the probabilities of ``Model.predict``."""

from __future__ import annotations

import dataclasses
import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bottleneck import FeatureSet, Model
from bottleneck.backbones.backbone import Backbone
from bottleneck.data.images.preparation import Preparation
from bottleneck.deploy.fit import fit
from bottleneck.errors import UsageError
from bottleneck.evaluation.metrics.probabilities.calibration_shift import CalibrationShift
from bottleneck.export.classifier.classifier_building import build_classifier
from bottleneck.export.targets.torch_folder import TorchFolder
from bottleneck.heads.head_catalogue import HEADS
from bottleneck.testing import tiny_backbone

NAMES = ("a", "b", "c")


def pictures(n: int, seed: int = 0, size: tuple[int, int] = (20, 28)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    smooth = rng.integers(0, 256, (n, 4, 5, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize(size[::-1])) for one in smooth])


@functools.cache
def fitted(head: str, n_classes: int = 2, pooling: str = "avg", layer: str = "") -> Model:
    """Return a model of a head on features of noise, of which one class is brighter."""
    backbone = tiny_backbone().at(layer, pooling)
    codes = np.arange(60) % n_classes
    images = np.clip(pictures(60) * 0.7 + codes[:, None, None, None] * 40, 0, 255).astype(np.uint8)
    pixels = [backbone.preprocessing.pixels(Image.fromarray(one)) for one in images]
    X = backbone.embed(torch.from_numpy(np.stack(pixels))).numpy()
    features = FeatureSet.from_arrays(X, np.array(NAMES)[codes])
    recipe = backbone.recipe("fp32")
    model = fit(features, head, positive=NAMES[1] if n_classes == 2 else None)
    return dataclasses.replace(model, recipe=recipe.to_dict(), recipe_hash=recipe.hash)


def predicted(model: Model, backbone: Backbone, images: np.ndarray) -> tuple[np.ndarray, ...]:
    made = model.predict(list(images), backbone=backbone).predictions
    assert made.probabilities is not None
    return made.probabilities, made.scores


@pytest.mark.parametrize(
    ("head", "n_classes"),
    [
        ("svm_2018", 2),
        ("svm_2018", 3),
        ("lda", 3),
        *(
            pytest.param(head, n_classes, marks=pytest.mark.slow)
            for head in HEADS
            if head not in ("svm_2018", "lda", "prior")
            for n_classes in (2, 3)
        ),
    ],
)
# Whatever a solver stopped at is exported.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_probabilities_and_scores_are_those_of_predict(head: str, n_classes: int) -> None:
    backbone = tiny_backbone()
    model = fitted(head, n_classes)
    classifier = build_classifier(model, backbone=backbone)
    images = pictures(12, seed=1, size=(33, 21))
    made = [one.numpy() for one in classifier(torch.from_numpy(images))]
    for one, expected in zip(made, predicted(model, backbone, images), strict=True):
        np.testing.assert_allclose(one, expected, rtol=0, atol=1e-5)
    assert classifier.classes == model.classes


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_recalibration_is_part_of_it(n_classes: int) -> None:
    backbone = tiny_backbone()
    model = fitted("lda", n_classes)
    assert model.sigmoids is not None
    shift = CalibrationShift(0.7, (0.0, 0.4, -0.3)[:n_classes])
    model = dataclasses.replace(model, sigmoids=dataclasses.replace(model.sigmoids, shift=shift))
    images = pictures(5, seed=2)
    made = build_classifier(model, backbone=backbone)(torch.from_numpy(images))[0]
    np.testing.assert_allclose(made, predicted(model, backbone, images)[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("pooling", ["avg", "max", "gem", "flatten"])
def test_any_layer_and_pooling(pooling: str) -> None:
    backbone = tiny_backbone().at("0", pooling)
    model = fitted("lda", 2, pooling, "0")
    images = pictures(5, seed=2)
    made = build_classifier(model, backbone=backbone)(torch.from_numpy(images))[0]
    np.testing.assert_allclose(made, predicted(model, backbone, images)[0], rtol=0, atol=1e-5)


def test_what_has_no_probabilities_is_refused() -> None:
    backbone = tiny_backbone()
    model = dataclasses.replace(fitted("svm_2018"), sigmoids=None)
    with pytest.raises(UsageError, match=r"has no probabilities"):
        build_classifier(model, backbone=backbone)


def test_a_model_of_columns_is_refused() -> None:
    X, y = np.random.default_rng(0).normal(size=(40, 3)), np.repeat(["a", "b"], 20)
    with pytest.raises(UsageError, match="only models of images can be exported"):
        build_classifier(fit(FeatureSet.from_arrays(X, y), "lda", positive="b"))


def test_steps_before_the_resize_are_refused() -> None:
    backbone = tiny_backbone().prepared(Preparation(denoise="median"))
    recipe = backbone.recipe("fp32")
    model = dataclasses.replace(fitted("lda"), recipe=recipe.to_dict(), recipe_hash=recipe.hash)
    with pytest.raises(UsageError, match=r"prepared before the resize \(median\)"):
        build_classifier(model, backbone=backbone)


def test_a_network_of_a_fitted_head_has_no_name() -> None:
    with pytest.raises(UsageError, match="leave out --network"):
        build_classifier(fitted("lda"), backbone=tiny_backbone(), network="mean")


def test_recorded_in_half_precision_it_computes_in_float32() -> None:
    backbone = tiny_backbone()
    recipe = backbone.recipe("bf16")
    half = dataclasses.replace(fitted("lda"), recipe=recipe.to_dict(), recipe_hash=recipe.hash)
    images = pictures(5, seed=2)
    made = build_classifier(half, backbone=backbone)(torch.from_numpy(images))[0]
    expected = predicted(fitted("lda"), backbone, images)[0]
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_the_folder_of_torch_predicts_as_the_model_does(tmp_path: Path) -> None:
    backbone = tiny_backbone()
    model = fitted("svm_2018")
    TorchFolder().write(build_classifier(model, backbone=backbone), model, tmp_path)
    read = TorchFolder().read(tmp_path)
    images = [pictures(1, seed=3, size=size)[0] for size in ((20, 28), (64, 9), (16, 16))]
    paths = [tmp_path / f"{n}.png" for n in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    made = model.predict([str(path) for path in paths], backbone=backbone)
    expected = made.predictions.probabilities
    assert expected is not None
    np.testing.assert_allclose([read(path) for path in paths], expected, rtol=0, atol=1e-5)
    (tmp_path / "none.png").write_text("no picture")
    paths.append(tmp_path / "none.png")
    command = [sys.executable, str(tmp_path / "predict.py"), *map(str, paths)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert f"\n{paths[-1]}: it is not a file of PNG, JPEG" in run.stderr
    rows = [line.split("\t") for line in run.stdout.splitlines()]
    assert rows[0] == ["picture", "a", "b", "decision"]
    assert [row[3] for row in rows[1:]] == made.decided.decisions.tolist()
    shown = np.array([row[1:3] for row in rows[1:]], float)
    np.testing.assert_allclose(shown, expected, atol=6e-5)
