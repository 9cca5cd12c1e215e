"""Test of non-inferiority: whether an AUROC is lower than another by less than a margin."""

from __future__ import annotations

import dataclasses
import numbers
from typing import Literal

from numpy.typing import ArrayLike

from bottleneck.errors import UsageError
from bottleneck.statistics.arguments import check_level, check_same_rows
from bottleneck.statistics.class_labels import as_truth
from bottleneck.statistics.inference.intervals import show_bounds, show_result, with_counts
from bottleneck.statistics.roc.auroc_difference import AucDifference
from bottleneck.statistics.roc.auroc_tests import RankedScore, ranked_difference
from bottleneck.statistics.roc.auroc_variance import AurocEstimator
from bottleneck.text.short_repr import shorten

__all__ = [
    "NonInferiority",
    "Verdict",
    "check_margin",
    "judge_margin",
    "one_sided_p",
    "roc_auc_noninferiority",
]

Verdict = Literal["superior", "non-inferior", "lower within the margin", "inferior", "inconclusive"]


@dataclasses.dataclass(frozen=True)
class NonInferiority:
    """The difference of an AUROC to that of a reference, and the test against a margin.

    Attributes
    ----------
    auc, auc_reference : float
        The AUROCs.
    difference, low, high : float
        ``auc - auc_reference`` and the bounds of its two-sided interval.
    margin : float
        The largest loss that is accepted.
    p : float
        One-sided p value of the hypothesis that the difference is -``margin`` or less. It is below
        (1 - ``level``) / 2 where ``low`` is above -``margin``, and nowhere else.
    verdict : str
        As ``judge_margin`` returns it.
    level : float
        Confidence level of the interval; the test is at (1 - ``level``) / 2.
    method : str
        Name of the method, for the footnote of a table.
    n, n_groups : int or None
        Number of samples, and of patients; None where they were not given.

    Examples
    --------
    >>> scores = [1, 2, 4, 3, 5, 6], [2, 1, 3, 4, 5, 6]
    >>> test = roc_auc_noninferiority([0, 0, 0, 1, 1, 1], *scores, margin=0.1)
    >>> test.verdict
    'inconclusive'
    """

    auc: float
    auc_reference: float
    difference: float
    low: float
    high: float
    margin: float
    p: float
    verdict: Verdict
    level: float
    method: str
    n: int | None = dataclasses.field(default=None, compare=False)
    n_groups: int | None = dataclasses.field(default=None, compare=False)

    def __repr__(self) -> str:
        bounds = f"{self.difference:.3g}, {show_bounds(self)}"
        return show_result(
            self, f"{self.verdict}: {bounds}, margin {self.margin:g}, p={self.p:.3g}"
        )


