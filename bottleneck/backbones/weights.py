"""Where a network's weights come from, and the preprocessing that travels with them."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import socket
import urllib.request
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import timm
import torch
from torch import nn

from bottleneck.backbones import layouts
from bottleneck.backbones.catalogue import Encoder
from bottleneck.data.preprocessing import Interpolation, Preprocessing
from bottleneck.errors import UsageError, WeightsError

__all__ = ["Weights", "default_preprocessing", "load_network", "on_this_machine"]

_RANDOM_SEED = 0
_Triple = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Weights:
    """What a network was filled with.

    Attributes
    ----------
    name : str
        "imagenet", "random", or the stem of a file.
    source : str
        Where they came from: a hub's repository, a file's name, or a seed.
    sha256 : str or None
        Of the file, where there is one.
    licence : str or None
        As their publisher states it.
    """

    name: str
    source: str
    sha256: str | None = None
    licence: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them."""
        return dataclasses.asdict(self)


def load_network(encoder: Encoder, weights: str) -> tuple[nn.Module, Weights, Preprocessing]:
    """Build a network and fill it.

    Parameters
    ----------
    encoder : Encoder
        The architecture.
    weights : str
        "imagenet", "radimagenet", "random" or the path of a file.

    Returns
    -------
    network : nn.Module
        In eval mode, on the CPU, float32; without the parts that no feature map needs.
    weights : Weights
        What it was filled with.
    preprocessing : Preprocessing
        The input that these weights expect.

    Raises
    ------
    UsageError
        If there are no such weights.
    WeightsError
        If they cannot be had, or do not fit.
    """
    if weights == "imagenet":
        network, found = _from_hub(encoder), _hub_weights(encoder)
    elif weights == "random":
        network = _build(encoder)
        found = Weights("random", f"seed {_RANDOM_SEED}")
    elif weights == "radimagenet":
        raise WeightsError(
            f"RadImageNet weights of {encoder.name} cannot be fetched. With a file of your own: "
            "--weights FILE; else --weights imagenet."
        )
    else:
        return _from_file(encoder, Path(weights))
    return network, found, default_preprocessing(encoder)


def _build(encoder: Encoder, *, pretrained: bool = False) -> nn.Module:
    # A seed of our own, and the caller's generator left as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_RANDOM_SEED)
        network = timm.create_model(encoder.timm, pretrained=pretrained, num_classes=0)
    network.eval().requires_grad_(False)
    _drop_unused(network, encoder)
    return network


def _drop_unused(network: nn.Module, encoder: Encoder) -> None:
    # VGG's fully connected layers are 90 % of its weights and no part of a feature map.
    side = default_preprocessing(encoder).crop
    used = called_modules(network, torch.zeros(1, 3, side, side))
    for name, _ in list(network.named_children()):
        if name not in used:
            setattr(network, name, nn.Identity())


def called_modules(network: nn.Module, pixels: torch.Tensor) -> set[str]:
    """Return the names of the modules that take part in the last feature map."""
    called = {""}
    hooks = [
        module.register_forward_pre_hook(lambda *_, name=name: called.add(name))
        for name, module in network.named_modules()
    ]
    with torch.inference_mode():
        feature_map(network, pixels)
    for hook in hooks:
        hook.remove()
    return called


