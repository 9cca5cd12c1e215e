"""Learning curves: AUROC against the number of patients in the training set, in one repeat."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from bottleneck.data.splits.patients import count_by_class, draw
from bottleneck.data.splits.protocol import Fold, Folds
from bottleneck.evaluation.cross_validation.arms import Arm, ArmPredictions
from bottleneck.evaluation.cross_validation.evaluate_arm import auroc_metric
from bottleneck.evaluation.cross_validation.labelled_samples import LabelledSamples
from bottleneck.evaluation.cross_validation.nested_cv import RunOptions, run_arms
from bottleneck.evaluation.metrics.patient_aggregation import Aggregation
from bottleneck.evaluation.results.comparison_results import Evaluation
from bottleneck.evaluation.results.result_parts import LearningCurve

__all__ = ["SHARES", "add_learning_curves", "mean_patients", "reduce_training", "run_shares"]

#: Shares of each training set's patients; the whole training set is the arm itself.
SHARES = (1 / 8, 1 / 4, 1 / 2)

# With fewer patients of a class, the inner search and the calibration would depend on chance.
_LEAST = 4


def add_learning_curves(
    evaluations: Sequence[Evaluation],
    arms: Sequence[Arm],
    folds: Folds,
    samples: LabelledSamples,
    *,
    count: Aggregation,
    positive: str | None,
    options: RunOptions,
) -> list[Evaluation]:
    """Return evaluations with learning curves for all arms that were trained on features.

    Of a repeated cross-validation, the curves are those of the first repeat.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Evaluations on the whole training sets.
    arms, folds, samples, options
        As for ``run_arms``.
    count : callable
        Turns predictions of images into those of the protocol's unit; see ``unit_aggregation``.
    positive : str or None
        The positive class.
    """
    arms = [arm for arm in arms if arm.features is not None]
    # A curve shows its slope, which further repeats would hardly change at several times the cost.
    folds = dataclasses.replace(folds, folds=tuple(f for f in folds if f.repeat == 0))
    shares = run_shares(arms, folds, samples, options)
    everyone = mean_patients(folds, samples)
    by_name = {evaluation.name: evaluation for evaluation in evaluations}
    for n, arm in enumerate(arms):
        fewer = [auroc_metric(count(predicted[n].test), positive) for _, predicted in shares]
        whole = by_name[arm.name]
        tested = whole.predictions
        curve = LearningCurve(
            n_patients=(*(patients for patients, _ in shares), everyone),
            auroc=(*fewer, auroc_metric(tested.take(tested.repeats == 0), positive)),
        )
        by_name[arm.name] = dataclasses.replace(whole, learning_curve=curve)
    return list(by_name.values())


def run_shares(
    arms: Sequence[Arm], folds: Folds, samples: LabelledSamples, options: RunOptions
) -> list[tuple[float, list[ArmPredictions]]]:
    """Test every arm in the same test sets after training on fewer patients.

    Parameters
    ----------
    arms, folds, samples, options
        As for ``run_arms``.

    Returns
    -------
    list of (float, list of ArmPredictions)
        The mean number of patients in the training sets (of samples, where no patients are
        known) and the arms, by rising number. Shares that leave a class fewer than four patients
        are left out; each larger share contains the smaller ones.
    """
    # A curve shows the scores of test sets alone.
    options = dataclasses.replace(options, needs_scores=False)
    results = []
    for share in SHARES:
        if (reduced := reduce_training(folds, share, samples)) is not None:
            predicted = run_arms(arms, reduced, samples, options)
            results.append((mean_patients(reduced, samples), predicted))
    return results


def reduce_training(folds: Folds, share: float, samples: LabelledSamples) -> Folds | None:
    """Return folds with a share of the training patients of each, stratified by class.

    Parameters
    ----------
    folds : Folds
        Training and test sets; the test sets stay as they are.
    share : float
        A multiple of 1/8. Larger shares contain the smaller ones.
    samples : LabelledSamples
        Labels and groups of the rows.

    Returns
    -------
    Folds or None
        None if a training set would have fewer than four patients of a class.
    """
    fewer = [_keep(fold, share, samples) for fold in folds]
    if any(fold is None for fold in fewer):
        return None
    return dataclasses.replace(folds, folds=tuple(fold for fold in fewer if fold is not None))


def mean_patients(folds: Folds, samples: LabelledSamples) -> float:
    """Return the mean number of patients, or of samples without patients, in training sets."""
    return float(np.mean([len(np.unique(samples.units[fold.train])) for fold in folds]))


def _keep(fold: Fold, share: float, samples: LabelledSamples) -> Fold | None:
    """Return the fold with a share of its training patients, stratified by class."""
    y, groups = samples.y[fold.train], samples.groups_of(fold.train)
    counts = count_by_class(y, groups)
    # Each share consists of folds of the smallest one, so that larger shares contain smaller ones.
    n_parts = round(1 / SHARES[0])
    if min(counts.values()) < n_parts:
        return None
    drawn = draw(y, groups, n_parts, itertools.count(fold.seed))
    if drawn is None:
        return None
    kept = np.concatenate([test for _, test in drawn[1][: round(share * n_parts)]])
    left = count_by_class(y[kept], None if groups is None else groups[kept])
    if len(left) < len(counts) or min(left.values()) < _LEAST:
        return None
    return dataclasses.replace(fold, train=fold.train[np.sort(kept)])
