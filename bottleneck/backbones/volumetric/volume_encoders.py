"""The encoders of volumes with a short name, and the weights published for them."""

from __future__ import annotations

import dataclasses
from typing import Any

from bottleneck.backbones.encoder import Encoder, PublishedWeights

__all__ = ["VOLUME_ENCODERS", "VolumeEncoder"]

_RESEARCH = "https://github.com/Project-MONAI/research-contributions/tree/main/SwinUNETR"
_RESEARCH_LICENCE = "apache-2.0 (Project-MONAI/research-contributions)"
_MEDICALNET = "https://github.com/Tencent/MedicalNet"
# "Datasets" in the README of SwinUNETR/Pretrain.
_PRETRAINED_ON = ("HNSCC", "LUNA16", "TCIA CT Colonography", "TCIA COVID-19", "LIDC-IDRI")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VolumeEncoder(Encoder):
    """A network architecture of three dimensions.

    Attributes
    ----------
    family : {"swin_unetr", "medicalnet", "segres_encoder"}
        The module that has the architecture.
    arguments : tuple
        What the class of this module takes.
    recognised : bool
        Whether a weight file alone tells that it is of this encoder.
    n_channels, variant, layouts, published
        As for ``Encoder``.
    """

    timm: str = ""
    family: str
    arguments: tuple[Any, ...] = ()
    recognised: bool = True
    n_channels: int = 1
    variant: str = ""
    layouts: tuple[str, ...] = ()
    published: tuple[PublishedWeights, ...] = ()

    @property
    def architecture(self) -> str:
        """Its own name."""
        return self.name


def _swin(name: str, merging: str, n_channels: int, *published: PublishedWeights) -> VolumeEncoder:
    return VolumeEncoder(
        name=name,
        family="swin_unetr",
        arguments=(n_channels, merging),
        n_channels=n_channels,
        variant=f"merging-{merging}",
        layouts=("brats",) if n_channels == 4 else ("ssl", "btcv"),
        published=published,
        # The form of the merging is not part of a file, and published files have the old one.
        recognised=merging == "before-1.5",
    )


def _medicalnet(n_layers: int) -> VolumeEncoder:
    weights = PublishedWeights(
        "medicalnet",
        f"resnet_{n_layers}_23dataset.pth",
        f"TencentMedicalNet/MedicalNet-Resnet{n_layers}",
        _MEDICALNET,
        "medicalnet",
        "mit (Tencent/MedicalNet)",
    )
    return VolumeEncoder(
        name=f"medicalnet_resnet{n_layers}",
        family="medicalnet",
        arguments=(n_layers,),
        layouts=("medicalnet",),
        published=(weights,),
    )


_ENCODERS = (
    _swin(
        "swin_unetr",
        "before-1.5",
        1,
        PublishedWeights(
            "ssl",
            "model_swinvit.pt",
            None,
            f"{_RESEARCH}/BTCV",
            "ssl",
            _RESEARCH_LICENCE,
            trained_on=_PRETRAINED_ON,
        ),
        PublishedWeights(
            "btcv",
            "swin_unetr.base_5000ep_f48_lr2e-4_pretrained.pt",
            None,
            f"{_RESEARCH}/BTCV",
            "btcv",
            _RESEARCH_LICENCE,
            trained_on=(*_PRETRAINED_ON, "BTCV"),
        ),
    ),
    _swin("swin_unetr_monai15", "since-1.5", 1),
    _swin(
        "swin_unetr_brats",
        "before-1.5",
        4,
        PublishedWeights(
            "brats",
            "model.pt",
            None,
            f"{_RESEARCH}/BRATS21",
            "brats",
            _RESEARCH_LICENCE,
            trained_on=("BraTS 2021",),
        ),
    ),
    *(_medicalnet(n_layers) for n_layers in (10, 18, 34, 50)),
    VolumeEncoder(
        name="ct_fm",
        family="segres_encoder",
        layouts=("ct_fm",),
        published=(
            PublishedWeights(
                "ct_fm",
                "model.safetensors",
                "project-lighter/ct_fm_feature_extractor",
                "https://github.com/project-lighter/CT-FM",
                "ct_fm",
                "apache-2.0",
                trained_on=("NCI Imaging Data Commons",),
            ),
        ),
    ),
)
VOLUME_ENCODERS = {encoder.name: encoder for encoder in _ENCODERS}
