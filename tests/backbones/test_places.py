"""The places of layers, judged by timm's own intermediate maps and by squares that move."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn

from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.layers.places import Places
from bottleneck.backbones.layers.pooling import LayerPooling
from bottleneck.backbones.layers.taps import Taps
from bottleneck.backbones.networks import skeleton
from bottleneck.errors import UsageError

SIDE = 224
# The smallest network of each family of timm that has one output and fits in this memory.
LAST = [
    "beit_base_patch16_224 cait_xxs24_224 coat_lite_tiny convit_tiny convnext_atto davit_tiny",
    "deit_tiny_distilled_patch16_224 edgenext_xx_small efficientformer_l1 eva02_tiny_patch14_224",
    "focalnet_tiny_srf gcvit_xxtiny hiera_tiny_224 inception_next_atto levit_128s mambaout_femto",
    "maxvit_pico_rw_256 mixer_s32_224 mvitv2_tiny naflexvit_base_patch16_gap nest_tiny pvt_v2_b0",
    "resnet18 sequencer2d_s swin_tiny_patch4_window7_224 swinv2_cr_tiny_224 tiny_vit_5m_224",
    "tnt_s_patch16_224 twins_pcpvt_small vit_tiny_patch16_224 vit_relpos_small_patch16_224",
    "volo_d1_224 xcit_nano_12_p16_224",
]


def random_network(name: str) -> tuple[nn.Module, int]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model(name, num_classes=0).eval()
    return network, network.pretrained_cfg["input_size"][-1]


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "layer", "width", "n_places"),
    [
        ("coat_lite_tiny", "", 320, 7 * 7),
        ("convnext_atto", "stages.0.blocks.0.norm", 40, 56 * 56),
        ("deit_tiny_distilled_patch16_224", "patch_embed", 192, 14 * 14),
        ("pit_ti_distilled_224", "", 256, 2),  # The average of its two class tokens, as in timm.
    ],
)
def test_the_features_of_a_layer_are_its_channels(
    name: str, layer: str, width: int, n_places: int
) -> None:
    network = skeleton(find_encoder(f"timm/{name}"))
    with Taps(network, [layer], name) as taps:
        (output,) = taps.read(torch.empty(2, 3, SIDE, SIDE, device="meta"))
    form = Places.of(network, layer, output, (SIDE, SIDE), name)
    assert LayerPooling("avg", form)(output).shape == (2, width)
    assert LayerPooling("flatten", form)(output).shape == (2, width * n_places)


@pytest.mark.parametrize(
    ("name", "layer", "shape"),
    [
        ("mixer_s32_224", "blocks.0.mlp_tokens", "512×49"),
        ("nest_tiny", "levels.0.transformer_encoder.0", "16×196×96"),
    ],
)
def test_a_layer_of_mixed_places_and_channels_is_refused(name: str, layer: str, shape: str) -> None:
    network = skeleton(find_encoder(f"timm/{name}"))
    with Taps(network, [layer], name) as taps:
        (output,) = taps.read(torch.empty(2, 3, SIDE, SIDE, device="meta"))
    with pytest.raises(
        UsageError, match=f"gives {shape} for one image, in which places and channels"
    ):
        Places.of(network, layer, output, (SIDE, SIDE), name)


@pytest.mark.slow
@pytest.mark.parametrize("name", " ".join(LAST).split())
def test_the_last_map_is_that_of_timm_without_class_tokens(name: str) -> None:
    network, side = random_network(name)
    x = noise(2, 3, side, side)
    options = {} if name.startswith("hiera") else {"norm": True}
    with torch.inference_mode():
        output = network.forward_features(x)
        known = network.forward_intermediates(x, **options)[1][-1]
    pool = LayerPooling("avg", Places.of(network, "", output, (side, side), name))
    close = {"rtol": 1e-3, "atol": 1e-3 * float(known.abs().max())}
    if options:
        torch.testing.assert_close(pool.places(output), known, **close)
        torch.testing.assert_close(pool(output), known.mean((2, 3)), **close)
    else:  # Its intermediate maps are before its last normalisation.
        assert pool.places(output).shape == known.shape


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("cait_xxs24_224", ["patch_embed", "blocks.0"]),
        ("coat_lite_tiny", ["patch_embed1", "serial_blocks1.0"]),
        ("convnext_atto", ["stages.0.blocks.0.norm", "stages.1"]),
        ("deit_tiny_distilled_patch16_224", ["patch_embed", "blocks.0"]),
        ("edgenext_xx_small", ["stages.0.blocks.0.mlp"]),
        ("gcvit_xxtiny", ["stages.0.blocks.0"]),
        ("mambaout_femto", ["stem.act", "stem"]),
        ("mixer_s32_224", ["stem", "blocks.0"]),
        ("nest_tiny", ["levels.0", "levels.1.pool.norm"]),
        ("pit_ti_224", ["transformers.0.blocks.0"]),
        ("pvt_v2_b0", ["patch_embed", "stages.0.blocks.0"]),
        ("resnet18", ["layer1", "layer2"]),
        ("swin_tiny_patch4_window7_224", ["patch_embed", "layers.0.blocks.0.mlp", "layers.0"]),
        ("swinv2_cr_tiny_224", ["patch_embed", "stages.0.blocks.0"]),
        ("tiny_vit_5m_224", ["stages.1.blocks.0"]),
        ("vit_tiny_patch16_224", ["patch_embed", "blocks.0"]),
        ("volo_d1_224", ["patch_embed", "network.0.0", "post_network.0"]),
        ("xcit_nano_12_p16_224", ["blocks.0", "cls_attn_blocks.0"]),
    ],
)
def test_a_square_that_moves_over_the_image_moves_in_the_map(name: str, layers: list[str]) -> None:
    network, side = random_network(name)
    corners = [(0.125, 0.125), (0.125, 0.75), (0.75, 0.125), (0.6, 0.75)]
    x = (noise(1, 3, side, side) / 2).repeat(len(corners) + 1, 1, 1, 1)
    size = side // 8
    for image, (top, left) in zip(x[1:], corners, strict=True):
        image[:, int(top * side) :, int(left * side) :][:, :size, :size] = 3
    with torch.inference_mode(), Taps(network, layers, name) as taps:
        outputs = taps.read(x)
    for layer, output in zip(layers, outputs, strict=True):
        pool = LayerPooling("avg", Places.of(network, layer, output, (side, side), name))
        places = pool.places(output)
        changed = (places[1:] - places[:1]).square().sum(1)
        rows, columns = changed.shape[1:]
        for one, (top, left) in zip(changed, corners, strict=True):
            row, column = divmod(int(one.argmax()), columns)
            assert abs((row + 0.5) / rows - top - 1 / 16) <= 1 / 16 + 1 / rows, layer
            assert abs((column + 0.5) / columns - left - 1 / 16) <= 1 / 16 + 1 / columns, layer
