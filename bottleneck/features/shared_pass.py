"""Forward passes that several stores share: one network, tapped at several layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterator, Sequence

from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.pixel_cache import PixelCache
from bottleneck.errors import FeatureFileError, UsageError
from bottleneck.features.compute.engine import BatchPlan, ExtractionJob, FeatureBatch, ForwardPass
from bottleneck.features.file.store import FeatureStore

__all__ = ["SharedPass", "make_job", "share_passes"]


class SharedPass:
    """A forward pass, and the stores that receive its rows: one network, several layers.

    Attributes
    ----------
    members : list of (Backbone, FeatureStore)
        The layers that are tapped.
    """

    def __init__(self) -> None:
        self.members: list[tuple[Backbone, FeatureStore]] = []

    def forward(self) -> ForwardPass:
        """Return the forward pass that computes the rows."""
        store = self.members[0][1]
        reduced = store.recipe.precision != "fp32"
        return ForwardPass(
            tuple(backbone for backbone, _ in self.members),
            store.recipe.precision,
            store.recipe.framing,
            read_plan(store),
            drift=reduced and any(s.settings["drift"] is None for _, s in self.members),
        )

    def __contains__(self, key: str) -> bool:
        """Whether every store has a row of a key, or can take it from another file."""
        return all(key in store or store.can_take(key) for _, store in self.members)

    def keys(self, numbers: Sequence[int]) -> Iterator[str]:
        """Yield the keys that samples had in earlier runs, by their numbers."""
        for _, store in self.members:
            yield from store.keys(numbers)

    def append(self, batch: FeatureBatch) -> None:
        """Give a finished batch to the stores, and record how it was computed."""
        for number, (_, store) in enumerate(self.members):
            if batch.drift is not None:
                store.settings["drift"] = store.settings["drift"] or batch.drift[number]
            _note_plan(store, batch.plan)
            store.append(batch.rows, batch.features[number])


def share_passes(members: Sequence[tuple[Backbone, FeatureStore]]) -> list[SharedPass]:
    """Group layers by the forward pass that computes them.

    Layers of one network share a pass, unless their files were begun with other plans or
    decodings, which they keep.
    """
    passes: dict[Hashable, SharedPass] = {}
    for backbone, store in members:
        # Everything that makes two forward passes different; layers and pooling do not.
        recipe = store.recipe
        made = recipe.preprocessing, recipe.decoding, recipe.precision
        key = id(backbone.network), made, read_plan(store)
        passes.setdefault(key, SharedPass()).members.append((backbone, store))
    return list(passes.values())


def make_job(
    passes: Sequence[SharedPass],
    dataset: ImageDataset,
    numbers: Sequence[int],
    cache: PixelCache | None,
) -> ExtractionJob:
    """Return the job of an engine: images to load, and the passes that need them."""

    def has(forward: int, key: str) -> bool:
        return key in passes[forward]

    def recorded(numbers: Sequence[int]) -> set[tuple[int, str]]:
        keys = {key for each in passes for key in each.keys(numbers)}
        return {(n, key) for n, each in enumerate(passes) for key in keys if key in each}

    forwards = [each.forward() for each in passes]
    return ExtractionJob(dataset, numbers, forwards, has, recorded, cache)


def _note_plan(store: FeatureStore, plan: BatchPlan) -> None:
    """Record that a batch was computed in another way than planned."""
    planned = read_plan(store)
    if plan.batch_size < planned.batch_size:
        store.settings["batch_size"] = plan.batch_size
        store.notes.append(
            f"the memory was too small for batches of {planned.batch_size}: continued with "
            f"{plan.batch_size}"
        )
    if planned.compiled and not plan.compiled:
        store.settings["compiled"] = False
        store.notes.append(
            "the network could not be compiled here: continued without, which moves the last "
            "bits of the rows"
        )


def read_plan(store: FeatureStore) -> BatchPlan:
    """Return how the rows of a store are computed.

    Raises
    ------
    FeatureFileError
        If its file or log does not say so.
    """
    try:
        return BatchPlan(*(store.settings[field.name] for field in dataclasses.fields(BatchPlan)))
    except (LookupError, UsageError) as error:
        raise FeatureFileError(
            f"{store.path}, or its log, does not record how it was computed ({error}); move both "
            "away "
            "and repeat"
        ) from None
