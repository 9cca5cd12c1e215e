"""Metrics compared with scikit-learn and with tables counted by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from bottleneck.errors import UsageError
from bottleneck.evaluation.metrics.metrics import (
    METRICS,
    PROBABILITY_METRICS,
    compute_metrics,
    compute_metrics_of_class,
    count_confusion,
    fold_aurocs,
)
from bottleneck.predictions import Predictions


def predict(labels, predicted=None, scores=None, folds=None, repeats=None, classes=None):
    labels = np.asarray(labels)
    n = len(labels)
    classes = tuple(sorted(set(labels))) if classes is None else classes
    if scores is None:
        scores = np.zeros((n, len(classes)))
    scores = np.asarray(scores, dtype=float)
    if scores.ndim == 1:
        scores = np.column_stack([-scores, scores])
    return Predictions(
        ids=np.arange(n).astype(str),
        groups=None,
        repeats=np.zeros(n, dtype=int) if repeats is None else np.asarray(repeats),
        folds=np.zeros(n, dtype=int) if folds is None else np.asarray(folds),
        labels=labels,
        predicted=np.array(classes)[scores.argmax(1)] if predicted is None else np.array(predicted),
        scores=scores,
        classes=classes,
        kind="decision",
    )


def test_a_table_counted_by_hand():
    # 8 sick of whom 6 are found, 12 healthy of whom 9 are cleared.
    labels = ["sick"] * 8 + ["well"] * 12
    predicted = ["sick"] * 6 + ["well"] * 2 + ["sick"] * 3 + ["well"] * 9
    p = predict(labels, predicted)
    figures = compute_metrics(p, positive="sick")
    assert tuple(figures) == tuple(m for m in METRICS if m not in PROBABILITY_METRICS)
    expected = {
        "accuracy": 15 / 20,
        "balanced_accuracy": (6 / 8 + 9 / 12) / 2,
        "sensitivity": 6 / 8,
        "specificity": 9 / 12,
        "ppv": 6 / 9,
        "npv": 9 / 11,
        "f1": 2 * 6 / (2 * 6 + 2 + 3),
        "mcc": (6 * 9 - 3 * 2) / np.sqrt(9 * 8 * 12 * 11),
        "auroc": 0.5,
        "auprc": 8 / 20,
    }
    assert figures == pytest.approx(expected)
    assert count_confusion(p).tolist() == [[6, 2], [3, 9]]
    swapped = compute_metrics(p, positive="well")
    assert (swapped["sensitivity"], swapped["ppv"]) == pytest.approx((9 / 12, 9 / 11))


binary_rows = st.lists(
    st.tuples(st.sampled_from("nnnp"), st.sampled_from("np"), st.integers(-3, 3)),
    min_size=6,
    max_size=40,
).filter(lambda rows: len({r[0] for r in rows}) == 2)


@settings(max_examples=80)
@given(binary_rows)
def test_two_classes_against_scikit_learn(rows):
    y, z, s = map(np.array, zip(*rows, strict=True))
    figures = compute_metrics(predict(y, z, s), positive="p")
    undefined = {"zero_division": np.nan}
    expected = {
        "accuracy": reference.accuracy_score(y, z),
        "balanced_accuracy": np.mean(reference.recall_score(y, z, average=None, **undefined)),
        "sensitivity": reference.recall_score(y, z, pos_label="p", **undefined),
        "specificity": reference.recall_score(y, z, pos_label="n", **undefined),
        "ppv": reference.precision_score(y, z, pos_label="p", **undefined),
        "npv": reference.precision_score(y, z, pos_label="n", **undefined),
        "f1": reference.f1_score(y, z, pos_label="p", **undefined),
        "mcc": reference.matthews_corrcoef(y, z) if len(set(z)) > 1 else np.nan,
        "auroc": reference.roc_auc_score(y == "p", s),
        "auprc": reference.average_precision_score(y == "p", s),
    }
    assert figures == pytest.approx(expected, nan_ok=True)


@settings(max_examples=60)
@given(st.lists(st.sampled_from("abc"), min_size=12, max_size=50), st.randoms())
def test_three_classes_against_scikit_learn(drawn, random):
    y = np.array([*"abc", *drawn])
    z = np.array([*"abc", *(random.choice("abc") for _ in drawn)])
    raw = np.array([[random.random() for _ in range(3)] for _ in y]) + 0.1
    scores = raw / raw.sum(axis=1, keepdims=True)
    figures = compute_metrics(predict(y, z, scores))
    tables = reference.multilabel_confusion_matrix(y, z)
    tn, fp, fn = tables[:, 0, 0], tables[:, 0, 1], tables[:, 1, 0]
    expected = {
        "accuracy": reference.accuracy_score(y, z),
        "balanced_accuracy": reference.balanced_accuracy_score(y, z),
        "sensitivity": reference.recall_score(y, z, average="macro"),
        "specificity": np.mean(tn / (tn + fp)),
        "ppv": reference.precision_score(y, z, average="macro"),
        "npv": np.mean(tn / (tn + fn)),
        "f1": reference.f1_score(y, z, average="macro"),
        "mcc": reference.matthews_corrcoef(y, z),
        "auroc": reference.roc_auc_score(y, scores, multi_class="ovr", average="macro"),
        "auprc": reference.average_precision_score(y, scores, average="macro"),
    }
    assert figures == pytest.approx(expected)
    one = compute_metrics(predict(y, z, scores), positive="b")
    assert one["mcc"] == pytest.approx(reference.matthews_corrcoef(y == "b", z == "b"))
    assert one["sensitivity"] == pytest.approx(reference.recall_score(y == "b", z == "b"))
    assert one["auroc"] == pytest.approx(reference.roc_auc_score(y == "b", scores[:, 1]))


def test_what_is_not_defined_is_nan_and_not_zero():
    y = np.array(["n", "n", "p", "p"])
    never = compute_metrics(predict(y, ["n"] * 4), positive="p")
    assert np.isnan(never["ppv"])
    assert (never["sensitivity"], never["npv"], never["f1"]) == (0, 0.5, 0)
    always = compute_metrics(predict(y, ["p"] * 4), positive="p")
    assert np.isnan(always["npv"])
    # A class that is never predicted has no precision, so the mean over classes has none.
    three = compute_metrics(predict(["a", "b", "c"], ["a", "b", "a"]))
    assert np.isnan(three["ppv"])
    assert three["sensitivity"] == pytest.approx(2 / 3)


def test_samples_of_one_class_alone():
    figures = compute_metrics(predict(["p", "p"], ["p", "n"], classes=("n", "p")), positive="p")
    assert figures["sensitivity"] == 0.5
    assert all(np.isnan(figures[m]) for m in ("specificity", "balanced_accuracy", "auroc"))


def test_auroc_is_averaged_within_folds_and_never_pooled():
    # Each fold ranks perfectly, on a scale of its own.
    p = predict(["n", "p", "n", "p"], scores=[0.0, 1.0, 10.0, 11.0], folds=[0, 0, 1, 1])
    assert compute_metrics(p, positive="p")["auroc"] == 1
    assert reference.roc_auc_score(p.labels == "p", p.scores[:, 1]) == 0.75


def test_fold_aurocs_come_repeat_by_repeat():
    rng = np.random.default_rng(0)
    y = np.array(["n", "p"] * 30)
    folds = np.tile(np.repeat([0, 1, 2], 10), 2)
    repeats = np.repeat([0, 1], 30)
    s = rng.normal(size=60)
    p = predict(y, scores=s, folds=folds, repeats=repeats)
    expected = [
        reference.roc_auc_score((y == "p")[rows], s[rows])
        for r in (0, 1)
        for f in (0, 1, 2)
        for rows in [(repeats == r) & (folds == f)]
    ]
    np.testing.assert_allclose(fold_aurocs(p, positive="p"), expected)
    assert compute_metrics(p, positive="p")["auroc"] == pytest.approx(np.mean(expected))
    # Without a positive class, each against the rest: of two, both have the same.
    np.testing.assert_allclose(fold_aurocs(p), expected)


def test_a_fold_without_a_class_has_no_auroc():
    p = predict(["n", "p", "n", "n"], scores=[0.0, 1.0, 2.0, 3.0], folds=[0, 0, 1, 1])
    np.testing.assert_array_equal(fold_aurocs(p, positive="p"), [1, np.nan])
    assert np.isnan(compute_metrics(p, positive="p")["auroc"])


def test_counts_are_pooled_over_folds_and_averaged_over_repeats():
    y = ["p", "n", "n", "n", "p", "p"] * 2
    z = ["p", "p", "n", "n", "n", "n", "p", "n", "n", "n", "p", "n"]
    p = predict(y, z, folds=[0, 0, 1, 1, 2, 2] * 2, repeats=[0] * 6 + [1] * 6)
    figures = compute_metrics(p, positive="p")
    assert figures["sensitivity"] == pytest.approx((1 / 3 + 2 / 3) / 2)
    assert figures["ppv"] == pytest.approx((1 / 2 + 2 / 2) / 2)
    assert count_confusion(p).tolist() == [[2, 1], [2, 1]]
    assert count_confusion(p, 1).tolist() == [[3, 0], [1, 2]]


def test_brier_score_of_probabilities_against_scikit_learn():
    rng = np.random.default_rng(0)
    y = np.array(list("abc"))[np.arange(60) % 3]
    shares = rng.dirichlet(np.ones(3), 60)
    p = dataclasses.replace(predict(y, scores=shares), probabilities=shares)
    one, all_classes = compute_metrics(p, positive="b"), compute_metrics(p)
    assert tuple(one) == METRICS
    assert one["brier"] == pytest.approx(reference.brier_score_loss(y == "b", shares[:, 1]))
    total = reference.brier_score_loss(y, shares, scale_by_half=False)
    assert all_classes["brier"] == pytest.approx(total / 3)
    apart = {name: compute_metrics_of_class(p, name) for name in p.classes}
    assert apart["b"] == {k: v for k, v in one.items() if "accuracy" not in k}
    for metric in ("auprc", "brier", "ece", "calibration_slope", "sensitivity"):
        mean = np.mean([apart[c][metric] for c in "abc"])
        assert all_classes[metric] == pytest.approx(mean)


def test_average_precision_is_averaged_within_folds():
    p = predict(["n", "p", "n", "p"], scores=[0.0, 1.0, 10.0, 11.0], folds=[0, 0, 1, 1])
    assert compute_metrics(p, positive="p")["auprc"] == 1
    assert reference.average_precision_score(p.labels == "p", p.scores[:, 1]) < 1


def test_an_unknown_positive_class_is_refused():
    with pytest.raises(UsageError, match="unknown positive label 'malign'"):
        compute_metrics(predict(["n", "p"]), positive="malign")
