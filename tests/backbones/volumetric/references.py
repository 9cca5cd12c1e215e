"""MONAI's networks, with the merging, strides and dilations that published weights need."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn

from bottleneck.backbones.volumetric.swin_unetr import Merging


def monai_encoder(n_channels: int, merging: Merging) -> nn.Module:
    """Return MONAI's encoder with tensors drawn at random, and with a stated merging."""
    from monai.networks.nets import swin_unetr

    class MergingBefore(swin_unetr.PatchMergingV2):
        def forward(self, x: Tensor) -> Tensor:
            sides = [side % 2 for side in x.shape[1:4]]
            x = nn.functional.pad(x, (0, 0, 0, sides[2], 0, sides[1], 0, sides[0]))
            # x0 to x7 of PatchMerging.forward in MONAI 1.4.
            voxels = [
                x[:, 0::2, 0::2, 0::2],
                x[:, 1::2, 0::2, 0::2],
                x[:, 0::2, 1::2, 0::2],
                x[:, 0::2, 0::2, 1::2],
                x[:, 1::2, 0::2, 1::2],
                x[:, 0::2, 1::2, 0::2],
                x[:, 0::2, 0::2, 1::2],
                x[:, 1::2, 1::2, 1::2],
            ]
            return self.reduction(self.norm(torch.cat(voxels, -1)))

    downsample: Any = MergingBefore if merging == "before-1.5" else "merging"
    sides = {"window_size": (7, 7, 7), "patch_size": (2, 2, 2)}
    network = swin_unetr.SwinTransformer(
        n_channels,
        48,
        depths=(2, 2, 2, 2),
        num_heads=(3, 6, 12, 24),
        downsample=downsample,
        **sides,
    )
    torch.manual_seed(3)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.05)
    return network.eval()


def monai_medicalnet(n_layers: int) -> nn.Module:
    from monai.networks.nets import resnet

    shortcut = "A" if n_layers in (18, 34) else "B"
    make = getattr(resnet, f"resnet{n_layers}")
    network = make(
        n_input_channels=1,
        conv1_t_stride=2,
        shortcut_type=shortcut,
        feed_forward=False,
        bias_downsample=False,
    ).eval()
    return network


def widen(network: nn.Module) -> None:
    """Give the last two stages of MONAI's network the strides and dilations of MedicalNet."""
    for stage, dilation in ((network.layer3, 2), (network.layer4, 4)):
        for module in stage.modules():
            if isinstance(module, nn.Conv3d):
                module.stride = (1, 1, 1)
                if module.kernel_size == (3, 3, 3):
                    module.dilation = module.padding = (dilation,) * 3
            shortcut = getattr(module, "downsample", None)
            if isinstance(shortcut, functools.partial):
                shortcut.keywords["stride"] = 1
