"""The networks of MedicalNet, compared with the publisher's code and with MONAI's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn_weights import draw_input, draw_weights
from references import monai_medicalnet, widen
from torch import nn

from bottleneck.backbones.volumetric.medicalnet import MedicalNet

# Four channels of the first voxel of the last map, and the mean of the map, for the weights and the
# input of ``drawn_weights``: computed by models/resnet.py of Tencent/MedicalNet, without conv_seg,
# with shortcut_type="A" for 18 and 34 layers and "B" for the others.
COMPUTED = {
    10: ([0.719644, 0.0, 0.522903, 0.0], 0.3155),
    18: ([20.741749, 0.0, 1.379686, 11.335913], 3.9193),
    34: ([0.0, 62.059608, 128.634827, 86.388512], 80.8534),
    50: ([1.022366, 0.340332, 0.037347, 0.976601], 0.2477),
}
WIDTHS = {10: 512, 18: 512, 34: 512, 50: 2048}


def drawn(n_layers: int) -> MedicalNet:
    network = MedicalNet(n_layers).eval()
    lacking = network.load_state_dict(draw_weights(network), strict=False).missing_keys
    assert all(name.endswith("num_batches_tracked") for name in lacking)
    return network


@pytest.mark.parametrize(
    "n_layers", [pytest.param(n, marks=[pytest.mark.slow] * (n != 10)) for n in COMPUTED]
)
def test_the_last_map_is_that_of_the_publisher(n_layers: int) -> None:
    with torch.inference_mode():
        output = drawn(n_layers)(draw_input(1, 1, 24, 16, 20))
    assert output.shape == (1, WIDTHS[n_layers], 3, 2, 3)
    first, mean = COMPUTED[n_layers]
    np.testing.assert_allclose(output[0, :4, 0, 0, 0].numpy(), first, rtol=1e-4, atol=1e-5)
    assert output.mean().item() == pytest.approx(mean, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("n_layers", COMPUTED)
def test_only_strides_and_dilations_differ_from_monai(n_layers: int) -> None:
    ours, theirs = drawn(n_layers), monai_medicalnet(n_layers)
    assert not theirs.load_state_dict(ours.state_dict()).missing_keys
    x = draw_input(1, 1, 48, 40, 32)
    stages = [f"layer{i}" for i in range(1, 5)]

    def outputs(network: nn.Module) -> list[torch.Tensor]:
        kept: list[torch.Tensor] = []
        hooks = [
            network.get_submodule(stage).register_forward_hook(lambda _m, _i, out: kept.append(out))
            for stage in stages
        ]
        with torch.inference_mode():
            network(x)
        for hook in hooks:
            hook.remove()
        return kept

    expected, strided = outputs(ours), outputs(theirs)
    for one, other in zip(expected[:2], strided[:2], strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-5)
    assert strided[3].shape[2:] == (2, 2, 1)
    widen(theirs)
    for one, other in zip(expected, outputs(theirs), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-5)
    # Not the same network at another resolution: pooled, too, the features differ.
    cosine = nn.functional.cosine_similarity(
        *(one[3].mean((2, 3, 4)) for one in (expected, strided))
    )
    assert cosine.item() < 0.999
