"""Which layout a weight file is in, recognised by its names, and whether it fits exactly."""

from __future__ import annotations

import copy
import dataclasses
import functools
import os.path
import re
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn

from bottleneck.backbones.catalogue import ENCODERS, Encoder
from bottleneck.backbones.layouts.checkpoint import State, read_checkpoint
from bottleneck.backbones.layouts.key_maps import Layout, layouts_of
from bottleneck.backbones.networks import skeleton, unused_parts
from bottleneck.errors import WeightsError

__all__ = ["Fit", "Layout", "fill", "find_fit", "fitting_encoders", "read_checkpoint"]

# Parts that no frozen backbone has, by the names of all libraries: classifiers and what leads
# to them, and Inception's auxiliary one.
_HEADS = re.compile(
    r"^(fc|classifier|classif|last_linear|head|head_dist|norm_head|conv_head|pre_logits|predictions"
    r"|dense|AuxLogits|aux_logits|pooler)(_\d+)?\."
)
# Buffers that a network computes for itself.
_COMPUTED = ("num_batches_tracked", "relative_position_index", "attn_mask")
_COORDINATES = "relative_coords_table"
_SHOWN = 4


@dataclasses.dataclass(frozen=True)
class Fit:
    """How a part of a file fits an encoder in one layout.

    Attributes
    ----------
    layout : Layout
        The layout that was assumed.
    entry : str
        Which mapping in the file: "" or "model_ema".
    prefix : str
        What stood in front of the names: "" or "module.encoder.".
    state : mapping
        Under the network's names.
    missing, misshapen, left_over : list of str
        What stands against it.
    """

    layout: Layout
    entry: str
    prefix: str
    state: Mapping[str, Tensor]
    missing: list[str]
    misshapen: list[str]
    left_over: list[str]

    @property
    def problems(self) -> int:
        """How many tensors stand against it."""
        return len(self.missing) + len(self.misshapen) + len(self.left_over)

    @property
    def part(self) -> str:
        """Which part of the file it is, for people; "" for all of it."""
        places = [f"entry '{self.entry}'"] if self.entry else []
        return ", ".join([*places, *([f"names after '{self.prefix}'"] if self.prefix else [])])


def find_fit(entries: Mapping[str, State], encoder: Encoder, *, prefer: str = "", what: str) -> Fit:
    """Find the part and the layout of a file that fill an encoder exactly.

    Where an exponential moving average fits beside the raw weights, it is taken, as timm does.

    Parameters
    ----------
    entries : mapping
        As ``read_checkpoint`` returns them.
    encoder : Encoder
        What is to be filled.
    prefer : str
        Name of the layout to take where two have the same names.
    what : str
        The file, for the message.

    Raises
    ------
    WeightsError
        If nothing in the file fits exactly, or two parts do.
    """
    fits = list(_fits(entries, encoder, layouts_of(encoder)))
    exact = [fit for fit in fits if not fit.problems]
    if not exact:
        raise WeightsError(_describe(fits, entries, encoder, what))
    best = min(exact, key=lambda fit: (not _is_average(fit), fit.layout.name != prefer))
    rivals = {f.part for f in exact if _is_average(f) == _is_average(best)}
    if len(rivals) > 1:
        raise WeightsError(
            f"{what} holds {len(rivals)} networks that fit {encoder.name}: "
            f"{'; '.join(sorted(part or 'the names as they are' for part in rivals))}. "
            "Save the one that you mean as a file of its own"
        )
    return best


def fitting_encoders(entries: Mapping[str, State]) -> list[Encoder]:
    """Return the encoders of the catalogue that a file fills exactly."""
    names = "\n".join(key for state in entries.values() for key in state)
    found = []
    for encoder in ENCODERS.values():
        # A layout whose first tensor is nowhere needs no network to compare with.
        possible = [layout for layout in layouts_of(encoder) if layout.anchor in names]
        if any(not fit.problems for fit in _fits(entries, encoder, possible)):
            found.append(encoder)
    return found


