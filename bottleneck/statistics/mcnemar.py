"""The accuracies of two arms on the same samples, and the test of their difference."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from bottleneck.errors import UsageError
from bottleneck.statistics.auroc_influence import encode, zeros_and_ones
from bottleneck.statistics.intervals import check_level
from bottleneck.statistics.proportions import effective_number

__all__ = ["McNemar", "mcnemar_test"]


@dataclasses.dataclass(frozen=True)
class McNemar:
    """The accuracies of two arms on the same samples and the test of their difference.

    Attributes
    ----------
    only_a, only_b : int
        Samples that only one of the arms has right.
    difference, low, high : float
        Accuracy of a minus accuracy of b over all samples, and its interval.
    p : float
        Two-sided p value: exact, or Durkalski's.
    mid_p : float or None
        The mid-p value, less conservative; None where p is not exact.
    level : float
        Confidence level of the interval.
    method : str
        Name of the test, for a table's footnote.
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
    """Test whether two arms are equally often right on the same samples.

    Parameters
    ----------
    correct_a, correct_b : array-like of {0, 1} or bool, shape (n_samples,)
        Where each arm was right.
    groups : array-like, shape (n_samples,), optional
        Patients; without them every sample is a patient of its own.
    level : float
        Confidence level.

    Returns
    -------
    McNemar
        With d_i the mean difference over the samples of patient i: where all d_i are
        -1, 0 or 1 (one sample a patient, above all), the exact binomial test of their
        signs, and the mid-p value of Fagerland, Lydersen & Laake (2013, BMC Medical
        Research Methodology 13:91); else the test of Durkalski et al. (2003,
        Statistics in Medicine 22:2417), (sum d_i)² / sum d_i² against chi-squared with
        one degree of freedom, which counts every patient alike.

        The interval is that of Bonett & Price (2012, Journal of Educational and
        Behavioral Statistics 37:479), which Fagerland, Lydersen & Laake (2014,
        Statistics in Medicine 33:2850) recommend: with p_a = (x_a + 1) / (n + 2) of the
        samples that only a has right and p_b likewise, p_a - p_b ± z sqrt((p_a + p_b -
        (p_a - p_b)²) / (n + 2)). Where patients have several samples, n, x_a and x_b
        are scaled to ``proportions.effective_number`` of the differences.

    Raises
    ------
    UsageError
        If an array or the level is not what it should be.
    """
    z = -float(special.ndtri((1 - check_level(level)) / 2))
    right_a, right_b = (
        zeros_and_ones("correct_a", correct_a),
        zeros_and_ones("correct_b", correct_b),
    )
    if right_a.shape != right_b.shape:
        raise UsageError(
            f"both arms must be judged on the same samples, not on {len(right_a)} and "
            f"{len(right_b)}"
        )
    n = len(right_a)
    patients = np.arange(n) if groups is None else encode("groups", groups, n)
    differences = right_a.astype(float) - right_b
    only_a, only_b = int((differences > 0).sum()), int((differences < 0).sum())

    by_patient = np.bincount(patients, differences) / np.bincount(patients)
    if np.isin(by_patient, (-1, 0, 1)).all():
        p, mid_p = _exact_mcnemar(int((by_patient > 0).sum()), int((by_patient < 0).sum()))
        method = "exact McNemar"
    else:
        p = float(special.chdtrc(1, by_patient.sum() ** 2 / (by_patient @ by_patient)))
        mid_p, method = None, "Durkalski"

    size = effective_number(differences, patients, level)
    share_a, share_b = ((x * size / n + 1) / (size + 2) for x in (only_a, only_b))
    centre = share_a - share_b
    reach = z * np.sqrt((share_a + share_b - centre**2) / (size + 2))
    low, high = max(-1.0, float(centre - reach)), min(1.0, float(centre + reach))
    difference = (only_a - only_b) / n
    return McNemar(only_a, only_b, difference, low, high, p, mid_p, level, method)


def _exact_mcnemar(wins: int, losses: int) -> tuple[float, float]:
    n = wins + losses
    if n == 0:
        return 1.0, 1.0
    p = float(stats.binomtest(wins, n).pvalue)
    observed = float(stats.binom.pmf(wins, n, 0.5))
    return p, p - observed * (0.5 if wins == losses else 1)
