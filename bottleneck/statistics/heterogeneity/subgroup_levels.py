"""A metric in one subgroup, with what a test of subgroup differences needs of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bottleneck.statistics.accuracy.proportions import clustered_intervals, effective_sample_size
from bottleneck.statistics.inference.intervals import Interval, average_intervals
from bottleneck.statistics.roc.auroc_tests import RankedScore
from bottleneck.statistics.roc.auroc_variance import AurocEstimator

__all__ = ["Level", "auroc_level", "proportion_level"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Level(NamedTuple):
    """What the test needs of one subgroup."""

    name: str
    interval: Callable[[float], Interval]
    """The interval of the metric as a function of its confidence level."""
    influence: Floats
    """Influence of each patient of all samples; 0 for patients of other subgroups."""
    size: float
    """Degrees of freedom of an AUROC's variance; effective sample size of a proportion."""


def auroc_level(
    name: str,
    true: Bools,
    score: Floats,
    rows: Bools,
    patients: Ints,
    folds: Ints,
    *,
    repeats: Ints | None = None,
    jackknife: Floats | None = None,
) -> Level | None:
    """Return what the test needs of the AUROC of one subgroup.

    Parameters
    ----------
    name : str
        Name of the subgroup.
    true : ndarray of bool, shape (n_samples,)
        The positive samples.
    score : ndarray of float64, shape (n_samples,)
        Scores.
    rows : ndarray of bool, shape (n_samples,)
        The samples of the subgroup.
    patients, folds : ndarray of int64, shape (n_samples,)
        Codes of the patients and of the test folds, from 0.
    repeats : ndarray of int64, shape (n_samples,), optional
        Repeat of every row.
    jackknife : ndarray of float64, shape (n_samples, n_parts), optional
        As for ``roc_auc_interval``.

    Returns
    -------
    Level or None
        None if no fold has both classes.
    """
    counts = [np.bincount(folds[rows & side], minlength=folds.max() + 1) for side in (true, ~true)]
    rows = rows & (np.minimum(*counts) > 0)[folds]
    if not rows.any():
        return None
    of_row = None if repeats is None else repeats[rows]
    estimator = AurocEstimator(true[rows], patients[rows], folds[rows], of_row)
    parts = None if jackknife is None else jackknife[rows]
    ranked = RankedScore.of(estimator, score[rows], jackknife=parts)
    influence = np.zeros(int(patients.max()) + 1)
    influence[np.unique(patients[rows])] = ranked.influence.positive + ranked.influence.negative
    degrees = estimator.total_variance(ranked.influence)[1]
    return Level(name, ranked.interval, influence, degrees)


def proportion_level(
    name: str, correct: Bools, rows: Bools, patients: Ints, repeats: Ints, overlap: float
) -> Level | None:
    """Return what the test needs of a proportion in one subgroup.

    Parameters
    ----------
    name : str
        Name of the subgroup.
    correct : ndarray of bool, shape (n_samples,)
        The samples to count.
    rows : ndarray of bool, shape (n_samples,)
        The samples of the subgroup.
    patients, repeats : ndarray of int64, shape (n_samples,)
        Codes of the patients, and of the repeats, whose intervals are averaged.
    overlap : float
        As for ``clustered_proportion_interval``.

    Returns
    -------
    Level or None
        None without samples.
    """
    if not rows.any():
        return None
    parts = [
        (correct[part], np.unique(patients[part], return_inverse=True)[1])
        for part in (rows & (repeats == repeat) for repeat in np.unique(repeats[rows]))
    ]
    sizes = [effective_sample_size(each.astype(float), owner) / overlap for each, owner in parts]
    intervals = [clustered_intervals(each, owner, overlap) for each, owner in parts]

    def interval(level: float) -> Interval:
        return average_intervals([at(level) for at in intervals])

    own = correct[rows].astype(float)
    centred = (own - own.mean()) / len(own)
    influence = np.bincount(patients[rows], centred, int(patients.max()) + 1).astype(float)
    return Level(name, interval, influence, float(np.mean(sizes)))
