"""Grad-CAM against finite differences, the library's own maps, and the exact maps."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import nn

from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.backbones.layers.pooling import POOLINGS
from bottleneck.backbones.weights.loading import Weights
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import MissingExtraError, UsageError
from bottleneck.explain.maps.exact.class_activation import class_activation_maps
from bottleneck.explain.maps.exact.explained_head import ExplainedHead
from bottleneck.explain.maps.gradients.grad_cam import find_gradient_obstacle, grad_cam_maps
from bottleneck.explain.maps.heat_map import HeatMap
from bottleneck.testing import tiny_backbone

NAMES = ("a", "b", "c")
HEADS = [
    SVC(gamma=0.1),
    SVC(kernel="poly"),
    SVC(kernel="sigmoid", C=0.1),
    MLPClassifier((4,), tol=1, random_state=0),
    LogisticRegression(),
]


def images(n: int = 12, side: int = 16) -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (n, 4, 4, 3)).repeat(side // 4, axis=1).repeat(side // 4, axis=2)
    return coarse.astype(np.uint8)


def explained(backbone: Backbone, classifier: Any, n_classes: int = 2) -> ExplainedHead:
    side = backbone.preprocessing.crop
    X = backbone.embed(torch.from_numpy(images(side=side))).numpy().astype(np.float64)
    y = np.array(NAMES)[np.arange(len(X)) % n_classes]
    estimator = make_pipeline(StandardScaler(), classifier).fit(X, y)
    return ExplainedHead(backbone, estimator, NAMES[:n_classes])


def stacked(maps: list[HeatMap]) -> np.ndarray:
    return np.stack([one.values for one in maps])


@pytest.mark.parametrize("pooling", ["avg", "max", "gem", "flatten"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("classifier", HEADS, ids=str)
def test_channels_are_weighted_by_finite_differences_of_the_decision(
    classifier: Any, n_classes: int, pooling: str
) -> None:
    backbone = tiny_backbone(width=5, side=8, pooling=pooling)
    head = explained(backbone, classifier, n_classes)
    pixels, name = images(side=8)[:4], NAMES[n_classes - 1]
    maps = grad_cam_maps(head, pixels, name)
    with torch.inference_mode():
        x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
        places = backbone.network(x).double()
    # One channel is a little more, and then a little less, at all places.
    step = 1e-4 * torch.eye(5).double()[:, None, :, None, None]
    moved = torch.stack([places + step, places - step]).flatten(4)
    features = POOLINGS[pooling](moved.flatten(0, 2)).numpy()
    higher, lower = head.decide(features)[:, -1].reshape(2, 5, 4)
    expected = np.einsum("cb,bchw->bhw", (higher - lower) / 2e-4, places.numpy())
    assert np.abs(stacked(maps) - expected).max() < 1e-3 * max(1, np.abs(expected).max())
    np.testing.assert_allclose([one.decision for one in maps], head.decisions(pixels)[:, -1])
    assert {(one.method, one.towards, one.intercept) for one in maps} == {("grad-cam", name, None)}


def test_positive_places_are_those_of_the_library() -> None:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.image import scale_cam_image
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    backbone = tiny_backbone()
    head = explained(backbone, LogisticRegression(), 3)
    scaler, classifier = head.estimator
    linear = nn.Linear(8, 3)
    weights = classifier.coef_ / scaler.scale_
    linear.weight.data = torch.from_numpy(weights).float()
    linear.bias.data = torch.from_numpy(classifier.intercept_ - weights @ scaler.mean_).float()
    network = nn.Sequential(backbone.network, nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
    x = torch.from_numpy(images()).permute(0, 3, 1, 2).float() / 127.5 - 1
    with GradCAM(network, [backbone.network[-1]]) as cam:
        expected = cam(x.requires_grad_(), [ClassifierOutputTarget(1)] * len(x))
    ours = np.maximum(stacked(grad_cam_maps(head, images(), "b")), 0)
    # The library scales its maps before and after it joins those of several layers.
    scaled = scale_cam_image(scale_cam_image(ours, (16, 16)))
    np.testing.assert_allclose(scaled, expected, atol=1e-4)


class Form(nn.Module):
    """One convolution, of which the output has channels last, or is tokens after a prefix."""

    def __init__(self, form: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.form = nn.Conv2d(3, 5, 4, stride=4), form
        self.num_prefix_tokens = 1 if form == "tokens" else 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.first(x)
        if self.form == "map":
            return made
        if self.form == "channels last":
            return made.movedim(1, -1)
        tokens = made.flatten(2).transpose(1, 2)
        return torch.cat([tokens.sum(1, keepdim=True), tokens], 1)


@pytest.mark.parametrize("form", ["map", "channels last", "tokens"])
def test_of_a_linear_head_it_is_the_exact_map_up_to_a_constant(form: str) -> None:
    half = (0.5, 0.5, 0.5)
    with torch.random.fork_rng(devices=[]):
        network = Form(form)
    backbone = Backbone(
        network,
        name=form,
        architecture="form",
        weights=Weights("random", "seed 0"),
        preprocessing=Preprocessing(16, 16, "bilinear", half, half),
        own=True,
    )
    head = explained(backbone, LogisticRegression(), 3)
    towards = ["c", "a", "b", "a"]
    pixels = images()[:4]
    apart = stacked(grad_cam_maps(head, pixels, towards)) - stacked(
        class_activation_maps(head, pixels, towards)
    )
    assert apart.std(axis=(1, 2)).max() < 1e-5
    assert apart.shape == (4, 4, 4)


def test_maps_of_two_classes_are_opposite() -> None:
    head = explained(tiny_backbone(), MLPClassifier((4,), tol=1, random_state=0))
    made = [stacked(grad_cam_maps(head, images(), name)) for name in ("a", "b")]
    np.testing.assert_allclose(made[0], -made[1], atol=1e-9)


def test_many_images_are_computed_in_batches() -> None:
    head = explained(tiny_backbone(), SVC())
    pixels = np.concatenate([images()] * 3)
    towards = ["a", "b", "b"] * 12
    many = grad_cam_maps(head, pixels, towards)
    for one, image, name in list(zip(many, pixels, towards, strict=True))[30:]:
        (alone,) = grad_cam_maps(head, image[np.newaxis], name)
        np.testing.assert_allclose(one.values, alone.values, atol=1e-5)
        assert one.towards == name
    assert grad_cam_maps(head, pixels[:0], "a") == []
    with torch.inference_mode():
        np.testing.assert_array_equal(stacked(grad_cam_maps(head, pixels, towards)), stacked(many))


def test_an_estimator_that_scores_in_another_way_is_refused() -> None:
    class Shifted(SVC):
        def decision_function(self, X: Any) -> Any:
            return super().decision_function(X) ** 3 + 1

    with pytest.raises(UsageError, match=r"belongs to decisions that differ .* Use --maps occlu"):
        grad_cam_maps(explained(tiny_backbone(), Shifted()), images(), "b")


def test_what_has_no_grad_cam_is_refused_with_the_reason() -> None:
    forest = explained(tiny_backbone(), RandomForestClassifier(2))
    with pytest.raises(UsageError, match=r"no gradient of RandomForestClassifier.* Use --maps occ"):
        grad_cam_maps(forest, images(), "b")
    flat = Backbone(
        nn.Sequential(nn.Flatten(), nn.Linear(768, 4)),
        name="flat",
        architecture="flat",
        weights=Weights("random", "seed 0"),
        preprocessing=tiny_backbone().preprocessing,
        own=True,
    )
    with pytest.raises(UsageError, match=r"the last layer of flat gives no map of the image"):
        grad_cam_maps(explained(flat, SVC()), images(), "b")
    head = explained(tiny_backbone(), SVC())
    with pytest.raises(UsageError, match="unknown class 'd'"):
        grad_cam_maps(head, images(), "d")
    with pytest.raises(UsageError, match="one for each of 12 images, but got 2"):
        grad_cam_maps(head, images(), ["a", "b"])
    with pytest.raises(UsageError, match=r"a class \(a, b\), or one for each image, not 1"):
        grad_cam_maps(head, images(), 1)  # type: ignore[arg-type]


def test_a_missing_library_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bottleneck.explain.maps.gradients.grad_cam.find_spec", lambda _: None)
    head = explained(tiny_backbone(), SVC())
    with pytest.raises(MissingExtraError, match=r"pip install 'bottleneck-features\[explain\]'"):
        grad_cam_maps(head, images(), "a")
    assert "not installed" in str(find_gradient_obstacle(head))


def test_a_library_that_does_not_load_is_named_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bottleneck.explain.maps.gradients.grad_cam.find_spec", lambda name: name)
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    head = explained(tiny_backbone(), SVC())
    with pytest.raises(MissingExtraError, match=r"does not load here \(.*\). Install it with"):
        grad_cam_maps(head, images(), "a")


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize(
    "classifier", [SVC(C=10), MLPClassifier((64,), alpha=10, max_iter=2000, random_state=0)]
)
def test_of_real_weights_and_crops(shared: Path, classifier: Any) -> None:
    backbone = load_backbone("resnet18", weights=str(shared / "weights/resnet18-imagenet.pth"))
    folder = shared / "data/ddti-crops"
    table = pd.read_csv(folder / "labels.csv").sample(60, random_state=0)
    opened = [Image.open(folder / name).convert("RGB") for name in table["image"]]
    pixels = np.stack([backbone.preprocessing.pixels(one) for one in opened])
    X = backbone.embed(torch.from_numpy(pixels)).numpy().astype(np.float64)
    estimator = make_pipeline(StandardScaler(), classifier).fit(X, table["label"])
    head = ExplainedHead(backbone, estimator, ("benign", "malignant"))
    maps = grad_cam_maps(head, pixels[:6], "malignant")
    # With the average, the mean of a map is the slope of the decision along the features. The step
    # is so small that it crosses no kink of the perceptron.
    step = 1e-6
    slopes = (head.decide(X[:6] * (1 + step)) - head.decide(X[:6] * (1 - step)))[:, 1] / (2 * step)
    np.testing.assert_allclose([one.values.mean() for one in maps], slopes, rtol=1e-3, atol=1e-3)
    assert stacked(maps).shape == (6, 7, 7)
