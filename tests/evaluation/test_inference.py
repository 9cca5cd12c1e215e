"""The right interval and test for each figure and protocol."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats
from scipy.special import softmax
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from bottleneck.evaluation.functionals import Functionals
from bottleneck.evaluation.inference import (
    intervals,
    intervals_per_class,
    paired_tests,
    secondary_tests,
)
from bottleneck.evaluation.intervals import bootstrap_intervals, roc_auc_interval
from bottleneck.evaluation.metrics import METRICS, OF_PROBABILITIES, fold_aurocs
from bottleneck.evaluation.significance import delong_test, mcnemar_test
from bottleneck.predictions import Predictions


def predict(
    n: int = 80,
    *,
    seed: int = 0,
    skill: float = 1.0,
    groups: bool = False,
    folds: int = 1,
    repeats: int = 1,
    classes: tuple[str, ...] = ("benign", "malignant"),
) -> Predictions:
    """Binormal scores; the same samples whatever the seed of the scores."""
    codes = np.arange(n) % len(classes)
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n * repeats, len(classes)))
    codes = np.tile(codes, repeats)
    scores[np.arange(len(codes)), codes] += skill
    names = np.array(classes)
    return Predictions(
        ids=np.tile(np.arange(n).astype(str), repeats),
        groups=np.tile((np.arange(n) // (2 * len(classes))).astype(str), repeats)
        if groups
        else None,
        repeats=np.repeat(np.arange(repeats), n),
        folds=np.tile(np.arange(n) // len(classes) % folds, repeats),
        labels=names[codes],
        predicted=names[scores.argmax(axis=1)],
        scores=scores,
        classes=classes,
        kind="decision",
    )


def test_proportions_have_wilsons_interval() -> None:
    arm = predict()
    found = intervals(arm, positive="malignant")
    said, true = arm.predicted == "malignant", arm.labels == "malignant"
    for name, right, of in (
        ("accuracy", said == true, np.ones(80, bool)),
        ("sensitivity", said, true),
        ("specificity", ~said, ~true),
        ("ppv", true, said),
        ("npv", ~true, ~said),
    ):
        hits, n = int(right[of].sum()), int(of.sum())
        low, high = proportion_confint(hits, n, method="wilson")
        assert (found[name].low, found[name].high) == pytest.approx((low, high), abs=1e-12)
        assert found[name].value == pytest.approx(hits / n)


def test_what_has_no_closed_interval_is_linearised() -> None:
    one, folded = (with_probabilities(predict(200, folds=k)) for k in (1, 5))
    a, b = (intervals(arm, positive="malignant") for arm in (one, folded))
    for name in ("f1", "mcc", "auprc", "brier"):
        assert a[name].method == "influence by patient"
        assert b[name].method == "influence by patient with Nadeau & Bengio's correction"
        # The same variance, times 1 + 5 / 4; within folds, the AUPRC is another figure.
        if name != "auprc":
            assert b[name].value == pytest.approx(a[name].value)
            assert b[name].standard_error == pytest.approx(1.5 * a[name].standard_error)
    assert set(METRICS) - set(a) == {"ece"}
    assert set(a) == set(b)
    plain = intervals(predict(200), positive="malignant")
    assert set(METRICS) - set(plain) == set(OF_PROBABILITIES)


@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize("classes", [("benign", "malignant"), ("a", "b", "c")])
def test_influence_and_joined_recalls_are_near_the_bootstrap(
    classes: tuple[str, ...], groups: bool
) -> None:
    arm = with_probabilities(predict(420, groups=groups, classes=classes))
    positive = "malignant" if "malignant" in classes else None
    functionals = Functionals(arm, positive)
    drawn = bootstrap_intervals(functionals.evaluate, arm.labels, arm.groups)
    found = intervals(arm, positive=positive)
    for name, expected in zip(functionals.names, drawn, strict=True):
        assert expected is not None
        assert found[name].value == pytest.approx(expected.value)
        bounds = (expected.low, expected.high)
        assert (found[name].low, found[name].high) == pytest.approx(bounds, abs=0.025), name


def test_balanced_accuracy_joins_wilsons_intervals() -> None:
    arm = predict()
    found = intervals(arm, positive="malignant")
    a, b = found["sensitivity"], found["specificity"]
    low = np.hypot(a.value - a.low, b.value - b.low) / 2
    high = np.hypot(a.high - a.value, b.high - b.value) / 2
    joined = found["balanced_accuracy"]
    assert joined.value == pytest.approx((a.value + b.value) / 2)
    assert (joined.low, joined.high) == pytest.approx((joined.value - low, joined.value + high))


@pytest.mark.parametrize("folds", [1, 4])
@pytest.mark.parametrize("classes", [("benign", "malignant"), ("a", "b", "c")])
def test_copies_within_patients_change_no_interval(classes: tuple[str, ...], folds: int) -> None:
    arm = with_probabilities(predict(96, folds=folds, classes=classes))
    positive = "malignant" if "malignant" in classes else None
    single = dataclasses.replace(arm, groups=arm.ids)
    rows = np.repeat(np.arange(96), 2)
    copies = dataclasses.replace(single.take(rows), ids=np.arange(192).astype(str))
    plain, named, twice = (intervals(p, positive=positive) for p in (arm, single, copies))
    assert set(plain) == set(named) == set(twice)
    for name, expected in plain.items():
        for found in (named[name], twice[name]):
            assert (found.value, found.low, found.high) == pytest.approx(
                (expected.value, expected.low, expected.high), abs=1e-7
            )


@pytest.mark.parametrize("folds", [1, 4])
def test_perfect_predictions_are_never_certain(folds: int) -> None:
    arm = predict(80, skill=100, folds=folds)
    assert (arm.predicted == arm.labels).all()
    found = intervals(arm, positive="malignant")
    assert set(found) == set(METRICS) - {"auprc", *OF_PROBABILITIES}
    assert all(i.low < 0.97 and i.value == i.high == 1 for i in found.values())
    # Of 40 and 40, with the lower bounds of both recalls at once or one alone.
    worst, single = found["sensitivity"].low + found["specificity"].low - 1, found["mcc"].low
    assert worst < single < found["balanced_accuracy"].low


def test_only_what_is_asked_for_is_computed() -> None:
    arm = with_probabilities(predict())
    assert set(intervals(arm, positive="malignant", names=("auroc", "ppv"))) == {"auroc", "ppv"}


def with_probabilities(arm: Predictions) -> Predictions:
    return dataclasses.replace(arm, probabilities=softmax(arm.scores, axis=1))


def test_every_class_has_the_intervals_of_its_own() -> None:
    arm = with_probabilities(predict(90, classes=("a", "b", "c")))
    apart = intervals_per_class(arm)
    assert list(apart) == ["a", "b", "c"]
    expected = roc_auc_interval(arm.labels == "b", arm.scores[:, 1])
    assert apart["b"]["auroc"] == expected
    hits = (arm.predicted == "b")[arm.labels == "b"]
    low, high = proportion_confint(hits.sum(), 30, method="wilson")
    found = apart["b"]["sensitivity"]
    assert (found.low, found.high) == pytest.approx((low, high))
    assert set(apart["b"]) == set(METRICS) - {"accuracy", "balanced_accuracy", "ece"}


def test_folds_divide_the_effective_number_of_a_proportion() -> None:
    one, folded = predict(80), predict(80, folds=5)
    a, b = (intervals(p, positive="malignant")["sensitivity"] for p in (one, folded))
    assert b.standard_error == pytest.approx(1.5 * a.standard_error)


def test_secondary_tests_are_called_so() -> None:
    once = {name: predict(seed=n, folds=4) for n, name in enumerate("ab")}
    (accuracy,) = secondary_tests(once, "malignant")
    a, b = (arm.predicted == arm.labels for arm in once.values())
    expected = mcnemar_test(a, b)
    assert (accuracy.metric, accuracy.role) == ("accuracy", "secondary")
    assert (accuracy.value, accuracy.p) == pytest.approx((expected.difference, expected.p))
    assert accuracy.p_adjusted is None
    often = {name: predict(seed=n, folds=4, repeats=3) for n, name in enumerate("ab")}
    first = {name: arm.take(arm.repeats == 0) for name, arm in often.items()}
    accuracy, auroc = secondary_tests(often, "malignant")
    # Repeats are never pooled.
    (alone,) = secondary_tests(first, "malignant")
    assert (accuracy.value, accuracy.low, accuracy.p) == (alone.value, alone.low, alone.p)
    differences = np.subtract(*(fold_aurocs(arm, positive="malignant") for arm in often.values()))
    error = np.sqrt((1 / 12 + 20 / 60) * differences.var(ddof=1))
    assert (auroc.metric, auroc.role) == ("auroc", "secondary")
    assert auroc.value == pytest.approx(differences.mean())
    t = abs(auroc.value) / error
    assert auroc.p == pytest.approx(2 * stats.t.sf(t, 11))
    assert "does not hold its level" in str(auroc.method)


def test_arms_of_three_classes_are_compared() -> None:
    classes = ("a", "b", "c")
    arms = {
        n: predict(90, seed=i, skill=s, classes=classes, folds=3)
        for i, (n, s) in enumerate({"x": 1.5, "y": 1.5, "z": 0.0}.items())
    }
    tests = {(t.a, t.b): t for t in paired_tests(arms, None, family=["x", "y", "z"])}
    clear = tests["x", "z"].result
    values = [fold_aurocs(arms[n]).mean() for n in "xz"]
    assert clear.difference == pytest.approx(values[0] - values[1])
    assert clear.low > 0
    assert clear.p < 0.01
    assert tests["x", "y"].result.low < 0 < tests["x", "y"].result.high
    expected = multipletests([t.result.p for t in tests.values()], method="holm")[1]
    np.testing.assert_allclose([t.p_adjusted for t in tests.values()], expected)


def test_patients_widen_the_interval_of_copies() -> None:
    one = predict(40)
    rows = np.repeat(np.arange(40), 2)
    copies = Predictions(
        ids=np.arange(80).astype(str),
        groups=one.ids[rows],
        repeats=one.repeats[rows],
        folds=one.folds[rows],
        labels=one.labels[rows],
        predicted=one.predicted[rows],
        scores=one.scores[rows],
        classes=one.classes,
        kind=one.kind,
    )
    single, double = (intervals(p, positive="malignant") for p in (one, copies))
    for name in ("accuracy", "auroc"):
        width = double[name].high - double[name].low
        assert width == pytest.approx(single[name].high - single[name].low, rel=0.05)


def test_a_single_test_part_has_delongs_test() -> None:
    a, b = predict(seed=1), predict(seed=2, skill=0.3)
    true = a.labels == "malignant"
    assert intervals(a, positive="malignant")["auroc"] == roc_auc_interval(true, a.scores[:, 1])
    (test,) = paired_tests({"a": a, "b": b}, "malignant", family=["a", "b"])
    assert test.result == delong_test(true, a.scores[:, 1], b.scores[:, 1])


def test_folds_are_never_ranked_together() -> None:
    arm = predict(folds=4)
    shifted = np.array(arm.scores)
    shifted += 100 * arm.folds[:, None]
    moved = Predictions(**{**vars(arm), "scores": shifted})
    a, b = (intervals(p, positive="malignant")["auroc"] for p in (arm, moved))
    assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high))
    assert "LeDell" in a.method


def test_repeats_are_no_new_patients() -> None:
    once, often = predict(folds=4), predict(folds=4, repeats=5)
    a, b = (intervals(p, positive="malignant") for p in (once, often))
    for name in ("accuracy", "auroc"):
        assert b[name].high - b[name].low > 0.5 * (a[name].high - a[name].low)


def test_holms_family_is_the_arms_with_features() -> None:
    arms = {f"arm {n}": predict(seed=n, skill=n / 2, folds=4, groups=True) for n in range(3)}
    arms["prior only"] = predict(seed=9, skill=0, folds=4, groups=True)
    tests = paired_tests(arms, "malignant", family=[a for a in arms if a != "prior only"])
    primary = [t for t in tests if "prior only" not in (t.a, t.b)]
    assert len(tests) == 6
    assert [t.p_adjusted for t in tests if t not in primary] == [None] * 3
    expected = multipletests([t.result.p for t in primary], method="holm")[1]
    np.testing.assert_allclose([t.p_adjusted for t in primary], expected)


def test_without_a_positive_class_averages_have_intervals() -> None:
    arm = with_probabilities(predict(90, classes=("a", "b", "c")))
    lacking = {"ece", "calibration_slope", "calibration_intercept"}
    assert set(METRICS) - set(intervals(arm, positive=None)) == lacking


def test_what_is_never_said_has_no_interval() -> None:
    arm = predict()
    never = Predictions(**{**vars(arm), "predicted": np.full(80, "benign")})
    assert "ppv" not in intervals(never, positive="malignant")
