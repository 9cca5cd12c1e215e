"""Fitting a weight file to an encoder: its layout is recognised by the names of its tensors."""

from __future__ import annotations

import copy
import dataclasses
import functools
import os.path
import re
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn

from bottleneck.backbones.catalogue import ALL_ENCODERS
from bottleneck.backbones.encoder import Encoder
from bottleneck.backbones.layouts.checkpoint import State
from bottleneck.backbones.layouts.key_maps import Layout, layouts_of
from bottleneck.backbones.networks import skeleton, unused_parts
from bottleneck.backbones.volumetric.volume_encoders import VolumeEncoder
from bottleneck.errors import WeightsError

__all__ = ["Fit", "fill_network", "find_fit", "fitting_encoders"]

# Modules that a frozen backbone does not have, as all libraries name them: classifiers, the layers
# in front of them, and the auxiliary classifier of Inception.
_HEADS = re.compile(
    r"^(fc|classifier|classif|last_linear|head|head_dist|norm_head|conv_head|pre_logits|predictions"
    r"|dense|AuxLogits|aux_logits|pooler)(_\d+)?\."
)
# Buffers that a network computes itself.
_COMPUTED = ("num_batches_tracked", "relative_position_index", "attn_mask")
_COORDINATES = "relative_coords_table"
_N_LISTED = 4


@dataclasses.dataclass(frozen=True)
class Fit:
    """Fit of one part of a file to an encoder, under one layout.

    Attributes
    ----------
    layout : Layout
        The assumed layout.
    entry : str
        The mapping in the file that was used: "" or "model_ema".
    prefix : str
        A common prefix of the names, which was removed: "" or "module.encoder.".
    state : mapping of str to Tensor
        The tensors under the network's names.
    missing, misshapen, left_over : list of str
        Tensors that the file lacks, that have another shape, or that the network does not have.
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
        """The number of tensors that do not fit; 0 for an exact fit."""
        return len(self.missing) + len(self.misshapen) + len(self.left_over)

    @property
    def part(self) -> str:
        """The part of the file in words; "" for the whole file."""
        words = [f"entry '{self.entry}'"] if self.entry else []
        words += [f"names after '{self.prefix}'"] if self.prefix else []
        return ", ".join(words)


def find_fit(entries: Mapping[str, State], encoder: Encoder, *, prefer: str = "", what: str) -> Fit:
    """Return the part and the layout of a file that fit an encoder exactly.

    If both the raw weights and their exponential moving average fit, the average is used, as in
    timm.

    Parameters
    ----------
    entries : mapping of str to State
        The content of the file, from ``read_checkpoint``.
    encoder : Encoder
        The encoder to fill.
    prefer : str
        Name of the layout to choose if several fit.
    what : str
        Name of the file, for the message.

    Raises
    ------
    WeightsError
        If no part of the file fits exactly, or several do.
    """
    fits = list(_fits(entries, encoder, layouts_of(encoder)))
    exact = [fit for fit in fits if not fit.problems]
    if not exact:
        raise WeightsError(*_describe(fits, entries, encoder, what))
    best = min(exact, key=lambda fit: (not _is_average(fit), fit.layout.name != prefer))
    rivals = {f.part for f in exact if _is_average(f) == _is_average(best)}
    if len(rivals) > 1:
        raise WeightsError(
            f"{what} contains {len(rivals)} networks that fit {encoder.name}: "
            f"{'; '.join(sorted(part or 'names without a prefix' for part in rivals))}. "
            "Save the right one in a file of its own"
        )
    return best


def fitting_encoders(entries: Mapping[str, State]) -> list[Encoder]:
    """Return the encoders of the catalogue that a file fits exactly.

    Where encoders of the same tensors differ in their arithmetic, only the usual one is returned.
    """
    names = "\n".join(key for state in entries.values() for key in state)
    encoders = []
    for encoder in ALL_ENCODERS.values():
        if isinstance(encoder, VolumeEncoder) and not encoder.recognised:
            continue
        # Skip layouts whose first tensor is not in the file, without building a network.
        possible = [layout for layout in layouts_of(encoder) if layout.anchor in names]
        if any(not fit.problems for fit in _fits(entries, encoder, possible)):
            encoders.append(encoder)
    return encoders


def fill_network(network: nn.Module, fit: Fit) -> None:
    """Adapt a network to the layout of a fit, and load its tensors, in place."""
    if fit.layout.adapt:
        fit.layout.adapt(network)
    own = network.state_dict()
    # Names and shapes were compared before. Not strict, since the file may lack computed buffers.
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
                if not re.fullmatch(layout.prefix, prefix):
                    continue
                part = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
                renamed = layout.rename(part, network)
                kept = {k: v for k, v in renamed.items() if not re.match(layout.ignored, k)}
                yield Fit(layout, entry, prefix, kept, *_compare(network, own, kept, encoder))


@functools.lru_cache(maxsize=64)
def _adapted(encoder: Encoder, name: str) -> nn.Module:
    layout = next(layout for layout in layouts_of(encoder) if layout.name == name)
    if layout.adapt is None:
        return skeleton(encoder)
    network = copy.deepcopy(skeleton(encoder))
    layout.adapt(network)
    return network


def _prefixes(state: State, anchor: str) -> list[str]:
    prefixes = {k.removesuffix(anchor) for k in state if k == anchor or k.endswith(f".{anchor}")}
    # The common prefix of all names, for a file that lacks the first tensor. They are not
    # paths, which the linter takes them for.
    common = os.path.commonprefix(list(state)).rpartition(".")  # noqa: RUF071
    return sorted({*prefixes, common[0] + common[1], ""}, key=len)


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
            # In Swin version 2, this is the only tensor that depends on the window size.
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


def _describe(
    fits: list[Fit], entries: Mapping[str, State], encoder: Encoder, what: str
) -> list[str]:
    # The intended layout is probably the one in which the fewest tensors are missing.
    nearest = min(fits, key=lambda fit: (len(fit.missing), fit.problems))
    part = f", {nearest.part}" if nearest.part else ""
    lines = [f"{what} does not fit {encoder.name} (nearest: layout {nearest.layout.name}{part}):"]
    for title, names in (
        ("missing", nearest.missing),
        ("of another shape", nearest.misshapen),
        ("left over", nearest.left_over),
    ):
        if names:
            more = f" and {len(names) - _N_LISTED} more" if len(names) > _N_LISTED else ""
            lines.append(f"  {title} ({len(names)}): {', '.join(names[:_N_LISTED])}{more}")
    lines.append(f"  layouts tried: {', '.join(encoder.layouts)}")
    if others := [e.name for e in fitting_encoders(entries) if e is not encoder]:
        lines.append(f"The file fits another network: --backbone {' or '.join(others)}")
    return lines
