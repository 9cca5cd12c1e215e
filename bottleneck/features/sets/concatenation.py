"""Several feature sets of one recipe as one, with the data set of each sample as its centre."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.backbones.licences import weights_record
from bottleneck.backbones.recipe import name_differences
from bottleneck.data.labels.choice import join_records
from bottleneck.data.sources.source_names import (
    common_positive,
    join_descriptions,
    name_sources,
    prefixed,
    refuse_unclear,
    spell_alike,
)
from bottleneck.data.splits.examination_names import within_source
from bottleneck.data.volumes.candidates import Candidates, recorded_candidates
from bottleneck.errors import UsageError
from bottleneck.features.file.format import IMAGE_MEMBERS
from bottleneck.features.file.reader import load_features
from bottleneck.features.file.set_writer import content_of
from bottleneck.features.sets.failed_samples import FailedSample
from bottleneck.features.sets.selected_rows import count_samples
from bottleneck.text.short_repr import shorten

if TYPE_CHECKING:
    from bottleneck.features.sets.feature_set import FeatureSet

__all__ = ["concatenate"]

Strings = NDArray[np.str_]
Note = Callable[[str], None]

_NUMBERS = ("size", "brightness", "thumbnails")


@dataclasses.dataclass(frozen=True, eq=False)
class _Source:
    """A feature set among others: its name, and its labels as all of them spell these."""

    name: str
    features: FeatureSet
    y: Strings

    def named(self, column: Strings | None) -> Strings:
        """Return a column with the name of the data set before every value that is not empty."""
        if column is None:
            return np.full(len(self.features), "")
        texts = np.asarray(column, str)
        return np.where(texts == "", "", np.char.add(prefixed(self.name, ""), texts))


def concatenate(
    given: Any,
    *,
    centre: bool,
    same_patients: bool,
    name: str | None,
    note: Note | None,
) -> FeatureSet:
    """Return several feature sets as one; see ``FeatureSet.concatenate``."""
    from bottleneck.features.sets.feature_set import FeatureSet

    for option, value in (("centre", centre), ("same_patients", same_patients)):
        if not isinstance(value, bool | np.bool_):
            raise UsageError(f"{option} must be True or False, not {shorten(value)}")
    if note is not None and not callable(note):
        raise UsageError(f"note must be a function that takes a text, not {shorten(note)}")
    expected = "a FeatureSet or the path of a feature file"
    names, sets = name_sources(given, (FeatureSet, str, Path), expected)
    read = [s if isinstance(s, FeatureSet) else load_features(s, memory_map=True) for s in sets]
    own = [n or one.dataset for n, one in zip(names, read, strict=True)]
    _refuse_other_recipes(own, read)
    _refuse_same(own, read)
    refuse_unclear(own)
    if name is not None and (not isinstance(name, str) or not name.strip()):
        raise UsageError(f"the name must be a text, not {shorten(name)}")
    tell = note or _ignore
    renames = spell_alike(own, [one.classes for one in read], tell)
    sources = [
        _Source(n, one, np.array([new.get(c, c) for c in one.y.tolist()], str))
        for n, one, new in zip(own, read, renames, strict=True)
    ]
    columns = _columns(sources, centre=centre, same_patients=same_patients, tell=tell)
    X = _stack([one.X for one in read])
    failures = tuple(
        (prefixed(s.name, identity), reason)
        for s in sources
        for identity, reason in s.features.failures
    )
    failed = tuple(
        FailedSample(
            prefixed(s.name, one.id),
            new.get(one.label, one.label),
            one.patient if same_patients or not one.patient else prefixed(s.name, one.patient),
            one.split if "splits" in columns else "",
        )
        for s, new in zip(sources, renames, strict=True)
        for one in s.features.failed_samples
    )
    made = FeatureSet(
        X=X,
        provenance=read[0].provenance,
        failures=failures,
        failed_samples=failed,
        **columns,
    )
    about = {"centre": bool(centre), "same_patients": bool(same_patients)}
    provenance = _describe(made, sources, name or " + ".join(own), about)
    return dataclasses.replace(made, provenance=provenance)


def _ignore(text: str) -> None:
    """Do nothing, where no note is wanted."""


def _refuse_other_recipes(names: Sequence[str], sets: Sequence[FeatureSet]) -> None:
    first = sets[0]
    for name, one in zip(names[1:], sets[1:], strict=True):
        if one.recipe_hash == first.recipe_hash and one.X.shape[1:] == first.X.shape[1:]:
            continue
        differences = name_differences(first.provenance["recipe"], one.provenance["recipe"])
        if one.X.shape[1] != first.X.shape[1]:
            differences.append(f"a row has {one.X.shape[1]:,} numbers, not {first.X.shape[1]:,}")
        raise UsageError(
            f"the features of '{name}' were made by another recipe than those of '{names[0]}', so "
            "their columns have different meanings: "
            f"{'; '.join(differences) or 'the hash differs'}. "
            "Extract both with the same options, or give your own features the same columns"
        )


def _refuse_same(names: Sequence[str], sets: Sequence[FeatureSet]) -> None:
    """Refuse two sets of the same samples, and a part together with the whole."""
    keys = [_keys(one) for one in sets]
    for a, b in itertools.combinations(range(len(sets)), 2):
        one, other = keys[a], keys[b]
        if one is None or other is None:
            same = np.array_equal(sets[a].y, sets[b].y) and np.array_equal(sets[a].X, sets[b].X)
        else:
            same = one <= other or other <= one
        if sets[a] is sets[b] or same:
            what = f"'{names[a]}' and '{names[b]}'"
            if names[a] == names[b]:
                what = f"data sets {a + 1} and {b + 1}, both named '{names[a]}',"
            raise UsageError(
                f"{what} hold the same samples, all of them, or those of the smaller one: "
                "concatenate different data sets"
            )


def _keys(features: FeatureSet) -> set[str] | None:
    if features.sha256 is not None:
        return set(features.keys())
    return None if features.contents is None else set(features.contents.tolist())


def _columns(
    sources: Sequence[_Source], *, centre: bool, same_patients: bool, tell: Note
) -> dict[str, Any]:
    sets = [s.features for s in sources]
    columns: dict[str, Any] = {
        "y": np.concatenate([s.y for s in sources]),
        "ids": np.concatenate([s.named(s.features.ids) for s in sources]),
    }
    if any(one.stated_patients is not None for one in sets):
        columns["stated_patients"] = np.concatenate(
            [
                (s.named(None) if (p := s.features.stated_patients) is None else p)
                if same_patients
                else s.named(s.features.stated_patients)
                for s in sources
            ]
        )
        if unnamed := [s.name for s in sources if s.features.stated_patients is None]:
            tell(f"'{unnamed[0]}' names no patients: each of its samples counts as a patient")
    if centre:
        columns["centres"] = np.concatenate([_centres(s, tell) for s in sources])
    elif any(one.centres is not None for one in sets):
        columns["centres"] = np.concatenate([s.named(s.features.centres) for s in sources])
    for field, what in (("splits", "sets of its own split"), ("folds", "published folds")):
        values = [getattr(one, field) for one in sets]
        complete = [v is not None and bool((v != "").all()) for v in values]
        if not any(v is not None for v in values):
            continue
        # Folds of other numbers or names are other folds, although some names may be equal.
        if all(complete) and (field == "splits" or len({frozenset(v) for v in values}) == 1):
            columns[field] = np.concatenate(values)
        else:
            tell(f"the {what} are left out: not all of the data sets have them, or the same ones")
    for field in IMAGE_MEMBERS:
        values = [getattr(one, field) for one in sets]
        known = [v is not None for v in values]
        if not any(known):
            continue
        if not all(known):
            with_it, without = (sources[known.index(k)].name for k in (True, False))
            raise UsageError(
                f"'{with_it}' has the {field} of its images, and '{without}' has none, so copies "
                "of images could not be searched for across both: extract both with this version, "
                f"or take {field} out of all with dataclasses.replace"
            )
        if field == "sources":
            columns[field] = np.concatenate([s.named(s.features.sources) for s in sources])
        else:
            columns[field] = _stack(values) if field in _NUMBERS else np.concatenate(values)
    if any(one.regions is not None for one in sets):
        columns["regions"] = np.concatenate(
            [
                np.full((len(one), 4), -1, np.int32) if one.regions is None else one.regions
                for one in sets
            ]
        )
    if any(one.volume_regions is not None for one in sets):
        given = [s.features.volume_regions for s in sources]
        columns["volume_regions"] = np.concatenate(
            [np.full(len(one), "") if r is None else r for one, r in zip(sets, given, strict=True)]
        )
    if any(one.lesions is not None for one in sets):
        columns["lesions"] = np.concatenate([s.named(s.features.lesions) for s in sources])
    if any(one.examinations is not None for one in sets):
        columns["examinations"] = np.concatenate([_examinations(s) for s in sources])
    boxes = [one.boxes for one in sets if one.boxes is not None]
    if len(boxes) == len(sets):
        columns["boxes"] = np.concatenate(boxes)
    return columns


def _centres(source: _Source, tell: Note) -> Strings:
    """Return the data set, followed by the centre of a sample where the data set names one."""
    own = source.named(source.features.centres)
    centres = np.where(own == "", source.name, own)
    if len(each := np.unique(centres)) > 1:
        tell(
            f"'{source.name}' names centres itself, so it has {len(each)} here ({each[0]}, "
            f"{each[1]}{', …' if len(each) > 2 else ''}): --protocol centres tests each of them by "
            f"a model that was trained on the others of '{source.name}' too. To leave out the "
            "whole data set, extract it without its centres"
        )
    return centres


def _examinations(source: _Source) -> Strings:
    """Return the examinations; those that file names tell are of one data set."""
    own = source.features.examinations
    if own is None:
        return np.full(len(source.features), "")
    prefix = functools.partial(prefixed, source.name)
    return np.array([within_source(text, prefix) for text in own.tolist()], str)


def _stack(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return rows below each other; what is mapped into memory is read one array at a time."""
    shape = (sum(map(len, arrays)), *arrays[0].shape[1:])
    made = np.empty(shape, np.result_type(*arrays))
    start = 0
    for one in arrays:
        made[start : start + len(one)] = one
        start += len(one)
    return made


