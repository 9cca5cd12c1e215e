"""Networks of one's own: frozen copies, refused where a row depends on more than its image."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bottleneck.backbones.inputs.network_inputs import patch_shape, size_in_words
from bottleneck.backbones.own.fingerprints import (
    all_tensors,
    class_of,
    digest_tensors,
    fingerprint_code,
    package_of,
    refuse_unusual,
    versions_of,
)
from bottleneck.backbones.recipe import AnyPreprocessing
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.errors import UsageError, one_line
from bottleneck.text.plain_text import visible
from bottleneck.text.short_repr import shorten

__all__ = [
    "CodeWatch",
    "Identity",
    "explain_failure",
    "frozen_copy",
    "identify",
    "refuse_dependent_rows",
]

# Largest difference between two rows of one image, relative to the largest value: in batches of
# one shape, where only the order of sums on a busy CPU could differ, and of two shapes.
_SAME, _OTHER_SHAPE = 1e-5, 1e-3
# Values that say the same each time they are set.
_PLAIN = (bool, int, float, str, torch.dtype, torch.device)
_WATCHING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Identity:
    """What distinguishes a network of one's own from all others.

    Attributes
    ----------
    name : str
        The name that was given, or that of its class.
    code : str
        The name of its class, its package with version where it is installed, and a hash of its
        code and settings.
    tensors : str
        sha256 over all its tensors.
    package : tuple of str or None
        Name and version of the package of its class; None for code of one's own.
    """

    name: str
    code: str
    tensors: str
    package: tuple[str, str] | None


def frozen_copy(module: object) -> nn.Module:
    """Return a copy of a module that computes features: on the CPU, in float32, in evaluation mode.

    The module itself is not changed.

    Raises
    ------
    UsageError
        If the object is not a module, cannot be copied, or wraps another module that should be
        given in its place.
    """
    if isinstance(module, type) and issubclass(module, nn.Module):
        raise UsageError(f"expected a network, but {module.__name__} is its class: make an object")
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"expected a torch.nn.Module, not {shorten(module)}; for the name of a network use "
            "load_backbone"
        )
    _refuse_wrapped(module)
    for name, tensor in all_tensors(module).items():
        refuse_unusual(tensor, f"'{name}'")
    for name, layer in module.named_modules():
        hooks = (*layer._forward_hooks.values(), *layer._forward_pre_hooks.values())
        if own := [hook for hook in hooks if not _is_of_torch(hook)]:
            raise UsageError(
                f"{_layer(name)} has a forward hook ({visible(_name(own[0]))}), which may change "
                "what it computes: remove it first, with remove() of its handle"
            )
    try:
        network = copy.deepcopy(module)
    except Exception as error:  # noqa: BLE001  # Any attribute may refuse in any way.
        raise UsageError(
            f"{type(module).__name__} cannot be copied ({type(error).__name__}: "
            f"{one_line(error)}), and the original must stay as it is. Take out the attribute that "
            "cannot be copied; of torch.nn.utils.weight_norm, use that of parametrizations"
        ) from None
    network.eval().requires_grad_(False).float().to("cpu")
    if training := [name for name, layer in network.named_modules() if layer.training]:
        raise UsageError(f"{_layer(training[0])} stays in training mode after eval()")
    return network


def _refuse_wrapped(module: nn.Module) -> None:
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise UsageError(
            f"{type(module).__name__} wraps a network for several devices: give the network "
            "itself, its attribute 'module'"
        )
    for name, layer in module.named_modules():
        if isinstance(layer, torch.jit.ScriptModule):
            raise UsageError(
                f"{_layer(name)} is TorchScript, whose code cannot be read: give the original "
                "module"
            )
        if hasattr(layer, "_orig_mod"):
            raise UsageError(
                f"{_layer(name)} is compiled: give the network that was compiled, its attribute "
                "'_orig_mod'. extract(..., compile='always') compiles it"
            )
        if getattr(layer, "_compiled_call_impl", None) is not None:
            raise UsageError(
                f"{_layer(name)} is compiled by its method compile(): give a network that is not. "
                "extract(..., compile='always') compiles it"
            )


def _is_of_torch(hook: object) -> bool:
    of = getattr(hook, "__module__", None) or type(hook).__module__
    return str(of).partition(".")[0] == "torch"


def _name(hook: object) -> str:
    return getattr(hook, "__qualname__", type(hook).__name__)


def _layer(name: str) -> str:
    return f"layer '{name}'" if name else "the network"


def identify(network: nn.Module, name: str | None = None) -> Identity:
    """Return the identity of a frozen copy.

    Parameters
    ----------
    network : nn.Module
        The copy.
    name : str, optional
        Its name in reports and feature files; by default that of its class.

    Raises
    ------
    UsageError
        If a part of its code or of its settings cannot be read, or the name is empty.
    """
    if name is not None and not (isinstance(name, str) and name.strip()):
        raise UsageError(
            f"the name of a network must be text that is not empty, not {shorten(name)}"
        )
    cls = class_of(network)
    package = package_of(cls)
    words = [f"{cls.__module__}.{cls.__qualname__}"]
    if package is not None and package[1]:
        words.append(" ".join(package))
    code = ", ".join([*words, f"code {fingerprint_code(network)[:32]}"])
    return Identity(name or cls.__name__, code, digest_tensors(all_tensors(network)), package)


class CodeWatch:
    """Code and settings of a network, as they were when a backbone was made of it.

    A copy from a pickle compares nothing: another process may lack the source of the code.

    Parameters
    ----------
    network : nn.Module, optional
        The network; None to compare nothing.
    """

    def __init__(self, network: nn.Module | None = None) -> None:
        self._noted = None if network is None else fingerprint_code(network)

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return CodeWatch, ()

    def refuse_changes(self, network: nn.Module, name: str) -> None:
        """Raise UsageError if code or settings have changed.

        Parameters
        ----------
        network : nn.Module
            The network.
        name : str
            Its name.
        """
        try:
            same = self._noted is None or self._noted == fingerprint_code(network)
        except UsageError:
            # The file was edited, or a class came back from a worker: what was loaded still runs.
            return
        if not same:
            raise UsageError(
                f"the code or the settings of the network {name} have changed since "
                "Backbone.from_module read them: call it again"
            )


def explain_failure(
    error: Exception, name: str, network: nn.Module, preprocessing: AnyPreprocessing
) -> UsageError:
    """Return the error that explains why a network of one's own failed.

    Parameters
    ----------
    error : Exception
        What it raised.
    name : str
        Its name.
    network : nn.Module
        The network.
    preprocessing : Preprocessing or VolumePreprocessing
        The preprocessing of its input.
    """
    channels = preprocessing.n_channels
    of_volumes = isinstance(preprocessing, VolumePreprocessing)
    first = next((m for m in network.modules() if isinstance(m, nn.modules.conv._ConvNd)), None)
    advice = "check the size, the channels and the precision that it expects"
    if first is not None and first.in_channels == 1 != channels and not of_volumes:
        advice = "it takes one channel: state channels='L' in its Preprocessing"
    elif first is not None and first.in_channels != channels:
        advice = f"its first convolution takes {first.in_channels} channels, not {channels}"
    return UsageError(
        f"the network {visible(name)} cannot compute {size_in_words(preprocessing)} "
        f"({type(error).__name__}: {one_line(error)}): {advice}"
    )


def refuse_dependent_rows(
    network: nn.Module,
    name: str,
    embed: Callable[[Tensor], Tensor],
    preprocessing: AnyPreprocessing,
) -> None:
    """Raise an error if the rows of a network depend on more than their image.

    Parameters
    ----------
    network : nn.Module
        The network.
    name : str
        Its name.
    embed : callable
        Takes a batch of samples as they are loaded, and returns their rows.
    preprocessing : Preprocessing or VolumePreprocessing
        The preprocessing of these samples.

    Raises
    ------
    UsageError
        If rows are not finite, differ when they are computed again or in another batch, or if
        the network keeps values between or during its passes: several batches are computed at
        the same time.
    """
    pixels = _some_samples(preprocessing)
    embed(pixels)  # Some networks prepare a cache in their first pass, and keep it.
    settings = fingerprint_code(network)
    versions = versions_of(network)
    with _random_state() as drawn, _watched(network, name):
        rows = embed(pixels)
        again, alone, turned = embed(pixels), embed(pixels[1:2]), embed(pixels.flip(0)).flip(0)
        random_numbers = drawn()
    if not bool(rows.isfinite().all()):
        raise UsageError(
            f"the network {name} gives features that are not finite for ordinary images: check "
            "that its weights and the preprocessing belong together"
        )
    changed = [key for key, version in versions_of(network).items() if version != versions.get(key)]
    if changed or fingerprint_code(network) != settings:
        what = f"its tensor '{changed[0]}'" if changed else "its settings"
        raise UsageError(
            f"the network {name} changes {what} while it computes, so features would depend on "
            "earlier computations"
        )
    if random_numbers or _differ(rows, again, _SAME):
        raise UsageError(
            f"the network {name} gives other features for the same images each time: it depends "
            "on random numbers, such as dropout that evaluation mode does not turn off"
        )
    if _differ(rows[1:2], alone, _OTHER_SHAPE) or _differ(rows, turned, _OTHER_SHAPE):
        raise UsageError(
            f"the network {name} gives an image other features in another batch: it mixes the "
            "images of a batch, such as batch normalisation without running statistics"
        )


def _some_samples(preprocessing: AnyPreprocessing) -> Tensor:
    """Return an ordinary, a dark and a bright image; of volumes, which take long, only two."""
    shape = patch_shape(preprocessing)
    images = np.random.default_rng(0).integers(0, 256, (3, *shape), np.uint8)
    images[1], images[2] = images[1] // 4, 255 - images[2] // 4
    if not isinstance(preprocessing, VolumePreprocessing):
        return torch.from_numpy(images)
    low, high = preprocessing.output
    return torch.from_numpy(images[:2]).float() * ((high - low) / 255) + low


def _differ(one: Tensor, two: Tensor, tolerance: float) -> bool:
    largest = max(float(one.abs().max()), 1e-30)
    return not bool(((one - two).abs() <= tolerance * largest).all())


@contextlib.contextmanager
def _random_state() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether random numbers were drawn; restore the generators."""
    legacy = np.random.get_state(legacy=False)
    states = torch.get_rng_state(), random.getstate(), str(legacy)

    def drawn() -> bool:
        same = torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[1]
        return not same or str(np.random.get_state(legacy=False)) != states[2]

    try:
        yield drawn
    finally:
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        np.random.set_state(legacy)


