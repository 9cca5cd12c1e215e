"""What there is too little of for intervals to hold their level, in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.patients import count_by_class
from bottleneck.statistics.inference.intervals import effective_number, holds_level
from bottleneck.text.plurals import counted

__all__ = ["ESTIMATE_ONLY", "shortage"]

Strings = NDArray[np.str_]

ESTIMATE_ONLY = "estimate only"


def shortage(
    labels: Strings,
    patients: Strings | None,
    ids: Strings | None = None,
    *,
    metric: str = "auroc",
    n_folds: int = 1,
    n_classes: int = 2,
) -> str:
    """Return what there is too little of for an interval to hold its level.

    Parameters
    ----------
    labels : ndarray of str, shape (n_samples,)
        Classes.
    patients : ndarray of str, shape (n_samples,), or None
        Patients; None if none are known, and samples are counted.
    ids : ndarray of str, shape (n_samples,), or None
        Names of the samples, where repeats test them several times.
    metric, n_folds
        As for ``holds_level``.
    n_classes : int
        Number of classes; one that is absent has 0 patients.

    Returns
    -------
    str
        "7 patients", or "effective number of patients 1.5"; empty if ``holds_level`` is true.
    """
    unit = "sample" if patients is None else "patient"
    if patients is None:
        patients = np.arange(len(labels)).astype(str) if ids is None else ids
    counts = count_by_class(labels, patients)
    complete = len(counts) >= n_classes
    few = min(counts.values()) if complete else 0
    effective = min(effective_number(patients[labels == name]) for name in np.unique(labels))
    if holds_level(few, max(counts.values()), metric, n_folds, effective=effective):
        return ""
    # Enough by number, but not by weight.
    if holds_level(few, few) and not holds_level(few, few, effective=effective):
        return f"effective number of {unit}s {effective:.1f}"
    return counted(few, unit)
