"""A part of a feature set: its rows by a mask or by ids, and what records that it is a part."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.sources.source_names import prefixed
from bottleneck.data.splits.patients import count_by_class, name_patients
from bottleneck.data.volumes.candidates import recorded_candidates
from bottleneck.errors import UsageError
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import shorten

if TYPE_CHECKING:
    from bottleneck.features.sets.feature_set import FeatureSet

__all__ = ["count_samples", "restrict_candidates", "select"]

Rows = NDArray[np.intp]

_NEITHER = (
    "select takes a mask, with True or False for each sample, or a list of ids; to take rows by "
    "their numbers, pass features.ids[numbers]"
)
# Ids that are searched for one that is similar to an unknown one.
_MOST_COMPARED = 20_000
# Characters of an id in a message.
_SHOWN = 80


def select(features: FeatureSet, chosen: Any, reason: str) -> FeatureSet:
    """Return some of the samples; see ``FeatureSet.select``."""
    if not isinstance(reason, str) or not reason.strip():
        raise UsageError(f"the reason must be text, not {shorten(reason)}")
    rows = _find_rows(features, chosen)
    if not len(rows):
        raise UsageError(
            f"this selects none of the {len(features):,} samples of '{features.dataset}': select "
            "at least one"
        )
    if len(rows) == len(features):
        return features.take(rows)
    return features.take(rows, provenance=_describe(features, rows, reason.strip()), path=None)


def _find_rows(features: FeatureSet, chosen: Any) -> Rows:
    values, index = _read(chosen)
    if values.ndim != 1:
        raise UsageError(f"{_NEITHER}; this has {values.ndim} dimensions")
    kinds = {_kind(value) for value in values.tolist()}
    if kinds == {"bool"}:
        return _follow_mask(features, values.astype(bool), index)
    if kinds <= {"id"}:
        return _follow_ids(features, [str(value) for value in values.tolist()])
    if kinds <= {"bool", "missing"}:
        n = sum(_kind(value) == "missing" for value in values.tolist())
        raise UsageError(
            f"the mask has {counted(n, 'missing value')}: decide with True or False for each sample"
        )
    if kinds <= {"id", "missing"}:
        raise UsageError("one of the ids is missing: leave missing values out of the list")
    if kinds == {"number"}:
        raise UsageError(f"{_NEITHER}; these are numbers, which could mean either")
    odd = [v for v in values.tolist() if _kind(v) not in ("bool", "id")]
    what = f"among these is {shorten(odd[0])}" if odd else "these are of both kinds"
    raise UsageError(f"{_NEITHER}; {what}")


def _read(chosen: Any) -> tuple[NDArray[Any], Any]:
    """Return the values, and the index of a pandas object."""
    if chosen is None or isinstance(chosen, str | bytes | Mapping | slice) or callable(chosen):
        raise UsageError(f"{_NEITHER}; this is {_name(chosen)}")
    index = getattr(chosen, "index", None)
    if hasattr(chosen, "to_numpy") and index is not None and not callable(index):
        if len(chosen.shape) == 2 and chosen.shape[1] != 1:
            raise UsageError(f"{_NEITHER}; this table has {chosen.shape[1]} columns: pass one")
        return chosen.to_numpy(dtype=object).reshape(-1), index.to_numpy(dtype=object)
    if isinstance(chosen, np.ma.MaskedArray):
        chosen = chosen.filled(None) if chosen.dtype == object else chosen.tolist()
    if not isinstance(chosen, np.ndarray) and not hasattr(chosen, "to_numpy"):
        if not isinstance(chosen, Iterable):
            raise UsageError(f"{_NEITHER}; this is {_name(chosen)}")
        listed = list(chosen)
        # One by one: numpy would make texts of booleans and numbers among texts.
        chosen = np.empty(len(listed), object)
        for place, value in enumerate(listed):
            chosen[place] = value
    return np.asarray(chosen), None


def _kind(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "bool"
    if isinstance(value, str):
        return "id"
    # pandas' NA equals nothing, and cannot even be asked.
    if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
        return "missing"
    return "number" if isinstance(value, int | float | np.number) else "other"


def _name(value: object) -> str:
    if isinstance(value, str):
        return f"the text '{value[:60]}': put a single id in a list"
    return shorten(value)


def _follow_mask(features: FeatureSet, mask: NDArray[np.bool_], index: Any) -> Rows:
    if len(mask) != len(features):
        raise UsageError(
            f"the mask has {counted(len(mask), 'value')}, and '{features.dataset}' has "
            f"{counted(len(features), 'sample')}: one value per sample is needed, in their order"
        )
    if index is None:
        return np.flatnonzero(mask)
    ids, labels = features.ids.tolist(), [str(label) for label in index.tolist()]
    numbered = index.tolist() == list(range(len(mask)))
    named = Counter(labels) == Counter(ids)
    # Where ids are the same numbers in another order, both could be meant.
    if numbered and (not named or labels == ids):
        return np.flatnonzero(mask)
    if numbered or not named:
        raise UsageError(
            f"the index of the mask is {'both' if named else 'neither'} 0, 1, 2 … "
            f"{'and' if named else 'nor'} the ids of the samples, so it is not clear which value "
            "belongs to which sample: pass mask.to_numpy() if they are in the order of the "
            "samples, or set ids as the index that are not row numbers"
        )
    is_chosen = dict(zip(labels, mask.tolist(), strict=True))
    return np.flatnonzero([is_chosen[identity] for identity in ids])


def _follow_ids(features: FeatureSet, ids: Sequence[str]) -> Rows:
    if twice := [identity for identity, n in Counter(ids).items() if n > 1]:
        raise UsageError(
            f"the id '{twice[0][:_SHOWN]}' is listed {ids.count(twice[0])} times"
            f"{_and_more(len(twice) - 1)}: list each id once"
        )
    row = {identity: number for number, identity in enumerate(features.ids.tolist())}
    if unknown := [identity for identity in ids if identity not in row]:
        raise _unknown_ids(features, unknown)
    return np.array([row[identity] for identity in ids], np.intp)


def _unknown_ids(features: FeatureSet, unknown: Sequence[str]) -> UsageError:
    first, more = unknown[0], _and_more(len(unknown) - 1)
    reasons = dict(features.failures)
    if first in reasons:
        return UsageError(f"the sample '{first[:_SHOWN]}'{more} has no features: {reasons[first]}")
    ids = features.ids[:_MOST_COMPARED].tolist()
    # Of a concatenation, ids begin with the name of their data set.
    near = [i for i in ids if i.endswith(prefixed("", first))][:3]
    near = near or difflib.get_close_matches(first[:_SHOWN], ids, n=3)
    hint = f"; similar ids: {', '.join(repr(i) for i in near)}" if near else ""
    return UsageError(
        f"'{features.dataset}' has no sample with the id '{first[:_SHOWN]}'{more}{hint}. "
        f"Its first id is '{features.ids[0]}'"
    )


def _and_more(n: int) -> str:
    return f" (and {n:,} more like it)" if n else ""


def _describe(features: FeatureSet, rows: Rows, reason: str) -> dict[str, Any]:
    """Return the provenance of a part: its own numbers, and the whole that it is a part of."""
    whole: Mapping[str, Any] = features.provenance["dataset"]
    ids = features.ids[rows]
    part_of = whole.get("part_of") or {
        "fingerprint": whole.get("fingerprint", ""),
        "n_samples": len(features),
    }
    # From the ids in any order, so that one part has one fingerprint, however it was made.
    named = json.dumps([part_of["fingerprint"], *sorted(ids.tolist())])
    excluded = dict(whole.get("excluded") or {})
    excluded[reason] = excluded.get(reason, 0) + len(features) - len(rows)
    counts = count_samples(
        features.y[rows],
        None if features.stated_patients is None else features.stated_patients[rows],
        len(features.failures),
    )
    positive = whole.get("positive")
    candidates = restrict_candidates(features, rows)
    return {
        **features.provenance,
        "dataset": {
            **whole,
            **counts,
            "fingerprint": hashlib.sha256(named.encode()).hexdigest(),
            "positive": positive if positive in counts["classes"] else None,
            "excluded": excluded,
            "part_of": {**part_of, "selected": len(rows)},
            **candidates,
        },
    }


def restrict_candidates(features: FeatureSet, rows: Rows) -> dict[str, Any]:
    """Return the record of the candidates that some rows are drawn from, under its key."""
    known = recorded_candidates(features.provenance["dataset"])
    if known is None or features.stated_patients is None or features.lesions is None:
        return {}
    names = [
        (patient or None, lesion or None)
        for patient, lesion in zip(
            features.stated_patients.tolist(), features.lesions.tolist(), strict=True
        )
    ]
    kept = known.restricted(names, [names[row] for row in rows])
    return {"candidates": kept and kept.to_dict()}


def count_samples(
    y: NDArray[np.str_], stated_patients: NDArray[np.str_] | None, n_failures: int
) -> dict[str, Any]:
    """Return the counts in the record of a data set: samples, patients and classes.

    Parameters
    ----------
    y : ndarray of str, shape (n_samples,)
        Labels.
    stated_patients : ndarray of str, shape (n_samples,), or None
        Patients as the data set states them.
    n_failures : int
        Number of samples without a row.
    """
    patients = name_patients(stated_patients)
    return {
        "n_samples": len(y) + n_failures,
        "n_patients": None if patients is None else len(np.unique(patients)),
        "classes": count_by_class(y[y != ""]),
    }
