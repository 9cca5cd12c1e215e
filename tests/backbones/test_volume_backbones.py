"""Backbones on volumes: networks of three dimensions, and networks of images on slices."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.backbones.inputs.network_inputs import refuse_dataset
from bottleneck.backbones.recipe import name_differences, read_recipe
from bottleneck.data.images.preparation import Preparation
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.errors import UsageError
from bottleneck.testing import tiny_backbone, tiny_volume_backbone

CUBE = VolumePreprocessing(size=(12, 12, 12))


def patches(backbone: Backbone, n: int = 3) -> Tensor:
    shape = (n, *backbone.preprocessing.input_shape)
    return torch.from_numpy(np.random.default_rng(0).random(shape, np.float32))


def test_a_network_of_volumes_gets_the_axes_of_the_patch_in_their_order() -> None:
    network = nn.Conv3d(1, 4, (1, 2, 3))
    stated = VolumePreprocessing(size=(6, 8, 10), mean=(0.25,), std=(0.5,))
    backbone = Backbone.from_module(network, stated)
    x = patches(backbone)
    by_hand = network((x.permute(0, 4, 1, 2, 3) - 0.25) / 0.5).mean((2, 3, 4))
    assert backbone.shape == (4, 6, 7, 8)
    assert torch.allclose(backbone.embed(x), by_hand, atol=1e-6)


@pytest.mark.parametrize(
    ("pooling", "by_hand"),
    [("mean", lambda y: y.mean(1)), ("max", lambda y: y.amax(1)), ("concatenate", lambda y: y)],
    ids=["mean", "max", "concatenate"],
)
def test_slices_are_a_batch_and_their_features_are_pooled(pooling: str, by_hand) -> None:
    backbone = tiny_volume_backbone(slices="orthogonal", slice_pooling=pooling)
    x = patches(backbone)
    each = [backbone.network(plane.permute(0, 3, 1, 2)).mean((2, 3)) for plane in x.unbind(1)]
    expected = by_hand(torch.stack(each, 1)).flatten(1)
    assert backbone.width == expected.shape[1]
    assert torch.allclose(backbone.embed(x), expected, atol=1e-6)


class _Blocks(nn.Module):
    """A map with the channels first, one with the channels last, and tokens with a class token."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv3d(1, 5, 4, stride=4)
        self.last = nn.Identity()
        self.tokens = nn.Identity()
        self.vector = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.last(self.stem(x).movedim(1, -1)).flatten(1, 3)
        return self.vector(self.tokens(torch.cat([y.sum(1, keepdim=True), y], 1)).mean(1))


@pytest.mark.parametrize("size", [(12, 12, 12), (8, 12, 16), (4, 4, 4)], ids=str)
def test_each_form_of_a_layer_is_pooled_over_places(size: tuple[int, int, int]) -> None:
    backbone = Backbone.from_module(_Blocks(), VolumePreprocessing(size=size), "stem")
    x = patches(backbone)
    first = backbone.embed(x)
    assert torch.allclose(backbone.at("last").embed(x), first, atol=1e-6)
    assert backbone.at("").width == 2
    flat = backbone.at("stem", "flatten")
    assert torch.equal(flat.embed(x), backbone.network.stem(x.movedim(-1, 1)).flatten(1))


@pytest.mark.parametrize("size", [(12, 12, 12), (8, 8, 8)], ids=str)
def test_the_class_token_of_a_cube_of_tokens_is_no_place(size: tuple[int, int, int]) -> None:
    backbone = Backbone.from_module(_Blocks(), VolumePreprocessing(size=size), "stem")
    x = patches(backbone)
    assert torch.allclose(backbone.at("tokens").embed(x), backbone.embed(x), atol=1e-6)


def test_the_recipe_of_volumes_is_read_again_from_its_record() -> None:
    made = tiny_volume_backbone(spacing=(1.0, 1.0, 2.5)).recipe("fp32")
    record = json.loads(json.dumps(made.to_dict()))
    assert read_recipe(record) == made
    assert read_recipe(record).hash == made.hash
    assert name_differences(made.to_dict(), record) == []
    other = tiny_volume_backbone().recipe("fp32")
    assert other.hash != made.hash
    (difference,) = name_differences(made.to_dict(), json.loads(json.dumps(other.to_dict())))
    assert difference == "preprocessing.spacing is None, not [1.0, 1.0, 2.5]"


def test_networks_that_differ_on_the_device_alone_share_their_patches() -> None:
    one = tiny_volume_backbone(slices="axial").recipe("fp32")
    two = tiny_volume_backbone(slices="axial", slice_pooling="max").recipe("fp32")
    stated = dataclasses.replace(two.preprocessing, mean=(0.5,), std=(0.2,))
    assert one.hash != two.hash
    assert one.framing == dataclasses.replace(two, preprocessing=stated).framing


