from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from torch import nn

from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.backbones.catalogue import ENCODERS, find_encoder
from bottleneck.backbones.layers.embedding import normalised
from bottleneck.backbones.layers.places import Places
from bottleneck.backbones.layers.pooling import LayerPooling
from bottleneck.backbones.layers.taps import Taps
from bottleneck.backbones.networks import feature_map, skeleton
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import UsageError
from bottleneck.explain.maps.exact.class_activation import class_activation_maps, find_obstacle
from bottleneck.explain.maps.exact.explained_head import ExplainedHead
from bottleneck.testing import tiny_backbone

CLASSES = ("benign", "malignant")
TIMM = [
    "convnext_atto",
    "convnext_pico.d1_in1k",
    "vit_tiny_patch16_224",
    "vit_small_patch14_dinov2",
    "vit_small_patch16_dinov3",
    "deit_tiny_distilled_patch16_224",
    "mobilenetv2_050",
    "mixer_s32_224",
    "swin_tiny_patch4_window7_224",
    "regnety_002",
    "pvt_v2_b0",
    "maxvit_rmlp_pico_rw_256",
    "coatnet_nano_rw_224",
    "efficientvit_b0",
    "volo_d1_224",
    "coat_lite_tiny",
]


def images(backbone: Backbone, n: int = 6) -> Any:
    """Return blurred noise, of which the features of random weights differ."""
    side, channels = backbone.preprocessing.crop, backbone.preprocessing.n_channels
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(0, 255, (n, channels, 5, 5)).astype(np.float32))
    fine = nn.functional.interpolate(coarse, (side, side), mode="bilinear")
    return fine.permute(0, 2, 3, 1).to(torch.uint8).numpy()


def explained(backbone: Backbone, pixels: Any, classifier: Any = None) -> ExplainedHead:
    X = backbone.embed(torch.from_numpy(pixels)).numpy().astype(np.float64)
    y = np.array([CLASSES[n % 2] for n in range(len(X))])
    classifier = LogisticRegression() if classifier is None else classifier
    return ExplainedHead(backbone, make_pipeline(StandardScaler(), classifier).fit(X, y), CLASSES)


def apart(head: ExplainedHead, pixels: Any) -> float:
    """Return the largest difference of a map's mean and intercept from the decision."""
    maps = class_activation_maps(head, pixels, "malignant")
    decided = head.estimator.decision_function(
        head.backbone.embed(torch.from_numpy(pixels)).numpy().astype(np.float64)
    )
    assert [one.decision for one in maps] == pytest.approx(decided.tolist(), abs=1e-4)
    assert all(one.values.dtype == np.float32 for one in maps)
    return max(
        abs(float(one.values.mean(dtype=np.float64)) + one.intercept - value)
        for one, value in zip(maps, decided, strict=True)
    )


def normalise_layers(backbone: Backbone, pixels: Any) -> None:
    """Set the batch normalisation of a network to images.

    As it is, some networks with random weights have nearly equal features for all images, so that
    a decision is the rounding of the features.
    """
    norms = [one for one in backbone.network.modules() if hasattr(one, "running_mean")]
    for one in norms:
        one.train()
        one.momentum = 1.0
    with torch.no_grad():
        feature_map(backbone.network, normalised(backbone, torch.from_numpy(pixels)))
    backbone.network.eval()


