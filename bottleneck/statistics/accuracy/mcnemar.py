"""The test of the difference of two accuracies on the same samples: McNemar's."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from bottleneck.errors import UsageError
from bottleneck.statistics.accuracy.proportions import effective_sample_size, overlap_over
from bottleneck.statistics.arguments import as_booleans, as_patients, check_level, check_same_rows
from bottleneck.statistics.class_labels import as_labels, as_predicted
from bottleneck.statistics.inference.intervals import (
    CORRECTED,
    show_bounds,
    show_result,
    with_counts,
)
from bottleneck.statistics.inference.inversion import agree_with_p

__all__ = ["McNemar", "mcnemar_of_correct", "mcnemar_test"]


@dataclasses.dataclass(frozen=True)
class McNemar:
    """The difference of two accuracies on the same samples, and its test.

    Attributes
    ----------
    only_a, only_b : int
        Number of samples that only one of the models classifies correctly.
    difference, low, high : float
        Accuracy of a minus accuracy of b over all samples, and the bounds of its interval.
    p : float
        Two-sided p value, from the interval: it is below 1 - ``level`` where the interval
        excludes 0, and nowhere else.
    p_exact, p_mid : float or None
        The exact p value of McNemar's test and the mid-p value, for comparison with other
        programs; None if a patient has samples on which the models differ and others.
    p_durkalski : float
        The p value of Durkalski's test, which gives every patient the same weight.
    level : float
        Confidence level of the interval.
    method : str
        Name of the test, for the footnote of a table.
    n, n_groups : int or None
        Number of samples, and of patients; None where they were not given.

    Examples
    --------
    >>> mcnemar_test(["a", "b", "b", "c"], ["a", "b", "b", "a"], ["a", "b", "c", "a"]).difference
    0.25
    """

    only_a: int
    only_b: int
    difference: float
    low: float
    high: float
    p: float
    p_exact: float | None
    p_mid: float | None
    p_durkalski: float
    level: float
    method: str
    n: int | None = dataclasses.field(default=None, compare=False)
    n_groups: int | None = dataclasses.field(default=None, compare=False)

    def __repr__(self) -> str:
        return show_result(self, f"{self.difference:.3g}, {show_bounds(self)}, p={self.p:.3g}")


def mcnemar_test(
    y_true: ArrayLike,
    pred_a: ArrayLike,
    pred_b: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    *,
    level: float = 0.95,
) -> McNemar:
    """Test whether two models have the same accuracy on the same samples.

    Parameters
    ----------
    y_true : array-like of int, bool or str, shape (n_samples,)
        Classes of the samples, two or more.
    pred_a, pred_b : array-like of int, bool or str, shape (n_samples,)
        Classes that the two models predict.
    groups : array-like, shape (n_samples,), optional
        Patients; without them every sample is a patient of its own.
    folds : array-like, shape (n_samples,), optional
        Test fold of every row, in one repeat, the same for both models. The variance is then
        multiplied by ``overlap_factor`` (Nadeau & Bengio 2003, Machine Learning 52:239).
    level : float
        Confidence level.

    Returns
    -------
    McNemar
        The test is McNemar's (1947, Psychometrika 12:153) with x_a and x_b samples that only
        one model classifies correctly: (x_a - x_b)² / (x_a + x_b) against chi-squared with
        one degree of freedom. It is the score test of a difference of 0; the interval holds
        the differences that the score test does not reject (Tango 1998, Statistics in
        Medicine 17:891). Fagerland, Lydersen & Laake recommend both (2014, Statistics in
        Medicine 33:2850). Over folds, or if patients have several samples, n, x_a and x_b
        are scaled to the ``effective_sample_size`` of the differences divided by
        ``overlap``, as for Wilson's interval of one accuracy.

        The exact test with its mid-p value (Fagerland, Lydersen & Laake 2013, BMC Medical
        Research Methodology 13:91) inverts no interval of the difference, and the test of
        Durkalski et al. (2003, Statistics in Medicine 22:2417), (sum d_i)² / sum d_i² for
        the mean differences d_i of the patients, is one of another difference if patients
        have different numbers of samples. They are ``p_exact``, ``p_mid`` and
        ``p_durkalski``, without the factor of the folds.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, a predicted class is not one of
        ``y_true``, or the level is not between 0 and 1.

    Examples
    --------
    >>> y_true = [0, 0, 0, 0, 1, 1, 1, 1]
    >>> pred_a = [0, 0, 0, 0, 1, 1, 1, 0]
    >>> pred_b = [0, 0, 1, 1, 0, 0, 0, 0]
    >>> test = mcnemar_test(y_true, pred_a, pred_b)
    >>> test
    McNemar(0.625, 95 % 0.0978 to 0.863, p=0.0253, n=8, McNemar, Tango's interval)
    >>> test.only_a, test.only_b, test.p_exact
    (5, 0, 0.0625)
    """
    check_level(level)
    check_same_rows(y_true=y_true, pred_a=pred_a, pred_b=pred_b, groups=groups, folds=folds)
    labels = as_labels("y_true", y_true)
    n = len(labels)
    a, b = (
        labels == as_predicted(name, predicted, labels)
        for name, predicted in (("pred_a", pred_a), ("pred_b", pred_b))
    )
    patients = as_patients(groups, n)
    test = mcnemar_of_correct(a, b, patients, level, overlap_over(folds, patients))
    return with_counts(test, n, None if groups is None else patients)


def mcnemar_of_correct(
    correct_a: ArrayLike,
    correct_b: ArrayLike,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    overlap: float = 1.0,
) -> McNemar:
    """Test two models as ``mcnemar_test`` does, given the samples that each classifies correctly.

    Parameters
    ----------
    correct_a, correct_b : array-like of {0, 1} or bool, shape (n_samples,)
        Whether each model classifies the sample correctly.
    groups, level
        As for ``mcnemar_test``.
    overlap : float
        Factor of the variance: ``overlap_factor``.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, the level is not between 0 and 1, or
        the overlap is below 1.

    Examples
    --------
    >>> mcnemar_of_correct([1, 1, 1, 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0, 0, 0]).only_a
    5
    """
    check_level(level)
    if not overlap >= 1:
        raise UsageError(f"the overlap must be 1 or more, not {overlap}")
    right_a = as_booleans("correct_a", correct_a)
    right_b = as_booleans("correct_b", correct_b)
    if right_a.shape != right_b.shape:
        raise UsageError(
            f"correct_a and correct_b must be of the same samples, not of {len(right_a)} and "
            f"{len(right_b)}"
        )
    n = len(right_a)
    patients = as_patients(groups, n)
    differences = right_a.astype(float) - right_b
    only_a, only_b = int((differences > 0).sum()), int((differences < 0).sum())

    by_patient = np.bincount(patients, differences) / np.bincount(patients)
    p_exact, p_mid, p_durkalski = None, None, 1.0
    if np.isin(by_patient, (-1, 0, 1)).all():
        p_exact, p_mid = _exact_mcnemar(int((by_patient > 0).sum()), int((by_patient < 0).sum()))
    if squares := float(by_patient @ by_patient):
        p_durkalski = float(special.chdtrc(1, by_patient.sum() ** 2 / squares))

    size = effective_sample_size(differences, patients, level) / overlap
    p, low, high = _score_test(only_a * size / n, only_b * size / n, size, level)
    method = "clustered McNemar" if len(by_patient) < n else "McNemar"
    return McNemar(
        only_a=only_a,
        only_b=only_b,
        difference=(only_a - only_b) / n,
        low=low,
        high=high,
        p=p,
        p_exact=p_exact,
        p_mid=p_mid,
        p_durkalski=p_durkalski,
        level=level,
        method=f"{method}, Tango's interval" + (CORRECTED if overlap > 1 else ""),
    )


def _score_test(only_a: float, only_b: float, n: float, level: float) -> tuple[float, float, float]:
    """Return the p value of no difference, and the interval (Tango 1998)."""
    reach = -float(special.ndtri((1 - level) / 2))
    difference, apart = (only_a - only_b) / n, only_a + only_b
    z = (only_a - only_b) / np.sqrt(apart) if apart else 0.0

    def excess(delta: float, sign: int) -> float:
        # q is the estimate of the share of samples that only b classifies correctly.
        linear = (2 * n - only_a + only_b) * delta - apart
        constant = -only_b * delta * (1 - delta)
        q = (np.sqrt(max(linear**2 - 8 * n * constant, 0.0)) - linear) / (4 * n)
        spread = np.sqrt(max(n * (2 * q + delta * (1 - delta)), 0.0))
        return float(only_a - only_b - n * delta - sign * reach * spread)

    def bound(sign: int) -> float:
        end, beside = -float(sign), difference - sign * 1e-12
        # A difference of -1 or 1 is its own bound; rounding errors could hide that.
        if sign * (difference - end) <= 1e-12 or sign * excess(end, sign) <= 0:
            return end
        # The test says on which side of 0 the bound lies.
        if sign * z > reach:
            end = 0.0
        elif sign * difference > 0:
            beside = 0.0
        return float(optimize.brentq(excess, end, beside, (sign,), xtol=1e-14))

    p = 2 * float(special.ndtr(-abs(z)))
    low, high = agree_with_p(bound(1), bound(-1), difference, p, level)
    return p, low, high


def _exact_mcnemar(only_a: int, only_b: int) -> tuple[float, float]:
    """Return the exact two-sided p value and the mid-p value."""
    n = only_a + only_b
    if n == 0:
        return 1.0, 1.0
    p = float(stats.binomtest(only_a, n).pvalue)
    observed = float(stats.binom.pmf(only_a, n, 0.5))
    return p, p - observed * (0.5 if only_a == only_b else 1)
