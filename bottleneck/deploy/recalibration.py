"""Recalibration of a model on labelled cases of one's own hospital."""

from __future__ import annotations

import dataclasses
import datetime
import math
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from bottleneck import __version__
from bottleneck.backbones.licences import LicencePolicy, require_licence
from bottleneck.data.splits.patients import count_by_class, inner_folds
from bottleneck.deploy.models.conformal import ConformalSets
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.models.model_words import describe_order
from bottleneck.deploy.recalibration_cases import Cases, read_cases
from bottleneck.deploy.recalibration_result import Recalibration, What
from bottleneck.errors import ModelError, ProtocolError, UsageError, unknown_name
from bottleneck.evaluation.cross_validation.evaluate_arm import auroc_metric
from bottleneck.evaluation.metrics.inference.metric_intervals import compute_intervals
from bottleneck.evaluation.metrics.inference.row_groups import (
    encode_folds,
    encode_patients,
    split_folds,
)
from bottleneck.evaluation.metrics.metric_values import Metric, as_metric
from bottleneck.evaluation.metrics.metrics import compute_metrics
from bottleneck.evaluation.metrics.operating_points import apply_thresholds, fit_threshold
from bottleneck.evaluation.metrics.probabilities.calibration_shift import fit_shift
from bottleneck.evaluation.metrics.probabilities.sigmoids import Sigmoids, add_probabilities
from bottleneck.features.arrays.feature_inputs import Column, FeatureInput
from bottleneck.predictions import Predictions
from bottleneck.processes.progress_bar import Progress
from bottleneck.processes.work_steps import shows_progress
from bottleneck.settings.ranges import FoldCount, Seed
from bottleneck.settings.schema import validate
from bottleneck.statistics.inference.intervals import Interval, mean_interval
from bottleneck.statistics.inference.patient_variance import overlap_factor
from bottleneck.statistics.probabilities.calibration_lines import (
    LEAST_PROBABILITY,
)

__all__ = ["recalibrate"]

_OF_PROBABILITIES = (
    "calibration_slope",
    "calibration_intercept",
    "observed_expected",
    "brier",
    "ece",
)


@shows_progress()
def recalibrate(
    model: Model,
    features: FeatureInput,
    *,
    what: What = "probabilities",
    y: Column = None,
    groups: Column = None,
    ids: Column = None,
    splits: int = 5,
    seed: int = 0,
    licence_policy: LicencePolicy = "any",
    progress: Progress | None = None,
    quiet: bool = False,
) -> Recalibration:
    """Move the probabilities or the threshold of a model to fit the cases of another hospital.

    The head itself is not trained again: how it ranks images stays the same. The conformal sets
    follow the new cases.

    Parameters
    ----------
    model : Model
        A fitted head; it is not changed.
    features : FeatureSet, path, array or data frame
        Features by the recipe of the model, of at least 20 labelled cases of each class, and of 20
        patients of each class if these are known. The model must not have been trained on them.
        Probabilities need classes in the proportions of future patients.
    what : {"probabilities", "threshold"}
        "probabilities" moves slope and intercepts of the log-odds (``CalibrationShift``).
        "threshold" chooses the threshold for the same sensitivity or specificity again.
    y, groups, ids : array-like of shape (n_samples,) or None
        Labels, patients and ids of the samples in an array.
    splits : int
        Number of folds of the cross-validation; they keep patients together.
    seed : int
        Seed of these folds.
    licence_policy : {"any", "commercial"}
        "commercial" refuses a model of weights whose licence does not allow commercial use, or is
        not stated.
    progress : callable or None
        Called with the number of steps done, their total, and a text.
    quiet : bool
        Whether no progress bar is shown; by default, one is on a terminal and in a notebook.

    Returns
    -------
    Recalibration
        The new model, and old and new figures.

    Raises
    ------
    UsageError
        If a label is unknown, or ``what`` is.
    LicenceError
        If the policy refuses the licence of the weights.
    ModelError
        If the features have another recipe, or other labels, or the model has no probabilities or
        no threshold.
    ProtocolError
        If there are too few cases, the model was trained on them, or they cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import fit, recalibrate
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["benign", "malignant"], 50)
    >>> X = rng.normal(size=(100, 4)) + (y == "malignant")[:, None]
    >>> model = fit(X, "logistic", y=y)
    >>> new = rng.normal(size=(100, 4)) + (y == "malignant")[:, None] + 1
    >>> made = recalibrate(model, new, y=y, ids=[f"case {number}" for number in range(100)])
    >>> made.after["brier"].value < made.before["brier"].value
    True
    """
    if not isinstance(model, Model):
        raise UsageError(
            "recalibrate takes a model of fit or load_model; trained networks are not recalibrated"
        )
    if what not in get_args(What):
        raise unknown_name("part of a model to recalibrate", str(what), get_args(What))
    validate(FoldCount, splits, "the number of folds")
    validate(Seed, seed, "the seed")
    require_licence(model.weights, licence_policy)
    if what == "threshold" and (model.operating_point is None or model.positive is None):
        raise ModelError(
            "the model has no threshold to recalibrate: train it with fit and --at-sensitivity or "
            "--at-specificity (in Python: at_sensitivity= or at_specificity=)"
        )
    cases = read_cases(model, features, y=y, groups=groups, ids=ids, progress=progress)
    folds = _draw_folds(cases.predictions, splits, seed)
    move = _move_probabilities if what == "probabilities" else _move_threshold
    made = move(model, cases, folds)
    record = _record(model, cases, made)
    changed = dataclasses.replace(made.model, recalibrations=(*model.recalibrations, record))
    return dataclasses.replace(made, model=changed, notes=(*cases.notes, *made.notes))


