"""A network compiled, its weights constants; and its kernels recorded, to be launched at once."""

from __future__ import annotations

import contextlib
import logging
import threading
import types
import weakref
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.networks import feature_map
from bottleneck.features.devices import ALONE

__all__ = ["Captured", "can_compile", "compiled", "constant_weights"]

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


class Captured:
    """A computation on a GPU, recorded as a CUDA graph, for any number of threads.

    What is recorded is launched as a whole, which saves the processor what it takes to launch
    its kernels one by one.

    Parameters
    ----------
    compute : callable
        Takes a tensor on a GPU and returns tensors there. Which kernels it launches may hang on
        the shape alone.
    example : Tensor
        Of that shape, on the GPU.

    Raises
    ------
    RuntimeError
        If it cannot be recorded, or the record computes something else.
    """

    def __init__(self, compute: Callable[[Tensor], list[Tensor]], example: Tensor) -> None:
        self._input = example.clone()
        # In the first call libraries choose their kernels, which cannot be recorded.
        for _ in range(2):
            expected = compute(self._input)
        self._graph = torch.cuda.CUDAGraph()
        with ALONE:
            self._outputs = self._record(compute, example.device)
        self._free = torch.cuda.Event()
        self._lock = threading.Lock()
        found = self(example)
        if not all(torch.equal(*pair) for pair in zip(found, expected, strict=True)):
            raise RuntimeError("a CUDA graph computes something else than what it recorded")

    def _record(
        self, compute: Callable[[Tensor], list[Tensor]], device: torch.device
    ) -> list[Tensor]:
        pool, stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream(device)
        try:
            # Only this thread has to keep from what cannot be recorded: others go on computing.
            with torch.cuda.graph(
                self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"
            ):
                return compute(self._input)
        except BaseException:
            # A failed recording may leave torch allocating to its pool, and nothing be freed.
            with contextlib.suppress(Exception):
                torch._C._cuda_endAllocateToPool(stream.device_index, pool)
            raise

    def fits(self, batch: Tensor) -> bool:
        """Tell whether a batch has the shape that was recorded."""
        return batch.shape == self._input.shape

    def __call__(self, batch: Tensor) -> list[Tensor]:
        """Compute, in the stream of the thread that asks."""
        stream = torch.cuda.current_stream(batch.device)
        # The graph has one input and one output, which the device uses for one batch at a time.
        with self._lock:
            stream.wait_event(self._free)
            self._input.copy_(batch)
            self._graph.replay()
            outputs = [output.clone() for output in self._outputs]
            self._free.record(stream)
        return outputs
