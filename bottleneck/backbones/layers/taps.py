"""Taps: access to the outputs of inner layers of a network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from bottleneck.backbones.networks import feature_map
from bottleneck.errors import UsageError

__all__ = ["Taps"]


class _AllLayersReachedError(Exception):
    """Ends a forward pass after the last of the tapped layers."""


class Taps:
    """Access to the outputs of layers of a network, from any number of threads.

    The network has hooks until ``close`` is called. Use it as a context manager.

    Parameters
    ----------
    network : nn.Module
        The network.
    layers : sequence of str
        Names of its modules; "" for the last feature map.
    name : str
        Name of the network, for the message.
    """

    def __init__(self, network: nn.Module, layers: Sequence[str], name: str) -> None:
        self._network, self._layers, self._name = network, layers, name
        self._wanted = set(layers)
        # Hooks are called in the forward passes of all threads: keep outputs separate.
        self._of_thread = threading.local()
        self._hooks = [
            network.get_submodule(layer).register_forward_hook(self._keep(layer))
            for layer in self._wanted - {""}
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the hooks from the network."""
        for hook in self._hooks:
            hook.remove()

    def _keep(self, layer: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            outputs = getattr(self._of_thread, "outputs", None)
            if outputs is None:
                return
            # A copy, because a later module may change this output in place.
            outputs[layer] = output.clone() if isinstance(output, Tensor) else output
            if outputs.keys() == self._wanted:
                raise _AllLayersReachedError

        return hook

    @torch.inference_mode()
    def read(
        self, x: Tensor, forward: Callable[[nn.Module, Tensor], Tensor] = feature_map
    ) -> list[Any]:
        """Return the outputs of all layers for one input of the network.

        Parameters
        ----------
        x : Tensor of float32, shape (batch, 3, height, width)
            The normalised input.
        forward : callable
            Takes the network and its input, and returns the last feature map.

        Raises
        ------
        UsageError
            If the last feature map does not need one of the layers.
        """
        outputs: dict[str, Any] = {}
        self._of_thread.outputs = outputs
        try:
            outputs[""] = forward(self._network, x)
        except _AllLayersReachedError:
            pass
        finally:
            self._of_thread.outputs = None
        if unused := self._wanted - outputs.keys():
            raise UsageError(
                f"layer '{min(unused)}' of {self._name} is not used for its features; choose "
                "another layer"
            )
        return [outputs[layer] for layer in self._layers]