def test_a_network_of_the_catalogue_takes_slices_in_the_window_that_is_stated() -> None:
    backbone = load_backbone("resnet18", weights="random", slices="orthogonal", patch_size=64)
    with pytest.raises(UsageError, match="--window CENTRE,WIDTH"):
        backbone.recipe("fp32")
    ready = backbone.prepared(Preparation(window=(-600, 1600)))
    stated = ready.recipe("fp32").preprocessing
    assert stated.window == (-1400, 200)
    assert stated.input_shape == (3, 64, 64, 3)
    images = load_backbone("resnet18", weights="random")
    x = patches(ready, 1)
    planes = [images.embed(plane * 255) for plane in x.unbind(1)]
    assert torch.allclose(ready.embed(x), torch.stack(planes).mean(0), atol=1e-5)


def test_a_file_states_the_preprocessing_of_volumes(tmp_path) -> None:
    path = tmp_path / "ct.toml"
    path.write_text("size = [8, 8, 8]\nspacing = [1, 1, 1.5]\nwindow = [-175, 250]\n")
    backbone = Backbone.from_module(nn.Conv3d(1, 2, 3), str(path))
    assert backbone.preprocessing == VolumePreprocessing(
        size=(8, 8, 8), spacing=(1.0, 1.0, 1.5), window=(-175.0, 250.0)
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Backbone.from_module(nn.Conv2d(1, 2, 3), CUBE), "takes images.*--slices"),
        (
            lambda: Backbone.from_module(nn.Conv3d(1, 2, 3), tiny_backbone().preprocessing),
            "takes volumes.*VolumePreprocessing",
        ),
        (
            lambda: Backbone.from_module(
                nn.Conv3d(1, 2, 3), dataclasses.replace(CUBE, slices="axial")
            ),
            "takes volumes, not slices: leave the slices out",
        ),
        (
            lambda: Backbone.from_module(nn.Conv3d(2, 2, 3), CUBE),
            "volumes of 12×12×12 voxels.*takes 2 channels",
        ),
        (
            lambda: Backbone.from_module(nn.Conv3d(1, 2, 13), CUBE),
            "cannot compute volumes of 12×12×12 voxels",
        ),
        (
            lambda: load_backbone("resnet18", weights="random", spacing=(1, 1, 1)),
            "spacing is stated for volumes: state slices",
        ),
        (
            lambda: tiny_volume_backbone().prepared(Preparation(rescale=True)),
            "rescale is a step for images",
        ),
        (
            lambda: refuse_dataset(tiny_backbone(), holds_volumes=True),
            "the data set holds volumes.*--slices",
        ),
        (
            lambda: refuse_dataset(tiny_volume_backbone(), holds_volumes=False),
            "the data set holds images: choose a network of images",
        ),
        (
            lambda: refuse_dataset(tiny_volume_backbone(slices="axial"), holds_volumes=False),
            "leave --slices out",
        ),
        (
            lambda: read_recipe(
                {
                    **(made := tiny_volume_backbone().recipe("fp32").to_dict()),
                    "preprocessing": {**made["preprocessing"], "spacing": [0, 1, 1]},
                }
            ),
            "preprocessing.spacing 1 must be a number above 0",
        ),
    ],
    ids=[
        "images",
        "no volumes",
        "no slices",
        "channels",
        "too small",
        "no slices stated",
        "a step for images",
        "volumes to images",
        "images to volumes",
        "images to slices",
        "damaged",
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_do(make, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet10", "DenseNet121", "ViT"])
def test_networks_of_monai_give_the_features_that_they_have_alone(name: str) -> None:
    # Its import takes seconds.
    from monai.networks import nets

    made = {
        "resnet10": lambda: nets.resnet10(n_input_channels=1, num_classes=2),
        "DenseNet121": lambda: nets.DenseNet121(3, 1, 2),
        "ViT": lambda: nets.ViT(1, 32, 8, hidden_size=48, mlp_dim=64, num_layers=2, num_heads=4),
    }
    layers = {"resnet10": "layer4", "DenseNet121": "features", "ViT": "norm"}
    torch.manual_seed(0)
    network = made[name]().eval()
    layer = layers[name]
    stated = VolumePreprocessing(size=(32, 32, 32))
    backbone = Backbone.from_module(network, stated, layer)
    x = patches(backbone, 2)
    kept: list[Tensor] = []
    network.get_submodule(layer).register_forward_hook(lambda *given: kept.append(given[2].clone()))
    with torch.inference_mode():
        network(x.movedim(-1, 1))
    output = kept[0].mean(1) if name == "ViT" else kept[0].mean((2, 3, 4))
    assert torch.allclose(backbone.embed(x), output, atol=1e-5)
