"""Unreadable samples as errors, compared with counts and with statsmodels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_features import make_features
from statsmodels.stats.proportion import proportion_confint

from bottleneck.data.splits.protocol import Protocol
from bottleneck.evaluation.compare import compare
from bottleneck.features.sets.failed_samples import FailedSample
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.predictions import Predictions
from bottleneck.report.wording.paragraphs import results_paragraph

QUICK = Protocol(n_splits=2, inner_splits=2, repeats=1)
LOST = [
    FailedSample("lost-1", "malignant", "patient-01"),
    FailedSample("lost-2", "malignant", "patient-99"),
    FailedSample("lost-3", "benign", "", "train"),
    FailedSample("lost-4", "benign", "", "test"),
]


def lacking(failed: list[FailedSample], known: int | None = None, **fields) -> FeatureSet:
    """Features of which some samples could not be read; the last ones without a record."""
    failures = tuple((one.id, "damaged") for one in failed)
    made = make_features(n_patients=24, failures=failures, **fields)
    return dataclasses.replace(made, failed_samples=tuple(failed[:known]))


def correct(predictions: Predictions, label: str) -> tuple[int, int]:
    """Number of right predictions of a class, and of its samples."""
    rows = predictions.labels == label
    return int((predictions.predicted == label)[rows].sum()), int(rows.sum())


def test_errors_are_counted_by_class():
    found = compare(lacking(LOST), ["logistic"], protocol=QUICK)
    assert found.dataset["failures_by_class"] == {"benign": 2, "malignant": 2}
    assert "counted as errors" in found.protocol["words"]
    for arm in found.evaluations:
        lost = arm.non_diagnoses
        assert (lost.n_samples, lost.n_unknown) == (4, 0)
        assert lost.classes == {"benign": 2, "malignant": 2}
        sides = (("sensitivity", "malignant"), ("specificity", "benign"))
        counts = {name: correct(arm.predictions, label) for name, label in sides}
        counts["accuracy"] = tuple(map(sum, zip(*counts.values(), strict=True)))
        for name, (k, n) in counts.items():
            more = 4 if name == "accuracy" else 2
            assert lost.wrong[name].value == pytest.approx(k / (n + more))
            assert lost.right[name].value == pytest.approx((k + more) / (n + more))
            assert lost.wrong[name].value <= arm.metrics[name].value <= lost.right[name].value
    svm = found.evaluations[0]
    fall = svm.metrics["sensitivity"].value - svm.non_diagnoses.wrong["sensitivity"].value
    assert f"they lower the sensitivity by up to {fall:.3f}" in " ".join(found.warnings)


def test_one_image_a_patient_has_the_interval_of_wilson():
    inside = make_features(n_patients=24)
    away = {"dataset": {"name": "elsewhere", "fingerprint": "e" * 64}}
    lost = [dataclasses.replace(one, patient=one.id) for one in LOST]
    outside = lacking(lost, images=1, seed=1, **away)
    (external,) = compare(inside, ["logistic"], external=outside, protocol=QUICK).external
    arm = external.evaluations[0]
    k, n = correct(arm.predictions, "malignant")
    low, high = proportion_confint(k, n + 2, method="wilson")
    found = arm.non_diagnoses.wrong["sensitivity"]
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_an_unknown_label_counts_in_both_classes():
    found = compare(lacking(LOST[:2], known=1), ["logistic"], protocol=QUICK)
    arm = found.evaluations[0]
    lost = arm.non_diagnoses
    assert (lost.n_samples, lost.classes, lost.n_unknown) == (2, {"malignant": 1}, 1)
    k, n = correct(arm.predictions, "malignant")
    assert lost.wrong["sensitivity"].value == pytest.approx(k / (n + 2))
    k, n = correct(arm.predictions, "benign")
    assert lost.wrong["specificity"].value == pytest.approx(k / (n + 1))
    assert lost.right["specificity"].value == pytest.approx((k + 1) / (n + 1))


def test_only_the_test_set_counts_where_the_split_is_fixed():
    splits = np.where(np.arange(48) < 24, "train", "test")
    features = lacking(LOST[2:], splits=splits)
    found = compare(features, ["logistic"], protocol=dataclasses.replace(QUICK, kind="split"))
    assert found.evaluations[0].non_diagnoses.classes == {"benign": 1}
    assert found.dataset["failures_by_class"] == {"benign": 2}


def test_a_patient_with_another_image_is_no_non_diagnosis():
    by_patient = dataclasses.replace(QUICK, unit="patient")
    arm = compare(lacking(LOST[:2]), ["logistic"], protocol=by_patient).evaluations[0]
    assert (arm.non_diagnoses.n_samples, arm.non_diagnoses.classes) == (1, {"malignant": 1})


def test_several_classes_have_a_balanced_accuracy():
    lost = [FailedSample("lost", "b", "patient-01")]
    features = lacking(lost, classes=("a", "b", "c"))
    arm = compare(features, ["logistic"], protocol=QUICK).evaluations[0]
    counts = {name: correct(arm.predictions, name) for name in "abc"}
    counts["b"] = counts["b"][0], counts["b"][1] + 1
    expected = np.mean([k / n for k, n in counts.values()])
    assert arm.non_diagnoses.wrong["balanced_accuracy"].value == pytest.approx(expected)
    features = lacking(lost, 0, classes=("a", "b", "c"))
    unknown = compare(features, ["prior"], protocol=QUICK).evaluations[0]
    assert list(unknown.non_diagnoses.wrong) == ["accuracy"]


def test_parts_and_complete_data_sets_have_none():
    whole = lacking(LOST)
    part = whole.select(whole.stated_patients != "patient-03")
    left_out = [FailedSample("lost", "other", "patient-01")]
    for features in (make_features(n_patients=24), part, lacking(left_out)):
        found = compare(features, ["prior"], protocol=QUICK)
        assert found.evaluations[0].non_diagnoses is None


@pytest.mark.parametrize(
    ("label", "touched"), [("malignant", "sensitivity"), ("benign", "specificity")]
)
def test_only_what_an_unreadable_sample_can_change_is_stated(label: str, touched: str) -> None:
    made = compare(lacking([FailedSample("x", label)]), ["logistic"], protocol=QUICK)
    (warning,) = (text for text in made.warnings if "without features" in text)
    paragraph = results_paragraph(made)
    stated = paragraph[paragraph.index("counted as errors") :].partition(" Without images")[0]
    for name in ("sensitivity", "specificity"):
        assert (name in warning) == (name in stated) == (name == touched)
    assert "(at best " in stated
    lost = made.evaluations[0].non_diagnoses
    assert lost is not None
    assert lost.touched == [touched, "accuracy"]
