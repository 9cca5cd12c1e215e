"""Which part of a network is trained, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.backbones.weights.loading import Weights
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import UsageError
from bottleneck.finetune.networks.classifier import (
    Classifier,
    attach_head,
    count_parameters,
    describe_trainable,
    has_folded_norm,
)

INPUT = Preprocessing(16, 16, "bilinear", (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
PIXELS = torch.randint(0, 256, (6, 16, 16, 3), dtype=torch.uint8,
                       generator=torch.Generator().manual_seed(0))  # fmt: skip


class Staged(nn.Module):
    """Three stages with batch normalisation, which are not called in the order of their names."""

    def __init__(self) -> None:
        super().__init__()

        def stage(n_in: int, n_out: int) -> nn.Sequential:
            conv = nn.Conv2d(n_in, n_out, 3, bias=False)
            return nn.Sequential(conv, nn.BatchNorm2d(n_out), nn.ReLU(), nn.Dropout(0.5))

        self.last = stage(6, 8)
        self.first = stage(3, 4)
        self.second = stage(4, 6)
        self.scale = nn.Parameter(torch.ones(1))
        self.feature_info = [{"module": name} for name in ("first", "second", "last")]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.second(self.first(x * self.scale)))


def staged() -> Backbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Staged()
    return Backbone(
        network,
        name="staged",
        architecture="staged",
        weights=Weights("random", "seed 0"),
        preprocessing=INPUT,
    )


def attached(backbone: Backbone, unfreeze: str, *, freeze_norm: bool = False) -> Classifier:
    torch.manual_seed(1)
    return attach_head(backbone, 2, unfreeze=unfreeze, dropout=0.0, freeze_norm=freeze_norm)


EXPECTED = {
    "head": {"head.1"},
    "last": {"last.0", "last.1", "head.1"},
    "second": {"second.0", "second.1", "last.0", "last.1", "head.1"},
    "second.1": {"second.1", "last.0", "last.1", "head.1"},
    "all": {"", "first.0", "first.1", "second.0", "second.1", "last.0", "last.1", "head.1"},
}


@pytest.mark.parametrize("unfreeze", EXPECTED)
def test_trained_layers(unfreeze: str) -> None:
    rows = describe_trainable(attached(staged(), unfreeze))
    assert {row["layer"].removeprefix("network") for row in rows if row["trained"]} == EXPECTED[
        unfreeze
    ]
    trained, total = count_parameters(rows)
    assert total == 27 * 4 + 8 + 36 * 6 + 12 + 54 * 8 + 16 + 1 + 18
    assert (trained == total) == (unfreeze == "all")


@pytest.mark.parametrize("unfreeze", EXPECTED)
def test_a_step_changes_what_is_trained_and_nothing_else(unfreeze: str) -> None:
    classifier = attached(staged(), unfreeze)
    before = {k: v.clone() for k, v in classifier.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in classifier.parameters() if p.requires_grad], 0.01)
    classifier.train()
    nn.functional.cross_entropy(classifier(PIXELS), torch.arange(6) % 2).backward()
    optimizer.step()
    changed = {
        k.removeprefix("body.network.").rpartition(".")[0]
        for k, v in classifier.state_dict().items()
        if not torch.equal(v, before[k])
    }
    # With its running mean and variance, batch normalisation is among what changes, or is not.
    assert changed == EXPECTED[unfreeze]


def test_frozen_norm_keeps_its_statistics_in_the_trained_part() -> None:
    classifier = attached(staged(), "all", freeze_norm=True)
    before = {k: v.clone() for k, v in classifier.state_dict().items() if "running" in k}
    classifier(PIXELS)
    assert all(torch.equal(classifier.state_dict()[k], v) for k, v in before.items())
    assert {r["mode"] for r in describe_trainable(classifier) if "Norm" in r["type"]} == {"eval"}
    assert all(p.requires_grad for p in classifier.parameters())


def test_frozen_part_is_the_frozen_arm() -> None:
    backbone = staged()
    classifier = attached(backbone, "head").train()
    features = backbone.embed(PIXELS)
    with torch.inference_mode():
        vectors = classifier.body(classifier.normalise(PIXELS))
    # Dropout of the frozen part drops nothing in training either, and pixels arrive as in
    # extraction, to the last bit.
    np.testing.assert_array_equal(vectors.numpy(), features.numpy())


def test_a_copy_is_trained() -> None:
    backbone = staged()
    digest = backbone.digest
    classifier = attached(backbone, "all")
    with torch.no_grad():
        next(classifier.body.parameters()).add_(1)
    assert backbone.digest == digest
    assert not any(p.requires_grad for p in backbone.network.parameters())


def test_unknown_layers() -> None:
    with pytest.raises(UsageError, match=r"'secnd' of staged.*second"):
        attached(staged(), "secnd")
    backbone = staged()
    del backbone.network.feature_info
    with pytest.raises(UsageError, match="does not describe its last stage"):
        attached(backbone, "last")


def test_folded_norm() -> None:
    network = Staged()
    assert has_folded_norm(network)
    network(torch.randn(4, 3, 16, 16))
    assert not has_folded_norm(network)
    assert not has_folded_norm(nn.Conv2d(3, 4, 1))


def test_last_stages_of_real_networks() -> None:
    rows = describe_trainable(attached(load_backbone("resnet18", weights="random"), "last"))
    assert next(row["layer"] for row in rows if row["trained"]) == "layer4.0.conv1"
    # layer4: 256·512·9, three of 512·512·9, the shortcut 256·512, and five norms of 2·512.
    layer4 = 512 * 9 * (256 + 3 * 512) + 256 * 512 + 10 * 512
    assert count_parameters(rows)[0] == layer4 + 2 * 512 + 2

    vgg = load_backbone("vgg16", weights="random")
    conv = 512 * 512 * 9 + 512
    # From conv5_1 on, and from conv5_2 on.
    for unfreeze, layers in (("last", [24, 26, 28]), ("features.26", [26, 28])):
        rows = describe_trainable(attached(vgg, unfreeze))
        names = [row["layer"] for row in rows if row["trained"]]
        assert names == [*(f"features.{n}" for n in layers), "head.1"]
        assert count_parameters(rows)[0] == len(layers) * conv + 2 * 512 + 2


@pytest.mark.parametrize("name", ["timm/test_vit.r160_in1k", "timm/test_resnet.r160_in1k"])
@pytest.mark.parametrize("unfreeze", ["all", "last"])
def test_networks_of_other_kinds_can_be_trained(name: str, unfreeze: str) -> None:
    classifier = attached(load_backbone(name, weights="random"), unfreeze)
    side = 160
    pixels = torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8)
    nn.functional.cross_entropy(classifier(pixels), torch.arange(2)).backward()
    for parameter in classifier.parameters():
        assert (parameter.grad is not None) == parameter.requires_grad
    if unfreeze == "all":
        assert all(p.requires_grad for p in classifier.parameters())
