"""How the keys of a weight file map to those of the network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bottleneck.errors import WeightsError

__all__ = ["fill", "read_state"]

State = Mapping[str, Tensor]

# Keys under which training scripts keep the network inside a checkpoint.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network")
# Parts that no frozen backbone has: classifiers, and Inception's auxiliary one.
_HEADS = ("fc.", "classifier.", "head.", "head_dist.", "pre_logits.", "AuxLogits.")


@dataclasses.dataclass(frozen=True)
class _Fit:
    missing: list[str]
    misshapen: list[str]
    left_over: list[str]

    @property
    def exact(self) -> bool:
        return not (self.missing or self.misshapen or self.left_over)


def read_state(path: Path) -> State:
    """Read the tensors of a weight file, running no code from it.

    Parameters
    ----------
    path : Path
        A ``.safetensors`` file, or what ``torch.save`` wrote.

    Returns
    -------
    mapping of str to Tensor
        Unwrapped: ``state_dict`` and the like opened, ``module.`` taken off.

    Raises
    ------
    WeightsError
        If the file is missing, no weight file, truncated, or holds more than tensors.
    """
    if not path.is_file():
        raise WeightsError(f"weight file {path} does not exist")
    head = path.open("rb").read(512)
    if head.lstrip()[:1] == b"<":
        raise WeightsError(f"{path} is a web page, not weights: the download went wrong; repeat it")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    # torch.load raises whatever zipfile, pickle and its own readers raise on damaged bytes.
    except Exception as error:  # noqa: BLE001
        reason = str(error)
        if "weights_only" in reason.lower() or "Unsupported global" in reason:
            raise WeightsError(
                f"{path} holds Python objects besides tensors; loading them could run code, so it "
                "is refused. Save the state_dict alone: torch.save(model.state_dict(), FILE)"
            ) from None
        first = reason.splitlines()[0] if reason else type(error).__name__
        raise WeightsError(f"{path} is damaged, or no weight file: {first}") from None
    return _unwrap(path, loaded)


def _read_safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"{path} is damaged, or no safetensors file: {error}") from None


def _unwrap(path: Path, loaded: Any) -> State:
    for key in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not loaded:
        raise WeightsError(f"{path} holds a {type(loaded).__name__}, not a network's weights")
    state = {str(k): v for k, v in loaded.items() if isinstance(v, Tensor)}
    if not state:
        raise WeightsError(f"{path} holds no tensor under the keys {', '.join(map(str, loaded))}")
    if all(k.startswith("module.") for k in state):
        state = {k.removeprefix("module."): v for k, v in state.items()}
    return state


def fill(network: nn.Module, frozen: set[str], state: State, *, what: str) -> None:
    """Fill a network from a state, strictly.

    Parameters
    ----------
    network : nn.Module
        The network to fill, in place.
    frozen : set of str
        Keys of the tensors that take part in the features.
    state : mapping
        What the file holds.
    what : str
        File and network, for the message.

    Raises
    ------
    WeightsError
        If a tensor of the frozen part is missing or of another shape, or the state holds
        tensors that are neither part of the network nor of a classifier.
    """
    own = network.state_dict()
    fit = _fit(own, frozen, state)
    if not fit.exact:
        raise WeightsError(_describe(fit, what))
    network.load_state_dict({k: state[k] for k in frozen if k in state}, strict=False)


def _fit(own: State, frozen: set[str], state: State) -> _Fit:
    # BatchNorm's batch counter is a buffer that no forward pass in eval mode reads.
    needed = {k for k in frozen if not k.endswith("num_batches_tracked")}
    return _Fit(
        missing=sorted(needed - state.keys()),
        misshapen=[
            f"{k} {tuple(state[k].shape)} instead of {tuple(own[k].shape)}"
            for k in sorted(needed & state.keys())
            if state[k].shape != own[k].shape
        ],
        left_over=sorted(k for k in state.keys() - own.keys() if not k.startswith(_HEADS)),
    )


def _describe(fit: _Fit, what: str) -> str:
    lines = [f"{what} do not fit:"]
    for title, names in (
        ("missing", fit.missing),
        ("of another shape", fit.misshapen),
        ("left over", fit.left_over),
    ):
        if names:
            more = f" and {len(names) - 4} more" if len(names) > 4 else ""
            lines.append(f"  {title} ({len(names)}): {', '.join(names[:4])}{more}")
    return "\n".join(lines)
