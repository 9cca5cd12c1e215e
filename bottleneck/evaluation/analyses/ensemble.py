"""An ensemble of arms: the mean of their calibrated probabilities, as one more arm."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import UsageError, unknown_name
from bottleneck.evaluation.cross_validation.arms import Arm, ArmPredictions
from bottleneck.evaluation.cross_validation.imported_predictions import ImportedArm
from bottleneck.evaluation.metrics.inference.row_groups import list_repeats
from bottleneck.evaluation.metrics.probabilities.calibration import calibrate
from bottleneck.evaluation.results.comparison_results import Evaluation
from bottleneck.predictions import Predictions, predicted_classes

__all__ = ["add_ensemble", "check_ensemble", "describe_ensemble"]

_NAME = "ensemble (mean)"
_KINDS = ("mean",)


def check_ensemble(
    ensemble: str | None, arms: Sequence[Arm], imported: Sequence[ImportedArm]
) -> str | None:
    """Return the name of the ensemble, and refuse one that cannot be made.

    Parameters
    ----------
    ensemble : str or None
        "mean", or None for no ensemble.
    arms, imported : sequence
        Arms of the comparison.

    Returns
    -------
    str or None
        None if there is no ensemble.

    Raises
    ------
    UsageError
        If it is unknown, has fewer than two arms, or imported predictions
        have neither probabilities nor validation rows.
    """
    if ensemble is None:
        return None
    if ensemble not in _KINDS:
        raise unknown_name("ensemble", str(ensemble), _KINDS)
    names = [arm.name for arm in arms if arm.features is not None]
    names += [arm.name for arm in imported]
    if len(names) < 2:
        raise UsageError(
            f"an ensemble averages at least two arms with images, and there is only "
            f"{', '.join(map(repr, names)) or 'none'}: add heads, features or predictions, or "
            f"leave out --ensemble (in Python ensemble=)"
        )
    for arm in imported:
        if arm.test.probabilities is None and arm.validation is None:
            raise _not_calibrated(arm.name)
    return _NAME


def add_ensemble(arms: Sequence[ArmPredictions], name: str) -> list[ArmPredictions]:
    """Return arms with images, and after them the ensemble of all of them.

    The score of a test sample is the mean of its calibrated probabilities. Each arm is calibrated
    on the out-of-fold predictions of the training set. The mean of these, calibrated in the same
    way, are the inner predictions of the ensemble, so that its thresholds and its own calibration
    are set within training sets as well. Inner predictions are of the samples for which every arm
    has some; imported predictions have them for validation samples only. It has no jackknife of
    the training sets: what calibration adds to it is not known.

    Parameters
    ----------
    arms : sequence of ArmPredictions
        Arms with images, with the same test rows in the same order. Some may have further
        repeats; the ensemble is of the repeats that all have.
    name : str
        Name of the ensemble.

    Raises
    ------
    UsageError
        If imported predictions have neither probabilities nor validation samples of every class.
    """
    shared = frozenset.intersection(*(list_repeats(arm.test) for arm in arms))
    members = [_calibrated(arm.take_repeats(shared)) for arm in arms]
    test = _average([member.test for member in members])
    n_folds = len(members[0].inner)
    inner = tuple(
        _average([member.inner[fold] for member in members])
        for fold in range(n_folds if all(member.inner for member in members) else 0)
    )
    # Thresholds need every class in every fold.
    whole = all(set(part.labels) == set(part.classes) for part in inner)
    together = ArmPredictions(
        name=name,
        head="ensemble",
        test=test,
        inner=inner if whole else (),
        seconds=sum(arm.seconds for arm in arms),
        members=tuple(arm.name for arm in arms),
    )
    return [*arms, together]


def describe_ensemble(ensemble: Evaluation, *, has_inner: bool, left_out: bool) -> str:
    """Return what the ensemble is, in words for a methods section.

    Parameters
    ----------
    ensemble : Evaluation
        Evaluation of the ensemble.
    has_inner : bool
        Whether it has inner predictions.
    left_out : bool
        Whether there are external cohorts that it was not tested on.
    """
    own = (
        "Its thresholds and calibration were set on the mean of the inner predictions"
        if has_inner
        else "It has no thresholds, since not all of its arms have inner predictions"
    )
    members = ensemble.members
    outside = " It was not tested on external cohorts, because imported arms do not predict them."
    return (
        f" The arm '{ensemble.name}' is the mean of the calibrated probabilities of {len(members)} "
        f"arms: {'; '.join(members)}. {own}.{outside if left_out else ''}"
    )


def _calibrated(arm: ArmPredictions) -> ArmPredictions:
    """Return an arm with calibrated probabilities of its test and its inner predictions."""
    if arm.test.probabilities is not None:
        known = all(part.probabilities is not None for part in arm.inner)
        return arm if known else dataclasses.replace(arm, inner=())
    if not arm.inner or any(set(part.labels) != set(arm.test.classes) for part in arm.inner):
        raise _not_calibrated(arm.name)
    inner = tuple(calibrate(_as_one_fold(part), [part]) for part in arm.inner)
    return dataclasses.replace(arm, test=calibrate(arm.test, arm.inner), inner=inner)


def _not_calibrated(name: str) -> UsageError:
    return UsageError(
        f"the ensemble averages calibrated probabilities, and the predictions '{name}' have "
        f"neither columns probability_<class> nor validation rows of every class that they could "
        f"be calibrated on: add these, or leave out the predictions or the ensemble"
    )


def _as_one_fold(part: Predictions) -> Predictions:
    zeros = np.zeros(len(part), np.int64)
    return dataclasses.replace(part, repeats=zeros, folds=zeros)


def _average(parts: Sequence[Predictions]) -> Predictions:
    """Return the mean of the probabilities of the samples that all predictions have."""
    ids = [part.ids for part in parts]
    if all(np.array_equal(ids[0], other) for other in ids[1:]):
        rows = [np.arange(len(part)) for part in parts]
    else:
        shared = reduce(np.intersect1d, ids)
        rows = [_rows_of(shared, of_part) for of_part in ids]
    taken = [part.take(r).probabilities for part, r in zip(parts, rows, strict=True)]
    scores = np.mean([p for p in taken if p is not None], axis=0)
    first = parts[0].take(rows[0])
    return dataclasses.replace(
        first,
        predicted=predicted_classes(scores, first.classes),
        scores=scores,
        kind="probability",
        probabilities=None,
        jackknife=None,
    )


def _rows_of(shared: NDArray[np.str_], ids: NDArray[np.str_]) -> NDArray[np.intp]:
    order = np.argsort(ids)
    return order[np.searchsorted(ids, shared, sorter=order)]
