"""Calibration, compared with scikit-learn, statsmodels and closed forms."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, log_expit, logit
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from statsmodels.stats.proportion import proportion_confint

from bottleneck.errors import ProtocolError, UsageError
from bottleneck.evaluation.metrics.probabilities.calibration import (
    bin_probabilities,
    calibrate,
    calibration_error,
    calibration_line,
)
from bottleneck.evaluation.metrics.probabilities.sigmoids import Sigmoids
from bottleneck.predictions import Predictions


def make(y, scores, *, kind="decision", folds=None, repeats=None, groups=None, classes=None):
    y, scores = np.asarray(y), np.asarray(scores, dtype=float)
    if scores.ndim == 1:
        scores = np.column_stack([1 - scores if kind == "probability" else -scores, scores])
    classes = tuple(sorted(set(y.tolist()))) if classes is None else classes
    n = len(y)
    return Predictions(
        ids=np.arange(n).astype(str),
        groups=groups,
        repeats=np.zeros(n, dtype=int) if repeats is None else repeats,
        folds=np.zeros(n, dtype=int) if folds is None else folds,
        labels=y,
        predicted=np.array(classes)[scores.argmax(axis=1)],
        scores=scores,
        classes=classes,
        kind=kind,
    )


def with_probabilities(y, share, **fields):
    made = make(y, share, kind="probability", **fields)
    return dataclasses.replace(made, probabilities=made.scores)


def well_calibrated(n=400, seed=0, slope=1.0, images=1):
    rng = np.random.default_rng(seed)
    odds = np.repeat(rng.normal(-0.5, 1.2, n), images)
    y = np.where(rng.random(n * images) < expit(odds), "p", "n")
    groups = np.repeat(np.arange(n), images).astype(str) if images > 1 else None
    return with_probabilities(y, expit(odds / slope), groups=groups)


def samples(classes, n_patients=45, seed=0):
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n_patients), 2)
    codes = patient % len(classes)
    X = rng.normal(size=(len(codes), 4)) + 0.7 * rng.normal(size=(n_patients, 4))[patient]
    X[np.arange(len(codes)), codes] += 1.2
    return X, np.array(classes)[codes], patient


@pytest.mark.parametrize("classes", ["np", "abc"])
@pytest.mark.parametrize("head", ["svm", "logistic"])
def test_probabilities_are_those_of_scikit_learn_on_the_same_inner_folds(classes, head):
    X, y, patient = samples(tuple(classes))
    outer = list(StratifiedGroupKFold(3).split(X, y, patient))
    classifier = (
        SVC(C=0.5, class_weight="balanced")
        if head == "svm"
        else LogisticRegression(class_weight="balanced")
    )
    # With three classes the log-odds of a softmax are not its decision function.
    kind = "probability" if head == "logistic" and classes == "np" else "decision"

    def score(model, rows):
        return model.predict_proba(X[rows]) if kind == "probability" else as_columns(model, rows)

    def as_columns(model, rows):
        found = model.decision_function(X[rows])
        return np.column_stack([-found, found]) if found.ndim == 1 else found

    test, inner, expected = [], [], []
    for number, (train, held) in enumerate(outer):
        pipeline = make_pipeline(StandardScaler(), classifier)
        folds = list(StratifiedGroupKFold(4).split(X[train], y[train], patient[train]))
        parts = []
        for n, (fit, out) in enumerate(folds):
            model = pipeline.fit(X[train][fit], y[train][fit])
            parts.append(
                make(y[train][out], score(model, train[out]), kind=kind, folds=np.full(len(out), n))
            )
        inner.append(Predictions.concatenate(parts))
        model = pipeline.fit(X[train], y[train])
        test.append(make(y[held], score(model, held), kind=kind, folds=np.full(len(held), number)))
        platt = CalibratedClassifierCV(pipeline, cv=folds, ensemble=False).fit(X[train], y[train])
        expected.append(platt.predict_proba(X[held]))
    found = calibrate(Predictions.concatenate(test), inner)
    np.testing.assert_allclose(found.probabilities, np.concatenate(expected), atol=1e-6)
    np.testing.assert_array_equal(found.scores, np.concatenate([t.scores for t in test]))


def test_small_probabilities_of_both_classes_keep_their_digits():
    decision = np.linspace(-300, 300, 41)
    labels = np.where(decision > 0, "malignant", "benign")
    made = Predictions.from_arrays(labels, np.column_stack([-decision, decision]))
    probabilities = Sigmoids((2.0,), (0.5,)).apply(made)
    wanted = np.exp(log_expit(np.column_stack([-(2 * decision + 0.5), 2 * decision + 0.5])))
    np.testing.assert_allclose(probabilities, wanted, rtol=1e-12)
    assert (probabilities > 0).all()


def test_class_weights_of_the_head_leave_the_frequencies_alone():
    rng = np.random.default_rng(0)
    y = np.where(rng.random(2000) < 0.15, "p", "n")
    score = 1.5 * (y == "p") + rng.normal(size=2000) + 3
    made = make(y, score)
    found = calibrate(made, [made])
    assert found.probabilities[:, 1].mean() == pytest.approx(np.mean(y == "p"), abs=1e-3)


def test_folds_are_matched_in_order_of_first_appearance():
    y = np.array(["n", "p"] * 20)
    folds, score = np.repeat([3, 1], 20), np.tile(np.arange(20.0), 2)
    test = make(y, score, folds=folds)
    rng = np.random.default_rng(0)
    informative = make(np.repeat(["n", "p"], 30), np.sort(rng.normal(size=60)) * 10)
    noise = make(np.repeat(["n", "p"], 30), rng.normal(size=60))
    found = calibrate(test, [informative, noise]).probabilities[:, 1]
    assert np.ptp(found[:20]) > np.ptp(found[20:])


def test_the_prior_only_arm_keeps_its_frequencies():
    X, y, patient = samples(("n", "p"))
    (train, held), *_ = StratifiedGroupKFold(3).split(X, y, patient)
    parts = []
    for n, (fit, out) in enumerate(
        StratifiedGroupKFold(4).split(X[train], y[train], patient[train])
    ):
        prior = DummyClassifier().fit(X[train][fit], y[train][fit])
        shares = prior.predict_proba(X[train][out])
        parts.append(make(y[train][out], shares, kind="probability", folds=np.full(len(out), n)))
    shares = DummyClassifier().fit(X[train], y[train]).predict_proba(X[held])
    found = calibrate(make(y[held], shares, kind="probability"), [Predictions.concatenate(parts)])
    np.testing.assert_array_equal(found.probabilities, shares)
    assert np.isnan(calibration_line(found, "p")[0].value)


def test_calibration_asks_for_every_fold_and_class():
    made = make(["n", "p", "n", "p"], [0.0, 1, 2, 3], folds=np.array([0, 0, 1, 1]))
    with pytest.raises(UsageError, match="2 test folds, but there are 1"):
        calibrate(made, [made])
    lacking = make(["n", "n"], [0.0, 1.0], classes=("n", "p"))
    with pytest.raises(ProtocolError, match="none of 'p'"):
        calibrate(made, [lacking, made])
    with pytest.raises(UsageError, match="no calibrated probabilities"):
        calibration_error(made, "p")


@pytest.mark.parametrize("images", [1, 4])
def test_slope_and_intercept_are_those_of_statsmodels(images):
    p = well_calibrated(images=images, slope=1.7)
    slope, intercept = calibration_line(p, "p")
    odds, true = logit(p.probabilities[:, 1]), (p.labels == "p").astype(float)
    patients = np.repeat(np.arange(400), images)
    robust = {"cov_type": "cluster", "cov_kwds": {"groups": patients, "use_correction": False}}
    line = sm.GLM(true, sm.add_constant(odds), sm.families.Binomial()).fit(**robust)
    large = sm.GLM(true, np.ones(len(true)), sm.families.Binomial(), offset=odds).fit(**robust)
    for found, value, error in (
        (slope, line.params[1], line.bse[1]),
        (intercept, large.params[0], large.bse[0]),
    ):
        assert found.value == pytest.approx(value, abs=1e-8)
        assert found.standard_error == pytest.approx(error * np.sqrt(400 / 399), rel=1e-6)
        assert found.high - found.value == pytest.approx(found.value - found.low)
        assert 1.96 < (found.high - found.value) / found.standard_error < 2.02
    assert slope.low < 1.7 < slope.high


def test_independent_samples_have_nearly_the_plain_standard_error():
    p = well_calibrated(4000)
    odds, true = logit(p.probabilities[:, 1]), (p.labels == "p").astype(float)
    plain = sm.GLM(true, sm.add_constant(odds), sm.families.Binomial()).fit()
    slope, intercept = calibration_line(p, "p")
    assert slope.standard_error == pytest.approx(plain.bse[1], rel=0.05)
    assert slope.low < 1 < slope.high
    assert intercept.low < 0 < intercept.high


def test_intercept_says_by_how_much_log_odds_are_too_low():
    p = well_calibrated(4000)
    share = expit(logit(p.probabilities) + np.array([0.4, -0.4]))
    shifted = dataclasses.replace(p, probabilities=share)
    before, after = (calibration_line(q, "p")[1].value for q in (p, shifted))
    assert after - before == pytest.approx(0.4, abs=1e-8)


def values(intervals):
    return [x for i in intervals for x in (i.value, i.low, i.high, i.standard_error)]


def test_copies_groups_of_one_and_the_same_repeat_change_nothing():
    p = well_calibrated(120)
    plain = values(calibration_line(p, "p"))
    single = dataclasses.replace(p, groups=p.ids)
    assert values(calibration_line(single, "p")) == pytest.approx(plain, abs=1e-9)
    copied = single.take(np.repeat(np.arange(120), 3))
    assert values(calibration_line(copied, "p")) == pytest.approx(plain, abs=1e-7)
    again = Predictions.concatenate([p, dataclasses.replace(p, repeats=p.repeats + 1)])
    assert values(calibration_line(again, "p")) == pytest.approx(plain, abs=1e-9)
    for one in (copied, again):
        assert calibration_error(one, "p") == pytest.approx(calibration_error(p, "p"))


def test_overlapping_training_sets_widen_the_interval():
    p = well_calibrated(120)
    folded = dataclasses.replace(p, folds=np.arange(120) % 5)
    for once, over in zip(calibration_line(p, "p"), calibration_line(folded, "p"), strict=True):
        assert over.standard_error == pytest.approx(1.5 * once.standard_error)


def test_a_line_without_a_finite_answer_is_nan():
    apart = with_probabilities(["n", "n", "p", "p"], [0.1, 0.2, 0.8, 0.9])
    slope, intercept = calibration_line(apart, "p")
    assert np.isnan(slope.value)
    assert np.isfinite(intercept.value)
    only = with_probabilities(["p", "p"], [0.1, 0.2], classes=("n", "p"))
    assert all(np.isnan(line.value) for line in calibration_line(only, "p"))


def test_bins_are_those_of_scikit_learn():
    p = well_calibrated(400, seed=3)
    true, share = p.labels == "p", p.probabilities[:, 1]
    observed, predicted = calibration_curve(true, share, n_bins=10, strategy="quantile")
    bins = bin_probabilities(p, "p", source="somewhere").bins
    assert [b.n for b in bins] == [40] * 10
    np.testing.assert_allclose([b.predicted for b in bins], predicted)
    np.testing.assert_allclose([b.observed.value for b in bins], observed)
    assert calibration_error(p, "p") == pytest.approx(np.mean(np.abs(observed - predicted)))
    for b in bins:
        hits = round(b.observed.value * 40)
        low, high = proportion_confint(hits, 40, method="wilson")
        assert (b.observed.low, b.observed.high) == pytest.approx((low, high))


def test_bins_need_ten_patients_and_keep_equal_probabilities_together():
    p = well_calibrated(45)
    assert [b.n for b in bin_probabilities(p, "p", source="").bins] == [12, 11, 11, 11]
    copied = dataclasses.replace(p, groups=p.ids).take(np.repeat(np.arange(45), 2))
    assert [b.n for b in bin_probabilities(copied, "p", source="").bins] == [24, 22, 22, 22]
    constant = with_probabilities(["n", "p"] * 100, np.full(200, 0.4))
    (only,) = bin_probabilities(constant, "p", source="").bins
    assert (only.n, only.predicted, only.observed.value) == pytest.approx((200, 0.4, 0.5))
    assert calibration_error(constant, "p") == pytest.approx(0.1)
