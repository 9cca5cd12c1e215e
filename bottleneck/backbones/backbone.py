"""Frozen networks that turn preprocessed images into feature vectors."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self, Unpack

import torch
from torch import Tensor, nn

from bottleneck.backbones import networks
from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.inputs import network_inputs
from bottleneck.backbones.inputs.preprocessing_presets import own_preprocessing
from bottleneck.backbones.layers.embedding import embed_together
from bottleneck.backbones.layers.places import Places
from bottleneck.backbones.layers.pooling import find_pooling
from bottleneck.backbones.layers.taps import Taps
from bottleneck.backbones.licences import LicencePolicy
from bottleneck.backbones.own import own_networks
from bottleneck.backbones.own.fingerprints import TensorsDigest
from bottleneck.backbones.recipe import AnyPreprocessing, Decoding, Precision, Recipe, name_decoding
from bottleneck.backbones.weights.loading import Weights, load_network
from bottleneck.backbones.weights.stated_licences import require_named_licence
from bottleneck.data.images.preparation import Preparation
from bottleneck.data.volumes.patches.volume_options import VolumeKeywords, VolumeOptions
from bottleneck.errors import BottleneckError
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import describe

__all__ = ["Backbone", "load_backbone"]


class Backbone:
    """A frozen network, the layer from which features are taken, and the pooling.

    ``load_backbone`` makes it of a name, and ``Backbone.from_module`` of a network of one's own.

    Parameters
    ----------
    network : nn.Module
        The network. Its last feature map is ``forward_features(x)``, or ``network(x)`` if it has no
        such method.
    name : str
        The name for ``--backbone``.
    architecture : str
        Name of the timm model.
    weights : Weights
        The weights that the network was filled with.
    preprocessing : Preprocessing or VolumePreprocessing
        The preprocessing that the weights expect: of images, or of volumes.
    layer : str, optional
        Name of a module of the network; by default, the last feature map.
    pooling : {"avg", "max", "gem", "flatten"}
        How the output of the layer becomes one vector.
    own : bool
        Whether it is a network of one's own.

    Attributes
    ----------
    shape, width : tuple of int, int
        Shape of the layer's output for one image, slice or volume, and length of a feature vector.
    device : torch.device
        The device of the network.
    pool : LayerPooling
        Takes the output of the layer for a batch, and returns its features.
    statistics : tuple of two Tensor, each of shape (n_channels,)
        Mean and std of the preprocessing, on this device.
    versions : dict of str to str
        Version of the installed package that a network of one's own comes from.

    Raises
    ------
    UsageError
        If the layer or the pooling does not exist, or the layer does not give one output per image.
    WeightsError
        If the network holds weights that are not finite.

    Examples
    --------
    >>> from bottleneck.testing import tiny_backbone
    >>> backbone = tiny_backbone(width=8)
    >>> backbone.shape, backbone.width, backbone.pooling
    ((8, 7, 7), 8, 'avg')
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        architecture: str,
        weights: Weights,
        preprocessing: AnyPreprocessing,
        layer: str | None = None,
        pooling: str = "avg",
        own: bool = False,
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.name = name
        self.architecture = architecture
        self.weights = weights
        self.preprocessing = preprocessing
        self.own = own
        self.versions: dict[str, str] = {}
        self._code = own_networks.CodeWatch()
        self._digest = TensorsDigest(network, every=own, check=self._refuse_not_finite)
        self._refuse_not_finite()
        self.device = torch.device("cpu")
        self.statistics = self._place_statistics()
        self._take_from(layer, pooling)

    def __repr__(self) -> str:
        layer = f"layer {self.layer}" if self.layer else "the last feature map"
        return describe(
            self,
            f"{self.name} ({self.weights.name})",
            f"{counted(self.width, 'feature')} of {layer}, pooling {self.pooling}",
            f"on {self.device}",
        )

    @classmethod
    def from_module(
        cls,
        module: nn.Module,
        preprocessing: AnyPreprocessing | str | Mapping[str, Any],
        layer: str | None = None,
        *,
        pooling: str = "avg",
        name: str | None = None,
        licence: str | None = None,
    ) -> Self:
        """Return a backbone of any ``torch.nn.Module``: of timm, torchvision, MONAI, or one's own.

        The module stays as it is; its copy is on the CPU, in float32 and in evaluation mode. The
        recipe holds a hash of all its tensors, and one of its settings and code: the source of
        its classes and of what they call, or the installed package and its version. Networks that
        differ in any of these never share a feature file.

        Parameters
        ----------
        module : nn.Module
            Takes a batch of shape (batch, channels, crop, crop) or (batch, channels, x, y, z).
            Features are those of ``forward_features``, if it has this method, or of its output.
        preprocessing : Preprocessing, VolumePreprocessing, str or mapping
            How samples reach the module; as a mapping, the ``resolve_model_data_config`` of timm;
            "timm" for what a timm model states itself; "radimagenet" or one of its variants; or
            the path of a TOML file.
        layer : str, optional
            Name of the layer whose output is pooled, as ``module.named_modules()`` gives it.
        pooling : {"avg", "max", "gem", "flatten"}
            How its output becomes one vector. Three dimensions are (batch, tokens, features).
        name, licence : str, optional
            Name in reports and feature files, by default that of the class; and licence of its
            weights, such as "apache-2.0".

        Raises
        ------
        UsageError
            If the module cannot be copied or read (TorchScript, compiled, quantised); if a row
            depends on more than its image; or if layer, pooling or preprocessing do not fit.
        WeightsError
            If it holds weights that are not finite.

        Examples
        --------
        >>> from bottleneck import Preprocessing
        >>> network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU())
        >>> grey = Preprocessing(32, 32, "bilinear", (0.5,) * 3, (0.5,) * 3, channels="L")
        >>> backbone = Backbone.from_module(network, grey, name="small")
        >>> backbone.shape, backbone.width
        ((8, 30, 30), 8)
        """
        find_pooling(pooling)
        network = own_networks.frozen_copy(module)
        stated = own_preprocessing(preprocessing, module)
        identity = own_networks.identify(network, name)
        backbone = cls(
            network,
            name=identity.name,
            architecture=identity.code,
            weights=Weights(f"own {identity.tensors[:8]}", identity.code, licence=licence),
            preprocessing=stated,
            layer=layer,
            pooling=pooling,
            own=True,
        )
        backbone.versions = {k: v for k, v in filter(None, [identity.package]) if v}
        own_networks.refuse_dependent_rows(network, backbone.name, backbone.embed, stated)
        backbone._code = own_networks.CodeWatch(network)
        return backbone

    def __sklearn_clone__(self) -> Backbone:
        return self  # It is frozen: clones of an estimator that has it share the network.

    def _take_from(self, layer: str | None, pooling: str) -> None:
        """Take features from a layer; None or "" is the last feature map."""
        self.layer, self.pooling = "" if layer is None else layer, pooling
        find_pooling(pooling)
        networks.refuse_unknown_layer(self.name, self.layer, self.network, own=self.own)
        network_inputs.refuse_dimensions(self.network, self.preprocessing, self.name)
        network, zeros = network_inputs.probe(self)
        with Taps(network, [self.layer], self.name) as taps:
            try:
                (output,) = taps.read(zeros)
            except Exception as error:  # noqa: BLE001  # A network of one's own may raise anything.
                size = network_inputs.size_in_words(self.preprocessing)
                raise networks.explain_input(self.explain(error), self.name, size) from None
        networks.refuse_output(self.network, output, self.layer, self.name, zeros)
        form = Places.of(self.network, self.layer, output, tuple(zeros.shape[2:]), self.name)
        self.pool = network_inputs.pooling_of(self.preprocessing, pooling, form)
        self.shape, self.width = tuple(output.shape[1:]), self.pool(output).shape[1]

    def explain(self, error: Exception) -> Exception:
        """Return the error to raise where the forward pass raised one.

        Examples
        --------
        >>> from bottleneck.testing import tiny_backbone
        >>> error = ValueError("a failure of the network")
        >>> tiny_backbone().explain(error) is error
        True
        """
        if not self.own or isinstance(error, BottleneckError | MemoryError):
            return error
        return own_networks.explain_failure(error, self.name, self.network, self.preprocessing)

    def at(self, layer: str | None, pooling: str | None = None) -> Backbone:
        """Return a backbone of the same network with another layer, and perhaps another pooling.

        ``None`` is the last feature map.

        Examples
        --------
        >>> from bottleneck.testing import tiny_backbone
        >>> tiny_backbone().at("0", pooling="max").layer
        '0'
        """
        other = copy.copy(self)
        other._take_from(layer, pooling or self.pooling)
        return other

    def _refuse_not_finite(self) -> None:
        # The buffers of a network of one's own may be masks that hold −∞.
        weights = dict(self.network.named_parameters()) if self.own else self.network.state_dict()
        networks.refuse_not_finite(weights, f"the network {self.name}")

    def prepared(self, preparation: Preparation) -> Backbone:
        """Return a backbone of the same network that takes images prepared in more steps.

        Examples
        --------
        >>> backbone = load_backbone("resnet18", weights="random")
        >>> backbone.prepared(Preparation(denoise="median")).preprocessing.preparation.words
        'median'
        """
        other = copy.copy(self)
        other.preprocessing = self.preprocessing.with_options(preparation)
        return self if other.preprocessing == self.preprocessing else other

    @property
    def digest(self) -> str:
        """sha256 over the names, shapes and values of the network's tensors."""
        return self._digest.value

    def recipe(self, precision: Precision, decoding: Decoding = "reference") -> Recipe:
        """Return the recipe of the features that this backbone computes.

        Examples
        --------
        >>> from bottleneck.testing import tiny_backbone
        >>> tiny_backbone().recipe("fp32").backbone
        'tiny'
        """
        self._code.refuse_changes(self.network, self.name)
        if not self.own:
            network_inputs.refuse_raw_values(self.preprocessing, self.name)
        return Recipe(
            backbone=self.name,
            weights=self.weights.name,
            network=self.architecture,
            weights_digest=self.digest,
            layer=self.layer,
            pooling=self.pooling,
            preprocessing=self.preprocessing,
            precision=precision,
            decoding=name_decoding(self.preprocessing, decoding),
            variant=self.weights.variant,
            licence=self.weights.licence,
        )

    def to(self, device: torch.device) -> Backbone:
        """Move the network to a device, one of images channels last; return the backbone itself.

        Examples
        --------
        >>> from bottleneck.testing import tiny_backbone
        >>> tiny_backbone().to(torch.device("cpu")).device
        device(type='cpu')
        """
        # Somebody may have trained the network meanwhile.
        self.network.eval().to(device)
        if network_inputs.is_flat(self.preprocessing):
            self.network.to(memory_format=torch.channels_last)
        self.device = device
        self.statistics = self._place_statistics()
        return self

    def _place_statistics(self) -> tuple[Tensor, Tensor]:
        # Done once: in every batch, a GPU would have to wait for the copy.
        return network_inputs.statistics_of(self.preprocessing, self.device)

    @torch.inference_mode()
    def embed(self, pixels: Tensor, precision: Precision = "fp32") -> Tensor:
        """Return the features of a batch of preprocessed images.

        Parameters
        ----------
        pixels : Tensor of uint8 or float32, shape (batch, crop, crop, n_channels)
            As ``Preprocessing.pixels`` returns them, or patches (``RegionVoxels.patch``).
        precision : {"fp32", "bf16", "fp16"}
            Precision of the forward pass; pooling is always float32.

        Returns
        -------
        Tensor of float32, shape (batch, width)
            One feature vector per image, on the backbone's device.

        Examples
        --------
        >>> from bottleneck.testing import tiny_backbone
        >>> pixels = torch.zeros(2, 16, 16, 3, dtype=torch.uint8)
        >>> tiny_backbone(width=8).embed(pixels).shape
        torch.Size([2, 8])
        """
        return embed_together([self], pixels, precision)[0]


