"""The right test of two arms for each figure and protocol."""

from __future__ import annotations

import numpy as np
import pytest
from made_predictions import predict
from scipy import stats
from statsmodels.stats.multitest import multipletests

from bottleneck.evaluation.metrics.metrics import fold_aurocs
from bottleneck.evaluation.metrics.paired_tests import paired_tests, secondary_tests
from bottleneck.statistics.auroc_tests import delong_test
from bottleneck.statistics.mcnemar import mcnemar_test


def test_a_single_test_part_has_delongs_test() -> None:
    a, b = predict(seed=1), predict(seed=2, skill=0.3)
    (test,) = paired_tests({"a": a, "b": b}, "malignant", family=["a", "b"])
    assert test.result == delong_test(a.labels == "malignant", a.scores[:, 1], b.scores[:, 1])


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
