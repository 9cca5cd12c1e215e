"""The highest of several AUROCs, with an interval that allows for the choice.

The highest of several estimates is too high on average, and an interval that ignores the choice
has its lower bound above the true value too often.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from bottleneck.errors import UsageError
from bottleneck.statistics.arguments import as_array, as_matrix, check_level, check_same_rows
from bottleneck.statistics.class_labels import as_truth
from bottleneck.statistics.inference.intervals import show_bounds, show_result, with_counts
from bottleneck.statistics.roc.auroc_tests import RankedScore
from bottleneck.statistics.roc.auroc_variance import AurocEstimator

__all__ = ["BestAuroc", "best_auc_interval", "joint_tail", "shared_level"]

Floats = NDArray[np.float64]

# Draws of an integral, and their seed: every call gives the same bounds.
_DRAWS = 10_000
_SEED = 0


@dataclasses.dataclass(frozen=True)
class BestAuroc:
    """The highest AUROC of several models, with an interval that allows for the choice.

    Attributes
    ----------
    best : int
        Column of the model, from 0.
    n_models : int
        Number of models that it was chosen among.
    value, low, high : float
        Its AUROC and the bounds of the interval.
    level : float
        Confidence level of the interval.
    method : str
        Name of the method, for the footnote of a table.
    n, n_groups : int or None
        Number of samples, and of patients; None where they were not given.

    Examples
    --------
    >>> best_auc_interval([0, 0, 1, 1, 0, 1], [[1, 3], [2, 1], [4, 2], [3, 6], [5, 4], [6, 5]]).best
    0
    """

    best: int
    n_models: int
    value: float
    low: float
    high: float
    level: float
    method: str
    n: int | None = dataclasses.field(default=None, compare=False)
    n_groups: int | None = dataclasses.field(default=None, compare=False)

    def __repr__(self) -> str:
        return show_result(self, f"column {self.best}: {self.value:.3g}, {show_bounds(self)}")


def best_auc_interval(
    y_true: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    *,
    repeats: ArrayLike | None = None,
    jackknife: ArrayLike | None = None,
    positive: object = None,
    level: float = 0.95,
) -> BestAuroc:
    """Estimate the AUROC of the best of several models that the same samples chose.

    Parameters
    ----------
    y_true : array-like of int, bool or str, shape (n_samples,)
        Classes of the samples.
    scores : array-like of float, shape (n_samples, n_models)
        Scores, one column per model; larger scores mean more of the positive class. Give all
        models that were tried: those left out were part of the choice too.
    groups, folds, repeats, positive
        As for ``roc_auc_interval``.
    jackknife : array-like of float, shape (n_samples, n_parts, n_models), optional
        As for ``roc_auc_interval``, of each model.
    level : float
        Confidence level.

    Returns
    -------
    BestAuroc
        The lower bounds of all models hold together with a probability of (1 + level) / 2, and
        so does that of the chosen one, however it was chosen. They are those of
        ``roc_auc_interval`` at a higher level, which follows from the correlation of the AUROCs:
        the max-t method of Hothorn, Bretz & Westfall (2008, Biometrical Journal 50:346). For
        independent models it is the level of Šidák (1967, Journal of the American Statistical
        Association 62:626). Models that rank all samples alike change nothing. The correlation is
        that of the patients' influences; see ``joint_tail``.

        The upper bound is that of the model alone, because the choice of the highest AUROC errs
        upwards. If the chosen model is so far below its true value that its bound fails, the
        truly best model, whose AUROC is not higher, is below its own true value by as much. With
        equal standard errors, the bound fails no more often than that of the truly best model.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, the positive class is not known, or the
        level is not between 0 and 1.
    ProtocolError
        If only one class is present, or a fold has only one class.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y_true = np.repeat([0, 1], 50)
    >>> scores = rng.normal(size=(100, 10))
    >>> best = best_auc_interval(y_true, scores)
    >>> best.best, best.n_models, f"{best.value:.3f}: {best.low:.3f} to {best.high:.3f}"
    (6, 10, '0.599: 0.428 to 0.707')
    >>> from bottleneck.statistics import roc_auc_interval
    >>> roc_auc_interval(y_true, scores[:, 6])
    Interval(0.599, 95 % 0.481 to 0.707, n=100, DeLong, logit scale)
    """
    check_level(level)
    check_same_rows(y_true=y_true, scores=scores, groups=groups, folds=folds, repeats=repeats)
    if as_array("scores", scores).ndim == 1:
        raise UsageError(
            "scores must hold one row per sample and one column per model, but has one dimension: "
            "use roc_auc_interval for a single model"
        )
    columns = as_matrix("scores", scores).T
    parts = _split_jackknife(jackknife, columns.shape)
    estimator = AurocEstimator(as_truth("y_true", y_true, positive), groups, folds, repeats)
    ranked = [
        RankedScore.of(estimator, score, "scores", jackknife=part)
        for score, part in zip(columns, parts, strict=True)
    ]
    best = int(np.argmax([one.influence.value for one in ranked]))
    own = ranked[best].interval(level)
    # A constant score has an AUROC of 0.5 on any samples, which cannot be too high by chance.
    influences = [
        one.influence.positive + one.influence.negative
        for one in ranked
        if not estimator.is_constant(one.ranks)
    ]
    low = own.low
    if influences:
        low = min(low, ranked[best].interval(shared_level(np.array(influences), level)).low)
    method = f"{own.method}, lower bound simultaneous over {len(ranked)}"
    result = BestAuroc(best, len(ranked), own.value, low, own.high, level, method)
    patients = None if groups is None else estimator.patients
    return with_counts(result, columns.shape[1], patients)


def _split_jackknife(
    jackknife: ArrayLike | None, shape: tuple[int, ...]
) -> Sequence[NDArray[np.float64] | None]:
    """Return the jackknife scores of each model; None without any."""
    n_models, n = shape
    if jackknife is None:
        return [None] * n_models
    array = np.asarray(jackknife, dtype=float)
    if array.ndim != 3 or (len(array), array.shape[2]) != (n, n_models):
        raise UsageError(
            f"jackknife must have the shape ({n}, number of parts, {n_models}), not {array.shape}"
        )
    return list(np.moveaxis(array, 2, 0))


def shared_level(influences: Floats, level: float = 0.95) -> float:
    """Return the level at which the lower bounds of several estimates hold together.

    Parameters
    ----------
    influences : ndarray of float64, shape (n_estimates, n_patients)
        The influence of each patient on each estimate. An estimate without any is taken as
        independent of the others.
    level : float
        Confidence level of one interval.

    Returns
    -------
    float
        ``level`` or more: at it, all lower bounds hold with a probability of (1 + level) / 2.

    Examples
    --------
    >>> shared_level(np.ones((3, 20)))
    0.95
    >>> f"{shared_level(np.eye(3)):.4f}"
    '0.9832'
    """
    norms = np.linalg.norm(influences, axis=1)
    directions = influences / np.where(norms > 0, norms, 1)[:, None]
    correlation = directions @ directions.T
    np.fill_diagonal(correlation, 1.0)
    return 1 - 2 * joint_tail(correlation, (1 - level) / 2)


def joint_tail(correlation: Floats, tail: float) -> float:
    """Return the tail that each of several normal variables may have for all together.

    Parameters
    ----------
    correlation : ndarray of float64, shape (n, n)
        Correlation of the variables.
    tail : float
        Probability that any of the variables exceeds its bound.

    Returns
    -------
    float
        1 - Phi(c), where c is the bound that the largest of the standardised variables exceeds
        with a probability of ``tail``; between ``tail`` / n (Bonferroni) and ``tail``. The
        probability is n (1 - Phi(c)) times the mean of 1 / N, where N variables exceed c in a
        draw in which one of them, taken in turn, does: Naiman & Priebe (2001, Journal of
        Computational and Graphical Statistics 10:296). The draws have a fixed seed, and the result
        is within 1 % of the exact one.

    Examples
    --------
    >>> f"{joint_tail(np.ones((4, 4)), 0.025):.4f}"
    '0.0250'
    >>> f"{joint_tail(np.eye(4), 0.025):.4f}, by Šidák {1 - 0.975 ** (1 / 4):.4f}"
    '0.0063, by Šidák 0.0063'
    """
    n = len(correlation)
    values, vectors = np.linalg.eigh(correlation)
    rng = np.random.default_rng(_SEED)
    roots = vectors * np.sqrt(np.maximum(values, 0))
    drawn = rng.normal(size=(_DRAWS, n)) @ roots.T
    shares = rng.random(_DRAWS)
    first = np.arange(_DRAWS) % n
    slopes = correlation[first]
    drawn -= slopes * drawn[np.arange(_DRAWS), first, None]

    def excess(each: float) -> float:
        above = -special.ndtri(shares * each)
        exceeding = (slopes * above[:, None] + drawn > -special.ndtri(each)).sum(axis=1)
        return n * each * float(np.mean(1 / np.maximum(exceeding, 1))) - tail

    if excess(tail) <= 0:
        return tail
    if excess(tail / n) >= 0:
        return tail / n
    return float(optimize.brentq(excess, tail / n, tail, xtol=1e-9))