def roc_auc_noninferiority(
    y_true: ArrayLike,
    score: ArrayLike,
    reference: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    *,
    margin: float,
    repeats: ArrayLike | None = None,
    jackknife: ArrayLike | None = None,
    jackknife_reference: ArrayLike | None = None,
    positive: object = None,
    level: float = 0.95,
) -> NonInferiority:
    """Test whether an AUROC is lower than that of a reference by less than a margin.

    State the margin before the data are seen: it is the largest loss of AUROC that would be
    accepted for what the new model offers, such as a lower price.

    Parameters
    ----------
    y_true : array-like of int, bool or str, shape (n_samples,)
        Classes of the samples.
    score, reference : array-like of float, shape (n_samples,)
        Scores of the model, and of the reference; larger scores mean more of the positive class.
    groups, folds, repeats, positive
        As for ``roc_auc_difference``.
    margin : float
        Between 0 and 1.
    jackknife, jackknife_reference : array-like of float, shape (n_samples, n_parts), optional
        Scores of the model, and of the reference, without one part of the training patients, as
        for ``roc_auc_difference``.
    level : float
        Confidence level of the interval; the one-sided test is at (1 - ``level``) / 2, as trials
        do (ICH E9, section 3.3.2; CONSORT: Piaggio et al. 2012, JAMA 308:2594).

    Returns
    -------
    NonInferiority
        The interval is that of ``roc_auc_difference``, and p inverts it: of the levels at which a
        bound is -``margin``, it is half of 1 minus the level, or 1 minus this half if the
        difference is below -``margin``. If both scores rank all samples alike, p is below 1e-12.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, the positive class is not known, or the
        margin or the level is not between 0 and 1.
    ProtocolError
        If only one class is present, or a fold has only one class.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y_true = np.tile([0, 1], 100)
    >>> reference = y_true + rng.normal(size=200)
    >>> score = reference + rng.normal(scale=0.2, size=200)
    >>> roc_auc_noninferiority(y_true, score, reference, margin=0.05).verdict
    'non-inferior'
    """
    check_level(level)
    margin = check_margin(margin)
    check_same_rows(
        y_true=y_true,
        score=score,
        reference=reference,
        groups=groups,
        folds=folds,
        repeats=repeats,
        jackknife=jackknife,
        jackknife_reference=jackknife_reference,
    )
    estimator = AurocEstimator(as_truth("y_true", y_true, positive), groups, folds, repeats)
    a = RankedScore.of(estimator, score, "score", jackknife=jackknife)
    b = RankedScore.of(estimator, reference, "reference", jackknife=jackknife_reference)
    test = ranked_difference(a, b, level, null=-margin)
    found = NonInferiority(
        auc=test.auc_a,
        auc_reference=test.auc_b,
        difference=test.difference,
        low=test.low,
        high=test.high,
        margin=margin,
        p=one_sided_p(test, margin),
        verdict=judge_margin(test.low, test.high, margin),
        level=level,
        method=test.method,
    )
    return with_counts(found, len(a.ranks), None if groups is None else estimator.patients)


def check_margin(margin: float) -> float:
    """Return a margin, or raise ``UsageError`` if it is not between 0 and 1.

    Examples
    --------
    >>> check_margin(0.05)
    0.05
    """
    if not isinstance(margin, numbers.Real) or not 0 < margin < 1:
        hint = ""
        if isinstance(margin, numbers.Real) and 1 <= margin < 100:
            hint = f": {margin:g} % is {margin / 100:g}"
        raise UsageError(
            f"the margin is a difference of AUROCs between 0 and 1, such as 0.05, not "
            f"{shorten(margin)}{hint}"
        )
    return float(margin)


def one_sided_p(test: AucDifference, margin: float) -> float:
    """Return the one-sided p value of a difference of -``margin`` or less.

    Parameters
    ----------
    test : AucDifference
        A test of the difference -``margin``: of ``ranked_difference`` with ``null=-margin``.
    margin : float
        The margin.

    Examples
    --------
    >>> estimator = AurocEstimator([0, 0, 0, 1, 1, 1])
    >>> a, b = (RankedScore.of(estimator, s) for s in ([1, 2, 4, 3, 5, 6], [2, 4, 1, 3, 5, 6]))
    >>> test = ranked_difference(a, b, null=-0.1)
    >>> test.p == 2 * one_sided_p(test, 0.1)
    True
    """
    return test.p / 2 if test.difference > -margin else 1 - test.p / 2


def judge_margin(low: float, high: float, margin: float) -> Verdict:
    """Return what the interval of a difference says about a margin.

    Parameters
    ----------
    low, high : float
        Bounds of the interval of new minus reference.
    margin : float
        The largest loss that is accepted.

    Returns
    -------
    str
        "superior" if the interval is above 0; "non-inferior" if it is above -``margin``; "lower
        within the margin" if it is above -``margin`` and below 0, so that there is a loss, but
        an accepted one; "inferior" if it is below -``margin``; otherwise "inconclusive". These are
        the cases of figure 1 of Piaggio et al. (2012, JAMA 308:2594).

    Examples
    --------
    >>> [judge_margin(low, low + 0.06, margin=0.05) for low in (0.01, -0.04, -0.07, -0.2)]
    ['superior', 'non-inferior', 'inconclusive', 'inferior']
    >>> judge_margin(-0.04, -0.01, margin=0.05)
    'lower within the margin'
    """
    if high < -margin:
        return "inferior"
    if low <= -margin:
        return "inconclusive"
    if low > 0:
        return "superior"
    return "lower within the margin" if high < 0 else "non-inferior"
