"""Lesions that an arm detects, and its false positives per scan, where samples are candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bottleneck.data.volumes.candidates import recorded_candidates
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.predictions import Predictions
from bottleneck.statistics.free_response import FreeResponse, free_response

__all__ = ["count_candidates", "detection_of"]


def detection_of(
    predictions: Predictions,
    samples: FeatureSet,
    positive: str | None,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> FreeResponse | None:
    """Return the free-response analysis of an arm; None where the samples are no candidates.

    Parameters
    ----------
    predictions : Predictions
        One row per candidate and repeat.
    samples : FeatureSet
        The samples, with their scans (sources), their lesions, and the record of the candidates.
    positive : str or None
        The positive class: candidates with a lesion.
    seed : int
        Seed of the draws.
    progress : callable or None
        Called with the number of draws computed and their total.

    Returns
    -------
    FreeResponse or None
        Positive candidates that name no lesion count neither as lesions nor as false positives.
        Where only some patients are tested, as with a fixed split, scans and lesions are those of
        the tested patients that have candidates.
    """
    known = recorded_candidates(samples.provenance["dataset"])
    if known is None or positive is None or samples.lesions is None or samples.sources is None:
        return None
    rows = {name: row for row, name in enumerate(samples.ids.tolist())}
    if any(name not in rows for name in predictions.ids.tolist()):
        return None  # Rows are patients, not candidates.
    places = np.array([rows[name] for name in predictions.ids.tolist()])
    lesion, scan = samples.lesions[places], samples.sources[places]
    scans = dict(known.scans)
    if len(np.unique(places)) < len(samples):
        tested = {scans.get(one) for one in scan.tolist()}
        scans = {name: patient for name, patient in scans.items() if patient in tested}
    lesions = {name: one for name, one in known.lesions.items() if one in scans}
    used = (lesion != "") | (predictions.labels != positive)
    if not lesions or not used.any():
        return None
    score = predictions.scores[:, predictions.classes.index(positive)]
    _, fold = np.unique(
        np.column_stack([predictions.repeats, predictions.folds])[used], axis=0, return_inverse=True
    )
    return free_response(
        score[used],
        lesion[used],
        scan[used],
        scans=scans,
        lesions=lesions,
        folds=fold.ravel(),
        negative_rate=known.negative_rate,
        seed=seed,
        progress=progress,
    )


def count_candidates(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a provenance for a report: with the numbers of scans and lesions, not their names."""
    dataset = provenance["dataset"]
    known = recorded_candidates(dataset)
    if known is None:
        return provenance
    counts = {
        "negative_rate": known.negative_rate,
        "n_scans": len(known.scans),
        "n_lesions": len(known.lesions),
    }
    return {**provenance, "dataset": {**dataset, "candidates": counts}}
