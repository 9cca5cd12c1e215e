"""Architectures against the papers, closed forms and torchvision."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision import models

from bottleneck.errors import UsageError
from bottleneck.finetune.networks.architectures import ARCHITECTURES, find_architecture, new_fc

BLOCKS, WIDTHS = (3, 4, 6, 3), (64, 128, 256, 512)


def built(name: str, n_classes: int = 2) -> nn.Module:
    with torch.device("meta"):
        return ARCHITECTURES[name].build(n_classes)


def size(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def published(name: str) -> int:
    """Parameters that torchvision states for its weights, with 1000 classes."""
    return models.get_model_weights(name).DEFAULT.meta["num_params"]


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("n_classes", [2, 5])
def test_images_become_logits(name: str, n_classes: int) -> None:
    side = ARCHITECTURES[name].preprocessing.crop
    logits = built(name, n_classes)(torch.empty(2, 3, side, side, device="meta"))
    assert logits.shape == (2, n_classes)


def test_small_cnn_is_that_of_keras_example() -> None:
    # Keras's example of these layers has 1,212,513 parameters with one sigmoid output.
    assert size(built("small_cnn", 1)) == 1_212_513
    conv = 32 * (27 + 1) + 32 * (32 * 9 + 1) + 64 * (32 * 9 + 1)
    dense = 64 * (17 * 17 * 64 + 1)
    assert size(built("small_cnn")) == conv + dense + 2 * (64 + 1)
    kernels = [(m.out_channels, m.kernel_size) for m in built("small_cnn") if hasattr(m, "stride")
               and isinstance(m, nn.Conv2d)]  # fmt: skip
    assert kernels == [(32, (3, 3)), (32, (3, 3)), (64, (3, 3))]


def test_new_fc_is_the_small_cnns_classifier() -> None:
    ours = [type(m) for m in new_fc(512, 2)]
    assert ours == [type(m) for m in built("small_cnn")][-len(ours) :]
    assert size(new_fc(25088, 2)) == 64 * (25088 + 1) + 2 * (64 + 1)


def test_hidden_layers_are_those_of_a_published_classifier() -> None:
    # 20,736 features, 512, 256, and one output (larsleijten/swin_classifier).
    made = new_fc(20736, 1, (512, 256), 0.3)
    kinds = [nn.Linear, nn.ReLU, nn.Dropout] * 2 + [nn.Linear]
    assert [type(m) for m in made] == kinds
    assert {m.p for m in made if isinstance(m, nn.Dropout)} == {0.3}
    assert size(made) == 512 * (20736 + 1) + 256 * (512 + 1) + 256 + 1


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "googlenet", "mobilenet_v2"])
def test_torchvisions_networks_have_its_published_size(name: str) -> None:
    # 1000 classes as published; the auxiliary outputs of GoogLeNet are not among its count.
    assert size(built(f"torchvision/{name}", 1000)) == published(name)


def test_baseline_and_bottleneck_are_resnets() -> None:
    assert size(built("thyronet_baseline", 1000)) == published("resnet34")
    assert size(built("thyronet_bottleneck", 1000)) == published("resnet50")
    with torch.device("meta"):
        twin = models.resnet34(num_classes=2)
    shapes = {k: v.shape for k, v in built("thyronet_baseline").state_dict().items()}
    assert shapes == {k: v.shape for k, v in twin.state_dict().items()}


def test_block_exchanges_the_second_convolution() -> None:
    # 5 × 5 in 32 groups in place of 3 × 3.
    change = sum(n * (25 * w * w // 32 - 9 * w * w) for n, w in zip(BLOCKS, WIDTHS, strict=True))
    assert size(built("thyronet_block", 1000)) == published("resnet34") + change


def test_x4_is_resnext_with_wide_kernels_and_dense_stages() -> None:
    # ResNeXt-50 32×4d has inner widths of twice, and outer ones of four times, the planes.
    wider = sum(n * 16 * (2 * w) ** 2 // 32 for n, w in zip(BLOCKS, WIDTHS, strict=True))
    joined = sum(n * (4 * w) ** 2 + 2 * 4 * w for n, w in zip(BLOCKS, WIDTHS, strict=True))
    assert size(built("thyronet_x4", 1000)) == published("resnext50_32x4d") + wider + joined


def test_x4_has_what_the_paper_names() -> None:
    network = built("thyronet_x4")
    blocks = [m for m in network.modules() if hasattr(m, "conv2")]
    assert len(blocks) == sum(BLOCKS)
    assert {b.conv2.kernel_size for b in blocks} == {(5, 5)}
    assert all(b.conv2.groups > 1 for b in blocks)
    assert {b.conv3.out_channels // p for b, p in zip(
        blocks, [w for n, w in zip(BLOCKS, WIDTHS, strict=True) for _ in range(n)], strict=True
    )} == {4}  # fmt: skip


def test_dense_stage_sees_the_output_of_every_block() -> None:
    torch.manual_seed(0)
    stage = ARCHITECTURES["thyronet_x4"].build(2).layer1.eval()
    seen = []
    hook = stage.transition.register_forward_pre_hook(lambda m, x: seen.append(x[0]))
    outputs: list[torch.Tensor] = []
    for block in stage.blocks:
        block.register_forward_hook(lambda m, x, y: outputs.append(y))
    with torch.inference_mode():
        stage(torch.randn(1, 64, 8, 8))
    hook.remove()
    torch.testing.assert_close(seen[0], torch.cat(outputs, 1))
    assert len(outputs) == 3


def test_unknown_architectures() -> None:
    assert find_architecture("resnet18") is None
    with pytest.raises(UsageError, match="torchvision/alexnet"):
        find_architecture("torchvision/alexnt")