def load_backbone(
    name: str,
    *,
    weights: str = "imagenet",
    layer: str | None = None,
    pooling: str = "avg",
    preprocessing: str | None = None,
    licence_policy: LicencePolicy = "any",
    **volumes: Unpack[VolumeKeywords],
) -> Backbone:
    """Return a frozen network by name.

    Parameters
    ----------
    name : str
        A short name (``bottleneck backbones`` lists them) or ``timm/NAME[.TAG]``.
    weights : str
        "imagenet" or another published name, "random", a name in the weights folder, or a file.
    layer, pooling : str
        As for ``Backbone``.
    preprocessing : str, optional
        "timm", "torchvision", "keras", "transformers", "radimagenet" or one of its variants; for
        volumes "ssl", "btcv", "brats", "medicalnet" or "ct_fm"; or the path of a TOML file. By
        default, what the publisher of the weights states.
    licence_policy : {"any", "commercial"}
        "commercial" accepts only weights whose licence is stated to allow commercial use.
    **volumes
        Fields of ``VolumeOptions``: with ``slices``, a network of images takes volumes.

    Returns
    -------
    Backbone
        The network on the CPU.

    Raises
    ------
    UsageError
        If the backbone, the weights, the layer, the pooling or the preprocessing does not exist.
    WeightsError, LicenceError
        If the weights are not available, do not fit, or are refused by the policy.

    Examples
    --------
    >>> backbone = load_backbone("resnet18", weights="random")
    >>> backbone.shape, backbone.width
    ((512, 7, 7), 512)
    """
    encoder = find_encoder(name)
    find_pooling(pooling)
    options = VolumeOptions(**volumes)
    require_named_licence(name, weights, licence_policy)
    network, loaded, expected = load_network(encoder, weights, preprocessing)
    return Backbone(
        network,
        name=encoder.name,
        architecture=encoder.architecture,
        weights=loaded,
        preprocessing=options.applied(expected, encoder.name),
        layer=layer,
        pooling=pooling,
    )
