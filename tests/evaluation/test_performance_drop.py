"""Performance drops, compared with Newcombe's interval of two proportions."""

import numpy as np
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep

from bottleneck.evaluation.external.performance_drop import performance_drops, subtract_metrics
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.results.comparison_results import Evaluation
from bottleneck.statistics.accuracy.proportions import wilson_interval


def proportion(successes, n):
    found = wilson_interval(successes, n)
    return Metric(found.value, found.low, found.high, "Wilson, 95%")


def evaluation(name, **metrics):
    return Evaluation(name, None, None, "svm", None, metrics, np.zeros((2, 2), int))


@pytest.mark.parametrize(
    ("outside", "inside"), [((56, 70), (48, 80)), ((9, 10), (3, 10)), ((5, 56), (0, 29))]
)
def test_difference_of_proportions_has_the_interval_of_newcombe(outside, inside):
    """Of wilson_interval's bounds, MOVER makes method 10 of Newcombe (1998)."""
    found = subtract_metrics("accuracy", proportion(*inside), proportion(*outside))
    expected = confint_proportions_2indep(*outside, *inside, method="newcomb", compare="diff")
    assert found.value == pytest.approx(outside[0] / outside[1] - inside[0] / inside[1])
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-12)


def test_the_first_example_of_newcombe():
    """56/70 against 48/80: 0.0524 to 0.3339 in his table II."""
    found = subtract_metrics("accuracy", proportion(48, 80), proportion(56, 70))
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert found.method == "MOVER (inside: Wilson, 95%; outside: Wilson, 95%)"


@pytest.mark.parametrize(
    ("name", "reach"),
    [("auroc", 1), ("mcc", 2), ("calibration_slope", 21 * 2**0.5), ("auprc", 1)],
)
def test_bounds_stay_where_a_difference_can_be(name, reach):
    wide = Metric(0.5, -20.5, 21.5, "x")
    found = subtract_metrics(name, wide, wide)
    assert (found.low, found.value, found.high) == pytest.approx((-reach, 0, reach))


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        (Metric(0.8), Metric(0.7, 0.6, 0.8, "x")),
        (Metric(0.8, 0.7, 0.9, "x"), Metric(0.7)),
        (Metric(0.8, 0.7, 0.9, "x"), Metric(0.7, float("nan"), 0.8, "x")),
    ],
)
def test_there_is_no_interval_where_one_lacks_it(inside, outside):
    found = subtract_metrics("f1", inside, outside)
    assert found == Metric(pytest.approx(-0.1))


def test_a_figure_that_is_not_defined_has_no_difference():
    found = subtract_metrics("ppv", Metric(float("nan")), Metric(0.7, 0.6, 0.8, "x"))
    assert np.isnan(found.value)
    assert found.low is None


def test_arms_and_metrics_that_both_have_are_paired_by_name():
    inside = [
        evaluation("a + svm", auroc=Metric(0.9), accuracy=Metric(0.8)),
        evaluation("b + svm", auroc=Metric(0.7)),
        evaluation("prior only", auroc=Metric(0.5)),
    ]
    outside = [
        evaluation("prior only", auroc=Metric(0.5)),
        evaluation("a + svm", auroc=Metric(0.6), npv=Metric(0.2)),
    ]
    found = performance_drops(inside, outside)
    assert [(d.arm, d.metric) for d in found] == [("a + svm", "auroc"), ("prior only", "auroc")]
    assert (found[0].inside.value, found[0].outside.value) == (0.9, 0.6)
    assert found[0].difference.value == pytest.approx(-0.3)
