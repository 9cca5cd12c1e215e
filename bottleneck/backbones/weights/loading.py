"""What a network is filled with: from which file, in which layout, for which input."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from torch import nn

from bottleneck.backbones import layouts, networks
from bottleneck.backbones.catalogue import ENCODERS, Encoder, PublishedWeights
from bottleneck.backbones.preprocessing_presets import default_preprocessing, find_preprocessing
from bottleneck.backbones.weights import folder, hub
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import UsageError, WeightsError

__all__ = [
    "WeightFile",
    "Weights",
    "find_local",
    "fit_file",
    "licence_of",
    "load_network",
    "locate",
    "unavailable_weights",
]

_RANDOM = "random"


@dataclasses.dataclass(frozen=True)
class Weights:
    """What a network was filled with.

    Attributes
    ----------
    name : str
        "imagenet", "random", a name in the weights folder, or the stem of a file.
    source : str
        Where they came from: a hub's repository, a file's name, or a seed.
    sha256 : str or None
        Of the file, where there is one.
    licence : str or None
        As their publisher states it.
    layout : str or None
        In which the file was recognised.
    part : str
        Which part of the file was taken, where it holds more than the network.
    variant : str
        The layout whose network differs from timm's in more than names; "" for timm's own.
    """

    name: str
    source: str
    sha256: str | None = None
    licence: str | None = None
    layout: str | None = None
    part: str = ""
    variant: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class WeightFile:
    """A weight file on this machine, and what is known of it before it is read.

    Attributes
    ----------
    path : Path
        The file.
    name, source, licence
        As in ``Weights``.
    preprocessing : str or None
        Name of the input that it expects; None for what its layout states.
    sha256 : str or None
        What it must have.
    """

    path: Path
    name: str
    source: str
    licence: str | None = None
    preprocessing: str | None = None
    sha256: str | None = None


def load_network(
    encoder: Encoder, weights: str, preprocessing: str | None = None
) -> tuple[nn.Module, Weights, Preprocessing]:
    """Build a network and fill it.

    Parameters
    ----------
    encoder : Encoder
        The architecture.
    weights : str
        "random", the path of a file, a name in the weights folder, or the name of published
        weights ("imagenet", "radimagenet"), which the hub or its local cache may have.
    preprocessing : str, optional
        As ``find_preprocessing`` takes it; by default what the weights' publisher states.

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
        If there are no such weights, or no such preprocessing.
    WeightsError
        If they cannot be had, or do not fit.
    """
    if weights == _RANDOM:
        found = Weights(_RANDOM, f"seed {networks.RANDOM_SEED}")
        stated = default_preprocessing(encoder)
        if preprocessing:
            stated = find_preprocessing(preprocessing, encoder)
        return networks.build(encoder), found, stated
    located = locate(encoder, weights)
    fit, sha256 = fit_file(encoder, located)
    network = networks.build(encoder)
    layouts.fill(network, fit)
    found = Weights(
        name=located.name,
        source=located.source,
        sha256=sha256,
        licence=located.licence,
        layout=fit.layout.name,
        part=fit.part,
        variant=fit.layout.variant,
    )
    name = preprocessing or located.preprocessing or fit.layout.name
    return network, found, find_preprocessing(name, encoder, sha256)


def fit_file(encoder: Encoder, located: WeightFile) -> tuple[layouts.Fit, str]:
    """Read a weight file and find the layout in which it fills an encoder; and its sha256.

    Raises
    ------
    WeightsError
        If the file is damaged, is not the one that was put here, or does not fit.
    """
    path = located.path
    entries = layouts.read_checkpoint(path)
    sha256 = folder.sha256_of(path)
    if located.sha256 not in (None, sha256):
        raise WeightsError(
            f"{path} is not the file that was put there: its sha256 is {sha256}, expected "
            f"{located.sha256}. Copy or import it again"
        )
    # timm publishes safetensors; the same names in any other file are torchvision's layout.
    prefer = "timm" if path.suffix == ".safetensors" else "torchvision"
    return layouts.find_fit(entries, encoder, prefer=prefer, what=path.name), sha256


def locate(encoder: Encoder, weights: str) -> WeightFile:
    """Find the file of a set of weights, in this order: path, weights folder, hub.

    Parameters
    ----------
    encoder : Encoder
        What it is for.
    weights : str
        As ``load_network`` takes it, but for "random".

    Raises
    ------
    UsageError
        If there are no weights of this name.
    WeightsError
        If they cannot be had.
    """
    path = Path(weights)
    if path.suffix or os.sep in weights or path.is_file():
        named = next((p for p in encoder.published if p.file == path.name), None)
        stated = named.preprocessing if named and path.suffix == ".h5" else None
        # A file called random.pth is not the absence of weights.
        name = path.name if path.stem == "random" else path.stem
        return WeightFile(path, name, path.name, preprocessing=stated)
    published = encoder.find_published(weights)
    if found := folder.find_record(encoder.name, published.weights if published else weights):
        path, record = found
        return WeightFile(
            path, weights, record.source, record.licence, record.preprocessing, record.sha256
        )
    if published is None:
        raise _never_published(encoder, weights)
    cached = hub.cached_file(published)
    if cached is None:
        if published.repository is None:
            raise unavailable_weights(encoder, published, "they are not on the hub")
        try:
            cached = hub.download(published)
        except hub.HubError as error:
            raise unavailable_weights(encoder, published, str(error)) from None
    return WeightFile(
        cached,
        weights,
        str(published.repository),
        licence_of(encoder, published),
        published.preprocessing,
    )


def find_local(encoder: Encoder, published: PublishedWeights) -> Path | None:
    """Find published weights in the weights folder or the hub's local cache."""
    found = folder.find_record(encoder.name, published.weights)
    return found[0] if found else hub.cached_file(published)


