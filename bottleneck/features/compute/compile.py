"""A network compiled by torch, with its weights as constants."""

from __future__ import annotations

import contextlib
import logging
import types
import weakref
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.networks import feature_map

__all__ = ["can_compile", "compiled", "constant_weights"]

_COMPILED: weakref.WeakKeyDictionary[object, Callable[[nn.Module, Tensor], Tensor]] = (
    weakref.WeakKeyDictionary()
)


def can_compile(backbones: Sequence[Backbone]) -> bool:
    """Return whether a forward pass has one output: a tap in the middle ends it early."""
    return len(backbones) == 1 and not backbones[0].layer


def compiled(owner: object) -> Callable[[nn.Module, Tensor], Tensor]:
    """Return ``feature_map``, to be compiled by its first call inside ``constant_weights``.

    Parameters
    ----------
    owner : object
        Of weights that do not change: a Backbone. It gets the same function each time.
    """
    if owner not in _COMPILED:
        # It looks for a CUDA compiler, also where none is needed, and warns.
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
        # torch keeps what it compiles with a function's code, as long as that is there, and not
        # for more than eight networks: each has code of its own.
        own = types.FunctionType(feature_map.__code__.replace(), feature_map.__globals__)
        _COMPILED[owner] = torch.compile(own, dynamic=False, fullgraph=True)
    return _COMPILED[owner]


def constant_weights() -> contextlib.AbstractContextManager[object]:
    """Have what is compiled here take the weights for constants.

    Normalisation is folded into the convolutions, and weights are cast and packed once: a fifth
    faster for ResNet-50 and Swin-T.
    """
    # As an option of torch.compile it has no effect.
    from torch._inductor import config

    return config.patch(freezing=True)
