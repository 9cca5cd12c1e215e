"""Several data sets of images as one, with the data set of each sample as its centre."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.samples.sample_table import Sample, collect, values_of
from bottleneck.data.sources.image_sources import combine_sources
from bottleneck.data.sources.source_names import (
    common_positive,
    join_descriptions,
    name_sources,
    prefixed,
    refuse_unclear,
    spell_alike,
)
from bottleneck.data.splits.examination_names import within_source
from bottleneck.errors import UsageError

__all__ = ["concatenate_images"]


def concatenate_images(
    given: Any, *, centre: bool, same_patients: bool, name: str | None
) -> ImageDataset:
    """Return several data sets of images as one; see ``ImageDataset.concatenate``."""
    names, sets = name_sources(given, (ImageDataset,), "an ImageDataset")
    own = [n or one.name for n, one in zip(names, sets, strict=True)]
    _refuse_same(own, sets)
    refuse_unclear(own)
    named = dict(zip(own, sets, strict=True))
    notes = [f"{n}: {note}" for n, one in named.items() for note in one.notes]
    renames = spell_alike(own, [one.classes for one in sets], notes.append)
    kept = {field: _is_shared(sets, field) for field in ("split", "fold")}
    for field, is_kept in kept.items():
        if not is_kept and any(one.names(field) for one in sets):
            notes.append(f"the {field}s are left out: not all of the data sets have the same ones")

    def samples() -> Iterator[Sample]:
        for source, one, spelled in zip(own, sets, renames, strict=True):
            for s in one.samples:
                yield dataclasses.replace(
                    s,
                    id=prefixed(source, s.id),
                    source=prefixed(source, s.source),
                    label=spelled.get(s.label, s.label),
                    group=s.group if same_patients or not s.group else prefixed(source, s.group),
                    split=s.split if kept["split"] else None,
                    fold=s.fold if kept["fold"] else None,
                    lesion=s.lesion and prefixed(source, s.lesion),
                    examination=s.examination
                    and within_source(s.examination, functools.partial(prefixed, source)),
                    centre=(prefixed(source, s.centre) if s.centre else source if centre else None),
                )

    classes = {new.get(c, c) for one, new in zip(sets, renames, strict=True) for c in one.classes}
    excluded: Counter[str] = Counter()
    for one in sets:
        excluded.update(one.excluded)
    return ImageDataset(
        name or " + ".join(own),
        collect(samples()),
        combine_sources({n: one.images for n, one in named.items()}),
        positive=common_positive({n: one.positive for n, one in named.items()}, classes),
        excluded=dict(excluded),
        notes=tuple(notes),
        description=join_descriptions({n: one.description for n, one in named.items()}),
        may_lack_labels=any(one.may_lack_labels for one in sets),
    )


def _refuse_same(names: Sequence[str], sets: Sequence[ImageDataset]) -> None:
    for (a, one), (b, other) in itertools.combinations(zip(names, sets, strict=True), 2):
        if one is other or (one.fingerprint == other.fingerprint and one.images == other.images):
            raise UsageError(
                f"the data sets '{a}' and '{b}' hold the same images: concatenate different ones"
            )


def _is_shared(sets: Sequence[ImageDataset], field: str) -> bool:
    """Return whether all samples of all data sets have a value, and folds of the same names."""
    values = [set(values_of(one.samples, field)) for one in sets]
    if any(None in v or "" in v for v in values):
        return False
    return field == "split" or all(v == values[0] for v in values)
