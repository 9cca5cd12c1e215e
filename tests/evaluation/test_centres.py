"""The AUROC of each centre and the prediction for a new one, next to the same by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_features import make_features
from made_predictions import predict
from scipy import stats
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score
from statsmodels.regression.linear_model import WLS

from bottleneck.data.splits.protocol import Protocol
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.metrics.subgroups.centres import evaluate_centres
from bottleneck.report.json_record import results
from bottleneck.report.page import render
from bottleneck.report.tables.terminal_tables import centres_table
from bottleneck.report.tables.text_tables import markdown_table
from bottleneck.statistics.heterogeneity.meta_analysis import random_effects
from bottleneck.statistics.roc.auroc import roc_auc_interval

NAMES = ["A", "B", "C", "D", "E", "F"]


def test_each_centre_is_a_test_set_and_a_new_one_is_predicted_on_the_logit_scale() -> None:
    arm = predict(600, folds=6, groups=False)
    found = evaluate_centres(arm, NAMES, "malignant")
    true = arm.labels == "malignant"
    values, errors = [], []
    for fold, centre in enumerate(found.each):
        rows = arm.folds == fold
        alone = roc_auc_interval(true[rows], arm.scores[rows, 1])
        assert (centre.name, centre.n_samples, centre.n_patients) == (NAMES[fold], 100, None)
        area = roc_auc_score(true[rows], arm.scores[rows, 1])
        assert centre.auroc.value == pytest.approx(area)
        assert (centre.auroc.low, centre.auroc.high) == (alone.low, alone.high)
        values.append(alone.value)
        errors.append(alone.standard_error)
    a = np.array(values)
    x, e = logit(a), np.array(errors) / (a * (1 - a))
    tau = random_effects(x, e).tau_squared
    fitted = WLS(x, np.ones((6, 1)), weights=1 / (e**2 + tau)).fit()
    error = max(fitted.bse[0], np.sqrt(1 / (1 / (e**2 + tau)).sum()))
    reach = stats.t(4).isf(0.025) * np.sqrt(tau + error**2)
    new = found.new_centre
    assert found.note == ""
    assert new.value == pytest.approx(expit(fitted.params[0]))
    bounds = expit(fitted.params[0] + reach * np.array([-1, 1]))
    assert (new.low, new.high) == pytest.approx(tuple(bounds))
    assert "Hartung & Knapp" in new.method


def test_few_centres_or_one_without_a_standard_error_give_no_prediction() -> None:
    few = evaluate_centres(predict(400, folds=4), NAMES, "malignant")
    assert (few.new_centre, len(few.each)) == (None, 4)
    assert "4 centres, 5 are needed" in few.note
    arm = predict(600, folds=6)
    scores = np.array(arm.scores)
    perfect = arm.folds == 2
    scores[perfect, 1] += 100 * (arm.labels[perfect] == "malignant")
    one = evaluate_centres(dataclasses.replace(arm, scores=scores), NAMES, "malignant")
    assert one.new_centre is None
    assert "centre 'C' has no standard error" in one.note


def test_the_average_over_classes_has_centres_too() -> None:
    arm = predict(900, folds=6, classes=("a", "b", "c"))
    found = evaluate_centres(arm, NAMES, None)
    assert found.new_centre.low < np.mean([c.auroc.value for c in found.each]) < 1
    assert all(c.auroc.low < c.auroc.value < c.auroc.high for c in found.each)


def test_leaving_out_centres_says_whom_the_intervals_are_for() -> None:
    centres = np.array(NAMES[:5])[np.arange(160) // 2 % 5]
    f = make_features(n_patients=80, signal=1.0, centres=centres)
    comparison = compare(f, ["logistic"], protocol=Protocol(kind="centres", inner_splits=2))
    words = "are for patients of these 5 centres, not of other centres"
    assert words in comparison.protocol["words"]
    assert words in markdown_table(comparison)
    page = render(comparison)
    assert 'id="centres"' in page
    assert "A new centre" in page
    assert words in " ".join(page.split())
    first = results(comparison)["arms"][0]["centres"]
    assert [c["name"] for c in first["each"]] == NAMES[:5]
    assert [c["n_samples"] for c in first["each"]] == [int((centres == n).sum()) for n in NAMES[:5]]
    assert first["new_centre"]["low"] < first["new_centre"]["value"]
    table = centres_table(comparison)
    assert table.row_count == 6
    assert str(table.columns[0]._cells[-1]) == "a new centre"


def test_other_protocols_have_no_centres() -> None:
    comparison = compare(
        make_features(), ["logistic"], protocol=Protocol(n_splits=2, inner_splits=2)
    )
    assert centres_table(comparison) is None
    assert comparison.evaluations[0].centres is None
    assert 'id="centres"' not in render(comparison)
    assert not Metric(0.8, 0.7, 0.9, "DeLong").estimate_only
