"""Parts of the samples, compared with the same figures computed on them alone."""

from __future__ import annotations

import numpy as np
import pytest
from made_predictions import predict
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from bottleneck.evaluation.metrics.subgroups.subgroup_metrics import evaluate_subgroups
from bottleneck.statistics.roc.auroc import roc_auc_interval


def columns(arm, **values):
    return {name: dict(zip(arm.ids.tolist(), v, strict=True)) for name, v in values.items()}


def test_each_value_has_the_figures_of_its_own_samples():
    arm = predict(120)
    device = np.array(["one", "other", "one"])[np.arange(120) % 3]
    one, other = evaluate_subgroups(arm, columns(arm, device=device), positive="malignant")
    assert [(g.column, g.value, g.n_samples) for g in (one, other)] == [
        ("device", "one", 80),
        ("device", "other", 40),
    ]
    rows = device == "other"
    true, said = arm.labels[rows] == "malignant", arm.predicted[rows] == "malignant"
    auroc = roc_auc_interval(true, arm.scores[rows, 1])
    found = other.metrics["auroc"]
    assert (found.value, found.low, found.high) == pytest.approx(
        (auroc.value, auroc.low, auroc.high)
    )
    for name, right, of in (("sensitivity", said, true), ("accuracy", said == true, true | True)):
        low, high = proportion_confint(right[of].sum(), of.sum(), method="wilson")
        metric = other.metrics[name]
        assert (metric.value, metric.low, metric.high) == pytest.approx(
            (right[of].mean(), low, high)
        )


def test_patients_are_counted_and_unnamed_values_come_last():
    arm = predict(80, groups=True)
    centre = ["b"] * 40 + ["a"] * 20 + [""] * 20
    found = evaluate_subgroups(arm, columns(arm, centre=centre), positive="malignant")
    assert [(g.value, g.n_samples, g.n_patients) for g in found] == [
        ("a", 20, 5),
        ("b", 40, 10),
        ("not stated", 20, 5),
    ]
    assert evaluate_subgroups(arm, {"centre": {}}, positive="malignant")[0].value == "not stated"


def test_one_class_alone_has_no_auroc():
    arm = predict(80)
    label = arm.labels.tolist()
    benign, malignant = evaluate_subgroups(arm, columns(arm, label=label), positive="malignant")
    for group in (benign, malignant):
        assert np.isnan(group.metrics["auroc"].value)
        assert group.metrics["auroc"].low is None
        assert group.metrics["accuracy"].low is not None
    assert np.isnan(benign.metrics["sensitivity"].value)
    assert np.isnan(malignant.metrics["specificity"].value)


def test_folds_without_a_class_are_left_out_of_the_auroc():
    arm = predict(80, folds=4)
    # All of the first fold, benign ones of the second, all of the third.
    chosen = (arm.folds == 0) | ((arm.folds == 1) & (arm.labels == "benign")) | (arm.folds == 2)
    named = np.where(chosen, "a", "b")
    group, _ = evaluate_subgroups(arm, columns(arm, x=named), positive="malignant")
    true = arm.labels == "malignant"
    areas = [roc_auc_score(true[arm.folds == f], arm.scores[arm.folds == f, 1]) for f in (0, 2)]
    ranked = np.isin(arm.folds, (0, 2))
    interval = roc_auc_interval(true[ranked], arm.scores[ranked, 1], folds=arm.folds[ranked])
    found = group.metrics["auroc"]
    assert found.value == pytest.approx(np.mean(areas))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    # The samples of the AUROC; the other metrics have those of the second fold too.
    assert (group.n_samples, group.n_all) == (ranked.sum(), chosen.sum())
    assert group.metrics["accuracy"].value == pytest.approx(
        (arm.predicted == arm.labels)[chosen].mean()
    )


def test_a_subgroup_within_one_large_fold_is_no_wider_than_the_whole():
    arm = predict(400, folds=4)
    # 95 of its 100 samples are tested in one fold, by models trained on the 300 others.
    chosen = np.concatenate([np.flatnonzero(arm.folds == 0)[:94], np.flatnonzero(arm.folds)[:6]])
    named = dict.fromkeys(arm.ids[chosen].tolist(), "a")
    group, _ = evaluate_subgroups(arm, {"x": named}, positive="malignant")
    width = group.metrics["accuracy"].high - group.metrics["accuracy"].low
    p = group.metrics["accuracy"].value
    low, high = proportion_confint(100 * p / (1 + 4 / 3 + 0.1), 100 / (1 + 4 / 3 + 0.1))
    assert width < high - low + 0.02


def test_repeats_are_no_new_samples():
    arm = predict(80, folds=4, repeats=3)
    named = dict.fromkeys(arm.ids.tolist(), "all")
    (group,) = evaluate_subgroups(arm, {"x": named}, positive="malignant")
    assert group.n_samples == 80
    assert group.n_patients is None
