"""Detection of samples far from a training set, by the distance to their nearest neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.errors import UsageError
from bottleneck.statistics.arguments import as_matrix, as_patients
from bottleneck.statistics.shift.training_distances import N_NEIGHBOURS, TrainingDistances

__all__ = ["EXPECTED_SHARE", "N_NEIGHBOURS", "knn_outliers"]

# Share of samples from the distribution of the training set that are outliers.
EXPECTED_SHARE = 0.05


def knn_outliers(
    train: ArrayLike,
    other: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    one_unit: bool = False,
) -> NDArray[np.bool_]:
    """Find the samples that are farther from a training set than its own samples are.

    The distance of a sample is that to its 5th nearest training sample, as
    ``distance_percentiles`` measures it. An outlier exceeds the 95 % quantile of the distances
    of the training samples, so that 5 % of new samples of the same distribution are outliers
    (Sun et al. 2022, Proceedings of Machine Learning Research 162:20827, set the threshold in
    this way).

    For a training sample, all samples of its patient are left out, both of the neighbours
    and of the standard deviations. Both matter. With 60 patients, 4 images each and 512
    independent features, 22 % of samples of the same distribution exceed the threshold if
    only the sample itself is left out, 10 % if its patient is left out of the neighbours
    alone, and 5 % as done here (``benchmarks/shift.md``).

    Parameters
    ----------
    train : array-like of float, shape (n_train, n_features)
        Features of the training set.
    other : array-like of float, shape (n_other, n_features)
        Features of the samples to test.
    groups : array-like, shape (n_train,), optional
        Patients of the training set, two or more. Without them every sample is a patient of
        its own.
    one_unit : bool
        Whether all features have one unit, as those of a network do; see
        ``distance_percentiles``.

    Returns
    -------
    ndarray of bool, shape (n_other,)
        Mask of the outliers. If some training sample has fewer than 5 samples of other
        patients, the number of neighbours is reduced for all.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, or the features differ in number.
    ProtocolError
        If the training set has a single patient.

    Examples
    --------
    >>> import numpy as np
    >>> train = np.random.default_rng(0).normal(size=(100, 2))
    >>> knn_outliers(train, [[0, 0], [6, 6]])
    array([False,  True])
    """
    A, B = as_matrix("train", train), as_matrix("other", other)
    codes = as_patients(groups, len(A))
    if A.shape[1] != B.shape[1]:
        raise UsageError(
            f"train and other must have the same features, not {A.shape[1]} and {B.shape[1]}"
        )
    measured = TrainingDistances(A, codes, one_unit=one_unit)
    return measured.of(B) > np.quantile(measured.within(), 1 - EXPECTED_SHARE)
