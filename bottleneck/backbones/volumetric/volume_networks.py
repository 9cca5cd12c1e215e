"""Networks of volumes by the family of their encoder."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from bottleneck.backbones.volumetric.medicalnet import MedicalNet
from bottleneck.backbones.volumetric.segres_encoder import SegResEncoder
from bottleneck.backbones.volumetric.swin_unetr import SwinUnetrEncoder
from bottleneck.backbones.volumetric.volume_encoders import VolumeEncoder

__all__ = ["build_volume_network"]

_FAMILIES: dict[str, Callable[..., nn.Module]] = {
    "swin_unetr": SwinUnetrEncoder,
    "medicalnet": MedicalNet,
    "segres_encoder": SegResEncoder,
}


def build_volume_network(encoder: VolumeEncoder) -> nn.Module:
    """Return the network of an encoder of volumes, with weights drawn from torch's generator."""
    return _FAMILIES[encoder.family](*encoder.arguments)