def _describe(
    made: FeatureSet, sources: Sequence[_Source], name: str, about: Mapping[str, bool]
) -> dict[str, Any]:
    """Return the provenance: what all sets share, and each of them by name and fingerprint."""
    records = [s.features.provenance for s in sources]
    first = records[0]
    shared = {
        field: value
        for field, value in first.items()
        if all(field in one and one[field] == value for one in records)
    }
    datasets = [one["dataset"] for one in records]
    named = [[s.name, d.get("fingerprint", "")] for s, d in zip(sources, datasets, strict=True)]
    described = {s.name: d.get("description") or {} for s, d in zip(sources, datasets, strict=True)}
    excluded: dict[str, int] = {}
    for dataset in datasets:
        for reason, n in (dataset.get("excluded") or {}).items():
            excluded[reason] = excluded.get(reason, 0) + n
    dataset = {
        "name": name,
        "fingerprint": hashlib.sha256(json.dumps([named, about]).encode()).hexdigest(),
        "positive": common_positive({s.name: s.features.positive for s in sources}, made.classes),
        **count_samples(made.y, made.stated_patients, len(made.failures)),
        "excluded": excluded,
        "description": join_descriptions(described),
        "sources": [
            {
                "name": s.name,
                "dataset": s.features.dataset,
                "fingerprint": fingerprint,
                "n_samples": len(s.features),
                "classes": count_samples(s.y, None, 0)["classes"],
            }
            for s, (_, fingerprint) in zip(sources, named, strict=True)
        ],
        **about,
    }
    if candidates := _join_candidates(sources, same_patients=about["same_patients"]):
        dataset["candidates"] = candidates.to_dict()
    if chosen := join_records(s.features.selection for s in sources):
        dataset["selection"] = chosen
    joined = {
        field: ", ".join(dict.fromkeys(str(one[field]) for one in records if one.get(field)))
        for field in ("engine", "device")
        if any(one.get(field) for one in records)
    }
    of_weights: dict[str, Any] = {}
    if shapes := [one["shape"] for one in records if one.get("shape")]:
        of_weights["shape"] = shapes[0]
    recipe = dict(first["recipe"])
    # One recipe has one set of weights, wherever these were loaded from; but files of the same
    # tensors may have licences of their own.
    if known := [record for one in records if (record := weights_record(one))]:
        stated = dict.fromkeys(str(record["licence"]) for record in known if record["licence"])
        recipe["licence"] = " AND ".join(stated) or None
        of_weights["weights"] = {**known[0], "licence": recipe["licence"]}
    return {
        **shared,
        **joined,
        **of_weights,
        "dataset": dataset,
        "content": content_of(made),
        "recipe": recipe,
        "recipe_hash": first["recipe_hash"],
        "drift": _worst_drift([one.get("drift") for one in records]),
        "images_extracted": sum(one.get("images_extracted", 0) for one in records),
        "seconds": round(sum(one.get("seconds", 0.0) for one in records), 3),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _join_candidates(sources: Sequence[_Source], *, same_patients: bool) -> Candidates | None:
    """Return what the candidates of all sets were drawn from; None where their rates differ."""
    known = [recorded_candidates(s.features.provenance["dataset"]) for s in sources]
    joined = [one for one in known if one is not None]
    if len(joined) < len(known) or len({one.negative_rate for one in joined}) > 1:
        return None
    scans, lesions = {}, {}
    for source, one in zip(sources, joined, strict=True):
        for scan, patient in one.scans.items():
            scans[prefixed(source.name, scan)] = (
                patient if same_patients else prefixed(source.name, patient)
            )
        for lesion, scan in one.lesions.items():
            lesions[prefixed(source.name, lesion)] = prefixed(source.name, scan)
    return Candidates(joined[0].negative_rate, scans, lesions)


def _worst_drift(drifts: Sequence[Mapping[str, float] | None]) -> dict[str, float] | None:
    known = [one for one in drifts if one]
    if not known:
        return None
    return {
        "images": sum(one.get("images", 0) for one in known),
        "cosine": min(one.get("cosine", 1.0) for one in known),
        "relative": max(one.get("relative", 0.0) for one in known),
    }