def fill(network: nn.Module, fit: Fit) -> None:
    """Change a network into the layout's own, and fill it, in place."""
    if fit.layout.adapt:
        fit.layout.adapt(network)
    own = network.state_dict()
    # Names and shapes were compared before; what a file may lack is computed (_COMPUTED).
    network.load_state_dict({k: v for k, v in fit.state.items() if k in own}, strict=False)


def _fits(
    entries: Mapping[str, State], encoder: Encoder, layouts: Sequence[Layout]
) -> Iterator[Fit]:
    for layout in layouts:
        network = _adapted(encoder, layout.name)
        own = network.state_dict()
        anchor = layout.anchor or next(iter(own))
        for entry, state in entries.items():
            for prefix in _prefixes(state, anchor):
                part = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
                renamed = layout.rename(part, network)
                yield Fit(layout, entry, prefix, renamed, *_compare(network, own, renamed, encoder))


@functools.lru_cache(maxsize=64)
def _adapted(encoder: Encoder, name: str) -> nn.Module:
    layout = next(layout for layout in layouts_of(encoder) if layout.name == name)
    if layout.adapt is None:
        return skeleton(encoder)
    network = copy.deepcopy(skeleton(encoder))
    layout.adapt(network)
    return network


def _prefixes(state: State, anchor: str) -> list[str]:
    found = {k.removesuffix(anchor) for k in state if k == anchor or k.endswith(f".{anchor}")}
    # What all names share, for a file that lacks the first of them.
    shared = os.path.commonprefix(list(state)).rpartition(".")  # noqa: RUF071
    return sorted({*found, shared[0] + shared[1], ""}, key=len)


def _compare(
    network: nn.Module, own: State, state: State, encoder: Encoder
) -> tuple[list[str], list[str], list[str]]:
    needed = {k for k in own if not k.endswith(_COMPUTED)}
    misshapen = [
        f"{k} {tuple(state[k].shape)} instead of {tuple(own[k].shape)}"
        for k in sorted(needed & state.keys())
        if state[k].shape != own[k].shape
    ]
    left_over = []
    for key in sorted(state.keys() - own.keys()):
        module, _, leaf = key.rpartition(".")
        coordinates = _coordinates(network, module) if leaf == _COORDINATES else None
        if coordinates is not None:
            # The one trace that a window of another size leaves in Swin version 2.
            if state[key].numel() != coordinates.numel():
                expected = tuple(coordinates.shape)
                misshapen.append(f"{key} {tuple(state[key].shape)} instead of {expected}")
        elif not (
            leaf in _COMPUTED or _HEADS.match(key) or key.partition(".")[0] in unused_parts(encoder)
        ):
            left_over.append(key)
    return sorted(needed - state.keys()), misshapen, left_over


def _coordinates(network: nn.Module, module: str) -> Tensor | None:
    return getattr(dict(network.named_modules()).get(module), _COORDINATES, None)


def _is_average(fit: Fit) -> bool:
    return re.search(r"(^|[._])ema([._]|$)", f"{fit.entry}.{fit.prefix}", re.I) is not None


def _describe(fits: list[Fit], entries: Mapping[str, State], encoder: Encoder, what: str) -> str:
    # Of a file that fits nowhere, the layout in which it lacks least is the one it is meant in.
    nearest = min(fits, key=lambda fit: (len(fit.missing), fit.problems))
    part = f", {nearest.part}" if nearest.part else ""
    lines = [f"{what} and {encoder.name} do not fit (nearest: layout {nearest.layout.name}{part}):"]
    for title, names in (
        ("missing", nearest.missing),
        ("of another shape", nearest.misshapen),
        ("left over", nearest.left_over),
    ):
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            lines.append(f"  {title} ({len(names)}): {', '.join(names[:_SHOWN])}{more}")
    lines.append(f"  layouts tried: {', '.join(encoder.layouts)}")
    if others := [e.name for e in fitting_encoders(entries) if e is not encoder]:
        lines.append(f"The file is of another network: --backbone {' or '.join(others)}")
    return "\n".join(lines)
