"""Operating points, compared with scikit-learn's ROC curve and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_curve
from statsmodels.stats.proportion import proportion_confint
from test_calibration import make

from bottleneck.errors import ProtocolError, UsageError
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.metrics.operating_points import (
    adjust_to_prevalence,
    apply_thresholds,
    choose_thresholds,
)
from bottleneck.statistics.accuracy.proportions import wilson_interval


def scored(n=200, seed=0, decimals=1):
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < 0.4, "p", "n")
    return make(y, np.round((y == "p") + rng.normal(size=n), decimals))


@pytest.mark.parametrize("decimals", [0, 1, 6])
@pytest.mark.parametrize("target", [0.5, 0.8, 0.9, 0.95, 1.0])
def test_thresholds_are_the_best_of_the_roc_curve(target, decimals):
    inner = scored(decimals=decimals)
    true, score = inner.labels == "p", inner.scores[:, 1]
    alarms, found, _ = roc_curve(true, score, drop_intermediate=False)
    (threshold,) = choose_thresholds([inner], "p", "sensitivity", target)
    said = score >= threshold
    assert said[true].mean() >= target
    assert said[~true].mean() == pytest.approx(alarms[found >= target].min())
    (threshold,) = choose_thresholds([inner], "p", "specificity", target)
    said = score >= threshold
    assert 1 - said[~true].mean() >= target
    assert said[true].mean() == pytest.approx(found[1 - alarms >= target - 1e-12].max())


def test_a_target_that_is_met_exactly_costs_no_sample_more():
    inner = make(["p"] * 20 + ["n"] * 20, [*np.arange(20.0, 40), *np.arange(20.0)])
    assert choose_thresholds([inner], "p", "sensitivity", 0.95) == (21.0,)
    assert choose_thresholds([inner], "p", "specificity", 0.95) == (18.5,)
    assert choose_thresholds([inner], "p", "specificity", 1.0) == (19.5,)


def test_a_score_that_tells_nobody_apart():
    inner = make(["p", "n"] * 5, np.full(10, 0.3))
    (everyone,) = choose_thresholds([inner], "p", "sensitivity", 0.9)
    (nobody,) = choose_thresholds([inner], "p", "specificity", 0.9)
    assert (inner.scores[:, 1] >= everyone).all()
    assert not (inner.scores[:, 1] >= nobody).any()
    point = apply_thresholds(inner, [nobody], positive="p", held="specificity", target=0.9)
    assert (point.metrics["specificity"].value, point.metrics["sensitivity"].value) == (1, 0)
    assert np.isnan(point.metrics["ppv"].value)
    assert point.metrics["ppv"].low is None


def test_every_fold_has_its_own_threshold():
    test = make(
        ["p", "n", "p", "n"] * 2, [1.0, 0, 2, 3, 11, 10, 12, 13], folds=np.repeat([1, 0], 4)
    )
    point = apply_thresholds(test, [1.5, 12.5], positive="p", held="sensitivity", target=0.9)
    assert point.thresholds == (1.5, 12.5)
    assert {k: m.value for k, m in point.metrics.items()} == pytest.approx(
        {"sensitivity": 1 / 4, "specificity": 2 / 4, "ppv": 1 / 3, "npv": 2 / 5}
    )


def test_what_came_out_has_wilsons_interval():
    inner, test = scored(), scored(seed=1)
    thresholds = choose_thresholds([inner], "p", "sensitivity", 0.9)
    point = apply_thresholds(test, thresholds, positive="p", held="sensitivity", target=0.9)
    said, true = test.scores[:, 1] >= thresholds[0], test.labels == "p"
    for name, right, of in (("sensitivity", said, true), ("npv", ~true, ~said)):
        low, high = proportion_confint(right[of].sum(), of.sum(), method="wilson")
        found = point.metrics[name]
        assert found.value == pytest.approx(right[of].mean())
        assert (found.low, found.high) == pytest.approx((low, high))
        assert found.method == "Wilson, 95%"


# Mercaldo, Lau & Zhou (2007), table VIII: an allele in 418 patients and 375 healthy people.
ALLELE = wilson_interval(240, 418), wilson_interval(288, 375)


def mercaldo(sensitivity, specificity, prevalence):
    """Their standard logit intervals, equations 8 to 11, for the counts above."""
    odds = prevalence / (1 - prevalence)
    z = stats.norm.isf(0.025)
    ppv = np.log(sensitivity * odds / (1 - specificity))
    spread = (1 - sensitivity) / sensitivity / 418 + specificity / (1 - specificity) / 375
    npv = np.log(specificity / ((1 - sensitivity) * odds))
    other = sensitivity / (1 - sensitivity) / 418 + (1 - specificity) / specificity / 375
    return [
        1 / (1 + np.exp(-(centre + z * np.sqrt(variance) * np.array([0, -1, 1]))))
        for centre, variance in ((ppv, spread), (npv, other))
    ]


@pytest.mark.parametrize("prevalence", [0.03, 0.2, 0.6])
def test_predictive_values_are_near_the_logit_intervals_of_mercaldo(prevalence):
    found = adjust_to_prevalence(*ALLELE, prevalence)
    expected = mercaldo(240 / 418, 288 / 375, prevalence)
    for name, (value, low, high) in zip(("ppv", "npv"), expected, strict=True):
        assert found[name].value == pytest.approx(value)
        assert (found[name].low, found[name].high) == pytest.approx((low, high), rel=0.03)


def test_at_the_prevalence_of_the_sample_values_are_those_counted():
    found = adjust_to_prevalence(*ALLELE, 418 / (418 + 375))
    assert found["ppv"].value == pytest.approx(240 / (240 + 87))
    assert found["npv"].value == pytest.approx(288 / (288 + 178))


def test_changing_the_classes_exchanges_the_predictive_values():
    sensitivity, specificity = ALLELE
    one, other = (
        adjust_to_prevalence(*ALLELE, 0.1),
        adjust_to_prevalence(specificity, sensitivity, 0.9),
    )
    for a, b in ((one["ppv"], other["npv"]), (one["npv"], other["ppv"])):
        assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high))


@pytest.mark.parametrize("wrong", [0, 1])
def test_proportions_of_one_have_an_interval(wrong):
    found = adjust_to_prevalence(wilson_interval(30, 30), wilson_interval(40 - wrong, 40), 0.1)
    for metric in found.values():
        assert 0 < metric.low < metric.value <= metric.high <= 1
    if not wrong:
        assert found["ppv"].value == found["npv"].value == 1
        # A perfect test says no more than its bounds: LR+ >= 1 / (1 - the lower specificity).
        least = wilson_interval(30, 30).low / (1 - wilson_interval(40, 40).low)
        assert found["ppv"].low >= 1 / (1 + 9 / least)


def test_predictive_values_hold_their_level():
    rng = np.random.default_rng(0)
    true_ppv = 0.9 * 0.05 / (0.9 * 0.05 + 0.15 * 0.95)
    true_npv = 0.85 * 0.95 / (0.85 * 0.95 + 0.1 * 0.05)
    covered = []
    for hits, rejections in zip(
        rng.binomial(30, 0.9, 1000), rng.binomial(60, 0.85, 1000), strict=True
    ):
        found = adjust_to_prevalence(
            wilson_interval(hits, 30), wilson_interval(rejections, 60), 0.05
        )
        covered.append(
            [
                found[name].low <= truth <= found[name].high
                for name, truth in (("ppv", true_ppv), ("npv", true_npv))
            ]
        )
    assert (np.mean(covered, axis=0) > 0.93).all()


def test_what_is_unknown_stays_unknown():
    plain = adjust_to_prevalence(Metric(0.8), Metric(0.9), 0.5)
    assert plain["ppv"].value == pytest.approx(8 / 9)
    assert plain["ppv"].low is None
    # Nobody is called positive, or everybody.
    assert np.isnan(
        adjust_to_prevalence(wilson_interval(0, 9), wilson_interval(9, 9), 0.5)["ppv"].value
    )
    assert np.isnan(
        adjust_to_prevalence(wilson_interval(9, 9), wilson_interval(0, 9), 0.5)["npv"].value
    )


def test_arguments_of_operating_points_are_checked():
    made = scored()
    with pytest.raises(UsageError, match="did you mean 'sensitivity'"):
        choose_thresholds([made], "p", "sensitivty", 0.9)
    with pytest.raises(UsageError, match="at most 1, not 90"):
        choose_thresholds([made], "p", "sensitivity", 90)
    with pytest.raises(ProtocolError, match="out-of-fold"):
        choose_thresholds([made.take(made.labels == "p")], "p", "sensitivity", 0.9)
    with pytest.raises(UsageError, match="1 test folds"):
        apply_thresholds(made, [0.0, 1.0], positive="p", held="sensitivity", target=0.9)
    with pytest.raises(UsageError, match="prevalence"):
        adjust_to_prevalence(*ALLELE, 3)
