"""Networks compiled by torch, with their weights as constants.

ResNet-50 is a fifth faster on a CPU, after a minute or two of compiling.
"""

from __future__ import annotations

import contextlib
import logging
import os
import types
import weakref
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.networks import feature_map
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.settings.config import cache_folder

__all__ = ["can_compile", "compiled", "constant_weights", "pays_off"]

# With fewer images than this, a CPU does not regain the time that compiling takes.
_MANY_IMAGES = 20_000

_COMPILED: weakref.WeakKeyDictionary[object, Callable[[nn.Module, Tensor], Tensor]] = (
    weakref.WeakKeyDictionary()
)


def can_compile(backbones: Sequence[Backbone]) -> bool:
    """Return whether only the last feature map is needed: a hook on a layer ends the pass early."""
    return len(backbones) == 1 and not backbones[0].layer


def pays_off(backbones: Sequence[Backbone], device: torch.device, n_images: int) -> bool:
    """Return whether a run of so many images regains the time that compiling takes.

    On a GPU, and with volumes, this has not been measured, and the answer is no.
    """
    of_images = not isinstance(backbones[0].preprocessing, VolumePreprocessing)
    enough = device.type == "cpu" and n_images >= _MANY_IMAGES
    return enough and of_images and can_compile(backbones)


def compiled(owner: object) -> Callable[[nn.Module, Tensor], Tensor]:
    """Return a copy of ``feature_map`` that compiles in its first call.

    Parameters
    ----------
    owner : object
        The backbone, whose weights do not change. It gets the same function each time.
    """
    if owner not in _COMPILED:
        # It warns where there is no CUDA compiler, which is not needed.
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
        # By default, torch keeps its code among the temporary files, in a folder that another user
        # could have made. Ours is the user's own, and later runs compile no network twice.
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "torch"))
        # torch stores compiled networks with the code of the function, eight at most. So each
        # network gets code of its own.
        own = types.FunctionType(feature_map.__code__.replace(), feature_map.__globals__)
        _COMPILED[owner] = torch.compile(own, dynamic=False, fullgraph=True)
    return _COMPILED[owner]


def constant_weights() -> contextlib.AbstractContextManager[object]:
    """Return a context in which torch compiles weights as constants.

    Normalisation is then folded into the convolutions, and weights are cast and packed only once.
    """
    # As an option of torch.compile it has no effect.
    from torch._inductor import config

    return config.patch(freezing=True)
