"""The encoder of Swin UNETR, compared with MONAI's and with the code of a published study."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn_weights import draw_input, draw_weights
from references import monai_encoder
from torch import Tensor, nn

from bottleneck.backbones.volumetric.swin_unetr import Merging, SwinUnetrEncoder

# Three channels of the first voxel of the five maps, for the weights and the input of
# ``drawn_weights``. "before-1.5" was computed by SwinTransformer(1, 48, (7, 7, 7), (2, 2, 2),
# (2, 2, 2, 2), (3, 6, 12, 24)) of model/swin_unetr.py in larsleijten/swin_classifier, a copy of
# MONAI's before its version 1.5; "since-1.5" by the same class of MONAI 1.6.1.
COMPUTED: dict[Merging, list[list[float]]] = {
    "before-1.5": [
        [1.037795, -1.069874, 1.224292],
        [0.506908, 0.907090, -0.223775],
        [1.080962, -0.199648, 0.613911],
        [0.327878, -1.848193, 0.563508],
        [-0.628364, -0.092520, -0.631599],
    ],
    "since-1.5": [
        [1.037795, -1.069874, 1.224292],
        [0.652999, 1.119594, -0.304189],
        [1.374470, -0.388983, 0.632704],
        [0.171934, -2.006841, 0.604627],
        [-0.530236, -0.032751, -0.689630],
    ],
}


def maps_of(network: SwinUnetrEncoder, x: Tensor) -> list[Tensor]:
    maps: list[Tensor] = []
    for stage in network.stages:
        stage.register_forward_hook(lambda _module, _inputs, output: maps.append(output))
    network(x)
    return maps


@pytest.mark.parametrize("merging", COMPUTED)
def test_maps_are_those_of_the_published_code(merging: Merging) -> None:
    network = SwinUnetrEncoder(merging=merging).eval()
    network.load_state_dict(draw_weights(network))
    with torch.inference_mode():
        maps = maps_of(network, draw_input(1, 1, 32, 32, 32))
    firsts = np.stack([one[0, :3, 0, 0, 0].numpy() for one in maps])
    np.testing.assert_allclose(firsts, COMPUTED[merging], atol=1e-4)
    # The two mergings, which load the same files, differ by far more than this test tolerates.
    before, since = (np.array(COMPUTED[name])[1:] for name in COMPUTED)
    assert np.abs(before - since).min(axis=1).max() > 0.05


def test_the_size_is_that_of_the_publication() -> None:
    network = SwinUnetrEncoder()
    assert sum(parameter.numel() for parameter in network.parameters()) == 8_062_002


def filled(theirs: nn.Module, n_channels: int, merging: Merging) -> SwinUnetrEncoder:
    network = SwinUnetrEncoder(n_channels, merging).eval()
    state = theirs.state_dict()
    computed = [name for name in state if name.endswith("relative_position_index")]
    network.load_state_dict({name: state[name] for name in state if name not in computed})
    return network


@pytest.mark.slow
@pytest.mark.parametrize("merging", COMPUTED)
@pytest.mark.parametrize(
    ("n_channels", "sides"),
    [(1, (96, 96, 96)), (4, (64, 64, 64)), (1, (48, 64, 80)), (1, (33, 50, 70))],
)
def test_maps_are_those_of_monai(
    n_channels: int, sides: tuple[int, int, int], merging: Merging
) -> None:
    theirs = monai_encoder(n_channels, merging)
    ours = filled(theirs, n_channels, merging)
    x = torch.randn(1, n_channels, *sides)
    with torch.inference_mode():
        for one, other in zip(maps_of(ours, x), theirs(x), strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_gradients_are_those_of_monai() -> None:
    theirs = monai_encoder(1, "before-1.5")
    ours = filled(theirs, 1, "before-1.5")
    x = torch.randn(1, 1, 34, 32, 32)
    ours(x).square().sum().backward()
    theirs(x)[-1].square().sum().backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        largest = expected[name].grad.abs().max()
        torch.testing.assert_close(
            parameter.grad / largest, expected[name].grad / largest, atol=1e-3, rtol=0, msg=name
        )
