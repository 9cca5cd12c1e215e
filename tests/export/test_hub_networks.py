"""Networks of timm take the features of a backbone to their classifier."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import timm
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.explain.maps.exact.linear_decision import LinearDecision
from bottleneck.export.classifier.network_features import NetworkFeatures
from bottleneck.export.hub.log_odds import NoPlainCheckpointError, fold_head
from bottleneck.export.hub.plain_network import PlainNetwork, plain_network
from bottleneck.testing import tiny_backbone

CLASSES = ("benign", "malignant")


def classified(backbone: Backbone) -> tuple[PlainNetwork, torch.Tensor, np.ndarray]:
    """Return a network with a logistic regression, images, and what scikit-learn says of them."""
    side = backbone.preprocessing.crop
    pixels = torch.randint(0, 256, (6, side, side, 3), dtype=torch.uint8)
    X = backbone.embed(pixels).double().numpy()
    head = LogisticRegression(C=1e3).fit(X, CLASSES * 3)
    plain = plain_network(NetworkFeatures(backbone), backbone.preprocessing)
    plain.classify(fold_head(LinearDecision.of(head, CLASSES), None))
    return plain, pixels, head.predict_proba(X)


def probabilities(plain: PlainNetwork, backbone: Backbone, pixels: torch.Tensor) -> np.ndarray:
    mean, std = (torch.tensor(one) for one in timm_statistics(backbone))
    x = ((pixels / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.inference_mode():
        return plain.network(x).softmax(1).numpy()


def timm_statistics(backbone: Backbone) -> tuple[tuple[float, ...], tuple[float, ...]]:
    stated = backbone.preprocessing
    step = -1 if stated.channels == "BGR" else 1
    return stated.mean[::step], stated.std[::step]


@pytest.mark.parametrize(
    ("name", "options", "arguments"),
    [
        ("timm/resnet10t", {}, {}),
        ("timm/resnet10t", {"pooling": "max"}, {"global_pool": "max"}),
        ("timm/mobilenetv3_small_050", {}, {}),
        pytest.param(
            "timm/vit_tiny_patch16_224",
            {},
            {"global_pool": "avg", "fc_norm": False},
            marks=pytest.mark.slow(reason="2 s"),
        ),
        pytest.param("vgg16", {}, {"mlp_ratio": 0.125}, marks=pytest.mark.slow(reason="13 s")),
        pytest.param("inception_v3", {}, {}, marks=pytest.mark.slow(reason="a large network")),
        pytest.param("densenet121", {}, {}, marks=pytest.mark.slow(reason="a large network")),
        pytest.param("swin_tiny", {}, {}, marks=pytest.mark.slow(reason="a large network")),
        pytest.param("swinv2_tiny", {}, {}, marks=pytest.mark.slow(reason="a large network")),
        pytest.param("efficientnet_lite0", {}, {}, marks=pytest.mark.slow(reason="2 s")),
    ],
)
def test_the_softmax_is_the_probability_of_scikit_learn(
    name: str, options: dict[str, str], arguments: dict[str, object]
) -> None:
    backbone = load_backbone(name, weights="random", **options)
    plain, pixels, wanted = classified(backbone)
    assert plain.arguments == arguments
    np.testing.assert_allclose(probabilities(plain, backbone, pixels), wanted, atol=1e-5)
    again = timm.create_model(plain.architecture, num_classes=2, **plain.arguments)
    again.load_state_dict(plain.network.state_dict())


def test_bgr_and_another_eps_are_folded_into_the_tensors() -> None:
    made = load_backbone("timm/resnet10t", weights="random")
    for module in made.network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.3
    stated = dataclasses.replace(
        made.preprocessing, channels="BGR", mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4)
    )
    backbone = Backbone(
        made.network,
        name=made.name,
        architecture=made.architecture,
        weights=made.weights,
        preprocessing=stated,
    )
    # As ``Preprocessing.pixels`` returns them, the channels are in the order of the network.
    plain, pixels, wanted = classified(backbone)
    np.testing.assert_allclose(probabilities(plain, backbone, pixels.flip(3)), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("timm/resnet10t", {"pooling": "gem"}, "pooling 'gem'"),
        ("timm/resnet10t", {"layer": "layer2"}, "the layer 'layer2'"),
        # Their classifiers take features that were normalised after the pooling.
        ("timm/convnext_atto", {}, "takes values other"),
        ("timm/mobilenetv4_conv_small", {}, "takes values other"),
    ],
)
def test_what_the_classifier_of_timm_does_not_take_is_refused(
    name: str, options: dict[str, str], why: str
) -> None:
    backbone = load_backbone(name, weights="random", **options)
    with pytest.raises(NoPlainCheckpointError, match=why):
        plain_network(NetworkFeatures(backbone), backbone.preprocessing)


def test_a_network_of_ones_own_is_refused() -> None:
    backbone = tiny_backbone()
    with pytest.raises(NoPlainCheckpointError, match="not one of timm"):
        plain_network(NetworkFeatures(backbone), backbone.preprocessing)
