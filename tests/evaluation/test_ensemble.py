"""The ensemble, against numpy and scikit-learn by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_features import VGG, make_features
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import UsageError
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.metrics.inference.row_groups import split_folds
from bottleneck.report.json_record import results

QUICK = Protocol(n_splits=2, inner_splits=2)
NAME = "ensemble (mean)"


def platt(x, is_positive, at):
    """Platt's sigmoid: a logistic regression on softened labels, as in Platt (1999)."""
    n = is_positive.sum(), (~is_positive).sum()
    target = np.where(is_positive, (n[0] + 1) / (n[0] + 2), 1 / (n[1] + 2))
    model = LogisticRegression(C=1e12, tol=1e-10, max_iter=10_000)
    both = np.concatenate([x, x])[:, None]
    labels = np.repeat([1, 0], len(x))
    model.fit(both, labels, sample_weight=np.concatenate([target, 1 - target]))
    return model.predict_proba(at[:, None])[:, 1]


def unbounded(predictions):
    x = predictions.scores[:, 1]
    return x if predictions.kind == "decision" else logit(np.clip(x, 1e-15, 1 - 1e-15))


@pytest.fixture(scope="module")
def features():
    return make_features(n_patients=40, signal=1.2)


@pytest.fixture(scope="module")
def sets(features):
    return [features, make_features(n_patients=40, signal=1.0, seed=1, recipe=VGG)]


@pytest.fixture(scope="module")
def external(sets):
    elsewhere = {"name": "elsewhere", "fingerprint": "e" * 64}
    made = []
    for one, recipe in zip(sets, (None, VGG), strict=True):
        other = make_features(n_patients=20, signal=1.1, seed=7, dataset=elsewhere, recipe=recipe)
        patients = np.char.add("other ", other.stated_patients)
        made.append(other.take(np.arange(len(other)), stated_patients=patients))
        assert made[-1].recipe_hash == one.recipe_hash
    return made


@pytest.fixture(scope="module")
def together(sets, external):
    return compare(sets, ["logistic"], protocol=QUICK, external=external, ensemble="mean")


def test_the_ensemble_is_the_mean_of_calibrated_probabilities(together):
    *members, ensemble, _ = together.evaluations
    assert ensemble.name == NAME
    assert ensemble.members == tuple(e.name for e in members)
    probabilities = [e.predictions.probabilities for e in members]
    np.testing.assert_allclose(ensemble.predictions.scores, np.mean(probabilities, axis=0))
    np.testing.assert_array_equal(
        ensemble.predictions.predicted,
        np.where(ensemble.predictions.scores[:, 1] > 0.5, "malignant", "benign"),
    )
    for cohort in together.external:
        *inside, outside, _ = cohort.evaluations
        assert outside.name == NAME
        means = np.mean([e.predictions.probabilities for e in inside], axis=0)
        np.testing.assert_allclose(outside.predictions.scores, means)


def test_thresholds_and_calibration_come_from_training_sets(together):
    *members, ensemble, _ = together.evaluations
    test = ensemble.predictions
    for fold, rows in enumerate(split_folds(test)):
        by_hand = []
        for member in members:
            part = together.inner[member.name][fold]
            is_positive = part.labels == "malignant"
            by_hand.append(platt(unbounded(part), is_positive, unbounded(part)))
        inner = together.inner[NAME][fold]
        np.testing.assert_allclose(inner.scores[:, 1], np.mean(by_hand, axis=0), atol=1e-4)
        assert not set(inner.ids) & set(test.ids[rows])
        calibrated = platt(
            unbounded(inner), inner.labels == "malignant", logit(test.scores[rows, 1])
        )
        np.testing.assert_allclose(test.probabilities[rows, 1], calibrated, atol=1e-3)
    assert [point.held for point in ensemble.operating_points] == ["sensitivity", "specificity"]


def test_the_jackknife_of_one_arm_is_none_of_the_mean(together):
    *members, ensemble, _ = together.evaluations
    for member in members:
        assert "jackknife" in member.metrics["auroc"].method
    assert ensemble.predictions.jackknife is None
    assert "Nadeau" in ensemble.metrics["auroc"].method


def test_the_ensemble_is_an_arm_like_any_other(together):
    *members, ensemble, _ = together.evaluations
    auroc = ensemble.metrics["auroc"]
    assert auroc.low < auroc.value < auroc.high
    pairs = {(d.a, d.b) for d in together.differences if d.role == "primary"}
    assert {(member.name, NAME) for member in members} <= pairs
    record = results(together)
    assert record["arms"][-2]["members"] == [e.name for e in members]
    assert (
        f"'{NAME}' is the mean of the calibrated probabilities of 2 arms"
        in (record["protocol"]["words"])
    )
    assert any(drop.arm == NAME for drop in together.external[0].drops)


def write(arm, inner, path, *, probabilities=False):
    frame = arm.predictions.to_frame().assign(part="test")
    frame = frame[[c for c in frame if probabilities or not c.startswith("probability_")]]
    parts = [frame]
    for fold, part in enumerate(inner):
        parts.append(part.to_frame().assign(part="validation", repeat=0, fold=fold))
    pd.concat(parts).to_csv(path, index=False)
    return path


def test_imported_predictions_join_where_they_can_be_calibrated(features, together, tmp_path):
    arm = together.evaluations[1]  # Of the other features.
    halves = [part.take(np.arange(0, len(part), 2)) for part in together.inner[arm.name]]
    path = write(arm, halves, tmp_path / "theirs.csv")
    both = compare(features, ["logistic"], predictions=[path], protocol=QUICK, ensemble="mean")
    ours, theirs, ensemble, _ = both.evaluations
    assert ensemble.members == (ours.name, "theirs")
    # They share the validation samples only.
    assert [set(p.ids) for p in both.inner[NAME]] == [set(p.ids) for p in halves]
    means = (ours.predictions.probabilities + theirs.predictions.probabilities) / 2
    np.testing.assert_allclose(ensemble.predictions.scores, means)


@pytest.mark.slow
def test_imported_probabilities_join_without_thresholds(features, external, together, tmp_path):
    path = write(together.evaluations[1], (), tmp_path / "theirs.csv", probabilities=True)
    both = compare(
        features,
        ["logistic"],
        predictions=[path],
        protocol=QUICK,
        ensemble="mean",
        external=external[0],
    )
    ours, theirs, ensemble, _ = both.evaluations
    assert ensemble.operating_points == ()
    means = (ours.predictions.probabilities + theirs.predictions.probabilities) / 2
    np.testing.assert_allclose(ensemble.predictions.probabilities, means)
    assert "not all of its arms have inner predictions" in both.protocol["words"]
    assert "imported arms do not predict" in both.protocol["words"]
    assert [e.name for e in both.external[0].evaluations] == [ours.name, "prior only"]


def test_what_cannot_be_averaged_is_refused(features, together, tmp_path):
    path = write(together.evaluations[1], (), tmp_path / "theirs.csv")
    with pytest.raises(UsageError, match="the predictions 'theirs' have neither columns"):
        compare(features, ["logistic"], predictions=[path], protocol=QUICK, ensemble="mean")
    with pytest.raises(UsageError, match="there is only 'resnet18"):
        compare(features, ["logistic"], protocol=QUICK, ensemble="mean")
    with pytest.raises(UsageError, match="unknown ensemble 'median'"):
        compare(features, ["logistic"], protocol=QUICK, ensemble="median")
