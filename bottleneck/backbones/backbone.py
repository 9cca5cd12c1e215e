"""Frozen networks that turn preprocessed images into feature vectors."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import difflib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.networks import feature_map, refuse_not_finite
from bottleneck.backbones.pooling import find_pooling, positions
from bottleneck.backbones.recipe import Decoding, Precision, Recipe, name_decoding
from bottleneck.backbones.taps import Taps
from bottleneck.backbones.weights.loading import Weights, load_network
from bottleneck.data.images.preparation import Preparation
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import UsageError
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import describe

__all__ = [
    "Backbone",
    "embed_together",
    "load_backbone",
    "tapped",
    "without_tf32",
]

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Backbone:
    """A frozen network, the layer from which features are taken, and the pooling.

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
    preprocessing : Preprocessing
        The preprocessing that the weights expect.
    layer : str
        Name of a module of the network; "" for the last feature map.
    pooling : {"avg", "max", "gem", "flatten"}
        How the output of the layer becomes one vector.

    Attributes
    ----------
    shape : tuple of int
        Shape of the layer's output for one image.
    width : int
        Length of a feature vector.
    device : torch.device
        The device of the network.
    statistics : tuple of two Tensor, each of shape (3,)
        Mean and std of the preprocessing, on this device.

    Raises
    ------
    UsageError
        If the layer or the pooling does not exist, or the layer does not give one output per image.
    WeightsError
        If the network holds weights that are not finite.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        architecture: str,
        weights: Weights,
        preprocessing: Preprocessing,
        layer: str = "",
        pooling: str = "avg",
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.name = name
        self.architecture = architecture
        self.weights = weights
        self.preprocessing = preprocessing
        self.layer = layer
        self.pooling = pooling
        self._pool = find_pooling(pooling)
        self._prefix_tokens = getattr(network, "num_prefix_tokens", 0)
        if layer and layer not in dict(network.named_modules()):
            raise _unknown_layer(name, layer, network)
        # Feature maps of Swin have their channels last, except the outputs of its convolutions.
        is_convolution = isinstance(network.get_submodule(layer), nn.Conv2d) if layer else False
        swin_like = getattr(network, "output_fmt", "NCHW") == "NHWC"
        self._channels_last = swin_like and not is_convolution
        refuse_not_finite(network.state_dict(), f"the network {name}")
        self.device = torch.device("cpu")
        self.statistics = self._place_statistics()
        self.shape, self.width = self._probe()

    def __repr__(self) -> str:
        layer = f"layer {self.layer}" if self.layer else "the last feature map"
        return describe(
            self,
            f"{self.name} ({self.weights.name})",
            f"{counted(self.width, 'feature')} of {layer}, pooling {self.pooling}",
            f"on {self.device}",
        )

    def _probe(self) -> tuple[tuple[int, ...], int]:
        side = self.preprocessing.crop
        with Taps(self.network, [self.layer], self.name) as taps:
            (output,) = taps.read(torch.zeros(2, 3, side, side))
        if not isinstance(output, Tensor) or len(output) != 2 or output.ndim not in (2, 3, 4):
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise UsageError(
                f"layer '{self.layer}' of {self.name} gives {shape} for 2 images, but one map, "
                "token list or vector per image is needed; choose another layer"
            )
        if output.ndim == 4 and ".attn." in f".{self.layer}":
            raise UsageError(
                f"layer '{self.layer}' of {self.name} gives attention weights, not features; "
                "choose another layer"
            )
        return tuple(output.shape[1:]), self._pooled(output).shape[1]

    def at(self, layer: str | None) -> Backbone:
        """Return a backbone of the same network with another layer (None: last feature map)."""
        other = Backbone(
            self.network,
            name=self.name,
            architecture=self.architecture,
            weights=self.weights,
            preprocessing=self.preprocessing,
            layer=layer or "",
            pooling=self.pooling,
        )
        other.device = self.device
        other.statistics = self.statistics
        other.__dict__["digest"] = self.digest
        return other

    def prepared(self, preparation: Preparation) -> Backbone:
        """Return a backbone of the same network that takes images prepared in more steps.

        Examples
        --------
        >>> backbone = load_backbone("resnet18", weights="random")
        >>> backbone.prepared(Preparation(denoise="median")).preprocessing.preparation.words
        'median'
        """
        own = self.preprocessing.preparation
        merged = own.with_options(preparation)
        if merged == own:
            return self
        other = copy.copy(self)
        other.preprocessing = dataclasses.replace(self.preprocessing, preparation=merged)
        return other

    def _pooled(self, output: Tensor) -> Tensor:
        return self._pool(
            positions(output, channels_last=self._channels_last, prefix_tokens=self._prefix_tokens)
        )

    @cached_property
    def digest(self) -> str:
        """sha256 over the names, shapes and float32 values of the network's tensors."""
        digest = hashlib.sha256()
        for key, tensor in sorted(self.network.state_dict().items()):
            if key.endswith("num_batches_tracked"):
                continue
            digest.update(f"{key} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.float().cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def recipe(self, precision: Precision, decoding: Decoding = "reference") -> Recipe:
        """Return the recipe of the features that this backbone computes."""
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
        )

    def to(self, device: torch.device) -> Backbone:
        """Move the network to a device, channels last; return the backbone itself."""
        self.network.to(device).to(memory_format=torch.channels_last)
        self.device = device
        self.statistics = self._place_statistics()
        return self

    def _place_statistics(self) -> tuple[Tensor, Tensor]:
        # Done once: in every batch, a GPU would have to wait for the copy.
        mean, std = self.preprocessing.mean, self.preprocessing.std
        return torch.tensor(mean, device=self.device), torch.tensor(std, device=self.device)

    @torch.inference_mode()
    def embed(self, pixels: Tensor, precision: Precision = "fp32") -> Tensor:
        """Return the features of a batch of preprocessed images.

        Parameters
        ----------
        pixels : Tensor of uint8 or float32, shape (batch, crop, crop, 3)
            Values from 0 to 255, as ``Preprocessing.pixels`` returns them.
        precision : {"fp32", "bf16", "fp16"}
            Precision of the forward pass; pooling is always float32.

        Returns
        -------
        Tensor of float32, shape (batch, width)
            One feature vector per image, on the backbone's device.
        """
        return embed_together([self], pixels, precision)[0]


