"""Rules for the variance of an AUROC over folds that training sets add; see ``power.py``."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from bottleneck.statistics.inference.intervals import Interval
from bottleneck.statistics.inference.patient_variance import add_variances
from bottleneck.statistics.roc.auroc_difference import mover_interval
from bottleneck.statistics.roc.auroc_variance import AurocEstimator

Array = NDArray[np.float64]
CONSTANTS = (1.0, 1.5, 2.0)
RULES = ("none", "factor", "inner folds", *(f"jackknife × {c:g}" for c in CONSTANTS), "known")
ACCEPTED = "jackknife × 1.5"


class Scored(NamedTuple):
    """Scores of two arms on one data set, in folds of several repeats."""

    y: NDArray[np.bool_]
    """Shape (n,)."""
    patients: NDArray[np.int64]
    folds: NDArray[np.int64]
    """Shape (repeats, n), from 0 in each repeat."""
    scores: Array
    """Shape (2, repeats, n)."""
    jackknife: Array
    """Scores by models without one part of the patients, shape (2, repeats, n, parts)."""
    true: Array
    """True AUROC of the fitted models, shape (2, repeats, folds); NaN where it is not known."""
    inner: Array
    """Inner out-of-fold AUROC, shape (2, repeats, folds); NaN where it is not needed."""


def areas_of(scores: Array, y: NDArray[np.bool_]) -> Array:
    """Return the AUROC of every column, of scores without ties."""
    return (scores[y][:, None] > scores[~y]).mean(axis=(0, 1))


class Known(NamedTuple):
    """What the rules need of one data set; for arm a, arm b and their difference."""

    value: Array
    """Shape (3,)."""
    variance: Array
    """LeDell's, shape (3,)."""
    degrees: Array
    """Shape (3,)."""
    training: Array
    """Variance of the delete-a-group jackknife, shape (3,)."""
    between: Array
    """Variance of the mean over the repeats, shape (3,)."""
    inner: Array
    """Ratio of the jackknives of inner and outer folds, shape (3,); NaN where there is none."""
    true: Array
    """Mean true value of the fitted models, shape (3,); NaN where it is not known."""
    overlap: float
    degrees_of_training: float


def measure(scored: Scored, repeats: int) -> Known:
    """Return what the rules need of the first repeats of two arms."""
    folds = scored.folds[:repeats]
    k = int(folds.max()) + 1
    estimator = AurocEstimator(
        np.tile(scored.y, repeats),
        np.tile(scored.patients, repeats),
        (folds + k * np.arange(repeats)[:, None]).ravel(),
    )
    arms = [estimator.influence(estimator.rank(score[:repeats].ravel())) for score in scored.scores]
    three = [*arms, arms[0] - arms[1]]
    variances = np.array([estimator.variance(one) for one in three])
    outer, parts = fold_areas(scored, repeats)
    means = outer.mean(axis=2)
    by_repeat = np.array([*means, means[0] - means[1]])
    true = scored.true[:, :repeats].mean(axis=(1, 2))
    return Known(
        np.array([one.value for one in three]),
        variances[:, 0],
        variances[:, 1],
        spread(parts.mean(axis=2)),
        by_repeat.var(axis=1, ddof=1) / repeats if repeats > 1 else np.zeros(3),
        # Of perfect folds, which do not vary, the ratio is not known.
        spread(scored.inner[:, :repeats]) / np.maximum(spread(without(outer)), 1e-12),
        np.array([*true, true[0] - true[1]]),
        estimator.overlap,
        float(repeats * (parts.shape[3] - 1)),
    )


def fold_areas(scored: Scored, repeats: int) -> tuple[Array, Array]:
    """Return the AUROC of every fold, and that of its models without each part of the patients."""
    k = int(scored.folds.max()) + 1
    n_parts = scored.jackknife.shape[3]
    areas = np.empty((2, repeats, k, 1 + n_parts))
    for arm, repeat, fold in itertools.product(range(2), range(repeats), range(k)):
        test = scored.folds[repeat] == fold
        columns = np.column_stack(
            [scored.scores[arm, repeat, test], scored.jackknife[arm, repeat, test]]
        )
        areas[arm, repeat, fold] = areas_of(columns, scored.y[test])
    return areas[..., 0], areas[..., 1:]


def without(values: Array) -> Array:
    """Return the mean of all folds but one, for each of them."""
    return (values.sum(axis=-1, keepdims=True) - values) / (values.shape[-1] - 1)


def spread(of_arms: Array) -> Array:
    """Return the jackknife variance of two arms and of their difference."""
    return jackknife_variance(np.array([*of_arms, of_arms[0] - of_arms[1]]))


def jackknife_variance(values: Array) -> Array:
    """Return it for values without each part, shape (3, repeats, parts), as a mean over repeats."""
    parts = values.shape[-1]
    squares = (values - values.mean(axis=-1, keepdims=True)) ** 2
    return (parts - 1) / parts * squares.sum(axis=-1).mean(axis=-1)


def add_training(draws: Sequence[Known], rule: str, ratio: float) -> tuple[Array, Array]:
    """Return variances and degrees of freedom by a rule, shape (n_draws, 3)."""
    totals = np.empty((len(draws), 3, 2))
    for number, draw in enumerate(draws):
        for which in range(3):
            tested = float(draw.variance[which]), float(draw.degrees[which])
            overlap, trained = draw.overlap, None
            if rule == "none":
                overlap = 1.0
            elif rule == "known":
                overlap = ratio
            elif rule == "inner folds":
                overlap = float(np.clip(draw.inner[which], 1, overlap))
            elif rule != "factor":
                constant = float(rule.rpartition(" ")[2])
                extra = constant * draw.training[which] + draw.between[which]
                trained = float(extra), draw.degrees_of_training
            totals[number, which] = add_variances(tested, trained, overlap)
    return totals[..., 0], totals[..., 1]


def rejects(draw: Known, variances: Array, degrees: Array) -> tuple[bool, bool, bool]:
    """Return whether the difference is significant, and whether two intervals hold the truth."""
    errors = np.sqrt(variances)
    arms = []
    for n in range(2):
        value = float(np.clip(draw.value[n], 1e-9, 1 - 1e-9))
        reach = t.isf(0.025, degrees[n]) * errors[n] / (value * (1 - value))
        middle = np.log(value / (1 - value))
        low, high = (float(1 / (1 + np.exp(-(middle + d)))) for d in (-reach, reach))
        arms.append(Interval(value, low, high, float(errors[n]), 0.95, ""))
    low, high = mover_interval(*arms, float(errors[2]))
    return (
        not low <= 0 <= high,
        bool(arms[0].low <= draw.true[0] <= arms[0].high),
        bool(low <= draw.true[2] <= high),
    )


def summarise(
    draws: Sequence[Known], gap: float, rules: Sequence[str]
) -> dict[str, tuple[float, float, float]]:
    """Return the rejections, the two coverages and the mean ratio of every rule."""
    differences = np.array([draw.value[2] for draw in draws])
    centre = differences.mean() if gap else 0.0
    tested = np.mean([draw.variance[2] for draw in draws])
    ratio = float(np.mean((differences - centre) ** 2) / tested)
    rates = {}
    for rule in rules:
        totals, degrees = add_training(draws, rule, ratio)
        hits = [rejects(*one) for one in zip(draws, totals, degrees, strict=True)]
        rates[rule] = tuple(np.mean(hits, axis=0).tolist())
    return rates
