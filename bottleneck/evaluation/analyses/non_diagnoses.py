"""Unreadable images as non-diagnoses: the decisions of an arm if they count as errors."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.checks.check_warnings import CheckWarning, warn
from bottleneck.data.splits.protocol import Protocol
from bottleneck.evaluation.metrics.inference.metric_intervals import (
    compute_intervals,
    proportion_interval,
)
from bottleneck.evaluation.metrics.metric_values import Metric, as_metric
from bottleneck.evaluation.results.arm_results import Evaluation
from bottleneck.evaluation.results.result_parts import NonDiagnoses
from bottleneck.features.sets.failed_samples import FailedSample
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.predictions import Predictions
from bottleneck.text.plurals import counted

__all__ = ["add_non_diagnoses", "count_classes", "find_failed", "warn_of_failed"]

Bools = NDArray[np.bool_]

_LEAST_FALL = 0.0005  # What three decimals show.


def find_failed(
    sets: Sequence[FeatureSet], protocol: Protocol, *, fixed_split: bool
) -> tuple[FailedSample, ...]:
    """Return the test samples without features, or the patients without any.

    Parameters
    ----------
    sets : sequence of FeatureSet
        Feature sets of the samples that are used, the first with their patients.
    protocol : Protocol
        Its unit decides whether samples or patients are counted.
    fixed_split : bool
        Whether only the samples of the test set are tested.

    Returns
    -------
    tuple of FailedSample
        Without those of classes that were left out. With ``unit`` "patient", the patients of whom
        no image could be read, with their names as ids. Empty for a part of a data set, of which
        it is not known how many of its images could not be read.
    """
    first = sets[0]
    if "part_of" in first.provenance["dataset"]:
        return ()
    known = {one.id: one for each in sets for one in each.failed_samples}
    lost = {i for each in sets for i, _ in each.failures}.difference(first.ids.tolist())
    failed = [known.get(i, FailedSample(i)) for i in sorted(lost)]
    failed = [one for one in failed if one.label in ("", *first.classes)]
    if fixed_split:
        failed = [one for one in failed if one.split in ("", "test")]
    return _without_any(failed, first) if protocol.unit == "patient" else tuple(failed)


def _without_any(failed: Iterable[FailedSample], read: FeatureSet) -> tuple[FailedSample, ...]:
    """Return the patients of the samples of whom no image could be read."""
    labels: dict[str, set[str]] = {}
    for one in failed:
        labels.setdefault(one.patient or f"sample {one.id}", set()).add(one.label)
    for patient in [] if read.patients is None else np.unique(read.patients).tolist():
        labels.pop(patient, None)
    return tuple(
        FailedSample(patient, found.pop() if len(found) == 1 else "", patient)
        for patient, found in labels.items()
    )


def count_classes(failed: Iterable[FailedSample], classes: Sequence[str]) -> dict[str, int]:
    """Return the number of unreadable samples of each class, where the label is known."""
    counts = Counter(one.label for one in failed)
    return {name: counts[name] for name in classes if counts[name]}


def add_non_diagnoses(
    evaluations: Sequence[Evaluation],
    failed: Sequence[FailedSample],
    features: FeatureSet,
    groups: NDArray[np.str_] | None,
    positive: str | None,
) -> list[Evaluation]:
    """Return evaluations with the decisions that unreadable samples would be, if any are.

    Human readers have none: they look at other files than the network.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Arms on the same samples.
    failed : sequence of FailedSample
        Test samples without features, from ``find_failed``.
    features : FeatureSet
        Features of the samples that are used.
    groups : ndarray of str, shape (n_samples,), or None
        Groups of these samples in the predictions.
    positive : str or None
        The positive class.
    """
    if not failed:
        return list(evaluations)
    group_of: dict[str, str] = {}
    if groups is not None and features.patients is not None:
        group_of = dict(zip(features.patients.tolist(), groups.tolist(), strict=True))
    units = [group_of.get(one.patient, one.patient) or f"sample {one.id}" for one in failed]
    return [
        e
        if e.is_reader
        else dataclasses.replace(e, non_diagnoses=_count(e.predictions, failed, units, positive))
        for e in evaluations
    ]


def _count(
    predictions: Predictions,
    failed: Sequence[FailedSample],
    units: Sequence[str],
    positive: str | None,
) -> NonDiagnoses:
    classes = predictions.classes
    counts = count_classes(failed, classes)
    n_unknown = len(failed) - sum(counts.values())
    sides: dict[bool, dict[str, Metric]] = {}
    for is_right in (False, True):
        # A sample without a known label is assumed to be of the class that the metric counts.
        other = next(name for name in classes if name != positive)
        assumed = {"accuracy": classes[0]}
        if positive is not None:
            assumed = {"sensitivity": positive, "specificity": other} | assumed
        elif not n_unknown:
            assumed |= {"balanced_accuracy": classes[0]}
        sides[is_right] = {
            name: _measure(
                name,
                _extend(predictions, failed, units, label, positive, is_right=is_right),
                positive,
            )
            for name, label in assumed.items()
        }
    return NonDiagnoses(len(failed), counts, n_unknown, sides[False], sides[True])


def _extend(
    predictions: Predictions,
    failed: Sequence[FailedSample],
    units: Sequence[str],
    assumed: str,
    positive: str | None,
    *,
    is_right: bool,
) -> Predictions:
    """Return predictions in which each unreadable sample has a right or a wrong one."""
    p, classes = predictions, predictions.classes
    labels = np.array([one.label or assumed for one in failed])
    predicted = labels
    if not is_right:
        # With a positive class, a wrong one on the other side of it.
        wrong = {
            name: positive
            if positive is not None and name != positive
            else next(other for other in classes if other != name)
            for name in classes
        }
        predicted = np.array([wrong[name] for name in labels.tolist()])
    own = p.ids if p.groups is None else p.groups
    parts = [p]
    for repeat in np.unique(p.repeats):
        rows = p.repeats == repeat
        fold_of = dict(zip(own[rows].tolist(), p.folds[rows].tolist(), strict=True))
        least = int(p.folds[rows].min())
        parts.append(
            Predictions(
                ids=np.array([one.id for one in failed]),
                groups=None if p.groups is None else np.array(units),
                repeats=np.full(len(failed), repeat),
                folds=np.array([fold_of.get(unit, least) for unit in units]),
                labels=labels,
                predicted=predicted,
                scores=np.zeros((len(failed), len(classes))),
                classes=classes,
                kind=p.kind,
            )
        )
    return Predictions.concatenate([dataclasses.replace(p, probabilities=None), *parts[1:]])


def _measure(name: str, extended: Predictions, positive: str | None) -> Metric:
    labels, predicted = extended.labels, extended.predicted
    if name == "balanced_accuracy":
        shares = [(predicted == c)[labels == c].mean() for c in extended.classes]
        found = compute_intervals(extended, positive=None, names=(name,)).get(name)
        return as_metric(float(np.mean(shares)), found)
    correct, of = labels == predicted, np.ones(len(labels), bool)
    if name != "accuracy":
        true = labels == positive
        correct, of = true == (predicted == positive), true if name == "sensitivity" else ~true
    return as_metric(
        float(correct[of].mean()), proportion_interval(extended, correct, of, positive=positive)
    )


def warn_of_failed(
    sets: Iterable[FeatureSet], evaluations: Iterable[Evaluation]
) -> tuple[CheckWarning, ...]:
    """Return a warning if samples have no features, with what they change as errors.

    Parameters
    ----------
    sets : iterable of FeatureSet
        Feature sets of one data set.
    evaluations : iterable of Evaluation
        Arms on these samples.
    """
    n = len({sample for one in sets for sample, _ in one.failures})
    if not n:
        return ()
    falls: dict[str, float] = {}
    for e in evaluations:
        if e.non_diagnoses is not None and e.uses_images:
            for name, metric in e.non_diagnoses.wrong.items():
                fall = e.metrics[name].value - metric.value
                falls[name] = max(falls.get(name, 0.0), fall)
    shown = [name for name in falls if name != "accuracy"] or list(falls)
    shown = [name for name in shown if falls[name] >= _LEAST_FALL]
    listed = " and ".join(
        f"the {name.replace('_', ' ')} by up to {falls[name]:.3f}" for name in shown
    )
    them = "it lowers" if n == 1 else "they lower"
    text = (
        f"{counted(n, 'sample')} without features {'is' if n == 1 else 'are'} missing from every "
        f"figure{f'; counted as errors, {them} {listed}' if listed else ''}"
    )
    return warn("BF304", [text])