def licence_of(encoder: Encoder, published: PublishedWeights) -> str | None:
    """Return the licence that a publisher states; timm keeps those of its own."""
    if published.licence or published.weights != "imagenet":
        return published.licence
    return networks.config_of(encoder).license


def unavailable_weights(encoder: Encoder, published: PublishedWeights, cause: str) -> WeightsError:
    """Make the error for published weights that are not here, with the way to them."""
    if published.repository:
        address = f"https://huggingface.co/{published.repository}/resolve/main/{published.file}"
    else:
        address = f"{published.file}, by the links on {published.home}"
    return WeightsError(
        f"the weights '{published.weights}' of {encoder.name} ({published.file} of "
        f"{published.repository or published.home}) are neither on this machine nor to be had "
        f"from the hub: {cause}.\n"
        f"On a machine with internet, download {address}\n"
        "Copy the file here, and once:\n"
        f"  bottleneck weights import {published.file} --backbone {encoder.name} "
        f"--as {published.weights}\n"
        "Then repeat the command. A file of your own: --weights FILE. To try the software "
        "only: --weights random, whose figures mean nothing."
    )


def _never_published(encoder: Encoder, weights: str) -> WeightsError | UsageError:
    known = sorted({p.weights for e in ENCODERS.values() for p in e.published})
    own = [r.weights for r in folder.read_records(folder.folder_path()).values()]
    if weights not in known:
        choices = ", ".join([*dict.fromkeys([*known, _RANDOM, *own]), "or the path of a file"])
        return UsageError(f"unknown weights '{weights}'. Known: {choices}")
    others = [e.name for e in ENCODERS.values() if e.find_published(weights)]
    return WeightsError(
        f"no {weights} weights were ever published for {encoder.name}. They exist for "
        f"{', '.join(others)}: choose one of these with --backbone.\n"
        f"With a file of your own: --weights FILE, or once "
        f"`bottleneck weights import FILE --backbone {encoder.name} --as NAME` and then "
        "--weights NAME"
    )