def feature_map(network: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """Return the network's last feature map (timm's ``forward_features`` where it has one)."""
    forward = getattr(network, "forward_features", network)
    return forward(pixels)


def _from_hub(encoder: Encoder) -> nn.Module:
    # The hub's client would first try for a minute.
    if _cached_file(encoder) is None and not _hub_answers():
        raise _not_to_be_had(encoder, "the hub does not answer")
    try:
        return _build(encoder, pretrained=True)
    # timm, huggingface_hub and the transport below it raise errors of many unrelated types when
    # a download fails; what the user can do about it is the same for all.
    except Exception as error:  # noqa: BLE001
        cause = re.sub(r"\s+", " ", str(error)).strip()[:160]
        raise _not_to_be_had(encoder, f"{type(error).__name__}: {cause}") from None


def _hub_answers() -> bool:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if urllib.request.getproxies():  # Behind a proxy only the client itself can tell.
        return True
    try:
        socket.create_connection((urlsplit(constants.ENDPOINT).hostname, 443), timeout=5).close()
    except OSError:
        return False
    return True


def _not_to_be_had(encoder: Encoder, cause: str) -> WeightsError:
    return WeightsError(
        f"the ImageNet weights of {encoder.name} ({encoder.timm}) are neither on this machine "
        f"nor to be had from the hub: {cause}.\n"
        "With internet: repeat the command. Without: copy the weight file to this machine and "
        "give --weights FILE (torchvision's .pth or timm's .safetensors).\n"
        "To try the software only: --weights random, whose figures mean nothing."
    )


def _hub_weights(encoder: Encoder) -> Weights:
    config = _config(encoder)
    cached = _cached_file(encoder)
    return Weights(
        name="imagenet",
        source=config.hf_hub_id or str(config.url) or encoder.timm,
        sha256=_sha256(cached) if cached else None,
        licence=config.license,
    )


def _cached_file(encoder: Encoder) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    repository = _config(encoder).hf_hub_id
    if not repository:
        return None
    for name in ("model.safetensors", "pytorch_model.bin"):
        found = try_to_load_from_cache(repository, name)
        if isinstance(found, str | os.PathLike):
            return Path(found)
    return None


def on_this_machine(encoder: Encoder) -> bool:
    """Tell whether the ImageNet weights lie in the hub's local cache."""
    return _cached_file(encoder) is not None


def _from_file(encoder: Encoder, path: Path) -> tuple[nn.Module, Weights, Preprocessing]:
    if not path.suffix and not path.exists():
        raise UsageError(
            f"unknown weights '{path}'. Known: imagenet, radimagenet, random, or the path of a file"
        )
    state = layouts.read_state(path)
    network = _build(encoder)
    layouts.fill(network, set(network.state_dict()), state, what=f"{path.name} and {encoder.name}")
    sha256 = _sha256(path)
    # timm publishes safetensors; the same keys in any other file are torchvision's layout.
    if encoder.torchvision and path.suffix != ".safetensors":
        preprocessing = torchvision_preprocessing(encoder.torchvision, sha256)
    else:
        preprocessing = default_preprocessing(encoder)
    return network, Weights(path.stem, path.name, sha256), preprocessing


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _config(encoder: Encoder) -> timm.models.PretrainedCfg:
    config = timm.get_pretrained_cfg(encoder.timm)
    if config is None:
        raise UsageError(f"timm states no preprocessing for '{encoder.timm}'; choose another model")
    return config


def default_preprocessing(encoder: Encoder) -> Preprocessing:
    """Return what timm states for an encoder's pinned weights.

    Raises
    ------
    UsageError
        If timm states a crop mode that is not known here.
    """
    config = _config(encoder)
    _, height, width = config.input_size
    if height != width or config.crop_mode not in ("center", "squash"):
        raise UsageError(
            f"{encoder.timm} expects input {height}×{width} cropped by '{config.crop_mode}', "
            "which is not known here; choose a model with a square centre crop"
        )
    return Preprocessing(
        # timm truncates in the same way (timm.data.transforms_factory).
        resize=int(height / config.crop_pct),
        crop=height,
        interpolation=cast(Interpolation, config.interpolation),
        mean=cast(_Triple, config.mean),
        std=cast(_Triple, config.std),
        squash=config.crop_mode == "squash",
    )


def torchvision_preprocessing(name: str, sha256: str | None = None) -> Preprocessing:
    """Return what torchvision states for one of its weight files.

    Parameters
    ----------
    name : str
        Of the model in torchvision.
    sha256 : str, optional
        Of the file. torchvision's file names carry the first eight digits, which tell
        its first weights of a network from its second; without a match, the first.
    """
    from torchvision.models import get_model_weights

    published = list(get_model_weights(name))
    digits = (sha256 or "")[:8]
    entry = next((w for w in published if digits and f"-{digits}." in w.url), published[0])
    stated = entry.transforms()
    mean, std = tuple(stated.mean), tuple(stated.std)
    if name == "inception_v3":
        # torchvision normalises twice here: by ImageNet's statistics, and then, inside the
        # network, from those to [-1, 1]. Together they are the latter.
        mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    return Preprocessing(
        resize=stated.resize_size[0],
        crop=stated.crop_size[0],
        interpolation=stated.interpolation.value,
        mean=mean,
        std=std,
    )