def _draw_folds(predictions: Predictions, splits: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of every case; folds keep patients and copies of an image together."""
    folds = np.empty(len(predictions), dtype=np.int64)
    drawn = inner_folds(predictions.labels, predictions.groups, splits, seed)
    for number, (_, rows) in enumerate(drawn):
        folds[rows] = number
    return folds


def _move_probabilities(model: Model, cases: Cases, folds: NDArray[np.int64]) -> Recalibration:
    before = add_probabilities(cases.predictions, model.sigmoids)
    if before.probabilities is None:
        raise ModelError(
            "the model has no probabilities to recalibrate, since its head has no out-of-fold "
            "scores: train it again with fit"
        )
    moved = np.empty_like(before.probabilities)
    for number in range(folds.max() + 1):
        tested = folds == number
        shift = fit_shift(before.probabilities[~tested], before.labels[~tested], before.classes)
        moved[tested] = shift.apply(before.probabilities[tested])
    after = dataclasses.replace(before, probabilities=moved, folds=folds)
    shift = fit_shift(before.probabilities, before.labels, before.classes)
    if not shift.slope > 0 and (order := describe_order(model)):
        raise ProtocolError(f"{order}: train another with fit")
    if not shift.slope > 0:
        raise ProtocolError(
            f"the probabilities order these cases the wrong way (slope {shift.slope:.2f}): check "
            "the labels, and check that the images are of the kind that the model was trained on"
        )
    old = model.sigmoids or _identity(len(model.classes))
    losses = [_losses(each) for each in (before, after)]
    change = _mean(after, losses[1] - losses[0])
    counts = ", ".join(f"{n} '{name}'" for name, n in count_by_class(before.labels).items())
    return Recalibration(
        model=dataclasses.replace(
            model,
            sigmoids=dataclasses.replace(old, shift=shift.after(old.shift)),
            conformal=ConformalSets.fit(after, has_patients=cases.has_patients),
        ),
        what="probabilities",
        before=_measure(before, losses[0], model.positive),
        after=_measure(after, losses[1], model.positive),
        change=change,
        helps=change.value < 0,
        words=_describe_change(change),
        notes=(
            f"the new probabilities reflect the proportions of these cases ({counts}): they are "
            "correct for future patients with the same proportions",
        ),
    )


def _identity(n_classes: int) -> Sigmoids:
    """Return the sigmoids that leave probabilities as they are."""
    n = 1 if n_classes == 2 else n_classes
    return Sigmoids((1.0,) * n, (0.0,) * n)


def _losses(predictions: Predictions) -> NDArray[np.float64]:
    """Return the log loss of every case."""
    assert predictions.probabilities is not None
    true = predictions.labels[:, np.newaxis] == np.array(predictions.classes)
    return -np.log(np.clip(predictions.probabilities[true], LEAST_PROBABILITY, 1))


def _mean(predictions: Predictions, values: NDArray[np.float64]) -> Metric:
    """Return the mean over cases, with its interval by patient."""
    patients, mean = encode_patients(predictions), float(values.mean())
    overlap = overlap_factor(encode_folds(predictions), patients)
    influence = (values - mean) / len(values)
    interval = mean_interval(mean, influence, patients, overlap, 0.95, bounds=None)
    return as_metric(mean, _finite(interval))


def _finite(interval: Interval | None) -> Interval | None:
    kept = interval is not None and np.isfinite([interval.low, interval.high]).all()
    return interval if kept else None


def _measure(
    predictions: Predictions, losses: NDArray[np.float64], positive: str | None
) -> dict[str, Metric]:
    values = compute_metrics(predictions, positive=positive)
    bounds = compute_intervals(predictions, positive=positive, names=_OF_PROBABILITIES)
    found = {name: as_metric(values[name], bounds.get(name)) for name in _OF_PROBABILITIES}
    found["log_loss"] = _mean(predictions, losses)
    # It ranks scores, which one head made in all folds and no recalibration moves.
    whole = dataclasses.replace(predictions, folds=np.zeros_like(predictions.folds))
    return {"auroc": auroc_metric(whole, positive), **found}


def _describe_change(change: Metric) -> str:
    low, high = change.low, change.high
    size = f"by {abs(change.value):.3f}"
    if change.value >= 0:
        return (
            f"Recalibration does not help on these cases: cross-validated, the log loss does not "
            f"fall (it changes by {change.value:+.3f}). Keep the old model"
        )
    if low is None or high is None or high >= 0:
        return (
            "It is not clear whether recalibration helps: cross-validated, the log loss falls "
            f"{size}, "
            "but the 95 % interval of this change includes 0. Use more cases to decide"
        )
    return (
        f"Recalibration helps: cross-validated, the log loss falls {size} (95 % interval of the "
        f"change {low:.3f} to {high:.3f})"
    )


def _move_threshold(model: Model, cases: Cases, folds: NDArray[np.int64]) -> Recalibration:
    point, positive = model.operating_point, model.positive
    assert point is not None
    assert positive is not None
    before = cases.predictions
    after = dataclasses.replace(before, folds=folds)
    target: dict[str, Any] = {"positive": positive, "held": point.held, "target": point.target}
    everyone = np.arange(len(before))
    thresholds = [
        fit_threshold(before.take(np.setdiff1d(everyone, rows)), **target).threshold
        for rows in split_folds(after)
    ]
    measured = (
        apply_thresholds(before, (point.threshold,), **target).metrics,
        apply_thresholds(after, thresholds, **target).metrics,
    )
    values = [metrics[point.held].value for metrics in measured]
    misses = [abs(value - point.target) for value in values]
    helps = misses[1] < misses[0]
    calibrated = add_probabilities(before, model.sigmoids)
    conformal = model.conformal
    if calibrated.probabilities is not None:
        conformal = ConformalSets.fit(calibrated, has_patients=cases.has_patients)
    verdict = "helps" if helps else "does not help on these cases"
    moved = dataclasses.replace(
        fit_threshold(before, **target),
        sensitivity=measured[1]["sensitivity"].value,
        specificity=measured[1]["specificity"].value,
    )
    return Recalibration(
        model=dataclasses.replace(model, operating_point=moved, conformal=conformal),
        what="threshold",
        before=measured[0],
        after=measured[1],
        change=None,
        helps=helps,
        words=(
            f"Moving the threshold {verdict}: for a target {point.held} of {point.target:g}, the "
            f"old threshold reaches {values[0]:.3f}, and one from other patients of these cases "
            f"{values[1]:.3f}" + ("" if helps else ". Keep the old model")
        ),
    )


def _record(model: Model, cases: Cases, made: Recalibration) -> dict[str, Any]:
    """Return what the model's file says of a recalibration: no names of samples or patients."""
    moved: dict[str, Any]
    if made.what == "probabilities":
        sigmoids = made.model.sigmoids
        assert sigmoids is not None
        assert sigmoids.shift is not None
        moved = {"shift": sigmoids.shift.to_dict()}
    else:
        points = (model.operating_point, made.model.operating_point)
        old, new = (None if point is None else point.threshold for point in points)
        held = None if model.operating_point is None else model.operating_point.held
        moved = {"threshold_before": old, "threshold_after": new, "held": held}
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "what": made.what,
        "dataset": cases.dataset,
        "fingerprint": cases.fingerprint,
        "images": dict(cases.images),
        "patients": None if cases.patients is None else dict(cases.patients),
        **moved,
        "helps": made.helps,
        "before": {name: _plain(metric) for name, metric in made.before.items()},
        "after": {name: _plain(metric) for name, metric in made.after.items()},
        "bottleneck": __version__,
    }


def _plain(metric: Metric) -> dict[str, float | None]:
    numbers = {"value": metric.value, "low": metric.low, "high": metric.high}
    return {
        name: None if number is None or not math.isfinite(number) else float(number)
        for name, number in numbers.items()
    }
