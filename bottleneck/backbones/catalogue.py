"""The encoders that have a short name, each pinned to one set of ImageNet weights."""

from __future__ import annotations

import dataclasses

from bottleneck.errors import unknown_name

__all__ = ["ENCODERS", "Encoder", "find_encoder"]


@dataclasses.dataclass(frozen=True)
class Encoder:
    """An architecture under a name of its own.

    Attributes
    ----------
    name : str
        What the user says.
    timm : str
        Model and tag in timm; the tag is what ``--weights imagenet`` means.
    torchvision : str or None
        The same architecture in torchvision, whose weight files it can take.
    """

    name: str
    timm: str
    torchvision: str | None = None

    @property
    def architecture(self) -> str:
        """Name of the timm model without its tag."""
        return self.timm.partition(".")[0]


_ENCODERS = (
    Encoder("vgg16", "vgg16.tv_in1k", "vgg16"),
    Encoder("inception_v3", "inception_v3.tv_in1k", "inception_v3"),
    Encoder("resnet18", "resnet18.tv_in1k", "resnet18"),
    Encoder("resnet34", "resnet34.tv_in1k", "resnet34"),
    Encoder("resnet50", "resnet50.tv_in1k", "resnet50"),
    Encoder("resnet101", "resnet101.tv_in1k", "resnet101"),
    Encoder("swin_tiny", "swin_tiny_patch4_window7_224.ms_in1k"),
    Encoder("swin_small", "swin_small_patch4_window7_224.ms_in1k"),
    Encoder("swin_base", "swin_base_patch4_window7_224.ms_in22k_ft_in1k"),
    Encoder("swinv2_tiny", "swinv2_tiny_window8_256.ms_in1k"),
    Encoder("swinv2_base", "swinv2_base_window8_256.ms_in1k"),
    Encoder("mobilenetv3", "mobilenetv3_large_100.ra_in1k"),
)
ENCODERS = {encoder.name: encoder for encoder in _ENCODERS}

_TIMM = "timm/"


def find_encoder(name: str) -> Encoder:
    """Look an encoder up.

    Parameters
    ----------
    name : str
        A short name, whose case, ``-`` and ``_`` do not matter; or ``timm/NAME[.TAG]``
        for any other model of timm.

    Returns
    -------
    Encoder

    Raises
    ------
    UsageError
        If there is no such encoder.
    """
    if name.startswith(_TIMM):
        return _from_timm(name)
    plain = {_plain(known): encoder for known, encoder in ENCODERS.items()}
    if _plain(name) not in plain:
        raise unknown_name("backbone", name, [*ENCODERS, "timm/NAME"])
    return plain[_plain(name)]


def _plain(name: str) -> str:
    return name.casefold().replace("-", "").replace("_", "")


def _from_timm(name: str) -> Encoder:
    import timm

    wanted = name.removeprefix(_TIMM)
    if not timm.is_model(wanted):
        near = timm.list_models(f"*{wanted.partition('.')[0]}*")[:12]
        raise unknown_name("timm model", wanted, near or timm.list_models()[:3])
    architecture, _, tag = wanted.partition(".")
    if tag and wanted not in timm.list_pretrained(f"{architecture}.*"):
        raise unknown_name("timm model", wanted, timm.list_pretrained(f"{architecture}.*"))
    default = timm.get_pretrained_cfg(architecture)
    tag = tag or (default.tag if default else "") or ""
    return Encoder(name, f"{architecture}.{tag}" if tag else architecture)
