"""Evaluation of an arm, against scikit-learn on the same folds and closed forms."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_features import divide_alike, make_features
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import UsageError
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.measures import Measures

PROTOCOL = Protocol(n_splits=3, inner_splits=3, seed=4)


@pytest.fixture(scope="module")
def features():
    # Three in four are benign, so that balanced class weights and frequencies differ.
    f = make_features(n_patients=120, signal=1.2)
    kept = (f.y == "benign") | (np.arange(240) // 2 % 6 == 1)
    rows = {
        field.name: value[kept]
        for field in dataclasses.fields(f)
        if isinstance(value := getattr(f, field.name), np.ndarray)
    }
    return dataclasses.replace(f, **rows)


@pytest.fixture(scope="module")
def comparison(features):
    sex = dict(zip(features.ids, np.array(["f", "m", "f", "f"])[np.arange(160) % 4], strict=True))
    measures = Measures(prevalence=0.05, subgroups={"sex": sex})
    return compare(features, ["logistic"], protocol=PROTOCOL, measures=measures)


def test_probabilities_are_those_of_scikit_learn_on_the_inner_folds(features, comparison):
    arm = comparison.evaluations[0]
    X, y, groups = features.X.astype(float), features.y, features.stated_patients
    wanted = np.zeros(len(y))
    outer = StratifiedGroupKFold(3, shuffle=True, random_state=4)
    parts = list(outer.split(X, y, groups))
    divided = divide_alike(y, groups, parts, 3, 4)
    for (train, test), chosen, inner in zip(parts, arm.chosen, divided, strict=True):
        model = CalibratedClassifierCV(
            make_pipeline(
                StandardScaler(),
                LogisticRegression(class_weight="balanced", max_iter=2000, C=chosen["C"]),
            ),
            cv=inner,
            ensemble=False,
        ).fit(X[train], y[train])
        wanted[test] = model.predict_proba(X[test])[:, 1]
    by_id = dict(zip(arm.predictions.ids, arm.predictions.probabilities[:, 1], strict=True))
    found = np.array([by_id[i] for i in features.ids])
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    # The frequency of the class, not the half that balanced weights would give.
    assert abs(found.mean() - 0.25) < 0.03
    brier = brier_score_loss(y == "malignant", wanted)
    assert arm.metrics["brier"].value == pytest.approx(brier, abs=1e-4)
    assert arm.calibration.bins
    assert "without class weights" in arm.calibration.source


def test_thresholds_come_from_training_and_stay_outside(features, comparison):
    arm = comparison.evaluations[0]
    points = {p.held: p for p in arm.operating_points}
    assert points["sensitivity"].target == points["specificity"].target == 0.9
    assert len(points["specificity"].thresholds) == 3
    for held, other in (("sensitivity", "specificity"), ("specificity", "sensitivity")):
        achieved = points[held].metrics[held]
        assert abs(achieved.value - 0.9) < 0.12
        assert points[held].metrics[other].value < achieved.value
    external = make_features(
        n_patients=40, seed=0, dataset={"name": "elsewhere", "fingerprint": "e" * 64}
    )
    moved = dataclasses.replace(
        external, X=external.X + 1, stated_patients=np.char.add("o", external.stated_patients)
    )
    one, other = (
        compare(features, ["logistic"], external=cohort, protocol=PROTOCOL).external[0]
        for cohort in (external, moved)
    )
    frozen = [e.evaluations[0].operating_points[1].thresholds for e in (one, other)]
    assert frozen[0] == frozen[1]
    scores = one.evaluations[0].predictions
    benign = scores.scores[scores.labels == "benign", 1]
    specificity = one.evaluations[0].operating_points[1].metrics["specificity"].value
    assert specificity == pytest.approx((benign < frozen[0][0]).mean())


def test_values_at_another_prevalence_follow_from_bayes(comparison):
    metrics = comparison.evaluations[0].metrics
    sensitivity, specificity = metrics["sensitivity"].value, metrics["specificity"].value
    ppv = sensitivity * 0.05 / (sensitivity * 0.05 + (1 - specificity) * 0.95)
    assert metrics["ppv_at_prevalence"].value == pytest.approx(ppv)
    assert metrics["ppv_at_prevalence"].low < ppv < metrics["ppv_at_prevalence"].high
    assert comparison.protocol["prevalence"] == 0.05


def test_subgroups_add_up_to_the_whole(comparison):
    arm = comparison.evaluations[0]
    groups = {g.value: g for g in arm.subgroups}
    assert set(groups) == {"f", "m"}
    assert sum(g.n_samples for g in arm.subgroups) == arm.confusion.sum()
    right = sum(g.metrics["accuracy"].value * g.n_samples for g in arm.subgroups)
    assert right == pytest.approx(np.trace(arm.confusion))


def test_arms_that_see_no_image_state_their_own_probabilities(features):
    sized = dataclasses.replace(
        features, size=np.stack([np.arange(160) % 7, np.arange(160) % 5], axis=1).astype(np.int32)
    )
    comparison = compare(sized, ["logistic"], protocol=PROTOCOL)
    assert [e.name for e in comparison.evaluations[1:]] == ["metadata only", "prior only"]
    metadata, prior = comparison.evaluations[1:]
    assert not metadata.uses_images
    assert prior.operating_points == ()
    assert prior.metrics["brier"].value == pytest.approx(0.25 * 0.75, abs=0.002)
    assert "as the arm states" in prior.calibration.source
    family = [d for d in comparison.differences if d.role == "primary"]
    assert family == []  # one arm alone


def test_an_interval_that_does_not_hold_its_level_says_so(comparison):
    metrics = comparison.evaluations[0].metrics
    assert comparison.dataset["patients"] == {"benign": 60, "malignant": 20}
    assert "; estimate only: 20 patients in the smaller class" in metrics["auprc"].method
    assert "estimate only" not in metrics["auroc"].method


def test_three_classes_are_measured_each_against_the_rest():
    f = make_features(n_patients=90, classes=("a", "b", "c"))
    arm = compare(f, ["svm"], protocol=PROTOCOL).evaluations[0]
    assert set(arm.per_class) == {"a", "b", "c"}
    mean = np.mean([arm.per_class[c]["auroc"].value for c in "abc"])
    assert arm.metrics["auroc"].value == pytest.approx(mean)
    for c in "abc":
        metric = arm.per_class[c]["auroc"]
        assert metric.low < metric.value < metric.high
    assert arm.operating_points == ()


def test_shares_must_be_shares():
    with pytest.raises(UsageError, match="prevalence must be a number above 0 and below 1, not 5"):
        Measures(prevalence=5)
    with pytest.raises(UsageError, match=r"at_sensitivity must be a number above 0 .* not 1\.0"):
        Measures(at_sensitivity=1.0)
