"""Networks of a run: those that share a pass over the samples, and their layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.backbones.inputs.network_inputs import refuse_dataset
from bottleneck.backbones.recipe import AnyPreprocessing, framing
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.preparation import Preparation
from bottleneck.data.volumes.patches.volume_options import VolumeKeywords
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.errors import UsageError
from bottleneck.features.options import ExtractionOptions

__all__ = ["group_by_input", "load_named", "tap"]


def load_named(
    dataset: ImageDataset,
    backbones: Sequence[str | Backbone],
    layers: Sequence[str | None],
    options: ExtractionOptions,
) -> Sequence[str | Backbone]:
    """Return the backbones of a run; those of a data set of volumes are loaded.

    Networks of images take them in one preparation, and are loaded in their pass. Which voxels a
    network needs is known when it is loaded.
    """
    if not dataset.holds_volumes:
        return backbones
    _refuse_options_of_images(options)
    loaded = {
        one: _load(one, layers, options) if isinstance(one, str) else one
        for one in dict.fromkeys(backbones)
    }
    return [loaded[one] for one in backbones]


def group_by_input(
    backbones: Sequence[str | Backbone], options: ExtractionOptions
) -> list[list[str | Backbone]]:
    """Return the backbones, each once, in groups that share a pass.

    Networks of images share one preparation of the images, and networks of volumes all of their
    patches.
    """
    file = str(options.preprocessing or "").endswith(".toml")  # It may state a preparation.
    named = None if file else Preparation()
    groups: dict[Preparation | AnyPreprocessing | None, list[str | Backbone]] = {}
    for one in dict.fromkeys(backbones):
        own: Preparation | AnyPreprocessing | None = named
        if isinstance(one, Backbone):
            own = one.preprocessing.preparation
            if isinstance(one.preprocessing, VolumePreprocessing):
                own = framing(one.preprocessing)
        groups.setdefault(own, []).append(one)
    return list(groups.values())


def tap(
    dataset: ImageDataset,
    backbone: str | Backbone,
    layers: Sequence[str | None],
    options: ExtractionOptions,
) -> list[Backbone]:
    """Return a backbone at each of its layers.

    Raises
    ------
    UsageError
        If it takes images, and the data set holds volumes, or the reverse.
    """
    chosen = list(dict.fromkeys(layers))
    first = _load(backbone, layers, options) if isinstance(backbone, str) else backbone
    refuse_dataset(first, holds_volumes=dataset.holds_volumes)
    # A backbone at its own layer need not run once more to know its width.
    taps = [first if first.layer == (layer or "") else first.at(layer) for layer in chosen]
    return [each.prepared(options.preparation) for each in taps or [first]]


def _load(name: str, layers: Sequence[str | None], options: ExtractionOptions) -> Backbone:
    volumes: dict[str, Any] = {
        field: getattr(options, field) for field in VolumeKeywords.__annotations__
    }
    return load_backbone(
        name,
        weights=options.weights,
        layer=layers[0] if layers else None,
        pooling=options.pooling,
        preprocessing=options.preprocessing,
        **volumes,
    )


def _refuse_options_of_images(options: ExtractionOptions) -> None:
    """Refuse options that change how images are decoded; volumes have no encoded images."""
    if options.pixel_cache is not None:
        raise UsageError("--pixel-cache keeps decoded images, but these are volumes: leave it out")
    if options.decoding == "fast":
        raise UsageError("--decode fast resizes images, but these are volumes: leave it out")
