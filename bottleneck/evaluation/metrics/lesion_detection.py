"""Lesions that an arm detects, and its false positives per scan, where samples are candidates."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.protocol import Protocol
from bottleneck.data.volumes.candidates import recorded_candidates
from bottleneck.evaluation.results.comparison_results import Evaluation
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.predictions import Predictions
from bottleneck.statistics.roc.free_response import FreeResponse, free_response

__all__ = ["add_detection", "count_candidates", "detection_of"]

Ints = NDArray[np.int64]


def add_detection(
    evaluations: Sequence[Evaluation],
    samples: FeatureSet,
    protocol: Protocol,
    positive: str | None,
    progress: Callable[[int, int, str], None] | None,
) -> list[Evaluation]:
    """Return the evaluations with the free-response analysis of each, where there is one.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        The arms.
    samples : FeatureSet
        The samples that they were tested on.
    protocol : Protocol
        Where its unit is the patient, rows are not candidates, and there is no analysis.
    positive : str or None
        The positive class.
    progress : callable or None
        Called with the number of draws computed, their total and a text.
    """
    if protocol.unit == "patient":
        return list(evaluations)
    made = []
    for e in evaluations:
        tell = None
        if progress is not None:
            text = f"lesions detected by {e.name}"
            tell = functools.partial(_tell, progress, text)
        known = detection_of(e.predictions, samples, positive, seed=protocol.seed, progress=tell)
        made.append(dataclasses.replace(e, free_response=known))
    return made


def _tell(progress: Callable[[int, int, str], None], text: str, done: int, total: int) -> None:
    progress(done, total, text)


def detection_of(
    predictions: Predictions,
    samples: FeatureSet,
    positive: str | None,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> FreeResponse | None:
    """Return the free-response analysis of an arm; None where the samples are not candidates.

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
        None too if only some of the candidates of a scan are tested, or they are in several folds.
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
    _, fold = np.unique(
        np.column_stack([predictions.repeats, predictions.folds]), axis=0, return_inverse=True
    )
    fold = fold.ravel()
    if _are_parted(places, fold, samples.sources):
        return None
    lesion, scan = samples.lesions[places], samples.sources[places]
    scans = dict(known.scans)
    if len(np.unique(places)) < len(samples):
        tested = {scans.get(one) for one in np.unique(scan).tolist()}
        scans = {name: patient for name, patient in scans.items() if patient in tested}
    lesions = {name: one for name, one in known.lesions.items() if one in scans}
    used = (lesion != "") | (predictions.labels != positive)
    if not lesions or not used.any():
        return None
    score = predictions.scores[:, predictions.classes.index(positive)]
    return free_response(
        score[used],
        lesion[used],
        scan[used],
        scans=scans,
        lesions=lesions,
        folds=fold[used],
        negative_rate=known.negative_rate,
        seed=seed,
        progress=progress,
    )


def _are_parted(places: Ints, fold: Ints, sources: NDArray[np.str_]) -> bool:
    """Return whether a fold tests only some candidates of a scan."""
    names = sources.tolist()
    # Sorting a million names takes seconds.
    numbers = {name: n for n, name in enumerate(dict.fromkeys(names))}
    scan = np.array([numbers[name] for name in names], np.int64)
    pairs, tested = np.unique(fold * len(sources) + scan[places], return_counts=True)
    return bool((tested < np.bincount(scan)[pairs % len(sources)]).any())


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
