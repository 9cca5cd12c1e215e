"""The encoder of CT-FM, compared with MONAI's module, which its publisher uses."""

from __future__ import annotations

import pytest
import torch
from drawn_weights import draw_input, draw_weights

from bottleneck.backbones.volumetric.segres_encoder import SegResEncoder


def test_the_size_is_that_of_the_publication() -> None:
    with torch.device("meta"):
        network = SegResEncoder()
        shape = network.eval()(torch.empty(1, 1, 24, 128, 128)).shape
    # "77M params" in the README of project-lighter/CT-FM.
    assert sum(parameter.numel() for parameter in network.parameters()) == 77_760_992
    assert shape == (1, 512, 2, 8, 8)


@pytest.mark.slow
@pytest.mark.parametrize("sides", [(24, 64, 64), (17, 33, 40)])
def test_maps_are_those_of_monai(sides: tuple[int, int, int]) -> None:
    from monai.networks.nets.segresnet_ds import SegResEncoder as Reference

    ours = SegResEncoder().eval()
    ours.load_state_dict(draw_weights(ours), strict=False)
    theirs = Reference(spatial_dims=3, in_channels=1, init_filters=32, blocks_down=(1, 2, 2, 4, 4))
    theirs.eval().load_state_dict(ours.state_dict())
    maps: list[torch.Tensor] = []
    for level in ours.layers:
        level.blocks.register_forward_hook(lambda _m, _i, output: maps.append(output))
    x = draw_input(1, 1, *sides)
    with torch.inference_mode():
        ours(x)
        expected = theirs(x)
    for one, other in zip(maps, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
