"""The variance of a metric from the influence of each sample, summed by patient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bottleneck.statistics.auroc_influence import degrees_of_freedom

__all__ = ["patient_variance"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def patient_variance(
    influence: Floats, labels: Ints, parts: Ints, patients: Ints
) -> tuple[float, float]:
    """Estimate the variance of a figure from the influence of its samples.

    Influences are centred within each class and part, as many samples of each being given,
    summed by patient and class, and their products added up over patients: for the AUROC
    of one test set that is Obuchowski's variance, as ``auroc_influence.Design.variance`` has it,
    and with one sample a patient DeLong's.

    Parameters
    ----------
    influence : ndarray of float64, shape (n_samples,)
        Derivatives of the figure by the weights of the samples.
    labels, parts, patients : ndarray of int64, shape (n_samples,)
        Codes from 0: the class; what is computed apart and averaged (folds or repeats);
        the patient.

    Returns
    -------
    variance, degrees_of_freedom : float
        NaN and 0 where some class has a single patient a part, 0 and 0 where influences
        do not vary.
    """
    n_classes, n_parts = int(labels.max()) + 1, int(parts.max()) + 1
    n_patients = int(patients.max()) + 1
    strata = labels * n_parts + parts
    sizes = np.bincount(strata)
    means = np.bincount(strata, influence) / np.maximum(sizes, 1)
    centred = influence - means[strata]
    codes = patients * n_classes + labels
    sums = np.bincount(codes, centred, n_patients * n_classes).reshape(n_patients, n_classes)
    has = np.bincount(codes, minlength=n_patients * n_classes).reshape(sums.shape) > 0

    tested = patients * n_parts + parts
    cells = np.array([len(np.unique(tested[labels == c])) for c in range(n_classes)])
    held = np.array([len(np.unique(parts[labels == c])) for c in range(n_classes)])
    cells, held = cells[present := cells > 0], held[present]
    sums, has = sums[:, present], has[:, present]
    everyone = len(np.unique(tested))
    if (cells <= held).any():
        return np.nan, 0.0
    within = cells / (cells - held)
    total = sums.sum(axis=1)
    own = (sums**2).sum(axis=0)
    shared = float(total @ total - own.sum())
    variance = float(within @ own) + everyone / (everyone - n_parts) * shared
    if not variance > 1e-30:
        return 0.0, 0.0
    lost = n_parts * n_patients / everyone
    kinds = np.unique(has, axis=0, return_inverse=True)[1].ravel()
    squares = [total[kinds == kind] ** 2 for kind in range(kinds.max() + 1)]
    return variance, degrees_of_freedom(squares, lost)
