"""Tests of the difference of two accuracies on the same samples: McNemar and Durkalski."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from bottleneck.errors import UsageError
from bottleneck.statistics.arguments import as_booleans, as_codes, check_level
from bottleneck.statistics.proportions import effective_sample_size

__all__ = ["McNemar", "mcnemar_test"]


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
        Two-sided p value: exact, or Durkalski's.
    mid_p : float or None
        The mid-p value, which is less conservative; None if p is not exact.
    level : float
        Confidence level of the interval.
    method : str
        Name of the test, for the footnote of a table.
    """

    only_a: int
    only_b: int
    difference: float
    low: float
    high: float
    p: float
    mid_p: float | None
    level: float
    method: str


def mcnemar_test(
    correct_a: ArrayLike,
    correct_b: ArrayLike,
    groups: ArrayLike | None = None,
    level: float = 0.95,
) -> McNemar:
    """Test whether two models have the same accuracy on the same samples.

    Parameters
    ----------
    correct_a, correct_b : array-like of {0, 1} or bool, shape (n_samples,)
        Whether each model classifies the sample correctly.
    groups : array-like, shape (n_samples,), optional
        Patients; without them every sample is a patient of its own.
    level : float
        Confidence level.

    Returns
    -------
    McNemar
        Let d_i be the mean difference over the samples of patient i. If all d_i are -1, 0 or
        1 (above all with one sample per patient), the test is the exact binomial test of
        their signs (McNemar 1947, Psychometrika 12:153), with the mid-p value of Fagerland,
        Lydersen & Laake (2013, BMC Medical Research Methodology 13:91). Otherwise it is that
        of Durkalski et al. (2003, Statistics in Medicine 22:2417): (sum d_i)² / sum d_i²
        against chi-squared with one degree of freedom, which gives every patient the same
        weight.

        The interval is that of Bonett & Price (2012, Journal of Educational and
        Behavioral Statistics 37:479), which Fagerland, Lydersen & Laake (2014,
        Statistics in Medicine 33:2850) recommend: with p_a = (x_a + 1) / (n + 2) for the x_a
        samples that only a classifies correctly, and p_b likewise, it is p_a - p_b ± z
        sqrt((p_a + p_b - (p_a - p_b)²) / (n + 2)). If patients have several samples, n, x_a
        and x_b are scaled to the ``effective_sample_size`` of the differences.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, or the level is not between 0 and 1.

    Examples
    --------
    >>> correct_a = [1, 1, 1, 1, 1, 1, 1, 0]
    >>> correct_b = [1, 1, 0, 0, 0, 0, 0, 0]
    >>> test = mcnemar_test(correct_a, correct_b)
    >>> test.only_a, test.only_b, test.p
    (5, 0, 0.0625)
    """
    z = -float(special.ndtri((1 - check_level(level)) / 2))
    right_a = as_booleans("correct_a", correct_a)
    right_b = as_booleans("correct_b", correct_b)
    if right_a.shape != right_b.shape:
        raise UsageError(
            f"correct_a and correct_b must be of the same samples, not of {len(right_a)} and "
            f"{len(right_b)}"
        )
    n = len(right_a)
    patients = np.arange(n) if groups is None else as_codes("groups", groups, n)
    differences = right_a.astype(float) - right_b
    only_a, only_b = int((differences > 0).sum()), int((differences < 0).sum())

    by_patient = np.bincount(patients, differences) / np.bincount(patients)
    if np.isin(by_patient, (-1, 0, 1)).all():
        p, mid_p = _exact_mcnemar(int((by_patient > 0).sum()), int((by_patient < 0).sum()))
        method = "exact McNemar"
    else:
        p = float(special.chdtrc(1, by_patient.sum() ** 2 / (by_patient @ by_patient)))
        mid_p, method = None, "Durkalski"

    size = effective_sample_size(differences, patients, level)
    share_a, share_b = ((x * size / n + 1) / (size + 2) for x in (only_a, only_b))
    centre = share_a - share_b
    margin = z * np.sqrt((share_a + share_b - centre**2) / (size + 2))
    low, high = max(-1.0, float(centre - margin)), min(1.0, float(centre + margin))
    difference = (only_a - only_b) / n
    return McNemar(only_a, only_b, difference, low, high, p, mid_p, level, method)


def _exact_mcnemar(only_a: int, only_b: int) -> tuple[float, float]:
    """Return the exact two-sided p value and the mid-p value."""
    n = only_a + only_b
    if n == 0:
        return 1.0, 1.0
    p = float(stats.binomtest(only_a, n).pvalue)
    observed = float(stats.binom.pmf(only_a, n, 0.5))
    return p, p - observed * (0.5 if only_a == only_b else 1)
