"""Tests of subgroup differences, compared with the functions on plain arrays and the subgroups."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_predictions import predict
from statsmodels.stats.multitest import multipletests

from bottleneck import Predictions
from bottleneck.evaluation.metrics.subgroups.subgroup_differences import find_subgroup_differences
from bottleneck.evaluation.metrics.subgroups.subgroup_metrics import evaluate_subgroups
from bottleneck.statistics import subgroup_auc_test, subgroup_proportion_test


def columns(arm: Predictions, **values: np.ndarray) -> dict[str, dict[str, str]]:
    return {
        name: dict(zip(arm.ids.tolist(), v.tolist(), strict=True)) for name, v in values.items()
    }


def test_each_metric_is_tested_as_on_plain_arrays() -> None:
    arm = predict(240, groups=True, folds=4)
    device = np.array(["new", "old"])[np.arange(240) % 3 % 2]
    found = find_subgroup_differences(arm, columns(arm, device=device), positive="malignant")
    assert [one.metric for one in found] == ["auroc", "sensitivity", "specificity"]
    true, called = arm.labels == "malignant", arm.predicted == "malignant"
    patient, fold = arm.groups, arm.folds
    expected = [
        subgroup_auc_test(true, arm.scores[:, 1], device, patient, fold),
        *(
            subgroup_proportion_test((called == true)[of], device[of], patient[of], fold[of])
            for of in (true, ~true)
        ),
    ]
    for one, test in zip(found, expected, strict=True):
        assert one.levels == ("new", "old")
        numbers = (one.difference.value, one.difference.low, one.difference.high, one.p)
        assert numbers == pytest.approx((test.difference, test.low, test.high, test.p), rel=1e-6)
        assert one.p_adjusted == one.p


@pytest.mark.parametrize("repeats", [1, 3])
def test_the_difference_is_that_of_the_subgroups_in_the_table(repeats: int) -> None:
    arm = predict(240, groups=True, folds=3, repeats=repeats)
    centre = np.array(["a", "b"])[arm.ids.astype(int) // 8 % 2]
    given = columns(arm, centre=centre)
    a, b = evaluate_subgroups(arm, given, positive="malignant")
    for one in find_subgroup_differences(arm, given, positive="malignant"):
        first, second = a.metrics[one.metric], b.metrics[one.metric]
        assert one.difference is not None
        assert one.difference.value == pytest.approx(first.value - second.value)
        # Patients are of one centre each: the intervals are joined without a correlation.
        low = np.hypot(first.value - first.low, second.high - second.value)
        assert one.difference.value - one.difference.low == pytest.approx(low)


def test_holm_adjusts_each_metric_over_the_columns() -> None:
    arm = predict(240)
    number = np.arange(240)
    given = columns(
        arm,
        one=np.array(["a", "b"])[number // 2 % 2],
        two=np.array(["a", "b", "c"])[number // 2 % 3],
        three=np.array(["a", "b"])[number // 4 % 2],
    )
    found = find_subgroup_differences(arm, given, positive="malignant")
    assert len(found) == 9
    for metric in ("auroc", "sensitivity", "specificity"):
        tests = [one for one in found if one.metric == metric]
        adjusted = multipletests([one.p for one in tests], method="holm")[1]
        assert [one.p_adjusted for one in tests] == pytest.approx(adjusted)
    assert [one.difference is None for one in found if one.metric == "auroc"] == [0, 1, 0]


def test_a_planted_difference_is_found_and_few_patients_are_said() -> None:
    arm = predict(300, skill=0.2)
    easy = np.arange(300) // 2 % 3 == 0
    scores = arm.scores + 3 * easy[:, None] * (arm.labels[:, None] == np.array(arm.classes))
    predicted = np.array(arm.classes)[scores.argmax(axis=1)]
    arm = dataclasses.replace(arm, scores=scores, predicted=predicted)
    given = columns(arm, x=np.where(easy, "easy", "hard"))
    for one in find_subgroup_differences(arm, given, positive="malignant"):
        assert one.p < 0.001
        assert one.fewest == 50
        assert "estimate only" not in one.method
    rare = np.where((np.arange(300) < 12) & easy, "easy", "hard")
    for one in find_subgroup_differences(arm, columns(arm, x=rare), positive="malignant"):
        assert one.fewest == 2
        assert "estimate only: 2 samples" in one.method


def test_values_that_are_not_stated_and_single_subgroups_are_no_test() -> None:
    arm = predict(80)
    device = np.array(["", "a", "b", "a"])[np.arange(80) // 2 % 4]
    found = find_subgroup_differences(arm, columns(arm, device=device), positive="malignant")
    assert {one.levels for one in found} == {("a", "b")}
    single = columns(arm, device=np.where(device == "a", "a", ""))
    assert find_subgroup_differences(arm, single, positive="malignant") == ()
    by_class = columns(arm, label=arm.labels)
    assert find_subgroup_differences(arm, by_class, positive="malignant") == ()


def test_of_several_classes_the_mean_auroc_is_tested() -> None:
    arm = predict(180, classes=("a", "b", "c"), folds=2)
    device = np.array(["new", "old"])[np.arange(180) // 3 % 2]
    (one,) = find_subgroup_differences(arm, columns(arm, device=device), positive=None)
    parts = evaluate_subgroups(arm, columns(arm, device=device), positive=None)
    first, second = (part.metrics["auroc"] for part in parts)
    assert one.difference is not None
    assert one.difference.value == pytest.approx(first.value - second.value)
    low = np.hypot(first.value - first.low, second.high - second.value)
    assert one.difference.value - one.difference.low == pytest.approx(low)