def tapped(backbones: Sequence[Backbone]) -> Taps:
    """Return the taps of several backbones of one network; close them after use."""
    first = backbones[0]
    return Taps(first.network, [backbone.layer for backbone in backbones], first.name)


@torch.inference_mode()
def embed_together(
    backbones: Sequence[Backbone],
    pixels: Tensor,
    precision: Precision = "fp32",
    forward: Callable[[nn.Module, Tensor], Tensor] = feature_map,
    taps: Taps | None = None,
) -> list[Tensor]:
    """Return the features of several layers of one network, computed in one forward pass.

    Parameters
    ----------
    backbones : sequence of Backbone
        Backbones of one network with different layers (see ``Backbone.at``).
    pixels, precision
        The same as for ``Backbone.embed``.
    forward : callable
        Takes the network and its input, and returns the last feature map; for example a
        compiled ``feature_map``.
    taps : Taps, optional
        The result of ``tapped(backbones)``. Without it, only one thread may use the network.

    Returns
    -------
    list of Tensor of float32, each of shape (batch, width)
        The features of each backbone.
    """
    first = backbones[0]
    x = pixels.to(first.device, non_blocking=True).float()
    # For float32 pixels, ``float`` returns the caller's tensor, which must not be changed.
    x = x.div_(255) if pixels.dtype == torch.uint8 else x.div(255)
    # On flattened rows: with an innermost loop over 3 channels, a CPU takes four times as long.
    mean, std = (channel.repeat(x.shape[2]) for channel in first.statistics)
    rows = x.flatten(2).sub_(mean).div_(std)
    # NHWC permuted to NCHW is already in the memory format channels_last.
    x = rows.view(x.shape).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    reduced = precision != "fp32"
    autocast = torch.autocast(first.device.type, dtype=_DTYPES[precision], enabled=reduced)
    cuda = first.device.type == "cuda"
    with contextlib.ExitStack() as stack:
        stack.enter_context(autocast)
        stack.enter_context(without_tf32() if cuda else contextlib.nullcontext())
        outputs = (taps or stack.enter_context(tapped(backbones))).read(x, forward)
    return [b._pooled(output) for b, output in zip(backbones, outputs, strict=True)]


@contextlib.contextmanager
def without_tf32() -> Iterator[None]:
    """Turn off TF32 in cuDNN, which by default rounds fp32 inputs to a mantissa of 10 bits.

    The setting applies to the whole process. If several threads compute, use it around all of them.
    """
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def load_backbone(
    name: str,
    *,
    weights: str = "imagenet",
    layer: str | None = None,
    pooling: str = "avg",
    preprocessing: str | None = None,
) -> Backbone:
    """Return a frozen network by name.

    Parameters
    ----------
    name : str
        A short name (``bottleneck backbones`` lists them) or ``timm/NAME[.TAG]``.
    weights : str
        "imagenet", "radimagenet", "random", a name in the weights folder, or the path of a
        file.
    layer : str, optional
        Name of the layer whose output is pooled; by default, the last feature map.
    pooling : {"avg", "max", "gem", "flatten"}
        How the output of the layer becomes one vector.
    preprocessing : str, optional
        "timm", "torchvision", "keras", "transformers", "radimagenet" or one of its variants, or
        the path of a TOML file; by default, what the publisher of the weights states.

    Returns
    -------
    Backbone
        The network on the CPU.

    Raises
    ------
    UsageError
        If the backbone, the weights, the layer, the pooling or the preprocessing does not exist.
    WeightsError
        If the weights are not available, or do not fit.

    Examples
    --------
    >>> backbone = load_backbone("resnet18", weights="random")
    >>> backbone.shape, backbone.width
    ((512, 7, 7), 512)
    >>> backbone.embed(torch.zeros(2, 224, 224, 3, dtype=torch.uint8)).shape
    torch.Size([2, 512])
    """
    encoder = find_encoder(name)
    find_pooling(pooling)
    network, loaded, expected = load_network(encoder, weights, preprocessing)
    return Backbone(
        network,
        name=encoder.name,
        architecture=encoder.architecture,
        weights=loaded,
        preprocessing=expected,
        layer=layer or "",
        pooling=pooling,
    )


def _unknown_layer(name: str, layer: str, network: nn.Module) -> UsageError:
    layers = [n for n, _ in network.named_modules() if n]
    near = difflib.get_close_matches(layer, layers, n=3, cutoff=0.4) or layers[-3:]
    return UsageError(
        f"unknown layer '{layer}' of {name}; similar names: {', '.join(near)}. "
        f"`bottleneck backbones {name}` lists all layers."
    )
