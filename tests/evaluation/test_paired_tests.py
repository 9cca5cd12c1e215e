"""The right test of two arms for each figure and protocol."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_predictions import predict
from scipy import stats
from statsmodels.stats.multitest import multipletests

from bottleneck.evaluation.metrics.inference.paired_tests import paired_tests, secondary_tests
from bottleneck.evaluation.metrics.metrics import fold_aurocs
from bottleneck.evaluation.results.comparison_results import Evaluation
from bottleneck.heads.head_catalogue import HEADS, get_head
from bottleneck.predictions import Predictions
from bottleneck.statistics.accuracy.mcnemar import mcnemar_of_correct
from bottleneck.statistics.roc.auroc_tests import roc_auc_difference


def test_a_single_test_part_has_delongs_test() -> None:
    a, b = predict(seed=1), predict(seed=2, skill=0.3)
    (test,) = paired_tests({"a": a, "b": b}, "malignant", family=["a", "b"])
    assert test.result == roc_auc_difference(
        a.labels == "malignant", a.scores[:, 1], b.scores[:, 1]
    )


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


def test_holms_family_is_the_arms_with_features() -> None:
    arms = {f"arm {n}": predict(seed=n, skill=n / 2, folds=4, groups=True) for n in range(3)}
    arms["prior only"] = predict(seed=9, skill=0, folds=4, groups=True)
    tests = paired_tests(arms, "malignant", family=[a for a in arms if a != "prior only"])
    primary = [t for t in tests if "prior only" not in (t.a, t.b)]
    assert len(tests) == 6
    assert [t.p_adjusted for t in tests if t not in primary] == [None] * 3
    expected = multipletests([t.result.p for t in primary], method="holm")[1]
    np.testing.assert_allclose([t.p_adjusted for t in primary], expected)


def test_accuracy_over_folds_has_the_factor_of_overlapping_training_sets() -> None:
    once = {name: predict(seed=n, folds=4) for n, name in enumerate("ab")}
    (accuracy,) = secondary_tests(once, {"a": True, "b": True})
    a, b = (arm.predicted == arm.labels for arm in once.values())
    only_a, only_b = (a & ~b).sum(), (b & ~a).sum()
    chi_squared = (only_a - only_b) ** 2 / (only_a + only_b) / (1 + 4 / 3)
    assert (accuracy.metric, accuracy.role) == ("accuracy", "secondary")
    assert accuracy.value == pytest.approx(a.mean() - b.mean())
    assert accuracy.p == pytest.approx(stats.chi2.sf(chi_squared, 1))
    assert accuracy.p_adjusted is None
    assert "Nadeau & Bengio" in str(accuracy.method)
    often = {name: predict(seed=n, folds=4, repeats=3) for n, name in enumerate("ab")}
    first = {name: arm.take(arm.repeats == 0) for name, arm in often.items()}
    # Repeats are never pooled.
    (accuracy,) = secondary_tests(often, {"a": True, "b": True})
    (alone,) = secondary_tests(first, {"a": True, "b": True})
    assert (accuracy.value, accuracy.low, accuracy.p) == (alone.value, alone.low, alone.p)
    assert "first repeat" in str(accuracy.method)


def test_accuracy_on_a_single_test_set_is_mcnemars() -> None:
    once = {name: predict(seed=n) for n, name in enumerate("ab")}
    (accuracy,) = secondary_tests(once, {"a": False, "b": False})
    expected = mcnemar_of_correct(*(arm.predicted == arm.labels for arm in once.values()))
    assert [accuracy.low, accuracy.high, accuracy.p] == pytest.approx(
        [expected.low, expected.high, expected.p]
    )


def test_two_classifiers_of_equal_skill_rarely_differ_in_accuracy_over_folds() -> None:
    """Without the factor the test rejects 11 % here, and 7 % would be too many of 300."""
    rng = np.random.default_rng(8)
    n, features = 60, 50
    y, folds = (np.arange(n) < 12).astype(int), np.arange(n) % 5
    rejected = 0
    for _ in range(300):
        arms = {}
        for name in "ab":
            x, score = rng.normal(size=(n, features)) + 0.15 * y[:, None], np.empty(n)
            for fold in range(5):
                test = folds == fold
                one, zero = (x[~test & (y == label)] for label in (1, 0))
                w = one.mean(0) - zero.mean(0)
                score[test] = (x[test] - (one.mean(0) + zero.mean(0)) / 2) @ w
            arms[name] = make_rows(y, folds, score)
        (accuracy,) = secondary_tests(arms, {"a": True, "b": True})
        rejected += accuracy.p < 0.05
    assert rejected / 300 < 0.07


def make_rows(y, folds, score) -> Predictions:
    names = np.array(["n", "p"])
    return Predictions(
        ids=np.arange(len(y)).astype(str),
        groups=None,
        repeats=np.zeros_like(folds),
        folds=folds,
        labels=names[y],
        predicted=names[(score > 0).astype(int)],
        scores=np.column_stack([-score, score]),
        classes=("n", "p"),
        kind="decision",
    )


@pytest.mark.parametrize("other", [False, None])
def test_an_arm_with_class_weights_is_compared_with_guessing_by_balanced_accuracy(other) -> None:
    rng = np.random.default_rng(3)
    y = (np.arange(400) < 60).astype(int)
    folds = np.arange(400) % 5
    arms = {
        "balanced": make_rows(y, folds, 0.3 * (2 * y - 1) + rng.normal(size=400)),
        "guess": make_rows(y, folds, np.full(400, -1.0)),
    }
    (found,) = secondary_tests(arms, {"balanced": True, "guess": other})
    recalls = [(arms["balanced"].predicted == arms["balanced"].labels)[y == k] for k in (0, 1)]
    assert (found.metric, found.role) == ("balanced_accuracy", "secondary")
    assert "instead of accuracy" in str(found.method)
    assert found.value == pytest.approx(np.mean([r.mean() for r in recalls]) - 0.5)
    # Two proportions of independent samples; the factor over 5 folds is 2.25.
    error = np.sqrt(2.25 * sum(r.var(ddof=1) / len(r) for r in recalls)) / 2
    margin = stats.t.isf(0.025, 200) * error
    assert (found.low, found.high) == pytest.approx(
        (found.value - margin, found.value + margin), abs=0.005
    )
    assert found.p == pytest.approx(2 * stats.t.sf(found.value / error, 200), abs=0.005)
    assert (found.p < 0.05) == (found.low > 0)
    # Accuracy says the reverse: guessing is right about 85 %.
    (accuracy,) = secondary_tests(arms, {"balanced": False, "guess": False})
    assert accuracy.metric == "accuracy"
    assert accuracy.value < -0.1


@pytest.mark.parametrize(
    ("head", "config", "expected"),
    [
        ("svm", None, True),
        ("prior", None, False),
        ("metadata", None, False),
        ("svm_2018", None, False),
        ("predictions", None, None),
        ("predictions", ["class_weights"], None),
        ("predictions", {"class_weights": "none"}, False),
        ("predictions", {"class_weights": "balanced"}, True),
        ("predictions", {"class_weights": {"benign": 1.75, "malignant": 0.7}}, True),
    ],
)
def test_arms_say_whether_they_weight_the_classes(head, config, expected) -> None:
    cost = {} if config is None else {"training": {"config": config}}
    matrix = np.zeros((2, 2), int)
    record = get_head(head).record if head in HEADS else {}
    arm = Evaluation("a", None, None, head, predict(), {}, matrix, cost=cost, classifier=record)
    assert arm.weights_classes is expected


def test_arms_with_classes_of_one_size_are_compared_by_accuracy() -> None:
    for n, metric in ((80, "accuracy"), (79, "balanced_accuracy")):
        arms = {name: predict(n, seed=seed) for seed, name in enumerate("ab")}
        (found,) = secondary_tests(arms, {"a": True, "b": False})
        assert found.metric == metric


@settings(max_examples=8)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 4]),
    st.sampled_from([1, 2]),
    st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    st.booleans(),
    st.booleans(),
)
def test_no_difference_of_a_comparison_contradicts_its_interval(
    seed, folds, repeats, skill, groups, three
) -> None:
    classes = ("a", "b", "c") if three else ("benign", "malignant")
    shape = {"classes": classes, "folds": folds, "repeats": repeats, "groups": groups}
    arms = {
        name: predict(47, seed=(seed + n) % 2**32, skill=skill * n / 2, **shape)
        for n, name in enumerate("xyz")
    }
    positive = None if three else "malignant"
    tests = [t.result for t in paired_tests(arms, positive, family=list(arms))]
    tests += secondary_tests(arms, {"x": True, "y": None, "z": False})
    for test in tests:
        if test.p is not None:
            assert (test.p < 0.05) == (test.low > 0 or test.high < 0)