@contextlib.contextmanager
def _watched(network: nn.Module, name: str) -> Iterator[None]:
    """Raise an error where a module sets an attribute to another value than it had."""
    layers = {id(module): layer for layer, module in network.named_modules()}
    plain_setattr = nn.Module.__setattr__

    def watching_setattr(self: nn.Module, attribute: str, value: Any) -> None:
        if id(self) in layers and not _is_same(value, vars(self).get(attribute)):
            raise UsageError(
                f"the network {name} keeps a value in the attribute '{attribute}' of "
                f"{layers[id(self)] or 'itself'} while it computes. Batches that are computed at "
                "the same time would mix these values up: use a variable of the function instead"
            )
        plain_setattr(self, attribute, value)

    # The method is replaced while the network computes, which mypy does not allow.
    with _WATCHING:
        nn.Module.__setattr__ = watching_setattr  # type: ignore[assignment]
        try:
            yield
        finally:
            nn.Module.__setattr__ = plain_setattr  # type: ignore[method-assign]


def _is_same(value: Any, before: Any) -> bool:
    if value is before:
        return True
    if isinstance(value, tuple) and isinstance(before, tuple) and len(value) == len(before):
        return all(_is_same(*pair) for pair in zip(value, before, strict=True))
    return isinstance(value, _PLAIN) and type(value) is type(before) and bool(value == before)
