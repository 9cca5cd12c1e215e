"""A frozen network with a layer and a pooling: images in, one vector each out."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.networks import feature_map
from bottleneck.backbones.pooling import find_pooling, positions
from bottleneck.backbones.recipe import Decoding, Precision, Recipe, name_decoding
from bottleneck.backbones.weights.loading import Weights, load_network
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import UsageError

__all__ = [
    "Backbone",
    "MemoryFormat",
    "Taps",
    "embed_together",
    "load_backbone",
    "tapped",
    "without_tf32",
]

MemoryFormat = Literal["channels_last", "contiguous"]
_LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class _ReachedError(Exception):
    """Ends a forward pass at the last of the layers that were asked for."""


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
    statistics : tuple of Tensor, each of shape (3,)
        Mean and std of the preprocessing, where the network is.

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
        self._prefix_tokens = getattr(network, "num_prefix_tokens", 0)
        if layer and layer not in dict(network.named_modules()):
            raise _unknown_layer(name, layer, network)
        # Swin's maps have their channels last, but for what its convolutions give.
        is_convolution = isinstance(network.get_submodule(layer), nn.Conv2d) if layer else False
        swin_like = getattr(network, "output_fmt", "NCHW") == "NHWC"
        self._channels_last = swin_like and not is_convolution
        self.device = torch.device("cpu")
        self.layout: MemoryFormat = "channels_last"
        self.statistics = self._place_statistics()
        self.shape, self.width = self._probe()

    def _probe(self) -> tuple[tuple[int, ...], int]:
        side = self.preprocessing.crop
        with Taps(self.network, [self.layer], self.name) as taps:
            (output,) = taps.read(torch.zeros(2, 3, side, side))
        if not isinstance(output, Tensor) or len(output) != 2 or output.ndim not in (2, 3, 4):
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise UsageError(
                f"layer '{self.layer}' of {self.name} gives {shape} for 2 images, not one map, "
                "token list or vector an image; choose another layer"
            )
        if output.ndim == 4 and ".attn." in f".{self.layer}":
            raise UsageError(
                f"layer '{self.layer}' of {self.name} gives attention weights, not features; "
                "choose another layer"
            )
        return tuple(output.shape[1:]), self._pooled(output).shape[1]

    def at(self, layer: str | None) -> Backbone:
        """Return the same network, tapped at another layer."""
        other = Backbone(
            self.network,
            name=self.name,
            architecture=self.architecture,
            weights=self.weights,
            preprocessing=self.preprocessing,
            layer=layer or "",
            pooling=self.pooling,
        )
        other.device, other.layout = self.device, self.layout
        other.statistics = self.statistics
        other.__dict__["digest"] = self.digest
        return other

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

    def recipe(self, precision: Precision, decoding: Decoding = "reference") -> Recipe:
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
            decoding=name_decoding(self.preprocessing, decoding),
            variant=self.weights.variant,
        )

    def to(self, device: torch.device, layout: MemoryFormat = "channels_last") -> Backbone:
        """Move the network to a device, and its convolutions into a memory format."""
        self.network.to(device).to(memory_format=_LAYOUTS[layout])
        self.device, self.layout = device, layout
        self.statistics = self._place_statistics()
        return self

    def _place_statistics(self) -> tuple[Tensor, Tensor]:
        # Once, not in every batch: before a GPU, each would wait for the copy.
        how = self.preprocessing
        return torch.tensor(how.mean, device=self.device), torch.tensor(how.std, device=self.device)

    @torch.inference_mode()
    def embed(self, pixels: Tensor, precision: Precision = "fp32") -> Tensor:
        """Compute features.

        Parameters
        ----------
        pixels : Tensor of uint8 or float32, shape (batch, crop, crop, 3)
            0 to 255, as ``Preprocessing.pixels`` makes them.
        precision : {"fp32", "bf16", "fp16"}
            Arithmetic of the network; pooling is always float32.

        Returns
        -------
        Tensor of float32, shape (batch, width)
            On the backbone's device.
        """
        return embed_together([self], pixels, precision)[0]


def tapped(backbones: Sequence[Backbone]) -> Taps:
    """Tap one network at the layers of backbones; to be closed."""
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
    """Compute the features of several layers of one network in one forward pass.

    Parameters
    ----------
    backbones : sequence of Backbone
        One network, tapped at different layers (``Backbone.at``).
    pixels, precision
        As ``Backbone.embed`` takes them.
    forward : callable
        Computes the last feature map from the network and its input; a compiled
        ``feature_map``, for one.
    taps : Taps, optional
        What ``tapped(backbones)`` returned; without it, a network can be in one thread only.

    Returns
    -------
    list of Tensor
        For each backbone what ``embed`` returns.
    """
    first = backbones[0]
    x = pixels.to(first.device, non_blocking=True).float()
    # Out of place where ``float`` gave the caller's own tensor back.
    x = x.div_(255) if pixels.dtype == torch.uint8 else x.div(255)
    # By rows: a processor takes four times as long where the innermost loop is over 3 channels.
    mean, std = (each.repeat(x.shape[2]) for each in first.statistics)
    rows = x.flatten(2).sub_(mean).div_(std)
    # NHWC permuted to NCHW is channels_last already.
    x = rows.view(x.shape).permute(0, 3, 1, 2).contiguous(memory_format=_LAYOUTS[first.layout])
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
    """Compute fp32 in fp32: by default cuDNN rounds its inputs to 10 bits of mantissa.

    The setting is the process's. Where several threads compute, it must be made around all.
    """
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


class Taps:
    """Outputs of layers of a network, read in any number of threads at once.

    The network carries hooks from here to ``close``. Use as a context manager.

    Parameters
    ----------
    network : nn.Module
        What is tapped.
    layers : sequence of str
        Names of its modules; "" for the last feature map.
    name : str
        Of the network, for the message.
    """

    def __init__(self, network: nn.Module, layers: Sequence[str], name: str) -> None:
        self._network, self._layers, self._name = network, layers, name
        self._wanted = set(layers)
        # Hooks fire in every pass over the network, those of other threads too.
        self._own = threading.local()
        self._hooks = [
            network.get_submodule(layer).register_forward_hook(self._keep(layer))
            for layer in self._wanted - {""}
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the hooks off the network."""
        for hook in self._hooks:
            hook.remove()

    def _keep(self, layer: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            found = getattr(self._own, "found", None)
            if found is None:
                return
            # A later module may compute in place on what this one gave.
            found[layer] = output.clone() if isinstance(output, Tensor) else output
            if found.keys() == self._wanted:
                raise _ReachedError

        return hook

    @torch.inference_mode()
    def read(
        self, x: Tensor, forward: Callable[[nn.Module, Tensor], Tensor] = feature_map
    ) -> list[Any]:
        """Return the outputs of the layers for one input of the network.

        Raises
        ------
        UsageError
            If a layer takes no part in the last feature map.
        """
        found: dict[str, Any] = {}
        self._own.found = found
        try:
            found[""] = forward(self._network, x)
        except _ReachedError:
            pass
        finally:
            self._own.found = None
        if missed := self._wanted - found.keys():
            raise UsageError(f"layer '{min(missed)}' of {self._name} takes no part in its features")
        return [found[layer] for layer in self._layers]


def load_backbone(
    name: str,
    *,
    weights: str = "imagenet",
    layer: str | None = None,
    pooling: str = "avg",
    preprocessing: str | None = None,
) -> Backbone:
    """Load a frozen network by name.

    Parameters
    ----------
    name : str
        A short name (``bottleneck backbones`` lists them) or ``timm/NAME[.TAG]``.
    weights : str
        "imagenet", "radimagenet", "random", a name in the weights folder, or the path of a
        file.
    layer : str, optional
        Name of the layer to tap; the last feature map where none is given.
    pooling : {"avg", "max", "gem", "flatten"}
        How a feature map becomes a vector.
    preprocessing : str, optional
        "timm", "torchvision", "keras", "transformers", "radimagenet" or a relative of it, or
        a TOML file; by default what the publisher of the weights states.

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
    network, found, stated = load_network(encoder, weights, preprocessing)
    return Backbone(
        network,
        name=encoder.name,
        architecture=encoder.architecture,
        weights=found,
        preprocessing=stated,
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
