"""Intervals that do not hold their level say so, wherever they are computed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_predictions import predict, with_probabilities

from bottleneck.data.splits.shortage import shortage
from bottleneck.evaluation.metrics.inference.metric_intervals import (
    auroc_interval,
    compute_intervals,
    compute_intervals_of_class,
)
from bottleneck.evaluation.metrics.inference.reliability import caveat
from bottleneck.evaluation.metrics.operating_points import apply_thresholds
from bottleneck.evaluation.metrics.probabilities.calibration import bin_probabilities
from bottleneck.evaluation.metrics.subgroups.subgroup_metrics import evaluate_subgroups
from bottleneck.predictions import Predictions

WORDS = "; estimate only: effective number of patients 1.5 in the smaller class"


def one_large_patient(repeats: int = 1, folds: int = 1) -> Predictions:
    """60 of 74 malignant images are of one patient: 74² / (60² + 14) = 1.52."""
    arm = with_probabilities(predict(148, repeats=repeats, folds=folds))
    patient = np.arange(148)
    patient[np.flatnonzero(arm.labels[:148] == "malignant")[:60]] = 1
    return dataclasses.replace(arm, groups=np.tile(patient, repeats).astype(str))


@pytest.mark.parametrize("repeats", [1, 3])
def test_every_interval_of_a_set_with_one_large_patient_is_an_estimate_only(repeats: int) -> None:
    arm = one_large_patient(repeats)
    found = compute_intervals(arm, positive="malignant")
    assert len(found) > 10
    assert {name for name, interval in found.items() if WORDS not in interval.method} == set()
    assert WORDS in auroc_interval(arm, "malignant").method
    assert all(
        WORDS in interval.method
        for intervals in (compute_intervals_of_class(arm, name) for name in arm.classes)
        for interval in intervals.values()
    )
    point = apply_thresholds(
        arm, [0.0] * repeats, positive="malignant", held="sensitivity", target=0.9
    )
    bins = bin_probabilities(arm, "malignant", source="").bins
    device = dict(zip(arm.ids.tolist(), ["one"] * len(arm), strict=True))
    (group,) = evaluate_subgroups(arm, {"device": device}, positive="malignant")
    for metric in (*point.metrics.values(), *(b.observed for b in bins), *group.metrics.values()):
        assert metric.estimate_only
        assert WORDS in metric.method


def test_a_large_patient_within_a_subgroup_is_noticed_there() -> None:
    arm = predict(400)
    patient = np.arange(400)
    patient[1:80:2] = 1  # all 40 malignant images of the first 80
    arm = dataclasses.replace(arm, groups=patient.astype(str))
    assert caveat(arm) == ""
    column = dict(zip(arm.ids.tolist(), np.where(np.arange(400) < 100, "a", "b"), strict=True))
    a, b = evaluate_subgroups(arm, {"x": column}, positive="malignant")
    assert a.metrics["auroc"].estimate_only
    assert not b.metrics["auroc"].estimate_only


def test_a_class_is_counted_against_the_rest() -> None:
    arm = predict(300, classes=("a", "b", "c"))
    kept = np.flatnonzero((arm.labels != "c") | (np.arange(300) < 24))
    arm = arm.take(kept)  # 100, 100 and 8
    apart = {name: compute_intervals_of_class(arm, name) for name in arm.classes}
    assert "8 samples in the smaller class" in apart["c"]["auroc"].method
    assert "estimate only" not in apart["a"]["auroc"].method
    assert "8 samples" in caveat(arm) == caveat(arm, "accuracy", "a")


def test_equal_patients_count_as_before() -> None:
    labels = np.repeat(["a", "b"], [60, 60])
    assert shortage(labels, np.repeat(np.arange(20), 6).astype(str)) == ""
    assert shortage(labels, np.repeat(np.arange(18), [10] * 6 + [5] * 12)) == "6 patients"
    assert shortage(labels[:61], None) == "1 sample"
    repeated = np.tile(np.arange(9), 7).astype(str)
    assert shortage(np.tile(["a"] * 4 + ["b"] * 5, 7), None, repeated) == "4 samples"
