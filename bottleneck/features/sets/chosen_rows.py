"""Features after a selection of samples and classes: their rows, labels and provenance."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from bottleneck.data.labels.choice import Choice, Selectable
from bottleneck.features.sets.selected_rows import count_samples, restrict_candidates

if TYPE_CHECKING:
    from bottleneck.features.sets.feature_set import FeatureSet

__all__ = ["selectable", "take_choice"]


def selectable(features: FeatureSet) -> Selectable:
    """Return what a selection needs to know of features."""
    columns = {
        "id": features.ids,
        "source": features.sources,
        "group": features.stated_patients,
        "label": features.y,
    }
    return Selectable(
        features.dataset,
        lambda name: [] if (column := columns[name]) is None else column.tolist(),
        [identity for identity, _ in features.failures],
        features.positive,
    )


def take_choice(features: FeatureSet, choice: Choice) -> FeatureSet:
    """Return what a selection means for features: the samples that are kept, with merged classes.

    Parameters
    ----------
    features : FeatureSet
        The features.
    choice : Choice
        What the selection means for them.
    """
    recorded = features.provenance["dataset"]
    if not choice.changes:
        same = {**recorded, "positive": choice.positive}
        return dataclasses.replace(features, provenance={**features.provenance, "dataset": same})
    rows = np.flatnonzero(choice.rows)
    y = np.array(choice.rename(features.y[rows].tolist()), str)
    failures = tuple(one for one in features.failures if one[0] not in choice.excluded)
    known = tuple(
        dataclasses.replace(one, label=choice.names.get(one.label, one.label))
        for one in features.failed_samples
        if one.id not in choice.excluded
    )
    stated = features.stated_patients
    changed = {
        **recorded,
        **count_samples(y, None if stated is None else stated[rows], len(failures)),
        "fingerprint": choice.fingerprint(recorded.get("fingerprint", "")),
        "positive": choice.positive,
        "excluded": choice.count(recorded.get("excluded", {})),
        "selection": choice.record(features.selection),
        **restrict_candidates(features, rows),
    }
    # The hash of the content is that of the file.
    provenance = {k: v for k, v in features.provenance.items() if k != "content"}
    return features.take(
        rows,
        y=y,
        failures=failures,
        failed_samples=known,
        provenance={**provenance, "dataset": changed},
    )
