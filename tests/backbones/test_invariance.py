"""Features depend only on their image; several layers in one pass give the same features."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from example_images import embed_files, largest_difference, two_images
from made import dataset_of, make_images

from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.backbones.catalogue import ENCODERS
from bottleneck.backbones.layers.embedding import embed_together, normalised
from bottleneck.backbones.layers.layer_listing import describe_layers
from bottleneck.errors import UsageError
from bottleneck.features.extraction import extract, extract_all
from bottleneck.features.file.reader import load_features

# One of each kind that is small enough for every run.
QUICK = {"resnet18", "mobilenetv3"}


def disturbed(name: str) -> Backbone:
    """Random weights, with BatchNorm away from its initial values."""
    backbone = load_backbone(name, weights="random")
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in backbone.network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean += 0.1 * torch.randn(module.num_features, generator=draw)
                module.running_var *= 0.7 + 0.6 * torch.rand(module.num_features, generator=draw)
    return backbone


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in QUICK)) for n in ENCODERS]
)
def test_an_image_alone_in_7_and_in_64_has_one_embedding(name):
    backbone = disturbed(name)
    side = backbone.preprocessing.crop
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (64, side, side, 3), generator=draw, dtype=torch.uint8)
    alone = backbone.embed(pixels[:1]).numpy()
    for n in (7, 64):
        assert largest_difference(backbone.embed(pixels[:n])[:1].numpy(), alone) <= 1e-5


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["resnet50", "inception_v3", "swin_tiny"])
def test_fp32_on_a_gpu_is_fp32(name):
    """cuDNN's TF32 would be 1e-3 off."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    backbone = disturbed(name)
    side = backbone.preprocessing.crop
    pixels = torch.randint(0, 256, (4, side, side, 3), dtype=torch.uint8)
    on_cpu = backbone.embed(pixels).numpy()
    on_gpu = backbone.to(torch.device("cuda")).embed(pixels).cpu().numpy()
    assert largest_difference(on_gpu, on_cpu) <= 1e-4


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("resnet18", ["layer2", "conv1", "", "layer4.1.bn1"]),
        ("swin_tiny", ["layers.1", "patch_embed", ""]),
    ],
)
def test_layers_of_one_pass_are_those_of_single_passes(name, layers):
    backbone = disturbed(name)
    taps = [backbone.at(layer) for layer in layers]
    side = backbone.preprocessing.crop
    pixels = torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8)
    together = embed_together(taps, pixels)
    for tap, features in zip(taps, together, strict=True):
        assert torch.equal(features, tap.embed(pixels))
        assert features.shape == (2, tap.width)


def test_a_layer_before_an_inplace_relu_is_not_rectified():
    backbone = disturbed("resnet18")
    tap, last = backbone.at("layer1.0.bn1"), backbone.at("")
    side = backbone.preprocessing.crop
    pixels = torch.randint(0, 256, (1, side, side, 3), dtype=torch.uint8)
    flat = Backbone(
        backbone.network,
        name="x",
        architecture="x",
        weights=backbone.weights,
        preprocessing=backbone.preprocessing,
        layer="layer1.0.bn1",
        pooling="flatten",
    )
    assert embed_together([flat, last], pixels)[0].min() < 0
    assert tap.recipe("fp32").hash != last.recipe("fp32").hash


def test_the_listed_layers_of_vgg16_can_be_tapped():
    backbone = load_backbone("vgg16", weights="random")
    rows = {row["layer"]: row["shape"] for row in describe_layers("vgg16")}
    for layer in ("features.16", "features.23", "features.30"):
        assert "×".join(map(str, backbone.at(layer).shape)) == rows[layer]
    assert rows["features.30"] == "512×7×7"


def test_the_published_bottleneck_of_vgg16_is_one_option_away():
    backbone = load_backbone("vgg16", weights="random", pooling="flatten")
    assert (backbone.shape, backbone.width) == ((512, 7, 7), 25088)


def test_swins_convolution_has_its_channels_first() -> None:
    backbone = load_backbone("swin_tiny", weights="random", layer="patch_embed.proj")
    assert backbone.width == backbone.network.patch_embed.proj.out_channels
    with pytest.raises(UsageError, match="attention weights"):
        load_backbone("swin_tiny", weights="random", layer="layers.3.blocks.0.attn.softmax")


def test_swins_average_is_the_mean_of_its_tokens(tmp_path):
    backbone = disturbed("swin_tiny")
    ours = embed_files(backbone, two_images(tmp_path))
    flat = Backbone(
        backbone.network,
        name="x",
        architecture="x",
        weights=backbone.weights,
        preprocessing=backbone.preprocessing,
        pooling="flatten",
    )
    tokens = embed_files(flat, two_images(tmp_path)).reshape(2, 768, 49)
    assert np.allclose(tokens.mean(2), ours, atol=1e-6)


def test_several_layers_give_the_files_of_single_extractions(tmp_path):
    make_images(tmp_path / "images", 7)
    dataset = dataset_of(tmp_path / "images")
    options = {"weights": "random", "precision": "fp32", "batch_size": 3}
    layers = ["layer1", None, "layer3"]
    # One of the three is there already, and one is there in part.
    extract(dataset, "resnet18", layer="layer3", output=tmp_path / "a", **options)
    results = extract_all(dataset, ["resnet18"], layers=layers, output=tmp_path / "a", **options)
    assert [(r.n_extracted, r.n_known) for r in results] == [(7, 0), (7, 0), (0, 7)]
    for layer, result in zip(layers, results, strict=True):
        single = extract(dataset, "resnet18", layer=layer, output=tmp_path / "b", **options)
        assert single.path.name == result.path.name
        assert np.array_equal(load_features(single.path).X, load_features(result.path).X)
    assert [r.width for r in results] == [64, 512, 256]
    again = extract_all(dataset, ["resnet18"], layers=layers, output=tmp_path / "a", **options)
    assert all(r.n_extracted == 0 for r in again)
    assert not list((tmp_path / "a").glob("*.unfinished"))


def test_files_begun_with_different_batch_sizes_keep_them(tmp_path):
    make_images(tmp_path / "images", 5)
    dataset = dataset_of(tmp_path / "images")
    options = {"weights": "random", "precision": "fp32", "output": tmp_path}
    extract(dataset, "resnet18", layer="layer1", batch_size=2, **options)
    make_images(tmp_path / "images", 6)
    results = extract_all(
        dataset_of(tmp_path / "images"),
        ["resnet18"],
        layers=["layer1", "layer2"],
        batch_size=3,
        **options,
    )
    assert [r.provenance["batch_size"] for r in results] == [2, 3]
    assert [r.n_extracted for r in results] == [1, 6]
    assert any("batch size 2, not 3" in note for note in results[0].notes)


def test_an_unknown_layer_among_several_is_named(tmp_path):
    make_images(tmp_path / "images", 2)
    with pytest.raises(UsageError, match="unknown layer 'layer9'"):
        extract_all(
            dataset_of(tmp_path / "images"),
            ["resnet18"],
            layers=["layer1", "layer9"],
            weights="random",
            output=tmp_path,
        )


@pytest.mark.slow
def test_tokens_of_dinov3_are_averaged_as_timm_averages_them() -> None:
    backbone = load_backbone("timm/vit_small_patch16_dinov3", weights="random")
    pixels = torch.randint(0, 256, (2, 256, 256, 3), dtype=torch.uint8)
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        original = timm.create_model("vit_small_patch16_dinov3", num_classes=0).eval()
        known = original(normalised(backbone, pixels))
    torch.testing.assert_close(backbone.embed(pixels), known, rtol=1e-4, atol=1e-5)