class Form(nn.Module):
    """A convolution whose map has another form."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.first = nn.Conv2d(3, 8, 4, (4, 8) if form == "wide" else 4)
        self.num_prefix_tokens = 2 if form == "prefix" else 0
        self.output_fmt = "NHWC" if form == "last" else "NCHW"

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        made = self.first(x)
        if self.form == "last":
            return made.movedim(1, -1)
        tokens = made.flatten(2).transpose(1, 2)
        if self.form == "tokens":
            return tokens
        if self.form == "prefix":
            return torch.cat([100 * tokens[:, :2], tokens], dim=1)
        if self.form == "odd":
            return tokens[:, 1:]
        return made.mean((2, 3)) if self.form == "vector" else made


def form(name: str) -> Backbone:
    from bottleneck.backbones.weights.loading import Weights

    torch.manual_seed(0)
    half = (0.5, 0.5, 0.5)
    return Backbone(
        Form(name),
        name=name,
        architecture="form",
        weights=Weights("random", "seed 0"),
        preprocessing=Preprocessing(16, 16, "bilinear", half, half),
    )


@pytest.mark.parametrize("name", ["map", "last", "tokens", "prefix", "wide"])
def test_each_form_of_a_layer_gives_the_same_exact_map(name: str) -> None:
    backbone = form(name)
    pixels = images(backbone, 8)
    head = explained(backbone, pixels)
    assert apart(head, pixels) < 1e-5
    got = np.stack([one.values for one in class_activation_maps(head, pixels, "malignant")])
    # The reference: the convolution itself, and the head's own steps on the features of a place.
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        made = backbone.network.first(x)
    scaler, classifier = head.estimator
    rows = scaler.transform(made.movedim(1, -1).flatten(0, 2).numpy().astype(np.float64))
    expected = (rows @ classifier.coef_[0]).reshape(len(pixels), *made.shape[2:])
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert got.shape[1:] == ((4, 2) if name == "wide" else (4, 4))


def test_maps_of_two_classes_are_opposite_and_of_three_are_of_their_own_class() -> None:
    backbone = tiny_backbone()
    pixels = images(backbone, 9)
    head = explained(backbone, pixels)
    for one, other in zip(
        *(class_activation_maps(head, pixels, name) for name in CLASSES), strict=True
    ):
        np.testing.assert_array_equal(one.values, -other.values)
        assert (one.decision, one.intercept) == (-other.decision, -other.intercept)
    X = backbone.embed(torch.from_numpy(pixels)).numpy().astype(np.float64)
    softmax = LogisticRegression().fit(X, ["c", "a", "b"] * 3)
    head = ExplainedHead(backbone, softmax, ("b", "c", "a"))
    for name in head.classes:
        for one, row in zip(class_activation_maps(head, pixels, name), X, strict=True):
            known = softmax.decision_function([row])[0, softmax.classes_.tolist().index(name)]
            assert one.decision == pytest.approx(known, abs=1e-5)
            assert one.values.mean() + one.intercept == pytest.approx(known, abs=1e-5)
    assert class_activation_maps(head, pixels[:0], "a") == []


def test_features_of_a_large_mean_and_a_small_spread_keep_the_identity() -> None:
    network = nn.Conv2d(3, 8, 4, 4)
    with torch.no_grad():
        network.bias.fill_(100)
        network.weight.mul_(0.1)
    half = (0.5, 0.5, 0.5)
    preprocessing = Preprocessing(16, 16, "bilinear", half, half)
    backbone = Backbone.from_module(network, preprocessing)
    pixels = images(backbone, 8)
    head = explained(backbone, pixels, LinearSVC())
    # The features are rounded in float32, and the head divides them by their small spread.
    scaler, classifier = head.estimator
    rounding = 100 * 2.0**-24 * abs(classifier.coef_ / scaler.scale_).sum()
    assert 1e-5 < apart(head, pixels) < rounding


@pytest.mark.parametrize(
    ("backbone", "classifier", "reason"),
    [
        (tiny_backbone(pooling="max"), None, "'max' takes the largest value"),
        (tiny_backbone(pooling="gem"), None, "'gem' takes a generalised mean"),
        (tiny_backbone(pooling="flatten", side=8), None, "'flatten' takes separate features"),
        (form("vector"), None, "one vector per image, such as that of a class token"),
        (form("odd"), None, "15 tokens, for which no grid"),
        (tiny_backbone(), SVC(), "SVC has the kernel 'rbf'"),
    ],
    ids=["max", "gem", "flatten", "vector", "odd", "rbf"],
)
def test_what_has_no_exact_map_is_refused_with_the_reason(
    backbone: Backbone, classifier: Any, reason: str
) -> None:
    pixels = images(backbone)
    head = explained(backbone, pixels, classifier)
    with pytest.raises(UsageError, match=rf"{reason}.* occlusion \(in Python"):
        class_activation_maps(head, pixels, "malignant")
    assert find_obstacle(head) is not None
    with pytest.raises(UsageError, match="unknown class 'malign'"):
        class_activation_maps(head, pixels, "malign")


def test_a_decision_that_is_not_what_its_coefficients_say_is_refused() -> None:
    class Shifted(LinearSVC):
        def decision_function(self, X: Any) -> Any:
            return super().decision_function(X) ** 3 + 1

    backbone = tiny_backbone()
    pixels = images(backbone)
    head = explained(backbone, pixels, Shifted())
    with pytest.raises(UsageError, match="not the weighted sum that its coefficients state"):
        class_activation_maps(head, pixels, "malignant")


@pytest.mark.slow
def test_maps_of_an_inner_layer_are_exact() -> None:
    backbone = load_backbone("resnet18", weights="random", layer="layer3")
    pixels = images(backbone)
    head = explained(backbone, pixels)
    assert apart(head, pixels) < 1e-5
    assert class_activation_maps(head, pixels[:1], "benign")[0].values.shape == (14, 14)


@pytest.mark.parametrize(
    ("name", "layer", "grid"),
    [
        ("vit_tiny_patch16_224", "blocks.3", (14, 14)),
        ("vit_tiny_patch16_224", "patch_embed", (14, 14)),  # It has no class token yet.
        ("pit_ti_224", "", None),  # The class token alone.
        # Inner layers of Hiera have their tokens in the order of mask units.
        pytest.param("hiera_tiny_224", "", (7, 7), marks=pytest.mark.slow),
        pytest.param("hiera_tiny_224", "blocks.1", None, marks=pytest.mark.slow),
        pytest.param("swin_tiny_patch4_window7_224", "layers.1", (28, 28), marks=pytest.mark.slow),
    ],
)
def test_the_grid_of_a_layer_is_known_or_refused(
    name: str, layer: str, grid: tuple[int, int] | None
) -> None:
    network = skeleton(find_encoder(f"timm/{name}"))
    pixels = torch.empty(2, 3, 224, 224, device="meta")
    with Taps(network, [layer], name) as taps:
        (output,) = taps.read(pixels)
    pool = LayerPooling("avg", Places.of(network, layer, output, (224, 224), name))
    assert pool.grid(tuple(output.shape[1:])) == grid


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_maps_follow_the_network_to_its_device() -> None:
    backbone = load_backbone("resnet18", weights="random")
    pixels = images(backbone)
    head = explained(backbone, pixels)
    here = [one.values for one in class_activation_maps(head, pixels, "malignant")]
    backbone.to(torch.device("cuda"))
    for one, other in zip(class_activation_maps(head, pixels, "malignant"), here, strict=True):
        assert abs(one.values.mean() + one.intercept - one.decision) < 1e-5
        np.testing.assert_allclose(one.values, other, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ENCODERS, *(f"timm/{name}" for name in TIMM)])
def test_the_maps_of_each_network_are_exact(name: str) -> None:
    backbone = load_backbone(name, weights="random")
    pixels = images(backbone)
    normalise_layers(backbone, pixels)
    head = explained(backbone, pixels)
    error = apart(head, pixels)
    print(f"{name}: {backbone.shape}, {backbone.pool.grid(backbone.shape)}, {error:.1e}")
    assert error < 1e-5


@pytest.mark.shared
def test_the_maps_of_real_weights_are_exact(shared: Path) -> None:
    backbone = load_backbone("resnet18", weights=str(shared / "weights/resnet18-imagenet.pth"))
    pixels = images(backbone, 12)
    assert apart(explained(backbone, pixels), pixels) < 1e-5
