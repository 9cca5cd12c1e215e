"""Precision, decoding and batches of a run: what "auto" in the options becomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.recipe import DECODINGS, PRECISIONS, Decoding, Precision, Recipe
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.errors import UsageError
from bottleneck.features.compute.compile import pays_off
from bottleneck.features.compute.engine import BatchPlan, Engine
from bottleneck.features.devices import default_batch_size
from bottleneck.features.file.store import log_path
from bottleneck.features.options import ExtractionOptions

__all__ = ["choose_plan", "choose_recipe", "explain_decoding"]

# Values of an image for which the default batch size is chosen. Patches of volumes have more.
_IMAGE_VALUES = 224 * 224 * 3


def choose_recipe(
    options: ExtractionOptions,
    dataset: str,
    taps: Sequence[Backbone],
    native: Callable[[], Precision],
) -> tuple[Precision, Decoding, bool]:
    """Choose precision and decoding for layers of one network.

    Parameters
    ----------
    options : ExtractionOptions
        "auto" takes precision or decoding of the one run that can be continued. Without such a
        run, the precision is ``native``; the decoding is the reference in fp32, and else fast.
    dataset : str
        Name of the data set.
    taps : sequence of Backbone
        The layers.
    native : callable
        Returns bf16 where the hardware computes in it, else fp32.

    Returns
    -------
    precision, decoding : str
        Neither is "auto".
    begun : bool
        Whether there is a run to be continued.

    Raises
    ------
    UsageError
        If fp32 is combined with another decoding than the reference.
    """
    precision, decoding = options.precision, options.decoding
    begun = _find_begun(options, dataset, taps)
    if begun is not None:
        precision, decoding = begun
    if precision == "auto":
        precision = native()
    if decoding == "auto":
        decoding = "reference" if precision == "fp32" else "fast"
    elif decoding != "reference" and precision == "fp32":
        raise UsageError(
            "fp32 needs the reference decoding: omit --decode, or use --precision bf16"
        )
    return precision, decoding, begun is not None


def choose_plan(
    options: ExtractionOptions, taps: Sequence[Backbone], engine: Engine, n_images: int
) -> BatchPlan:
    """Choose how to compute layers of one network.

    Parameters
    ----------
    options : ExtractionOptions
        Its batch size and whether to compile.
    taps : sequence of Backbone
        The layers.
    engine : Engine
        Where they are computed.
    n_images : int
        Images of a new run; 0 for one that is continued, with the plan of its file.
    """
    if options.compile == "auto":
        # Every actor of a cluster would compile for itself.
        compiled = engine.name == "local" and pays_off(taps, engine.device, n_images)
    else:
        compiled = options.compile == "always"
    if options.batch_size != "auto":
        return BatchPlan(options.batch_size, compiled)
    size = default_batch_size(engine.device)
    if isinstance(how := taps[0].preprocessing, VolumePreprocessing):
        size = max(1, min(size, size * _IMAGE_VALUES // math.prod(how.input_shape)))
    return BatchPlan(size, compiled)


def _find_begun(
    options: ExtractionOptions, dataset: str, taps: Sequence[Backbone]
) -> tuple[Precision, Decoding] | None:
    """Return precision and decoding of a run that can be continued, if there is exactly one."""
    begun: dict[Path, tuple[Precision, Decoding]] = {}
    for precision in PRECISIONS if options.precision == "auto" else [options.precision]:
        for decoding in DECODINGS if options.decoding == "auto" else [options.decoding]:
            names = [tap.recipe(precision, decoding).file_name(dataset) for tap in taps]
            paths = [Path(options.output) / name for name in names]
            if any(path.exists() or log_path(path).exists() for path in paths):
                # Where a resize has no fast form, both decodings name one file.
                begun.setdefault(paths[0], (precision, decoding))
    return next(iter(begun.values())) if len(begun) == 1 else None


def explain_decoding(recipe: Recipe, decoding: Decoding | Literal["auto"]) -> list[str]:
    """Return a note if a decoding was asked for that the network does not have.

    Parameters
    ----------
    recipe : Recipe
        What was chosen.
    decoding : str
        What was asked for.
    """
    how = recipe.preprocessing
    if isinstance(how, VolumePreprocessing):
        return []
    if decoding in ("auto", "reference") or how.fast() != how:
        return []
    return [
        f"{recipe.backbone}: --decode {decoding} has no effect here: this resize "
        f"({how.interpolation} of {how.resizer}) has only the reference form"
    ]
