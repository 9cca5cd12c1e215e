"""A frozen network with a layer and a pooling: images in, one vector each out."""

from __future__ import annotations

import difflib
import hashlib
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.pooling import find_pooling, positions
from bottleneck.backbones.weights import Weights, feature_map, load_network
from bottleneck.data.preprocessing import Preprocessing
from bottleneck.errors import UsageError
from bottleneck.features.recipe import Precision, Recipe

__all__ = ["Backbone", "load_backbone"]

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class _ReachedError(Exception):
    """Ends a forward pass at the layer that was asked for."""


class Backbone:
    """A frozen network, where to tap it, and how to pool what comes out.

    Parameters
    ----------
    network : nn.Module
        Its last feature map is ``forward_features(x)``, or ``network(x)`` where it has none.
    name, architecture : str
        What the user calls it, and what it is.
    weights : Weights
        What it was filled with.
    preprocessing : Preprocessing
        The input that the weights expect.
    layer : str
        Name of a module of the network; "" for the last feature map.
    pooling : str
        "avg", "max", "gem" or "flatten".

    Attributes
    ----------
    shape : tuple of int
        Of the tapped layer's output for one image, read off the network.
    width : int
        Length of a feature vector, read off the network.

    Raises
    ------
    UsageError
        If the layer or the pooling does not exist, or the layer's output has no row an image.
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
        self._channels_last = getattr(network, "output_fmt", "NCHW") == "NHWC"
        self._prefix_tokens = getattr(network, "num_prefix_tokens", 0)
        if layer and layer not in dict(network.named_modules()):
            raise _unknown_layer(name, layer, network)
        self.device = torch.device("cpu")
        self.shape, self.width = self._probe()

    def _probe(self) -> tuple[tuple[int, ...], int]:
        side = self.preprocessing.crop
        output = self._tap(torch.zeros(2, 3, side, side))
        if not isinstance(output, Tensor) or len(output) != 2 or output.ndim not in (2, 3, 4):
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise UsageError(
                f"layer '{self.layer}' of {self.name} gives {shape} for 2 images, not one map, "
                "token list or vector an image; choose another layer"
            )
        return tuple(output.shape[1:]), self._pooled(output).shape[1]

    @torch.inference_mode()
    def _tap(self, x: Tensor) -> Any:
        if not self.layer:
            return feature_map(self.network, x)
        found: list[Any] = []

        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            found.append(output)
            raise _ReachedError

        hook = self.network.get_submodule(self.layer).register_forward_hook(keep)
        try:
            feature_map(self.network, x)
        except _ReachedError:
            pass
        finally:
            hook.remove()
        if not found:
            raise UsageError(f"layer '{self.layer}' of {self.name} takes no part in its features")
        return found[0]

    def _pooled(self, output: Tensor) -> Tensor:
        return self._pool(
            positions(output, channels_last=self._channels_last, prefix_tokens=self._prefix_tokens)
        )

    @cached_property
    def digest(self) -> str:
        """sha256 over names, shapes and float32 values of the network's tensors."""
        digest = hashlib.sha256()
        for key, tensor in sorted(self.network.state_dict().items()):
            if key.endswith("num_batches_tracked"):
                continue
            digest.update(f"{key} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.float().cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def recipe(self, precision: Precision) -> Recipe:
        """Return the recipe of the features that this backbone makes."""
        return Recipe(
            backbone=self.name,
            weights=self.weights.name,
            network=self.architecture,
            weights_digest=self.digest,
            layer=self.layer,
            pooling=self.pooling,
            preprocessing=self.preprocessing,
            precision=precision,
        )

    def to(self, device: torch.device) -> Backbone:
        """Move the network to a device, in the memory format that its convolutions like."""
        self.network.to(device).to(memory_format=torch.channels_last)
        self.device = device
        return self

    @torch.inference_mode()
    def embed(self, pixels: Tensor, precision: Precision = "fp32") -> Tensor:
        """Compute features.

        Parameters
        ----------
        pixels : Tensor of uint8, shape (batch, crop, crop, 3)
            As ``Preprocessing.pixels`` makes them.
        precision : {"fp32", "bf16", "fp16"}
            Arithmetic of the network; pooling is always float32.

        Returns
        -------
        Tensor of float32, shape (batch, width)
            On the backbone's device.
        """
        # NHWC bytes permuted to NCHW are channels_last already.
        x = pixels.to(self.device, non_blocking=True).permute(0, 3, 1, 2).float().div(255)
        mean = torch.tensor(self.preprocessing.mean, device=self.device).view(3, 1, 1)
        std = torch.tensor(self.preprocessing.std, device=self.device).view(3, 1, 1)
        x = x.sub(mean).div(std)
        reduced = precision != "fp32"
        with torch.autocast(self.device.type, dtype=_DTYPES[precision], enabled=reduced):
            output = self._tap(x)
        return self._pooled(output)


def load_backbone(
    name: str, *, weights: str = "imagenet", layer: str | None = None, pooling: str = "avg"
) -> Backbone:
    """Load a frozen network by name.

    Parameters
    ----------
    name : str
        A short name (``bottleneck backbones`` lists them) or ``timm/NAME[.TAG]``.
    weights : str
        "imagenet", "radimagenet", "random", or the path of a file.
    layer : str, optional
        Name of the layer to tap; the last feature map where none is given.
    pooling : {"avg", "max", "gem", "flatten"}
        How a feature map becomes a vector.

    Returns
    -------
    Backbone
        On the CPU.

    Raises
    ------
    UsageError
        If a name does not exist.
    WeightsError
        If the weights cannot be had or do not fit.
    """
    encoder = find_encoder(name)
    find_pooling(pooling)
    network, found, preprocessing = load_network(encoder, weights)
    return Backbone(
        network,
        name=encoder.name,
        architecture=encoder.architecture,
        weights=found,
        preprocessing=preprocessing,
        layer=layer or "",
        pooling=pooling,
    )


def _unknown_layer(name: str, layer: str, network: nn.Module) -> UsageError:
    layers = [n for n, _ in network.named_modules() if n]
    near = difflib.get_close_matches(layer, layers, n=3, cutoff=0.4) or layers[-3:]
    return UsageError(
        f"unknown layer '{layer}' of {name}; near it: {', '.join(near)}. "
        f"`bottleneck backbones {name}` lists all."
    )
