"""The learning curve of a pilot, with the covariance of its points."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.protocol import Folds
from bottleneck.errors import ProtocolError
from bottleneck.evaluation.cross_validation.arms import Arm
from bottleneck.evaluation.cross_validation.labelled_samples import LabelledSamples
from bottleneck.evaluation.cross_validation.learning_curve import mean_patients, reduce_training
from bottleneck.evaluation.cross_validation.nested_cv import Progress, RunOptions, run_arms
from bottleneck.evaluation.metrics.inference.metric_intervals import binarise
from bottleneck.evaluation.metrics.inference.row_groups import encode_folds, encode_patients
from bottleneck.evaluation.metrics.patient_aggregation import Aggregation
from bottleneck.predictions import Predictions
from bottleneck.statistics.roc.auroc_variance import AurocEstimator

__all__ = ["SHARES", "CurvePoints", "estimate_points", "measure_curve"]

Floats = NDArray[np.float64]

#: Shares of each training set; the last is all of it.
SHARES = (1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1.0)
# With fewer, the exponent of a power law is not known at all.
_LEAST_POINTS = 4
# Added to the variances: points of equal scores are the same but for chance.
_NUGGET = 1e-6


@dataclasses.dataclass(frozen=True, eq=False)
class CurvePoints:
    """AUROCs on the same test sets after training on shares of the training sets.

    Attributes
    ----------
    n_patients : ndarray of float64, shape (k,)
        Mean number of patients in the training sets, rising; samples where no patients are known.
    auroc : ndarray of float64, shape (k,)
        The AUROCs.
    covariance : ndarray of float64, shape (k, k)
        Their covariance over samples of patients.
    """

    n_patients: Floats
    auroc: Floats
    covariance: Floats


def measure_curve(
    arm: Arm,
    folds: Folds,
    samples: LabelledSamples,
    *,
    count: Aggregation,
    positive: str,
    options: RunOptions,
) -> tuple[CurvePoints, Predictions]:
    """Train on rising shares of the training sets and test on the same test sets.

    Parameters
    ----------
    arm, folds, samples, options
        As for ``run_arms``.
    count : callable
        Turns predictions of images into those of the protocol's unit.
    positive : str
        The positive class.

    Returns
    -------
    points : CurvePoints
        The AUROCs after training on each share.
    last : Predictions
        Predictions after training on the whole training sets.

    Raises
    ------
    ProtocolError
        If fewer than four of the six shares have four patients of each class.
    """
    parts = [part for share in SHARES if (part := _reduce(folds, share, samples)) is not None]
    if len(parts) < _LEAST_POINTS:
        raise ProtocolError(
            "a learning curve needs training sets of about 10 patients of each class or more, of "
            "which shares are taken, but the pilot has fewer"
        )
    made: list[Predictions] = []
    for number, part in enumerate(parts):
        step = dataclasses.replace(
            options, progress=_offset(number * len(folds), len(parts) * len(folds), options)
        )
        (predicted,) = run_arms([arm], part, samples, step)
        made.append(count(predicted.test))
    estimator = AurocEstimator(
        made[-1].labels == positive, encode_patients(made[-1]), encode_folds(made[-1])
    )
    sizes = [mean_patients(part, samples) for part in parts]
    scores = [binarise(one, positive)[1] for one in made]
    return estimate_points(estimator, sizes, scores), made[-1]


def estimate_points(
    estimator: AurocEstimator, sizes: Sequence[float], scores: Sequence[Floats]
) -> CurvePoints:
    """Return the AUROCs of several scores of the same samples, and their covariance.

    Parameters
    ----------
    estimator : AurocEstimator
        Labels, patients and folds of the samples.
    sizes : sequence of float
        Mean numbers of patients in the training sets, rising.
    scores : sequence of ndarray of float64, shape (n_samples,)
        Scores after training on them.

    Returns
    -------
    CurvePoints
        The covariance is that of the influence values of the patients on each AUROC (LeDell,
        Petersen & van der Laan 2015, Electronic Journal of Statistics 9:1583), multiplied by
        ``overlap_factor``.
    """
    influences = [estimator.influence(estimator.rank(score)) for score in scores]
    own = [estimator.variance(one)[0] for one in influences]
    covariance = [
        [
            (own[i] + own[j] - estimator.variance(one - other)[0]) / 2
            for j, other in enumerate(influences)
        ]
        for i, one in enumerate(influences)
    ]
    return CurvePoints(
        np.array(sizes),
        np.array([one.value for one in influences]),
        estimator.overlap * np.array(covariance) + _NUGGET * np.eye(len(scores)),
    )


def _reduce(folds: Folds, share: float, samples: LabelledSamples) -> Folds | None:
    return folds if share == 1 else reduce_training(folds, share, samples)


def _offset(done: int, total: int, options: RunOptions) -> Progress | None:
    show = options.progress
    if show is None:
        return None
    return lambda step, _, name: show(done + step, total, f"learning curve of {name}")
