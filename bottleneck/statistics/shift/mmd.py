"""The maximum mean discrepancy of two cohorts, with a permutation test by patient."""

from __future__ import annotations

import numbers
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.errors import ProtocolError, UsageError
from bottleneck.statistics.arguments import as_booleans, as_matrix, as_patients
from bottleneck.text.short_repr import shorten

__all__ = ["MmdResult", "mmd_test"]

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]

# Two numbers that are equal but for rounding errors differ by less than this.
_ROUNDING = 1e-12


_MAX_PERMUTATIONS = 1_000_000


class MmdResult(NamedTuple):
    """The squared maximum mean discrepancy, and the p value of its permutation test.

    Examples
    --------
    >>> MmdResult(0.02, 0.13).p
    0.13
    """

    value: float
    """Unbiased estimate of the squared maximum mean discrepancy; it can be negative."""
    p: float
    """p value of the permutation test."""


def mmd_test(
    X: ArrayLike,
    is_second: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    permutations: int = 1000,
    seed: int | np.random.Generator = 0,
) -> MmdResult:
    """Test whether two cohorts have the same distribution of features.

    The estimate is the unbiased one of Gretton et al. (2012, Journal of Machine Learning
    Research 13:723, lemma 6). One image of each patient is drawn at random, so that all
    patients have the same weight, and whole patients are permuted. The kernel is
    ``exp(-|x - y|² / (2 s²))``, where s is the median distance of all pairs, on features that
    are standardised over both cohorts.

    The two cohorts are treated alike, so that the test is exact. Two usual choices break
    this. With the mean over the images of a patient in place of one image, tests at the 5 %
    level reject up to 11.6 % if one cohort has a single image per patient and the other up to
    six. If the features are standardised by the first cohort alone, they reject 11.4 % with 40
    and 20 patients and 512 features. The price is power if all patients have several images
    (``benchmarks/shift.md``).

    Parameters
    ----------
    X : array-like of float, shape (n_samples, n_features)
        Features of both cohorts.
    is_second : array-like of {0, 1} or bool, shape (n_samples,)
        Mask of the rows of the second cohort.
    groups : array-like, shape (n_samples,), optional
        Patients: two or more in each cohort, and none in both. Without them every sample is a
        patient of its own.
    permutations : int
        Number of random permutations of the patients.
    seed : int or Generator
        Seed of the images drawn and of the permutations.

    Returns
    -------
    MmdResult
        With p = (1 + permutations that reach the estimate) / (1 + permutations).

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, ``permutations`` is below 1, or the seed no
        whole number.
    ProtocolError
        If a cohort has fewer than two patients, a patient is in both, or the median distance
        is 0, because most patients have the same features.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(40, 3))
    >>> is_second = np.arange(40) >= 20
    >>> X[is_second] += 2
    >>> mmd_test(X, is_second, permutations=99).p
    0.01
    """
    from sklearn.preprocessing import StandardScaler

    if not isinstance(permutations, numbers.Integral) or not 1 <= permutations <= _MAX_PERMUTATIONS:
        raise UsageError(
            f"the number of permutations must be at least 1 and at most {_MAX_PERMUTATIONS:,}, "
            f"not {shorten(permutations)}"
        )
    rows = as_matrix("X", X)
    second = as_booleans("is_second", is_second, len(rows))
    patients = as_patients(groups, len(rows))
    whole = isinstance(seed, numbers.Integral) and seed >= 0
    if not whole and not isinstance(seed, np.random.Generator):
        raise UsageError(
            "the seed must be a whole number of 0 or more, or a generator of numpy, not "
            f"{shorten(seed)}"
        )
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(rows))
    one_each = shuffled[np.unique(patients[shuffled], return_index=True)[1]]
    _check_cohorts(second, patients)
    rows, second = rows[one_each].astype(np.float64), second[one_each]
    n_second = int(second.sum())
    n_first = len(second) - n_second
    K = _kernel_matrix(StandardScaler().fit_transform(rows))
    permuted = rng.permuted(np.tile(second, (permutations, 1)), axis=1)
    masks = np.vstack([second, permuted]).T.astype(float)
    # The sums of the kernel within and between the cohorts, for all permutations at once.
    within_second = np.einsum("ij,ij->j", masks, K @ masks)
    from_second = K.sum(axis=0) @ masks
    between = from_second - within_second
    within_first = K.sum() - from_second - between
    values = (
        within_first / (n_first * (n_first - 1))
        + within_second / (n_second * (n_second - 1))
        - 2 * between / (n_first * n_second)
    )
    reached = int((values[1:] >= values[0] - _ROUNDING).sum())
    return MmdResult(float(values[0]), (1 + reached) / (1 + permutations))


def _check_cohorts(second: Bools, patients: NDArray[np.int64]) -> None:
    cohorts = [set(patients[side].tolist()) for side in (~second, second)]
    if min(map(len, cohorts)) < 2:
        raise ProtocolError(
            "each cohort needs two patients or more, not "
            f"{len(cohorts[0])} in the first and {len(cohorts[1])} in the second"
        )
    if both := len(cohorts[0] & cohorts[1]):
        raise ProtocolError(f"{both} patients are in both cohorts: leave them out of one")


def _kernel_matrix(X: Floats) -> Floats:
    """Return the kernel of all pairs, shape (n, n), with a diagonal of 0."""
    from scipy.spatial.distance import squareform
    from sklearn.metrics import euclidean_distances

    squares = euclidean_distances(X, squared=True)
    width = float(np.median(np.sqrt(squareform(squares, checks=False))))
    if width**2 <= _ROUNDING * squares.max():
        raise ProtocolError(
            "more than half of the pairs of patients have the same features: "
            "look at the images, and extract the features again"
        )
    squares /= -2 * width**2
    K = np.exp(squares, out=squares)
    np.fill_diagonal(K, 0.0)
    return K
